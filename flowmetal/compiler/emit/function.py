"""Emits functions: one code for each arity, closures over what they capture, `letfn` groups, regions around bodies."""

from __future__ import annotations

from flowmetal.bytecode.program import Code, Function
from flowmetal.compiler.building import Builder
from flowmetal.compiler.emit import branching  # noqa: F401  (registers its emitters)
from flowmetal.compiler.emit.body import DISCARD, TAIL, Body, emits
from flowmetal.compiler.nodes import Arity, Binding, FnNode, LetFn, Local, RegionNode


def emit_function(builder: Builder, node: FnNode) -> Function:
    """The function of a node that captures nothing or whose closure the caller makes."""
    function = builder.function(node.scope.name, node.doc)
    _emit_codes(builder, function, node, {})
    return function


def _emit_codes(builder: Builder, function: Function, node: FnNode, siblings: dict[Binding, Function]) -> None:
    codes: list[int] = []
    for arity in sorted(node.arities, key=lambda arity: (arity.rest is not None, len(arity.parameters))):
        codes.append(_emit_code(builder, function, node, arity, siblings))
    function.codes = tuple(codes)


def _emit_code(
    builder: Builder, function: Function, node: FnNode, arity: Arity, siblings: dict[Binding, Function]
) -> int:
    entry: list[Binding] = [*arity.parameters]
    if arity.rest is not None:
        entry.append(arity.rest)
    entry.extend(node.scope.captures)
    first_free = len(entry) + arity.uses_self
    body = Body(builder, function, node.scope, first_free)
    body.siblings = siblings
    for register, binding in enumerate(entry):
        body.registers[binding] = register
    if arity.parameters and arity.rest is None:
        body.last_parameter = arity.parameters[-1]
    own = node.scope.own
    if arity.uses_self:
        body.self_register = len(entry)
    assembly = body.assembly
    assembly.span = node.span
    body.emit(arity.body, TAIL)
    for register, binding in enumerate(entry):
        if not binding.hidden:
            assembly.name(binding.name, register, 0)
    if own is not None and arity.uses_self and not own.hidden:
        assembly.name(own.name, len(entry), 0)
    code = Code(
        name=function.name,
        parameters=len(arity.parameters),
        variadic=arity.rest is not None,
        captures=len(node.scope.captures),
        takes_self=arity.uses_self,
        registers=assembly.registers,
        instructions=tuple(assembly.instructions),
        tries=tuple(assembly.tries),
        locals=tuple(sorted(assembly.locals, key=lambda local: (local.start, local.register))),
        spans=tuple(assembly.spans),
    )
    return builder.code(code)


def make_inner(body: Body, node: FnNode, handled: tuple[str, ...] = ()) -> Function:
    """The function of a closure that `body` makes."""
    function = emit_function(body.builder, node)
    body.facts.inner.append((function.index, handled))
    return function


def captured(body: Body, captures: dict[Binding, None]) -> tuple[int, ...]:
    """Registers of the values a closure holds; other functions of a letfn group are made on the spot."""
    found: list[int] = []
    for binding in captures:
        found.append(body.operand(Local(None, binding)))
    return tuple(found)


@emits(FnNode)
def emit_closure(body: Body, node: FnNode, wish: int) -> None:
    """A closure nobody reads is not made."""
    if wish == DISCARD:
        return
    function = make_inner(body, node)
    mark = body.assembly.next
    registers = captured(body, node.scope.captures)
    body.produce(wish, mark, "closure", function.index, registers)


@emits(RegionNode)
def emit_region(body: Body, node: RegionNode, wish: int) -> None:
    """The body of a region is a function of its own."""
    mark = body.assembly.next
    data = body.operand(node.data)
    if type(node.body) is FnNode:
        function = make_inner(body, node.body, node.handled)
        registers = captured(body, node.body.scope.captures)
        closure = body.assembly.allocate()
        body.assembly.emit("closure", closure, function.index, registers)
    else:
        body.facts.open = True
        closure = body.operand(node.body)
    body.produce(wish, mark, "region", node.kind, data, closure)


@emits(LetFn)
def emit_letfn(body: Body, node: LetFn, wish: int) -> None:
    """One closure is made of what the group captures; its siblings are made from it."""
    builder, assembly = body.builder, body.assembly
    functions: dict[Binding, Function] = {}
    nodes: list[tuple[Binding, FnNode]] = [(name, fn) for name, fn in node.group.members.items() if fn is not None]
    for binding, fn in nodes:
        functions[binding] = builder.function(fn.scope.name, fn.doc)
    for binding, fn in nodes:
        _emit_codes(builder, functions[binding], fn, functions)
    registers = captured(body, node.group.captures)
    first: int | None = None
    named: list[tuple[Binding, int, int]] = []
    for binding, _ in nodes:
        index = functions[binding].index
        register = assembly.allocate()
        body.facts.inner.append((index, ()))
        if first is None:
            assembly.emit("closure", register, index, registers)
            first = register
        else:
            assembly.emit("sibling", register, first, index)
        body.registers[binding] = register
        named.append((binding, register, len(assembly.instructions)))
    body.emit(node.body, wish)
    body.close(named)

"""Body: emits core nodes into one code.

A node is emitted with a wish for its value: a register it must be in, TAIL (return it) or DISCARD (nobody reads it).
The register wished for is written last, so it may be one that the node reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flowmetal.bytecode.program import EffectSite, Function
from flowmetal.compiler.building import Builder, Facts
from flowmetal.compiler.emit.assembly import Assembly
from flowmetal.compiler.nodes import (
    Apply,
    Binding,
    BuiltinCall,
    Call,
    Collection,
    Const,
    Do,
    FnNode,
    FunctionScope,
    GlobalRead,
    Let,
    Local,
    Node,
    Operation,
    Perform,
    Target,
)
from flowmetal.values import Keyword

TAIL = -1
DISCARD = -2

_SMALL = 1 << 31


EMITTERS: dict[type[Node], Callable[[Body, Any, int], None]] = {}

_Emitter = TypeVar("_Emitter", bound=Callable[..., None])


def emits(kind: type[Node]) -> Callable[[_Emitter], _Emitter]:
    """Registers the decorated function as what emits nodes of `kind`."""

    def register(emitter: _Emitter) -> _Emitter:
        EMITTERS[kind] = emitter
        return emitter

    return register


class Body:
    """One code while its nodes are emitted."""

    def __init__(self, builder: Builder, function: Function, scope: FunctionScope, first_free: int) -> None:
        self.builder = builder
        self.function = function
        self.facts: Facts = builder.facts[function.index]
        self.scope = scope
        self.assembly = Assembly(first_free)
        self.registers: dict[Binding, int] = {}
        self.self_register: int | None = None
        self.last_parameter: Binding | None = None  # where no other arguments are gathered behind it
        self.loops: dict[Target, tuple[int, list[int]]] = {}
        self.siblings: dict[Binding, Function] = {}  # of the letfn group this function belongs to

    def resumes(self, callee: Node) -> bool:
        """Whether a callee is the `resume` of the clause that this body is of; it runs what the `handle` answers for.

        One that an inner function captured does not count: the verifier could not tell it from any other value.
        """
        return type(callee) is Local and callee.binding.resumes and callee.binding is self.last_parameter

    def emit(self, node: Node, wish: int) -> None:
        """Emits a node; see the module's docstring for `wish`."""
        assembly = self.assembly
        before = assembly.span
        if node.span is not None:
            assembly.span = node.span
        mark = assembly.next
        EMITTERS[type(node)](self, node, wish)
        assembly.next = mark
        assembly.span = before

    def operand(self, node: Node) -> int:
        """The register that holds a node's value: a local's own, or a new temporary."""
        if type(node) is Local:
            register = self.registers.get(node.binding)
            if register is not None:
                return register
            if node.binding is self.scope.own and self.self_register is not None:
                return self.self_register
        register = self.assembly.allocate()
        self.emit(node, register)
        return register

    def operands(self, nodes: list[Node]) -> tuple[int, ...]:
        """The registers of several nodes, evaluated in order."""
        found: list[int] = []
        for node in nodes:
            found.append(self.operand(node))
        return tuple(found)

    def produce(self, wish: int, mark: int, mnemonic: str, *operands: Any) -> None:
        """An instruction that writes one register; registers from `mark` on are free after its operands are read."""
        assembly = self.assembly
        if wish >= 0:
            assembly.emit(mnemonic, wish, *operands)
            return
        assembly.next = mark
        register = assembly.allocate()
        assembly.emit(mnemonic, register, *operands)
        if wish == TAIL:
            assembly.emit("return", register)

    def global_index(self, node: GlobalRead) -> int:
        """Index of the reference, which also makes it an edge for the analysis of effects."""
        self.facts.references[node.reference] = None
        self.facts.named.append((node.reference, self.assembly.span))
        return self.builder.reference(node.reference)

    def bind(self, bindings: list[tuple[Binding, Node]]) -> list[tuple[Binding, int, int]]:
        """Evaluates the values of bindings in order; (binding, register, first instruction) of each, for `close`."""
        assembly = self.assembly
        named: list[tuple[Binding, int, int]] = []
        for binding, value in bindings:
            register = self.registers.get(value.binding) if type(value) is Local else None
            if register is None:
                register = assembly.allocate()
                self.emit(value, register)
            # A local is never changed while it can be seen, so a second name for it needs no second register.
            self.registers[binding] = register
            named.append((binding, register, len(assembly.instructions)))
        return named

    def close(self, named: list[tuple[Binding, int, int]]) -> None:
        """Ends the scope of bindings."""
        for binding, register, start in named:
            if not binding.hidden:
                self.assembly.name(binding.name, register, start)


@emits(Const)
def emit_constant(body: Body, node: Const, wish: int) -> None:
    if wish == DISCARD:
        return
    value = node.value
    mark = body.assembly.next
    if value is None:
        body.produce(wish, mark, "nil")
    elif value is True or value is False:
        body.produce(wish, mark, "true" if value else "false")
    elif value.__class__ is int and -_SMALL <= value < _SMALL:
        body.produce(wish, mark, "integer", value)
    else:
        body.facts.constants.append(value)
        body.produce(wish, mark, "constant", body.builder.constant(value))


@emits(Local)
def emit_local(body: Body, node: Local, wish: int) -> None:
    if wish == DISCARD:
        return
    binding = node.binding
    register = body.registers.get(binding)
    if register is None and binding is body.scope.own:
        register = body.self_register
    if register is None:
        # Another function of the letfn group this one belongs to.
        assert body.self_register is not None, binding.name
        function = body.siblings[binding]
        body.facts.inner.append((function.index, ()))
        body.produce(wish, body.assembly.next, "sibling", body.self_register, function.index)
    elif wish == TAIL:
        body.assembly.emit("return", register)
    elif register != wish:
        body.assembly.emit("move", wish, register)


@emits(GlobalRead)
def emit_global_read(body: Body, node: GlobalRead, wish: int) -> None:
    mnemonic = "dynamic" if node.dynamic else "global"
    body.produce(wish, body.assembly.next, mnemonic, body.global_index(node))


@emits(Call)
def emit_call(body: Body, node: Call, wish: int) -> None:
    assembly = body.assembly
    mark = assembly.next
    callee = node.function
    if type(callee) is GlobalRead and not callee.dynamic:
        index = body.global_index(callee)
        arguments = body.operands(node.arguments)
        if wish == TAIL:
            assembly.emit("tail_call_global", index, arguments)
        else:
            body.produce(wish, mark, "call_global", index, arguments)
        return
    if not isinstance(callee, Const | FnNode) and not body.resumes(callee):
        body.facts.open = True
    register = body.operand(callee)
    arguments = body.operands(node.arguments)
    if wish == TAIL:
        assembly.emit("tail_call", register, arguments)
    else:
        body.produce(wish, mark, "call", register, arguments)


@emits(Apply)
def emit_apply(body: Body, node: Apply, wish: int) -> None:
    mark = body.assembly.next
    if not isinstance(node.function, Const | FnNode | GlobalRead):
        body.facts.open = True
    function = body.operand(node.function)
    arguments = body.operand(node.arguments)
    if wish == TAIL:
        body.assembly.emit("tail_apply", function, arguments)
    else:
        body.produce(wish, mark, "apply", function, arguments)


@emits(BuiltinCall)
def emit_builtin(body: Body, node: BuiltinCall, wish: int) -> None:
    mark = body.assembly.next
    arguments = body.operands(node.arguments)
    body.produce(wish, mark, "builtin", node.number, arguments)


@emits(Operation)
def emit_operation(body: Body, node: Operation, wish: int) -> None:
    mark = body.assembly.next
    if node.mnemonic in ("add", "subtract"):
        left, right = node.arguments
        if node.mnemonic == "add" and type(left) is Const:
            left, right = right, left
        amount = right.value if type(right) is Const else None
        # Not x - 0: for the float -0.0 it differs from x + 0.
        if amount.__class__ is int and -_SMALL < amount < _SMALL and (amount or node.mnemonic == "add"):
            register = body.operand(left)
            body.produce(wish, mark, "add_integer", register, amount if node.mnemonic == "add" else -amount)
            return
    if node.mnemonic == "async":
        body.facts.open = body.facts.open or not isinstance(node.arguments[0], FnNode | GlobalRead)
    arguments = body.operands(node.arguments)
    body.produce(wish, mark, node.mnemonic, *(arguments[::-1] if node.swapped else arguments))


@emits(Collection)
def emit_collection(body: Body, node: Collection, wish: int) -> None:
    mark = body.assembly.next
    body.produce(wish, mark, node.mnemonic, body.operands(node.items))


@emits(Perform)
def emit_perform(body: Body, node: Perform, wish: int) -> None:
    mark = body.assembly.next
    if type(node.effect) is Const and node.effect.value.__class__ is Keyword:
        name = node.effect.value.text
        body.facts.effects.add(name)
        body.facts.sites.append(EffectSite(name, body.function.name, body.assembly.span))
    else:
        body.facts.open = True
    if type(node.options) is not Const:
        body.builder.deciding = True
    registers = body.operands([node.effect, node.payload, node.options])
    body.produce(wish, mark, node.mnemonic, *registers)


@emits(Do)
def emit_do(body: Body, node: Do, wish: int) -> None:
    for statement in node.statements:
        body.emit(statement, DISCARD)
    body.emit(node.result, wish)


@emits(Let)
def emit_let(body: Body, node: Let, wish: int) -> None:
    named = body.bind(node.bindings)
    body.emit(node.body, wish)
    body.close(named)

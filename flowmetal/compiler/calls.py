"""Calls: what a list with a function at its head becomes.

A call of a known global is linked, a call of a core function that is one instruction becomes it, a call of a builtin or
of the function of an effect goes straight there.  How many arguments a global takes is checked when the whole module is
known, since it may be defined below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.bytecode.opcodes import ARGUMENTS_MAX
from flowmetal.bytecode.program import Function, Global, Reference
from flowmetal.compiler.evaluation import BuiltinRow, accepts
from flowmetal.compiler.names import INLINE, OPERATIONS, Target, is_core
from flowmetal.compiler.nodes import (
    Apply,
    BuiltinCall,
    Call,
    Collection,
    Const,
    FnNode,
    Local,
    Node,
    Operation,
    Perform,
    RegionNode,
    Throw,
)
from flowmetal.compiler.reader import child_span
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import text_of
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import Span
from flowmetal.values import BuiltinFn, Closure, Keyword, Map, Symbol, keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

#: Items of one collection instruction or builtin call; longer literals are put together from parts.
ITEMS_MAX = 512

#: Kinds of region a `%region` may name.
_REGIONS_MAX = 6


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call of a global, checked when the module is complete; `constants` are the arguments known now, by position."""

    reference: Reference
    count: int
    span: Span | None
    constants: tuple[tuple[int, Any, Span | None], ...]
    others: tuple[tuple[int, Node, Span | None], ...] = ()  # the arguments that are computed


@dataclass(slots=True)
class PendingCalls:
    """The calls of globals seen so far."""

    calls: list[PendingCall] = field(default_factory=list)
    locals: list[tuple[FnNode | Local, str, int, Span | None]] = field(default_factory=list)  # callee, written, count


def unknown(analyzer: Analyzer, items: list[Any], scope: Scope) -> Node:
    """A call of a value: a local, the result of an expression, a keyword."""
    span = analyzer.span
    head = items[0]
    if head.__class__ is Keyword and 2 <= len(items) <= 3:
        arguments = analyzer.arguments(items[1:], scope)
        return analyzer.builtin("get", arguments[0], Const(span, head), *arguments[1:])
    if head.__class__ is Keyword:
        return analyzer.error("A109", name=text_of(head), count=_arguments(len(items) - 1), takes="1 to 2 arguments")
    if head is None or head.__class__ in (bool, int, float, str):
        analyzer.error("A107", value=text_of(head))
    callee = analyzer.analyze(head, scope)
    arguments = analyzer.arguments(items[1:], scope)
    if isinstance(callee, FnNode | Local):
        analyzer.pending.locals.append((callee, text_of(head), len(arguments), span))
    return _call(analyzer, callee, arguments)


def _call(analyzer: Analyzer, callee: Node, arguments: list[Node]) -> Node:
    if len(arguments) > ARGUMENTS_MAX:
        return analyzer.error("A108", count=len(arguments), limit=ARGUMENTS_MAX)
    return Call(analyzer.span, callee, arguments)


def known(analyzer: Analyzer, head: Symbol, found: Target, items: list[Any], scope: Scope) -> Node:
    """A call of a global that is no macro."""
    span, form = analyzer.span, analyzer.form
    definition = found.definition
    head_span = analyzer.span_at(head)
    analyzer.check_private(head, found)
    arguments = analyzer.arguments(items[1:], scope)
    if is_core(found.module):
        inlined = _inline(span, definition.name, arguments)
        if inlined is not None:
            return inlined
    value = definition.value
    settled = analyzer.names.settled(found.module)
    if value.__class__ is BuiltinFn and not definition.dynamic and settled:
        row = analyzer.names.builtins.get(value.name)
        if row is not None:
            return _builtin(analyzer, row, str(head), arguments)
    if definition.effect is not None and definition.contract is None and settled:
        performed = _perform_directly(analyzer, definition, arguments)
        if performed is not None:
            return performed
    reference = Reference(found.module, definition.name)
    if not definition.dynamic:
        constants: list[tuple[int, Any, Span | None]] = []
        others: list[tuple[int, Node, Span | None]] = []
        for position, argument in enumerate(arguments):
            known_now, place = analyzer.origin_of(argument), child_span(form, position + 1) or span
            if type(known_now) is Const:
                constants.append((position, known_now.value, place))
            else:
                others.append((position, known_now, place))
        analyzer.pending.calls.append(PendingCall(reference, len(arguments), span, tuple(constants), tuple(others)))
    callee = analyzer.global_read(head, found)
    callee.span = head_span
    return _call(analyzer, callee, arguments)


def _inline(span: Span | None, name: str, arguments: list[Node]) -> Node | None:
    if name in ("inc", "dec") and len(arguments) == 1:
        return Operation(span, "add", [arguments[0], Const(span, 1 if name == "inc" else -1)])
    row = INLINE.get((name, len(arguments)))
    if row is None:
        return None
    mnemonic, swapped = row
    return Operation(span, mnemonic, arguments, swapped)


def _builtin(analyzer: Analyzer, row: BuiltinRow, written: str, arguments: list[Node]) -> Node:
    if not accepts(row, len(arguments)):
        return analyzer.error(
            "A109", name=written, count=_arguments(len(arguments)), takes=_takes_between(row.min_args, row.max_args)
        )
    if len(arguments) > ARGUMENTS_MAX:
        return analyzer.error("A108", count=len(arguments), limit=ARGUMENTS_MAX)
    return BuiltinCall(analyzer.span, row.number, row.name, arguments)


def _perform_directly(analyzer: Analyzer, definition: Global, arguments: list[Node]) -> Node | None:
    """The effect of a `defeffect` without contracts, performed where it is called; None if that needs the function."""
    value = definition.value
    if value.__class__ is not Closure or definition.effect is None:
        return None
    count = arities_of(value.function)[0][0]
    options: Node = Const(analyzer.span, None)
    extra = arguments[count:]
    if len(arguments) < count:
        return None
    if extra:
        names = extra[::2]
        if len(extra) % 2 or not all(type(node) is Const and node.value.__class__ is Keyword for node in names):
            return None
        options = _map_node(analyzer, extra)
    span = analyzer.span
    payload: Node
    if count == 0:
        payload = Const(span, None)
    elif count == 1:
        payload = arguments[0]
    else:
        payload = Collection(span, "vector", arguments[:count])
    return Perform(span, "perform", Const(span, keyword(definition.effect)), payload, options)


def _map_node(analyzer: Analyzer, parts: list[Node]) -> Node:
    constants = [node.value for node in parts if type(node) is Const]
    if len(constants) == len(parts):
        return Const(analyzer.span, Map.of(list(zip(constants[::2], constants[1::2], strict=True))))
    return Collection(analyzer.span, "map", parts)


# ---- % names ----------------------------------------------------------------------------------------------------


def percent(analyzer: Analyzer, name: str, items: list[Any], scope: Scope) -> Node:
    """A call of `%name`: an operation of the machine, or a builtin."""
    span = analyzer.span
    if name == "region":
        return _region(analyzer, items, scope)
    if name == "qualified" and len(items) == 2 and items[1].__class__ is Symbol:
        return Const(span, Symbol(analyzer.names.module.name, items[1].name))  # what a definition will be called
    if name == "type-name" and len(items) == 2 and items[1].__class__ is Symbol:
        return Const(span, Symbol(None, f"{analyzer.names.module.name}.{items[1].name}"))
    arguments = analyzer.arguments(items[1:], scope)
    count = len(arguments)
    if name in ("vector", "map", "set"):
        if name == "map" and count % 2:
            return _wrong_count(analyzer, name, count, "an even number of arguments")
        if count > ITEMS_MAX:
            return analyzer.error("A108", count=count, limit=ITEMS_MAX)
        return Collection(span, name, arguments)
    if name in ("perform", "request"):
        if count != 3:
            return _wrong_count(analyzer, name, count, "3 arguments")
        return Perform(span, name, *arguments)
    if name == "apply":
        if count != 2:
            return _wrong_count(analyzer, name, count, "2 arguments")
        return Apply(span, *arguments)
    if name == "throw":
        if count != 1:
            return _wrong_count(analyzer, name, count, "1 argument")
        return Throw(span, *arguments)
    if name in OPERATIONS:
        wanted, mnemonic = OPERATIONS[name]
        if count != wanted:
            return _wrong_count(analyzer, name, count, _arguments(wanted))
        return Operation(span, mnemonic, arguments)
    row = analyzer.names.builtins.get(name)
    if row is None:
        return analyzer.error("A110", span=analyzer.span_at(items[0]), name=f"%{name}")
    return _builtin(analyzer, row, f"%{name}", arguments)


def _region(analyzer: Analyzer, items: list[Any], scope: Scope) -> Node:
    if len(items) != 4:
        return _wrong_count(analyzer, "region", len(items) - 1, "3 arguments")
    kind = items[1]
    if kind.__class__ is not int or not 1 <= kind <= _REGIONS_MAX:
        return analyzer.error("A110", name=f"region {text_of(kind)}")
    data = analyzer.analyze(items[2], scope)
    return RegionNode(analyzer.span, kind, data, analyzer.analyze(items[3], scope))


def _wrong_count(analyzer: Analyzer, name: str, count: int, takes: str) -> Node:
    return analyzer.error("A109", name=f"%{name}", count=_arguments(count), takes=takes)


# ---- number of arguments ------------------------------------------------------------------------------------------


def arities_of(function: Function) -> list[tuple[int, bool]]:
    """(number of parameters, whether more are taken) of each code of a function."""
    assert function.module is not None
    codes = [function.module.codes[index] for index in function.codes]
    return [(code.parameters, code.variadic) for code in codes]


def check_counts(analyzer: Analyzer) -> None:
    """Reports the calls of globals that no arity takes; run when every global has its value."""
    for call in analyzer.pending.calls:
        definition = analyzer.builder.find(call.reference)
        if definition is None or definition.dynamic:
            continue
        value = definition.value
        if value is None or value.__class__ in (bool, int, float, str):
            analyzer.error("A107", call.span, value=call.reference.name, holds=text_of(value))
            continue
        if value.__class__ is not Closure:
            continue
        arities = arities_of(value.function)
        if any(count == call.count or (more and call.count >= count) for count, more in arities):
            continue
        # Every `defeffect` takes options after its arguments; they are no arguments of the effect.
        analyzer.error(
            "A109", call.span, name=call.reference.name, count=_arguments(call.count), takes=_takes(arities),
            parameters=" or ".join(definition.parameters),
        )  # fmt: skip


def check_local_counts(analyzer: Analyzer) -> None:
    """The same for calls of functions that are written at the call, or bound to a local."""
    for callee, written, count, span in analyzer.pending.locals:
        node = analyzer.functions.get(callee.binding) if isinstance(callee, Local) else callee
        if node is None or not node.arities:
            continue
        arities = [(len(arity.parameters), arity.rest is not None) for arity in node.arities]
        if not any(least == count or (more and count >= least) for least, more in arities):
            analyzer.error(
                "A109", span, name=written, count=_arguments(count), takes=_takes(arities),
                parameters=" or ".join(arity.text for arity in node.arities),
            )  # fmt: skip


def _arguments(count: int) -> str:
    return "1 argument" if count == 1 else f"{count} arguments"


def _takes_between(minimum: int, maximum: int | None) -> str:
    if maximum is None:
        return f"at least {_arguments(minimum)}"
    return _arguments(minimum) if minimum == maximum else f"{minimum} to {maximum} arguments"


def _takes(arities: list[tuple[int, bool]]) -> str:
    fixed = sorted({count for count, _ in arities})
    least = min((count for count, more in arities if more), default=None)
    shown = [str(count) for count in fixed if least is None or count < least]
    if least is not None:
        shown.append(f"{least} or more")
    if shown == ["1"]:
        return "1 argument"
    return f"{' or '.join(shown)} arguments"

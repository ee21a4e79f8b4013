"""Emits the nodes that jump: conditions, loops, errors.

Conditions know of their own truth: in the branches of `(if x ...)` a test of `x` again costs nothing, so that what
`and`, `or`, `when` and `cond` expand to becomes plain jumps.  Jumps go forward, but for `recur`.
"""

from __future__ import annotations

from flowmetal.bytecode.program import Try as TryRow
from flowmetal.compiler.emit.assembly import Label
from flowmetal.compiler.emit.body import DISCARD, TAIL, Body, emits
from flowmetal.compiler.nodes import (
    BuiltinCall,
    Catch,
    Const,
    Do,
    Head,
    If,
    Let,
    Local,
    Loop,
    Node,
    Operation,
    Recur,
    Throw,
    Try,
    reads,
)


def truth(node: Node, test: Node | None = None, held: bool = True) -> bool | None:
    """Whether a node is true, where that is known: of a constant, and of the local that `test` has read as `held`."""
    if type(node) is Const:
        return node.value is not None and node.value is not False
    if type(test) is Local and type(node) is Local and node.binding is test.binding:
        return held
    return None


# ---- conditions -------------------------------------------------------------------------------------------------


@emits(If)
def emit_if(body: Body, node: If, wish: int) -> None:
    """Both branches leave their value where it is wished for."""
    assembly = body.assembly
    known = truth(node.test)
    if known is not None:
        body.emit(node.then if known else node.otherwise, wish)
        return
    end = Label()
    if wish == DISCARD and _idle(node.then):
        jump(body, node.test, end, when=True)
        body.emit(node.otherwise, DISCARD)
        assembly.place(end)
        return
    if wish == DISCARD and _idle(node.otherwise):
        jump(body, node.test, end, when=False)
        body.emit(node.then, DISCARD)
        assembly.place(end)
        return
    first, second, when = node.then, node.otherwise, False
    if type(node.test) is BuiltinCall and node.test.name == "some?":
        # The only jump on nil goes where it is not nil, so the other branch comes first.
        first, second, when = second, first, True
    other = Label()
    jump(body, node.test, other, when=when)
    body.emit(first, wish)
    assembly.jump(end)
    assembly.place(other)
    body.emit(second, wish)
    assembly.place(end)


def _idle(node: Node) -> bool:
    return type(node) in (Const, Local)


def jump(body: Body, test: Node, label: Label, when: bool) -> None:
    """Goes to `label` if the truth of `test` is `when`, and falls through otherwise."""
    assembly = body.assembly
    before = assembly.span
    if test.span is not None:
        assembly.span = test.span
    mark = assembly.next
    _jump(body, test, label, when)
    assembly.next = mark
    assembly.span = before


def _jump(body: Body, test: Node, label: Label, when: bool) -> None:
    assembly = body.assembly
    known = truth(test)
    if known is not None:
        if known == when:
            assembly.jump(label)
    elif type(test) is If:
        _jump_if(body, test, label, when)
    elif type(test) is Let:
        named = body.bind(test.bindings)
        jump(body, test.body, label, when)
        body.close(named)
    elif type(test) is Do:
        for statement in test.statements:
            body.emit(statement, DISCARD)
        jump(body, test.result, label, when)
    elif type(test) is Operation and test.mnemonic == "not":
        jump(body, test.arguments[0], label, not when)
    elif type(test) is BuiltinCall and test.name in ("nil?", "some?") and len(test.arguments) == 1:
        _jump_nil(body, test.arguments[0], label, on_nil=(test.name == "nil?") == when)
    else:
        register = body.operand(test)
        assembly.jump(label, "jump_if_true" if when else "jump_if_false", register)


def _jump_nil(body: Body, value: Node, label: Label, on_nil: bool) -> None:
    register = body.operand(value)
    if not on_nil:
        body.assembly.jump(label, "jump_if_not_nil", register)
        return
    over = Label()
    body.assembly.jump(over, "jump_if_not_nil", register)
    body.assembly.jump(label)
    body.assembly.place(over)


def _jump_if(body: Body, node: If, label: Label, when: bool) -> None:
    """A condition inside a condition."""
    assembly = body.assembly
    if truth(node.test) is not None:
        jump(body, node.then if truth(node.test) else node.otherwise, label, when)
        return
    then, otherwise = truth(node.then, node.test, True), truth(node.otherwise, node.test, False)
    out = Label()
    if then is not None and otherwise is not None:
        if then == otherwise:
            body.emit(node.test, DISCARD)
            if then == when:
                assembly.jump(label)
        else:
            jump(body, node.test, label, when == then)
    elif otherwise is not None:
        # `and`: a false test decides.
        jump(body, node.test, label if otherwise == when else out, when=False)
        jump(body, node.then, label, when)
    elif then is not None:
        # `or`: a true test decides.
        jump(body, node.test, label if then == when else out, when=True)
        jump(body, node.otherwise, label, when)
    else:
        other = Label()
        jump(body, node.test, other, when=False)
        jump(body, node.then, label, when)
        assembly.jump(out)
        assembly.place(other)
        jump(body, node.otherwise, label, when)
    assembly.place(out)


# ---- loops ------------------------------------------------------------------------------------------------------


@emits(Loop)
def emit_loop(body: Body, node: Loop, wish: int) -> None:
    """The loop's bindings get registers of their own: `recur` writes to them."""
    assembly = body.assembly
    registers: list[int] = []
    start = len(assembly.instructions)
    for binding, initial in zip(node.target.bindings, node.initial, strict=True):
        register = assembly.allocate()
        body.emit(initial, register)
        body.registers[binding] = register
        registers.append(register)
    if node.target.used:
        start = len(assembly.instructions)
        body.loops[node.target] = (start, registers)
        assembly.emit("loop")
        assembly.enter("loops")
    body.emit(node.body, wish)
    if node.target.used:
        assembly.leave("loops")
    body.close([(binding, body.registers[binding], start) for binding in node.target.bindings])


@emits(Head)
def emit_head(body: Body, node: Head, wish: int) -> None:
    """The head of a function: its parameters are the registers of the loop."""
    if node.target.used:
        registers = [body.registers[binding] for binding in node.target.bindings]
        body.loops[node.target] = (len(body.assembly.instructions), registers)
        body.assembly.emit("loop")
        body.assembly.enter("loops")
    body.emit(node.body, wish)
    if node.target.used:
        body.assembly.leave("loops")


@emits(Recur)
def emit_recur(body: Body, node: Recur, wish: int) -> None:
    """Gives the bindings their next values as if all at once, then goes back."""
    assembly = body.assembly
    index, registers = body.loops[node.target]
    sources = [_registers_read(body, argument) for argument in node.arguments]
    moves: list[tuple[int, int]] = []
    for position, (argument, register) in enumerate(zip(node.arguments, registers, strict=True)):
        plain = body.registers.get(argument.binding) if type(argument) is Local else None
        if plain is not None:
            moves.append((register, plain))
            continue
        # Straight into place, unless a later argument, or one that is only moved below, still reads the old value.
        wanted = any(
            register in sources[other]
            for other in range(len(sources))
            if other > position or (other < position and type(node.arguments[other]) is Local)
        )
        if wanted:
            temporary = assembly.allocate()
            body.emit(argument, temporary)
            moves.append((register, temporary))
        else:
            body.emit(argument, register)
    _move_all(body, [(to, source) for to, source in moves if to != source])
    assembly.emit("jump_back", index)


def _registers_read(body: Body, node: Node) -> frozenset[int]:
    return frozenset(body.registers[binding] for binding in reads(node) if binding in body.registers)


def _move_all(body: Body, moves: list[tuple[int, int]]) -> None:
    """Parallel moves: each destination gets what its source held before any of them."""
    assembly = body.assembly
    while moves:
        free = next((move for move in moves if all(move[0] != source for _, source in moves)), None)
        if free is None:
            # A cycle: one value steps aside.
            to, _ = moves[0]
            aside = assembly.allocate()
            assembly.emit("move", aside, to)
            moves = [(left, aside if source == to else source) for left, source in moves]
            continue
        assembly.emit("move", *free)
        moves.remove(free)


# ---- errors -----------------------------------------------------------------------------------------------------


@emits(Throw)
def emit_throw(body: Body, node: Throw, wish: int) -> None:
    """Nothing comes after it."""
    register = body.operand(node.error)
    body.assembly.emit("throw", register)


@emits(Try)
def emit_try(body: Body, node: Try, wish: int) -> None:
    """`finally` stands once: the plain way comes to it with nil, an error with itself."""
    assembly = body.assembly
    if node.final is None:
        _emit_caught(body, node, wish)
        return
    result = assembly.allocate()
    pending = assembly.allocate()
    # The result is read below, and on the way of an error nothing has been written to it.
    assembly.emit("nil", result)
    start = len(assembly.instructions)
    assembly.enter("tries")
    _emit_caught(body, node, DISCARD if wish == DISCARD else result)
    assembly.leave("tries")
    end = len(assembly.instructions)
    assembly.emit("nil", pending)
    target = len(assembly.instructions)
    if start < end:
        assembly.tries.append(TryRow(start, end, target, pending, "finally"))
        assembly.reachable = True
    body.emit(node.final, DISCARD)
    assembly.span = node.span or assembly.span
    assembly.emit("end_finally", pending)
    if wish == TAIL:
        assembly.emit("return", result)
    elif wish >= 0:
        assembly.emit("move", wish, result)


def _emit_caught(body: Body, node: Try, wish: int) -> None:
    """The body and the catch clauses.  The body is not in tail position: its frame must be there to catch."""
    assembly = body.assembly
    if not node.clauses:
        body.emit(node.body, wish)
        return
    start = len(assembly.instructions)
    done = Label()
    value = assembly.allocate() if wish == TAIL else wish
    assembly.enter("tries")
    body.emit(node.body, value)
    assembly.leave("tries")
    end = len(assembly.instructions)
    if wish == TAIL:
        assembly.emit("return", value)
    else:
        assembly.jump(done)
    if start == end:
        assembly.place(done)
        return
    error = assembly.allocate()
    assembly.tries.append(TryRow(start, end, len(assembly.instructions), error, "catch"))
    assembly.reachable = True
    _emit_clauses(body, node.clauses, error, done, wish)
    assembly.place(done)


def _emit_clauses(body: Body, clauses: list[Catch], error: int, done: Label, wish: int) -> None:
    assembly = body.assembly
    for clause in clauses:
        other = Label()
        body.registers[clause.binding] = error
        start = len(assembly.instructions)
        jump(body, clause.test, other, when=False)
        body.emit(clause.body, wish)
        body.close([(clause.binding, error, start)])
        assembly.jump(done)
        assembly.place(other)
    assembly.emit("throw", error)

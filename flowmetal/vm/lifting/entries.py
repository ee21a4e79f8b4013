"""Lifted functions: made when first called, in up to three variants of each body, and what calls them by.

    typed     takes its integers for granted (kinds.py); for calls where inference knows them
    guarded   looks at its arguments once, then is the same; for calls of unknown origin
    plain     looks at every operand; for arguments that are other numbers

A body without arithmetic on its arguments has the plain variant only.  A loop has a variant that begins at its head,
which a frame that stands there is entered by.  The name of a variant that is not made yet stands for one that makes it;
`places` remembers where that was written down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal.bytecode.liveness import live_in
from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Function
from flowmetal.values import Vector, sequences
from flowmetal.vm.lifting.building import Building
from flowmetal.vm.lifting.flow import Flow, Unliftable
from flowmetal.vm.lifting.kinds import SMALL, wanted
from flowmetal.vm.lifting.runtime import LATE, TRANSPARENT, Fuel, refuse
from flowmetal.vm.load import RunCode, run_function
from flowmetal.vm.state import Region

Entry = Callable[..., Any]

TYPED, GUARDED, PLAIN = "typed", "guarded", "plain"

INSTRUCTIONS_MAX = 1500  # of a body that is lifted; a longer one takes Python too long to compile

VARIANTS_MAX = 4  # of a loop

_EFFECTS = frozenset({Op.perform, Op.request, Op.async_, Op.await_, Op.await_any, Op.cancel})


def performs(row: tuple[Any, ...]) -> bool:
    """Whether an instruction is always for frames."""
    return row[0] in _EFFECTS or (row[0] == Op.region and row[2] != Region.ATOMIC)


class Lifted:
    """One body: its variants, made or not."""

    __slots__ = ("_made", "_places", "body", "calls", "loops", "many", "misses", "needs")

    def __init__(self, body: RunCode) -> None:
        code = body.code
        self.body = body
        self.misses = 0  # how often it was given up since it last went well, see entering.py
        given = code.parameters + code.variadic
        #: Whether calls are lifted at all, and which arguments are to be integers.
        self.calls = len(code.instructions) <= INSTRUCTIONS_MAX and not any(map(performs, code.instructions))
        mask = wanted(code, (1 << given) - 1)
        self.needs = tuple(place for place in range(given) if mask >> place & 1)
        self.loops: dict[int, LiftedLoop | None] = {}
        self.many: dict[tuple[str, tuple[int, ...]], Entry | None] = {}  # see inlining.py
        self._made: dict[str, Entry] = {}
        self._places: dict[str, list[tuple[Any, str]]] = {}

    def bind(self, variant: str, place: Any, name: str) -> None:
        """Writes the function of a variant into a namespace or an object, now and when it is made."""
        if not self.needs:
            variant = PLAIN
        entry = self._made.get(variant)
        if entry is None:
            if not self.calls:
                entry = refuse
            else:
                self._places.setdefault(variant, []).append((place, name))
                entry = _stub(self, variant)
        _write(place, name, entry)

    def entry(self, variant: str, process: Any) -> Entry:
        """The function of a variant."""
        if not self.needs:
            variant = PLAIN
        made = self._made.get(variant)
        if made is None:
            made = self._made[variant] = self._make(variant, process)
            for place, name in self._places.pop(variant, ()):
                _write(place, name, made)
        return made

    def _make(self, variant: str, process: Any) -> Entry:
        if not self.calls:
            return refuse
        try:
            return LATE.lift(self, variant, process.program)
        except (Unliftable, RecursionError, SyntaxError):
            self.calls = False
            return refuse

    def loop(self, head: int, process: Any) -> LiftedLoop | None:
        """The loop with a head, if it is lifted."""
        try:
            return self.loops[head]
        except KeyError:
            found = self.loops[head] = self._make_loop(head)
            return found

    def _make_loop(self, head: int) -> LiftedLoop | None:
        code = self.body.code
        if len(code.instructions) > INSTRUCTIONS_MAX:
            return None
        try:
            flow = Flow(code, head)
        except Unliftable:
            return None
        for start in flow.loop_of(head):
            if any(map(performs, code.instructions[start : flow.blocks[start].stop])):
                return None
        return LiftedLoop(self, flow)


class LiftedLoop:
    """A loop of a body, to be entered at its head with the registers that are live there."""

    __slots__ = ("_made", "flow", "lifted", "needs", "registers")

    def __init__(self, lifted: Lifted, flow: Flow) -> None:
        self.lifted = lifted
        self.flow = flow
        code = lifted.body.code
        live = live_in(code)[flow.entry]
        self.registers = tuple(register for register in range(code.registers) if live >> register & 1)
        mask = wanted(code, live)
        self.needs = tuple(register for register in self.registers if mask >> register & 1)
        self._made: dict[tuple[int, ...], Entry | None] = {}

    def entry(self, registers: list[Any], process: Any) -> Entry | None:
        """The function for what the registers hold, None where it cannot be made.

        Registers serve many variables, so those that arithmetic is done with need not hold integers at the entry.
        """
        held = tuple([one for one in self.needs if registers[one].__class__ is int and -SMALL < registers[one] < SMALL])
        if held not in self._made and len(self._made) >= VARIANTS_MAX:
            held = ()
        try:
            return self._made[held]
        except KeyError:
            made: Entry | None
            try:
                made = LATE.lift_loop(self, held, process.program)
            except (Unliftable, RecursionError, SyntaxError):
                made = None
            self._made[held] = made
            return made


def _write(place: Any, name: str, entry: Entry) -> None:
    if place.__class__ is dict:
        place[name] = entry
    else:
        setattr(place, name, entry)


def _stub(lifted: Lifted, variant: str) -> Entry:
    def stub(F: Fuel, S: Any, *arguments: Any) -> Any:
        return lifted.entry(variant, F.process)(F, S, *arguments)

    return stub


def lifted_of(body: RunCode) -> Lifted:
    """The lifted form of a body."""
    found: Lifted | None = body.lifted
    if found is None:
        found = body.lifted = Lifted(body)
    return found


class Calls:
    """What lifted code calls closures of a function by: an entry for each number of arguments."""

    __slots__ = ("_others", "function", "n0", "n1", "n2", "n3", "n4", "ready")

    def __init__(self, function: Function) -> None:
        self.function = function
        self._others: dict[int, Entry] = {}
        self.ready: dict[int, Entry] = {}  # entries that are made, by the number of arguments
        for count in range(5):
            self._bind(count, self, f"n{count}")

    def entry(self, count: int) -> Entry:
        """The entry for a number of arguments."""
        if count <= 4:
            found: Entry = getattr(self, f"n{count}")
            return found
        if count not in self._others:
            holder: dict[int, Entry] = self._others
            body = run_function(self.function).fixed.get(count)
            holder[count] = refuse if body is None else _stub(lifted_of(body), GUARDED)
            if body is None:
                holder[count] = self._variadic(count)
        return self._others[count]

    def made(self, count: int, process: Any) -> Entry:
        """The entry for a number of arguments, made if it is not."""
        body = run_function(self.function).fixed.get(count)
        made = self.entry(count) if body is None else lifted_of(body).entry(GUARDED, process)
        self.ready[count] = made
        return made

    def _bind(self, count: int, place: Any, name: str) -> None:
        body = run_function(self.function).fixed.get(count)
        if body is None:
            _write(place, name, self._variadic(count))
        else:
            lifted_of(body).bind(GUARDED, place, name)

    def _variadic(self, count: int) -> Entry:
        body = run_function(self.function).variadic
        if body is None or count < body.parameters:
            return refuse
        lifted = lifted_of(body)
        return _gathering(lifted, body.parameters) if lifted.calls else refuse


def _gathering(lifted: Lifted, fixed: int) -> Entry:
    def gather(F: Fuel, S: Any, *arguments: Any) -> Any:
        rest = arguments[fixed:]
        gathered = sequences.seq(Vector.of(rest)) if rest else None
        return lifted.entry(GUARDED, F.process)(F, S, *arguments[:fixed], gathered)

    return gather


def calls_of(function: Function) -> Calls:
    """The entries of a function."""
    found: Calls | None = function.lifted
    if found is None:
        found = function.lifted = Calls(function)
    return found


def integers(values: Any, places: tuple[int, ...], limit: int) -> bool:
    """Whether the values at some places are integers below a limit."""
    return all(values[place].__class__ is int and -limit < values[place] < limit for place in places)


HELPERS = TRANSPARENT | {
    Building.call_nth.__code__,
    _stub(None, PLAIN).__code__,  # type: ignore[arg-type]
    _gathering(None, 0).__code__,  # type: ignore[arg-type]
}
LATE.calls_of = calls_of

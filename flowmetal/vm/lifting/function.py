"""Makes the Python function of a body or a loop: source text, compiled by CPython, with its own namespace.

Names in the text are generated, and constants are objects in the namespace, so nothing of an artifact becomes text.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from flowmetal.bytecode.liveness import live_in
from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import UNBOUND, Code, Program
from flowmetal.bytecode.shape import SHAPES, register_written
from flowmetal.values import (
    Cell,
    Closure,
    Cons,
    Keyword,
    LanguageError,
    List,
    Map,
    Reduced,
    Set,
    Vector,
    equal,
    numbers,
)
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.builtins.strings import display
from flowmetal.vm.calls import dynamic_value, global_value
from flowmetal.vm.lifting import runtime
from flowmetal.vm.lifting.accumulators import ITEMS, accumulators
from flowmetal.vm.lifting.blocks import Writer
from flowmetal.vm.lifting.building import Building, grown
from flowmetal.vm.lifting.entries import GUARDED, PLAIN, TYPED, Lifted, LiftedLoop, lifted_of
from flowmetal.vm.lifting.expressions import Expressions, Operand
from flowmetal.vm.lifting.flow import Flow
from flowmetal.vm.lifting.kinds import ADDITIONS_MAX, ANY, INT, SMALL, Kinds, additions, constant_kind
from flowmetal.vm.lifting.operands import begin_gathering
from flowmetal.vm.lifting.runtime import LATE
from flowmetal.vm.lifting.structure import OWN, Context, Line, Loop, Meta, Structure, Text, Written
from flowmetal.vm.lifting.walks import FEW, FILTER, MAP, REDUCE, Walk, walk_of
from flowmetal.vm.load import RunCode, find_global, run_function

Entry = Callable[..., Any]

# Code that no compiler has written may ask whether a number is nil; Python would advise its author on standard error.
warnings.filterwarnings("ignore", category=SyntaxWarning, module="<lifted>")

#: The library's function; no other module can have the name.
NTH_NAME = "flowmetal.core.sequences/nth"

_LITERALS = {Op.nil: None, Op.true: True, Op.false: False}


def _map_of(items: tuple[Any, ...]) -> Map:
    return Map.of(zip(items[::2], items[1::2], strict=True))


#: What every namespace holds.
BASE: dict[str, Any] = {
    "__builtins__": {},
    "type": type, "int": int, "str": str, "len": len,
    "Cell": Cell, "Closure": Closure, "Cons": Cons, "Keyword": Keyword, "List": List, "Map": Map, "Reduced": Reduced,
    "Set": Set, "Vector": Vector,
    "add": numbers.add, "subtract": numbers.subtract, "multiply": numbers.multiply,
    "less": numbers.less, "less_equal": numbers.less_equal, "equal": equal, "display": display, "map_of": _map_of,
    "Building": Building, "grown": grown, "items_of": runtime.items_of,
    "global_value": global_value, "dynamic_value": dynamic_value,
    **{
        name: getattr(runtime, name)
        for name in (
            "Bail", "Exhausted", "apply_call", "assoc", "assoc_pairs", "atomic", "call_one", "callee", "call_two",
            "lifted_first", "lifted_next", "lifted_rest", "lifted_seq",
            "other_call", "tame", "too_long", "value_call", "warm",
        )
    },
}  # fmt: skip


class Info:
    """What takeover.py must know of a lifted function: its body, and where each line stands in the bytecode."""

    __slots__ = ("body", "gathered", "metas", "sites", "snapshots", "source")

    def __init__(self, body: RunCode) -> None:
        self.body = body
        self.gathered: list[tuple[int, int, dict[int, int]]] = []  # instructions from, to, and what is gathered there
        self.metas: dict[int, Meta] = {}
        self.snapshots: dict[int, dict[int, Operand]] = {}
        #: Places where the body calls itself in place of its frame: (instruction, argument registers, the callee's).
        self.sites: list[tuple[int, tuple[int, ...], int]] = []
        self.source = ""


class Making:
    """One function that is being made; the `Unit` of blocks.py."""

    def __init__(self, lifted: Lifted, flow: Flow, program: Program, start: dict[int, int], loops: bool) -> None:
        self.lifted = lifted
        self.body = lifted.body
        self.code: Code = lifted.body.code
        self.flow = flow
        self.program = program
        self.loops = loops
        self.live = live_in(self.code)
        self.info = Info(self.body)
        self.namespace: dict[str, Any] = {**BASE, "INFO": self.info, "CODE": self.body}
        self._constants: dict[int, Operand] = {}
        self._kept: list[Any] = []  # what `_constants` goes by the id of
        self._entries: dict[tuple[int, str], str] = {}
        self._known: dict[int, tuple[bool, Any]] = {}
        self.expressions = Expressions(
            self.namespace, self._builtin, self.constant, additions(self.code) <= ADDITIONS_MAX
        )
        self.own = self._own_calls()
        self.nth_calls = {
            index
            for index, row in enumerate(self.code.instructions)
            if row[0] == Op.call_global and len(row[3]) == 2 and self._is_nth(row[2])
        }
        self.gathered = {} if self.own else accumulators(flow, self.nth_calls)
        self.again = False
        self.walked: set[int] = set()
        self.callees: set[tuple[int, int]] = set()
        self.held = 0
        self.exits: dict[int, dict[int, Operand]] = {}
        self.unsteady = self._unsteady()
        self.before: dict[int, list[int]] = {}
        for block in flow.blocks.values():
            for edge in block.edges:
                self.before.setdefault(edge.target, []).append(block.start)
        self.kinds = Kinds(flow, start, self.own, lifted.needs, self._own_result())
        self.fixed = self._fixed()

    # ---- what blocks.py asks --------------------------------------------------------------------------------------

    def constant(self, value: Any) -> Operand:
        """A constant, by a name of the namespace or as a literal."""
        found = self._constants.get(id(value))
        if found is not None:
            return found
        kind = value.__class__
        if value is None or kind is bool:
            text = str(value)
        elif kind is int and -SMALL < value < SMALL:
            text = str(value) if value >= 0 else f"({value})"
        else:
            text = f"k{len(self._constants)}"
            self.namespace[text] = value
        made = Operand(text, constant_kind(value), True, True, value=value, constant=True)
        self._constants[id(value)] = made
        self._kept.append(value)
        return made

    def known(self, reference: int) -> tuple[bool, Any]:
        """Whether the value of a reference is settled, and the value."""
        found = self._known.get(reference)
        if found is None:
            found = self._known[reference] = self._look_up(reference)
        return found

    def _look_up(self, index: int) -> tuple[bool, Any]:
        module = self.code.module
        assert module is not None
        try:
            name = find_global(self.program, module, index)
        except LanguageError:
            return False, None
        owner = self.program.modules.get(module.references[index].module)
        if name.mutable or name.value is UNBOUND or module.hash is None or owner is None or owner.hash is None:
            return False, None
        return True, name.value

    def entry(self, value: Any, count: int, integers: tuple[bool, ...]) -> str | None:
        """The name of the function that a call of a closure goes to; None if it is called like any value."""
        if value is None:
            lifted = self.lifted
        else:
            if value.__class__ is not Closure:
                return None
            body = run_function(value.function).fixed.get(count)
            if body is None:
                return None
            lifted = lifted_of(body)
        typed = bool(lifted.needs) and all(integers[place] for place in lifted.needs)
        return self.name_of(lifted, TYPED if typed else GUARDED)

    def name_of(self, lifted: Lifted, variant: str) -> str:
        """The name of a variant of a body."""
        key = (id(lifted), variant)
        name = self._entries.get(key)
        if name is None:
            name = self._entries[key] = f"f{len(self._entries)}"
            lifted.bind(variant, self.namespace, name)
        return name

    def give(self, operand: Operand) -> list[str]:
        """The statements that end the body with a value."""
        return [f"return {operand.text}"]

    def ahead(self) -> dict[int, Line]:
        """What stands before loops that are walks, by their heads."""
        found = {}
        for start in self.flow.order:
            walk = walk_of(self.flow, start) if self.flow.blocks[start].head else None
            if walk is not None:
                text = self._ahead(walk, self.gathered.get(start, {}))
                if text:
                    found[start] = Line(text, ("entry",))
        return found

    def _ahead(self, walk: Walk, gathered: dict[int, int]) -> str:
        names = [
            self.fixed[one].text if one in self.fixed else f"r{one}"
            for one in (walk.function, walk.coll, walk.place, walk.end)
        ]
        arguments, place = ", ".join(names), f"r{walk.place}"
        if walk.place in self.fixed or walk.gathered in self.fixed:
            return ""
        # Few items are not worth it.
        worth = f"if type({place}) is type({names[3]}) is int and {names[3]} - {place} >= {FEW}"
        if walk.kind in (MAP, FILTER):
            if gathered.get(walk.gathered) != ITEMS:
                return ""
            many = f'{place} = many_map(F, {arguments}, L{walk.gathered}, "{walk.kind}")'
            return f"{worth} and type(r{walk.gathered}) is Vector: {many}"
        if walk.kind == REDUCE:
            function, *others = names
            value = f"r{walk.gathered}"
            return f"{worth}: {value}, {place} = many_reduce(F, {function}, {value}, {', '.join(others)})"
        return f'{worth}: {place} = many_while(F, {arguments}, "{walk.kind}")'

    def site(self, index: int, arguments: tuple[int, ...], function: int) -> int:
        """The number of a place where the body calls itself in place of its frame."""
        self.info.sites.append((index, arguments, function))
        return len(self.info.sites)

    # ---- the body itself ------------------------------------------------------------------------------------------

    def _unsteady(self) -> dict[int, set[int]]:
        """The registers that are written by the outermost loop around a block, calls of itself in place of its frame
        counted in."""
        code, flow = self.code, self.flow

        def written(starts: Iterable[int]) -> set[int]:
            rows = [code.instructions[index] for start in starts for index in range(start, flow.blocks[start].stop)]
            return {register for row in rows if (register := register_written(row)) is not None}

        found: dict[int, set[int]] = {}
        again = [arguments for index, arguments in self.own.items() if SHAPES[code.instructions[index][0]].ends]
        if again and self.loops:
            changed = {place for arguments in again for place, one in enumerate(arguments) if place != one}
            return dict.fromkeys(flow.order, written(flow.order) | changed)
        loops = [flow.loop_of(start) for start in flow.order if flow.blocks[start].head]
        for loop in sorted(loops, key=len, reverse=True):
            registers = written(loop)
            for start in loop:
                found.setdefault(start, registers)
        return found

    def _is_nth(self, reference: int) -> bool:
        settled, value = self.known(reference)
        return settled and value.__class__ is Closure and value.function.name == NTH_NAME

    def _builtin(self, number: int) -> str:
        name = f"b{number}"
        self.namespace[name] = BUILTINS[number].function
        return name

    def _own_calls(self) -> dict[int, tuple[int, ...]]:
        """The instructions that call this very body, with their arguments."""
        code = self.code
        module = code.module
        assert module is not None
        itself = -1
        if code.takes_self:
            itself = code.parameters + code.variadic + code.captures
            if any(register_written(row) == itself for row in code.instructions):
                itself = -1
        found = {}
        for index, row in enumerate(code.instructions):
            if code.variadic:
                break
            if row[0] in (Op.call, Op.tail_call):
                function, arguments = row[-2], row[-1]
                if function != itself or len(arguments) != code.parameters:
                    continue
            elif row[0] in (Op.call_global, Op.tail_call_global):
                arguments = row[-1]
                settled, value = self.known(row[-2])
                if not settled or value.__class__ is not Closure or value.function.module is not module:
                    continue
                if run_function(value.function).fixed.get(len(arguments)) is not self.body:
                    continue
            else:
                continue
            found[index] = arguments
        return found

    def _own_result(self) -> int:
        """What the body gives when its arguments are the integers that it wants."""
        if not self.own or not self.lifted.needs:
            return ANY
        start = dict.fromkeys(self.lifted.needs, INT)
        whole = Flow(self.code)
        return INT if Kinds(whole, start, self.own, self.lifted.needs, INT).result == INT else ANY

    def _fixed(self) -> dict[int, Operand]:
        """Registers that hold one constant wherever they hold anything."""
        code = self.code
        assert code.module is not None
        given = code.parameters + code.variadic + code.captures + code.takes_self
        writes: dict[int, int] = dict.fromkeys(range(given), 1)
        for row in code.tries:
            writes[row.register] = writes.get(row.register, 0) + 2
        holds: dict[int, Any] = {}
        for instruction in code.instructions:
            register = register_written(instruction)
            if register is None:
                continue
            writes[register] = writes.get(register, 0) + 1
            number = instruction[0]
            if number in _LITERALS:
                holds[register] = _LITERALS[number]
            elif number == Op.integer:
                holds[register] = instruction[2]
            elif number == Op.constant:
                holds[register] = code.module.constants[instruction[2]]
            elif number == Op.global_ and self.known(instruction[2])[0]:
                holds[register] = self.known(instruction[2])[1]
        return {register: self.constant(value) for register, value in holds.items() if writes[register] == 1}

    def written(self) -> dict[int, Written]:
        """Every block as statements."""
        return {start: Writer(self, self.flow.blocks[start], self.info.snapshots).write() for start in self.flow.order}

    def finish(self, text: Text, parameters: list[str]) -> Entry:
        """Compiles the text, whose first line is left free for the head of the function."""
        text.lines[0] = f"def lifted({', '.join(parameters)}):"
        text.lines[1] = " q = 0" if text.asks else " pass"
        self.info.metas = text.metas
        self.info.gathered = [(start, self.flow.blocks[start].stop, what) for start, what in self.gathered.items()]
        self.info.source = "\n".join(text.lines)
        exec(compile(self.info.source, "<lifted>", "exec"), self.namespace)
        made: Entry = self.namespace.pop("lifted")
        return made


def lift(lifted: Lifted, variant: str, program: Program) -> Entry:
    """The Python function of a body."""
    code = lifted.body.code
    given = code.parameters + code.variadic
    start = dict.fromkeys(lifted.needs, INT) if variant != PLAIN else {}
    making = Making(lifted, Flow(code), program, start, loops=True)
    making.held = (1 << given) - 1
    written = making.written()
    text = _begin(making)
    if variant == GUARDED:
        tests = " and ".join(f"type(r{place}) is int and -{SMALL} < r{place} < {SMALL}" for place in lifted.needs)
        arguments = ", ".join(["F", "S", *[f"r{place}" for place in range(given)]])
        text.line(1, f"if not ({tests}): return {making.name_of(lifted, PLAIN)}({arguments})", ("through",))
    for line in _callees(making):
        text.line(1, line, ("entry",))
    captures = [f"r{given + place}, " for place in range(code.captures)]
    prologue = []
    if captures:
        prologue.append(f"{''.join(captures)}= S.captures")
    if code.takes_self:
        prologue.append(f"r{given + code.captures} = S")
    prologue += _gathering(making)
    structure = Structure(making.flow, written)
    structure.ahead = making.ahead()
    merged = _merged_head(making, written, structure.ahead)
    if merged >= 0:
        structure.merged = merged
        for line in prologue:
            text.line(1, line, ("entry",))
        text.nodes(1, structure.nodes(()))
    else:
        own = Context(OWN)
        nodes = structure.nodes((own,))
        if making.info.sites:
            text.line(1, "j = 0")
        nodes = [*[Line(line, ("entry",)) for line in prologue], *nodes]
        text.nodes(1, [Loop(own, True, nodes, ("own",))])
    return making.finish(text, ["F", "S", *[f"r{place}" for place in range(given)]])


def lift_loop(loop: LiftedLoop, integers: tuple[int, ...], program: Program) -> Entry:
    """The Python function of a body from the head of a loop on, some registers holding integers."""
    start = dict.fromkeys(integers, INT)
    making = Making(loop.lifted, loop.flow, program, start, loops=False)
    making.held = sum(1 << register for register in loop.registers)
    structure = Structure(making.flow, making.written())
    structure.ahead = making.ahead()
    text = _begin(making)
    for line in _callees(making):
        text.line(1, line, ("entry",))
    for line in _gathering(making):
        text.line(1, line, ("entry",))
    head = loop.flow.blocks[loop.flow.entry]
    if head.ticks and head.start not in structure.ahead:
        structure.merged = head.start
    else:
        text.nodes(1, [Loop(Context(("block", -2)), True, [Line("break")], ("entry",))])
    text.nodes(1, structure.nodes(()))
    return making.finish(text, ["F", *[f"r{register}" for register in loop.registers]])


LATE.lift = lift
LATE.lift_loop = lift_loop


def _callees(making: Making) -> list[str]:
    """What looks up the functions that loops call, once for all their turns."""
    return [f"h{register}_{count} = callee(F, r{register}, {count})" for register, count in sorted(making.callees)]


def _gathering(making: Making) -> list[str]:
    """What stands at the entry for the registers whose changes are gathered somewhere."""
    lines: dict[tuple[int, int], str] = {}
    for gathered in making.gathered.values():
        for register, what in gathered.items():
            lines[register, what] = f"L{register} = []" if what == ITEMS else f"A{register} = None"
    live = making.live[making.flow.entry]
    for register, what in making.gathered.get(making.flow.entry, {}).items():
        if live >> register & 1:
            lines[register, what] = begin_gathering(register, what)
    return [*lines.values(), *[f"c{register} = -1" for register in sorted(making.walked)]]


def _begin(making: Making) -> Text:
    text = Text()
    text.line(0, "", ("entry",))
    text.line(1, "", ("entry",))
    return text


def _merged_head(making: Making, written: dict[int, Written], ahead: dict[int, Line]) -> int:
    """The head of the loop that a body comes to before anything that takes fuel, so that its first turn may take the
    call's; -1 if there is none.  What comes before it is then not begun until the loop is.
    """
    if making.info.sites:
        return -1
    lines: list[Line] = []
    start = making.flow.entry
    while True:
        block = making.flow.blocks[start]
        if block.head:
            break
        one = written[start]
        lines += one.lines
        if len(one.edges) != 1 or one.edges[0].back >= 0:
            return -1
        start = one.edges[0].target
        if making.flow.blocks[start].ways > 1:
            return -1
    if not block.ticks or start in ahead or any(line.meta is not None and not line.pure for line in lines):
        return -1
    for line in lines:
        line.meta = ("entry",)
    return start

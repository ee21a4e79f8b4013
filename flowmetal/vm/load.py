"""Stored code as the machine's loop runs it: RunCode, RunFunction.  Made once per code, when it is first called."""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Code, Function, Global, Module
from flowmetal.values import Closure, fail
from flowmetal.vm.arities import wrong_count
from flowmetal.vm.bounds import check_bounds
from flowmetal.vm.fusing import improve, link_call
from flowmetal.vm.predecode import Running, first_run, predecode, single
from flowmetal.vm.slots import Slots

#: Calls and turns of loops of a body that run in frames before it is lifted: what they take is about what it costs to
#: lift it.
HEAT = 300


class RunCode:
    """A code body ready to run.

    `instructions` has for each stored instruction the running one to be run there (predecode.py), so it is indexed by
    what frames hold; where a stored one does nothing it is the next that does.  `padding` is what the registers of a
    call end with: nil for the temporary ones, and the slots.
    """

    __slots__ = (
        "code", "entry", "finally_ranges", "heat", "instructions", "lifted", "padding", "parameters", "pending",
        "places", "singles", "slots", "takes_self", "variadic",
    )  # fmt: skip

    def __init__(self, code: Code) -> None:
        check_bounds(code)
        self.code = code
        self.heat = HEAT  # counts down; below zero lifted code is entered
        self.lifted: Any = None  # lifting's
        self.parameters = code.parameters
        self.variadic = code.variadic
        self.takes_self = code.takes_self
        fixed = code.parameters + code.variadic + code.captures + code.takes_self
        slots = Slots(code)
        self.slots = tuple(slots.values)
        self.pending = slots.pending
        self.padding: tuple[Any, ...] = (*(None,) * (code.registers - fixed), *self.slots)
        made = predecode(code, slots)
        improve(code, slots, made)
        self.instructions: list[Any] = [
            running if running is not None else made[first_run(code, slots, index)]
            for index, running in enumerate(made)
        ]
        self.entry: Running = self.instructions[0]
        self.places: dict[int, int] = {id(running): index for index, running in enumerate(made) if running is not None}
        self.singles: dict[int, Running] = {}  # for stepping, made when first asked
        self.finally_ranges: list[tuple[int, int]] = [
            (row.target, _end_of_finally(code, row.target, row.register)) for row in code.tries if row.kind == "finally"
        ]

    def in_finally(self, index: int) -> bool:
        """Whether instruction `index` belongs to the body of a `finally`."""
        return any(start <= index < end for start, end in self.finally_ranges)

    def frame_registers(self, values: dict[int, Any]) -> list[Any]:
        """The registers of a frame: these values by register, nil in all others."""
        registers: list[Any] = [None] * self.code.registers
        for register, value in values.items():
            registers[register] = value
        registers += self.slots
        return registers

    def settle(self, registers: list[Any], index: int) -> list[Any]:
        """The registers of a frame that is left at instruction `index`, with what was not loaded put in place."""
        for register, value in self.pending.get(index, ()):
            registers[register] = value
        return registers

    def single(self, index: int) -> Running:
        """The instruction at `index` as it is stored, with the end of the step behind it."""
        found = self.singles.get(index)
        if found is None:
            found = self.singles[index] = single(self.code, index)
            self.places[id(found)] = index
        return found

    def link(self, index: int, function: Any) -> None:
        """What looks up a global to call it, at `index`, becomes a call of that function's body.

        Not where arguments have to be gathered (`& rest`), or nothing is there to call: the plain form sees to it.
        """
        if function.__class__ is Closure:
            body = run_function(function.function).fixed.get(len(self.instructions[index][4]))
            if body is not None:
                link_call(self.code, self.instructions, index, body, function)


class RunFunction:
    """A function ready to be called: its bodies by number of arguments."""

    __slots__ = ("fixed", "function", "one", "two", "variadic")

    def __init__(self, function: Function) -> None:
        module = function.module
        assert module is not None
        self.function = function
        self.fixed: dict[int, RunCode] = {}
        self.variadic: RunCode | None = None
        for index in function.codes:
            code = module.codes[index]
            ready = code.ready
            if ready is None:
                ready = code.ready = RunCode(code)
            if code.variadic:
                self.variadic = ready
            else:
                self.fixed[code.parameters] = ready
        self.one = self.fixed.get(1)
        self.two = self.fixed.get(2)

    def select(self, count: int) -> RunCode:
        """The body for `count` arguments; LanguageError :arity where there is none."""
        found = self.fixed.get(count)
        if found is not None:
            return found
        variadic = self.variadic
        if variadic is not None and count >= variadic.parameters:
            return variadic
        wrong_count(self.function.name, self.fixed, None if variadic is None else variadic.parameters, count)


def run_function(function: Function) -> RunFunction:
    """The function's ready form, made at its first call."""
    ready: RunFunction | None = function.ready
    if ready is None:
        ready = function.ready = RunFunction(function)
    return ready


def run_code(code: Code) -> RunCode:
    """The code's ready form."""
    ready: RunCode | None = code.ready
    if ready is None:
        ready = code.ready = RunCode(code)
    return ready


def find_global(program: Any, module: Module, index: int) -> Global:
    """The global a reference of `module` names; LanguageError :unbound where it is missing."""
    reference = module.references[index]
    found: Global | None
    if reference.module == module.name:
        found = module.globals.get(reference.name)
    else:
        found = program.lookup(reference.module, reference.name)
    if found is None:
        fail("unbound", f"{reference.module}/{reference.name} is not defined")
        raise AssertionError
    return found


def _end_of_finally(code: Code, target: int, register: int) -> int:
    for index in range(target, len(code.instructions)):
        row = code.instructions[index]
        if row[0] == Op.end_finally and row[1] == register:
            return index
    return len(code.instructions)

"""The opcode table: the one place that says what an instruction is.

From it come the encoder, decoder, assembler, disassembler, verifier, liveness analysis, the machine's dispatch
order and docs/bytecode.md.  A wire number, once shipped, is never reused and never changes its meaning;
tests/golden/opcodes.lock pins what has shipped.

An instruction in memory is a tuple `(number, operand, ...)`.  Every operand is an int, but a REGISTERS operand is a
tuple of ints.  In the flat stored form a REGISTERS operand is its length followed by its items.
"""

from __future__ import annotations

from enum import Enum
from keyword import iskeyword

from flowmetal.dataclass import dataclass


class Operand(Enum):
    """What an operand means, and so what the verifier checks of it."""

    WRITE = "register written"
    READ = "register read"
    REGISTERS = "registers read, in order"
    INTEGER = "immediate signed integer, 32 bits"
    CONSTANT = "index into the module's constants"
    REFERENCE = "index into the module's references to globals"
    FUNCTION = "index into the module's functions"
    BUILTIN = "permanent number of a builtin"
    REGION = "kind of a region, see REGION_KINDS"
    LABEL = "index of an instruction in the same code; later than this one"
    BACK = "index of an earlier `loop` instruction in the same code"


@dataclass(frozen=True, slots=True)
class Opcode:
    """One row of the table.

    `ends`: control never falls through to the next instruction.  `suspends`: the frame may be left here and entered
    again later, so it must be savable at this instruction.  `raises`: it may raise an error of the language.
    """

    number: int
    name: str
    operands: tuple[Operand, ...]
    doc: str
    ends: bool = False
    suspends: bool = False
    raises: bool = False


_W, _R, _RS, _I = Operand.WRITE, Operand.READ, Operand.REGISTERS, Operand.INTEGER
_L, _B, _G = Operand.LABEL, Operand.BACK, Operand.REFERENCE

#: Kinds of region, the operand of `region`; the data register holds what the last column says.
REGION_KINDS: dict[int, tuple[str, str]] = {
    1: ("handle", "a map from effect name (keyword) to the clause, a function of payload and resume"),
    2: ("scope", "nil; fibers started in the body end before the region does"),
    3: ("shield", "nil; cancellation is held back while the body runs"),
    4: ("bind", "a map from dynamic name (symbol) to its value"),
    5: ("atomic", "nil; performing inside is refused"),
}

# fmt: off
OPCODES: tuple[Opcode, ...] = (
    # Loading and moving.
    Opcode(1, "nil", (_W,), "Loads nil."),
    Opcode(2, "true", (_W,), "Loads true."),
    Opcode(3, "false", (_W,), "Loads false."),
    Opcode(4, "integer", (_W, _I), "Loads a small integer."),
    Opcode(5, "constant", (_W, Operand.CONSTANT), "Loads a constant of the module."),
    Opcode(6, "move", (_W, _R), "Copies a register."),
    Opcode(7, "global", (_W, _G), "Loads the value of a global.", raises=True),
    Opcode(8, "dynamic", (_W, _G), "Loads a dynamic name: the innermost binding, or the global's value.", raises=True),
    Opcode(9, "closure", (_W, Operand.FUNCTION, _RS), "Makes a closure over the values of registers."),
    Opcode(
        10,
        "sibling",
        (_W, _R, Operand.FUNCTION),
        "Makes a closure of another function of a `letfn` group, with the captures of the closure that is read.",
    ),
    # Control.
    Opcode(20, "jump", (_L,), "Goes on at a later instruction.", ends=True),
    Opcode(21, "jump_if_false", (_R, _L), "Jumps if the register holds nil or false."),
    Opcode(22, "jump_if_true", (_R, _L), "Jumps if the register holds anything but nil and false."),
    Opcode(23, "jump_if_not_nil", (_R, _L), "Jumps if the register does not hold nil."),
    Opcode(24, "loop", (), "Marks the head of a loop; the only place where `jump_back` may go."),
    Opcode(25, "jump_back", (_B,), "Goes back to the head of a loop; costs fuel.", ends=True, suspends=True),
    Opcode(26, "return", (_R,), "Returns a value to the caller.", ends=True),
    # Calls.
    Opcode(30, "call", (_W, _R, _RS), "Calls a value with arguments.", suspends=True, raises=True),
    Opcode(31, "tail_call", (_R, _RS), "Calls a value in place of this frame.", ends=True, suspends=True, raises=True),
    Opcode(32, "call_global", (_W, _G, _RS), "Calls a global with arguments.", suspends=True, raises=True),
    Opcode(
        33, "tail_call_global", (_G, _RS), "Calls a global in place of this frame.",
        ends=True, suspends=True, raises=True,
    ),
    Opcode(34, "apply", (_W, _R, _R), "Calls a value with the items of a sequence.", suspends=True, raises=True),
    Opcode(
        35, "tail_apply", (_R, _R), "Calls a value with the items of a sequence in place of this frame.",
        ends=True, suspends=True, raises=True,
    ),
    Opcode(
        36, "builtin", (_W, Operand.BUILTIN, _RS),
        "Calls a builtin; an unrealized lazy sequence it meets is realized and the instruction is run again.",
        suspends=True, raises=True,
    ),
    # Arithmetic and comparison, two operands, the language's own number rules.
    Opcode(40, "add", (_W, _R, _R), "Adds two numbers.", suspends=True, raises=True),
    Opcode(41, "subtract", (_W, _R, _R), "Subtracts the second number from the first.", suspends=True, raises=True),
    Opcode(42, "multiply", (_W, _R, _R), "Multiplies two numbers.", suspends=True, raises=True),
    Opcode(43, "add_integer", (_W, _R, _I), "Adds a small integer to a number.", suspends=True, raises=True),
    Opcode(44, "less", (_W, _R, _R), "Whether the first number is less than the second.", suspends=True, raises=True),
    Opcode(45, "less_equal", (_W, _R, _R), "Whether the first is at most the second.", suspends=True, raises=True),
    Opcode(46, "equal", (_W, _R, _R), "Whether two values are equal (`=`).", suspends=True, raises=True),
    Opcode(47, "not", (_W, _R), "True for nil and false, else false."),
    # Collections.
    Opcode(50, "vector", (_W, _RS), "Makes a vector."),
    Opcode(51, "map", (_W, _RS), "Makes a map of keys and values in turn.", suspends=True, raises=True),
    Opcode(52, "set", (_W, _RS), "Makes a set.", suspends=True, raises=True),
    # Errors.
    Opcode(60, "throw", (_R,), "Throws an error value.", ends=True, suspends=True, raises=True),
    Opcode(
        61, "end_finally", (_R,),
        "Ends a `finally` body: goes on if the register holds nil, else throws again what it holds.",
        suspends=True, raises=True,
    ),
    # Effects, handlers and fibers.
    Opcode(70, "perform", (_W, _R, _R, _R), "Performs an effect: name, payload, options; waits for the answer.",
           suspends=True, raises=True),
    Opcode(71, "request", (_W, _R, _R, _R), "As `perform`, but gives a promise of the answer and goes on.",
           suspends=True, raises=True),
    Opcode(72, "region", (_W, Operand.REGION, _R, _R),
           "Calls a function of no arguments inside a region; see the table.", suspends=True, raises=True),
    Opcode(73, "async", (_W, _R), "Starts a fiber on a function of no arguments and gives its promise.",
           suspends=True, raises=True),
    Opcode(74, "await", (_W, _R), "Waits for a promise and gives its value or throws its error.",
           suspends=True, raises=True),
    Opcode(75, "await_any", (_W, _R), "Waits until one promise of a vector is settled and gives its index.",
           suspends=True, raises=True),
    Opcode(76, "cancel", (_W, _R), "Cancels what settles a promise: a fiber, or an outstanding request.",
           suspends=True, raises=True),
)
# fmt: on

BY_NUMBER: dict[int, Opcode] = {opcode.number: opcode for opcode in OPCODES}
BY_NAME: dict[str, Opcode] = {opcode.name: opcode for opcode in OPCODES}


class _Numbers(type):
    """Tells type checkers that every mnemonic is an int; only a name that is no mnemonic gets here at run time."""

    def __getattr__(cls, name: str) -> int:
        raise AttributeError(f"no opcode is called {name}")


class Op(metaclass=_Numbers):
    """Wire numbers by mnemonic: `Op.call`; what is a keyword of Python has an underscore behind it, `Op.return_`."""


for _opcode in OPCODES:
    setattr(Op, _opcode.name + "_" if iskeyword(_opcode.name) else _opcode.name, _opcode.number)

#: Version of the instruction set; raised when a row is added, so that an older loader refuses what it cannot run.
MACHINE_VERSION = 1

#: Limits of one code body, checked by the emitter and the verifier.
REGISTERS_MAX = 4096  # a frame is a list of this many slots at most
INSTRUCTIONS_MAX = 1 << 18  # a body larger than this is generated; split it
ARGUMENTS_MAX = 1024  # of one call; longer argument lists go through `apply`
NESTING_MAX = 64  # loops in loops and tries in tries of one body; keeps liveness linear, since it passes once a level

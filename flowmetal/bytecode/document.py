"""Writes docs/bytecode.md from the opcode table: `python -m flowmetal.bytecode.document > docs/bytecode.md`."""

from __future__ import annotations

from flowmetal.bytecode.assemble import PREFIXES
from flowmetal.bytecode.opcodes import (
    ARGUMENTS_MAX,
    INSTRUCTIONS_MAX,
    MACHINE_VERSION,
    NESTING_MAX,
    OPCODES,
    REGION_KINDS,
    REGISTERS_MAX,
    Opcode,
    Operand,
)

_HEAD = """\
# Bytecode

This page is made from the opcode table (`flowmetal/bytecode/opcodes.py`) by `python -m flowmetal.bytecode.document`;
a test keeps the two equal.  The instruction set has version {version}.

A function has one *code* for each number of arguments.  A code is a flat list of instructions over numbered registers.
At entry the registers hold the arguments, then (if the code is variadic) the list of the others or nil, then the
captured values, then (if the code takes itself) the closure, and the rest is temporary.

Jumps go forward, except that `jump_back` goes to a `loop` before it.  Loops and try ranges nest.  A register is
written before it is read on every way that leads to the read.  The verifier (`verify.py`) holds all of this in one
pass over what is loaded, and the machine relies on it.

An instruction that *suspends* may be left and entered again later, so that an image of the process can hold a frame
there; registers that nothing reads from there on are not written to the image (`liveness.py`).  One that *raises* may
throw an error of the language.  One that *ends* never goes on at the next instruction.

## Limits

| what | at most |
| --- | --- |
| registers of a code | {registers} |
| instructions of a code | {instructions} |
| arguments of a call | {arguments} |
| loops in loops, and tries in tries, of one code | {nesting} |

## Operands

| text | stored as an integer, except where said |
| --- | --- |
{operands}

## Instructions

Numbers are permanent: one is never used again and never changes its meaning.

| number | instruction | meaning | |
| --- | --- | --- | --- |
{rows}

## Regions

`region` calls a function of no arguments inside a region of one of these kinds.  The first register it reads has the
region's data, the second the function.

| number | kind | data |
| --- | --- | --- |
{regions}

## Errors

A row of a code's try table says: an error raised at an instruction from `start` up to, not including, `end` goes to
`target` with the error in a register.  Rows stand innermost first.  A `catch` row takes the errors that programs may
catch, a `finally` row whatever unwinds the frame.

## The file

A `.fmc` file is `FMC` and a zero byte, the format and the machine version as two 16-bit little-endian integers, a
table, and the SHA-256 of all before it, which is also the name of the artifact in a store.  The table holds the
manifest and one item a module, itself a table of two: core and debug part.  A table is the number of its items, the
offset of each item's end (all 32-bit little-endian), and the items one after the other.

A module's core has these parts:

| part | what it is |
| --- | --- |
| header | the module's name, the modules it requires and their hashes |
| names, globals | the names it defines, in order, and what is known of each |
| starts, functions, codes | its functions, and their codes in the order of the functions |
| references | the globals it uses |
| constants | the values its codes load |
| shared | objects that cannot change; all processes of an interpreter share them |
| own, states | objects from which something mutable is reached, and its state; each process has a copy |
| sites | the call sites that make an effect possible |

A global named `%open TABLE NUMBER` is an entry of an open table: a vector of key and value that the module adds to what
all modules of a program hold together, such as the methods of a multimethod (`open_tables.py`).

A module's hash is the SHA-256 of its core.  The debug part (source text, spans, names of locals) can be stripped
without changing it.  Modules name the modules they require by hash.  A part is read when it is first asked, and
checked then.
"""

_TEXTS: dict[Operand, str] = {
    Operand.REGISTERS: "(r…)",
    Operand.REGION: "name",
    Operand.LABEL: "label",
    Operand.BACK: "label",
    Operand.INTEGER: "integer",
}


def document() -> str:
    """The text of docs/bytecode.md."""
    return _HEAD.format(
        version=MACHINE_VERSION,
        registers=REGISTERS_MAX,
        instructions=INSTRUCTIONS_MAX,
        arguments=ARGUMENTS_MAX,
        nesting=NESTING_MAX,
        operands="\n".join(f"| `{_text(operand)}` | {_operand(operand)} |" for operand in Operand),
        rows="\n".join(_row(opcode) for opcode in OPCODES),
        regions="\n".join(f"| {number} | {name} | {data} |" for number, (name, data) in REGION_KINDS.items()),
    )


def _operand(operand: Operand) -> str:
    stored = "; stored as their number, then each" if operand is Operand.REGISTERS else ""
    return operand.value + stored


def _text(operand: Operand) -> str:
    return _TEXTS.get(operand) or PREFIXES[operand] + "N"


def _row(opcode: Opcode) -> str:
    operands = "".join(
        f" `{_text(operand)}`" + (" ←" if operand is Operand.WRITE else "") for operand in opcode.operands
    )
    flags = [flag for flag in ("ends", "suspends", "raises") if getattr(opcode, flag)]
    return f"| {opcode.number} | **{opcode.name}**{operands} | {opcode.doc} | {', '.join(flags)} |"


def main() -> None:
    """Prints the page."""
    print(document(), end="")


if __name__ == "__main__":
    main()

"""The records of a module's codes, functions and debug tables, as bytes and back.

Decoding gives objects of the right types, with counts that fit each other; what an instruction means is for verify.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowmetal.bytecode.flat import decode_instructions, encode_instructions, pack_integers, unpack_integers
from flowmetal.bytecode.packing import pack_record, pack_texts, unpack_record, unpack_texts
from flowmetal.bytecode.program import Code, Function, LocalName, Try
from flowmetal.bytecode.table import Table, pack_table
from flowmetal.diagnostics import FlowmetalError, Span

_KINDS = ("catch", "finally")
_TEXT = (str, type(None))


def encode_code(code: Code) -> bytes:
    """A code without spans and locals."""
    rows = [
        number
        for row in code.tries
        for number in (row.start, row.end, row.target, row.register, _KINDS.index(row.kind))
    ]
    return pack_record(
        code.name,
        code.parameters,
        code.variadic,
        code.captures,
        code.takes_self,
        code.registers,
        pack_integers(encode_instructions(code.instructions)),
        pack_integers(rows),
    )


def decode_code(data: memoryview, place: str) -> Code:
    """A code from its bytes, not yet verified."""
    name, parameters, variadic, captures, takes_self, registers, instructions, rows = unpack_record(
        data, place, str, int, bool, int, bool, int, bytes, bytes
    )
    place = f"{place}, {name}"
    flat = unpack_integers(rows, f"{place}, try table")
    if len(flat) % 5 or not all(kind in (0, 1) for kind in flat[4::5]):
        raise FlowmetalError("B005", place=f"{place}, try table", problem="does not consist of rows")
    return Code(
        name,
        parameters,
        variadic,
        captures,
        takes_self,
        registers,
        decode_instructions(unpack_integers(instructions, place), place),
        tuple(
            Try(start, end, target, register, _KINDS[kind])
            for start, end, target, register, kind in (flat[at : at + 5] for at in range(0, len(flat), 5))
        ),
    )


def encode_function(function: Function, captures: int, arities: Iterable[tuple[int, bool]]) -> bytes:
    """A function with what its calls need to know of its bodies."""
    rows = [int(number) for row in arities for number in row]
    return pack_record(
        function.name, captures, pack_integers(rows), function.doc, pack_texts(function.effects), function.open
    )


def decode_function(data: memoryview, place: str) -> tuple[Function, list[tuple[int, bool]]]:
    """A function, and the parameters and variadic of each of its bodies; which codes those are the caller knows."""
    name, captures, rows, doc, effects, open = unpack_record(data, place, str, int, bytes, _TEXT, bytes, bool)
    flat = unpack_integers(rows, place)
    if len(flat) % 2 or not all(variadic in (0, 1) for variadic in flat[1::2]):
        raise FlowmetalError("B005", place=place, problem="does not have a list of arities")
    arities = [(flat[start], bool(flat[start + 1])) for start in range(0, len(flat), 2)]
    return Function(name, (), doc, tuple(unpack_texts(effects, place)), open, captures=captures), arities


# ---- debug tables ------------------------------------------------------------------------------------------------


class Files:
    """The files that spans name, numbered as they come up."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, file: str) -> int:
        """The number of a file."""
        return self.numbers.setdefault(file, len(self.numbers))


def encode_spans(spans: Sequence[Span | None], files: Files) -> bytes:
    """Spans as runs of equal ones: how many, the file or -1, and the four places of the span."""
    flat: list[int] = []
    position = 0
    while position < len(spans):
        span, start = spans[position], position
        while position < len(spans) and spans[position] == span:
            position += 1
        if span is None or not _is_place(span[1:]):
            flat += (position - start, -1)
        else:
            flat += (position - start, files.number(span.file), *span[1:])
    return pack_integers(flat)


def decode_spans(data: memoryview, files: Sequence[str], count: int, at: str) -> tuple[Span | None, ...]:
    """As many spans as there should be; none at all where none were written."""
    flat = unpack_integers(data, at)
    spans: list[Span | None] = []
    position = 0
    while position + 1 < len(flat):
        run, file = flat[position], flat[position + 1]
        position += 2
        span = None
        if file >= 0:
            place = flat[position : position + 4]
            if file >= len(files) or not _is_place(place):
                break
            span = Span(files[file], *place)
            position += 4
        if not 0 < run <= count - len(spans):
            break
        spans += [span] * run
    if position != len(flat) or len(spans) not in (0, count):
        raise FlowmetalError("B005", place=at, problem="does not have one span for each")
    return tuple(spans)


def _is_place(place: tuple[int, ...]) -> bool:
    """Whether these are line, column, end line and end column of a text."""
    return len(place) == 4 and min(place) >= 1 and max(place) < 1 << 31 and place[:2] <= place[2:]


def encode_code_debug(code: Code, files: Files) -> bytes:
    """The spans and locals of a code."""
    numbers = [number for row in code.locals for number in (row.register, row.start, row.end)]
    return pack_table(
        (encode_spans(code.spans, files), pack_texts([row.name for row in code.locals]), pack_integers(numbers))
    )


def decode_code_debug(data: memoryview, code: Code, files: Sequence[str], place: str) -> None:
    """Gives a code its spans and locals."""
    table = Table(data, place)
    table.only(3)
    code.spans = decode_spans(table[0], files, len(code.instructions), place)
    names, numbers = unpack_texts(table[1], place), unpack_integers(table[2], place)
    if len(numbers) != 3 * len(names):
        raise FlowmetalError("B005", place=place, problem="does not have one row for each local")
    code.locals = tuple(
        LocalName(name, numbers[3 * index], numbers[3 * index + 1], numbers[3 * index + 2])
        for index, name in enumerate(names)
    )

"""Loops that walk through a collection and call a function for each item, as those of `map`, `filter`, `reduce` do.

Such a loop is known by what one turn of it does, not by its name: the turn is run with symbols for what the registers
hold, and what they hold afterwards says which kind of walk it is.  many.py goes through many items of one at once.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.liveness import live_in
from flowmetal.bytecode.opcodes import Op
from flowmetal.dataclass import dataclass
from flowmetal.vm.lifting.flow import Edge, Flow

#: What a turn does with what the function gives: adds it to a vector; adds the item if it is true; hands it to the
#: next turn; goes on if it is true, or if it is false.
MAP, FILTER, REDUCE, WHILE_TRUE, WHILE_FALSE = "map", "filter", "reduce", "while_true", "while_false"

FEW = 16  # items that are gone through one by one
BLOCKS_MAX = 8  # of such a loop

CONJ, NTH, IS_REDUCED, UNREDUCED = 415, 506, 609, 610
_KNOWN = frozenset({CONJ, NTH, IS_REDUCED, UNREDUCED})

Symbol = tuple[Any, ...]
#: The tests on a way through the loop, and what the registers hold at its end.
Way = tuple[tuple[tuple[Symbol, bool], ...], dict[int, Symbol]]


@dataclass(frozen=True, slots=True)
class Walk:
    """A loop that walks: its kind and its registers.  `gathered`: what it makes; -1 where it makes nothing."""

    kind: str
    function: int
    coll: int
    place: int
    end: int
    gathered: int = -1


def walk_of(flow: Flow, head: int) -> Walk | None:
    """The walk that the loop with a head is, if it is one."""
    loop = flow.loop_of(head)
    if len(loop) > BLOCKS_MAX or not flow.blocks[head].ticks:
        return None
    ways = _ways(flow, head, loop)
    if not ways:
        return None
    live = live_in(flow.code)[head]
    changed = {
        register
        for _, held in ways
        for register, symbol in held.items()
        if live >> register & 1 and symbol != ("in", register)
    }
    tests = ways[0][0]
    less: Symbol = tests[0][0] if tests else ()
    if less[:1] != ("less",) or any(way[0][:1] != ((less, True),) for way in ways):
        return None
    place, end = less[1][1], less[2][1]
    if less != ("less", ("in", place), ("in", end)) or end in changed or not isinstance(place, int):
        return None
    if any(way[1].get(place) != ("add", ("in", place), 1) for way in ways):
        return None
    calls = {symbol for way in ways for symbol in [*(test for test, _ in way[0]), *way[1].values()]}
    calls = {symbol for symbol in map(_call_in, calls) if symbol}
    if len(calls) != 1:
        return None
    call = calls.pop()
    item: Symbol = call[2][-1] if call[2] else ()
    if item[:2] != ("builtin", NTH) or call[1][0] != "in" or item[2][0][0] != "in" or item[2][1] != ("in", place):
        return None
    function, coll = call[1][1], item[2][0][1]
    others = changed - {place}
    if function in changed or coll in changed or len(others) > 1:
        return None
    gathered = others.pop() if others else -1
    kind = _kind(ways, call, item, gathered)
    return None if kind is None else Walk(kind, function, coll, place, end, gathered)


def _kind(ways: list[Way], call: Symbol, item: Symbol, gathered: int) -> str | None:
    """What the ways do with what the call gives; the first test of each has been looked at."""
    ways = sorted(ways, key=lambda way: repr(way[0]))
    tests = [way[0][1:] for way in ways]
    if gathered < 0:
        if call[2] == (item,) and tests in ([((call, True),)], [((call, False),)]):
            return WHILE_TRUE if tests[0][0][1] else WHILE_FALSE
        return None
    before: Symbol = ("in", gathered)
    after = [way[1][gathered] for way in ways]
    if call[2] == (item,):
        if tests == [()] and after == [("builtin", CONJ, (before, call))]:
            return MAP
        kept, left = ("builtin", CONJ, (before, item)), before
        if tests == [((call, False),), ((call, True),)] and after == [left, kept]:
            return FILTER
    elif call[2] == (before, item) and after == [call]:
        if tests in ([()], [((("builtin", IS_REDUCED, (call,)), False),)]):
            return REDUCE
    return None


def _call_in(symbol: Symbol) -> Symbol | None:
    """The call that a symbol is, or is made of."""
    if symbol[0] == "call":
        return symbol
    if symbol[0] == "builtin":
        for part in symbol[2]:
            found = _call_in(part)
            if found:
                return found
    return None


def _ways(flow: Flow, head: int, loop: set[int]) -> list[Way]:
    """The ways that go round the loop; none if one has an instruction of another sort, or more than one call."""
    code = flow.code
    found: list[Way] = []
    pending: list[tuple[int, tuple[tuple[Symbol, bool], ...], dict[int, Symbol], int]] = [(head, (), {}, 0)]
    while pending:
        start, tests, held, calls = pending.pop()
        held = {register: ("in", register) for register in range(code.registers)} if not held else dict(held)
        block = flow.blocks[start]
        edges: list[tuple[Edge, tuple[tuple[Symbol, bool], ...]]] = [(edge, tests) for edge in block.edges]
        for index in range(start, block.stop):
            row = code.instructions[index]
            number = row[0]
            if number in (Op.loop, Op.jump, Op.jump_back):
                pass
            elif number == Op.move:
                held[row[1]] = held[row[2]]
            elif number == Op.less:
                held[row[1]] = ("less", held[row[2]], held[row[3]])
            elif number == Op.add_integer:
                held[row[1]] = ("add", held[row[2]], row[3])
            elif number == Op.builtin and row[2] in _KNOWN:
                held[row[1]] = ("builtin", row[2], tuple(held[one] for one in row[3]))
            elif number == Op.call and not calls:
                calls += 1
                held[row[1]] = ("call", held[row[2]], tuple(held[one] for one in row[3]))
            elif number == Op.jump_if_false and index == block.stop - 1:
                test = held[row[1]]
                edges = [(block.edges[0], (*tests, (test, True))), (block.edges[1], (*tests, (test, False)))]
            else:
                return []
        for edge, after in edges:
            if edge.target == head:
                if calls != 1:
                    return []
                found.append((after, held))
            elif edge.target in loop:
                pending.append((edge.target, after, held, calls))
    return found

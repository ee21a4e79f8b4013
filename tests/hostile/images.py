"""Images changed at random: as bytes, as nested lists, and by putting segments out of order."""

from __future__ import annotations

import random
from typing import Any

from tests.hostile.artifacts import ATOMS, scramble
from tests.hostile.corpus import images, sources
from tests.hostile.tree import packed, unpacked

#: Kinds of regions, fibers, waits and states are small numbers; these are what they are exchanged for.
_SMALL = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    16,
    24,
    32,
    64,
    65,
    128,
    255,
    -1,
    -2,
    -3,
    -5,
    -100,
    -101,
    -102,
    -103,
    1 << 60,
    1 << 62,
)


def copied(tree: Any) -> Any:
    """A copy that shares nothing."""
    return [copied(item) for item in tree] if tree.__class__ is list else tree


def _places(tree: Any) -> list[tuple[list[Any], int]]:
    """Every item of every list inside."""
    found = []
    pending = [tree]
    while pending:
        node = pending.pop()
        for index, item in enumerate(node):
            found.append((node, index))
            if item.__class__ is list:
                pending.append(item)
    return found


def restructured(data: bytes, dice: random.Random) -> bytes:
    """A segment with a few items exchanged, moved, taken away or doubled."""
    tree = unpacked(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        spots = _places(tree)
        if not spots:
            break
        node, index = dice.choice(spots)
        other, start = dice.choice(spots)
        match dice.randrange(9):
            case 0:
                node[index] = copied(dice.choice(ATOMS))
            case 1 | 2 if node[index].__class__ is int:
                node[index] += dice.choice((1, -1, 1, -1, 2, 10, 1000))
            case 3 if node[index].__class__ is int:
                node[index] = dice.choice(_SMALL)
            case 4:
                node[index] = copied(other[start])
            case 5:
                node[index], other[start] = copied(other[start]), copied(node[index])
            case 6:
                del node[index]
            case 7:
                node.insert(index, copied(dice.choice(ATOMS)))
            case _:
                node.insert(index, copied(node[index]))
    try:
        return packed(tree)
    except (ValueError, OverflowError):
        return scramble(data, dice)


def mutant(dice: random.Random) -> tuple[int, list[bytes]]:
    """The number of a program, and an image of it that was tampered with."""
    number = dice.randrange(len(sources()))
    segments = dice.choice(images(number)).copy()
    match dice.randrange(14):
        case 0 if len(segments) > 1:
            del segments[dice.randrange(len(segments))]
        case 1 if len(segments) > 1:
            segments.insert(dice.randrange(len(segments)), dice.choice(segments))
        case 2:
            segments.append(dice.choice(dice.choice(images(dice.randrange(len(sources()))))))
        case 3 if len(segments) > 1:
            dice.shuffle(segments)
        case _:
            at = dice.choice((-1, -1, dice.randrange(len(segments))))
            change = scramble if dice.random() < 0.3 else restructured
            segments[at] = change(segments[at], dice)
    return number, segments

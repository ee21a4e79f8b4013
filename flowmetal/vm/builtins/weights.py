"""What builtins weigh that walk through the whole of their arguments: see values/work.py.

The table has the microseconds for each character and item of the arguments, as measured roughly; what is within items
is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal.dataclass import replace
from flowmetal.values import Map, Range, Set, SortedMap, SortedSet, Vector
from flowmetal.values.work import weigh
from flowmetal.vm.builtins.registry import BUILTINS, BY_NAME

#: Sizes below are not weighed: they take less than looking would.
SIZE_MIN = 1000
#: Bits of an integer below which its text is nothing much; beyond, the time goes by the square.
BITS_MIN = 20_000

_SIZED = frozenset({Vector, Map, Set, SortedMap, SortedSet, Range})

_PER_CHARACTER = {
    0.0005: "str subs string-join upper-case lower-case capitalize string-replace string-replace-first string-split "
    "split-lines string-reverse string-repeat string-escape pad-left pad-right includes? index-of last-index-of",
    0.02: "re-find re-matches re-seq re-split re-replace re-pieces",
    0.05: "json-parse read-data",
}
_PER_ITEM = {
    0.3: """
    str string-join vec hash-map hash-set set list into keys vals last butlast reverse concat take drop take-last
    drop-last take-nth partition partition-all interleave interpose concat-vector to-list concat-all = not= compare
    """,
    0.6: """
    pr-str print-str json-write sorted-map sorted-set zipmap merge frequencies rename-keys map-invert distinct dedupe
    flatten sort sort-by-keys to-set to-map indexed firsts rests union intersection difference subset? superset? hash
    ordered-map ordered-set
    """,
}


def _table(rows: dict[float, str]) -> dict[str, float]:
    return {name: cost for cost, names in rows.items() for name in names.split()}


def _weighed(function: Callable[..., Any], each_character: float, each_item: float, texts: bool) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        work = 0.0
        if len(arguments) > SIZE_MIN:
            work = len(arguments) * each_item
        for argument in arguments[:8]:
            kind = argument.__class__
            if kind is str:
                if each_character:
                    work += len(argument) * each_character
            elif kind in _SIZED:
                if each_item:
                    work += len(argument) * each_item
            elif texts and kind is int and (bits := argument.bit_length()) > BITS_MIN:
                work += bits * bits / 1_000_000
        if work > SIZE_MIN * 0.05:
            weigh(work)
        return function(*arguments)

    run.__doc__, run.__name__, run.__qualname__ = function.__doc__, function.__name__, function.__qualname__
    return run


def weigh_builtins() -> None:
    """Has the builtins of the table weigh themselves."""
    characters, items = _table(_PER_CHARACTER), _table(_PER_ITEM)
    for name in sorted(characters.keys() | items.keys()):
        info = BY_NAME[name]
        function = _weighed(info.function, characters.get(name, 0.0), items.get(name, 0.0), name in _TEXTS)
        BUILTINS[info.number] = BY_NAME[name] = replace(info, function=function)


_TEXTS = frozenset({"str", "pr-str", "print-str", "string-join", "json-write"})

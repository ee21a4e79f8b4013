"""Shorter ways through builtins, for how they are called most.

A row says: this builtin with this many arguments is called as that Python function, which gives and raises exactly what
the builtin itself does.  Most look whether their arguments are of the usual kind and leave all others to the builtin.
The machine asks `direct` once for each call it has in its code; tests/builtins holds each to the builtin it stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal import values
from flowmetal.values import List, Map, Range, Vector, VectorSeq
from flowmetal.values import sequences as every
from flowmetal.values.keys import WRAPPERS
from flowmetal.vm.builtins.registry import BY_NAME, BuiltinInfo

_SMALL = 1 << 29  # what Python compares fastest; whatever is done with two of these is no larger than integers may be

LEAN: dict[tuple[int, int], Callable[..., Any]] = {}


def direct(info: BuiltinInfo, count: int) -> Callable[..., Any]:
    """What to call for a builtin without context and this many arguments."""
    return LEAN.get((info.number, count), info.function)


def _lean(name: str, count: int, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    info = BY_NAME[name]
    assert info.accepts(count) and not info.context
    LEAN[info.number, count] = make(info.function)


def _plus(full: Callable[..., Any]) -> Callable[..., Any]:
    def plus(x: Any, y: Any) -> Any:
        if x.__class__ is int and y.__class__ is int and -_SMALL < x < _SMALL and -_SMALL < y < _SMALL:
            return x + y
        return full(x, y)

    return plus


def _minus(full: Callable[..., Any]) -> Callable[..., Any]:
    def minus(x: Any, y: Any) -> Any:
        if x.__class__ is int and y.__class__ is int and -_SMALL < x < _SMALL and -_SMALL < y < _SMALL:
            return x - y
        return full(x, y)

    return minus


def _times(full: Callable[..., Any]) -> Callable[..., Any]:
    def times(x: Any, y: Any) -> Any:
        if x.__class__ is int and y.__class__ is int and -_SMALL < x < _SMALL and -_SMALL < y < _SMALL:
            return x * y
        return full(x, y)

    return times


def _less(full: Callable[..., Any]) -> Callable[..., Any]:
    def less(x: Any, y: Any) -> Any:
        return x < y if x.__class__ is int and y.__class__ is int else full(x, y)

    return less


def _greater(full: Callable[..., Any]) -> Callable[..., Any]:
    def greater(x: Any, y: Any) -> Any:
        return x > y if x.__class__ is int and y.__class__ is int else full(x, y)

    return greater


def _even(full: Callable[..., Any]) -> Callable[..., Any]:
    def is_even(x: Any) -> Any:
        return x & 1 == 0 if x.__class__ is int else full(x)

    return is_even


def _odd(full: Callable[..., Any]) -> Callable[..., Any]:
    def is_odd(x: Any) -> Any:
        return x & 1 == 1 if x.__class__ is int else full(x)

    return is_odd


def _zero(full: Callable[..., Any]) -> Callable[..., Any]:
    def is_zero(x: Any) -> Any:
        return x == 0 if x.__class__ is int else full(x)

    return is_zero


def _inc(full: Callable[..., Any]) -> Callable[..., Any]:
    def inc(x: Any) -> Any:
        return x + 1 if x.__class__ is int and -_SMALL < x < _SMALL else full(x)

    return inc


def _not_equal(full: Callable[..., Any]) -> Callable[..., Any]:
    def differ(x: Any, y: Any) -> Any:
        return x != y if x.__class__ is int and y.__class__ is int else not values.equal(x, y)

    return differ


def _get(full: Callable[..., Any]) -> Callable[..., Any]:
    def get(coll: Any, key: Any) -> Any:
        if coll.__class__ is not Map:
            return full(coll, key)
        table = coll.table
        if table is None or key.__class__ in WRAPPERS:
            return coll.get(key)
        return table.get(key)

    return get


def _get_default(full: Callable[..., Any]) -> Callable[..., Any]:
    def get(coll: Any, key: Any, default: Any) -> Any:
        if coll.__class__ is not Map:
            return full(coll, key, default)
        table = coll.table
        if table is None or key.__class__ in WRAPPERS:
            return coll.get(key, default)
        return table.get(key, default)

    return get


def _nth(full: Callable[..., Any]) -> Callable[..., Any]:
    def nth(coll: Any, index: Any) -> Any:
        kind = coll.__class__
        if index.__class__ is int and 0 <= index < _SMALL:
            if kind is Range:
                start, end, step = coll.start, coll.end, coll.step
                if start.__class__ is int and end.__class__ is int and step.__class__ is int:
                    item = start + index * step
                    if item < end if step > 0 else item > end:
                        return item
            elif kind is VectorSeq:
                vector = coll.vector
                index += coll.start
                if vector.root is None and index < len(vector.tail):
                    return vector.tail[index]
                return full(coll, index - coll.start)
        return full(coll, index)

    return nth


def _count(full: Callable[..., Any]) -> Callable[..., Any]:
    def count(coll: Any) -> Any:
        kind = coll.__class__
        if kind is Vector and coll.root is None:
            return len(coll.tail)
        if kind is Map and coll.table is not None:
            return len(coll.table)
        return coll.count if kind is List else full(coll)

    return count


def _next(full: Callable[..., Any]) -> Callable[..., Any]:
    def following(coll: Any) -> Any:
        kind = coll.__class__
        if kind is List:
            return coll.rest if coll.rest.count else None
        return coll.next() if kind is VectorSeq else full(coll)

    return following


_lean("+", 2, _plus)
_lean("-", 2, _minus)
_lean("*", 2, _times)
_lean("inc", 1, _inc)
_lean("<", 2, _less)
_lean(">", 2, _greater)
_lean("even?", 1, _even)
_lean("odd?", 1, _odd)
_lean("zero?", 1, _zero)
_lean("get", 2, _get)
_lean("get", 3, _get_default)
_lean("nth", 2, _nth)
_lean("count", 1, _count)
_lean("next", 1, _next)
_lean("assoc", 3, lambda full: every.assoc)
_lean("conj", 2, lambda full: every.conj)
_lean("not=", 2, _not_equal)
_lean("=", 2, lambda full: values.equal)

"""Cells (atoms), promises as values, and the marker that ends a reduction.

A cell changes in one builtin call, so no other fiber sees it half changed.  Who changes one tells the process, so
that the cell is in the next delta of its image.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import (
    Cell,
    Closure,
    LazySeq,
    Map,
    NeedsProgram,
    Promise,
    Reduced,
    Vector,
    equal,
    iterate,
    keyword,
)
from flowmetal.vm.builtins.check import wrong_type
from flowmetal.vm.builtins.registry import builtin
from flowmetal.vm.waiting import settle_promise

_KEEPER = keyword("keeper")
_PENDING, _DONE, _FAILED = keyword("pending"), keyword("done"), keyword("failed")
STATES = {"pending": _PENDING, "done": _DONE, "failed": _FAILED, "seen": _FAILED}


def cell_of(who: str, value: Any) -> Cell:
    """The argument as a cell."""
    if value.__class__ is not Cell:
        wrong_type(who, "an atom", value)
    return value


def _ask_keeper(target: Cell) -> None:
    """Hands a change over to the program where a watch or a validator has to be called."""
    keeper = target.care.get(_KEEPER)
    if keeper is not None:
        raise NeedsProgram(keeper, "this atom is watched by the program, which cannot be asked here")


@builtin(600, "cell", 1)
def cell(value: Any) -> Cell:
    """A new cell that holds a value."""
    return Cell(value)


@builtin(601, "cell-get", 1)
def cell_get(value: Any) -> Any:
    """What a cell holds."""
    return cell_of("deref", value).value


@builtin(602, "cell-set", 2, context=True)
def cell_set(process: Any, target: Any, value: Any) -> Any:
    """Makes a cell hold a value, which is the result."""
    cell_of("reset!", target)
    if target.care is not None:
        _ask_keeper(target)
    target.value = value
    process.touch(target)
    return value


@builtin(603, "cell-swap", 2, context=True)
def cell_swap(process: Any, target: Any, value: Any) -> Vector:
    """Makes a cell hold a value; the result is a vector of the old and the new one."""
    old = cell_of("reset-vals!", target).value
    if target.care is not None:
        _ask_keeper(target)
    target.value = value
    process.touch(target)
    return Vector.of((old, value))


@builtin(604, "cell-compare-set", 3, context=True)
def cell_compare_set(process: Any, target: Any, expected: Any, value: Any) -> bool:
    """Makes a cell hold a value if it holds one equal to the expected one; whether it did."""
    held = cell_of("compare-and-set!", target).value
    if target.care is not None:
        _ask_keeper(target)
    if held is not expected and not equal(held, expected):
        return False
    target.value = value
    process.touch(target)
    return True


@builtin(616, "cell-care", 1)
def cell_care(value: Any) -> Any:
    """What is kept with a cell: a map of metadata, validator and watches, or nil."""
    return cell_of("meta", value).care


@builtin(617, "cell-care-set", 2, context=True)
def cell_care_set(process: Any, target: Any, care: Any) -> Any:
    """Keeps a map, or nil, with a cell, which is the result."""
    cell_of("add-watch", target)
    if care is not None and (care.__class__ is not Map or care.get(_KEEPER).__class__ not in (Closure, type(None))):
        wrong_type("add-watch", "a map with a function", care)
    target.care = care
    process.touch(target)
    return target


@builtin(618, "cell-put", 2, context=True)
def cell_put(process: Any, target: Any, value: Any) -> Any:
    """Makes a cell hold a value, which is the result, whoever watches it."""
    cell_of("reset!", target).value = value
    process.touch(target)
    return value


@builtin(605, "cell?", 1)
def is_cell(value: Any) -> bool:
    """Whether the value is a cell."""
    return value.__class__ is Cell


@builtin(606, "promise?", 1)
def is_promise(value: Any) -> bool:
    """Whether the value is a promise."""
    return value.__class__ is Promise


@builtin(607, "promise-state", 1)
def promise_state(value: Any) -> Any:
    """:pending, :done or :failed."""
    if value.__class__ is not Promise:
        wrong_type("promise-state", "a promise", value)
    return STATES[value.state]


@builtin(608, "reduced", 1)
def reduced(value: Any) -> Reduced:
    """A value that ends the reduction whose step returns it."""
    return Reduced(value)


@builtin(609, "reduced?", 1)
def is_reduced(value: Any) -> bool:
    """Whether the value ends a reduction."""
    return value.__class__ is Reduced


@builtin(610, "unreduced", 1)
def unreduced(value: Any) -> Any:
    """The value inside a `reduced`; any other as it is."""
    return value.value if value.__class__ is Reduced else value


@builtin(611, "realized?", 1)
def is_realized(value: Any) -> bool:
    """Whether a lazy sequence has been looked at or a promise is settled."""
    if value.__class__ is LazySeq:
        return bool(value.state == "done")
    if value.__class__ is Promise:
        return bool(value.state != "pending")
    wrong_type("realized?", "a lazy sequence or a promise", value)


@builtin(612, "unsettled", 1)
def unsettled(promises: Any) -> Vector:
    """A vector of the promises of a vector that are pending still."""
    return Vector.of([promise for promise in _promises("unsettled", promises) if promise.state == "pending"])


def _promises(who: str, value: Any) -> list[Promise]:
    items = list(iterate(value))
    for item in items:
        if item.__class__ is not Promise:
            wrong_type(who, "promises", item)
    return items


@builtin(613, "first-failed", 1)
def first_failed(promises: Any) -> Promise | None:
    """The first promise of a vector that has failed, or nil."""
    for promise in _promises("first-failed", promises):
        if promise.state in ("failed", "seen"):
            return promise
    return None


@builtin(614, "promise", 0)
def new_promise() -> Promise:
    """A new promise, which `deliver` settles."""
    return Promise()


@builtin(615, "deliver", 2, context=True)
def deliver(process: Any, promise: Any, value: Any) -> Promise | None:
    """Settles a promise that the program made, and gives it; nil if it was settled before."""
    if promise.__class__ is not Promise or promise.request or promise.fiber:
        wrong_type("deliver", "a promise made by `promise`", promise)
    if promise.state != "pending":
        return None
    settle_promise(process, promise, value, None)
    return promise

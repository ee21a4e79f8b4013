"""Builtins about errors, lazy cells and promises: what the compiler's own forms are made of.

`catches` is the test behind a `catch` clause.  Kinds with a rule of their own: `:flowmetal/cancelled` is taken only by
a clause that names it; `:flowmetal/limit` and `:flowmetal/abandoned` by none, so that a program cannot swallow the
end of its own resources or of a body whose handler has already answered.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values import Closure, ErrorValue, Keyword, LazySeq, Map, Promise, Set, fail, keyword
from flowmetal.vm.builtins.check import shown, string, wrong_type
from flowmetal.vm.builtins.registry import builtin
from flowmetal.vm.state import Process, Wait

CANCELLED = keyword("flowmetal/cancelled")
NEVER_CAUGHT = (keyword("flowmetal/limit"), keyword("flowmetal/abandoned"))
KIND, MESSAGE, DATA, CAUSE = keyword("kind"), keyword("message"), keyword("data"), keyword("cause")
PLAIN = keyword("error")


@builtin(1, "catches", 2)
def catches(error: ErrorValue, spec: Any) -> bool:
    """Whether a catch clause takes an error: spec is a kind, a set of kinds, or nil for any kind."""
    kind = _error("catch", error).kind
    if kind in NEVER_CAUGHT:
        return False
    if spec is None or spec is True:
        return kind is not CANCELLED
    if spec.__class__ is Keyword:
        return kind is spec
    if isinstance(spec, Set):
        return spec.contains(kind)
    wrong_type("catch", "a kind, a set of kinds, a predicate or _", spec)


@builtin(2, "error", 2, 4)
def error(kind: Any, message: Any, data: Any = None, cause: Any = None) -> ErrorValue:
    """Makes an error value of a kind, a message, data and a cause."""
    if kind.__class__ is not Keyword:
        wrong_type("error", "a keyword as the kind", kind)
    if cause is not None and cause.__class__ is not ErrorValue:
        wrong_type("error", "an error as the cause", cause)
    return ErrorValue(kind, string("error", message), data, cause)


def _error(who: str, value: Any) -> ErrorValue:
    if value.__class__ is not ErrorValue:
        wrong_type(who, "an error", value)
    return value


@builtin(3, "error-kind", 1)
def error_kind(value: Any) -> Any:
    """The kind of an error, a keyword; nil for anything else."""
    return value.kind if value.__class__ is ErrorValue else None


@builtin(4, "error-message", 1)
def error_message(value: Any) -> Any:
    """The message of an error; nil for anything else."""
    return value.message if value.__class__ is ErrorValue else None


@builtin(5, "error-data", 1)
def error_data(value: Any) -> Any:
    """The data of an error; nil for anything else."""
    return value.data if value.__class__ is ErrorValue else None


@builtin(6, "error-cause", 1)
def error_cause(value: Any) -> Any:
    """The error that caused an error, or nil."""
    return value.cause if value.__class__ is ErrorValue else None


@builtin(7, "error-trace", 1)
def error_trace(value: Any) -> Any:
    """The trace of an error, a vector of maps, or nil."""
    return value.trace if value.__class__ is ErrorValue else None


@builtin(8, "error?", 1)
def is_error(value: Any) -> bool:
    """Whether the value is an error."""
    return value.__class__ is ErrorValue


@builtin(9, "lazy-seq", 1)
def lazy_seq(thunk: Any) -> LazySeq:
    """A lazy sequence that calls a function of no arguments when it is first looked at."""
    if thunk.__class__ is not Closure:
        wrong_type("lazy-seq", "a function", thunk)
    return LazySeq(thunk)


@builtin(10, "promise-request", 1, context=True)
def promise_request(process: Process, promise: Any) -> int:
    """The number of the request that settles a promise; an error if a fiber settles it that waits for no request."""
    if promise.__class__ is not Promise:
        wrong_type("promise-request", "a promise", promise)
    if not promise.request and promise.fiber:
        # A handler's clause that hands on: the request of its fiber is the one that was asked for.
        fiber = process.fibers.get(promise.fiber)
        if fiber is not None and fiber.wait is not None and fiber.wait[0] == Wait.REQUEST:
            number: int = fiber.wait[1]
            return number
    if not promise.request:
        fail("argument", "promise-request needs the promise of a request, not that of a fiber")
    return promise.request


@builtin(11, "as-error", 1)
def as_error(value: Any) -> ErrorValue:
    """What `throw` throws: an error as it is, a map with :kind as an error of that kind, a string as kind :error."""
    if value.__class__ is ErrorValue:
        return value
    if value.__class__ is str:
        return ErrorValue(PLAIN, value, None, None)
    if isinstance(value, Map):
        kind = value.get(KIND)
        message = value.get(MESSAGE)
        if kind.__class__ is Keyword:
            words = message if message.__class__ is str else f"an error of kind {shown(kind)}"
            data, cause = value.get(DATA), value.get(CAUSE)
            return ErrorValue(kind, words, data, cause if cause.__class__ is ErrorValue else None)
    wrong_type("throw", "an error, a map with a :kind, or a string", value)

"""Forms as the compiler looks at them: sequences of any kind as Python lists, constants without source spans.

What a macro returns may be any sequence; the reader only makes lists.
"""

from __future__ import annotations

from typing import Any

from flowmetal.diagnostics import Span
from flowmetal.values import (
    Cons,
    LazySeq,
    List,
    Map,
    Range,
    Set,
    Symbol,
    Vector,
    VectorSeq,
    iterate,
    meta_of,
    print_string,
    span_of,
    with_meta,
)

_SEQUENCES = (List, Cons, VectorSeq, LazySeq, Range)
_COLLECTIONS = (*_SEQUENCES, Vector, Map, Set)

#: Characters of a form quoted in a message.
TEXT_CHARACTERS = 60


def is_list(form: Any) -> bool:
    """Whether a form is evaluated as a call or special form."""
    return isinstance(form, _SEQUENCES)


def items_of(form: Any) -> list[Any]:
    """The items of a list or vector form; empty for anything else."""
    if isinstance(form, _SEQUENCES) or form.__class__ is Vector:
        return list(iterate(form))
    return []


def span_within(form: Any, fallback: Span | None) -> Span | None:
    """The span of a form; the fallback for atoms and for what a macro made."""
    found = span_of(form)
    if not isinstance(found, Span):
        return fallback
    # The reader's spans of collections know their children; what is compiled needs the place only.
    return found if found.__class__ is Span else Span(*found)


def is_symbol(form: Any, name: str) -> bool:
    """Whether a form is the plain symbol `name`."""
    return form.__class__ is Symbol and form.namespace is None and form.name == name


def text_of(form: Any) -> str:
    """A form as a person would write it, cut at TEXT_CHARACTERS."""
    return print_string(form, limit=TEXT_CHARACTERS)


def constant_of(form: Any) -> Any:
    """The value of a quoted form: sequences become lists, spans are dropped, what the author put into `^` stays."""
    if form.__class__ is Symbol:
        if form.meta is None:
            return form
        meta = meta_of(form)
        plain = Symbol(form.namespace, form.name)
        return plain if meta is None else with_meta(plain, meta)
    if not isinstance(form, _COLLECTIONS):
        return form
    made: Any
    if form.__class__ is Map:
        made = Map.of([(constant_of(key), constant_of(value)) for key, value in form.items()])
    else:
        items: list[Any] = []
        for item in iterate(form):
            items.append(constant_of(item))
        kind = form.__class__
        made = Vector.of(items) if kind is Vector else Set.of(items) if kind is Set else List.of(items)
    meta = meta_of(form)
    return made if meta is None else with_meta(made, meta)


def depth_exceeds(form: Any, limit: int) -> bool:
    """Whether collections nest deeper than `limit`; looks at the form without recursion."""
    pending: list[tuple[Any, int]] = [(form, 1)]
    while pending:
        current, depth = pending.pop()
        if not isinstance(current, _COLLECTIONS):
            continue
        if depth > limit:
            return True
        if current.__class__ is Map:
            for key, value in current.items():
                pending.append((key, depth + 1))
                pending.append((value, depth + 1))
        else:
            for item in iterate(current):
                pending.append((item, depth + 1))
    return False

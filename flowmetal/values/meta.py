"""Metadata and source spans of values.

The slot `meta` of a value holds None, a map, a bare span, or a Spanned of both.  The language sees the map only;
spans are the compiler's.  Spans are opaque here: whatever is neither None, a map nor a Spanned is one.
"""

from __future__ import annotations

from typing import Any

from flowmetal.values.base import Collection, Spanned, Value
from flowmetal.values.errors import fail
from flowmetal.values.functions import Closure
from flowmetal.values.maps import Map
from flowmetal.values.scalars import Symbol
from flowmetal.values.seqs import LazySeq, List
from flowmetal.values.sorted import SortedMap
from flowmetal.values.vector import Vector, is_entry

_MAPS = (Map, SortedMap)


def meta_of(value: Value) -> Any:
    """The metadata map of a value, or None."""
    meta = getattr(value, "meta", None)
    if meta is None or meta.__class__ in _MAPS:
        return meta
    return meta.map if meta.__class__ is Spanned else None


def span_of(value: Value) -> Any:
    """The source span of a form, or None."""
    meta = getattr(value, "meta", None)
    if meta is None or meta.__class__ in _MAPS:
        return None
    return meta.span if meta.__class__ is Spanned else meta


def takes_meta(value: Value) -> bool:
    """Whether a value can have metadata."""
    kind = value.__class__
    return kind is Symbol or kind is Closure or (issubclass(kind, Collection) and not is_entry(value))


def _slots(kind: type) -> tuple[str, ...]:
    names = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    return tuple(name for name in names if name not in ("owner", "oid", "meta"))


_SLOTS: dict[type, tuple[str, ...]] = {}


def _with_slot(value: Any, meta: Any) -> Any:
    """A copy of a value with another content of its slot `meta`."""
    kind = value.__class__
    if kind is LazySeq:
        realized = value.seq()
        return _with_slot(List.empty() if realized is None else realized, meta)
    if kind is List and not value.count:
        return List.empty(meta)
    names = _SLOTS.get(kind)
    if names is None:
        names = _SLOTS[kind] = _slots(kind)
    copy = kind.__new__(kind)
    for name in names:
        setattr(copy, name, getattr(value, name))
    copy.meta = meta
    copy.owner = None
    return copy


def with_meta(value: Value, meta: Any) -> Value:
    """The value with this metadata map (or None) in place of its own; its span stays."""
    if not takes_meta(value):
        fail("type", "this value cannot have metadata", value)
    if meta is not None and meta.__class__ not in _MAPS:
        fail("type", "metadata is a map or nil", meta)
    span = span_of(value)
    if span is None:
        return _with_slot(value, meta)
    return _with_slot(value, span if meta is None else Spanned(span, meta))


def with_span(value: Value, span: Any) -> Value:
    """The form with this source span (or None) in place of its own; its metadata map stays."""
    meta = meta_of(value)
    if span is None:
        return _with_slot(value, meta)
    return _with_slot(value, span if meta is None else Spanned(span, meta))


def without_meta(value: Value) -> Value:
    """The value with neither metadata nor span."""
    if getattr(value, "meta", None) is None:
        return value
    if value.__class__ is Vector and not len(value):
        return Vector.of(())
    return _with_slot(value, None)

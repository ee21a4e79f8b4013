"""Collections out of the forms between two brackets, and the rewriting of forms that a prefix asks for.

The grammar of source text and the data reader share this.  Nothing here knows of places in text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flowmetal.reading.bad import Bad
from flowmetal.values import (
    EMPTY_LIST,
    Keyword,
    List,
    Map,
    Set,
    Symbol,
    Vector,
    key_of,
    keyword,
    meta_of,
    with_meta,
)

#: Keys of a metadata map that a symbol or string stands for.
TAG = keyword("tag")

#: Large maps and sets do not keep the written order; their spans remember it.
ORDERED = 16


def list_of(values: Sequence[Any], meta: Any) -> List:
    """A list with metadata in its slot."""
    if not values:
        return List.empty(meta)
    result = EMPTY_LIST
    for value in reversed(values):
        result = List(value, result)
    result.meta = meta
    return result


def vector_of(values: Sequence[Any], meta: Any) -> Vector:
    """A vector with metadata in its slot."""
    if len(values) <= 32:
        return Vector(tuple(values), None, meta)
    result = Vector.of(values)
    result.meta = meta
    return result


def map_of(values: Sequence[Any], meta: Any, duplicate: Callable[[int, int], None]) -> Map:
    """The map of keys and values by turns; `duplicate(first, second)` gets the positions of equal keys."""
    keys = [key_of(key) for key in values[::2]]
    table = dict(zip(keys, values[1::2], strict=True))
    if len(table) < len(keys):
        _find_duplicates(keys, 2, duplicate)
    return Map.from_table(table, meta)


def set_of(values: Sequence[Any], meta: Any, duplicate: Callable[[int, int], None]) -> Set:
    """The set of the values.  `duplicate(first, second)` gets the positions of equal ones."""
    keys = [key_of(value) for value in values]
    table = dict.fromkeys(keys)
    if len(table) < len(keys):
        _find_duplicates(keys, 1, duplicate)
    return Set.from_table(table, meta)


def namespaced(values: Sequence[Any], namespace: str) -> list[Any]:
    """Keys and values of `#:namespace{...}`: keys without a namespace get it, those in `_` lose theirs."""
    result = list(values)
    for index in range(0, len(values), 2):
        key = values[index]
        if key.__class__ is Keyword:
            if key.namespace is None:
                result[index] = keyword(f"{namespace}/{key.name}")
            elif key.namespace == "_":
                result[index] = keyword(key.name)
        elif key.__class__ is Symbol:
            if key.namespace is None:
                result[index] = Symbol(namespace, key.name, key.meta)
            elif key.namespace == "_":
                result[index] = Symbol(None, key.name, key.meta)
    return result


def metadata_of(form: Any) -> Map:
    """The metadata map that the form after a `^` stands for; Bad R064."""
    if form.__class__ is Map:
        return Map(form.table, form.root)  # a value now and no longer a form: without place and metadata
    if form.__class__ is Keyword:
        return Map.of([(form, True)])
    if form.__class__ is Symbol or form.__class__ is str:
        return Map.of([(TAG, form)])
    raise Bad("R064", kind=kind_of(form))


def with_metadata(form: Any, metadata: Map) -> Any:
    """The form with metadata added; what is written further out holds.  Bad R065 if it carries none."""
    if form.__class__ not in _WITH_METADATA:
        raise Bad("R065", kind=kind_of(form))
    known = meta_of(form)
    return with_meta(form, metadata if known is None else known.merge(metadata.items()))


def kind_of(form: Any) -> str:
    """What a form is, for a message: "a number", "nil"."""
    if form is None:
        return "nil"
    return _KINDS.get(form.__class__.__name__, "this value")


_WITH_METADATA = frozenset({Symbol, List, Vector, Map, Set})

_KINDS = {
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "Fraction": "a number",
    "Decimal": "a number",
    "str": "a string",
    "bytes": "bytes",
    "Keyword": "a keyword",
    "Symbol": "a symbol",
    "Char": "a character",
    "Regex": "a regular expression",
    "Duration": "a duration",
    "Instant": "an instant",
    "UUID": "a UUID",
    "List": "a list",
    "Vector": "a vector",
    "Map": "a map",
    "Set": "a set",
}


def _find_duplicates(keys: Sequence[Any], stride: int, duplicate: Callable[[int, int], None]) -> None:
    seen: dict[Any, int] = {}
    for index, key in enumerate(keys):
        first = seen.setdefault(key, index)
        if first != index:
            duplicate(first * stride, index * stride)

"""The bases of everything that lives on a program's heap.

`Heap` carries the identity slots an image writer uses; `Collection` adds metadata, a cached stable hash and Python's
`==`, `hash` and `repr` in the meaning of the language.  Those three, and short texts, are implemented by
modules that know every class, so they are bound late through `LATE`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Value = Any
"""A value of the language; Python's type system cannot say more."""


class _Late:
    """Functions filled in by equality.py, deep_hash.py and printer.py when the package is imported."""

    equal: Callable[[Any, Any], bool]
    hash: Callable[[Any], int]
    text: Callable[[Any], str]
    short: Callable[[Any], str]  # for messages


LATE = _Late()


class _Missing:
    """The type of MISSING; equal to nothing a program can hold."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""What a look-up gives where nothing is; nil is a value and cannot say that."""


class Heap:
    """An object with an identity in images.

    `owner` is None at birth; a writer that gives the object the number `oid` puts its own token there.  `oid` means
    nothing while `owner` is None.
    """

    __slots__ = ("oid", "owner")

    owner: object | None
    oid: int


class Collection(Heap):
    """A heap object that is a composite value: equality, hash and text are those of the language.

    `meta` is None, a map, a bare source span, or a Spanned of both; `hash` is the cached stable hash or None.
    """

    __slots__ = ("hash", "meta")

    meta: Any
    hash: int | None

    def __eq__(self, other: object) -> bool:
        return LATE.equal(self, other)

    def __hash__(self) -> int:
        found = self.hash
        return LATE.hash(self) if found is None else found

    def __repr__(self) -> str:
        return LATE.text(self)


class Spanned:
    """Metadata of a form that has both a source span and a map of metadata."""

    __slots__ = ("map", "span")

    def __init__(self, span: Any, map: Any) -> None:
        self.span = span
        self.map = map

    def __repr__(self) -> str:
        return f"Spanned({self.span!r}, {self.map!r})"

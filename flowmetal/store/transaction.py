"""What an engine provides: ordered key spaces under transactions.

Commands are applied to a WriteTransaction and reads to a ReadTransaction; neither knows which engine it has.
"""

from __future__ import annotations

from typing import Protocol

from flowmetal.store.command_types import Rekey

Items = list[tuple[bytes, bytes]]
#: Gets the keys of damaged records; None: they are not left out.
Damaged = list[bytes] | None


class ReadTransaction(Protocol):
    """One committed state (or, within a write transaction, that state with the writes so far)."""

    __slots__ = ()

    def get(self, space: str, key: bytes) -> bytes | None: ...

    def scan(
        self,
        space: str,
        prefix: bytes = b"",
        *,
        start: bytes = b"",
        stop: bytes = b"",
        limit: int = 1 << 62,
        reverse: bool = False,
        values: bool = True,
        damaged: Damaged = None,
    ) -> Items:
        """At most `limit` items whose key begins with `prefix`, in order of key, from the first key >= `start`.

        `stop`: only keys below it.  reverse: from the last such key down; with a `start`, from the last key <= `start`.
        `values`: False where only keys are wanted; the values are then empty.
        `damaged`: gets the keys of damaged records, which are left out; without it they are S310.
        """
        if limit <= 0:
            return []
        if reverse:
            return self._down(space, prefix, start, stop, limit, values, damaged)
        return self._up(space, prefix, start, stop, limit, values, damaged)

    def _up(
        self, space: str, prefix: bytes, start: bytes, stop: bytes, limit: int, values: bool, damaged: Damaged
    ) -> Items: ...

    def _down(
        self, space: str, prefix: bytes, start: bytes, stop: bytes, limit: int, values: bool, damaged: Damaged
    ) -> Items: ...

    def count(self, space: str) -> int:
        """The number of keys of a space, in constant time."""


class WriteTransaction(ReadTransaction, Protocol):
    """A change in the making.

    `writes` counts what was put, deleted or is going to be, to tell whether there is something to commit.
    """

    __slots__ = ("writes",)

    writes: int

    def put(self, space: str, key: bytes, value: bytes) -> None: ...

    def put_all(self, space: str, items: Items) -> None:
        """Puts many, which are in order of key."""

    def delete(self, space: str, key: bytes) -> bool:
        """False where there was no such key."""

    def rekey(self, command: Rekey) -> tuple[int, int, bool]:
        """The command Rekey, which is about how values are stored."""

"""SortedTable: an ordered map from bytes to bytes in memory, in chunks, so that inserting stays cheap in large ones."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

#: Keys in a chunk at most; a full one is split in two.
CHUNK = 1024


class SortedTable:
    """Keys in order with their values.  Not for several threads at once."""

    __slots__ = ("_chunks", "_firsts", "_values")

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._chunks: list[list[bytes]] = [[]]
        self._firsts: list[bytes] = [b""]  # below or equal to every key of the chunk, above all before

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        return self._values.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Sets the value of a key."""
        if key not in self._values:
            index = bisect_right(self._firsts, key) - 1
            chunk = self._chunks[index]
            insort(chunk, key)
            if len(chunk) > CHUNK:
                half = len(chunk) // 2
                self._chunks.insert(index + 1, chunk[half:])
                self._firsts.insert(index + 1, chunk[half])
                del chunk[half:]
        self._values[key] = value

    def delete(self, key: bytes) -> bytes | None:
        """Takes a key out and returns its value; None where there was none."""
        value = self._values.pop(key, None)
        if value is not None:
            index = bisect_right(self._firsts, key) - 1
            chunk = self._chunks[index]
            del chunk[bisect_left(chunk, key)]
            if not chunk and index:
                del self._chunks[index], self._firsts[index]
        return value

    def from_key(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Items from the first key >= start on."""
        index = bisect_right(self._firsts, start) - 1
        position = bisect_left(self._chunks[index], start)
        while index < len(self._chunks):
            chunk = self._chunks[index]
            for key in chunk[position:]:
                yield key, self._values[key]
            index, position = index + 1, 0

    def down_from(self, end: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Items from the last key <= end (None: the last of all) down."""
        if end is None:
            index = len(self._chunks) - 1
            position = len(self._chunks[index])
        else:
            index = bisect_right(self._firsts, end) - 1
            position = bisect_right(self._chunks[index], end)
        while index >= 0:
            for key in reversed(self._chunks[index][:position]):
                yield key, self._values[key]
            index -= 1
            position = len(self._chunks[index]) if index >= 0 else 0

"""Tables of bytes: the one container that an artifact is made of, in several levels.

A table is the number of its items, the offset of the end of each (unsigned, 32 bits, little-endian), and the items one
after the other.  Opening one reads the offsets and copies nothing, so an artifact of any size opens at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from operator import le

from flowmetal.diagnostics import FlowmetalError

BYTES_MAX = (1 << 31) - 1  # of one table: offsets are 32 bits wide, and half of that is far more than a program


def pack_table(items: Iterable[bytes]) -> bytes:
    """The bytes of a table of items.  Errors: B006."""
    blobs = list(items)
    ends, end = [], 0
    for blob in blobs:
        end += len(blob)
        ends.append(end)
    if 4 * len(ends) + end > BYTES_MAX:
        raise FlowmetalError("B006", place="artifact", limit=BYTES_MAX)
    return struct.pack(f"<{len(ends) + 1}I", len(ends), *ends) + b"".join(blobs)


class Table:
    """A view of a table's items; raises FlowmetalError B005 where the bytes are not a table."""

    __slots__ = ("_blob", "_ends", "place")

    def __init__(self, data: memoryview, place: str) -> None:
        self.place = place
        size = len(data)
        count = struct.unpack_from("<I", data)[0] if size >= 4 else size
        start = 4 + 4 * count
        if start > size:
            raise FlowmetalError("B005", place=place, problem="is cut short")
        ends: tuple[int, ...] = struct.unpack_from(f"<{count}I", data, 4)
        if not all(map(le, ends, ends[1:])) or (ends[-1] if ends else 0) != size - start:
            raise FlowmetalError("B005", place=place, problem="has items out of place")
        self._ends = ends
        self._blob = data[start:]

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> memoryview:
        """The bytes of an item; IndexError if there is none."""
        ends = self._ends
        if not 0 <= index < len(ends):
            raise IndexError(index)
        return self._blob[ends[index - 1] if index else 0 : ends[index]]

    def only(self, count: int) -> None:
        """Checks that there are as many items as there should be."""
        if len(self._ends) != count:
            raise FlowmetalError(
                "B005", place=self.place, problem=f"has {len(self._ends)} items where {count} are expected"
            )

"""Msgpack with buffers of the size of what is packed here, which is mostly small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

#: Bytes that a packer begins with: most of what is packed is smaller, and a large buffer costs time to come by.
_BUFFER_BYTES = 512

_Packer = msgpack.Packer


def pack(data: Any) -> bytes:
    """Msgpack bytes of atoms, records and lists of them."""
    packed: bytes = _Packer(buf_size=_BUFFER_BYTES).pack(data)
    return packed


#: As `pack`, for what is known to be small: one packer for all, whose buffer stays.  It is written in C and never lets
#: go of Python's lock while it packs, so threads cannot meet in it.
pack_small: Callable[[Any], bytes] = _Packer(autoreset=True).pack
if _Packer.__module__.endswith("fallback"):  # written in Python, where they could
    pack_small = pack

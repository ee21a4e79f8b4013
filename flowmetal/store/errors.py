"""StoreError, the one exception of the store, and the checks of names and sizes that raise it."""

from __future__ import annotations

from flowmetal.diagnostics import FlowmetalError

#: Names are parts of keys, and LMDB's keys have at most 511 bytes.
MAX_NAME_BYTES = 200
#: One event, segment, payload, result or argument vector; a larger one would hold up everybody's commit.
MAX_VALUE_BYTES = 64 << 20
#: One checkpoint or artifact.
MAX_IMAGE_BYTES = 512 << 20


class StoreError(FlowmetalError):
    """A store refused or failed; `code` is one of the S codes of the catalogue, `facts` say what and where."""


def check_name(what: str, name: str) -> bytes:
    """The UTF-8 of a name that is fit to be part of a key; S204 for others."""
    if isinstance(name, str) and name and name.isprintable():
        try:
            data = name.encode()
        except UnicodeEncodeError:
            data = b""
        if 0 < len(data) <= MAX_NAME_BYTES:
            return data
    raise StoreError("S204", what=what, limit=MAX_NAME_BYTES, found=repr(name)[:80])


def check_size(what: str, data: bytes, limit: int = MAX_VALUE_BYTES) -> None:
    """S205 where `data` is larger than `limit` bytes."""
    if len(data) > limit:
        raise StoreError("S205", what=what, size=len(data), limit=limit)

"""Lives: a store made of a backup has the backup's id, and one more for the processes that it starts from then on.

Idempotency keys begin with such an id.  Processes that were in the backup keep theirs: what they sent between the
backup and the loss is sent again with the same key.  A new process may get a number that another one had in a life
that is lost; its keys are others.
"""

from __future__ import annotations

from flowmetal.store.codec import pack, unpack
from flowmetal.store.layout import META

#: The record of META.
LIVES = b"lives"

#: (the first pid of a life, its id), the oldest first; the life before all of them has the id of the store.
Lives = tuple[tuple[int, str], ...]


def encode_lives(lives: Lives) -> bytes:
    """The record."""
    data: bytes = pack([list(life) for life in lives])
    return data


def decode_lives(data: bytes | None) -> Lives:
    """From the record, or None where the store was never restored."""
    return () if data is None else tuple((int(first), str(id)) for first, id in unpack(META, data))


def life_of(store_id: str, lives: Lives, pid: int) -> str:
    """What the idempotency keys of a process begin with."""
    for first, id in reversed(lives):
        if pid >= first:
            return id
    return store_id

"""Changes the keys of an encrypted store while it runs: the command Rekey.

A new data key is added first; what is written from the next transaction on is encrypted with it.  Then the records of
other generations are written anew, some at a time in the order of their keys, and at the end their data keys are
forgotten.  How far it is stands in the store, so that it goes on after a crash.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from typing import TYPE_CHECKING

from flowmetal.store import failpoint
from flowmetal.store.encryption import MAX_GENERATION, new_data_key, wrap
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Rekey
from flowmetal.store.layout import SPACE_NAMES
from flowmetal.store.sealing import SEAL, TRAILER_BYTES, SealRecord, decode_seal, encode_seal, next_space

if TYPE_CHECKING:
    from flowmetal.store.lmdb_engine import LmdbEngine
    from flowmetal.store.lmdb_transaction import LmdbTransaction

_log = logging.getLogger(__name__)

#: Records and bytes in one transaction.
CHUNK_RECORDS = 2000
CHUNK_BYTES = 4 << 20

Place = tuple[str, bytes]
#: Where everything begins: before the first record of the first space.
FIRST: Place = (SPACE_NAMES[0], b"")

#: The generation that is written, how many records were written anew, whether the change is over.
Rekeyed = tuple[int, int, bool]


def after(place: Place, last: bytes | None) -> Place | None:
    """The place after a chunk: behind its last key, or, where there was none, the next space; None at the end."""
    if last is not None:
        return place[0], last
    space = next_space(place[0])
    return None if space is None else (space, b"")


def rekey(engine: LmdbEngine, transaction: LmdbTransaction, command: Rekey) -> Rekeyed:
    """Rekey."""
    stored = transaction.get_meta(SEAL)
    record = decode_seal(stored)
    if not record.keys:
        raise StoreError("S316", path=str(engine.path), reason="it is not encrypted")
    if command.action in ("begin", "go-on"):
        try:
            return (_begin if command.action == "begin" else _go_on)(engine, transaction, record)
        except StoreError as error:
            if error.code != "S313":
                raise
            # Whoever asks had a key that fits, else the store would not be open: it is this process that has another.
            reason = f"the process that writes the store ({os.getpid()}) still has the key from before `rewrap`"
            raise StoreError(
                "S316", path=str(engine.path), reason=f"{reason}; start it again with the new one"
            ) from error
    if command.action == "wrap":
        return _wrap(engine, transaction, record, command, digest_of(stored))
    raise StoreError("S206", reason=f"there is no {command.action!r} of keys")


def digest_of(stored: bytes | None) -> bytes:
    """By which a client says which keys it has seen."""
    return hashlib.sha256(stored or b"").digest()


def _begin(engine: LmdbEngine, transaction: LmdbTransaction, record: SealRecord) -> Rekeyed:
    """Adds a data key; where a change is under way, it goes on."""
    if record.renewed is not None:
        return record.current, 0, False
    engine.check_key(record)
    key = engine.wrapping_key
    assert key is not None
    generation = record.current % MAX_GENERATION + 1
    wrapped = wrap(key, new_data_key(), engine.id, generation)
    keys = (*record.keys, (generation, wrapped, time.time_ns()))
    transaction.put_meta(SEAL, encode_seal(SealRecord(record.done, keys, generation, FIRST)))
    if failpoint.hook is not None:
        failpoint.hook("rekey/key")
    return generation, 0, False


def _go_on(engine: LmdbEngine, transaction: LmdbTransaction, record: SealRecord) -> Rekeyed:
    if record.renewed is None:
        return record.current, 0, True
    if transaction.generation != record.current:
        # It was added in this transaction, and is what is written from the next one on.
        return record.current, 0, False
    found, written = renew_some(transaction, record)
    return found.current, written, found.renewed is None


def _wrap(
    engine: LmdbEngine, transaction: LmdbTransaction, record: SealRecord, command: Rekey, digest: bytes
) -> Rekeyed:
    wrapped = dict(command.wrapped)
    if digest != command.expected or set(wrapped) != {generation for generation, _, _ in record.keys}:
        raise StoreError("S316", path=str(engine.path), reason="they were changed meanwhile")
    keys = tuple((generation, wrapped[generation], made_at) for generation, _, made_at in record.keys)
    transaction.put_meta(SEAL, encode_seal(SealRecord(record.done, keys, record.current, record.renewed)))
    return record.current, 0, True


def renew_some(transaction: LmdbTransaction, record: SealRecord) -> tuple[SealRecord, int]:
    """Writes the next records anew that are not encrypted with the current data key: (how far it is, how many)."""
    place = record.renewed
    seen = written = size = 0
    while place is not None and seen < CHUNK_RECORDS and size < CHUNK_BYTES:
        space, start = place
        items = transaction.stored(space, start + b"\x00" if start else b"", CHUNK_RECORDS - seen, CHUNK_BYTES)
        renewed = []
        for key, stored in items:
            size += len(stored)
            if stored[-TRAILER_BYTES:-4] != bytes((record.current,)):
                try:
                    renewed.append((key, transaction.open_stored(space, key, stored)))
                except StoreError as error:
                    if not error.is_damage:
                        raise
                    _log.error("a record stays as it is: %s", error)
        transaction.put_all(space, renewed)
        seen += len(items)
        written += len(renewed)
        place = after(place, items[-1][0] if items else None)
    if failpoint.hook is not None:
        failpoint.hook("rekey/some")
    keys = record.keys
    if place is None:  # no record needs the others any more
        if failpoint.hook is not None:
            failpoint.hook("rekey/end")
        keys = tuple(one for one in keys if one[0] == record.current)
    found = SealRecord(record.done, keys, record.current, place)
    transaction.put_meta(SEAL, encode_seal(found))
    return found, written

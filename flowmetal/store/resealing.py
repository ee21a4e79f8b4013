"""Writes records anew in small transactions: sealing a store of an older format, and changing data keys.

How far it is stands in the store (SealRecord), so that it goes on after a crash where it was, and so that whoever reads
meanwhile knows which records are sealed.  Only the process that may write the store does it.
"""

from __future__ import annotations

import logging

from flowmetal.store.codec import encode_about
from flowmetal.store.errors import StoreError
from flowmetal.store.layout import FORMAT, SEALED_FORMAT, SPACE_NAMES
from flowmetal.store.lmdb_engine import LmdbEngine, LmdbError, MapFull, TransactionFull
from flowmetal.store.lmdb_files import ENGINE, check_about
from flowmetal.store.lmdb_transaction import LmdbTransaction
from flowmetal.store.sealing import ABOUT, SEAL, TRAILER_BYTES, SealRecord, decode_seal, encode_seal, next_space

_log = logging.getLogger(__name__)

#: Records and bytes in one transaction.
CHUNK_RECORDS = 2000
CHUNK_BYTES = 4 << 20

Place = tuple[str, bytes]
#: Where everything begins: before the first record of the first space.
FIRST: Place = (SPACE_NAMES[0], b"")


def after(place: Place, last: bytes | None) -> Place | None:
    """The place after a chunk: behind its last key, or, where there was none, the next space; None at the end."""
    if last is not None:
        return place[0], last
    space = next_space(place[0])
    return None if space is None else (space, b"")


def seal_older(engine: LmdbEngine) -> None:
    """Seals all records of a store of a format without seals; at once, where that was begun, from there on.

    Whoever opens the store waits for it: some seconds a million records.
    """
    if engine.is_sealed:
        return
    _log.warning("the store at %s is brought up to format %d", engine.path, FORMAT)
    going_on = True
    try:
        while going_on:
            try:
                with engine.writing() as transaction:
                    going_on = _seal_some(engine, transaction)
                    transaction.commit()
            except MapFull:
                if not engine.grow():
                    raise StoreError("S302", path=str(engine.path), limit=engine.options.map_limit) from None
    except TransactionFull as error:
        raise StoreError("S303", path=str(engine.path), reason="a transaction is too large") from error
    except LmdbError as error:
        raise engine.commit_error(error) from error
    engine.is_sealed = True


def _seal_some(engine: LmdbEngine, transaction: LmdbTransaction) -> bool:
    """Seals the next records; False where all are."""
    format, _, _ = check_about(engine.path, transaction.get_meta(ABOUT))
    if format < SEALED_FORMAT:
        # From here on a process with older code refuses the store.
        transaction.put_meta(ABOUT, encode_about(FORMAT, ENGINE, engine.id, engine.made_at))
        done: Place | None = FIRST
    else:
        done = decode_seal(transaction.get_meta(SEAL)).done
    written = 0
    while done is not None and written < CHUNK_RECORDS:
        space, key = done
        start = key + b"\x00" if key else b""
        items = transaction.stored(space, start, CHUNK_RECORDS - written, CHUNK_BYTES)
        transaction.put_all(space, items)  # what is stored is the value, and putting it seals it
        written += len(items)
        done = after(done, items[-1][0] if items else None)
        if sum(len(stored) for _, stored in items) >= CHUNK_BYTES:
            break
    transaction.put_meta(SEAL, encode_seal(SealRecord(done=done)))
    return done is not None


def renew_some(transaction: LmdbTransaction, record: SealRecord, limit: int = CHUNK_RECORDS) -> tuple[SealRecord, int]:
    """Writes the next records anew that are not sealed with the current data key: (how far it is, how many).

    At the end the other data keys are forgotten: no record needs them.
    """
    place = record.renewed
    seen = written = 0
    while place is not None and seen < limit:
        space, key = place
        items = transaction.stored(space, key + b"\x00" if key else b"", limit - seen, CHUNK_BYTES)
        renewed = []
        for key, stored in items:
            if stored[-TRAILER_BYTES] != record.current:
                try:
                    renewed.append((key, transaction.open_stored(space, key, stored)))
                except StoreError as error:
                    if not error.is_damage:
                        raise
                    # Its data key goes, and with it the way to it that a person might still have found.
                    _log.error("a record stays as it is: %s", error)
        transaction.put_all(space, renewed)
        seen += len(items)
        written += len(renewed)
        place = after(place, items[-1][0] if items else None)
        if sum(len(stored) for _, stored in items) >= CHUNK_BYTES:
            break
    keys, plain_too = record.keys, record.plain_too
    if place is None:
        keys, plain_too = tuple(one for one in keys if one[0] == record.current), False
    found = SealRecord(record.done, keys, record.current, plain_too, place)
    transaction.put_meta(SEAL, encode_seal(found))
    return found, written

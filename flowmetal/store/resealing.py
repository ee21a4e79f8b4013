"""Seals the records of a store of an older format, in small transactions.

How far it is stands in the store (SealRecord), so that it goes on after a crash where it was, and so that whoever reads
meanwhile knows which records are sealed.  Only the process that may write the store does it.
"""

from __future__ import annotations

import logging

from flowmetal.store.codec import encode_about, pack
from flowmetal.store.errors import StoreError
from flowmetal.store.grant_rows import GRANTS
from flowmetal.store.layout import DEPLOYED, FORMAT, SEALED_FORMAT
from flowmetal.store.lmdb_engine import LmdbEngine, MapFull, TransactionFull
from flowmetal.store.lmdb_errors import LmdbError
from flowmetal.store.lmdb_files import ENGINE, check_about
from flowmetal.store.lmdb_transaction import LmdbTransaction
from flowmetal.store.rekeying import CHUNK_BYTES, CHUNK_RECORDS, FIRST, Place, after
from flowmetal.store.sealing import ABOUT, SEAL, SealRecord, decode_seal, encode_seal

_log = logging.getLogger(__name__)


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
        raise engine.write_error(error) from error
    engine.is_sealed = True


def _seal_some(engine: LmdbEngine, transaction: LmdbTransaction) -> bool:
    """Seals the next records; False where all are."""
    format, _, _ = check_about(engine.path, transaction.get_meta(ABOUT))
    if format < SEALED_FORMAT:
        for name, _ in transaction.scan(DEPLOYED):  # their processes could do everything
            transaction.put_meta(GRANTS + name, pack(None))
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

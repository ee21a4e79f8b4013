"""Batches of attached processes, applied exactly once in effect.

Each client numbers its batches.  The results of a batch that wrote something are kept with it, in the same
transaction, until the client says that they have arrived; so a batch that is sent again, because the owner died before
it answered, gets the results it had.  A batch that wrote nothing may as well run again.
"""

from __future__ import annotations

from flowmetal.store.changes import Changes
from flowmetal.store.commands import apply_all
from flowmetal.store.layout import CLIENTS, read_u64, u64
from flowmetal.store.wire_codec import decode_client, decode_commands, encode_client, encode_results

#: Bytes of a client's id.
CLIENT_BYTES = 16
#: What a client that vanished had, is kept for so long.  One that lives sends again within seconds.
FORGET_CLIENT_NS = 3600 * 1_000_000_000


class StaleBatch(Exception):
    """A batch whose results have arrived came once more, late, by a connection that is gone: nobody waits for it."""


def apply_batch(changes: Changes, client: bytes, number: int, arrived: int, commands: bytes) -> bytes:
    """The encoded results of a batch.  `arrived`: the client has the results of all batches up to this number."""
    transaction = changes.transaction
    head = transaction.get(CLIENTS, client + u64(0))
    known_arrived = decode_client(head)[0] if head is not None else 0
    if number <= known_arrived:
        raise StaleBatch
    known = transaction.get(CLIENTS, client + u64(number))
    if known is not None:
        return known
    writes = transaction.writes
    results = encode_results(apply_all(changes, decode_commands(commands)))
    if transaction.writes == writes:
        return results
    transaction.put(CLIENTS, client + u64(number), results)
    if head is None or arrived > known_arrived:
        for key, _ in transaction.scan(CLIENTS, client, start=client + u64(1), stop=client + u64(arrived + 1)):
            transaction.delete(CLIENTS, key)
        transaction.put(CLIENTS, client + u64(0), encode_client(max(arrived, known_arrived), changes.now))
    return results


def forget_client(changes: Changes, client: bytes) -> None:
    """Removes what is kept for a client that has said good-bye."""
    for key, _ in changes.transaction.scan(CLIENTS, client):
        changes.transaction.delete(CLIENTS, key)


def sweep_clients(changes: Changes, connected: frozenset[bytes]) -> None:
    """Removes what is kept for clients that vanished long ago."""
    start = b""
    while True:
        found = changes.transaction.scan(CLIENTS, start=start, limit=1)
        if not found:
            return
        key, value = found[0]
        client = key[:CLIENT_BYTES]
        is_head = read_u64(key, CLIENT_BYTES) == 0
        if client not in connected and (not is_head or decode_client(value)[1] < changes.now - FORGET_CLIENT_NS):
            forget_client(changes, client)
        start = client + b"\xff" * 8 + b"\x00"

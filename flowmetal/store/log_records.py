"""Log records: the entries of a turn in one record, as far as they are small.

The key is that of the record's first entry; the entries after it in the record have the sequences that follow.  So a
turn of two entries is one put, and the key and the head of a record are paid once.  A part above 0, a saved cut within
an entry, has a record of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgpack

from flowmetal.store.codec import unpack, unreadable
from flowmetal.store.interface import LogEntry
from flowmetal.store.layout import LOG, log_key, pair_key, pid_key, read_log_key
from flowmetal.store.texts import whole
from flowmetal.store.transaction import ReadTransaction

#: Bytes of entries after which the next one begins a record.  What does not fit into half a page of LMDB gets pages of
#: its own, partly empty.
RECORD_BYTES = 1000

# Records are written by one thread at a time, and packing gives way to no other thread.
_pack = msgpack.Packer(autoreset=True).pack


def log_records(pid: int, entries: Sequence[tuple[int, int, bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Keys and values for entries (sequence, part, event, segment), which are in order and without gaps."""
    if len(entries) == 2:  # an answer and the next request, which most turns are: what the general way gives
        (sequence, part, event, segment), (second, second_part, second_event, second_segment) = entries
        size = len(event) + len(segment) + len(second_event) + len(second_segment)
        if not (part or second_part) and second == sequence + 1 and size <= RECORD_BYTES:
            fields = (event or None, segment or None, second_event or None, second_segment or None)
            return [((pid << 40 | sequence).to_bytes(10, "big"), _pack(fields))]
    return list(_records(pid, entries))


def _records(pid: int, entries: Sequence[tuple[int, int, bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    first = 0
    fields: list[bytes | None] = []
    size = 0
    for sequence, part, event, segment in entries:
        if fields and (part or size > RECORD_BYTES or sequence != first + len(fields) // 2):
            yield pair_key(pid, first), _pack(fields)
            fields, size = [], 0
        if part:
            yield log_key(pid, sequence, part), _pack([event or None, segment or None])
            continue
        if not fields:
            first = sequence
        elif size + len(event) + len(segment) > RECORD_BYTES:
            yield pair_key(pid, first), _pack(fields)
            fields, size, first = [], 0, sequence
        fields += (event or None, segment or None)
        size += len(event) + len(segment)
    if fields:
        yield pair_key(pid, first), _pack(fields)


def entries_of(key: bytes, value: bytes) -> Iterator[LogEntry]:
    """The entries of a record."""
    try:
        fields = unpack(LOG, value)
        pid, sequence, part = read_log_key(key)
        if len(fields) % 2:
            raise ValueError("an event without a segment")
        for index in range(0, len(fields), 2):
            yield LogEntry(pid, sequence + index // 2, part, fields[index] or b"", fields[index + 1] or b"")
    except (TypeError, ValueError) as error:
        raise unreadable(LOG, error) from error


def read_entries(transaction: ReadTransaction, pid: int, start: int, page: int) -> Iterator[LogEntry]:
    """The entries of a process from sequence `start` on, read by pages of records."""
    prefix = pid_key(pid)
    key = pair_key(pid, start)
    # The entry may stand within a record that begins before it.
    before = transaction.scan(LOG, prefix, start=key, limit=1, reverse=True)
    if before:
        key = before[0][0]
    while True:
        items: Iterable[tuple[bytes, bytes]] = transaction.scan(LOG, prefix, start=key, limit=page)
        count = 0
        for key, value in items:
            count += 1
            for entry in entries_of(key, whole(transaction, LOG, pid, value)):
                if entry.sequence >= start:
                    yield entry
        if count < page:
            return
        key += b"\x00"

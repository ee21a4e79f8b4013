"""RowChanges: the write transaction of a group of commands with the rows that it changes: processes, queues, counters.

Rows are read once and stay in memory (`Cache`), also between groups: nobody else writes the store.  What changed in a
row, and what is only ever appended, is written in one go at the end of the group, by `flush`.  A group that is not
committed must be followed by `Cache.clear`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from flowmetal.store.cache import Cache
from flowmetal.store.codec import (
    LIVE,
    PAUSED,
    decode_number,
    decode_partition,
    encode_inbox,
    encode_number,
    encode_partition,
    inbox_number,
)
from flowmetal.store.interface import PARTITIONS as PARTITION_COUNT
from flowmetal.store.interface import Hint
from flowmetal.store.layout import (
    CALLS,
    INBOX,
    MAX_NUMBER,
    META,
    ORIGINS,
    PARTITIONS,
    PROCESSES,
    QUEUE_KEYS,
    QUEUES,
    READY,
    STATES,
    STATUSES,
    inbox_key,
    pid_key,
    read_pid,
    ready_key,
    status_key,
    u16,
)
from flowmetal.store.queue_rows import (
    KeyRow,
    QueueRow,
    decode_key,
    decode_queue,
    encode_key,
    encode_queue,
)
from flowmetal.store.rows import (
    NEW,
    BornRow,
    Origin,
    Place,
    ProcessRow,
    decode_born,
    decode_origin,
    decode_state,
    encode_born,
    encode_origin,
    encode_state,
    first_row,
    new_row,
)
from flowmetal.store.transaction import WriteTransaction


def always_alive(interpreter: str) -> bool:
    """For engines that cannot tell whether an interpreter's process still runs: leases alone decide."""
    return True


class RowChanges:
    """The rows that a group of commands changes.  `now` is the same for all of them; see changes.py."""

    __slots__ = ("_appended", "_counted", "_fresh", "_queue_keys", "_queues", "_rows", "_touched", "alive", "cache",
                 "ended_runs", "hints", "left", "nearly_full", "now", "returning", "transaction",
                 "unsettled")  # fmt: skip

    def __init__(
        self,
        transaction: WriteTransaction,
        now: int,
        cache: Cache,
        alive: Callable[[str], bool] = always_alive,
        nearly_full: Callable[[], None] | None = None,
    ) -> None:
        self.transaction = transaction
        self.now = now
        self.cache = cache
        self.alive = alive
        self.nearly_full = nearly_full  # raises S304 where no new process should start
        self.hints: set[Hint] = set()
        self._rows = cache.rows
        self._touched: dict[int, ProcessRow] = {}
        self._fresh: dict[int, ProcessRow] = {}  # of new processes
        self._appended: dict[str, dict[bytes, bytes]] = {}
        self._counted: set[str] = set()
        self._queues: dict[int, QueueRow] = {}
        self._queue_keys: dict[bytes, KeyRow | None] = {}  # None: it is to be removed
        self.unsettled: set[int] = set()  # queues in which somebody may be admitted; see queues.settle
        self.ended_runs: list[tuple[int, str]] = []  # runs of schedules that have ended; see schedules.settle
        self.left: list[tuple[int, Place]] = []  # processes of queues that have ended
        self.returning: list[int] = []  # those that are to go on and have no slot

    # ---- the end of a group --------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes the rows that were touched, with their indexes, and what was appended and counted."""
        transaction = self.transaction
        for pid, row in self._fresh.items():
            if pid not in self._touched:  # what it was started as says all of it
                self._write_indexes(pid, row)
        self._fresh.clear()
        if self._touched:
            store_id = self.cache.store_id
            states = []
            for pid in sorted(self._touched):
                row = self._touched[pid]
                if row.old_status != row.status or row.old_mark != row.mark or row.old_calls != (row.calls > 0):
                    self._write_indexes(pid, row)
                states.append((pid.to_bytes(5, "big"), encode_state(pid, row, store_id)))
            transaction.put_all(STATES, states)
            self._touched.clear()
        if self._queues:
            self._write_queues()
        for space, items in self._appended.items():
            transaction.put_all(space, sorted(items.items()))
        self._appended.clear()
        for counter in sorted(self._counted):
            transaction.put(META, b"counter:" + counter.encode(), encode_number(self.cache.counters[counter]))
        self._counted.clear()

    def forget(self) -> None:
        """Drops what is not written yet, and all that is known of the store; with the writes, which are taken back."""
        self._touched.clear()
        self._fresh.clear()
        self._appended.clear()
        self._counted.clear()
        self._queues.clear()
        self._queue_keys.clear()
        self.unsettled.clear()
        self.left.clear()
        self.ended_runs.clear()
        self.returning.clear()
        self.cache.clear()

    def _write_indexes(self, pid: int, row: ProcessRow) -> None:
        transaction = self.transaction
        status, mark, calls = row.status, row.mark, row.calls > 0
        old_status, old_mark = row.old_status, row.old_mark
        if old_status != status:
            if old_status != NEW:
                transaction.delete(STATUSES, status_key(old_status, pid))
                self.count(f"status:{old_status}", -1)
            transaction.put(STATUSES, status_key(status, pid), b"")
            self.count(f"status:{status}", 1)
            if status != LIVE:
                self.hints.add(("process", pid))
        if old_mark != mark:
            partition = pid % PARTITION_COUNT
            if old_mark:
                transaction.delete(READY, ready_key(partition, old_mark))
            if mark:
                transaction.put(READY, ready_key(partition, mark), pid_key(pid))
                self.hints.add(("ready", partition))
                if not old_mark and old_status != NEW:
                    self.hints.add(("woken", pid))
        was_ready = old_status == LIVE and old_mark != 0
        is_ready = status == LIVE and mark != 0
        if was_ready != is_ready:
            self.count("ready", 1 if is_ready else -1)
        if row.old_calls != calls:
            if calls:
                transaction.put(CALLS, pid_key(pid), b"")
            else:
                transaction.delete(CALLS, pid_key(pid))
        row.old_status, row.old_mark, row.old_calls = status, mark, calls

    def append(self, space: str, key: bytes, value: bytes) -> None:
        """Writes at the end of the group; not seen by `transaction.get` before."""
        items = self._appended.get(space)
        if items is None:
            items = self._appended[space] = {}
        items[key] = value
        self.transaction.writes += 1

    # ---- queues --------------------------------------------------------------------------------------------------

    def load_queue(self, number: int) -> QueueRow | None:
        """The row of a queue, or None.  It is shared: `touch_queue` it before it is changed."""
        row = self.cache.queues.get(number)
        if row is None:
            data = self.transaction.get(QUEUES, pid_key(number))
            if data is not None:
                row = self.cache.queues[number] = decode_queue(number, data)
        return row

    def touch_queue(self, row: QueueRow, *, settle: bool = True) -> None:
        """Has a queue written at the end of the group, and looked at for whom to admit at the end of the list."""
        self._queues[row.number] = row
        if settle:
            self.unsettled.add(row.number)
        self.transaction.writes += 1

    def add_queue(self, row: QueueRow) -> None:
        """Adds a new queue."""
        self.cache.queues[row.number] = row
        self.transaction.put(QUEUES, row.name.encode(), pid_key(row.number))
        self.touch_queue(row)

    def remove_queue(self, row: QueueRow) -> None:
        """Removes a queue without processes."""
        self._queues.pop(row.number, None)
        self.unsettled.discard(row.number)
        self.cache.queues.pop(row.number, None)
        self.transaction.delete(QUEUES, row.name.encode())
        self.transaction.delete(QUEUES, pid_key(row.number))

    def load_queue_key(self, stored: bytes) -> KeyRow:
        """The row of a key of a queue, which is touched; a new one where nothing of it is in the queue."""
        if stored in self._queue_keys:
            return self._queue_keys[stored] or KeyRow()
        data = self.transaction.get(QUEUE_KEYS, stored)
        return KeyRow() if data is None else decode_key(data)

    def put_queue_key(self, stored: bytes, row: KeyRow | None) -> None:
        """Has a key written at the end of the group, or removed."""
        self._queue_keys[stored] = row

    def scan_queue_keys(self, prefix: bytes, start: bytes, limit: int) -> list[bytes]:
        """Keys in order, those that are not written yet included."""
        self._write_queue_keys()
        return [key for key, _ in self.transaction.scan(QUEUE_KEYS, prefix, start=start, limit=limit, values=False)]

    def _write_queues(self) -> None:
        for number in sorted(self._queues):
            self.transaction.put(QUEUES, pid_key(number), encode_queue(self._queues[number]))
        self._queues.clear()
        self._write_queue_keys()

    def _write_queue_keys(self) -> None:
        for stored in sorted(self._queue_keys):
            row = self._queue_keys[stored]
            if row is None:
                self.transaction.delete(QUEUE_KEYS, stored)
            else:
                self.transaction.put(QUEUE_KEYS, stored, encode_key(row))
        self._queue_keys.clear()

    # ---- counters and epochs -------------------------------------------------------------------------------------

    def count(self, counter: str, amount: int) -> int:
        """Adds to a counter and returns its value."""
        counters = self.cache.counters
        value = counters.get(counter)
        if value is None:
            data = self.transaction.get(META, b"counter:" + counter.encode())
            value = 0 if data is None else decode_number(data)
        value += amount
        counters[counter] = value
        self._counted.add(counter)
        self.transaction.writes += 1
        return value

    def epoch_of(self, partition: int) -> int:
        """The epoch of a partition; 0 if no interpreter ever had it."""
        epoch = self.cache.epochs.get(partition)
        if epoch is None:
            data = self.transaction.get(PARTITIONS, u16(partition))
            epoch = self.cache.epochs[partition] = 0 if data is None else decode_partition(data)[1]
        return epoch

    def put_partition(self, partition: int, holder: str, epoch: int) -> None:
        """Gives a partition to an interpreter."""
        self.transaction.put(PARTITIONS, u16(partition), encode_partition(holder, epoch))
        self.cache.epochs[partition] = epoch

    # ---- processes -----------------------------------------------------------------------------------------------

    def load_process(self, pid: int) -> ProcessRow | None:
        """The row of a process, or None.  It is shared: `touch` it before it is changed."""
        row = self._rows.get(pid)
        if row is None and 0 < pid <= MAX_NUMBER:
            data = self.transaction.get(STATES, pid_key(pid))
            if data is not None:
                row = self._rows[pid] = decode_state(pid, data, self.cache.store_id)
            else:
                data = self.transaction.get(PROCESSES, pid_key(pid))
                if data is not None:
                    row = self._rows[pid] = first_row(decode_born(data))
        return row

    def row_for_turn(self, pid: int, sequence: int, epoch: int) -> ProcessRow | None:
        """The row of a process, touched, for the turn that begins at `sequence`; None where its claim is stale."""
        row = self._rows.get(pid)
        if row is None:
            row = self.load_process(pid)
        if row is None or row.status > PAUSED or row.sequence != sequence:
            return None
        partition = pid % PARTITION_COUNT
        known = self.cache.epochs.get(partition)
        if epoch != (self.epoch_of(partition) if known is None else known):
            return None
        self._touched[pid] = row
        self.transaction.writes += 1
        return row

    def touch(self, pid: int, row: ProcessRow) -> None:
        """Has a row written at the end of the group."""
        self._touched[pid] = row
        self.transaction.writes += 1

    def add_waiting(self, pid: int, born: BornRow) -> ProcessRow:
        """Adds a new process that is to begin later: its start is not in its inbox yet."""
        self.append(PROCESSES, pid_key(pid), encode_born(born))
        row = self._rows[pid] = new_row(born)
        row.events, row.receives = 0, False
        self.touch(pid, row)
        return row

    def add_process(self, pid: int, born: BornRow, arguments: bytes) -> None:
        """Adds a new process, with its start in its inbox."""
        self.append(PROCESSES, pid_key(pid), encode_born(born))
        self._rows[pid] = self._fresh[pid] = new_row(born)
        key = inbox_number("start", self.count("arrivals", 1))
        self.transaction.put(INBOX, inbox_key(pid, key), encode_inbox("start", 0, 0, arguments))

    def number_of(self, origin: Origin) -> int:
        """The number of an origin, which it gets where it has none."""
        number = self.cache.origins.get(origin)
        if number is None:
            value = encode_origin(origin)
            key = hashlib.sha256(value).digest()
            known = self.transaction.get(ORIGINS, key)
            if known is not None:
                number = read_pid(known)
            else:
                number = self.count("origin", 1)
                self.transaction.put(ORIGINS, key, pid_key(number))
                self.transaction.put(ORIGINS, pid_key(number), value)
            self.cache.origins[origin] = number
        return number

    def load_born(self, pid: int) -> tuple[BornRow, Origin] | None:
        """What a process was started as."""
        key = pid_key(pid)
        data = self._appended.get(PROCESSES, {}).get(key) or self.transaction.get(PROCESSES, key)
        if data is None:
            return None
        born = decode_born(data)
        return born, decode_origin(self.transaction.get(ORIGINS, pid_key(born.origin)))

    def born(self, pid: int) -> BornRow | None:
        """What a process was started as, without what it runs."""
        key = pid_key(pid)
        data = self._appended.get(PROCESSES, {}).get(key) or self.transaction.get(PROCESSES, key)
        return None if data is None else decode_born(data)

    def is_touched(self, pid: int) -> bool:
        """Whether something of a process was changed in this group, so that not all of it can be read yet."""
        return pid in self._touched or pid in self._fresh

    def drop_row(self, pid: int) -> None:
        """Forgets the row of a process that is removed."""
        self._rows.pop(pid, None)

    def forget_origin(self, number: int, value: bytes) -> None:
        """Removes an origin that no process has."""
        self.transaction.delete(ORIGINS, pid_key(number))
        self.transaction.delete(ORIGINS, hashlib.sha256(value).digest())
        self.cache.origins.clear()

    def new_mark(self) -> int:
        """A number for a ready mark: behind all that are waiting."""
        return self.count("arrivals", 1)

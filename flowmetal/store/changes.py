"""Changes: the write transaction of a group of commands, with what they share.

The time, the hints, counters kept in memory until the group ends, and the operations that several commands need:
saving a process with its indexes, marking it ready, putting an event into an inbox, ending a request.
"""

from __future__ import annotations

from collections.abc import Callable

from flowmetal.store.codec import (
    ANSWERS,
    KIND_CODES,
    LEASE,
    LIVE,
    MESSAGES,
    PAUSED,
    ProcessRow,
    RequestRow,
    decode_number,
    decode_process,
    decode_request,
    decode_token,
    encode_inbox,
    encode_number,
    encode_process,
    encode_request,
    encode_token,
    inbox_number,
)
from flowmetal.store.errors import StoreError, check_size
from flowmetal.store.interface import PARTITIONS as PARTITION_COUNT
from flowmetal.store.interface import Hint
from flowmetal.store.layout import (
    DUE,
    FORGET,
    INBOX,
    META,
    PROCESSES,
    QUEUE,
    READY,
    REQUESTS,
    STATUSES,
    TIMERS,
    TOKENS,
    due_key,
    queue_key,
    read_due_key,
    read_timer_key,
    read_u64,
    ready_key,
    status_key,
    timer_key,
    u64,
    u64_pair,
)
from flowmetal.store.limits import MAX_MESSAGES
from flowmetal.store.transaction import WriteTransaction

#: How long a token that is over is remembered, so that a repeated delivery is known for one.
TOMBSTONE_NS = 72 * 3600 * 1_000_000_000

#: Events that a paused process is woken for.
WAKING_KINDS = frozenset({"cancel", "resume", "retry"})
WAKING_CODES = frozenset(KIND_CODES[kind] for kind in WAKING_KINDS)


def always_alive(interpreter: str) -> bool:
    """For engines that cannot tell whether an interpreter's process still runs: leases alone decide."""
    return True


class Changes:
    """What a group of commands changes.  `now` is the same for all of them."""

    __slots__ = ("_changed", "_counters", "alive", "hints", "nearly_full", "now", "transaction")

    def __init__(
        self,
        transaction: WriteTransaction,
        now: int,
        alive: Callable[[str], bool] = always_alive,
        nearly_full: Callable[[], None] | None = None,
    ) -> None:
        self.transaction = transaction
        self.now = now
        self.alive = alive
        self.nearly_full = nearly_full  # raises S304 where no new process should start
        self.hints: set[Hint] = set()
        self._counters: dict[str, int] = {}
        self._changed: set[str] = set()

    # ---- counters ------------------------------------------------------------------------------------------------

    def next_number(self, counter: str) -> int:
        """The next number of a counter."""
        return self.add(counter, 1)

    def add(self, counter: str, amount: int) -> int:
        """Adds to a counter and returns its value."""
        counters = self._counters
        value = counters.get(counter)
        if value is None:
            data = self.transaction.get(META, b"counter:" + counter.encode())
            value = 0 if data is None else decode_number(data)
        value += amount
        counters[counter] = value
        self._changed.add(counter)
        return value

    def write_counters(self) -> None:
        """Puts the counters that changed; called once, before the commit."""
        for counter in self._changed:
            self.transaction.put(META, b"counter:" + counter.encode(), encode_number(self._counters[counter]))
        self._changed.clear()

    def counters(self) -> tuple[dict[str, int], set[str]]:
        """The counters as they are, for restore_counters."""
        return dict(self._counters), set(self._changed)

    def restore_counters(self, saved: tuple[dict[str, int], set[str]]) -> None:
        """Takes back what was counted since; together with all that was written since."""
        self._counters, self._changed = saved

    # ---- processes -----------------------------------------------------------------------------------------------

    def load_process(self, pid: int) -> ProcessRow | None:
        """The row of a process, or None."""
        data = self.transaction.get(PROCESSES, u64(pid)) if 0 < pid < 1 << 63 else None
        return None if data is None else decode_process(data)

    def save_process(self, pid: int, row: ProcessRow, old_status: int | None, old_mark: int) -> None:
        """Writes a process with its status index, ready mark and counts.

        `old_status` (None: it is new) and `old_mark` are what the store has; `row.mark` 0 takes the mark away.
        """
        transaction = self.transaction
        status, mark = row.status, row.mark
        if old_status != status:
            if old_status is not None:
                transaction.delete(STATUSES, status_key(old_status, pid))
                self.add(f"status:{old_status}", -1)
            transaction.put(STATUSES, status_key(status, pid), b"")
            self.add(f"status:{status}", 1)
            if status != LIVE:
                self.hints.add(("process", pid))
        if old_mark != mark:
            partition = pid % PARTITION_COUNT
            if old_mark:
                transaction.delete(READY, ready_key(partition, old_mark))
            if mark:
                transaction.put(READY, ready_key(partition, mark), u64(pid))
                self.hints.add(("ready", partition))
        was_ready = old_status == LIVE and old_mark != 0
        is_ready = status == LIVE and mark != 0
        if was_ready != is_ready:
            self.add("ready", 1 if is_ready else -1)
        transaction.put(PROCESSES, u64(pid), encode_process(row))

    def new_mark(self) -> int:
        """A number for a ready mark: behind all that are waiting."""
        return self.next_number("arrivals")

    def put_inbox(
        self, pid: int, row: ProcessRow, kind: str, data: bytes, *, number: int = 0, attempt: int = 0
    ) -> None:
        """Puts an event into the inbox of a process that has not ended, and marks it ready if it is to run for it."""
        check_size("an event", data)
        key = inbox_number(kind, self.next_number("arrivals"))
        is_message = key >= MESSAGES
        if is_message and row.messages >= MAX_MESSAGES:
            raise StoreError("S208", pid=pid, limit=MAX_MESSAGES)
        self.transaction.put(INBOX, u64_pair(pid, key), encode_inbox(kind, number, attempt, data))
        old_mark = row.mark
        row.messages += is_message
        wakes = kind in WAKING_KINDS or (row.status != PAUSED and (row.receives or not is_message))
        if wakes and not old_mark:
            row.mark = self.new_mark()
        if is_message or row.mark != old_mark:
            self.save_process(pid, row, row.status, old_mark)

    def deliver(self, pid: int, kind: str, number: int, attempt: int, data: bytes) -> bool:
        """put_inbox for a pid; False where there is no such process or it has ended."""
        row = self.load_process(pid)
        if row is None or row.status > PAUSED:
            return False
        self.put_inbox(pid, row, kind, data, number=number, attempt=attempt)
        return True

    def take_inbox(self, pid: int, row: ProcessRow, key: int) -> None:
        """Removes an event from the inbox; the caller saves the row."""
        if self.transaction.delete(INBOX, u64_pair(pid, key)) and key >= MESSAGES:
            row.messages -= 1

    def wants_turn(self, pid: int, row: ProcessRow) -> bool:
        """Whether a process has events in its inbox that it should run for."""
        stop = u64_pair(pid, MESSAGES)
        if row.status == LIVE:
            if row.receives and row.messages:
                return True
            return bool(self.transaction.scan(INBOX, u64(pid), stop=stop, limit=1))
        start = b""
        stop = u64_pair(pid, ANSWERS)
        while row.status == PAUSED:
            page = self.transaction.scan(INBOX, u64(pid), start=start, stop=stop, limit=256)
            if any(value[1] in WAKING_CODES for _, value in page):  # the byte after the array's head is the kind
                return True
            if len(page) < 256:
                return False
            start = page[-1][0] + b"\x00"
        return False

    # ---- timers --------------------------------------------------------------------------------------------------

    def put_due(self, due: int, pid: int, number: int, kind: int, attempt: int = 0) -> None:
        """Puts a timer into the order of time; tells waiters where it became the first."""
        first = self.transaction.scan(DUE, limit=1)
        if not first or due < read_u64(first[0][0]):
            self.hints.add(("timer", 0))
        self.transaction.put(DUE, due_key(due, pid, number, kind), u64(attempt))

    def set_timer(self, due: int, pid: int, number: int, kind: int) -> None:
        """Sets a timer of a process; one of the same number and kind is replaced."""
        key = timer_key(pid, number, kind)
        old = self.transaction.get(TIMERS, key)
        if old is not None:
            self.transaction.delete(DUE, due_key(read_u64(old), pid, number, kind))
        self.transaction.put(TIMERS, key, u64(due))
        self.put_due(due, pid, number, kind)

    def drop_timers(self, prefix: bytes) -> None:
        """Drops the timers of a process or a request (prefix: pid, or pid and number)."""
        for key, value in self.transaction.scan(TIMERS, prefix):
            pid, number, kind = read_timer_key(key)
            self.transaction.delete(DUE, due_key(read_u64(value), pid, number, kind))
            self.transaction.delete(TIMERS, key)

    # ---- requests ------------------------------------------------------------------------------------------------

    def load_request(self, pid: int, number: int) -> RequestRow | None:
        """The row of a request that is not over, or None."""
        if not (0 < pid < 1 << 63 and 0 <= number < 1 << 63):
            return None
        data = self.transaction.get(REQUESTS, u64_pair(pid, number))
        return None if data is None else decode_request(data)

    def save_request(self, pid: int, number: int, row: RequestRow) -> None:
        """Writes a request."""
        self.transaction.put(REQUESTS, u64_pair(pid, number), encode_request(row))

    def enqueue(self, pid: int, number: int, row: RequestRow) -> None:
        """Puts a request at the end of its queue; the caller saves the row."""
        row.place = self.next_number("arrivals")
        self.transaction.put(QUEUE, queue_key(row.effect.encode(), row.place), u64_pair(pid, number))
        self.hints.add(("request", row.effect))

    def withdraw(self, pid: int, number: int, row: RequestRow) -> None:
        """Takes a request out of its queue and ends its lease; the caller saves the row, or deletes it."""
        if row.place:
            self.transaction.delete(QUEUE, queue_key(row.effect.encode(), row.place))
            row.place = 0
        if row.lease_until:
            self.transaction.delete(DUE, due_key(row.lease_until, pid, number, LEASE))
            row.lease_until = 0

    def close_request(self, pid: int, number: int) -> None:
        """Ends a request with its place in the queue, lease, timers and tokens.  Nothing where there is none."""
        row = self.load_request(pid, number)
        if row is not None:
            self.withdraw(pid, number, row)
            for token in row.tokens:
                self.bury_token(token, pid, number)
            self.transaction.delete(REQUESTS, u64_pair(pid, number))
        self.drop_timers(u64_pair(pid, number))

    def bury_token(self, token: str, pid: int, number: int) -> None:
        """Marks a token as over, unless it was; it is remembered for TOMBSTONE_NS."""
        name = token.encode()
        data = self.transaction.get(TOKENS, name)
        if data is not None and decode_token(data)[2]:
            return
        self.transaction.put(TOKENS, name, encode_token(pid, number, self.now))
        self.transaction.put(FORGET, u64(self.now + TOMBSTONE_NS) + name, b"")

    def end_process(self, pid: int) -> None:
        """Removes what only a living process needs: inbox, requests, queue entries, timers; buries its tokens."""
        prefix = u64(pid)
        for key, _ in self.transaction.scan(REQUESTS, prefix):
            self.close_request(pid, read_u64(key, 8))
        self.drop_timers(prefix)
        for key, _ in self.transaction.scan(INBOX, prefix):
            self.transaction.delete(INBOX, key)


def due_timers(changes: Changes, limit: int) -> list[tuple[int, int, int, int, int]]:
    """(due, pid, number, kind, attempt) of timers that are due, in order of time."""
    items = changes.transaction.scan(DUE, stop=u64(changes.now + 1), limit=limit)
    return [(*read_due_key(key), read_u64(value)) for key, value in items]

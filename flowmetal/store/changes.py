"""Changes: the write transaction of a group of commands, with what they share.

The time, the hints and the rows that were touched (row_changes.py), and here the operations that several commands need:
putting an event into an inbox, which marks a process ready, timers, ending a request.
"""

from __future__ import annotations

import logging

from flowmetal.store.codec import (
    ANSWERS,
    KIND_CODES,
    LEASE,
    LIVE,
    MESSAGES,
    PAUSED,
    decode_token,
    encode_inbox,
    encode_number,
    encode_token,
    inbox_number,
)
from flowmetal.store.errors import StoreError, check_size
from flowmetal.store.layout import (
    DUE,
    FORGET,
    INBOX,
    MAX_NUMBER,
    QUEUE,
    REQUESTS,
    TIMERS,
    TOKENS,
    due_key,
    inbox_key,
    pair_key,
    pid_key,
    queue_key,
    read_timer_key,
    read_u64,
    timer_key,
    u64,
)
from flowmetal.store.limits import MAX_MESSAGES
from flowmetal.store.queue_rows import (
    RETURNING,
    UNSLOTTED,
)
from flowmetal.store.row_changes import RowChanges
from flowmetal.store.rows import (
    NEAR_REQUESTS,
    NEAR_TIMERS,
    ProcessRow,
    RequestRow,
    decode_request,
    encode_request,
)

_log = logging.getLogger(__name__)

#: How long a token that is over is remembered, so that a repeated delivery is known for one.
TOMBSTONE_NS = 72 * 3600 * 1_000_000_000

#: Events that a paused process is woken for.
WAKING_KINDS = frozenset({"cancel", "linked", "resume", "retry", "decided"})
#: Events that may end a process which has not begun.
ENDING_KINDS = frozenset({"cancel", "linked"})
WAKING_CODES = frozenset(KIND_CODES[kind] for kind in WAKING_KINDS)


class Changes(RowChanges):
    """What a group of commands changes."""

    __slots__ = ()

    # ---- inboxes -----------------------------------------------------------------------------------------------------

    def put_inbox(
        self,
        pid: int,
        row: ProcessRow,
        kind: str,
        data: bytes,
        *,
        number: int = 0,
        attempt: int = 0,
        anyhow: bool = False,
    ) -> None:
        """Puts an event into the inbox of a process that has not ended, and marks it ready if it is to run for it.

        `anyhow`: also into an inbox that is full."""
        check_size("an event", data)
        is_message = kind == "message"
        if is_message and row.messages >= MAX_MESSAGES and not anyhow:
            raise StoreError("S208", pid=pid, limit=MAX_MESSAGES)
        self.touch(pid, row)
        key = inbox_number(kind, self.count("arrivals", 1))
        self.transaction.put(INBOX, inbox_key(pid, key), encode_inbox(kind, number, attempt, data))
        if is_message:
            row.messages += 1
        else:
            row.events += 1
        wakes = kind in WAKING_KINDS or (row.status != PAUSED and (row.receives or not is_message))
        if wakes and not row.mark:
            if row.queue is not None and row.queue.state in (UNSLOTTED, RETURNING) and kind not in ENDING_KINDS:
                self.returning.append(pid)  # it goes on once it has a slot again
                return
            row.mark = self.new_mark()

    def deliver(self, pid: int, kind: str, number: int, attempt: int, data: bytes) -> bool:
        """put_inbox for a pid; False where there is no such process, or it has ended, or its record is damaged."""
        try:
            row = self.load_process(pid)
        except StoreError as error:
            if not error.is_damage:
                raise
            _log.error("process %d does not get %s: %s", pid, kind, error)
            return False
        if row is None or row.status > PAUSED:
            return False
        self.put_inbox(pid, row, kind, data, number=number, attempt=attempt)
        return True

    def take_inbox(self, pid: int, row: ProcessRow, key: int) -> None:
        """Removes an event from the inbox of a touched process."""
        if self.transaction.delete(INBOX, inbox_key(pid, key)):
            if key >= MESSAGES:
                row.messages -= 1
            else:
                row.events -= 1

    def wants_turn(self, pid: int, row: ProcessRow) -> bool:
        """Whether a process has events in its inbox that it should run for."""
        if row.status == LIVE:
            return row.events > 0 or (row.receives and row.messages > 0)
        start = b""
        stop = inbox_key(pid, ANSWERS)
        while row.status == PAUSED and row.events > 0:
            page = self.transaction.scan(INBOX, pid_key(pid), start=start, stop=stop, limit=256)
            if any(value[1] in WAKING_CODES for _, value in page):  # the byte after the array's head is the kind
                return True
            if len(page) < 256:
                return False
            start = page[-1][0] + b"\x00"
        return False

    # ---- timers --------------------------------------------------------------------------------------------------

    def put_due(self, due: int, pid: int, number: int, kind: int, attempt: int = 0, *, value: bytes = b"") -> None:
        """Puts a timer into the order of time; tells waiters where it became the first."""
        first = self.transaction.scan(DUE, limit=1, values=False)
        if not first or due < read_u64(first[0][0]):
            self.hints.add(("timer", 0))
        self.transaction.put(DUE, due_key(due, pid, number, kind), encode_number(attempt) if attempt else value)

    def set_timer(self, pid: int, row: ProcessRow, due: int, number: int, kind: int) -> None:
        """Sets a timer of a touched process; one of the same number and kind is replaced."""
        self.drop_timer(pid, row, number, kind)
        if len(row.timers) < NEAR_TIMERS:
            row.timers[number, kind] = due
        else:
            self.transaction.put(TIMERS, timer_key(pid, number, kind), u64(due))
            row.far_timers += 1
        self.put_due(due, pid, number, kind)

    def drop_timer(self, pid: int, row: ProcessRow, number: int, kind: int) -> None:
        """Drops one timer of a touched process, if there is such a one."""
        due = row.timers.pop((number, kind), None)
        if due is None and row.far_timers:
            key = timer_key(pid, number, kind)
            old = self.transaction.get(TIMERS, key)
            if old is not None:
                due = read_u64(old)
                self.transaction.delete(TIMERS, key)
                row.far_timers -= 1
        if due is not None:
            self.transaction.delete(DUE, due_key(due, pid, number, kind))

    def drop_timers(self, pid: int, row: ProcessRow, number: int | None = None) -> None:
        """Drops the timers of a request of a touched process, or all."""
        if row.timers:
            for key in [key for key in row.timers if number is None or key[0] == number]:
                self.transaction.delete(DUE, due_key(row.timers.pop(key), pid, *key))
        if row.far_timers:
            prefix = pid_key(pid) if number is None else pair_key(pid, number)
            for stored, value in self.transaction.scan(TIMERS, prefix):
                self.transaction.delete(DUE, due_key(read_u64(value), *read_timer_key(stored)))
                self.transaction.delete(TIMERS, stored)
                row.far_timers -= 1

    # ---- requests ------------------------------------------------------------------------------------------------

    def load_request(self, pid: int, row: ProcessRow, number: int) -> RequestRow | None:
        """The row of a request that is not over, or None.  Shared like that of its process."""
        request = row.requests.get(number)
        if request is None and row.far_requests and 0 <= number <= MAX_NUMBER:
            data = self.transaction.get(REQUESTS, pair_key(pid, number))
            if data is not None:
                return decode_request(pid, number, data, self.cache.store_id)
        return request

    def find_request(self, pid: int, number: int) -> tuple[ProcessRow, RequestRow] | None:
        """A request that is not over, with its process; None where there is none."""
        row = self.load_process(pid)
        request = self.load_request(pid, row, number) if row is not None else None
        return None if row is None or request is None else (row, request)

    def save_request(self, pid: int, row: ProcessRow, number: int, request: RequestRow) -> None:
        """Writes a request: into the record of its process, which is touched, while it is small and there are few."""
        near = row.requests
        if not request.far:
            if request.is_small and (number in near or len(near) < NEAR_REQUESTS):
                near[number] = request
                return
            near.pop(number, None)
            request.far = True
            row.far_requests += 1
        self.transaction.put(REQUESTS, pair_key(pid, number), encode_request(pid, number, request, self.cache.store_id))

    def enqueue(self, pid: int, number: int, request: RequestRow) -> None:
        """Puts a request at the end of its queue; the caller saves the row."""
        request.place = self.count("arrivals", 1)
        self.transaction.put(QUEUE, queue_key(request.effect.encode(), request.place), pair_key(pid, number))
        self.hints.add(("request", request.effect))

    def withdraw(self, pid: int, number: int, request: RequestRow) -> None:
        """Takes a request out of its queue and ends its lease; the caller saves the row, or deletes it."""
        if request.place:
            self.transaction.delete(QUEUE, queue_key(request.effect.encode(), request.place))
            request.place = 0
        if request.lease_until:
            self.transaction.delete(DUE, due_key(request.lease_until, pid, number, LEASE))
            request.lease_until = 0

    def close_request(self, pid: int, row: ProcessRow, number: int) -> None:
        """Ends a request of a touched process with its place in the queue, lease, timers and tokens."""
        request = row.requests.get(number)
        if request is None and row.far_requests:
            request = self.load_request(pid, row, number)
        if request is not None:
            if request.place or request.lease_until:
                self.withdraw(pid, number, request)
            for token in request.tokens:
                self.bury_token(token, pid, number)
            row.calls -= request.called
            if request.far:
                self.transaction.delete(REQUESTS, pair_key(pid, number))
                row.far_requests -= 1
            else:
                del row.requests[number]
        if row.timers or row.far_timers:
            self.drop_timers(pid, row, number)

    def bury_token(self, token: str, pid: int, number: int) -> None:
        """Marks a token as over, unless it was; it is remembered for TOMBSTONE_NS."""
        name = token.encode()
        data = self.transaction.get(TOKENS, name)
        if data is not None and decode_token(data)[2]:
            return
        self.transaction.put(TOKENS, name, encode_token(pid, number, self.now))
        self.transaction.put(FORGET, u64(self.now + TOMBSTONE_NS) + name, b"")

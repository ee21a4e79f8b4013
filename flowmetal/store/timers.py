"""The command Fire: timers, leases, schedules that are due, what to forget, interpreters that are gone."""

from __future__ import annotations

import logging

from flowmetal.store.changes import Changes
from flowmetal.store.claims import release_dead
from flowmetal.store.codec import DELAY, HELD, LEASE, LOST, QUEUED, RETRY, TAKEN, TIMER_NAMES, WAKE, decode_number
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Fire
from flowmetal.store.layout import DUE, FORGET, TOKENS, due_key, read_due_key, u64
from flowmetal.store.operations.kv import forget_expired
from flowmetal.store.queues import delay_over, forget, wakes, woken
from flowmetal.store.requests import answer
from flowmetal.store.schedules import fire_due

_log = logging.getLogger(__name__)

#: A timer of what cannot be read is looked at again after this time; the others do not wait for it.
DAMAGED_NS = 60 * 1_000_000_000
#: Timers in one Fire: the transaction that fires them stays short.
MAX_FIRE = 10_000
#: Tokens forgotten in one Fire.
MAX_FORGET = 1000


def fire(changes: Changes, command: Fire) -> int:
    """Fire.  Also takes partitions from interpreters that are gone, which does not count."""
    release_dead(changes)
    fired = _due_timers(changes, max(0, min(command.limit, MAX_FIRE)))
    for due, pid, number, kind, value in fired:
        if not _is_readable(changes, due, pid, number, kind, value):
            continue
        if kind == LEASE:
            changes.transaction.delete(DUE, due_key(due, pid, number, kind))
            _lose(changes, due, pid, number, value)
        elif kind == DELAY:
            delay_over(changes, due, pid)
        elif kind == WAKE:
            woken(changes, due, pid, number, value or b"")
        else:
            row = changes.load_process(pid)
            if row is None:
                changes.transaction.delete(DUE, due_key(due, pid, number, kind))
                continue
            changes.touch(pid, row)
            if row.timers.get((number, kind)) != due:  # it was put off, or stands in a record of its own
                changes.transaction.delete(DUE, due_key(due, pid, number, kind))
            changes.drop_timer(pid, row, number, kind)
            if kind == RETRY:
                _queue_again(changes, pid, number)
            else:
                _ring(changes, pid, number, TIMER_NAMES[kind])
    _forget_tokens(changes)
    forget_expired(changes)
    return len(fired) + (fire_due(changes) if command.limit > 0 else 0)


def _due_timers(changes: Changes, limit: int) -> list[tuple[int, int, int, int, bytes | None]]:
    """(due, pid, number, kind, value) of timers that are due, in order of time; None for a value that is damaged."""
    damaged: list[bytes] = []
    items = changes.transaction.scan(DUE, stop=u64(changes.now + 1), limit=limit, damaged=damaged)
    found: list[tuple[int, int, int, int, bytes | None]] = [(*read_due_key(key), value) for key, value in items]
    if damaged:  # nearly all that a timer is stands in its key
        found = sorted([*found, *((*read_due_key(key), None) for key in damaged)], key=lambda one: one[:4])
    return found


def _is_readable(changes: Changes, due: int, pid: int, number: int, kind: int, value: bytes | None) -> bool:
    """Whether all can be read that firing a timer needs.  Where not it is put off, before anything was changed."""
    try:
        if kind == WAKE:
            wakes(changes, pid, number, value)
        else:
            row = changes.load_process(pid)
            if row is not None and kind == DELAY and row.queue is not None:
                changes.load_queue(row.queue.queue)
            elif row is not None and row.far_requests:
                changes.load_request(pid, row, number)
        return True
    except StoreError as error:
        if not error.is_damage:
            raise
        _log.error("a timer of %d is put off: %s", pid, error)
    changes.transaction.delete(DUE, due_key(due, pid, number, kind))
    changes.put_due(changes.now + DAMAGED_NS, pid, number, kind, value=value or b"")
    return False


def _lose(changes: Changes, due: int, pid: int, number: int, value: bytes | None) -> None:
    """The lease of a request has ended: of the attempt that the timer names, or, where that is not readable, of the one
    whose lease ends now."""
    found = changes.find_request(pid, number)
    if found is None or found[1].state != TAKEN:
        return
    row = found[1]
    if value is None and row.lease_until != due:
        return
    if value is not None and row.attempt != (decode_number(value) if value else 0):
        return
    answer(changes, pid, number, "lost", b"", state=LOST)


def _queue_again(changes: Changes, pid: int, number: int) -> None:
    found = changes.find_request(pid, number)
    if found is None:
        return
    process, row = found
    if row.state != HELD or not row.queued:
        return
    row.state = QUEUED  # its process was touched by the timer
    changes.enqueue(pid, number, row)
    changes.save_request(pid, process, number, row)


def _ring(changes: Changes, pid: int, number: int, kind: str) -> None:
    """A timer settles the request of its number, if there is one that was not settled; else it is an event alone."""
    if changes.find_request(pid, number) is None:
        changes.deliver(pid, "timer", number, 0, kind.encode())
    else:
        answer(changes, pid, number, "timer", kind.encode())


def _forget_tokens(changes: Changes) -> None:
    for key, _ in changes.transaction.scan(FORGET, stop=u64(changes.now + 1), limit=MAX_FORGET, values=False):
        changes.transaction.delete(FORGET, key)
        if key[8]:
            changes.transaction.delete(TOKENS, key[8:])
        else:  # tokens are printable; numbers of queues begin with 0
            try:
                forget(changes, key)
            except StoreError as error:
                if not error.is_damage:
                    raise
                _log.error("a key of a queue is not forgotten: %s", error)

"""The command Fire: timers, leases, schedules that are due, what to forget, interpreters that are gone."""

from __future__ import annotations

from flowmetal.store.changes import Changes
from flowmetal.store.claims import release_dead
from flowmetal.store.codec import DELAY, HELD, LEASE, LOST, QUEUED, RETRY, TAKEN, TIMER_NAMES, WAKE, decode_number
from flowmetal.store.interface import Fire
from flowmetal.store.layout import DUE, FORGET, TOKENS, due_key, read_due_key, u64
from flowmetal.store.operations.kv import forget_expired
from flowmetal.store.queues import delay_over, forget, woken
from flowmetal.store.requests import answer
from flowmetal.store.schedules import fire_due

#: Timers in one Fire: the transaction that fires them stays short.
MAX_FIRE = 10_000
#: Tokens forgotten in one Fire.
MAX_FORGET = 1000


def fire(changes: Changes, command: Fire) -> int:
    """Fire.  Also takes partitions from interpreters that are gone, which does not count."""
    release_dead(changes)
    fired = _due_timers(changes, max(0, min(command.limit, MAX_FIRE)))
    for due, pid, number, kind, value in fired:
        if kind == LEASE:
            changes.transaction.delete(DUE, due_key(due, pid, number, kind))
            _lose(changes, pid, number, decode_number(value) if value else 0)
        elif kind == DELAY:
            delay_over(changes, due, pid)
        elif kind == WAKE:
            woken(changes, due, pid, number, value)
        else:
            row = changes.load_process(pid)
            if row is None:
                changes.transaction.delete(DUE, due_key(due, pid, number, kind))
                continue
            changes.touch(pid, row)
            changes.drop_timer(pid, row, number, kind)
            if kind == RETRY:
                _queue_again(changes, pid, number)
            else:
                _ring(changes, pid, number, TIMER_NAMES[kind])
    _forget_tokens(changes)
    forget_expired(changes)
    return len(fired) + (fire_due(changes) if command.limit > 0 else 0)


def _due_timers(changes: Changes, limit: int) -> list[tuple[int, int, int, int, bytes]]:
    """(due, pid, number, kind, value) of timers that are due, in order of time."""
    items = changes.transaction.scan(DUE, stop=u64(changes.now + 1), limit=limit)
    return [(*read_due_key(key), value) for key, value in items]


def _lose(changes: Changes, pid: int, number: int, attempt: int) -> None:
    found = changes.find_request(pid, number)
    if found is None or found[1].state != TAKEN or found[1].attempt != attempt:
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
    for key, _ in changes.transaction.scan(FORGET, stop=u64(changes.now + 1), limit=MAX_FORGET):
        changes.transaction.delete(FORGET, key)
        if key[8]:
            changes.transaction.delete(TOKENS, key[8:])
        else:  # tokens are printable; numbers of queues begin with 0
            forget(changes, key)

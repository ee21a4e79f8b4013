"""The command Fire: timers and leases that are due, tokens to forget, interpreters that are gone."""

from __future__ import annotations

from flowmetal.store.changes import Changes, due_timers
from flowmetal.store.claims import release_dead
from flowmetal.store.codec import HELD, LEASE, LOST, QUEUED, RETRY, TAKEN, TIMER_NAMES
from flowmetal.store.interface import Fire
from flowmetal.store.layout import DUE, FORGET, TIMERS, TOKENS, due_key, timer_key, u64
from flowmetal.store.requests import answer

#: Timers in one Fire: the transaction that fires them stays short.
MAX_FIRE = 10_000
#: Tokens forgotten in one Fire.
MAX_FORGET = 1000


def fire(changes: Changes, command: Fire) -> int:
    """Fire.  Also takes partitions from interpreters that are gone, which does not count."""
    release_dead(changes)
    fired = due_timers(changes, max(0, min(command.limit, MAX_FIRE)))
    for due, pid, number, kind, attempt in fired:
        changes.transaction.delete(DUE, due_key(due, pid, number, kind))
        if kind == LEASE:
            _lose(changes, pid, number, attempt)
        else:
            changes.transaction.delete(TIMERS, timer_key(pid, number, kind))
            if kind == RETRY:
                _queue_again(changes, pid, number)
            else:
                _ring(changes, pid, number, TIMER_NAMES[kind])
    _forget_tokens(changes)
    return len(fired)


def _lose(changes: Changes, pid: int, number: int, attempt: int) -> None:
    row = changes.load_request(pid, number)
    if row is None or row.state != TAKEN or row.attempt != attempt:
        return
    answer(changes, pid, number, "lost", b"", state=LOST)


def _queue_again(changes: Changes, pid: int, number: int) -> None:
    row = changes.load_request(pid, number)
    if row is None or row.state != HELD or not row.queued:
        return
    row.state = QUEUED
    changes.enqueue(pid, number, row)
    changes.save_request(pid, number, row)


def _ring(changes: Changes, pid: int, number: int, kind: str) -> None:
    """A timer settles the request of its number, if there is one that was not settled; else it is an event alone."""
    row = changes.load_request(pid, number)
    if row is None:
        changes.deliver(pid, "timer", number, 0, kind.encode())
    else:
        answer(changes, pid, number, "timer", kind.encode())


def _forget_tokens(changes: Changes) -> None:
    for key, _ in changes.transaction.scan(FORGET, stop=u64(changes.now + 1), limit=MAX_FORGET):
        changes.transaction.delete(FORGET, key)
        changes.transaction.delete(TOKENS, key[8:])

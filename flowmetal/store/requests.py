"""Commands on requests: taking them from queues, extending leases, answering them, delivering to callback tokens.

Of an answer, a timer and the end of a lease for one request the first that is committed wins: it changes the state of
the request, and the others find it changed.
"""

from __future__ import annotations

import logging

from flowmetal.store.changes import Changes
from flowmetal.store.codec import ANSWERED, HELD, LEASE, QUEUED, TAKEN, decode_token
from flowmetal.store.errors import StoreError, check_name, check_size
from flowmetal.store.interface import Complete, Deliver, Extend, Request, Take
from flowmetal.store.layout import QUEUE, TOKENS, read_pair, read_u64
from flowmetal.store.rows import request_record

_log = logging.getLogger(__name__)

#: Requests in one Take.
MAX_TAKE = 1000
MILLISECOND_NS = 1_000_000
#: A lease of a week; longer work extends its lease.
MAX_LEASE_MS = 7 * 24 * 3600 * 1000


def check_lease(lease_ms: int) -> None:
    """Refuses a lease that would never end, or at once."""
    if not 0 < lease_ms <= MAX_LEASE_MS:
        raise StoreError("S206", reason=f"a lease must be 1 to {MAX_LEASE_MS} ms, not {lease_ms}")


def take(changes: Changes, command: Take) -> list[Request]:
    """Take.  Between the effects that are asked for, the request that was queued first goes first."""
    check_lease(command.lease_ms)
    if command.worker:
        check_name("a worker", command.worker)
    limit = max(0, min(command.limit, MAX_TAKE))
    waiting: list[tuple[int, bytes]] = []
    damaged: list[bytes] = []  # these stay where they are, and workers take the others
    for effect in dict.fromkeys(command.effects):
        prefix = check_name("the name of an effect", effect) + b"\x00"
        for key, value in changes.transaction.scan(QUEUE, prefix, limit=limit, damaged=damaged):
            waiting.append((read_u64(key, len(prefix)), value))
    waiting.sort()
    taken = []
    for _, target in waiting[:limit]:
        pid, number = read_pair(target)
        try:
            found = changes.find_request(pid, number)
        except StoreError as error:
            if not error.is_damage:
                raise
            _log.error("request %d of process %d cannot be taken: %s", number, pid, error)
            continue
        if found is None:
            raise StoreError("S306", space=QUEUE, reason=f"request {number} of process {pid} is queued and not there")
        process, row = found
        changes.touch(pid, process)
        changes.withdraw(pid, number, row)
        row.state = TAKEN
        row.attempt += 1
        row.worker = command.worker
        row.lease_until = changes.now + command.lease_ms * MILLISECOND_NS
        changes.put_due(row.lease_until, pid, number, LEASE, row.attempt)
        changes.save_request(pid, process, number, row)
        taken.append(request_record(pid, number, row))
    return taken


def extend(changes: Changes, command: Extend) -> bool:
    """Extend."""
    check_lease(command.lease_ms)
    found = changes.find_request(command.pid, command.number)
    if found is None:
        return False
    process, row = found
    if row.state != TAKEN or row.attempt != command.attempt:
        return False
    changes.touch(command.pid, process)
    changes.withdraw(command.pid, command.number, row)
    row.lease_until = changes.now + command.lease_ms * MILLISECOND_NS
    changes.put_due(row.lease_until, command.pid, command.number, LEASE, row.attempt)
    changes.save_request(command.pid, process, command.number, row)
    return True


def complete(changes: Changes, command: Complete) -> bool:
    """Complete."""
    check_size("an answer", command.data)
    found = changes.find_request(command.pid, command.number)
    if found is None or found[1].attempt != command.attempt:
        return False
    row = found[1]
    if row.state != TAKEN and (row.queued or row.state != HELD):
        return False
    kind = "answer" if command.ok else "error"
    return answer(changes, command.pid, command.number, kind, command.data)


def deliver(changes: Changes, command: Deliver) -> str:
    """Deliver."""
    check_size("a delivery", command.data)
    try:
        name = check_name("a token", command.token)
    except StoreError:
        return "unknown"  # no token has such a name
    data = changes.transaction.get(TOKENS, name)
    if data is None:
        return "unknown"
    pid, number, over_at = decode_token(data)
    if over_at:
        return "duplicate"
    changes.bury_token(command.token, pid, number)
    return "accepted" if answer(changes, pid, number, "answer", command.data) else "duplicate"


def answer(changes: Changes, pid: int, number: int, kind: str, data: bytes, *, state: int = ANSWERED) -> bool:
    """Puts what settles a request into the inbox, unless something has: False then.

    The request stays until a turn closes it or puts it back.
    """
    found = changes.find_request(pid, number)
    if found is None:
        return False
    process, row = found
    if row.state not in (QUEUED, TAKEN, HELD):
        return False
    changes.touch(pid, process)
    changes.withdraw(pid, number, row)
    row.state = state
    changes.save_request(pid, process, number, row)
    return changes.deliver(pid, kind, number, row.attempt, data)

"""Commands of interpreters: joining, renewing, leaving; and who gets which partition.

Partition p belongs to the interpreter at p mod n of the n living ones in order of their ids.  A partition that changes
hands gets a new epoch, so that nothing of its last holder is accepted any more.
"""

from __future__ import annotations

import logging

from flowmetal.store.changes import Changes
from flowmetal.store.codec import PAUSED, decode_interpreter, decode_partition, encode_interpreter
from flowmetal.store.errors import StoreError, check_name
from flowmetal.store.interface import PARTITIONS as PARTITION_COUNT
from flowmetal.store.interface import Claim, Join, Leave
from flowmetal.store.layout import INTERPRETERS, PARTITIONS
from flowmetal.store.limits import MAX_TIME
from flowmetal.store.requests import MILLISECOND_NS, check_lease

_log = logging.getLogger(__name__)

#: More interpreters than partitions would leave some without any.
MAX_INTERPRETERS = PARTITION_COUNT


def join(changes: Changes, command: Join) -> Claim:
    """Join."""
    check_lease(command.lease_ms)
    name = check_name("the id of an interpreter", command.interpreter)
    living = _living(changes)
    known = changes.transaction.get(INTERPRETERS, name)
    if command.interpreter not in living and len(living) >= MAX_INTERPRETERS:
        raise StoreError("S206", reason=f"{MAX_INTERPRETERS} interpreters have joined already")
    lease_until = changes.now + command.lease_ms * MILLISECOND_NS
    joined_at = changes.now
    if known is not None:
        joined_at = decode_interpreter(known)[1]
        if command.interpreter not in living:
            _count_death(changes, known)
    running = command.running if 0 < command.running <= MAX_TIME else 0
    changes.transaction.put(INTERPRETERS, name, encode_interpreter(lease_until, joined_at, running))
    _remove_others(changes, living | {command.interpreter})
    holders = _assign(changes, living | {command.interpreter})
    epochs = {p: epoch for p, (holder, epoch) in holders.items() if holder == command.interpreter}
    return Claim(command.interpreter, epochs, lease_until)


def leave(changes: Changes, command: Leave) -> None:
    """Leave."""
    name = check_name("the id of an interpreter", command.interpreter)
    if changes.transaction.delete(INTERPRETERS, name):
        _assign(changes, _living(changes))


def release_dead(changes: Changes) -> None:
    """Takes the partitions of interpreters that are gone, and gives them to the living."""
    living = _living(changes)
    if _remove_others(changes, living):
        _assign(changes, living)


def fresh_epoch(now: int) -> int:
    """An epoch that is greater than any that was given before."""
    return now // 1000


def _living(changes: Changes) -> set[str]:
    """Those with a lease whose operating system process, as far as the engine can tell, runs."""
    living = set()
    for key, value in changes.transaction.scan(INTERPRETERS, damaged=[]):
        interpreter = key.decode()
        if decode_interpreter(value)[0] > changes.now and changes.alive(interpreter):
            living.add(interpreter)
    return living


def _remove_others(changes: Changes, living: set[str]) -> bool:
    removed = False
    damaged: list[bytes] = []
    items = changes.transaction.scan(INTERPRETERS, damaged=damaged)
    for key in damaged:  # whose it is joins again when its lease is to be renewed
        _log.error("the record of interpreter %s is damaged, and removed", key.decode("utf-8", "replace"))
        changes.transaction.delete(INTERPRETERS, key)
        removed = True
    for key, value in items:
        if key.decode() not in living:
            _count_death(changes, value)
            changes.transaction.delete(INTERPRETERS, key)
            removed = True
    return removed


def _count_death(changes: Changes, interpreter: bytes) -> None:
    """Holds the end of an interpreter against the process in whose turn it was, if it said that this takes long."""
    pid = decode_interpreter(interpreter)[2]
    try:
        row = changes.load_process(pid)
    except StoreError as error:
        if not error.is_damage:
            raise
        return  # it has no turns any more
    if row is not None and row.status <= PAUSED:
        changes.touch(pid, row)
        row.deaths += 1


def _assign(changes: Changes, living: set[str]) -> dict[int, tuple[str, int]]:
    """Gives every partition its holder; "" holds those of nobody."""
    order = sorted(living)
    damaged: list[bytes] = []
    items = changes.transaction.scan(PARTITIONS, damaged=damaged)
    stored = {int.from_bytes(key, "big"): decode_partition(value) for key, value in items}
    for key in damaged:
        # Its epoch is not known: one that counts microseconds is beyond all that were given by counting.
        _log.error("the record of partition %d is damaged, and made anew", int.from_bytes(key, "big"))
        stored[int.from_bytes(key, "big")] = ("", fresh_epoch(changes.now))
    holders = {}
    for partition in range(PARTITION_COUNT):
        holder, epoch = stored.get(partition, ("", 0))
        new_holder = order[partition % len(order)] if order else ""
        if new_holder != holder:
            holder, epoch = new_holder, epoch + 1
            changes.put_partition(partition, holder, epoch)
            changes.hints.add(("claims", 0))
        holders[partition] = (holder, epoch)
    return holders

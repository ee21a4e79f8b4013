"""What the tests of queues share: operations said shortly, and the invariants that hold after every commit."""

from __future__ import annotations

from typing import Any

from flowmetal.store.codec import DELAY, WAKE
from flowmetal.store.interface import Operate, Start, Store
from flowmetal.store.layout import (
    DUE,
    QUEUE_ARGUMENTS,
    QUEUE_HEADS,
    QUEUE_ITEMS,
    QUEUE_KEYS,
    QUEUES,
    STATES,
    pid_key,
    read_due_key,
    read_pid,
)
from flowmetal.store.queue_rows import DELAYED, IN_LANE, NOT_BEGUN, PARKED, RUNNING, decode_key, decode_queue
from flowmetal.store.rows import decode_state
from flowmetal.values import decode_value, encode_value, from_python, to_python
from tests.store.support import Rig


def operate(store: Store, name: str, payload: Any) -> Any:
    """An operation as a client asks for it, in plain data."""
    return to_python(decode_value(store.submit([Operate(name, encode_value(from_python(payload)))]).result(60)[0]))


def define(rig: Rig, name: str = "mail", **limits: Any) -> dict[str, Any]:
    """Defines a queue."""
    shown: dict[str, Any] = operate(rig.store, "queue/define", {"name": name, **limits})
    return shown


def put(
    rig: Rig,
    name: str = "mail",
    *,
    key: str | None = None,
    priority: int = 0,
    delay: float = 0,
    dedup: str | None = None,
    **more: Any,
) -> int:
    """Starts a process of "deploy" in a queue."""
    return rig.start(queue=(name, key, priority, int(delay * 1_000_000_000), dedup), **more)


def running(rig: Rig) -> list[int]:
    """Processes that have been admitted and have not taken a turn, in the order of admission."""
    return rig.ready()


def check_queues(store: Any, lowered: bool = False) -> None:
    """Slots are the processes that run, lanes what waits, heads the lanes that may begin: nothing is lost or doubled.

    `lowered`: more may run than the limits say, since they were lowered.
    """
    with store._reading() as transaction:
        queues = {
            read_pid(key): decode_queue(read_pid(key), value) for key, value in transaction.scan(QUEUES) if key[0] == 0
        }
        states: dict[int, list[tuple[int, str, int, int, int]]] = {number: [] for number in queues}
        for key, value in transaction.scan(STATES):
            pid = read_pid(key)
            row = decode_state(pid, value, store.id)
            if row.queue is not None:
                place = row.queue
                states[place.queue].append((pid, place.key, place.priority, place.state, place.order))
                assert row.status <= 1, "a process that has ended is in no queue"
                waits = transaction.get(QUEUE_ARGUMENTS, pid_key(pid)) is not None
                assert waits == (place.state in NOT_BEGUN)
                assert not (waits and row.mark and not row.events), "nothing to run for"
        arguments = sum(state in NOT_BEGUN for found in states.values() for *_, state, _ in found)
        assert transaction.count(QUEUE_ARGUMENTS) == arguments
        due = [read_due_key(key) for key, _ in transaction.scan(DUE)]
        for number, queue in queues.items():
            found = states[number]
            counts = [
                sum(one[3] in states_of for one in found) for states_of in ((RUNNING,), IN_LANE, (DELAYED,), (PARKED,))
            ]
            assert [queue.running, queue.waiting, queue.delayed, queue.parked] == counts
            keys = {key[5:].decode(): decode_key(value) for key, value in transaction.scan(QUEUE_KEYS, pid_key(number))}
            for name in {one[1] for one in found if one[3] in (RUNNING, *IN_LANE)} | set(keys):
                key = keys[name]
                assert key.running == sum(one[3] == RUNNING and one[1] == name for one in found)
                lanes: dict[int, int] = {}
                for _, its, priority, state, _ in found:
                    if state in IN_LANE and its == name:
                        lanes[priority] = lanes.get(priority, 0) + 1
                assert {priority: lane[1] for priority, lane in key.lanes.items()} == lanes
                limit = queue.limits.key_concurrency
                assert not (name and limit and key.running > limit) or lowered
            items = sorted(read_pid(value) for _, value in transaction.scan(QUEUE_ITEMS, pid_key(number)))
            assert items == sorted(one[0] for one in found if one[3] in IN_LANE)
            heads = sum(lane[0] > 0 for key in keys.values() for lane in key.lanes.values())
            assert queue.heads == heads
            assert len(transaction.scan(QUEUE_HEADS, pid_key(number))) == 2 * heads
            assert sorted(
                pid for _, pid, _, kind in due if kind == DELAY and pid in {one[0] for one in found}
            ) == sorted(one[0] for one in found if one[3] == DELAYED)
            limits = queue.limits
            free = not limits.concurrency or queue.running < limits.concurrency
            wakes = [one for one in due if one[1] == number and one[3] == WAKE]
            if queue.heads and not queue.paused and free:
                assert (queue.wake_at, number, 0, WAKE) in wakes, "somebody may begin, and nobody will look"


__all__ = ("Start", "check_queues", "define", "operate", "put", "running")

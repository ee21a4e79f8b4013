"""Queues of starts: who waits, who is admitted next, and the slots of those that run.

A process that is started in a queue is a process like any other, but its start is kept back until it is admitted.  All
that makes an admission possible (an enqueue, the end of a process, a timer, other limits) happens in the transaction
that admits: `settle` runs at the end of each list of commands, over the queues that were touched in it.  Slots are
never handed over outside of a transaction, so that none is lost or given twice, whatever dies.

Processes of one key and priority form a *lane*, first in, first out.  Lanes of which a process may begin stand among
the *heads*, by priority and by *turn*: a lane that was served gets the newest turn, so that keys take turns however
many wait of one.  Every eighth admission goes by turn alone, so that a low priority is never starved.  What it costs to
admit one hangs neither on how many wait nor on how many keys there are.
"""

from __future__ import annotations

import logging

from flowmetal.diagnostics import suggest
from flowmetal.store.changes import Changes
from flowmetal.store.codec import DELAY, PAUSED, WAKE
from flowmetal.store.errors import StoreError, check_name
from flowmetal.store.interface import Start
from flowmetal.store.layout import (
    DUE,
    FORGET,
    MAX_NUMBER,
    QUEUE_ARGUMENTS,
    QUEUE_DEDUP,
    QUEUE_HEADS,
    QUEUE_ITEMS,
    QUEUE_STARTS,
    QUEUES,
    due_key,
    pid_key,
    read_pid,
    read_u64,
    u64,
)
from flowmetal.store.limits import MAX_TIME
from flowmetal.store.queue_rows import (
    DELAYED,
    IN_LANE,
    MAX_PRIORITY,
    NOT_BEGUN,
    PARKED,
    RETURNING,
    RUNNING,
    UNSLOTTED,
    WAITING,
    KeyRow,
    QueueRow,
    decode_dedup,
    decode_head,
    dedup_key,
    encode_dedup,
    encode_head,
    forget_key,
    head_key,
    item_key,
    key_key,
    lane_prefix,
    rank_of,
    read_forget_key,
    read_key_key,
    starts_prefix,
)
from flowmetal.store.rows import Place, ProcessRow

_log = logging.getLogger(__name__)

#: One admission in so many goes to the lane whose turn it is, whatever its priority.
BY_TURN_EVERY = 8
#: Admissions of one queue, and keys looked at after its limits were changed, in one transaction.
MAX_ADMITTED = 1000
MAX_SWEPT = 500
#: The longest delay: ten years.
MAX_DELAY_NS = 10 * 366 * 24 * 3600 * 1_000_000_000
#: Names that a misspelt one is compared with.
MAX_NAMES = 1000
#: Starts of a rate that are forgotten at each further one.
_FORGOTTEN_AT_ONCE = 8


# ---- starts --------------------------------------------------------------------------------------------------------


def find_queue(changes: Changes, name: str) -> QueueRow:
    """The queue of a name; S220 where there is none."""
    data = changes.transaction.get(QUEUES, check_name("the name of a queue", name))
    row = changes.load_queue(read_pid(data)) if data is not None else None
    if row is None:
        found = changes.transaction.scan(QUEUES, start=b" ", limit=MAX_NAMES, values=False)
        raise StoreError("S220", name=name, suggestion=suggest(name, [key.decode() for key, _ in found]))
    return row


def admissible(changes: Changes, command: Start) -> tuple[QueueRow, Place, int]:
    """The queue a start asks for, its place there, and the process that it stands for (0: none yet).

    Writes nothing.  S220 for an unknown queue, S221 where too many wait, S222 for a bad option.
    """
    assert command.queue is not None
    name, key, priority, delay, dedup = command.queue
    queue = find_queue(changes, name)
    if key is not None:
        check_name("the key of a start in a queue", key)
    if priority.__class__ is not int or not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise _bad("the priority of a start", f"from -{MAX_PRIORITY} to {MAX_PRIORITY}", priority)
    if delay.__class__ is not int or not 0 <= delay <= MAX_DELAY_NS:
        raise _bad("the delay of a start", "0 to ten years", delay)
    place = Place(queue.number, key or "", priority, DELAYED if delay else WAITING, changes.now + delay if delay else 0)
    if dedup is not None:
        check_name("a dedup key", dedup)
        data = changes.transaction.get(QUEUE_DEDUP, dedup_key(queue.number, dedup))
        if data is not None:
            pid, until = decode_dedup(data)
            if until > changes.now:  # also where the process has ended and was removed since
                return queue, place, pid
    if queue.waiting + queue.delayed + queue.parked >= queue.limits.max_waiting:
        settle(changes)  # what was started before in this list may have begun
        if queue.waiting + queue.delayed + queue.parked >= queue.limits.max_waiting:
            raise StoreError("S221", name=name, limit=queue.limits.max_waiting)
    return queue, place, 0


def enter(
    changes: Changes, pid: int, row: ProcessRow, queue: QueueRow, place: Place, dedup: str | None, arguments: bytes
) -> None:
    """Puts a new process into its queue; it begins at once where nothing is in its way."""
    changes.touch_queue(queue)
    row.queue = place
    if dedup is not None:
        _remember(changes, queue, dedup, pid)
    if place.state == DELAYED:
        changes.transaction.put(QUEUE_ARGUMENTS, pid_key(pid), arguments)
        changes.put_due(place.order, pid, 0, DELAY)
        queue.delayed += 1
        return
    key = _load_key(changes, queue, place.key)
    if (
        not queue.heads
        and queue.sweep is None
        and _may_begin(changes, queue)
        and not _blocked(changes, queue, place.key, key)
    ):
        _take_slot(changes, queue, key, place)
        _save_key(changes, queue, place.key, key)
        changes.put_inbox(pid, row, "start", arguments)
        return
    changes.transaction.put(QUEUE_ARGUMENTS, pid_key(pid), arguments)
    queue.tickets += 1
    place.order = queue.tickets
    _wait(changes, queue, key, place, pid)
    _save_key(changes, queue, place.key, key)


def _remember(changes: Changes, queue: QueueRow, dedup: str, pid: int) -> None:
    until = changes.now + queue.limits.window_ns
    if until > changes.now:
        changes.transaction.put(QUEUE_DEDUP, dedup_key(queue.number, dedup), encode_dedup(pid, until))
        changes.transaction.put(FORGET, forget_key(until, queue.number, 0, dedup), b"")


# ---- processes that end, pause and go on ---------------------------------------------------------------------------


def leave(changes: Changes, pid: int, place: Place) -> None:
    """A process of a queue has ended, wherever it was in it."""
    queue = _queue_of(changes, place)
    if place.state != UNSLOTTED:
        key = _load_key(changes, queue, place.key)
        if place.state == RUNNING:
            _give_slot(changes, queue, key, place)
        elif place.state in IN_LANE:
            _stop_waiting(changes, queue, key, place)
        elif place.state == DELAYED:
            changes.transaction.delete(DUE, due_key(place.order, pid, 0, DELAY))
            queue.delayed -= 1
        else:
            queue.parked -= 1
        _save_key(changes, queue, place.key, key)
    if place.state in NOT_BEGUN:
        changes.transaction.delete(QUEUE_ARGUMENTS, pid_key(pid))


def changed(changes: Changes, pid: int, row: ProcessRow) -> None:
    """A turn has left a process of a queue living: one that is paused while it waits keeps its ticket and is passed
    over; one that runs keeps its slot while it is paused, if the queue says so."""
    place = row.queue
    assert place is not None
    paused = row.status == PAUSED
    if place.state == DELAYED or (place.state != RETURNING and paused == (place.state in (PARKED, UNSLOTTED))):
        return
    queue = changes.load_queue(place.queue)
    if queue is None or (place.state == RUNNING and (queue.limits.keeps_slot or row.mark)):
        return
    changes.touch_queue(queue)
    key = _load_key(changes, queue, place.key)
    if place.state == PARKED:
        queue.parked -= 1
        queue.served -= 1  # it takes its old place again
        _wait(changes, queue, key, place, pid)
    elif place.state == WAITING:
        _stop_waiting(changes, queue, key, place)
        place.state = PARKED
        queue.parked += 1
    elif place.state == RUNNING:
        _give_slot(changes, queue, key, place)
        place.state = UNSLOTTED
    else:
        if place.state == RETURNING:
            _stop_waiting(changes, queue, key, place)
            place.state = UNSLOTTED
        if not paused:  # it is cancelled, and runs its `finally` without waiting
            _take_slot(changes, queue, key, place)
    _save_key(changes, queue, place.key, key)


def go_on(changes: Changes, pid: int) -> None:
    """A paused process that has given its slot back is to go on: it waits for one."""
    row = changes.load_process(pid)
    place = row.queue if row is not None else None
    if row is None or place is None or place.state != UNSLOTTED:
        return
    queue = _queue_of(changes, place)
    changes.touch(pid, row)
    queue.tickets += 1
    place.order = queue.tickets
    key = _load_key(changes, queue, place.key)
    _wait(changes, queue, key, place, pid, RETURNING)
    _save_key(changes, queue, place.key, key)


def delay_over(changes: Changes, due: int, pid: int) -> None:
    """The delay of a process has ended: it takes its place behind those that wait."""
    changes.transaction.delete(DUE, due_key(due, pid, 0, DELAY))
    row = changes.load_process(pid)
    place = row.queue if row is not None else None
    if row is None or place is None or place.state != DELAYED or place.order != due:
        return
    queue = _queue_of(changes, place)
    changes.touch(pid, row)
    queue.delayed -= 1
    queue.tickets += 1
    place.order = queue.tickets
    if row.status == PAUSED:
        place.state = PARKED
        queue.parked += 1
        return
    key = _load_key(changes, queue, place.key)
    _wait(changes, queue, key, place, pid)
    _save_key(changes, queue, place.key, key)


def wakes(changes: Changes, number: int, order: int, data: bytes | None) -> None:
    """Reads what `woken` is going to read; S310 where that is damaged."""
    queue = changes.load_queue(number)
    if order and queue is not None:
        if data is None:
            raise StoreError("S310", space=DUE, key=f"of queue {queue.name}", reason="its checksum is wrong")
        _load_key(changes, queue, data.decode())


def woken(changes: Changes, due: int, number: int, order: int, data: bytes) -> None:
    """The time has come at which a queue, or a key of it, was to be looked at again."""
    changes.transaction.delete(DUE, due_key(due, number, order, WAKE))
    queue = changes.load_queue(number)
    if queue is None:
        return
    if not order:
        if queue.wake_at == due:
            changes.touch_queue(queue)
            queue.wake_at = 0
        return
    name = data.decode()
    key = _load_key(changes, queue, name)
    if key.wake_at == due:
        changes.touch_queue(queue)
        key.wake_at = 0
        _refresh(changes, queue, name, key)
        _save_key(changes, queue, name, key)


def forget(changes: Changes, entry: bytes) -> None:
    """A dedup key or a key without processes, whose time is over."""
    time, number, kind, text = read_forget_key(entry)
    if kind == 0:
        data = changes.transaction.get(QUEUE_DEDUP, dedup_key(number, text))
        if data is not None and decode_dedup(data)[1] <= changes.now:
            changes.transaction.delete(QUEUE_DEDUP, dedup_key(number, text))
        return
    queue = changes.load_queue(number)
    if queue is not None:
        key = _load_key(changes, queue, text)
        if key.forget_at == time:
            changes.touch_queue(queue, settle=False)
            key.forget_at = 0
            _save_key(changes, queue, text, key)


# ---- admission -----------------------------------------------------------------------------------------------------


def settle(changes: Changes) -> None:
    """Admits what may begin now in the queues that were touched."""
    while changes.left:
        pid, place = changes.left.pop(0)
        leave(changes, pid, place)
    while changes.returning:
        go_on(changes, changes.returning.pop(0))
    while changes.unsettled:
        number = min(changes.unsettled)
        changes.unsettled.discard(number)
        try:
            queue = changes.load_queue(number)
            if queue is not None:
                _settle(changes, queue)
        except StoreError as error:
            if not error.is_damage:
                raise
            # All is read before anything is written: the queue stays as it is, and who is not in it goes on.
            _log.error("a queue admits nobody: %s", error)


def _settle(changes: Changes, queue: QueueRow) -> None:
    if queue.sweep is not None:
        _sweep(changes, queue)
    for _ in range(MAX_ADMITTED):
        if not queue.heads or queue.paused or not _has_slot(queue):
            return
        free_at = _rate_free_at(changes, queue, None)
        if free_at > changes.now:
            _wake(changes, queue, free_at)
            return
        _serve_next(changes, queue)
    if queue.heads:
        _wake(changes, queue, changes.now)


def _serve_next(changes: Changes, queue: QueueRow) -> None:
    """Admits a process of the lane whose turn it is; or takes the lane from the heads, if it may not begin."""
    transaction, number = changes.transaction, queue.number
    by_turn = queue.admitted % BY_TURN_EVERY == BY_TURN_EVERY - 1
    prefix = pid_key(number)
    found = transaction.scan(QUEUE_HEADS, prefix, start=head_key(number, 0 if by_turn else 1, 0), limit=1)
    if not found:
        raise StoreError("S306", space=QUEUE_HEADS, reason=f"queue {queue.name} counts {queue.heads} and has none")
    changes.touch_queue(queue, settle=False)
    name, priority = decode_head(found[0][1])
    key = _load_key(changes, queue, name)
    if _blocked(changes, queue, name, key):
        _refresh(changes, queue, name, key)
        _save_key(changes, queue, name, key)
        return
    items = transaction.scan(QUEUE_ITEMS, lane_prefix(number, name, priority), limit=1)
    pid = read_pid(items[0][1]) if items else 0
    row = changes.load_process(pid)
    place = row.queue if row is not None else None
    if row is None or place is None or place.state not in IN_LANE:
        raise StoreError("S306", space=QUEUE_ITEMS, reason=f"queue {queue.name} holds process {pid}, which waits not")
    arguments = transaction.get(QUEUE_ARGUMENTS, pid_key(pid))
    changes.touch(pid, row)
    _stop_waiting(changes, queue, key, place)
    _take_slot(changes, queue, key, place)
    _next_turn(changes, queue, name, key, priority)
    _save_key(changes, queue, name, key)
    if arguments is not None:
        transaction.delete(QUEUE_ARGUMENTS, pid_key(pid))
        changes.put_inbox(pid, row, "start", arguments)
    elif not row.mark:  # it goes on
        row.mark = changes.new_mark()


def _has_slot(queue: QueueRow) -> bool:
    return not queue.limits.concurrency or queue.running < queue.limits.concurrency


def _may_begin(changes: Changes, queue: QueueRow) -> bool:
    return not queue.paused and _has_slot(queue) and _rate_free_at(changes, queue, None) <= changes.now


def _blocked(changes: Changes, queue: QueueRow, name: str, key: KeyRow) -> bool:
    """Whether the limits of a key keep its processes from beginning.  A start without a key has none."""
    limits = queue.limits
    if not name:
        return False
    if limits.key_concurrency and key.running >= limits.key_concurrency:
        return True
    return limits.key_rate > 0 and _rate_free_at(changes, queue, name, key) > changes.now


def _rate_free_at(changes: Changes, queue: QueueRow, name: str | None, key: KeyRow | None = None) -> int:
    """When the rate of a queue, or of a key of it, lets a further process begin; 0: now."""
    limits = queue.limits
    if key is None:
        rate, period, started = limits.rate, limits.rate_ns, queue.started
    else:
        rate, period, started = limits.key_rate, limits.key_rate_ns, key.started
    if not rate or started < rate:
        return 0
    data = changes.transaction.get(QUEUE_STARTS, starts_prefix(queue.number, name) + u64(started - rate))
    return 0 if data is None else read_u64(data) + period


def _note_start(changes: Changes, queue: QueueRow, name: str | None, count: int, rate: int) -> None:
    """Notes that a process begins, and forgets what the rate asks for no more."""
    transaction = changes.transaction
    prefix = starts_prefix(queue.number, name)
    transaction.put(QUEUE_STARTS, prefix + u64(count), u64(changes.now))
    if count >= rate:
        stop = prefix + u64(count - rate + 1)
        for old, _ in transaction.scan(QUEUE_STARTS, prefix, stop=stop, limit=_FORGOTTEN_AT_ONCE, values=False):
            transaction.delete(QUEUE_STARTS, old)


# ---- slots and lanes; the caller saves the key ---------------------------------------------------------------------


def _take_slot(changes: Changes, queue: QueueRow, key: KeyRow, place: Place) -> None:
    limits = queue.limits
    if limits.rate:
        _note_start(changes, queue, None, queue.started, limits.rate)
        queue.started += 1
    if limits.key_rate and place.key:
        _note_start(changes, queue, place.key, key.started, limits.key_rate)
        key.started += 1
    queue.running += 1
    queue.admitted += 1
    key.running += 1
    place.state, place.order = RUNNING, 0


def _give_slot(changes: Changes, queue: QueueRow, key: KeyRow, place: Place) -> None:
    queue.running -= 1
    key.running -= 1
    if key.lanes:
        _refresh(changes, queue, place.key, key)


def _wait(changes: Changes, queue: QueueRow, key: KeyRow, place: Place, pid: int, state: int = WAITING) -> None:
    """Puts a process into its lane, by its ticket."""
    changes.transaction.put(QUEUE_ITEMS, item_key(queue.number, place.key, place.priority, place.order), pid_key(pid))
    place.state = state
    queue.waiting += 1
    lane = key.lanes.get(place.priority)
    if lane is not None:
        lane[1] += 1
        return
    key.lanes[place.priority] = [0, 1]
    _refresh(changes, queue, place.key, key)


def _stop_waiting(changes: Changes, queue: QueueRow, key: KeyRow, place: Place) -> None:
    """Takes a process out of its lane."""
    changes.transaction.delete(QUEUE_ITEMS, item_key(queue.number, place.key, place.priority, place.order))
    queue.waiting -= 1
    queue.served += 1
    lane = key.lanes[place.priority]
    lane[1] -= 1
    if not lane[1]:
        _take_from_heads(changes, queue, place.priority, lane)
        del key.lanes[place.priority]


def _next_turn(changes: Changes, queue: QueueRow, name: str, key: KeyRow, priority: int) -> None:
    """A lane was served: it stands behind the others; or is not among them, if its key has reached a limit."""
    lane = key.lanes.get(priority)
    if lane is not None:
        _take_from_heads(changes, queue, priority, lane)
    if key.lanes:
        _refresh(changes, queue, name, key)


def _refresh(changes: Changes, queue: QueueRow, name: str, key: KeyRow) -> None:
    """Puts the lanes of a key among the heads, or takes them from there, by what its limits say now."""
    if not _blocked(changes, queue, name, key):
        for priority, lane in key.lanes.items():
            if not lane[0]:
                queue.turns += 1
                lane[0] = queue.turns
                head = encode_head(name, priority)
                changes.transaction.put(QUEUE_HEADS, head_key(queue.number, 0, lane[0]), head)
                changes.transaction.put(QUEUE_HEADS, head_key(queue.number, rank_of(priority), lane[0]), head)
                queue.heads += 1
        return
    for priority, lane in key.lanes.items():
        _take_from_heads(changes, queue, priority, lane)
    limits = queue.limits
    if key.lanes and limits.key_rate and not (limits.key_concurrency and key.running >= limits.key_concurrency):
        free_at = _rate_free_at(changes, queue, name, key)
        if not key.wake_at or free_at < key.wake_at:
            key.wake_at = free_at
            order = changes.count("arrivals", 1) & MAX_NUMBER
            changes.put_due(free_at, queue.number, order or 1, WAKE, value=name.encode())


def _take_from_heads(changes: Changes, queue: QueueRow, priority: int, lane: list[int]) -> None:
    if lane[0]:
        changes.transaction.delete(QUEUE_HEADS, head_key(queue.number, 0, lane[0]))
        changes.transaction.delete(QUEUE_HEADS, head_key(queue.number, rank_of(priority), lane[0]))
        lane[0] = 0
        queue.heads -= 1


# ---- rows ----------------------------------------------------------------------------------------------------------


def _queue_of(changes: Changes, place: Place) -> QueueRow:
    queue = changes.load_queue(place.queue)
    if queue is None:
        raise StoreError("S306", space=QUEUES, reason=f"a process is in queue {place.queue}, which is not there")
    changes.touch_queue(queue)
    return queue


def _load_key(changes: Changes, queue: QueueRow, name: str) -> KeyRow:
    return changes.load_queue_key(key_key(queue.number, name))


def _save_key(changes: Changes, queue: QueueRow, name: str, key: KeyRow) -> None:
    """Writes a key; one without processes is removed, once its rate has forgotten them."""
    stored = key_key(queue.number, name)
    if key.running or key.lanes:
        changes.put_queue_key(stored, key)
        return
    limits = queue.limits
    if limits.key_rate and key.started and name:
        last = changes.transaction.get(QUEUE_STARTS, starts_prefix(queue.number, name) + u64(key.started - 1))
        until = read_u64(last) + limits.key_rate_ns if last is not None else 0
        if until > changes.now:
            if key.forget_at < until:
                key.forget_at = until
                changes.transaction.put(FORGET, forget_key(until, queue.number, 1, name), b"")
            changes.put_queue_key(stored, key)
            return
    if key.started:
        for old, _ in changes.transaction.scan(QUEUE_STARTS, starts_prefix(queue.number, name), values=False):
            changes.transaction.delete(QUEUE_STARTS, old)
    changes.put_queue_key(stored, None)


def _wake(changes: Changes, queue: QueueRow, at: int) -> None:
    """Has a queue looked at again at a time, unless that happens earlier anyway."""
    if queue.wake_at and queue.wake_at <= at:
        return
    changes.touch_queue(queue, settle=False)
    if queue.wake_at:
        changes.transaction.delete(DUE, due_key(queue.wake_at, queue.number, 0, WAKE))
    queue.wake_at = min(at, MAX_TIME)
    changes.put_due(queue.wake_at, queue.number, 0, WAKE)


def _sweep(changes: Changes, queue: QueueRow) -> None:
    """Looks at a page of keys after the limits were changed; the rest follows in further transactions."""
    assert queue.sweep is not None
    changes.touch_queue(queue, settle=False)
    prefix = pid_key(queue.number)
    page = changes.scan_queue_keys(prefix, prefix + queue.sweep.encode(), MAX_SWEPT)
    for stored in page:
        name = read_key_key(stored)
        key = changes.load_queue_key(stored)
        _refresh(changes, queue, name, key)
        _save_key(changes, queue, name, key)
    queue.sweep = read_key_key(page[-1]) + "\x00" if len(page) == MAX_SWEPT else None
    if queue.sweep is not None:
        _wake(changes, queue, changes.now)


def _bad(what: str, expected: str, found: object) -> StoreError:
    return StoreError("S222", what=what, expected=expected, found=repr(found)[:80])

"""Commands on processes: posting events, and the turn of an interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from flowmetal.store.changes import Changes
from flowmetal.store.codec import (
    HELD,
    KIND_CODES,
    PAUSED,
    QUEUED,
    RETRY,
    STATE_CODES,
    STATUS_CODES,
    TAKEN,
    TIMER_CODES,
    encode_token,
)
from flowmetal.store.ending import end_process
from flowmetal.store.errors import StoreError, check_name, check_size
from flowmetal.store.interface import Post, Request, Timer, Turn
from flowmetal.store.layout import (
    ATTRIBUTES,
    CHECKPOINTS,
    LOG,
    MAX_NUMBER,
    RESULTS,
    TOKENS,
    pair_key,
    pid_key,
)
from flowmetal.store.limits import MAX_EVENT_BYTES, MAX_IMAGE_BYTES, MAX_LINE, MAX_TIME, MAX_VALUE_BYTES
from flowmetal.store.log_records import log_records
from flowmetal.store.operations import perform
from flowmetal.store.queues import changed
from flowmetal.store.rows import NEAR_REQUEST_BYTES, NEAR_REQUESTS, ProcessRow, RequestRow, request_row
from flowmetal.store.starting import encode_checked
from flowmetal.store.texts import Texts

#: Cuts of one entry.
MAX_PART = (1 << 24) - 1


def post(changes: Changes, command: Post) -> bool:
    """Post.  S310 where the record of the process is damaged, S229 for a retry of a request that waits for none."""
    if command.pid.__class__ is int:
        row = changes.load_process(command.pid)
        if command.kind == "retry" and command.number and row is not None and row.status <= PAUSED:
            _check_number(command.number)
            request = changes.load_request(command.pid, row, command.number)
            if request is None or not request.is_used_up:
                raise StoreError("S229", pid=command.pid, number=command.number)
    return _send(changes, command)


def _send(changes: Changes, command: Post) -> bool:
    """Post, as part of a turn: who sends to a process that is damaged goes on."""
    if command.kind not in KIND_CODES:
        raise StoreError("S206", reason=f"there is no inbox event of kind {command.kind!r}")
    _check_number(command.number)
    return changes.deliver(command.pid, command.kind, command.number, 0, command.data)


# ---- turns -------------------------------------------------------------------------------------------------------


def turn(changes: Changes, command: Turn) -> bool:
    """Turn."""
    _check_turn(command)
    pid = command.pid
    row = changes.row_for_turn(pid, command.base_sequence, command.epoch)
    if row is None:
        return False

    transaction = changes.transaction
    texts = Texts(transaction, pid, command.texts) if command.texts else None
    for key, value in log_records(pid, command.entries):
        changes.append(LOG, key, value if texts is None else texts.shortened(value))
    for taken in command.taken:
        changes.take_inbox(pid, row, taken)
    for number in command.closed:
        changes.close_request(pid, row, number)
    if command.requests:
        for request in command.requests:
            _open_request(changes, row, request)
    if command.tokens:
        _add_tokens(changes, pid, row, command.tokens)
    for timer in command.timers:
        _set_timer(changes, pid, row, timer)
    if command.checkpoint is not None:
        image = command.checkpoint if texts is None else texts.shortened(command.checkpoint)
        transaction.put(CHECKPOINTS, pair_key(pid, command.next_sequence), image)
        row.checkpoint = command.next_sequence
    if command.result is not None:
        transaction.put(RESULTS, pid_key(pid), command.result)
    if command.attributes is not None:
        _replace_attributes(changes, pid, row, command.attributes)
    # One of the messages may be to itself, and an operation may put something into its own inbox.  What a process asked
    # for before it ended is done all the same, and its messages come before the news of its end.
    for message in command.posts:
        _send(changes, message)
    for ask in command.asks:
        perform(changes, pid, ask)

    row.status = STATUS_CODES[command.status]
    row.sequence = command.next_sequence
    row.updated_at = changes.now
    row.waits = command.waits[:MAX_LINE]
    row.error = command.error[:MAX_LINE]
    row.receives = bool(command.receives)
    row.deaths = 0
    if row.status > PAUSED:
        end_process(changes, pid, row)
    elif command.status == "ready" or ((row.events or row.messages) and changes.wants_turn(pid, row)):
        row.mark = changes.new_mark()
    else:
        row.mark = 0
    if row.queue is not None:
        changed(changes, pid, row)
    return True


def _check_turn(command: Turn) -> None:
    if command.status not in STATUS_CODES:
        raise StoreError("S206", reason=f"there is no status {command.status!r}")
    last, last_part = command.base_sequence - 1, 0  # the entry before may get further parts
    end = command.next_sequence
    for sequence, part, event, segment in command.entries:
        in_order = last < sequence or (last == sequence and last_part < part)
        if not (in_order and 0 <= sequence < end and 0 <= part <= MAX_PART):
            raise StoreError("S206", reason=f"log entry {sequence}.{part} of process {command.pid} is out of order")
        last, last_part = sequence, part
        if len(event) > MAX_EVENT_BYTES or len(segment) > MAX_VALUE_BYTES:
            check_size("an event", event, MAX_EVENT_BYTES)
            check_size("a segment", segment)
    if end < command.base_sequence:
        raise StoreError("S206", reason="the sequence of a process cannot go back")
    if not 0 <= end <= MAX_NUMBER:
        _check_number(end)
    if command.checkpoint is not None:
        check_size("a checkpoint", command.checkpoint, MAX_IMAGE_BYTES)
    if command.result is not None:
        check_size("a result", command.result)
    for request in command.requests:
        check_request(request, command.pid)
    for timer in command.timers:
        if timer.kind not in TIMER_CODES:
            raise StoreError("S206", reason=f"there is no timer of kind {timer.kind!r}")
        _check_number(timer.number)
        _check_time(timer.due)
    for token, number in command.tokens:
        check_name("a token", token)
        _check_number(number)
    for number in command.closed:
        if not 0 <= number <= MAX_NUMBER:
            _check_number(number)
    for key in command.taken:
        if not 0 <= key <= MAX_TIME:
            _check_time(key)
    for ask in command.asks:
        check_size("a payload", ask.payload)
        _check_number(ask.number)


def check_request(request: Request, pid: int) -> None:
    """Refuses a request that cannot be stored."""
    _check_effect(request.effect)
    if len(request.payload) > MAX_VALUE_BYTES or len(request.options) > MAX_VALUE_BYTES:
        check_size("a payload", request.payload)
        check_size("options", request.options)
    if not (0 <= request.number <= MAX_NUMBER and 0 <= request.not_before <= MAX_TIME):
        _check_number(request.number)
        _check_time(request.not_before)
    if request.pid != pid:
        raise StoreError("S206", reason=f"a request of process {request.pid} in a turn of process {pid}")
    if request.state not in ("queued", "held"):
        raise StoreError("S206", reason=f"a turn cannot open a request in state {request.state!r}")


@lru_cache(1024)
def _check_effect(effect: str) -> None:
    check_name("the name of an effect", effect)


def _check_number(number: int) -> None:
    if not 0 <= number <= MAX_NUMBER:
        raise StoreError("S206", reason=f"{number} is no number that a key can hold")


def _check_time(number: int) -> None:
    if not 0 <= number <= MAX_TIME:
        raise StoreError("S206", reason=f"{number} is no number that a key can hold")


def _open_request(changes: Changes, row: ProcessRow, request: Request) -> None:
    pid, number = request.pid, request.number
    old = row.requests.get(number)
    if old is None and row.far_requests:
        old = changes.load_request(pid, row, number)
    attempt = request.attempt
    if old is not None:  # it is put back: attempts go on counting, tokens stay
        changes.withdraw(pid, number, old)
        changes.drop_timers(pid, row, number)
        attempt = max(attempt, old.attempt)
        row.calls -= old.called
    elif not request.queued and len(request.payload) + len(request.options) <= NEAR_REQUEST_BYTES:
        if len(row.requests) < NEAR_REQUESTS:  # what follows, for a new one that nobody takes: nearly every step's
            row.calls += request.called
            row.requests[number] = RequestRow(
                request.effect,
                request.payload,
                request.options,
                request.idempotency_key,
                request.not_before,
                attempt,
                HELD,
                "",
                0,
                False,
                request.called,
                0,
                [],
            )
            return
    made = request_row(request, attempt, STATE_CODES[request.state], old)
    row.calls += made.called
    if made.state == QUEUED:
        if made.not_before > changes.now:
            made.state = HELD
            changes.set_timer(pid, row, made.not_before, number, RETRY)
        else:
            changes.enqueue(pid, number, made)
    changes.save_request(pid, row, number, made)


def _add_tokens(changes: Changes, pid: int, row: ProcessRow, tokens: Sequence[tuple[str, int]]) -> None:
    for token, number in tokens:
        request = changes.load_request(pid, row, number)
        if request is None:
            raise StoreError("S206", reason=f"a token belongs to request {number} of process {pid}, which is not open")
        if token in request.tokens:
            continue
        name = token.encode()
        if changes.transaction.get(TOKENS, name) is not None:
            raise StoreError("S206", reason="a token is there already; tokens are made to be unique")
        request.tokens.append(token)
        changes.transaction.put(TOKENS, name, encode_token(pid, number, 0))
        changes.save_request(pid, row, number, request)


def _set_timer(changes: Changes, pid: int, row: ProcessRow, timer: Timer) -> None:
    kind = TIMER_CODES[timer.kind]
    if kind == RETRY:
        request = changes.load_request(pid, row, timer.number)
        if request is None or request.state == TAKEN:
            return
        changes.withdraw(pid, timer.number, request)
        request.state = HELD
        request.not_before = timer.due
        changes.save_request(pid, row, timer.number, request)
    changes.set_timer(pid, row, timer.due, timer.number, kind)


def _replace_attributes(changes: Changes, pid: int, row: ProcessRow, attributes: dict[str, object]) -> None:
    data = encode_checked(attributes)
    row.attributed = bool(data)
    if data:
        changes.transaction.put(ATTRIBUTES, pid_key(pid), data)
    else:
        changes.transaction.delete(ATTRIBUTES, pid_key(pid))

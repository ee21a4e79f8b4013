"""Commands on processes: artifacts and deploying, start, posting events, and the turn of an interpreter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

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
    encode_attributes,
    encode_token,
)
from flowmetal.store.errors import StoreError, check_name, check_size
from flowmetal.store.interface import PARTITIONS as PARTITION_COUNT
from flowmetal.store.interface import Post, PutArtifact, Request, Start, Timer, Turn
from flowmetal.store.layout import (
    ARTIFACTS,
    ATTRIBUTES,
    CHECKPOINTS,
    DEPLOYED,
    IDS,
    LOG,
    MAX_NUMBER,
    RESULTS,
    TOKENS,
    UNNEEDED,
    pair_key,
    pid_key,
    read_pid,
)
from flowmetal.store.limits import (
    MAX_ATTRIBUTE_BYTES,
    MAX_EVENT_BYTES,
    MAX_IMAGE_BYTES,
    MAX_TIME,
    MAX_VALUE_BYTES,
)
from flowmetal.store.log_records import log_records
from flowmetal.store.queues import admissible, changed, enter
from flowmetal.store.refusals import error_value
from flowmetal.store.rows import BornRow, ProcessRow, request_row
from flowmetal.store.texts import Texts
from flowmetal.values import encode_value

#: What a child in a queue may be refused for, so that the program hears of it at its call.
QUEUE_REFUSALS = frozenset({"S201", "S204", "S220", "S221", "S222"})
#: A line for people is cut, not refused.
MAX_LINE = 1000
#: Cuts of one entry.
MAX_PART = (1 << 24) - 1
#: Hashes are SHA-256, but any short content hash will do.
MAX_HASH_BYTES = 64


def put_artifact(changes: Changes, command: PutArtifact) -> None:
    """PutArtifact."""
    if not 0 < len(command.hash) <= MAX_HASH_BYTES:
        raise StoreError("S206", reason="an artifact's hash must have 1 to 64 bytes")
    check_size("an artifact", command.data, MAX_IMAGE_BYTES)
    name = check_name("the name of a program", command.name) if command.name is not None else None
    if changes.transaction.get(ARTIFACTS, command.hash) is None:
        changes.transaction.put(ARTIFACTS, command.hash, command.data)
    elif changes.transaction.get(UNNEEDED, command.hash) is not None:
        changes.transaction.delete(UNNEEDED, command.hash)  # whoever puts it is about to need it
    if name is not None and changes.transaction.get(DEPLOYED, name) != command.hash:
        changes.transaction.put(DEPLOYED, name, command.hash)


def start(changes: Changes, command: Start) -> tuple[int, bool]:
    """Start."""
    transaction = changes.transaction
    check_size("an argument vector", command.arguments)
    check_name("a function", command.function)
    name = check_name("the name of a program", command.name) if command.name is not None else None
    id = check_name("an id", command.id) if command.id is not None else None
    digest = b""  # it only tells whether another start with the id is the same
    if id is not None:
        digest = hashlib.sha256(command.arguments).digest()
        taken = transaction.get(IDS, id)
        if taken is not None:
            return _started_before(changes, command, read_pid(taken), digest), False
    artifact = command.artifact
    if artifact is None:
        if name is None:
            raise StoreError("S206", reason="a start names neither an artifact nor a program")
        artifact = transaction.get(DEPLOYED, name)
        if artifact is None:
            raise StoreError("S202", name=command.name)
    elif not 0 < len(artifact) <= MAX_HASH_BYTES or transaction.get(ARTIFACTS, artifact) is None:
        raise StoreError("S203", hash=artifact.hex()[:128])
    attributes = _attributes(command.attributes)
    if changes.nearly_full is not None:
        changes.nearly_full()
    asked = None if command.queue is None else admissible(changes, command)
    if asked is not None and asked[2]:
        return asked[2], False

    pid = changes.count("pid", 1)
    origin = changes.number_of((artifact, command.function, command.name))
    mark = changes.new_mark() if asked is None else 0
    born = BornRow(origin, changes.now, command.id, command.parent, digest, mark, bool(attributes))
    if asked is None or command.queue is None:
        changes.add_process(pid, born, command.arguments)
    else:
        enter(changes, pid, changes.add_waiting(pid, born), asked[0], asked[1], command.queue[4], command.arguments)
    if id is not None:
        transaction.put(IDS, id, pid_key(pid))
    if attributes:
        transaction.put(ATTRIBUTES, pid_key(pid), attributes)
    return pid, True


def _started_before(changes: Changes, command: Start, pid: int, digest: bytes) -> int:
    found = changes.load_born(pid)
    if found is not None:
        born, (artifact, function, name) = found
        same_program = name == command.name if command.name is not None else artifact == command.artifact
        differing = [
            what
            for what, same in (
                ("program", same_program),
                ("function", function == command.function),
                ("arguments", born.digest == digest),
            )
            if not same
        ]
        if not differing:
            return pid
        raise StoreError("S201", id=command.id, pid=pid, what=" and ".join(differing))
    raise StoreError("S201", id=command.id, pid=pid, what="start")


def post(changes: Changes, command: Post) -> bool:
    """Post."""
    if command.kind not in KIND_CODES:
        raise StoreError("S206", reason=f"there is no inbox event of kind {command.kind!r}")
    _check_number(command.number)
    return changes.deliver(command.pid, command.kind, command.number, 0, command.data)


# ---- turns -------------------------------------------------------------------------------------------------------


def turn(changes: Changes, command: Turn) -> bool:
    """Turn."""
    _check_turn(command)
    pid = command.pid
    row = changes.load_process(pid)
    if row is None or row.status > PAUSED or row.sequence != command.base_sequence:
        return False
    if changes.epoch_of(pid % PARTITION_COUNT) != command.epoch:
        return False

    transaction = changes.transaction
    changes.touch(pid, row)
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
    for child in command.starts:
        try:
            child_pid, _ = start(changes, child if child.parent == pid else _child_of(pid, child))
        except StoreError as refusal:
            if child.queue is None or not child.answers or refusal.code not in QUEUE_REFUSALS:
                raise
            error = encode_value(error_value(refusal))
            changes.put_inbox(pid, row, "error", error, number=child.answers)
            continue
        if child.answers:
            changes.put_inbox(pid, row, "spawned", str(child_pid).encode(), number=child.answers)

    row.status = STATUS_CODES[command.status]
    row.sequence = command.next_sequence
    row.updated_at = changes.now
    row.waits = command.waits[:MAX_LINE]
    row.error = command.error[:MAX_LINE]
    row.receives = bool(command.receives)
    row.deaths = 0
    if row.status > PAUSED:
        changes.end_process(pid, row)
    elif command.status == "ready" or ((row.events or row.messages) and changes.wants_turn(pid, row)):
        row.mark = changes.new_mark()
    else:
        row.mark = 0
    if row.queue is not None:
        changed(changes, pid, row)
    # Posts come last: one of them may be to itself.
    for message in command.posts:
        post(changes, message)
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
        _check_number(number)
    for key in command.taken:
        _check_time(key)
    for child in command.starts:
        _check_number(child.answers)


def check_request(request: Request, pid: int) -> None:
    """Refuses a request that cannot be stored."""
    check_name("the name of an effect", request.effect)
    check_size("a payload", request.payload)
    check_size("options", request.options)
    _check_number(request.number)
    _check_time(request.not_before)
    if request.pid != pid:
        raise StoreError("S206", reason=f"a request of process {request.pid} in a turn of process {pid}")
    if request.state not in ("queued", "held"):
        raise StoreError("S206", reason=f"a turn cannot open a request in state {request.state!r}")


def _check_number(number: int) -> None:
    if not 0 <= number <= MAX_NUMBER:
        raise StoreError("S206", reason=f"{number} is no number that a key can hold")


def _check_time(number: int) -> None:
    if not 0 <= number <= MAX_TIME:
        raise StoreError("S206", reason=f"{number} is no number that a key can hold")


def _open_request(changes: Changes, row: ProcessRow, request: Request) -> None:
    pid, number = request.pid, request.number
    old = changes.load_request(pid, row, number)
    attempt = request.attempt
    if old is not None:  # it is put back: attempts go on counting, tokens stay
        changes.withdraw(pid, number, old)
        changes.drop_timers(pid, row, number)
        attempt = max(attempt, old.attempt)
        row.calls -= old.called
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


def _attributes(attributes: dict[str, object]) -> bytes:
    if not attributes:
        return b""
    data = encode_attributes(attributes)
    check_size("the attributes of a process", data, MAX_ATTRIBUTE_BYTES)
    return data


def _replace_attributes(changes: Changes, pid: int, row: ProcessRow, attributes: dict[str, object]) -> None:
    data = _attributes(attributes)
    row.attributed = bool(data)
    if data:
        changes.transaction.put(ATTRIBUTES, pid_key(pid), data)
    else:
        changes.transaction.delete(ATTRIBUTES, pid_key(pid))


def _child_of(pid: int, child: Start) -> Start:
    return Start(
        function=child.function,
        arguments=child.arguments,
        artifact=child.artifact,
        name=child.name,
        id=child.id,
        parent=pid,
        attributes=child.attributes,
        answers=child.answers,
        queue=child.queue,
    )

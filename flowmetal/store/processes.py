"""Commands on processes: artifacts and deploying, start, posting events, and the turn of an interpreter."""

from __future__ import annotations

import hashlib

from flowmetal.store.changes import Changes
from flowmetal.store.codec import (
    HELD,
    KIND_CODES,
    LIVE,
    PAUSED,
    QUEUED,
    RETRY,
    STATE_CODES,
    STATUS_CODES,
    TAKEN,
    TIMER_CODES,
    ProcessRow,
    RequestRow,
    decode_partition,
    encode_attributes,
    encode_log,
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
    PARTITIONS,
    RESULTS,
    TOKENS,
    log_key,
    read_u64,
    u16,
    u64,
    u64_pair,
)
from flowmetal.store.limits import MAX_ATTRIBUTE_BYTES, MAX_EVENT_BYTES, MAX_IMAGE_BYTES, MAX_TIME

#: A line for people is cut, not refused.
MAX_LINE = 1000
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
    if name is not None and changes.transaction.get(DEPLOYED, name) != command.hash:
        changes.transaction.put(DEPLOYED, name, command.hash)


def start(changes: Changes, command: Start) -> tuple[int, bool]:
    """Start."""
    transaction = changes.transaction
    check_size("an argument vector", command.arguments)
    check_name("a function", command.function)
    name = check_name("the name of a program", command.name) if command.name is not None else None
    id = check_name("an id", command.id) if command.id is not None else None
    digest = hashlib.sha256(command.arguments).digest()
    if id is not None:
        taken = transaction.get(IDS, id)
        if taken is not None:
            return _started_before(changes, command, read_u64(taken), digest), False
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

    pid = changes.next_number("pid")
    now = changes.now
    row = ProcessRow(
        artifact=artifact,
        function=command.function,
        status=LIVE,
        sequence=0,
        checkpoint=0,
        created_at=now,
        updated_at=now,
        id=command.id,
        parent=command.parent,
        waits="",
        error="",
        mark=changes.new_mark(),
        name=command.name,
        digest=digest,
        messages=0,
        receives=False,
        deaths=0,
    )
    changes.save_process(pid, row, None, 0)
    if id is not None:
        transaction.put(IDS, id, u64(pid))
    if attributes:
        transaction.put(ATTRIBUTES, u64(pid), attributes)
    changes.put_inbox(pid, row, "start", command.arguments)
    return pid, True


def _started_before(changes: Changes, command: Start, pid: int, digest: bytes) -> int:
    row = changes.load_process(pid)
    same_program = row is not None and (
        row.name == command.name if command.name is not None else row.artifact == command.artifact
    )
    if row is None or not same_program or row.function != command.function or row.digest != digest:
        raise StoreError("S201", id=command.id, pid=pid)
    return pid


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
    if epoch_of(changes, pid % PARTITION_COUNT) != command.epoch:
        return False

    transaction = changes.transaction
    old_status, old_mark = row.status, row.mark
    for sequence, part, event, segment in command.entries:
        transaction.put(LOG, log_key(pid, sequence, part), encode_log(event, segment))
    for key in command.taken:
        changes.take_inbox(pid, row, key)
    for number in command.closed:
        changes.close_request(pid, number)
    _open_requests(changes, command)
    if command.checkpoint is not None:
        transaction.put(CHECKPOINTS, u64_pair(pid, command.next_sequence), command.checkpoint)
        row.checkpoint = command.next_sequence
    if command.result is not None:
        transaction.put(RESULTS, u64(pid), command.result)
    if command.attributes is not None:
        _replace_attributes(changes, pid, command.attributes)
    for child in command.starts:
        start(changes, child if child.parent == pid else _child_of(pid, child))

    row.status = STATUS_CODES[command.status]
    row.sequence = command.next_sequence
    row.updated_at = changes.now
    row.waits = command.waits[:MAX_LINE]
    row.error = command.error[:MAX_LINE]
    row.receives = bool(command.receives)
    row.deaths = 0
    if row.status > PAUSED:
        changes.end_process(pid)
        row.mark = row.messages = 0
    elif command.status == "ready" or changes.wants_turn(pid, row):
        row.mark = changes.new_mark()
    else:
        row.mark = 0
    changes.save_process(pid, row, old_status, old_mark)
    # Posts come after the process is saved: one of them may be to itself.
    for message in command.posts:
        post(changes, message)
    return True


def epoch_of(changes: Changes, partition: int) -> int:
    """The epoch of a partition; 0 if no interpreter ever had it."""
    data = changes.transaction.get(PARTITIONS, u16(partition))
    return 0 if data is None else decode_partition(data)[1]


def _check_turn(command: Turn) -> None:
    if command.status not in STATUS_CODES:
        raise StoreError("S206", reason=f"there is no status {command.status!r}")
    last = (command.base_sequence - 1, 0)  # the entry before may get further parts
    for sequence, part, event, segment in command.entries:
        if not (last < (sequence, part) and sequence < command.next_sequence):
            raise StoreError("S206", reason=f"log entry {sequence}.{part} of process {command.pid} is out of order")
        last = (sequence, part)
        check_size("an event", event, MAX_EVENT_BYTES)
        check_size("a segment", segment)
    if command.next_sequence < command.base_sequence:
        raise StoreError("S206", reason="the sequence of a process cannot go back")
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
        _check_number(timer.due)
    for token, number in command.tokens:
        check_name("a token", token)
        _check_number(number)
    for number in (*command.closed, *command.taken):
        _check_number(number)


def check_request(request: Request, pid: int) -> None:
    """Refuses a request that cannot be stored."""
    check_name("the name of an effect", request.effect)
    check_size("a payload", request.payload)
    check_size("options", request.options)
    _check_number(request.number)
    _check_number(request.not_before)
    if request.pid != pid:
        raise StoreError("S206", reason=f"a request of process {request.pid} in a turn of process {pid}")
    if request.state not in ("queued", "held"):
        raise StoreError("S206", reason=f"a turn cannot open a request in state {request.state!r}")


def _check_number(number: int) -> None:
    if not 0 <= number <= MAX_TIME:
        raise StoreError("S206", reason=f"{number} is no number that a key can hold")


def _open_requests(changes: Changes, command: Turn) -> None:
    pid = command.pid
    tokens: dict[int, list[str]] = {}
    for token, number in command.tokens:
        tokens.setdefault(number, []).append(token)
    for request in command.requests:
        _open_request(changes, request)
    for number, names in tokens.items():
        _add_tokens(changes, pid, number, names)
    for timer in command.timers:
        _set_timer(changes, pid, timer)


def _open_request(changes: Changes, request: Request) -> None:
    pid, number = request.pid, request.number
    old = changes.load_request(pid, number)
    attempt = request.attempt
    tokens: list[str] = []
    if old is not None:  # it is put back: attempts go on counting, tokens stay
        changes.withdraw(pid, number, old)
        changes.drop_timers(u64_pair(pid, number))
        attempt = max(attempt, old.attempt)
        tokens = old.tokens
    row = RequestRow(
        effect=request.effect,
        payload=request.payload,
        options=request.options,
        idempotency_key=request.idempotency_key,
        not_before=request.not_before,
        attempt=attempt,
        state=STATE_CODES[request.state] if request.queued else HELD,
        worker="",
        lease_until=0,
        queued=request.queued,
        place=0,
        tokens=tokens,
    )
    if row.state == QUEUED and row.not_before > changes.now:
        row.state = HELD
        changes.set_timer(row.not_before, pid, number, RETRY)
    elif row.state == QUEUED:
        changes.enqueue(pid, number, row)
    changes.save_request(pid, number, row)


def _add_tokens(changes: Changes, pid: int, number: int, tokens: list[str]) -> None:
    row = changes.load_request(pid, number)
    if row is None:
        raise StoreError("S206", reason=f"a token belongs to request {number} of process {pid}, which is not open")
    for token in tokens:
        if token in row.tokens:
            continue
        if changes.transaction.get(TOKENS, token.encode()) is not None:
            raise StoreError("S206", reason="a token is there already; tokens are made to be unique")
        row.tokens.append(token)
        changes.transaction.put(TOKENS, token.encode(), encode_token(pid, number, 0))
    changes.save_request(pid, number, row)


def _set_timer(changes: Changes, pid: int, timer: Timer) -> None:
    kind = TIMER_CODES[timer.kind]
    if kind == RETRY:
        row = changes.load_request(pid, timer.number)
        if row is None or row.state == TAKEN:
            return
        changes.withdraw(pid, timer.number, row)
        row.state = HELD
        row.not_before = timer.due
        changes.save_request(pid, timer.number, row)
    changes.set_timer(timer.due, pid, timer.number, kind)


def _attributes(attributes: dict[str, object]) -> bytes:
    if not attributes:
        return b""
    data = encode_attributes(attributes)
    check_size("the attributes of a process", data, MAX_ATTRIBUTE_BYTES)
    return data


def _replace_attributes(changes: Changes, pid: int, attributes: dict[str, object]) -> None:
    data = _attributes(attributes)
    if data:
        changes.transaction.put(ATTRIBUTES, u64(pid), data)
    else:
        changes.transaction.delete(ATTRIBUTES, u64(pid))


def _child_of(pid: int, child: Start) -> Start:
    return Start(
        function=child.function,
        arguments=child.arguments,
        artifact=child.artifact,
        name=child.name,
        id=child.id,
        parent=pid,
        attributes=child.attributes,
    )

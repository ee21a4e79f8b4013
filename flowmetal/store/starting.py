"""Artifacts, deploying, and the start of processes."""

from __future__ import annotations

import hashlib
from typing import Any

from flowmetal.store.bonds import bind_name, holder_of
from flowmetal.store.changes import Changes
from flowmetal.store.codec import encode_attributes, pack
from flowmetal.store.errors import StoreError, check_name, check_size
from flowmetal.store.families import check_family, enter_family
from flowmetal.store.grant_rows import GRANTS, checked_grants, granted_to
from flowmetal.store.interface import PutArtifact, Start
from flowmetal.store.layout import ARTIFACTS, ATTRIBUTES, DEPLOYED, IDS, META, UNNEEDED, pid_key, read_pid
from flowmetal.store.limits import MAX_ARGUMENT_BYTES, MAX_ATTRIBUTE_BYTES, MAX_IMAGE_BYTES
from flowmetal.store.queues import admissible, enter
from flowmetal.store.rows import BornRow

#: Hashes are SHA-256, but any short content hash will do.
MAX_HASH_BYTES = 64


def put_artifact(changes: Changes, command: PutArtifact) -> None:
    """PutArtifact."""
    if not 0 < len(command.hash) <= MAX_HASH_BYTES:
        raise StoreError("S206", reason="an artifact's hash must have 1 to 64 bytes")
    check_size("an artifact", command.data, MAX_IMAGE_BYTES)
    name = check_name("the name of a program", command.name) if command.name is not None else None
    if command.over is not None and (name is None or _whole(changes, DEPLOYED, name) != command.over):
        return
    kept = _whole(changes, ARTIFACTS, command.hash)
    if kept is None or _is_signed_otherwise(command, kept):
        changes.transaction.put(ARTIFACTS, command.hash, command.data)
    changes.transaction.delete(UNNEEDED, command.hash)  # whoever puts it is about to need it
    grants = None if command.grants is None else checked_grants(command.grants)
    if name is None:
        return
    if _whole(changes, DEPLOYED, name) != command.hash:
        changes.transaction.put(DEPLOYED, name, command.hash)
    record = pack(grants)
    if _whole(changes, META, GRANTS + name) != record:
        changes.transaction.put(META, GRANTS + name, record)


def _whole(changes: Changes, space: str, key: bytes) -> bytes | None:
    """What is kept; None also where it is damaged, since it is written anew."""
    try:
        return changes.transaction.get(space, key)
    except StoreError as error:
        if not error.is_damage:
            raise
        return None


def _is_signed_otherwise(command: PutArtifact, kept: bytes) -> bool:
    """Whether data is what is kept but for what stands behind the content hash, signatures, of which it has no fewer.

    Whoever deploys takes over those that are kept and true, so fewer are those of somebody who did not see them.
    """
    end = kept.rfind(command.hash) + len(command.hash)
    if len(command.data) < len(kept) or end < len(command.hash):
        return False
    return command.data != kept and command.data[:end] == kept[:end]


def start(changes: Changes, command: Start) -> tuple[int, bool]:
    """Start."""
    transaction = changes.transaction
    check_size("an argument vector", command.arguments, MAX_ARGUMENT_BYTES)
    check_name("a function", command.function)
    name = check_name("the name of a program", command.name) if command.name is not None else None
    id = check_name("an id", command.id) if command.id is not None else None
    digest = b""  # it only tells whether another start with the id is the same
    if id is not None:
        digest = hashlib.sha256(command.arguments).digest()
        taken = transaction.get(IDS, id)
        if taken is not None:
            return _started_before(changes, command, read_pid(taken), digest), False
    registered = check_name("the name of a process", command.register) if command.register is not None else None
    if registered is not None:
        holder = holder_of(changes, registered)
        if holder:
            return holder, False
    artifact = command.artifact
    if artifact is None:
        if name is None:
            raise StoreError("S206", reason="a start names neither an artifact nor a program")
        artifact = transaction.get(DEPLOYED, name)
        if artifact is None:
            raise StoreError("S202", name=command.name)
    elif not 0 < len(artifact) <= MAX_HASH_BYTES or transaction.get(ARTIFACTS, artifact) is None:
        raise StoreError("S203", hash=artifact.hex()[:128])
    attributes = encode_checked(command.attributes)
    if changes.nearly_full is not None:
        changes.nearly_full()
    asked = None if command.queue is None else admissible(changes, command)
    if asked is not None and asked[2]:
        return asked[2], False

    grants = command.grants
    if grants is not None:
        grants = checked_grants(grants)
    elif name is not None:
        grants = granted_to(transaction, name)
    more = _more(changes, command)

    pid = changes.count("pid", 1)
    origin = changes.number_of((artifact, command.function, _program(changes, command), grants))
    mark = changes.new_mark() if asked is None else 0
    born = BornRow(origin, changes.now, command.id, command.parent, digest, mark, bool(attributes), more)
    if asked is None or command.queue is None:
        changes.add_process(pid, born, command.arguments)
    else:
        enter(changes, pid, changes.add_waiting(pid, born), asked[0], asked[1], command.queue[4], command.arguments)
    if id is not None:
        transaction.put(IDS, id, pid_key(pid))
    if attributes:
        transaction.put(ATTRIBUTES, pid_key(pid), attributes)
    row = changes.load_process(pid)
    if registered is not None and row is not None:
        bind_name(changes, pid, row, registered)
    if "root" in more and command.parent is not None:
        enter_family(changes, command.parent, more["root"])
    return pid, True


def _program(changes: Changes, command: Start) -> str | None:
    """The deployed name that a process belongs to: it is a child's as well as its parent's."""
    if command.name is not None or command.parent is None:
        return command.name
    parent = changes.load_born(command.parent)
    return None if parent is None else parent[1][2]


def _more(changes: Changes, command: Start) -> dict[str, Any]:
    """What is kept of a start beside the usual; refused where its parent may spawn no more."""
    more: dict[str, Any] = {}
    limits = dict(command.limits)
    if command.parent is not None:
        parent = changes.born(command.parent)
        if parent is not None:
            more["root"] = parent.more.get("root", command.parent)
            for name, most in (parent.more.get("limits") or {}).items():
                limits[name] = min(most, limits.get(name, most))
            if command.family is not None:
                check_family(changes, command.parent, more["root"], command.family)
    if limits:
        more["limits"] = limits
    if command.queue is not None:
        more["queue"] = command.queue[:3]
    return more


def _started_before(changes: Changes, command: Start, pid: int, digest: bytes) -> int:
    found = changes.load_born(pid)
    if found is not None:
        born, (artifact, function, name, _) = found
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


def encode_checked(attributes: dict[str, object]) -> bytes:
    """The bytes of attributes, empty for none; refused where there are too many or one is not plain data."""
    if not attributes:
        return b""
    data = encode_attributes(attributes)
    check_size("the attributes of a process", data, MAX_ATTRIBUTE_BYTES)
    return data

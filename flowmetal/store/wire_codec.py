"""Commands and results as bytes: what attached processes and the owner of a store say to each other.

A message is 4 bytes of length and a msgpack array that begins with its number.  Both sides run on one machine and
belong to one user; the owner still checks every command as it does those of its own process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgpack

from flowmetal.dataclass import fields
from flowmetal.packing import pack
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import (
    Ask,
    Bulk,
    Claim,
    Command,
    Complete,
    Deliver,
    Extend,
    Fire,
    ForgetArtifacts,
    Hint,
    Join,
    Kill,
    Leave,
    Mend,
    Operate,
    Post,
    PruneLog,
    PutArtifact,
    Rekey,
    Remove,
    Request,
    Settle,
    Start,
    Take,
    Timer,
    Turn,
)

#: Raised when anything below changes its form.
PROTOCOL = 4
#: One message; a unit may hold a checkpoint and more.
MAX_MESSAGE_BYTES = 1 << 30

# To the owner.
HELLO = 1  # protocol, store id, client id, pid
SUBMIT = 2  # batch number, all results up to this number have arrived, commands
WATCH = 3  # whether hints are wanted
BYE = 4  # nothing is outstanding and nothing will come
# From the owner.
WELCOME = 11  # protocol, pid
DONE = 12  # batch number, results
REFUSED = 13  # batch number, code, facts
HINTS = 14  # hints
GOODBYE = 15  # reason: the owner does not talk to this client

_COMMANDS: tuple[type, ...] = (
    PutArtifact, Start, Post, Deliver, Take, Extend, Complete, Join, Leave, Fire, Turn,
    Remove, PruneLog, ForgetArtifacts, Operate, Kill, Settle, Bulk, Rekey, Mend,
)  # fmt: skip
_TAGS = {kind: tag for tag, kind in enumerate(_COMMANDS, 1)}
_KINDS = dict(enumerate(_COMMANDS, 1))


def _getter(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    names = [field.name for field in fields(kind)]
    if len(names) == 1:
        name = names[0]
        return lambda value: (getattr(value, name),)
    return attrgetter(*names)


_GETTERS = {kind: _getter(kind) for kind in (*_COMMANDS, Request, Timer, Claim, Ask)}
_TURN_FIELDS = [field.name for field in fields(Turn)]
_ATTRIBUTES = {
    Start: [field.name for field in fields(Start)].index("attributes"),
    Turn: _TURN_FIELDS.index("attributes"),
}
_ASK_START = [field.name for field in fields(Ask)].index("start")
_NESTED: tuple[tuple[int, type], ...] = (
    (_TURN_FIELDS.index("requests"), Request),
    (_TURN_FIELDS.index("timers"), Timer),
    (_TURN_FIELDS.index("posts"), Post),
    (_TURN_FIELDS.index("asks"), Ask),
)


def frame(*message: Any) -> bytes:
    """A message with its length before it."""
    data: bytes = pack(message)
    if len(data) > MAX_MESSAGE_BYTES:
        raise StoreError("S205", what="a batch", size=len(data), limit=MAX_MESSAGE_BYTES)
    return len(data).to_bytes(4, "big") + data


def parse(data: bytes | bytearray | memoryview) -> tuple[Any, ...]:
    """A message without its length; ValueError for bytes that are none."""
    try:
        message = msgpack.unpackb(data, use_list=False, strict_map_key=False)
    except Exception as error:  # a TypeError, say, for a map whose key is one
        raise ValueError(f"not a message: {error}") from error
    if not isinstance(message, tuple) or not message or message[0].__class__ is not int:
        raise ValueError("not a message")
    return message


def encode_commands(commands: Sequence[Command]) -> bytes:
    """Commands for SUBMIT; S206 where one holds something that is not of its type."""
    try:
        data: bytes = pack([_encode_command(command) for command in commands])
    except (TypeError, ValueError, OverflowError, AttributeError, KeyError, RecursionError) as error:
        raise StoreError("S206", reason=f"{type(error).__name__}: {error}") from error
    if len(data) > MAX_MESSAGE_BYTES:
        raise StoreError("S205", what="a batch", size=len(data), limit=MAX_MESSAGE_BYTES)
    return data


def _encode_command(command: Command) -> list[Any]:
    kind = type(command)
    tag = _TAGS.get(kind)
    if tag is None:
        raise TypeError(f"{kind.__name__} is no command")
    return [tag, *_encode_fields(kind, command)]


def _encode_fields(kind: type, value: Any) -> list[Any]:
    values = list(_GETTERS[kind](value))
    if kind is Turn:
        for index, nested in _NESTED:
            values[index] = [_encode_fields(nested, part) for part in values[index]]
    elif kind is Ask and values[_ASK_START] is not None:
        values[_ASK_START] = _encode_fields(Start, values[_ASK_START])
    elif kind is Bulk:
        values[0] = [_encode_command(part) for part in values[0]]
    place = _ATTRIBUTES.get(kind)
    if place is not None and values[place]:
        values[place] = pack(values[place])  # apart, since lists in it stay lists
    return values


def decode_commands(data: bytes) -> list[Command]:
    """Commands from SUBMIT; S206 where they are none."""
    try:
        return [_decode_command(wire) for wire in msgpack.unpackb(data, use_list=False, strict_map_key=False)]
    except Exception as error:
        raise StoreError("S206", reason=f"commands cannot be read: {error}") from error


def _decode_command(wire: Sequence[Any]) -> Command:
    command: Command = _decode_fields(_KINDS[wire[0]], wire[1:])
    return command


def _decode_fields(kind: type, wire: Sequence[Any]) -> Any:
    values = list(wire)
    if kind is Turn:
        for index, nested in _NESTED:
            values[index] = tuple(_decode_fields(nested, part) for part in values[index])
    elif kind is Ask and values[_ASK_START] is not None:
        values[_ASK_START] = _decode_fields(Start, values[_ASK_START])
    elif kind is Bulk:
        values[0] = tuple(_decode_command(part) for part in values[0])
    place = _ATTRIBUTES.get(kind)
    if place is not None and values[place]:
        values[place] = msgpack.unpackb(values[place], strict_map_key=False)
    return kind(*values)


def encode_results(results: Sequence[Any]) -> bytes:
    """Results of commands, in order."""
    data: bytes = pack([_encode_result(result) for result in results])
    return data


def _encode_result(result: Any) -> Any:
    if isinstance(result, Claim):
        return _GETTERS[Claim](result)
    if isinstance(result, list):
        return [_GETTERS[Request](request) for request in result]
    return result


def decode_results(commands: Sequence[Command], data: bytes) -> list[Any]:
    """Results for the commands they belong to; ValueError where they do not fit."""
    wires = msgpack.unpackb(data, use_list=False, strict_map_key=False)
    if len(wires) != len(commands):
        raise ValueError("as many results as commands")
    results: list[Any] = []
    for command, wire in zip(commands, wires, strict=True):
        if isinstance(command, Take):
            results.append([Request(*fields_of) for fields_of in wire])
        elif isinstance(command, Join):
            results.append(Claim(*wire))
        else:
            results.append(wire)
    return results


def encode_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts of an error as plain data."""
    return {key: value if isinstance(value, (str, int, type(None))) else str(value) for key, value in facts.items()}


def encode_hints(hints: frozenset[Hint]) -> list[Hint]:
    """Hints for HINTS."""
    return list(hints)


def decode_hints(wire: Sequence[Any]) -> frozenset[Hint]:
    """Hints from HINTS."""
    return frozenset((kind, value) for kind, value in wire)


# ---- batches that are remembered --------------------------------------------------------------------------------


def encode_client(arrived: int, seen_at: int) -> bytes:
    """The value of CLIENTS under batch 0."""
    data: bytes = pack((arrived, seen_at))
    return data


def decode_client(data: bytes) -> tuple[int, int]:
    """(last batch whose results have arrived, seen at); S306 where it is none."""
    try:
        arrived, seen_at = msgpack.unpackb(data)
    except Exception as error:
        raise StoreError("S306", space="clients", reason=str(error)) from error
    return arrived, seen_at

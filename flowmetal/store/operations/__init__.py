"""Operations: what the store itself answers, in the transaction in which it is asked.

A process asks with an effect of the operation's name: the turn carries an `Ask`, and the answer is in the inbox of the
process with the commit of that turn.  A client submits the command `Operate`.  Either way the same function does it.

A family of operations is a module of this folder with a table `OPERATIONS`; this one puts the tables together.
"""

from __future__ import annotations

from typing import Final

from flowmetal.store.changes import Changes
from flowmetal.store.errors import StoreError, check_size
from flowmetal.store.interface import Ask, Operate
from flowmetal.store.operations import groups, kv, links, names, queues, schedules, starts
from flowmetal.store.operations.table import Operation
from flowmetal.store.refusals import error_value
from flowmetal.store.requests import answer
from flowmetal.values import CodecError, LanguageError, decode_value, encode_value, fail, print_string

__all__ = ("FAMILIES", "OPERATIONS", "Operation", "operate", "perform")

#: The families, in the order in which they are documented.
FAMILIES: Final = {
    "starts": starts.OPERATIONS,
    "names": names.OPERATIONS,
    "links": links.OPERATIONS,
    "groups": groups.OPERATIONS,
    "kv": kv.OPERATIONS,
    "queues": queues.OPERATIONS,
    "schedules": schedules.OPERATIONS,
}

#: Name of an operation, which is that of the effect too -> what it does.
OPERATIONS: Final[dict[str, Operation]] = {
    name: operation for family in FAMILIES.values() for name, operation in family.items()
}


def perform(changes: Changes, pid: int, ask: Ask) -> None:
    """Does what a turn of a process asks for, and puts the answer into its inbox, unless the request is over."""
    try:
        operation = OPERATIONS.get(ask.name)
        if operation is None:
            raise StoreError("S210", name=ask.name)
        data = _answered(changes, pid, operation, ask)
    except StoreError as refusal:
        if refusal.whose != "command":
            raise
        answer(changes, pid, ask.number, "error", encode_value(error_value(refusal)))
    except LanguageError as refusal:
        answer(changes, pid, ask.number, "error", encode_value(refusal.error))
    else:
        answer(changes, pid, ask.number, "answer", data)


def _answered(changes: Changes, pid: int, operation: Operation, ask: Ask) -> bytes:
    payload = decode_value(ask.payload)
    if operation.starts:
        if ask.start is None:
            fail("argument", f"{ask.name} takes a function and its arguments")
        value = operation.function(changes, pid, payload, ask.start)
    else:
        value = operation.function(changes, pid, payload)
    return encode_value(value)


def operate(changes: Changes, command: Operate) -> bytes:
    """Operate."""
    operation = OPERATIONS.get(command.name)
    if operation is None or not operation.outside or operation.starts:
        raise StoreError("S210", name=str(command.name)[:80])
    check_size("a payload", command.payload)
    try:
        return encode_value(operation.function(changes, 0, decode_value(command.payload)))
    except CodecError as error:
        raise StoreError("S206", reason=f"the payload of {command.name} cannot be read ({error})") from error
    except LanguageError as refusal:
        raise refused(command.name, refusal) from refusal


def refused(name: str, refusal: LanguageError) -> StoreError:
    """The refusal of an operation, as those outside get it."""
    error = refusal.error
    data = "" if error.data is None else print_string(error.data, limit=300)
    return StoreError("S211", name=name, kind=error.kind.text, reason=error.message[:1000], data=data)

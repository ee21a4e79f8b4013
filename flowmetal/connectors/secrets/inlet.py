"""The one place through which things from outside go into a store of a server: values of secrets are taken out here.

The HTTP API, callbacks and endpoints write to the store through an `Inlet`, and to nothing else.  What they bring may
hold what a program has sent out, back from where it went: a delivery, an answer, a message, the arguments of a start.
Connectors take values out of their answers themselves (base.py), as they know the bytes before they were read as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

from flowmetal.connectors.secrets.redactor import Redactor
from flowmetal.dataclass import replace
from flowmetal.store.interface import (
    Bulk,
    Command,
    Complete,
    Deliver,
    Kill,
    Operate,
    Post,
    ProcessRecord,
    PutArtifact,
    Settle,
    Start,
    Store,
)

if TYPE_CHECKING:
    from flowmetal.connectors.secrets.service import Secrets


#: Fields of commands that hold an encoded value from outside.
_ENCODED = ("arguments", "data", "payload")


class Inlet:
    """A store to those who bring something in: its reads are the store's, its commands hold no value of a secret."""

    def __init__(self, store: Store, redactor: Redactor) -> None:
        self._store = store
        self._redactor = redactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def process_by_id(self, id: str) -> ProcessRecord | None:
        """See Store: an id that was cleaned when it came in is found by what it was."""
        return self._store.process_by_id(self._redactor.text(id))

    def plain(self, data: Any) -> Any:
        """Plain data without any value of a secret."""
        return self._redactor.plain(data) if self._redactor.knows else data

    def work(self, command: Command) -> int:
        """The bytes that are searched when a command comes in: many of them are worth a thread."""
        if not self._redactor.knows:
            return 0
        return sum(len(data) for field in _ENCODED if (data := getattr(command, field, None)))

    def submit(self, commands: Sequence[Command], here: bool = False) -> Future[list[Any]]:
        """See Store.  The work is linear in the size of what the commands bring."""
        if self._redactor.knows:
            commands = [cleaned(command, self._redactor) for command in commands]
        return self._store.submit(commands, here)


def inlet(store: Store, secrets: Secrets | None) -> Store:
    """The store for those who bring something in from outside."""
    return store if secrets is None else cast("Store", Inlet(store, secrets.redactor))


def work(store: Store, command: Command) -> int:
    """See Inlet.work; nothing is searched by a store itself."""
    return store.work(command) if isinstance(store, Inlet) else 0


def plain(store: Store, data: Any) -> Any:
    """Plain data of an order, of which a store gets events that cannot be searched any more."""
    return store.plain(data) if isinstance(store, Inlet) else data


def cleaned(command: Command, redactor: Redactor) -> Command:
    """A command without any value of a secret in what it brings in; the same where there is none."""
    match command:
        case Start():
            return _start(command, redactor)
        case Post() | Deliver() | Complete() | Settle():
            data = redactor.encoded_again(command.data)
            return command if data is command.data else replace(command, data=data)
        case Operate():
            payload = redactor.encoded_again(command.payload)
            return command if payload is command.payload else replace(command, payload=payload)
        case PutArtifact():
            # The artifact itself is bound by its hash, which nobody makes who does not know all of it.
            grants = None if command.grants is None else tuple(map(redactor.text, command.grants))
            return replace(command, name=_text(command.name, redactor), grants=grants)
        case Bulk():
            commands = [cast("Start | Post | Kill | Settle", cleaned(one, redactor)) for one in command.commands]
            return replace(command, commands=commands)
        case _:  # of others every word is the server's own
            return command


def _start(command: Start, redactor: Redactor) -> Start:
    queue = command.queue
    if queue is not None:
        name, key, priority, delay, dedup = queue
        queue = name, _text(key, redactor), priority, delay, _text(dedup, redactor)
    return replace(
        command,
        arguments=redactor.encoded_again(command.arguments),
        id=_text(command.id, redactor),
        register=_text(command.register, redactor),
        attributes=redactor.plain(command.attributes),
        queue=queue,
    )


def _text(text: str | None, redactor: Redactor) -> str | None:
    return None if text is None else redactor.text(text)

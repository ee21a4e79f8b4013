"""Link: an attached process's connection to the owner of a store.

It keeps every batch until its results are there.  When the owner is gone, its thread takes the owner's lock if it
gets it, and hands the batches over to this process as the new owner; or it connects to the new owner and sends them
again under their numbers.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmetal.store.batches import CLIENT_BYTES
from flowmetal.store.channel import Channel, ChannelClosed, Waker
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Command, Hint
from flowmetal.store.owner_lock import OwnerInfo, OwnerLock
from flowmetal.store.wire_codec import (
    BYE,
    DONE,
    GOODBYE,
    HELLO,
    HINTS,
    PROTOCOL,
    REFUSED,
    SUBMIT,
    WATCH,
    WELCOME,
    decode_hints,
    decode_results,
    encode_commands,
    frame,
)

_log = logging.getLogger(__name__)

#: Between two tries to find the owner.
RETRY_SECONDS = 0.01
CONNECT_SECONDS = 1.0
#: How long batches wait for an owner that is there and does not answer.
PATIENCE_SECONDS = 30.0
#: How long closing waits for outstanding batches.
CLOSE_SECONDS = 5.0
#: Batches that may be outstanding.
MAX_PENDING = 100_000


@dataclass(slots=True)
class Batch:
    """A list of commands on its way."""

    commands: Sequence[Command]
    wire: bytes
    future: Future[list[Any]]


class Link:
    """`on_owner` is called, on the link's thread, when it has the owner's lock: with this link, whose `pending`
    batches are then the caller's."""

    def __init__(
        self,
        folder: Path,
        store_id: str,
        *,
        lock: OwnerLock,
        on_hints: Callable[[frozenset[Hint]], None],
        on_connected: Callable[[], None],
        on_owner: Callable[[Link], None],
    ) -> None:
        self.client = os.urandom(CLIENT_BYTES)
        self.pending: dict[int, Batch] = {}
        self._folder = folder
        self._store_id = store_id
        self._owner_lock = lock
        self._on_hints = on_hints
        self._on_connected = on_connected
        self._on_owner = on_owner
        self._lock = threading.RLock()
        self._number = 0
        self._watching = False
        self._channel: Channel | None = None  # once welcomed
        self._refusal: StoreError | None = None
        self._owner: OwnerInfo | None = None
        self._alone_since = time.monotonic()
        self._closing = False
        self._waker = Waker()
        self._thread = threading.Thread(target=self._run, name="flowmetal-link", daemon=True)
        self._thread.start()

    @property
    def arrived(self) -> int:
        """All batches up to this number have their results."""
        return min(self.pending) - 1 if self.pending else self._number

    def submit(self, commands: Sequence[Command], future: Future[list[Any]]) -> None:
        """Sends a batch, or keeps it until there is an owner; StoreError where it cannot be sent at all."""
        wire = encode_commands(commands)
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if len(self.pending) >= MAX_PENDING:
                raise StoreError("S207", limit=MAX_PENDING)
            self._number += 1
            self.pending[self._number] = Batch(tuple(commands), wire, future)
            if self._channel is not None:
                self._channel.send(frame(SUBMIT, self._number, self.arrived, wire))

    def watch(self) -> None:
        """Asks for hints from now on."""
        with self._lock:
            if not self._watching:
                self._watching = True
                if self._channel is not None:
                    self._channel.send(frame(WATCH, True))

    def close(self) -> None:
        """Waits a while for outstanding batches, then ends the connection."""
        give_up = time.monotonic() + CLOSE_SECONDS
        while self.pending and time.monotonic() < give_up and self._thread.is_alive():
            time.sleep(0.002)
        with self._lock:
            self._closing = True
            if self._channel is not None and not self.pending:
                self._channel.send(frame(BYE))
        self._waker.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._fail(StoreError("S114", path=str(self._folder)))

    # ---- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                if self._owner_lock.try_acquire():
                    self._on_owner(self)
                    break
                connection = self._connect()
                if connection is None:
                    if self.pending and time.monotonic() - self._alone_since > PATIENCE_SECONDS:
                        self._fail(self._no_answer("it cannot be reached"))
                    time.sleep(RETRY_SECONDS)
                    continue
                channel = Channel(connection, self._waker)
                try:
                    self._talk(channel)
                finally:
                    with self._lock:
                        self._channel = None
                        self._alone_since = time.monotonic()
                    channel.close()
        except StoreError as error:
            self._refuse(error)
        except Exception as error:
            _log.exception("the link to the store's owner failed")
            self._refuse(StoreError("S307", reason=f"{type(error).__name__}: {error}"))
        finally:
            self._waker.close()

    def _connect(self) -> socket.socket | None:
        self._owner = self._owner_lock.read_info()
        if self._owner is None:
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(self._owner.socket)
        except OSError:
            connection.close()
            return None
        return connection

    def _talk(self, channel: Channel) -> None:
        """Greets, then takes answers until the connection ends."""
        channel.send(frame(HELLO, PROTOCOL, self._store_id, self.client, os.getpid()))
        started = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while not self._closing and not channel.closed:
                if self._channel is None and time.monotonic() - started > PATIENCE_SECONDS:
                    self._fail(self._no_answer("it is stopped, or does not get on"))
                    return
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.wants_write else 0)
                selector.modify(channel, events)
                for key, ready in selector.select(None if self._channel is not None else 0.5):
                    if key.fileobj is self._waker:
                        self._waker.clear()
                        continue
                    if ready & selectors.EVENT_WRITE:
                        channel.flush()
                    if ready & selectors.EVENT_READ:
                        try:
                            for message in channel.receive():
                                self._handle(channel, message)
                        except ChannelClosed:
                            return
            while self._closing and channel.wants_write and not channel.closed:
                channel.flush()

    def _handle(self, channel: Channel, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == DONE:
            batch = self._arrived(message[1])
            if batch is not None:
                batch.future.set_result(decode_results(batch.commands, message[2]))
        elif kind == REFUSED:
            batch = self._arrived(message[1])
            if batch is not None:
                batch.future.set_exception(StoreError(message[2], **message[3]))
        elif kind == HINTS:
            self._on_hints(decode_hints(message[1]))
        elif kind == WELCOME:
            with self._lock:
                self._channel = channel
                if self._watching:
                    channel.send(frame(WATCH, True))
                for number, batch in sorted(self.pending.items()):
                    channel.send(frame(SUBMIT, number, self.arrived, batch.wire))
            self._on_connected()
        elif kind == GOODBYE:
            pid = self._owner.pid if self._owner is not None else 0
            self._refuse(StoreError("S116", path=str(self._folder), pid=pid, reason=str(message[1])))
            raise ChannelClosed

    def _arrived(self, number: int) -> Batch | None:
        with self._lock:
            return self.pending.pop(number, None)

    def _no_answer(self, reason: str) -> StoreError:
        return StoreError(
            "S110", path=str(self._folder), pid=self._owner.pid if self._owner is not None else "?", reason=reason
        )

    def _refuse(self, error: StoreError) -> None:
        """Ends this link: all batches, these and later ones, fail."""
        with self._lock:
            self._refusal = error
            self._closing = True
        self._fail(error)

    def _fail(self, error: StoreError) -> None:
        with self._lock:
            batches, self.pending = list(self.pending.values()), {}
        for batch in batches:
            batch.future.set_exception(error)

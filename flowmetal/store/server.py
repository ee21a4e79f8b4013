"""The owner's side of the local socket: takes batches of attached processes to the committer and answers them."""

from __future__ import annotations

import logging
import os
import selectors
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from flowmetal.store import failpoint
from flowmetal.store.batches import CLIENT_BYTES, StaleBatch, apply_batch, forget_client, sweep_clients
from flowmetal.store.changes import Changes
from flowmetal.store.channel import MAX_WAITING_BYTES, Channel, ChannelClosed, Waker
from flowmetal.store.commands import apply
from flowmetal.store.committer import Committer, Unit
from flowmetal.store.errors import GIVEN_UP, StoreError
from flowmetal.store.interface import Fire, Hint
from flowmetal.store.watchers import EVERYTHING
from flowmetal.store.wire_codec import (
    BYE,
    DONE,
    GOODBYE,
    HELLO,
    HINTS,
    MAX_MESSAGE_BYTES,
    PROTOCOL,
    REFUSED,
    SUBMIT,
    WATCH,
    WELCOME,
    encode_facts,
    encode_hints,
    frame,
)

_log = logging.getLogger(__name__)

SOCKET_NAME = "s"
FOLDER_PREFIX = "flowmetal-"
#: How long closing waits for clients to take their last answers.
LINGER_SECONDS = 2.0
#: When to look, after a connection ended, whether its process is gone: the system closes what a killed process had
#: open one after the other, so its locks may be held for a moment longer than its connection.
LOOK_AFTER_SECONDS = (0.0, 0.05, 0.5, 3.0)
#: And without any such sign.
LOOK_EVERY_SECONDS = 60.0
MAX_LOOKS = 16
#: Attached processes.
MAX_CLIENTS = 1000
#: The first message of a client; larger ones are taken from those who have introduced themselves.
MAX_HELLO_BYTES = 4096
#: After a fault that lasts, such as too many open files.
PAUSE_SECONDS = 0.05


class _Client:
    __slots__ = ("channel", "id", "watches")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.id = b""  # until HELLO
        self.watches = False


class OwnerServer:
    """Listens, reads and writes on one thread; answers are sent from the committer's thread."""

    def __init__(self, store_id: str, committer: Committer, check_readers: Callable[[], object]) -> None:
        self._store_id = store_id
        self._check_readers = check_readers  # frees what killed processes were reading
        self._committer = committer
        self._clients: dict[Channel, _Client] = {}
        self._waker = Waker()
        self._selector = selectors.DefaultSelector()
        self._closing = False
        self._looks: list[float] = []  # when to do the next housekeeping, in order
        # The path of a socket may have about 100 bytes: the folder of temporary files is short where the store's
        # may not be.  mkdtemp makes folders that only this user can enter.
        self._folder = self.path = ""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._run, name="flowmetal-owner", daemon=True)
        try:
            self._folder = tempfile.mkdtemp(prefix=FOLDER_PREFIX)
            self.path = os.path.join(self._folder, SOCKET_NAME)
            self._listener.bind(self.path)
            self._listener.listen(128)
            self._listener.setblocking(False)
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._selector.register(self._waker, selectors.EVENT_READ)
            self._look_soon()
            self._thread.start()
        except BaseException:
            self.close()
            raise

    def housekeeping(self) -> None:
        """Frees what processes that are gone have left: partitions, and batches."""
        connected = frozenset(client.id for client in list(self._clients.values()))

        def run(changes: Changes) -> None:
            self._check_readers()
            apply(changes, Fire(limit=0))
            sweep_clients(changes, connected)

        self._committer.submit(Unit(run, _ignore))

    def tell(self, hints: frozenset[Hint]) -> None:
        """Passes hints on to the clients that watch."""
        watching = [client for client in list(self._clients.values()) if client.watches]
        if watching:
            message = frame(HINTS, encode_hints(hints))
            for client in watching:
                client.channel.send(message)

    def stop_reading(self) -> None:
        """Takes no more batches; what was taken goes on to be committed and answered."""
        self._closing = True
        self._waker.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def close(self) -> None:
        """Sends what is left to send, for a while, and ends all connections.  After stop_reading."""
        give_up = time.monotonic() + LINGER_SECONDS
        for channel in list(self._clients):
            while channel.wants_write and not channel.closed and time.monotonic() < give_up:
                channel.flush()
                time.sleep(0.001)
            channel.close()
        self._listener.close()
        self._selector.close()
        self._waker.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ---- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            try:
                self._round()
            except Exception:  # a fault of ours: the other clients need this thread
                _log.exception("the owner's socket failed")
                time.sleep(PAUSE_SECONDS)

    def _round(self) -> None:
        for channel in [channel for channel in self._clients if channel.closed]:
            self._drop(channel)
        for channel in list(self._clients):
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.wants_write else 0)
            if self._selector.get_key(channel).events != events:
                try:
                    self._selector.modify(channel, events)
                except OSError:  # the selector has forgotten it: it connects anew
                    self._drop(channel)
        for key, events in self._selector.select(self._look()):
            source: Any = key.fileobj
            if source is self._waker:
                self._waker.clear()
            elif source is self._listener:
                self._accept()
            elif source in self._clients:
                if events & selectors.EVENT_WRITE:
                    source.flush()
                if events & selectors.EVENT_READ:
                    self._read(source)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            _log.warning("a process cannot be attached to the store: %s", error)
            time.sleep(PAUSE_SECONDS)  # it goes on waiting, and would wake this thread at once
            return
        if len(self._clients) >= MAX_CLIENTS:
            connection.close()
            return
        channel = Channel(connection, self._waker, limit=MAX_WAITING_BYTES, max_message=MAX_HELLO_BYTES)
        try:
            self._selector.register(channel, selectors.EVENT_READ)
        except OSError as error:  # no memory for it, or more than the system lets this user have
            _log.warning("a process cannot be attached to the store: %s", error)
            channel.close()
            return
        self._clients[channel] = _Client(channel)

    def _read(self, channel: Channel) -> None:
        client = self._clients[channel]
        try:
            for message in channel.receive():
                self._handle(client, message)
        except ChannelClosed:
            self._drop(channel)
        except Exception as error:  # whatever it is, it concerns this client only
            _log.warning("a client of the store sent what is no message: %s: %s", type(error).__name__, error)
            self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        client = self._clients.pop(channel)
        with suppress(KeyError):
            self._selector.unregister(channel)
        channel.close()
        if client.id:
            self._look_soon()  # it may have been an interpreter

    def _look_soon(self) -> None:
        now = time.monotonic()
        self._looks = sorted([*self._looks, *(now + seconds for seconds in LOOK_AFTER_SECONDS)])[-MAX_LOOKS:]
        self._waker.wake()

    def _look(self) -> float:
        """Does the housekeeping that is due; the seconds until the next."""
        now = time.monotonic()
        if not self._looks:
            self._looks = [now + LOOK_EVERY_SECONDS]
        elif self._looks[0] <= now:
            self._looks = [look for look in self._looks if look > now]
            self.housekeeping()
        return max(0.0, (self._looks[0] if self._looks else now + LOOK_EVERY_SECONDS) - now)

    def _handle(self, client: _Client, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == HELLO:
            if client.id or len(message) < 2 or message[1].__class__ is not int:
                raise ValueError("a greeting that is none")
            if message[1] != PROTOCOL:  # what follows in its greeting is not known
                client.channel.send(frame(GOODBYE, f"protocol {message[1]}, not {PROTOCOL}"))
                return
            _, _, store_id, client_id, _ = _typed(message, int, str, bytes, int)
            if len(client_id) != CLIENT_BYTES:
                raise ValueError("a client's id that is none")
            if store_id != self._store_id:
                client.channel.send(frame(GOODBYE, "it has another store open there"))
                return
            client.id = client_id
            client.channel.max_message = MAX_MESSAGE_BYTES
            client.channel.send(frame(WELCOME, PROTOCOL, os.getpid()))
        elif not client.id:
            raise ValueError("a message before the first")
        elif kind == SUBMIT:
            _, number, arrived, commands = _typed(message, int, int, bytes)
            self._submit(client, number, arrived, commands)
        elif kind == WATCH:
            client.watches = _typed(message, bool)[1]
            if client.watches:  # what was committed before this message came, it was not told of
                client.channel.send(frame(HINTS, encode_hints(EVERYTHING)))
        elif kind == BYE:
            _typed(message)
            client_id = client.id
            self._committer.submit(Unit(lambda changes: forget_client(changes, client_id), _ignore))
        else:
            raise ValueError(f"message {kind}")

    def _submit(self, client: _Client, number: int, arrived: int, commands: bytes) -> None:
        if not (0 < number < 1 << 62 and 0 <= arrived < number):
            raise ValueError("a batch that is none")
        client_id, channel = client.id, client.channel
        if failpoint.hook is not None:
            failpoint.hook("socket/received")

        def run(changes: Changes) -> bytes | None:
            try:
                return apply_batch(changes, client_id, number, arrived, commands)
            except StaleBatch:
                return None

        def done(results: bytes | None, error: StoreError | None) -> None:
            if error is not None and error.code == GIVEN_UP:
                return  # this owner ends: the next one does it, or says what is the matter
            if failpoint.hook is not None:
                failpoint.hook("socket/answer")
            try:
                if error is not None:
                    channel.send(frame(REFUSED, number, error.code, encode_facts(error.facts)))
                elif results is not None:
                    channel.send(frame(DONE, number, results))
            except BaseException:
                channel.cut()  # it comes back and submits the batch again, under its number
                raise

        self._committer.submit(Unit(run, done, len(commands)))


def _typed(message: tuple[Any, ...], *types: type) -> tuple[Any, ...]:
    """A message whose fields, after its number, are of exactly these types; ValueError for others."""
    if tuple(map(type, message[1:])) != types:
        raise ValueError(f"message {message[0]} with other fields than it has")
    return message


def remove_left_socket(path: str) -> None:
    """Removes the socket of an owner that was killed, with its folder; only where both are what we make."""
    folder = Path(path).parent
    if folder.name.startswith(FOLDER_PREFIX) and Path(path).name == SOCKET_NAME:
        try:
            if folder.parent == Path(tempfile.gettempdir()) and folder.stat().st_uid == os.getuid():
                Path(path).unlink(missing_ok=True)
                folder.rmdir()
        except OSError:
            return


def _ignore(results: Any, error: StoreError | None) -> None:
    if error is not None and error.code != "S114":
        _log.warning("housekeeping of the store failed: %s", error)

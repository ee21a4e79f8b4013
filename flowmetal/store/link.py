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
from pathlib import Path
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.store import failpoint
from flowmetal.store.batches import CLIENT_BYTES
from flowmetal.store.channel import Channel, ChannelClosed, Waker
from flowmetal.store.errors import StoreError
from flowmetal.store.futures import settle
from flowmetal.store.interface import Command, Hint
from flowmetal.store.lmdb_options import DURABILITIES, is_weaker
from flowmetal.store.owner_lock import OwnerInfo, OwnerLock
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
    decode_hints,
    decode_results,
    encode_commands,
    frame,
)

_log = logging.getLogger(__name__)

#: Between two tries to find the owner.
RETRY_SECONDS = 0.01
#: Between two tries after something went wrong; twice as long each time, up to the second number.
TROUBLE_SECONDS = (0.05, 2.0)
CONNECT_SECONDS = 1.0
#: How long batches wait for an owner that is there and says nothing.
PATIENCE_SECONDS = 30.0
#: How long closing waits for outstanding batches.
CLOSE_SECONDS = 5.0
#: Batches that may be outstanding.
MAX_PENDING = 100_000
#: Bytes that outstanding batches may have before more are taken; one batch may be larger.
MAX_PENDING_BYTES = 256 << 20
#: What is around the commands in a message.
_FRAME_BYTES = 64


@dataclass(slots=True)
class Batch:
    """A list of commands on its way."""

    commands: Sequence[Command]
    wire: bytes
    future: Future[list[Any]]
    since: float  # on the monotonic clock
    again: bool = False  # whether it was sent before, to an owner that is gone

    def arrived(self, results: bytes) -> None:
        """Its results are here."""
        try:
            found = decode_results(self.commands, results)
        except Exception as error:
            _log.exception("results of the store cannot be read")
            settle(self.future, None, StoreError("S307", reason=f"{type(error).__name__}: {error}"))
        else:
            settle(self.future, found)

    def refused(self, code: Any, facts: Any) -> None:
        """It was refused."""
        try:
            error = StoreError(code, **facts)
        except Exception as strange:
            error = StoreError("S307", reason=f"an error that cannot be read: {strange}")
        settle(self.future, None, error)


class Link:
    """`on_owner` is called, on the link's thread, when it has the owner's lock: with this link, whose `pending`
    batches are then the caller's.  Where it raises, the lock is free again, and the link tries once more later.

    The link ends with `close`, or where the owner does not talk to it; whatever else goes wrong, it goes on.  A batch
    fails after PATIENCE_SECONDS in which no owner said anything; whether it was applied is then not known.
    """

    def __init__(
        self,
        folder: Path,
        store_id: str,
        *,
        lock: OwnerLock,
        durability: str,
        on_hints: Callable[[frozenset[Hint]], None],
        on_connected: Callable[[], None],
        on_owner: Callable[[Link], None],
    ) -> None:
        self.client = os.urandom(CLIENT_BYTES)
        self.pending: dict[int, Batch] = {}
        self._folder = folder
        self._store_id = store_id
        self._owner_lock = lock
        self._durability = durability
        self._on_hints = on_hints
        self._on_connected = on_connected
        self._on_owner = on_owner
        self._lock = threading.RLock()
        self._number = 0
        self._watching = False
        self._channel: Channel | None = None  # once welcomed
        self._refusal: StoreError | None = None
        self._owner: OwnerInfo | None = None
        self._heard_at = time.monotonic()  # the last sign of life of an owner
        self._bytes = 0  # of the pending batches
        self._trouble: StoreError | None = None  # why there was no connection the last time
        self._troubles = 0  # in a row
        self._closing = threading.Event()
        self._waker = Waker()
        self._thread = threading.Thread(target=self._run, name="flowmetal-link", daemon=True)
        self._thread.start()

    @property
    def arrived(self) -> int:
        """All batches up to this number have their results."""
        return next(iter(self.pending), self._number + 1) - 1  # they are in order

    def submit(self, commands: Sequence[Command], future: Future[list[Any]]) -> None:
        """Sends a batch, or keeps it until there is an owner; StoreError where it cannot be sent at all."""
        wire = encode_commands(commands)
        with self._lock:
            if self._refusal is not None:
                raise self._refusal
            if len(self.pending) >= MAX_PENDING:
                raise StoreError("S207", limit=MAX_PENDING)
            if self._bytes >= MAX_PENDING_BYTES:
                raise StoreError("S207", limit=f"{MAX_PENDING_BYTES >> 20} MiB of")
            if len(wire) > MAX_MESSAGE_BYTES - _FRAME_BYTES:
                raise StoreError("S205", what="a batch", size=len(wire), limit=MAX_MESSAGE_BYTES - _FRAME_BYTES)
            self._number += 1
            self._bytes += len(wire)
            self.pending[self._number] = Batch(tuple(commands), wire, future, time.monotonic())
            if failpoint.hook is not None:
                failpoint.hook("link/send")
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
            self._closing.set()
            if self._channel is not None and not self.pending:
                self._channel.send(frame(BYE))
        self._waker.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._fail(StoreError("S114", path=str(self._folder)))

    # ---- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                try:
                    if self._owner_lock.try_acquire():
                        self._on_owner(self)
                        return
                    connection = self._connect()
                    welcomed = connection is not None and self._talk_over(Channel(connection, self._waker))
                except StoreError as error:
                    self._stumbled(error)
                except Exception as error:
                    _log.exception("the link to the store's owner failed")
                    self._stumbled(StoreError("S307", reason=f"{type(error).__name__}: {error}"))
                else:
                    if not welcomed:
                        self._closing.wait(RETRY_SECONDS)
                self._expire(self._trouble or self._no_answer("it cannot be reached"))
        finally:
            self._waker.close()

    def _stumbled(self, error: StoreError) -> None:
        """Waits before the next try, longer each time."""
        if str(error) != str(self._trouble):
            _log.warning("the store at %s cannot be written for now: %s", self._folder, error)
        self._trouble = error
        first, longest = TROUBLE_SECONDS
        self._closing.wait(min(first * 2 ** min(self._troubles, 30), longest))
        self._troubles += 1

    def _expire(self, error: StoreError) -> bool:
        """Fails the batches that have waited too long for an owner that says nothing; whether there were any."""
        with self._lock:
            limit = time.monotonic() - PATIENCE_SECONDS
            if self._heard_at > limit:
                return False
            late = [number for number, batch in self.pending.items() if batch.since <= limit]
            batches = [self._take(number) for number in late]
        for batch in batches:
            if batch is not None:
                settle(batch.future, None, error)
        return bool(late)

    def _patience(self) -> float:
        """How long to wait for the owner before a look whether batches have waited too long."""
        with self._lock:
            oldest = next(iter(self.pending.values()), None)
            if oldest is None:
                return PATIENCE_SECONDS / 4
            left = max(oldest.since, self._heard_at) + PATIENCE_SECONDS - time.monotonic()
            return max(left, 0.0) + 0.001

    def _connect(self) -> socket.socket | None:
        self._owner = self._owner_lock.read_info()
        if self._owner is None:
            return None
        durability = self._owner.durability
        if durability not in DURABILITIES or is_weaker(durability, self._durability):
            self._refuse(StoreError("S117", path=str(self._folder), found=durability, wanted=self._durability))
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(self._owner.socket)
        except OSError:
            connection.close()
            return None
        return connection

    def _talk_over(self, channel: Channel) -> bool:
        """Whether the owner welcomed us."""
        try:
            self._talk(channel)
        finally:
            with self._lock:
                welcomed = self._channel is not None
                self._channel = None
            if welcomed:
                self._heard_at = time.monotonic()
            channel.close()
        return welcomed

    def _talk(self, channel: Channel) -> None:
        """Greets, then takes answers until the connection ends, or nothing comes that batches wait for."""
        channel.send(frame(HELLO, PROTOCOL, self._store_id, self.client, os.getpid()))
        with selectors.DefaultSelector() as selector:
            selector.register(channel, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while not self._closing.is_set() and not channel.closed:
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.wants_write else 0)
                selector.modify(channel, events)
                found = selector.select(self._patience())
                for key, ready in found:
                    if key.fileobj is self._waker:
                        self._waker.clear()
                        continue
                    if ready & selectors.EVENT_WRITE:
                        channel.flush()
                    if ready & selectors.EVENT_READ:
                        try:
                            for message in channel.receive():
                                self._heard_at = time.monotonic()
                                self._handle(channel, message)
                        except ChannelClosed:
                            return
                if self._expire(self._no_answer("it is stopped, or does not get on")):
                    return
            give_up = time.monotonic() + CLOSE_SECONDS
            while self._closing.is_set() and channel.wants_write and not channel.closed:
                if time.monotonic() > give_up:
                    return
                selector.modify(channel, selectors.EVENT_WRITE)
                selector.select(0.1)
                channel.flush()

    def _handle(self, channel: Channel, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == DONE:
            batch = self._take(message[1])
            if failpoint.hook is not None:
                failpoint.hook("link/answer")
            if batch is not None:
                batch.arrived(message[2])
        elif kind == REFUSED:
            batch = self._take(message[1])
            if batch is not None and batch.again and message[2] == "S207":
                settle(batch.future, None, self._no_answer("it has too much to do"))  # the one before may have done it
            elif batch is not None:
                batch.refused(message[2], message[3])
        elif kind == HINTS:
            self._on_hints(decode_hints(message[1]))
        elif kind == WELCOME:
            with self._lock:
                self._channel = channel
                self._trouble, self._troubles = None, 0
                if self._watching:
                    channel.send(frame(WATCH, True))
                for number, batch in sorted(self.pending.items()):
                    channel.send(frame(SUBMIT, number, self.arrived, batch.wire))
                    batch.again = True
            self._on_connected()
        elif kind == GOODBYE:
            pid = self._owner.pid if self._owner is not None else 0
            self._refuse(StoreError("S116", path=str(self._folder), pid=pid, reason=str(message[1])))
            raise ChannelClosed

    def _take(self, number: int) -> Batch | None:
        """Takes a batch out of the pending ones."""
        with self._lock:
            batch = self.pending.pop(number, None)
            if batch is not None:
                self._bytes -= len(batch.wire)
            return batch

    def _no_answer(self, reason: str) -> StoreError:
        return StoreError(
            "S110", path=str(self._folder), pid=self._owner.pid if self._owner is not None else "?", reason=reason
        )

    def _refuse(self, error: StoreError) -> None:
        """Ends this link: all batches, these and later ones, fail."""
        with self._lock:
            self._refusal = error
            self._closing.set()
        self._fail(error)

    def _fail(self, error: StoreError) -> None:
        with self._lock:
            batches, self.pending, self._bytes = list(self.pending.values()), {}, 0
        for batch in batches:
            settle(batch.future, None, error)

"""Channel: a local socket with messages in and out, neither of which ever blocks.

Any thread may send; what the socket does not take at once waits for the thread that loops over the channel.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

from flowmetal.store.wire_codec import MAX_MESSAGE_BYTES, parse

#: Bytes that may wait to be sent to a client before more is added; one that lets more pile up is cut off, and connects
#: anew if it lives.
MAX_WAITING_BYTES = 64 << 20
_CHUNK = 256 << 10
#: Bytes that are read before what has arrived is looked at; beyond it only the rest of one message is kept.
_READ_BYTES = 4 << 20


class ChannelClosed(Exception):
    """The other side is gone, or does not speak our language."""


class Waker:
    """Wakes a thread that selects: its `fileno` becomes readable after `wake`."""

    def __init__(self) -> None:
        # Not a pipe: a late `wake` fails on a closed socket; on a closed descriptor it could hit a file.
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def fileno(self) -> int:
        """What to select on."""
        return self._read.fileno()

    def wake(self) -> None:
        """From any thread."""
        try:
            self._write.send(b"x")
        except OSError:
            pass  # it is awake already, or gone

    def clear(self) -> None:
        """Takes the wake-ups so far."""
        try:
            while self._read.recv(4096):
                pass
        except OSError:
            pass

    def close(self) -> None:
        """Frees both ends."""
        self._read.close()
        self._write.close()


class Channel:
    """One connection.  Where more than `limit` bytes wait to be sent, the next message ends it; so does a message of
    the other side of more than `max_message` bytes."""

    def __init__(
        self, connection: socket.socket, waker: Waker, *, limit: int | None = None, max_message: int = MAX_MESSAGE_BYTES
    ) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._waker = waker
        self._limit = limit
        self.max_message = max_message
        self._lock = threading.Lock()
        self._out = bytearray()
        self._in = bytearray()
        self.closed = False

    def fileno(self) -> int:
        """What to select on; -1 once closed."""
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._out)

    def send(self, data: bytes) -> None:
        """Sends framed messages; does nothing on a closed channel."""
        with self._lock:
            if self.closed:
                return
            if self._out:
                if self._limit is not None and len(self._out) > self._limit:
                    self._shut()
                else:
                    self._out += data
                return
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._shut()
                return
            if sent < len(data):
                self._out += memoryview(data)[sent:]
                self._waker.wake()

    def flush(self) -> None:
        """Sends what waits, as far as the socket takes it."""
        with self._lock:
            while self._out and not self.closed:
                try:
                    sent = self._socket.send(memoryview(self._out)[:_CHUNK])
                except BlockingIOError:
                    return
                except OSError:
                    self._shut()
                    return
                del self._out[:sent]

    def receive(self) -> Iterator[tuple[Any, ...]]:
        """The messages that have arrived; ChannelClosed at the end of the connection."""
        ended = False
        for _ in range(_READ_BYTES // _CHUNK):
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                break
            except OSError:
                ended = True
                break
            if not data:
                ended = True
                break
            self._in += data
            if len(data) < _CHUNK:
                break
        yield from self._messages()
        if ended or self.closed:
            raise ChannelClosed

    def _messages(self) -> Iterator[tuple[Any, ...]]:
        position = 0
        try:
            while len(self._in) - position >= 4:
                size = int.from_bytes(self._in[position : position + 4], "big")
                if size > self.max_message:
                    raise ChannelClosed
                if len(self._in) - position - 4 < size:
                    break
                data = bytes(self._in[position + 4 : position + 4 + size])
                position += 4 + size
                try:
                    message = parse(data)
                except Exception as error:
                    raise ChannelClosed from error
                yield message
        finally:
            del self._in[:position]

    def cut(self) -> None:
        """Ends the connection from any thread; the one that loops over it will see."""
        with self._lock:
            if not self.closed:
                self._shut()

    def _shut(self) -> None:
        self.closed = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._waker.wake()

    def close(self) -> None:
        """Ends the connection."""
        with self._lock:
            if not self.closed:
                self._shut()
            self._socket.close()

"""uvicorn's HTTP protocol with a deadline for a request's head, and a limit for its headers and trailers.

uvicorn waits for ever for a head that comes in drops; many such connections would hold all of the server's files.
It keeps every header it gets, and those that follow a chunked body (trailers) may never end.  (Bodies have their
deadline where they are read.)
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: From the opening of a connection, or the first byte of a later request, to the end of the request's head.
HEAD_SECONDS = 10.0

#: Bytes of a head, and of all headers and trailers of a message, after which the connection is closed.
HEAD_BYTES_MAX = 65_536


class DeadlineProtocol(HttpToolsProtocol):
    """Closes connections whose head does not arrive in time, or is too large; trailers count as well."""

    head_seconds = HEAD_SECONDS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._header_bytes = 0
        self._steps = 0  # parts of bodies and ends of messages so far
        self._stray_bytes = 0  # received since the last of them

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection: its first head is awaited."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Counts what belongs to a head; see HttpToolsProtocol."""
        if self._in_head:
            self._head_bytes += len(data)
        steps = self._steps
        super().data_received(data)
        # A trailer or chunk extension without an end is kept by the parser, which tells of it only at its end.
        self._stray_bytes = self._stray_bytes + len(data) if self._steps == steps else 0
        too_large = self._head_bytes if self._in_head else self._stray_bytes
        if too_large > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        """A request begins; on a kept connection its head is awaited from here."""
        super().on_message_begin()
        self._header_bytes = 0
        if self._head_timer is None:
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header or a trailer; the latter come once the body is over, and nobody asks for them."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEAD_BYTES_MAX:
            raise ValueError("headers too large")  # the parser's error then, and status 400
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._end_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._steps += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a message, trailers included."""
        self._steps += 1
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and its timer with it."""
        self._end_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._in_head, self._head_bytes = True, 0
        self._head_timer = self.loop.call_later(self.head_seconds, self._head_late)

    def _end_head(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

"""The connector that performs http/request: takes requests from the store, sends them, answers.

What is an error: everything that kept a response from arriving whole; and a response of status 5xx, 429 or 408 where
the request's options carry :retry, as the engine retries errors.  Every other response is the answer.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpcore2
import httpx2

from flowmetal.client.background import Background, Gate
from flowmetal.client.serving import Answer, Running, Serving, StoreSource
from flowmetal.connectors.config import HttpSettings
from flowmetal.connectors.guard import Blocked, Guard, Resolver, system_resolver
from flowmetal.connectors.http_request.request import BadRequest, HttpRequest, check_url, read_request, shown_url
from flowmetal.connectors.http_request.response import (
    K_BODY,
    K_HEADERS,
    K_STATUS,
    K_URL,
    BadBody,
    TooLarge,
    body_value,
    headers_value,
    read_body,
    response_value,
    retry_after,
)
from flowmetal.connectors.http_request.transport import make_client
from flowmetal.store.interface import Request, Store
from flowmetal.values import ErrorValue, Map, decode_value, encode_value, keyword

log = logging.getLogger("flowmetal.http_request")

EFFECT = "http/request"
USER_AGENT = "flowmetal"

#: Statuses that are worth another attempt.
RETRIED_STATUSES = frozenset({408, 429})

K_ATTEMPT, K_RETRY, K_RETRY_AFTER = keyword("attempt"), keyword("retry"), keyword("retry-after")


class _Failure(Exception):
    """An attempt that failed: the kind of the error value, its message, and data beside :url and :attempt."""

    def __init__(self, kind: str, message: str, data: tuple[tuple[Any, Any], ...] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.data = data


class HttpRequestConnector:
    """Serves http/request for one store in a thread of its own: start(), stop().

    `tls` overrides the system's trust store, `resolve` its resolver, `clock` (seconds since 1970) its time.
    """

    def __init__(
        self,
        store: Store,
        settings: HttpSettings | None = None,
        *,
        name: str | None = None,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver = system_resolver,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings if settings is not None else HttpSettings()
        self._name = name if name is not None else f"http-request-{uuid.uuid4().hex[:12]}"
        self._guard = Guard(self._settings.allow, only_listed=self._settings.only_listed, resolve=resolve)
        self._tls = tls
        self._clock = clock
        self._gate = Gate()
        # Short, as it is extended, and a cancelled request is noticed at the latest when it is.
        self._lease_ms = max(100, int(self._settings.lease_seconds * 1000))
        self._grace_seconds = 0.0
        self._serving: Serving | None = None
        self._client: httpx2.AsyncClient | None = None
        self._background = Background(self._name, self._main, self._ask_stop)

    def start(self) -> None:
        """Begins to serve."""
        self._background.start()

    def stop(self, timeout: float = 3.0) -> bool:
        """Takes nothing more; what runs has half of `timeout` seconds to end -> whether all is over."""
        self._grace_seconds = timeout / 2
        return self._background.stop(timeout)

    def _ask_stop(self) -> None:
        if self._serving is not None:
            self._serving.stop(self._grace_seconds)

    async def _main(self) -> None:
        source = StoreSource(self._store, (EFFECT,), self._name, self._lease_ms)
        self._serving = Serving(source, self._handle, concurrency=self._settings.concurrency, lease_ms=self._lease_ms)
        async with make_client(self._guard, self._tls, USER_AGENT) as self._client:
            await self._serving.run()

    async def _handle(self, running: Running) -> Answer:
        request = running.request
        payload: Any = None
        try:
            payload, options = await self._gate.run(lambda: _decoded(request), len(request.payload))
            return Answer(True, await self._perform(request, payload, options))
        except _Failure as failure:
            return _error(request, payload, failure)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Not one of the failures that are foreseen; the program still gets an answer it can handle.
            log.exception("request %d of process %d", request.number, request.pid)
            return _error(request, payload, _Failure("http/protocol", f"{type(error).__name__}: {error}"))

    async def _perform(self, request: Request, payload: Any, options: Any) -> bytes:
        try:
            http = await self._gate.run(
                lambda: read_request(payload, self._settings, request.idempotency_key), len(request.payload)
            )
        except BadRequest as error:
            raise _Failure("http/bad-request", str(error)) from None
        try:
            async with asyncio.timeout(http.timeout_seconds):
                response, body, unpacked = await self._send(http)
        except TimeoutError:
            raise _Failure("http/timeout", f"no answer within {http.timeout_seconds:g} s") from None
        return await self._gate.run(lambda: self._answer(options, http, response, body, unpacked), len(body))

    def _answer(self, options: Any, http: HttpRequest, response: httpx2.Response, body: bytes, unpacked: bool) -> bytes:
        """The response as an encoded value; work of seconds for a large body.  Raises _Failure."""
        if _carries_retry(options) and is_retried(response.status_code):
            raise _Failure("http/status", f"the answer has status {response.status_code}", self._facts(response, body))
        try:
            return encode_value(response_value(response, body, unpacked, http.read_as))
        except BadBody as error:
            raise _Failure("http/protocol", str(error), ((K_STATUS, response.status_code),)) from None

    async def _send(self, http: HttpRequest) -> tuple[httpx2.Response, bytes, bool]:
        """One attempt, redirects included -> (response, body, whether the body was unpacked).  Raises _Failure."""
        assert self._client is not None
        request = self._client.build_request(
            http.method, http.url, headers=list(http.headers), content=http.content or None
        )
        try:
            for _ in range(http.redirects + 1):
                response = await self._client.send(request, stream=True)
                try:
                    following = response.next_request if http.redirects else None
                    if following is None:
                        return response, *await read_body(response, http.max_bytes)
                    check_url(following.url)
                    request = following
                finally:
                    await response.aclose()
        except (Blocked, BadRequest) as error:
            raise _Failure("http/blocked", str(error)) from None
        except TooLarge as error:
            raise _Failure("http/too-large", str(error), ((K_STATUS, response.status_code),)) from None
        except BadBody as error:
            raise _Failure("http/protocol", str(error), ((K_STATUS, response.status_code),)) from None
        except httpcore2.TimeoutException as error:
            raise _Failure("http/timeout", _said(error, "connecting took too long")) from None
        except httpcore2.ConnectError as error:
            raise _Failure("http/connect", _said(error, "the connection was refused")) from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
            raise _Failure("http/protocol", _said(error, "the connection broke")) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _Failure("http/protocol", _said(error, "the answer cannot be read")) from None
        raise _Failure("http/protocol", f"more than {http.redirects} redirects")

    def _facts(self, response: httpx2.Response, body: bytes) -> tuple[tuple[Any, Any], ...]:
        return (
            (K_STATUS, response.status_code),
            (K_HEADERS, headers_value(response, False)),
            (K_BODY, body_value(response, body, "text")),
            (K_RETRY_AFTER, retry_after(response, self._clock())),
        )


def is_retried(status: int) -> bool:
    """Whether a status counts as a failed attempt for a request that is retried."""
    return status >= 500 or status in RETRIED_STATUSES


def _carries_retry(options: Any) -> bool:
    return isinstance(options, Map) and options.get(K_RETRY) not in (None, False)


def _decoded(request: Request) -> tuple[Any, Any]:
    try:
        return decode_value(request.payload), decode_value(request.options) if request.options else None
    except Exception:
        # Functions of the program, say, which have no meaning outside of it.
        raise _Failure("http/bad-request", "the request holds a value that cannot leave its process") from None


def _error(request: Request, payload: Any, failure: _Failure) -> Answer:
    data = Map.of([(K_URL, shown_url(payload)), (K_ATTEMPT, request.attempt), *failure.data])
    return Answer(False, encode_value(ErrorValue(keyword(failure.kind), str(failure), data, None, None)))


def _said(error: Exception, otherwise: str) -> str:
    return str(error) or otherwise

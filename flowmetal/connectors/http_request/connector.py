"""The connector that performs http/request: sends the request, reads the answer, and says what is an error.

What is an error: everything that kept a response from arriving whole; and a response of status 5xx, 429 or 408 where
the request's options carry :retry, as the engine retries errors.  Every other response is the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, ClassVar

import httpcore2
import httpx2

from flowmetal.connectors.base import NOT_GRANTED, Connector, Failure, Result, Task
from flowmetal.connectors.config import HttpSettings
from flowmetal.connectors.guard import Blocked, Guard, Resolver, system_resolver
from flowmetal.connectors.http_request.request import (
    BadRequest,
    HttpRequest,
    check_url,
    goal_of,
    origin,
    read_request,
    shown_url,
)
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
from flowmetal.connectors.secrets import Secrets
from flowmetal.connectors.secrets.service import REFUSED
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.grants import Grants
from flowmetal.store import failpoint
from flowmetal.store.interface import Store
from flowmetal.values import Map, keyword

EFFECT = "http/request"
USER_AGENT = "flowmetal"

#: Statuses that are worth another attempt.
RETRIED_STATUSES = frozenset({408, 429})

K_RETRY_AFTER = keyword("retry-after")


class HttpRequestConnector(Connector):
    """Serves http/request.

    `tls` overrides the system's trust store, `resolve` its resolver, `clock` (seconds since 1970) its time.
    """

    EFFECT: ClassVar[str] = EFFECT
    BAD_REQUEST: ClassVar[str] = "http/bad-request"
    BROKEN: ClassVar[str] = "http/protocol"

    def __init__(
        self,
        store: Store,
        settings: HttpSettings | None = None,
        *,
        secrets: Secrets | None = None,
        name: str | None = None,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver = system_resolver,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings if settings is not None else HttpSettings()
        super().__init__(
            store,
            secrets,
            name,
            concurrency=self._settings.concurrency,
            lease_seconds=self._settings.lease_seconds,
        )
        self._guard = Guard(self._settings.allow, only_listed=self._settings.only_listed, resolve=resolve)
        self._tls = tls
        self._clock = clock
        self._client: httpx2.AsyncClient | None = None

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """The client, with its connections."""
        async with make_client(self._guard, self._tls, USER_AGENT) as self._client:
            yield

    def facts(self, payload: Any) -> Iterable[tuple[Any, Any]]:
        """The address, without user and password."""
        return ((K_URL, shown_url(payload)),)

    async def perform(self, task: Task) -> Result:
        """Sends it.  Raises Failure, SecretProblem."""
        try:
            if task.secrets:
                # Checked before anything is read: the place is written in the program, and no secret decides it.
                goal = goal_of(task.payload)
                self.secrets.check_host(task.secrets, *goal)
            values = await self.values(task)
            http = await self.gate.run(
                lambda: read_request(task.payload, self._settings, task.request.idempotency_key, values),
                len(task.request.payload),
            )
            if task.secrets and origin(http.url) != goal:
                raise BadRequest("a secret in :url changes its host")
        except BadRequest as error:
            raise Failure("http/bad-request", str(error)) from None
        try:
            if failpoint.hook is not None:
                failpoint.hook("http/send")
            async with asyncio.timeout(http.timeout_seconds):
                grants = self.grants_of(task.request.pid)
                response, body, unpacked = await self._send(http, task.secrets, grants)
        except TimeoutError:
            raise Failure("http/timeout", f"no answer within {http.timeout_seconds:g} s") from None
        if failpoint.hook is not None:
            failpoint.hook("http/response")
        return Result(lambda: self._answer(task, http, response, body, unpacked), len(body))

    def _answer(self, task: Task, http: HttpRequest, response: httpx2.Response, body: bytes, unpacked: bool) -> Map:
        """The response as a value; work of seconds for a large body.  Raises Failure."""
        if task.retried and is_retried(response.status_code):
            raise Failure("http/status", f"the answer has status {response.status_code}", self._facts(response, body))
        try:
            return response_value(response, body, unpacked, http.read_as, self.secrets.redactor.octets)
        except BadBody as error:
            raise Failure("http/protocol", str(error), ((K_STATUS, response.status_code),)) from None

    async def _send(
        self, http: HttpRequest, secrets: tuple[str, ...], grants: Grants | None
    ) -> tuple[httpx2.Response, bytes, bool]:
        """One attempt, redirects included -> (response, body, whether the body was unpacked).  Raises Failure."""
        assert self._client is not None
        request = self._client.build_request(
            http.method, http.url, headers=list(http.headers), content=http.content or None
        )
        try:
            for _ in range(http.redirects + 1):
                _check_granted(grants, request)
                response = await self._client.send(request, stream=True)
                try:
                    following = response.next_request if http.redirects else None
                    if following is None:
                        return response, *await read_body(response, http.max_bytes)
                    check_url(following.url)
                    if secrets and origin(following.url) != origin(http.url):
                        raise _elsewhere(secrets, following.url)
                    request = following
                finally:
                    await response.aclose()
        except (Blocked, BadRequest) as error:
            raise Failure("http/blocked", str(error)) from None
        except TooLarge as error:
            raise Failure("http/too-large", str(error), ((K_STATUS, response.status_code),)) from None
        except BadBody as error:
            raise Failure("http/protocol", str(error), ((K_STATUS, response.status_code),)) from None
        except httpcore2.TimeoutException as error:
            raise Failure("http/timeout", _said(error, "connecting took too long")) from None
        except httpcore2.ConnectError as error:
            raise Failure("http/connect", _said(error, "the connection was refused")) from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
            raise Failure("http/protocol", _said(error, "the connection broke")) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Failure("http/protocol", _said(error, "the answer cannot be read")) from None
        raise Failure("http/protocol", f"more than {http.redirects} redirects")

    def _facts(self, response: httpx2.Response, body: bytes) -> tuple[tuple[Any, Any], ...]:
        return (
            (K_STATUS, response.status_code),
            (K_HEADERS, headers_value(response, False, self.secrets.redactor.octets)),
            (K_BODY, body_value(response, body, "text", self.secrets.redactor.octets)),
            (K_RETRY_AFTER, retry_after(response, self._clock())),
        )


def _check_granted(grants: Grants | None, request: httpx2.Request) -> None:
    """Holds a narrowed grant to what is connected to, redirects included; addresses are read once more here."""
    url = request.url
    path = url.raw_path.decode("ascii", "replace").partition("?")[0]
    host = f"[{url.host}]" if ":" in url.host else url.host
    if grants is not None and not grants.allows_url(request.method, url.scheme, host, url.port, path):
        raise Failure(NOT_GRANTED, f"http/request ({request.method}) to {host} is not granted to this program")


def is_retried(status: int) -> bool:
    """Whether a status counts as a failed attempt for a request that is retried."""
    return status >= 500 or status in RETRIED_STATUSES


def _elsewhere(names: tuple[str, ...], url: httpx2.URL) -> Failure:
    error = FlowmetalError("H536", name=names[0], host=url.host)
    return Failure(REFUSED, error.diagnostic.text)


def _said(error: Exception, otherwise: str) -> str:
    return str(error) or otherwise

"""The guard at the socket: a transport for httpx2 whose connections only go to addresses the guard has checked.

Connections are checked where they are opened, so redirects are as well; the name of the URL stays the name that TLS
verifies.  Nothing here reads the environment (proxies, netrc).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore2
import httpx2

from flowmetal.connectors.guard import Blocked, Guard

#: Longest wait for one address to accept a connection; the request's own deadline may be shorter.
CONNECT_SECONDS = 10.0

#: How long an idle connection is kept.  Servers commonly close theirs after 5 s; below that, a request seldom meets
#: a connection that is just being closed.
KEEP_ALIVE_SECONDS = 2.0
KEEP_ALIVE_CONNECTIONS = 32


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens TCP connections to checked addresses, the next one where one fails."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A stream; Blocked, httpcore2.ConnectError or httpcore2.ConnectTimeout where there is none."""
        try:
            addresses = await self._guard.addresses(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(error.strerror or str(error)) from error
        except UnicodeError as error:
            raise httpcore2.ConnectError(f"{host} is not a name") from error
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure if failure is not None else httpcore2.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Always Blocked: programs reach no sockets of this machine."""
        raise Blocked("local sockets may not be reached")

    async def sleep(self, seconds: float) -> None:
        """Sleeps, for the pool."""
        await self._inner.sleep(seconds)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


class GuardedTransport(httpx2.AsyncBaseTransport):
    """httpx2's transport over a guarded pool.  Errors are httpcore2's, and Blocked.

    The pool has no limit of its own: the connector bounds what runs at once, and a slot that a cancelled request
    leaves behind can therefore hold nobody up.
    """

    def __init__(self, guard: Guard, tls: ssl.SSLContext | None = None) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls if tls is not None else httpcore2.default_ssl_context(),
            max_connections=None,
            max_keepalive_connections=KEEP_ALIVE_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=GuardedBackend(guard),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends one request; the response's body is not read yet."""
        response = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        assert isinstance(response.stream, AsyncIterable)
        return httpx2.Response(
            response.status, headers=response.headers, stream=_Body(response.stream), extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._pool.aclose()


def make_client(guard: Guard, tls: ssl.SSLContext | None, user_agent: str) -> httpx2.AsyncClient:
    """A client that keeps nothing between requests but idle connections: no cookies, no proxies, no redirects."""
    # The library writes every address to the log, and addresses may hold secrets.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    return httpx2.AsyncClient(
        transport=GuardedTransport(guard, tls),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"user-agent": user_agent},
    )

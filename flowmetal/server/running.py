"""Runs the HTTP server: one application of API, callbacks and endpoints, on uvicorn in a thread of its own.

The socket is opened before anything else, so that a port in use is an error of the start and not a line in a log.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from flowmetal.client.background import Background, signals
from flowmetal.client.over_store import Deployer
from flowmetal.connectors.http_callback.app import Callbacks
from flowmetal.connectors.http_callback.body import HttpError, error_response
from flowmetal.connectors.http_request import HttpRequestConnector
from flowmetal.connectors.secrets import Redactor, Secrets, inlet
from flowmetal.connectors.secrets.redactor import VALUE_BYTES_MAX, VALUE_CHARACTERS_MIN
from flowmetal.connectors.shell import ShellConnector
from flowmetal.diagnostics import FlowmetalError
from flowmetal.server.access import Access
from flowmetal.server.api import Api
from flowmetal.server.config import ServerConfig, address_url
from flowmetal.server.protocol import DeadlineProtocol
from flowmetal.server.upkeep import Figures
from flowmetal.store.interface import Store

log = logging.getLogger("flowmetal.server")

#: How long starting may take before it counts as failed.
START_SECONDS = 10.0

#: Idle connections are closed after this long.
KEEP_ALIVE_SECONDS = 5

BACKLOG = 2048

#: Connections and requests at once; beyond them the answer is 503.  Each costs memory, and a file of the process.
CONNECTIONS_MAX = 1000

#: serve() stops its parts within this time, all of them together; its process may be told to have ended by the other.
STOP_SECONDS = 8.5
EXIT_SECONDS = 9.5


class Service(Protocol):
    """What runs beside the server and is started and stopped with it: connectors, an interpreter."""

    def start(self) -> object: ...
    def stop(self) -> object: ...


class HttpServer:
    """The server over one store.  Reads secrets and opens its port when it is made, serves from start() to stop().

    FlowmetalError H101, H102 (port), H103 (open address without token), H203 (secret missing).  `deploy` checks and
    deploys artifacts; without it the API takes none.  `secrets`: what is taken out of all that comes in.
    """

    def __init__(
        self,
        store: Store,
        config: ServerConfig | None = None,
        *,
        deploy: Deployer | None = None,
        environment: Mapping[str, str] | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self.config = config if config is not None else ServerConfig()
        environment = os.environ if environment is None else environment
        settings = self.config.serve
        token = self.config.token(environment)
        store = inlet(store, secrets)  # all that comes in goes through it
        self._callbacks = Callbacks(store, self.config.callbacks, environment=environment)
        if secrets is not None:
            know_own(secrets.redactor, token, self._callbacks.secrets())
        self._api = Api(store, settings, Access(token, settings.host), deploy, self.config.retention)
        self.app = make_app(self._api, self._callbacks)
        self._socket = open_socket(settings.host, settings.port)
        self.port: int = self._socket.getsockname()[1]
        self.url = address_url(settings.host, self.port)
        self.base_url = self.config.base_url(self.port)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                self.app,
                http=DeadlineProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="error",  # its warnings are about what senders do, and as many as they like
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(settings.stop_seconds - 1)),
            )
        )
        self._background = Background("http-server", self._main, self._ask_stop)

    def measure(self, figures: Figures) -> None:
        """Has /metrics show figures of what runs beside the server."""
        self._api.upkeep.figures.append(figures)

    def start(self) -> None:
        """Begins to serve; returns once it does.  H104 where it does not."""
        self._background.start()
        waited = threading.Event()
        for _ in range(int(START_SECONDS / 0.02)):
            if self._uvicorn.started:
                log.debug("serving at %s", self.url)  # `flowvm serve` says it once all runs
                for name, reason in self._callbacks.not_startable().items():
                    log.warning("endpoint %s starts nothing yet: %s", name, reason)
                return
            if self._background.join(0):
                break
            waited.wait(0.02)
        raise FlowmetalError("H104", reason=str(self._background.failure or "it did not answer in time"))

    def stop(self) -> bool:
        """Accepts nothing more, ends long-polls, lets answers under way finish -> whether all ended in time."""
        ended = self._background.stop(self.config.serve.stop_seconds)
        self._socket.close()
        return ended

    def give_up(self) -> None:
        """Frees the port of a server that has not started."""
        self._socket.close()

    async def _main(self) -> None:
        await self._uvicorn.serve(sockets=[self._socket])

    def _ask_stop(self) -> None:
        self._api.stop()
        self._uvicorn.should_exit = True


def know_own(redactor: Redactor, token: str | None, endpoints: Iterable[tuple[str, bytes]]) -> None:
    """Has the secrets of the server itself taken out as well; commands of its machine may have come by them."""
    own = [*endpoints] if token is None else [("flowmetal:token", token.encode()), *endpoints]
    for name, secret in own:
        if not redactor.add_own(name, secret):
            log.warning(
                "%s has fewer than %d characters, or more than %d bytes: it is not taken out of what comes in",
                name, VALUE_CHARACTERS_MIN, VALUE_BYTES_MAX,
            )  # fmt: skip


def make_app(api: Api, callbacks: Callbacks) -> Starlette:
    """One application: /v1, /callbacks, /endpoints, /health."""
    return Starlette(
        routes=[*api.routes(), *callbacks.routes()],
        exception_handlers={404: _not_found, 405: _not_allowed, HTTPException: _other},
    )


def open_socket(host: str, port: int) -> socket.socket:
    """A bound socket.  FlowmetalError H101 where the port is in use, H102 for what else keeps it from being opened."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
    except OSError as error:
        raise FlowmetalError("H102", host=host, port=port, reason=error.strerror or str(error)) from None
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(BACKLOG)  # here, as two sockets may be bound to a port that neither listens on
        opened.set_inheritable(False)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise FlowmetalError("H101", host=host, port=port) from None
        raise FlowmetalError("H102", host=host, port=port, reason=error.strerror or str(error)) from None
    return opened


def serve(
    store: Store,
    config: ServerConfig | None = None,
    *,
    deploy: Deployer | None = None,
    environment: Mapping[str, str] | None = None,
    secrets: Secrets | None = None,
    services: Callable[[HttpServer], Sequence[Service]] | None = None,
    ready: Callable[[HttpServer], None] | None = None,
    stop: threading.Event | None = None,
    ends_process: bool = False,
) -> None:
    """Serves until SIGTERM or SIGINT, or until `stop` is set: the server, the connectors, and `services`.

    `secrets` are those of the settings, where the caller has made them already.

    `services` makes what runs beside them (an interpreter, which wants to know `base_url`); they start in order.  At
    the end the server stops first, so that nothing is accepted that is not served, then all others at once, and all
    within STOP_SECONDS: what has not ended then is logged and left behind.  `ready` is called once everything runs.
    Errors of the start are raised, with all that had started stopped again.  `ends_process`: the process ends
    EXIT_SECONDS after it was told to stop, whatever hangs.
    """
    asked = stop if stop is not None else threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        asked.set()

    config = config if config is not None else ServerConfig()
    known = Secrets(config.secrets, environment) if secrets is None else secrets
    server = HttpServer(store, config, deploy=deploy, environment=environment, secrets=known)
    known.know()
    beside: list[Service] = [HttpRequestConnector(store, server.config.http, secrets=known)]
    if server.config.shell.commands:
        beside.append(ShellConnector(store, server.config.shell, secrets=known, environment=environment))
    beside += services(server) if services is not None else []
    started: list[Service] = []
    with signals(on_signal):
        try:
            for service in (*beside, server):
                service.start()
                started.append(service)
            if ready is not None:
                ready(server)
            # In pieces, so that a signal's handler runs between two of them.
            while not asked.wait(0.5):
                pass
            log.info("stopping")
        finally:
            if ends_process:
                exit_within(EXIT_SECONDS)
            stop_all(started, STOP_SECONDS)
            if server not in started:
                server.give_up()


def stop_all(started: Sequence[Service], seconds: float) -> bool:
    """Stops services within `seconds` in all -> whether all did.  The last first, then the others at once.

    The last is the server: nothing is accepted that is not served, so it has two thirds of the time.
    """
    deadline = time.monotonic() + seconds
    stopping = [_stop(service) for service in started[-1:]]
    for thread in stopping:
        thread.join(seconds * 2 / 3)
    stopping += [_stop(service) for service in reversed(started[:-1])]
    for thread in stopping:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = [thread.name for thread in stopping if thread.is_alive()]
    if late:
        log.error("not ended within %g s, and left behind: %s", seconds, ", ".join(late))
    return not late


def _stop(service: Service) -> threading.Thread:
    def stop() -> None:
        try:
            service.stop()
        except Exception:
            log.exception("stopping %s failed", type(service).__name__)

    thread = threading.Thread(target=stop, name=type(service).__name__, daemon=True)
    thread.start()
    return thread


def exit_within(seconds: float) -> None:
    """Ends this process in `seconds`, whatever still runs in it by then.

    Python's own exit waits for threads; one that hangs in a call of the system would keep the process.  Nothing is
    lost: what a process of the store was doing is done again from there.
    """

    def end() -> None:
        threading.Event().wait(seconds)
        log.error("still running %g s after it was told to stop: the process is ended", seconds)
        os._exit(1)

    threading.Thread(target=end, name="exit", daemon=True).start()


async def _not_found(request: Request, error: Exception) -> Response:
    return error_response(HttpError(404, "H304", what="such route"), 404)


async def _not_allowed(request: Request, error: Exception) -> Response:
    path = str(request.scope["path"])  # the address as a whole need not be text
    shown = HttpError(405, "H310", method=request.method, path=path)
    response = error_response(shown, 405)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


async def _other(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return error_response(HttpError(status, "H305", field="request", expected="one that can be read"), status)

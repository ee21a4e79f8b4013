"""Worker: serves effects of programs with Python functions.

    worker = Worker("lmdb:///var/lib/flowmetal")

    @worker.function("notify/send")
    def send(payload, context):
        return {"sent": True}

    worker.run()

Handlers run in threads; leases are kept alive by another thread, whatever they do.
"""

from __future__ import annotations

import logging
import socket
import threading
import traceback
import uuid
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from flowmetal.client.background import Background, in_thread, signals
from flowmetal.client.base import Client
from flowmetal.client.connecting import connect
from flowmetal.client.errors import ClientError, NotPlain, Refused
from flowmetal.client.plain import TEXT_CHARACTERS_MAX, encoded, encoded_error, plain
from flowmetal.client.serving import Answer, Running, Serving
from flowmetal.dataclass import dataclass
from flowmetal.store import failpoint
from flowmetal.store.interface import Request, Store

log = logging.getLogger("flowmetal.worker")

#: Lease of a request that a function works on.  It is extended as long as the worker lives; after its death another
#: worker takes the request when the lease has run out.
LEASE_MS = 15_000

#: An answer larger than this is refused here, by name, rather than by the store.
ANSWER_BYTES_MAX = 32 * 1024 * 1024

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Context:
    """What a function knows of the request beside its payload.

    `idempotency_key` is the same for every attempt of this request: pass it on to whatever must not happen twice.
    """

    pid: int
    number: int
    effect: str
    attempt: int
    idempotency_key: str
    _running: Running
    _extend: Callable[[Request], bool]

    def extend(self) -> bool:
        """Extends the lease now -> False if nobody waits for the answer any more.  It is also done by itself."""
        return self._extend(self._running.request)

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for the answer any more; a long function may look and stop."""
        return self._running.unwanted.is_set()


class WorkerError(Exception):
    """Raised by a function to answer with an error of its own kind, which the program can catch by it.

    `kind` is a keyword's text ("billing/declined"), `data` plain Python.
    """

    def __init__(self, kind: str, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.data = data


class Worker:
    """Functions that serve effects, at most `concurrency` at once, each call in a thread.

    `client` is a Client, an open store, or an address for connect().  An exception in a function becomes an error
    value of kind :worker/error, a result that cannot cross one of kind :worker/bad-result.
    """

    def __init__(
        self,
        client: Client | Store | str,
        name: str | None = None,
        concurrency: int = 4,
        *,
        token: str | None = None,
        lease_seconds: float = LEASE_MS / 1000,
    ) -> None:
        if concurrency < 1:
            raise Refused("H513", what="concurrency", expected="at least 1")
        self._owned = not isinstance(client, Client)
        self._client = client if isinstance(client, Client) else connect(client, token=token)
        self.name = name if name is not None else f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._concurrency = concurrency
        self._lease_ms = max(100, int(lease_seconds * 1000))
        self._functions: dict[str, Callable[[Any, Context], Any]] = {}
        self._background: Background | None = None
        self._serving: Serving | None = None
        self._grace_seconds: float | None = None

    def function(self, effect: str) -> Callable[[F], F]:
        """Decorator: the function (payload, context) serves `effect` ("notify/send").

        The payload is nil (None) for an effect without parameters, the argument for one, a list for several.
        """

        def register(function: F) -> F:
            if self._background is not None:
                raise Refused("H513", what="a function", expected="registered before the worker starts")
            self._functions[effect] = function
            return function

        return register

    def start(self) -> None:
        """Begins to serve, in threads of its own."""
        if not self._functions:
            raise ClientError("H514")
        self._background = Background(f"worker-{self.name}", self._main, self._ask_stop)
        self._background.start()

    def stop(self, timeout: float | None = None) -> bool:
        """Takes nothing more and waits for what runs, at most `timeout` seconds -> whether all of it has ended.

        What has not ended is not answered; its lease runs out and another worker takes it.
        """
        if self._background is None:
            return True
        self._grace_seconds = timeout
        ended = self._background.stop(None if timeout is None else timeout + 1.0)
        if ended and self._owned:
            self._client.close()
        return ended

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then finishes what runs; a second signal does not wait for it."""
        asked = threading.Event()
        again = threading.Event()

        def on_signal(number: int, frame: FrameType | None) -> None:
            (again if asked.is_set() else asked).set()

        with signals(on_signal):
            self.start()
            assert self._background is not None
            # Waiting in pieces: a signal's handler runs between two of them, also where waits cannot be interrupted.
            while not asked.wait(0.5) and not self._background.join(0):
                pass
            log.info("worker %s stops", self.name)
            self._background.call(self._ask_stop)
            while not again.is_set() and not self._background.join(0.2):
                pass
            self.stop(0.0 if again.is_set() else None)
        if self._background.failure is not None:
            raise self._background.failure

    # ---- in the loop's thread --------------------------------------------------------------------------------------

    def _ask_stop(self) -> None:
        if self._serving is not None:
            self._serving.stop(self._grace_seconds)

    async def _main(self) -> None:
        source = self._client.source(tuple(self._functions), self.name, self._lease_ms)

        async def handle(running: Running) -> Answer:
            return await in_thread(lambda: self._answer(running))

        self._serving = Serving(source, handle, concurrency=self._concurrency, lease_ms=self._lease_ms)
        await self._serving.run()

    # ---- in a function's thread ------------------------------------------------------------------------------------

    def _answer(self, running: Running) -> Answer:
        request = running.request
        try:
            payload = plain(request.payload, "payload")
        except NotPlain as error:
            return Answer(False, encoded_error("worker/bad-payload", str(error.facts["reason"])))
        context = Context(
            request.pid,
            request.number,
            request.effect,
            request.attempt,
            request.idempotency_key,
            running,
            self._extend,
        )
        try:
            if failpoint.hook is not None:
                failpoint.hook("worker/call")
            result = self._functions[request.effect](payload, context)
            if failpoint.hook is not None:
                failpoint.hook("worker/returned")
        except WorkerError as error:
            return _own_error(error)
        except Exception as error:
            log.error(
                "%s failed for request %d of process %d\n%s",
                request.effect,
                request.number,
                request.pid,
                writable(traceback.format_exc().rstrip()),
            )
            return Answer(False, _error(f"{type(error).__name__}: {error}", request))
        return _result(result, request)

    def _extend(self, request: Request) -> bool:
        return self._serving is not None and self._serving.extend(request)


def writable(text: str) -> str:
    """The text with lone surrogates escaped, as no log could write them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _result(result: Any, request: Request) -> Answer:
    try:
        data = encoded(result, "result")
    except NotPlain as error:
        kind, reason = type(result).__name__, error.facts["reason"]
        message = f"{request.effect} gave a value of type {kind}, which has no form as a value: {reason}"
        return Answer(False, encoded_error("worker/bad-result", message, {"type": type(result).__name__}))
    if len(data) > ANSWER_BYTES_MAX:
        message = f"{request.effect} gave {len(data)} bytes, and the limit is {ANSWER_BYTES_MAX}"
        return Answer(False, encoded_error("worker/bad-result", message, {"type": type(result).__name__}))
    return Answer(True, data)


def _own_error(error: WorkerError) -> Answer:
    try:
        return Answer(False, encoded_error(error.kind, error.message, error.data))
    except ClientError as problem:
        return Answer(False, encoded_error("worker/error", f"{error.message} ({problem})"))


def _error(message: str, request: Request) -> bytes:
    # Lone surrogates, which Python's messages may hold (file names, say), are no characters of the language.
    clean = message[:TEXT_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()
    return encoded_error("worker/error", clean, {"effect": request.effect, "attempt": request.attempt})

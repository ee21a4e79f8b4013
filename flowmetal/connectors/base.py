"""What connectors have in common: they take the requests of one effect from a store, perform them, and answer.

A connector says how its effect is performed and nothing else.  Here stand the thread, the leases, the errors, and the
redactor: everything that goes back to the store or into the log passes it, so no connector can forget to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from flowmetal.client.background import Background, Gate, in_thread
from flowmetal.client.serving import Answer, Running, Serving, StoreSource
from flowmetal.connectors.secrets import SecretProblem, Secrets
from flowmetal.dataclass import dataclass
from flowmetal.engine.grants import Grants, granted
from flowmetal.store.interface import Request, Store
from flowmetal.values import ErrorValue, Map, decode_value, keyword, secret_names

log = logging.getLogger("flowmetal.connectors")

#: The kind of a refusal, as the engine's.
NOT_GRANTED = "flowmetal/not-granted"

K_ATTEMPT, K_RETRY, K_CODE, K_SECRET = (keyword(name) for name in ("attempt", "retry", "code", "secret"))


class Failure(Exception):
    """An attempt that failed: the kind of the error value, its message, and data beside what every error has."""

    def __init__(self, kind: str, message: str, data: tuple[tuple[Any, Any], ...] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.data = data


@dataclass(frozen=True, slots=True)
class Task:
    """A request, read: what the program gave, and the names of the secrets in it."""

    request: Request
    payload: Any
    options: Any
    secrets: tuple[str, ...]

    @property
    def retried(self) -> bool:
        """Whether the program asks for another attempt after a failed one."""
        return isinstance(self.options, Map) and self.options.get(K_RETRY) not in (None, False)


@dataclass(frozen=True, slots=True)
class Result:
    """What makes the answer, and how many bytes it works on: many of them are worth a thread."""

    make: Callable[[], Any]
    size: int


class Connector(ABC):
    """Serves one effect of one store in a thread of its own: start(), stop()."""

    EFFECT: ClassVar[str]
    #: Kinds of errors: of a request that cannot be read, and of what nobody foresaw.
    BAD_REQUEST: ClassVar[str]
    BROKEN: ClassVar[str]

    def __init__(
        self, store: Store, secrets: Secrets | None, name: str | None, *, concurrency: int, lease_seconds: float
    ) -> None:
        self.secrets = Secrets() if secrets is None else secrets
        self.gate = Gate()
        self._store = store
        self._concurrency = concurrency
        # Short, as it is extended, and a cancelled request is noticed at the latest when it is.
        self._lease_ms = max(100, int(lease_seconds * 1000))
        self._name = name if name is not None else f"{self.EFFECT.replace('/', '-')}-{uuid.uuid4().hex[:12]}"
        self._grace_seconds = 0.0
        self._serving: Serving | None = None
        self._background = Background(self._name, self._main, self._ask_stop)

    @abstractmethod
    async def perform(self, task: Task) -> Result:
        """Performs a request.  Raises Failure, SecretProblem."""

    @abstractmethod
    def facts(self, payload: Any) -> Iterable[tuple[Any, Any]]:
        """What the data of every error says of a payload, which may be any value."""

    def session(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """What is open as long as the connector serves."""
        return contextlib.nullcontext()

    def start(self) -> None:
        """Begins to serve."""
        self._background.start()

    def stop(self, timeout: float = 3.0) -> bool:
        """Takes nothing more; what runs has half of `timeout` seconds to end -> whether all is over."""
        self._grace_seconds = timeout / 2
        return self._background.stop(timeout)

    async def values(self, task: Task) -> dict[str, str]:
        """The values of the secrets in a request, which its connector has checked."""
        if self.secrets.needs_command(task.secrets):
            return await in_thread(lambda: self.secrets.values(task.secrets))
        return self.secrets.values(task.secrets)

    def grants_of(self, pid: int) -> Grants | None:
        """What a process may perform, as it was when it asked: that never changes.  None: everything."""
        record = self._store.process(pid)
        return granted(() if record is None else record.grants)

    def _ask_stop(self) -> None:
        if self._serving is not None:
            self._serving.stop(self._grace_seconds)

    async def _main(self) -> None:
        source = StoreSource(self._store, (self.EFFECT,), self._name, self._lease_ms)
        self._serving = Serving(source, self._handle, concurrency=self._concurrency, lease_ms=self._lease_ms)
        async with self.session():
            await self._serving.run()

    async def _handle(self, running: Running) -> Answer:
        request = running.request
        payload: Any = None
        try:
            task = await self.gate.run(lambda: self._read(request), len(request.payload))
            payload = task.payload
            self.secrets.check(task.secrets, self.EFFECT)
            result = await self.perform(task)
            return Answer(True, await self.gate.run(lambda: self.secrets.redactor.encoded(result.make()), result.size))
        except Failure as failure:
            return self._error(request, payload, failure)
        except SecretProblem as problem:
            return self._error(request, payload, Failure(problem.kind, problem.diagnostic.text, _facts_of(problem)))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Not one of the failures that are foreseen; the program still gets an answer it can handle.
            trace = self.secrets.redactor.text("".join(traceback.format_exception(error)).rstrip())
            log.error("%s: request %d of process %d failed\n%s", self.EFFECT, request.number, request.pid, trace)
            return self._error(request, payload, Failure(self.BROKEN, f"{type(error).__name__}: {error}"))

    def _read(self, request: Request) -> Task:
        try:
            payload = decode_value(request.payload)
            options = decode_value(request.options) if request.options else None
        except Exception:
            # Functions of the program, say, which have no meaning outside of it.
            raise Failure(self.BAD_REQUEST, "the request holds a value that cannot leave its process") from None
        return Task(request, payload, options, secret_names(request.payload))

    def _error(self, request: Request, payload: Any, failure: Failure) -> Answer:
        data = Map.of([*self.facts(payload), (K_ATTEMPT, request.attempt), *failure.data])
        error = ErrorValue(keyword(failure.kind), str(failure), data, None, None)
        return Answer(False, self.secrets.redactor.encoded(error))


def _facts_of(problem: SecretProblem) -> tuple[tuple[Any, Any], ...]:
    return ((K_CODE, problem.code), (K_SECRET, problem.facts["name"]))

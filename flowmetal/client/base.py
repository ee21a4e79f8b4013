"""The methods of a client, the same over a store and over HTTP."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flowmetal.client.errors import NotFinished, ProcessCancelled, ProcessFailed, Refused
from flowmetal.client.plain import Outcome, ProcessInfo, Step
from flowmetal.client.serving import Source

#: Lists as methods give them; a client has a method called `list`.
Processes = list[ProcessInfo]
Steps = list[Step]


class Client(ABC):
    """Starts processes, waits for them, talks to them.  Made by `connect`; safe to use from several threads.

    Values cross as plain Python: dict, list, str, int, float, bool, None (see values/convert.py for the others).
    """

    url: str

    @abstractmethod
    def start(
        self,
        function: str,
        /,
        *arguments: Any,
        program: str | None = None,
        id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        queue: str | None = None,
        key: str | None = None,
        priority: int = 0,
        delay: float = 0,
        dedup: str | None = None,
        register: str | None = None,
    ) -> int:
        """Starts `function` ("module/function") with `arguments` -> pid, once the start is durable.

        `program` is the deployed name, by default the module.  With an `id` it is safe to repeat: the same start
        gives the same pid, another start under the same id raises Conflict.  NotFound where nothing is deployed.

        In a `queue` it begins when that admits it: `key` is what its limits of keys and its turns go by, a greater
        `priority` (-9 to 9) goes first, `delay` is in seconds, and within the queue's window a second start with the
        same `dedup` key gives the pid of the first.  NotFound for an unknown queue, Refused where too many wait.

        With `register` it gets this name for as long as it lives; where a living process has it, its pid is the answer,
        whatever it runs.
        """

    def call(
        self,
        function: str,
        /,
        *arguments: Any,
        program: str | None = None,
        id: str | None = None,
        wait: float | None = None,
    ) -> Any:
        """start() and result(): the value of the process, or what result() raises."""
        return self.result(self.start(function, *arguments, program=program, id=id), wait)

    def result(self, pid: int, wait: float | None = None) -> Any:
        """The value with which the process ended, waiting at most `wait` seconds (None: as long as it takes).

        ProcessFailed, ProcessCancelled, NotFinished (it goes on), NotFound, NotPlain (a function, say).
        """
        outcome, status = self.outcome(pid, wait)
        if outcome is None:
            raise NotFinished("H507", pid=pid, status=status, seconds=f"{wait or 0:g}")
        if outcome.status == "failed":
            error = outcome.error or {}
            raise ProcessFailed(pid, error.get("kind", "unknown"), error.get("message", ""), error.get("data"))
        if outcome.status == "cancelled":
            raise ProcessCancelled(pid)
        return outcome.result

    @abstractmethod
    def outcome(self, pid: int, wait: float | None = None) -> tuple[Outcome | None, str]:
        """How the process ended, or None after `wait` seconds; and its status.  NotFound, NotPlain."""

    @abstractmethod
    def get(self, pid: int) -> ProcessInfo:
        """What is known of the process.  NotFound."""

    @abstractmethod
    def find(self, id: str) -> ProcessInfo | None:
        """The process that was started with `id`, or None."""

    @abstractmethod
    def list(
        self, *, after: int = 0, limit: int = 100, statuses: Iterable[str] = (), newest_first: bool = False
    ) -> Processes:
        """At most `limit` processes in order of pid, those beyond pid `after`, of these statuses (none given: all)."""

    @abstractmethod
    def history(self, pid: int, start: int = 0, limit: int = 1000) -> Steps:
        """Entries of the process's log from sequence number `start` on.  NotFound."""

    def cancel(self, pid: int, reason: str | None = None) -> bool:
        """Asks the process to end -> False if it has ended already.  NotFound."""
        return self.post(pid, "cancel", reason)

    def send(self, pid: int, message: Any) -> bool:
        """Sends a message -> False if the process has ended.  NotFound, NotPlain."""
        return self.post(pid, "message", message)

    def pause(self, pid: int) -> bool:
        """Lets the process stand still -> False if it has ended.  NotFound."""
        return self.post(pid, "pause", None)

    def resume(self, pid: int) -> bool:
        """Lets a paused process go on -> False if it has ended.  NotFound."""
        return self.post(pid, "resume", None)

    def retry(self, pid: int, number: int = 0) -> bool:
        """Tries a request again that has used up its retries (0: all of them), and lets the process go on.

        False if the process has ended.  NotFound.
        """
        return self.post(pid, "retry", None, number)

    @abstractmethod
    def post(self, pid: int, kind: str, value: Any, number: int = 0) -> bool:
        """Puts an event of `kind` (see POSTED) into the process's inbox -> False if it has ended.  NotFound.

        `number` is the request that a "retry" is for; 0: all that wait for one.
        """

    @abstractmethod
    def operate(self, name: str, payload: Any = None) -> Any:
        """Has the store answer an operation such as "kv/get", with what a program would give it as plain data.

        StoreError S210 or S211 (over HTTP Refused or NotFound) where it is refused; nothing has changed then.
        """

    def deploy(self, name: str, artifact: bytes | str | PathLike[str]) -> str:
        """Deploys an artifact (its bytes, or the path of an .fmc file) as `name` -> its hash in hex.

        New processes of `name` run it; those that run keep what they have.  FlowmetalError for a bad artifact.
        """
        data = artifact if isinstance(artifact, bytes) else _read(artifact)
        return self.put_program(name, data)

    @abstractmethod
    def put_program(self, name: str, data: bytes) -> str:
        """deploy() for bytes."""

    @abstractmethod
    def programs(self) -> dict[str, str]:
        """Deployed names and the hashes (hex) of their artifacts."""

    @abstractmethod
    def source(self, effects: Sequence[str], worker: str, lease_ms: int) -> Source:
        """Where a Worker takes requests for `effects` from."""

    @abstractmethod
    def close(self) -> None:
        """Closes what connect() opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


#: Kinds of inbox events that come from outside.
POSTED = ("cancel", "message", "pause", "resume", "retry")


def _read(path: str | PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Refused("H506", message=f"{path} cannot be read: {error.strerror}", advice="") from None

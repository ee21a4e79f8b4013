"""The methods of a client, the same over a store and over HTTP."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from flowmetal.client.errors import NotFinished, ProcessCancelled, ProcessFailed, Refused
from flowmetal.client.info import ProcessInfo
from flowmetal.client.plain import Outcome, Step, Wanted
from flowmetal.client.pruning import Pruning, pruning_of
from flowmetal.client.serving import Source
from flowmetal.client.steering import ORDER_FIELDS, REASONS, Order, Report, check, user_name
from flowmetal.client.where import Where
from flowmetal.engine.mailboxes import Mailbox

if TYPE_CHECKING:
    from flowmetal.engine.retention import Report as PruneReport

#: Lists as methods give them; a client has a method called `list`.
Processes = list[ProcessInfo]
Steps = list[Step]


class Client(ABC):
    """Starts processes, waits for them, talks to them.  Made by `connect`; safe to use from several threads.

    Values cross as plain Python: dict, list, str, int, float, bool, None (see values/convert.py for the others).
    """

    url: str

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
        limits: Mapping[str, int] | None = None,
    ) -> int:
        """Starts `function` ("module/function") with `arguments` -> pid, once the start is durable.

        `program` is the deployed name, by default the module.  With an `id` it is safe to repeat: the same start
        gives the same pid, another start under the same id raises Conflict.  NotFound where nothing is deployed.

        In a `queue` it begins when that admits it: `key` is what its limits of keys and its turns go by, a greater
        `priority` (-9 to 9) goes first, `delay` is in seconds, and within the queue's window a second start with the
        same `dedup` key gives the pid of the first.  NotFound for an unknown queue, Refused where too many wait.

        With `register` it gets this name for as long as it lives; where a living process has it, its pid is the answer,
        whatever it runs.

        `limits` are its own, such as {"fuel": 10**9}, by the names of docs/limits.md: they count where they are less
        than those of its program, and for all that it spawns.
        """
        wanted = Wanted(
            function, arguments, program, id, attributes, queue, key, priority, delay, dedup, register, limits
        )
        return self._start(wanted)

    @abstractmethod
    def _start(self, wanted: Wanted) -> int:
        """The pid of a start that is durable."""

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
            raise ProcessCancelled(pid, (outcome.error or {}).get("data"))
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
        self,
        *,
        after: int = 0,
        limit: int = 100,
        statuses: Iterable[str] = (),
        newest_first: bool = False,
        where: Where | None = None,
    ) -> Processes:
        """At most `limit` processes in order of pid, those beyond pid `after`, of these statuses (none given: all).

        `where`: only those that fit it.
        """

    @abstractmethod
    def count(self, where: Where | None = None) -> int:
        """How many processes fit."""

    @abstractmethod
    def history(self, pid: int, start: int = 0, limit: int = 1000) -> Steps:
        """Entries of the process's log from sequence number `start` on.  NotFound."""

    @abstractmethod
    def mailbox(self, pid: int, *, after: int = 0, limit: int = 100) -> Mailbox:
        """At most `limit` messages (1000) that wait in the mailbox of the process, beyond number `after`.  NotFound.

        They stay there.  Fewer come where they are large; `after` of the answer is None once there are no more.
        """

    def prune(
        self,
        *,
        older_than: str | None = None,
        keep: int | None = None,
        keep_failed: bool = False,
        keep_children: bool = True,
        log_older_than: str | None = None,
        log_keep: int | None = None,
        program: str | None = None,
        dry_run: bool = False,
    ) -> PruneReport:
        """Removes ended processes, and old log of others -> what went.  `dry_run` only counts and lists.

        The arguments are the keys of [retention], times as "12h" or "30d".  Without any of the four that say what is to
        go, a server does what its settings say; a store has none: Refused (H555).
        """
        given: dict[str, Any] = {
            "older_than": older_than,
            "keep": keep,
            "keep_failed": keep_failed or None,
            "keep_children": None if keep_children is True else keep_children,
            "log_older_than": log_older_than,
            "log_keep": log_keep,
            "program": program,
            "dry_run": dry_run,
        }
        wanted = pruning_of({name: value for name, value in given.items() if value is not None})
        report = self._prune(wanted)
        while report.more and not dry_run:
            report.add(self._prune(wanted))
        return report

    @abstractmethod
    def _prune(self, wanted: Pruning) -> PruneReport:
        """A piece of a sweep."""

    def cancel(self, pid: int, reason: str | None = None, *, by: str = "") -> bool:
        """Asks the process to end -> False if it has ended already.  NotFound.

        `by`, here and below: who wants it; it is in the log of the process.
        """
        return self._one("cancel", pid, reason=reason, by=by) if by else self.post(pid, "cancel", reason)

    def kill(self, pid: int, reason: str | None = None, *, by: str | None = None) -> bool:
        """Ends the process at once: nothing of it runs any more, no `finally` either -> False if it has ended already.

        NotFound.  Its status is "cancelled", its error of kind :flowmetal/killed.
        """
        return self._one("kill", pid, reason=reason, by=by)

    def send(self, pid: int, message: Any) -> bool:
        """Sends a message -> False if the process has ended.  NotFound, NotPlain."""
        return self.post(pid, "message", message)

    def pause(self, pid: int, *, by: str = "") -> bool:
        """Lets the process stand still -> False if it has ended.  NotFound."""
        return self._one("pause", pid, by=by) if by else self.post(pid, "pause", None)

    def resume(self, pid: int, *, by: str = "") -> bool:
        """Lets a paused process go on -> False if it has ended.  NotFound."""
        return self._one("resume", pid, by=by) if by else self.post(pid, "resume", None)

    def retry(self, pid: int, number: int = 0, *, by: str = "") -> bool:
        """Tries a request again that has used up its retries (0: all of them), and lets the process go on.

        False if the process has ended.  NotFound.  Refused (H516) where the request with that number waits for no one.
        """
        if by or number:
            return self._one("retry", pid, request=number or None, by=by)
        return self.post(pid, "retry", None, number)

    def answer(self, pid: int, value: Any, request: int | str | None = None, *, by: str | None = None) -> bool:
        """Answers a request by hand -> False if the process has ended.  NotFound, NotPlain.

        `request` is its number or the name of its effect; None: the one whose retries are used up, which lets the
        process go on.  Refused (H516) where there is no such request, or it has its answer.
        """
        return self._one("answer", pid, value=value, request=request, by=by)

    def fail(
        self,
        pid: int,
        kind: str,
        message: str,
        data: Any = None,
        request: int | str | None = None,
        *,
        by: str | None = None,
    ) -> bool:
        """answer() with an error of this kind ("billing/declined"), which the program can catch."""
        return self._one("fail", pid, kind=kind, message=message, value=data, request=request, by=by)

    def restart(self, pid: int, *, latest: bool = False, id: str | None = None) -> int:
        """Starts the function of an ended process again with the same arguments -> the new pid.  NotFound.

        It runs the same program, or with `latest` the one that is deployed under its name now.  The new process has
        the attributes of the old one, `restarted-from`, and `id`, not that of the old one.  Refused (H515) where the
        process has not ended, or what it was started with is not kept any more.
        """
        report = self.steer("restart", Where(pids=(pid,)), latest=latest, id=id)
        if report.started:
            return report.started[0][1]
        self._refused(report, "H515", pid)
        raise Refused("H515", pid=pid, reason="nothing was started")

    def steer(
        self,
        action: str,
        where: Where,
        *,
        dry_run: bool = False,
        name: str = "",
        told: Callable[[Report], None] | None = None,
        **order: Any,
    ) -> Report:
        """Does something to all processes that fit -> what came of it.

        `action` is one of ACTIONS, and what goes with it is that of the method of its name: `reason`, `value`,
        `request`, `kind` and `message`, `latest`, `by`.  It is done in small transactions, in order of pid; `told` is
        called after each with the report so far.  With a `name` the store remembers how far it is: the same again goes
        on where it stopped, and does nothing twice.  `dry_run` only counts.  Conflict (H517) where the name stands for
        something else.
        """
        for given in order:
            if given not in ORDER_FIELDS:
                raise Refused(
                    "H513", what=f"what goes with it (here {given!r})", expected=f"of {', '.join(ORDER_FIELDS)}"
                )
        return steer(self, Order(action, where, **order), dry_run=dry_run, name=name, told=told)

    def _one(self, action: str, pid: int, *, by: str | None, **order: Any) -> bool:
        report = self.steer(action, Where(pids=(pid,)), by=user_name() if by is None else by, **order)
        self._refused(report, "H516", pid)
        return report.done > 0

    def _refused(self, report: Report, code: str, pid: int) -> None:
        """Raises what a report of one process says, but for one that has ended."""
        reason = report.refusals[0][1] if report.refusals else "ended"
        if reason == "unknown":
            self.get(pid)  # says why
        if reason != "ended":
            raise Refused(code, pid=pid, reason=REASONS.get(reason, reason))

    @abstractmethod
    def _piece(self, order: Order, after: int, dry_run: bool, name: str, end: int) -> Report:
        """The next piece of an operation."""

    @abstractmethod
    def post(self, pid: int, kind: str, value: Any, number: int = 0) -> bool:
        """Puts an event of `kind` (see POSTED) into the process's inbox -> False if it has ended.  NotFound.

        `number` is the request that a "retry" is for; 0: all that wait for one.
        """

    @abstractmethod
    def operate(self, name: str, payload: Any = None) -> Any:
        """Has the store answer an operation such as "kv/get", with what a program would give it as plain data.

        StoreError, such as S210 or S211, where it is refused; nothing has changed then.
        """

    def deploy(self, name: str, artifact: bytes | str | PathLike[str], grants: Sequence[str] | None = None) -> str:
        """Deploys an artifact (its bytes, or the path of an .fmc file) as `name` -> its hash in hex.

        New processes of `name` run it; those that run keep what they have.  `grants` says which effects they may
        perform, as `flowvm deploy --grant` does: ["http/request=api.example.com", "store"].  Without it a store grants
        all; a server what its settings say of the name, or nothing.  FlowmetalError for a bad artifact or grant.
        """
        if not isinstance(artifact, bytes | str | PathLike):
            raise Refused("H513", what="an artifact", expected="its bytes, or the path of an .fmc file")
        data = artifact if isinstance(artifact, bytes) else _read(artifact)
        if grants is not None and not isinstance(grants, (list, tuple, set, frozenset)):
            raise Refused("U203", grant=str(grants)[:80])
        return self.put_program(name, data, None if grants is None else tuple(grants))

    @abstractmethod
    def put_program(self, name: str, data: bytes, grants: Sequence[str] | None = None) -> str:
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


def steer(
    client: Client,
    order: Order,
    *,
    dry_run: bool = False,
    name: str = "",
    told: Callable[[Report], None] | None = None,
) -> Report:
    """Client.steer for an order."""
    check(order)
    report = Report(order.action, dry_run=dry_run)
    before = 0  # found by the passes before this one
    while True:
        piece = client._piece(order, report.after, dry_run, name, report.end)
        report.add(piece)
        if told is not None:
            told(report)
        if piece.more:
            continue
        if order.where.tree is None or dry_run or name or order.action not in ENDING or report.found == before:
            return report
        # What it spawned meanwhile is ended as well, until there is nothing new: of what has ended nothing more comes.
        before, report.after, report.end = report.found, piece.end, 0


#: Actions that end a tree.
ENDING = ("cancel", "kill")

#: Kinds of inbox events that come from outside.
POSTED = ("cancel", "message", "pause", "resume", "retry")


def _read(path: str | PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Refused("H506", message=f"{path} cannot be read: {error.strerror}", advice="") from None

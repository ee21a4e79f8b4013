"""The client over the store itself: the same commands and reads as the interpreter's, no server between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flowmetal.client.base import POSTED, Client, Processes, Steps
from flowmetal.client.errors import Conflict, NotFound, Refused
from flowmetal.client.exports import Exports
from flowmetal.client.hints import SLOW_POLL_SECONDS, Hints
from flowmetal.client.info import ProcessInfo, info_of
from flowmetal.client.plain import (
    Outcome,
    Wanted,
    check_page,
    check_pid,
    check_wait,
    encoded,
    missing_code,
    outcome_of,
    plain,
    step_of,
)
from flowmetal.client.pruning import Pruning, prune_piece, retention_for
from flowmetal.client.serving import Source, StoreSource
from flowmetal.client.steering import Order, Report, piece
from flowmetal.client.where import Where, count
from flowmetal.diagnostics import FlowmetalError, suggest
from flowmetal.engine.mailboxes import Mailbox, mailbox
from flowmetal.store.interface import FINAL_STATUSES, Command, Operate, Post, ProcessRecord, Start, Store

if TYPE_CHECKING:
    from flowmetal.engine.retention import Report as PruneReport

#: Checks an artifact's bytes, deploys them to a store under a name, durably -> content hash; FlowmetalError for bytes
#: that are no artifact.
Deployer = Callable[[Store, str, bytes, Sequence[str] | None], bytes]


class StoreClient(Client):
    """See Client.  `owned`: close() also closes the store."""

    def __init__(self, store: Store, deploy: Deployer, *, owned: bool = False) -> None:
        self.url = store.url
        self.store = store
        self._deploy = deploy
        self._owned = owned
        self._hints = Hints(store)
        self._exports = Exports(store)

    def _start(self, wanted: Wanted) -> int:
        command = wanted.command()
        command = self._exports.check(command, len(wanted.arguments))
        try:
            (started,) = self._submit(command)
        except FlowmetalError as error:
            raise start_error(error, command, self.store) from None
        pid: int = started[0]
        return pid

    def outcome(self, pid: int, wait: float | None = None) -> tuple[Outcome | None, str]:
        """See Client."""
        check_pid(pid)
        seconds = check_wait(wait)
        deadline = None if seconds is None else time.monotonic() + seconds
        changed = threading.Event()
        end = self._hints.listen([("process", pid)], changed.set)
        try:
            while True:
                changed.clear()
                record = self._record(pid)
                if record.status in FINAL_STATUSES:
                    return outcome_of(record, self.store.result(pid)), record.status
                left = SLOW_POLL_SECONDS if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return None, record.status
                changed.wait(min(left, SLOW_POLL_SECONDS))
        finally:
            end()

    def get(self, pid: int) -> ProcessInfo:
        """See Client."""
        return info_of(self._record(pid))

    def find(self, id: str) -> ProcessInfo | None:
        """See Client."""
        record = self.store.process_by_id(id)
        return None if record is None else info_of(record)

    def list(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        statuses: Iterable[str] = (),
        newest_first: bool = False,
        where: Where | None = None,
    ) -> Processes:
        """See Client."""
        where = where or Where()
        asked = check_page(after, limit, statuses)
        records = self.store.processes(
            after=after,
            limit=limit,
            statuses=asked or where.statuses,
            newest_first=newest_first,
            where=where.query(self.store.now()),
        )
        return [info_of(record) for record in records]

    def count(self, where: Where | None = None) -> int:
        """See Client."""
        return count(self.store, where or Where())

    def history(self, pid: int, start: int = 0, limit: int = 1000) -> Steps:
        """See Client."""
        check_page(start, limit, ())
        self._record(pid)
        return [step_of(entry) for entry in self.store.log(pid, start, limit)]

    def mailbox(self, pid: int, *, after: int = 0, limit: int = 100) -> Mailbox:
        """See Client."""
        check_page(after, limit, ())
        return mailbox(self.store, self._record(pid).pid, after, limit)

    def _prune(self, wanted: Pruning) -> PruneReport:
        return prune_piece(self.store, retention_for(wanted), wanted)

    def post(self, pid: int, kind: str, value: Any, number: int = 0) -> bool:
        """See Client."""
        if kind not in POSTED:
            raise Refused("H513", what="a kind of event", expected="one of " + ", ".join(POSTED))
        data = (
            encoded(value, "message" if kind == "message" else "reason", edn=True)
            if kind in ("message", "cancel")
            else b""
        )
        self._record(pid)
        (posted,) = self._submit(Post(pid, kind, data, number))
        return bool(posted)

    def operate(self, name: str, payload: Any = None) -> Any:
        """See Client."""
        if name == "schedule/put":
            self._exports.check_schedule(payload)
        (data,) = self._submit(Operate(name, encoded(payload, "payload")))
        return plain(data, "answer")

    def _piece(self, order: Order, after: int, dry_run: bool, name: str, end: int) -> Report:
        return piece(self.store, order, after, dry_run=dry_run, name=name, end=end)

    def put_program(self, name: str, data: bytes, grants: Sequence[str] | None = None) -> str:
        """See Client."""
        return self._deploy(self.store, name, data, grants).hex()

    def programs(self) -> dict[str, str]:
        """See Client."""
        return {name: digest.hex() for name, digest in self.store.deployed().items()}

    def source(self, effects: Sequence[str], worker: str, lease_ms: int) -> Source:
        """See Client."""
        return StoreSource(self.store, effects, worker, lease_ms)

    def close(self) -> None:
        """See Client."""
        self._hints.close()
        if self._owned:
            self.store.close()

    def _record(self, pid: int) -> ProcessRecord:
        record = self.store.process(check_pid(pid))
        if record is None:
            raise NotFound(missing_code(self.store, pid), pid=pid)
        return record

    def _submit(self, *commands: Command) -> Sequence[Any]:
        return self.store.submit(list(commands)).result()


def start_error(error: FlowmetalError, command: Start, store: Store) -> FlowmetalError:
    """What a client raises for a store's error at a start: Conflict, NotFound, Refused, or the error itself."""
    if error.code == "S201":
        return Conflict("H505", **error.facts)
    if error.code == "S202":
        names = store.deployed()
        return NotFound("H511", name=command.name, suggestion=suggest(command.name or "", names))
    if error.code in ("S220", "S221", "S222"):
        return (NotFound if error.code == "S220" else Refused)(error.code, **error.facts)
    return error

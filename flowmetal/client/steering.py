"""Operations of people on running processes, over a store: on one of them, and on all that a query selects.

An operation on many is done in pieces, each a transaction, in order of pid.  With a name the store remembers in the
same transaction how far it is: the same operation under the same name goes on where the last one ended, however it
ended, and does nothing twice.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from flowmetal.client.errors import Conflict, Refused
from flowmetal.client.plain import TEXT_CHARACTERS_MAX, encoded, encoded_error
from flowmetal.client.where import Where, where_of
from flowmetal.dataclass import dataclass, field, replace
from flowmetal.engine import events
from flowmetal.engine.lines import error_line
from flowmetal.engine.starting import marked_spawned
from flowmetal.store import failpoint
from flowmetal.store.interface import FINAL_STATUSES, Bulk, Kill, Post, ProcessRecord, Settle, Start, Store
from flowmetal.values import CodecError, ErrorValue, Vector, decode_value, encode_value, from_python, keyword

#: What can be done, and which processes are meant where neither numbers nor statuses are given.
LIVING = ("ready", "waiting", "paused")
ACTIONS: dict[str, tuple[str, ...]] = {
    "cancel": LIVING,
    "kill": LIVING,
    "pause": ("ready", "waiting"),
    "resume": ("paused",),
    "retry": ("paused",),
    "send": LIVING,
    "answer": LIVING,
    "fail": LIVING,
    "restart": ("failed", "cancelled"),
}

#: Actions that are always in the log with who wanted them.
NAMED_ACTIONS = ("kill", "answer", "fail")

#: Why one process was refused, for people.
REASONS = {
    "unknown": "there is no such process",
    "ended": "it has ended",
    "no-request": "it has no such open request",
    "answered": "the request has its answer already",
    "not-ended": "it has not ended",
    "no-start": "what it was started with is not kept any more",
    "no-program": "the name of its program is not kept, so nothing can be run that is deployed under it",
    "S229": "it has no such request whose retries are used up",
    "S202": "no program is deployed under its name",
    "S203": "its program is not in the store any more",
    "S208": "its inbox is full",
    "S220": "the queue that it was started in is not there any more",
    "S221": "too many wait in its queue",
    "S201": "another process has that id",
}

#: Processes in a piece, at most; and processes that a report names.
PIECE_MAX, NAMED_MAX = 500, 1000

#: The attribute of a restarted process that says which one it was.
RESTARTED_FROM = "restarted-from"

KIND_KILLED = keyword("flowmetal/killed")

#: Entries at the beginning of a log among which its start is.
_BEGINNING = 16


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, and to which processes.

    `value`: the message, or the answer.  `request`: its number, or the name of its effect; None: the one whose retries
    are used up.  `kind`, `message`: the error of a "fail".  `reason`: why, of "cancel" and "kill".  `by`: who wants it;
    it is in the log.  `latest`: "restart" runs what is deployed now.  `id`: of the one process that a "restart" starts.
    """

    action: str
    where: Where
    value: Any = None
    request: int | str | None = None
    kind: str = ""
    message: str = ""
    reason: str | None = None
    by: str = ""
    latest: bool = False
    id: str | None = None

    def selected(self) -> Where:
        """The processes that are meant."""
        if self.where.pids is not None or self.where.statuses:
            return self.where
        return replace(self.where, statuses=ACTIONS[self.action])

    def digest(self) -> bytes:
        """What tells this order from another one."""
        said = [
            self.action, self.where.document(), self.value, self.request, self.kind, self.message, self.reason,
            self.latest, self.id,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=repr).encode()).digest()


@dataclass(slots=True)
class Report:
    """What came of an operation.

    `found`: processes looked at.  `done`: of these.  `refused`: how many for which reason (see REASONS), and
    `refusals` the first of them, [pid, reason].  `started`: of a restart the first, [old pid, new pid].  `after`: how
    far it is, by pid; `more`: whether it is not at its end.
    """

    action: str
    found: int = 0
    done: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    refusals: list[list[Any]] = field(default_factory=list)
    started: list[list[int]] = field(default_factory=list)
    after: int = 0
    end: int = 0
    more: bool = False
    dry_run: bool = False

    def refuse(self, pid: int, reason: str) -> None:
        """Notes a process that was refused."""
        self.refused[reason] = self.refused.get(reason, 0) + 1
        if len(self.refusals) < NAMED_MAX:
            self.refusals.append([pid, reason])

    def add(self, piece: Report) -> None:
        """Takes in what came of the next piece."""
        self.found += piece.found
        self.done += piece.done
        for reason, number in piece.refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + number
        self.refusals += piece.refusals[: NAMED_MAX - len(self.refusals)]
        self.started += piece.started[: NAMED_MAX - len(self.started)]
        self.after, self.end, self.more = piece.after, piece.end, piece.more


def order_of(document: Mapping[str, Any]) -> Order:
    """An order from a JSON document.  Refused where it is none."""
    values = {name: value for name, value in document.items() if name in _FIELDS and value is not None}
    values.setdefault("action", "")
    order = Order(**{**values, "where": where_of(document.get("where", {}))})
    check(order)
    return order


def document_of(order: Order) -> dict[str, Any]:
    """An order as JSON."""
    found: dict[str, Any] = {"action": order.action, "where": order.where.document()}
    for name, default in _FIELDS.items():
        value = getattr(order, name)
        if name not in found and value != default:
            found[name] = value
    return found


#: The fields of an order in a JSON document, and what they are where they are left out.
_FIELDS: dict[str, Any] = {
    "action": "", "value": None, "request": None, "kind": "", "message": "", "reason": None, "by": "", "latest": False,
    "id": None,
}  # fmt: skip


ORDER_FIELDS = (*_FIELDS, "where")


def check(order: Order) -> None:
    """Refused where an order does not hold together."""
    if not isinstance(order.where, Where):
        raise Refused("H513", what="`where`", expected="a Where, such as Where(program=...) or Where(pids=(7,))")
    if order.action.__class__ is not str or order.action not in ACTIONS:
        raise Refused("H513", what="an operation", expected="one of " + ", ".join(ACTIONS))
    if order.by.__class__ is not str or len(order.by) > 200 or not (order.by.isprintable() or not order.by):
        raise Refused("H513", what="`by`", expected="a printable text of at most 200 characters")
    request = order.request
    if request is not None and not (
        (request.__class__ is int and 0 < request < 1 << 40) or (request.__class__ is str and 0 < len(request) <= 200)
    ):
        raise Refused("H513", what="a request", expected="a number from 1 or the name of an effect")
    for what in ("kind", "message"):
        if getattr(order, what).__class__ is not str:
            raise Refused("H513", what=f"`{what}`", expected="text")
    if order.reason is not None and (order.reason.__class__ is not str or len(order.reason) > TEXT_CHARACTERS_MAX):
        raise Refused("H513", what="`reason`", expected=f"a text of at most {TEXT_CHARACTERS_MAX} characters")
    if order.latest.__class__ is not bool:
        raise Refused("H513", what="`latest`", expected="true or false")
    if order.action == "fail" and not order.kind:
        raise Refused("H513", what="`kind`", expected="the kind of the error, such as billing/declined")
    if order.action in ("send", "answer"):
        encoded(order.value, "message" if order.action == "send" else "answer", edn=True)
    elif order.action == "fail":
        encoded_error(order.kind, order.message, order.value)
    if order.id is not None and order.id.__class__ is not str:
        raise Refused("H513", what="`id`", expected="text")
    if order.id is not None and (order.where.pids is None or len(order.where.pids) != 1):
        raise Refused("H513", what="`id`", expected="given for the restart of one process")


def piece(
    store: Store, order: Order, after: int, *, size: int = 200, dry_run: bool = False, name: str = "", end: int = 0
) -> Report:
    """Does the next piece of an operation, from beyond pid `after` on; `end`: where it ends, 0 to find that out."""
    check(order)
    end = end or store.last_pid()
    report = Report(order.action, after=after, end=end, dry_run=dry_run)
    if order.where.pids is not None and not after:
        there = {pid for pid in order.where.pids if store.process(pid) is not None}
        for pid in sorted(set(order.where.pids) - there):
            report.refuse(pid, "unknown")
    size = max(1, min(size, PIECE_MAX))
    where = order.selected()
    query = where.query(store.now())
    found = store.processes(after=after, limit=size, statuses=where.statuses, where=query)
    records = [record for record in found if record.pid <= end]
    report.more = len(records) == size
    report.found = len(records)
    if records:
        report.after = records[-1].pid
    if dry_run or not (records or name):
        return report
    commands: list[Start | Post | Kill | Settle] = []
    asked: list[ProcessRecord] = []
    refused: list[tuple[int, str]] = []
    for record in records:
        made = _command(store, order, record)
        if isinstance(made, str):
            refused.append((record.pid, made))
        else:
            commands.append(made)
            asked.append(record)
    upto = report.after if records else after
    if failpoint.hook is not None:
        failpoint.hook("bulk/chosen")
    (answer,) = store.submit([Bulk(tuple(commands), name, order.digest() if name else b"", after, upto, end)]).result()
    if failpoint.hook is not None:
        failpoint.hook("bulk/done")
    last, report.end, results = answer
    if last == -1:
        raise Conflict("H517", name=name)
    if results is None:  # it was further than that
        return Report(order.action, after=last, end=answer[1], more=True)
    for pid, reason in refused:
        report.refuse(pid, reason)
    for record, result in zip(asked, results, strict=True):
        _note(report, order, record, result)
    return report


def _note(report: Report, order: Order, record: ProcessRecord, result: Any) -> None:
    """What came of one command."""
    if isinstance(result, str):
        reason = "" if result == "done" else result
    elif isinstance(result, bool):
        reason = "" if result else "ended"
    elif isinstance(result[0], str):
        reason = str(result[0])  # the code that refused it
    else:
        reason = ""
        if len(report.started) < NAMED_MAX:
            report.started.append([record.pid, int(result[0])])
    if reason:
        report.refuse(record.pid, reason)
    else:
        report.done += 1


# ---- commands ------------------------------------------------------------------------------------------------------


def _command(store: Store, order: Order, record: ProcessRecord) -> Start | Post | Kill | Settle | str:
    """The command for one process, or why there is none."""
    pid, by = record.pid, order.by
    match order.action:
        case "cancel":
            reason = encoded(order.reason, "reason")
            return Post(pid, "cancel", encode_value(Vector.of([decode_value(reason), by])) if by else reason)
        case "pause" | "resume" | "retry":
            number = order.request if order.action == "retry" and isinstance(order.request, int) else 0
            return Post(pid, order.action, encode_value(by) if by else b"", number)
        case "send":
            return Post(pid, "message", encoded(order.value, "message", edn=True))
        case "kill":
            return _kill(store, order, record)
        case "restart":
            return _restart(store, order, record)
    if order.action == "answer":
        data = encode_value(Vector.of([by, True, decode_value(encoded(order.value, "answer", edn=True))]))
    else:
        error = decode_value(encoded_error(order.kind, order.message, order.value))
        data = encode_value(Vector.of([by, False, error]))
    request = order.request
    return Settle(pid, data, request if isinstance(request, int) else 0, request if isinstance(request, str) else "")


def _kill(store: Store, order: Order, record: ProcessRecord) -> Kill:
    now = store.now()
    who = f" by {order.by}" if order.by else ""
    error = ErrorValue(KIND_KILLED, f"the process was killed{who}", from_python(order.reason))
    data = encode_value(error)
    entries: list[events.Event] = [events.Steered(now, "kill", 0, order.by)] if order.by else []
    entries.append(events.Cancelled(now, data))
    start = b""
    if not record.sequence:
        waiting = store.inbox(record.pid, 1)
        if waiting and waiting[0].kind == "start":
            start = events.encode_event(events.Started(now, record.function, waiting[0].data))
    return Kill(record.pid, tuple(events.encode_event(entry) for entry in entries), data, error_line(error), start)


def _restart(store: Store, order: Order, record: ProcessRecord) -> Start | str:
    if record.status not in FINAL_STATUSES:
        return "not-ended"
    arguments = _arguments(store, record.pid)
    if arguments is None:
        return "no-start"
    program = _program_of(store, record)
    if order.latest and program is None:
        return "no-program"
    if record.parent is not None:
        arguments = _of_child(arguments)
    return Start(
        function=record.function,
        arguments=arguments,
        artifact=None if order.latest else record.artifact,
        name=program,
        id=order.id,
        attributes={**record.attributes, RESTARTED_FROM: record.pid},
        grants=_grants_again(store, order, record, program),
        queue=None if record.queue is None else (*record.queue, 0, None),
        limits=record.limits,
    )


def _program_of(store: Store, record: ProcessRecord) -> str | None:
    """The deployed name of what a process runs: of a child, that of the process at the root of its tree.

    None where it is not known.  The module of a function may be called like a program that is another one.
    """
    top = record if record.parent is None else store.process(record.root) if record.root is not None else None
    return top.program if top is not None and top.parent is None and top.named else None


def _of_child(arguments: bytes) -> bytes:
    """The arguments of a child, marked as such: it may run a function that cannot be started by its name."""
    try:
        return encode_value(marked_spawned(decode_value(arguments)))
    except CodecError:  # functions are in them, which only the program can read: its parent has marked what it can
        return arguments


def _grants_again(store: Store, order: Order, record: ProcessRecord, program: str | None) -> tuple[str, ...] | None:
    """What a process that is started again may perform: what it could, or what its name has been granted since.

    A name counts only where it runs this very program, and not for children, which have what their parent had.
    """
    if order.latest or (
        record.parent is None and program is not None and store.deployed(program).get(program) == record.artifact
    ):
        return None
    return ("all",) if record.grants is None else record.grants


def _arguments(store: Store, pid: int) -> bytes | None:
    """What a process was started with, from its log."""
    for entry in store.log(pid, 0, _BEGINNING):
        try:
            event = events.decode_event(entry.event) if entry.event else None
        except events.EventError:
            continue
        if isinstance(event, events.Started):
            return event.arguments
    return None


def user_name() -> str:
    """Who runs this, as the system calls them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "somebody"
    return "".join(c for c in name if c.isprintable())[:200] or "somebody"


def refused_texts(report: Report) -> Sequence[str]:
    """The reasons of a report with their numbers, for people."""
    return [f"{number} refused: {REASONS.get(reason, reason)}" for reason, number in sorted(report.refused.items())]

"""What can be seen of a process, as plain data with a JSON form and a text form."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.engine.grants import grants_line

#: Characters of a result or of an error's data in the text form; the JSON form has all of it.
VALUE_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class FrameView:
    """One call: its function, where it stands in the source, and the locals that are still needed, printed."""

    function: str
    file: str
    line: int  # 0: not known
    column: int
    source: str  # the text of that line, "" if the artifact has no source
    locals: dict[str, str]

    def lines(self) -> list[str]:
        """The frame as indented text."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = [f"  {self.function}  {place}"]
        if self.source:
            text.append(f"    {self.source.strip()}")
        text += [f"    {name} = {value}" for name, value in self.locals.items()]
        return text


@dataclass(frozen=True, slots=True)
class FiberView:
    """One fiber: what it waits for ("" if it can run), its frames innermost first, effects handled around it."""

    id: int
    waits: str
    frames: tuple[FrameView, ...]
    hidden: int  # frames in the middle that are not shown
    handlers: tuple[str, ...]

    def lines(self) -> list[str]:
        """The fiber as text."""
        text = [f"fiber {self.id}, {f'waits for {self.waits}' if self.waits else 'can run'}"]
        if self.handlers:
            text.append(f"  handles {', '.join(self.handlers)}")
        half = (len(self.frames) + 1) // 2 if self.hidden else len(self.frames)
        for position, frame in enumerate(self.frames):
            if position == half:
                text.append(f"  ... {self.hidden} more frames ...")
            text += frame.lines()
        return text


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request without an answer.  `state`: "queued", "taken", "held" or "exhausted"; times ISO 8601 or ""."""

    number: int
    effect: str
    payload: str
    state: str
    attempt: int
    worker: str
    until: str

    def lines(self) -> list[str]:
        """The request as text."""
        state = self.state
        if self.attempt:
            state += f", attempt {self.attempt}"
        if self.worker:
            state += f" by {self.worker}"
        if self.until:
            state += f", until {self.until}"
        return [f"request #{self.number} {self.effect}  {state}", f"  {self.payload}"]


@dataclass(frozen=True, slots=True)
class MailboxView:
    """Messages that nobody has received: those in the store and those that the program took out and keeps, and of both
    the first ones, printed, in order of arrival."""

    waiting: int
    kept: int
    messages: tuple[str, ...]

    def lines(self) -> list[str]:
        """The mailbox as text; nothing where it is empty."""
        total = self.waiting + self.kept
        if not total:
            return []
        kept = f", {self.kept} of them passed over by a receive" if self.kept else ""
        text = [f"mailbox: {total} message{'' if total == 1 else 's'}{kept}"]
        text += [f"  {message}" for message in self.messages]
        more = total - len(self.messages)
        return [*text, f"  ... {more} more ..."] if more else text


@dataclass(frozen=True, slots=True)
class Inspection:
    """A process as it is, or as it was after log entry `at`."""

    pid: int
    id: str | None
    parent: int | None  # the process that spawned it
    parent_id: str | None
    program: str  # hash of the artifact, hexadecimal
    deployed: str  # the name that it, or what spawned it, was started by; "" where that is not known
    names: tuple[str, ...]  # what it is registered as, now
    function: str
    arguments: tuple[str, ...] | None  # what it was called with, each printed; None before it has begun
    status: str
    waits: str
    error: str
    at: int | None
    sequence: int
    created_at: str
    updated_at: str
    attributes: dict[str, Any]
    grants: tuple[str, ...] | None  # which effects it may perform: "http/request=api.example.com"; None: all
    ties: tuple[str, ...]  # "name counter", "link 7", "leash on 8": what it is tied to, now
    fibers: tuple[FiberView, ...]
    requests: tuple[RequestView, ...]
    mailbox: MailboxView | None  # now
    result: str  # what a process that is done gave, printed; "" for others
    data: str  # of the error with which one ended, printed; "" if there is none
    trace: tuple[str, ...]  # of that error, innermost first: "deploy/main deploy.fm:12"
    problem: str  # why the state cannot be shown, or ""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    def to_text(self) -> str:
        """As text for a terminal, some lines a part."""
        at = f", after step {self.at}" if self.at is not None else ""
        name = f" ({self.id})" if self.id else ""
        lines = [f"process {self.pid}{name}  {self.function}  {self.status}{at}"]
        if self.parent is not None:
            lines += _fact("spawned by", f"{self.parent} ({self.parent_id})" if self.parent_id else str(self.parent))
        lines += _fact("arguments", "" if self.arguments is None else _cut(f"[{' '.join(self.arguments)}]"))
        lines += _fact("waits for", self.waits if self.at is None else "")
        lines += _fact("result", _cut(self.result))
        lines += _fact("error", self.error if self.at is None else "")
        lines += _fact("data", _cut(self.data))
        lines += _fact("program", f"{self.deployed}  {self.program[:16]}".strip())
        lines += _fact("started", f"{self.created_at}, last change {self.updated_at}, {self.sequence} steps")
        lines += _fact("grants", grants_line(self.grants))
        lines += _fact("ties", ", ".join(self.ties))
        for key, value in self.attributes.items():
            lines += _fact(key, str(value))
        lines += _fact("state", self.problem)
        for request in self.requests:
            lines.append("")
            lines += request.lines()
        if self.mailbox is not None and (shown := self.mailbox.lines()):
            lines += ["", *shown]
        for fiber in self.fibers:
            lines.append("")
            lines += fiber.lines()
        if self.trace:
            lines += ["", "the error came from"] + [f"  {line}" for line in self.trace]
        return "\n".join(lines)


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 1] + "…"


def _fact(name: str, value: str) -> list[str]:
    return [f"  {name:<10} {value}"] if value else []

"""`flowvm ps`: which processes are asked for, and how they are shown.

Without typer and without the parts of a store that write: a look at 100,000 processes takes as long as Python's start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowmetal.cli import common
from flowmetal.cli.opening import DEFAULT_STORE, STORE_VARIABLE
from flowmetal.client.where import Where, count, seconds_of
from flowmetal.dataclass import dataclass, field
from flowmetal.store.interface import STATUSES

if TYPE_CHECKING:
    from flowmetal.client.base import Client
    from flowmetal.client.info import ProcessInfo


#: Most processes in one answer of a server.
PAGE_MAX = 1000

#: Where the last column ends in a terminal; its text may be long.
LINE_COLUMNS = 300


@dataclass(slots=True)
class Filters:
    """The options that say which processes are meant, as they were typed."""

    status: list[str] = field(default_factory=list)
    program: str | None = None
    function: str | None = None
    waits: str | None = None
    error: str | None = None
    attribute: list[str] = field(default_factory=list)
    id_prefix: str | None = None
    parent: str | None = None
    older: str | None = None
    younger: str | None = None
    tree: str | None = None

    def where(self, pids: tuple[int, ...] | None = None) -> Where:
        """What they say; U103 for one that cannot be."""
        statuses: list[str] = []
        for given in self.status:
            for status in given.split(","):
                if status not in STATUSES:
                    common.usage("U103", what="--status", found=status[:80], expected="one of " + ", ".join(STATUSES))
                statuses.append(status)
        for text in self.attribute:
            if not text.partition("=")[0] or "=" not in text:
                common.usage("U103", what="--attribute", found=text[:80], expected="name=value")
        for name in ("program", "function", "waits", "error", "id_prefix"):
            if getattr(self, name) == "":
                common.usage("U103", what="--" + name.replace("_", "-"), found="", expected="text that is not empty")
        return Where(
            statuses=tuple(statuses),
            program=self.program,
            function=self.function,
            waits=self.waits,
            error=self.error,
            attribute_texts=tuple(self.attribute),
            id_prefix=self.id_prefix,
            parent=None if self.parent is None else common.number("--parent", self.parent, 1),
            older=_age("--older", self.older),
            younger=_age("--younger", self.younger),
            pids=pids,
            tree=None if self.tree is None else common.number("--tree", self.tree, 1),
        )


@dataclass(slots=True)
class Listing:
    """What `ps` is asked for."""

    store: str = ""
    filters: Filters = field(default_factory=Filters)
    after: int = 0
    limit: int = 100
    newest: bool = False
    count: bool = False
    as_json: bool = False


#: Options of `ps` that take a text, and where it goes; those that may be repeated; and flags.
_TEXTS = {
    "--program": "program", "--function": "function", "--waits": "waits", "--error": "error",
    "--id-prefix": "id_prefix", "--parent": "parent", "--older": "older", "--younger": "younger",
    "--tree": "tree",
}  # fmt: skip
_LISTS = {"--status": "status", "--attribute": "attribute"}
_FLAGS = {"--newest": "newest", "--count": "count", "--json": "as_json"}


def plain_ps(arguments: Sequence[str]) -> Listing | None:
    """What `ps` with such options asks of a folder; None for whatever the parser of arguments should look at."""
    asked = Listing(os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)
    waiting = list(reversed(arguments[1:]))
    while waiting:
        name, equals, value = waiting.pop().partition("=")
        if name in _FLAGS and not equals:
            setattr(asked, _FLAGS[name], True)
            continue
        if not equals:
            if not waiting or waiting[-1].startswith("-"):
                return None
            value = waiting.pop()
        elif not name.startswith("--"):
            return None
        if name in ("--store", "-s"):
            asked.store = value
        elif name in _TEXTS:
            setattr(asked.filters, _TEXTS[name], value)
        elif name in _LISTS:
            getattr(asked.filters, _LISTS[name]).append(value)
        elif name in ("--after", "--limit") and value.isascii() and value.isdigit() and len(value) < 13:
            setattr(asked, name[2:], int(value))
        else:
            return None
    is_folder = bool(asked.store) and "://" not in asked.store and not asked.store.startswith(("memory:", "http"))
    return asked if is_folder and 1 <= asked.limit <= 10_000 else None


def list_folder(asked: Listing) -> int:
    """`ps` of a store's folder."""
    from flowmetal.cli.settings import use_settings_key
    from flowmetal.client.info import info_of
    from flowmetal.store.reader import StoreReader

    where = asked.filters.where()
    use_settings_key()
    store = StoreReader(asked.store)
    try:
        if asked.count:
            return _show_count(count(store, where), asked)
        found = store.processes(
            after=asked.after,
            limit=asked.limit,
            statuses=where.statuses,
            newest_first=asked.newest,
            where=where.query(store.now()),
        )
        deployed = store.deployed() if not found and _hints(asked) else {}
    finally:
        store.close()
    return show([info_of(record) for record in found], asked, deployed)


def list_through(client: Client, asked: Listing) -> int:
    """`ps` through a client, whose answers may be smaller than what is asked for."""
    where = asked.filters.where()
    if asked.count:
        return _show_count(client.count(where), asked)
    found: list[ProcessInfo] = []
    after = asked.after
    while len(found) < asked.limit:
        page = min(PAGE_MAX, asked.limit - len(found))
        some = client.list(after=after, limit=page, newest_first=asked.newest, where=where)
        found += some
        if len(some) < page:
            break
        after = some[-1].pid
    return show(found, asked, client.programs() if not found and _hints(asked) else {})


def _hints(asked: Listing) -> bool:
    return asked.filters.program is not None and not asked.as_json


def show(found: Sequence[ProcessInfo], asked: Listing, deployed: Mapping[str, object] | None = None) -> int:
    """The list on standard output.  `deployed`: names, among which the program that was asked for may be."""
    if asked.as_json:
        from dataclasses import asdict

        common.emit({"processes": [asdict(one) for one in found]}, True, str)
        return common.OK
    common.say(rows_of(found))
    program = asked.filters.program
    if not found and program is not None and program not in (deployed or {}):
        from flowmetal.diagnostics import suggest

        near = suggest(program[:80], deployed or {})
        hint = f"did you mean {near}?" if near else "`flowvm programs` lists those there are."
        common.say(f"no program is deployed as {program[:80]}; {hint}", error=True)
    if len(found) == asked.limit:
        common.say(f"more: {'--newest ' if asked.newest else ''}--after {found[-1].pid}")
    return common.OK


def rows_of(found: Sequence[ProcessInfo]) -> str:
    """Processes as a table."""
    rows = [
        [str(one.pid), named(one), one.function, one.status, one.updated_at[:19], _line(one.error or one.waits or "-")]
        for one in found
    ]
    return common.table(rows, ["PID", "ID", "FUNCTION", "STATUS", "SINCE", "WAITS FOR"])


def named(process: ProcessInfo) -> str:
    """What stands in the column of ids: the id, or else who spawned the process."""
    if process.id:
        return process.id
    return "-" if process.parent is None else f"child of {process.parent}"


def _show_count(number: int, asked: Listing) -> int:
    document: dict[str, Any] = {"count": number}
    common.emit(document, asked.as_json, lambda: str(number))
    return common.OK


def _line(text: str) -> str:
    return text if len(text) <= LINE_COLUMNS else text[: LINE_COLUMNS - 3] + "..."


def _age(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    seconds = seconds_of(text)
    if seconds is None:
        common.usage("U103", what=option, found=text[:80], expected="an age such as 30s, 5m, 2h or 7d")
    return seconds

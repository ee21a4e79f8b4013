"""The scenarios as read from groups/*.toml.  docs/scenarios.md describes the keys."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from flowmetal.reading.data import read_all_data
from flowmetal.values import Duration, Symbol

GROUPS = Path(__file__).parent / "groups"

#: A time and what the outside does then: "5s message 1 {:n 1}".
_ACTION = re.compile(r"(\S+) (\S+) ?(.*)", re.DOTALL)


class BadScenario(Exception):
    """A scenario that cannot be run, with the reason."""


@dataclass(frozen=True, slots=True)
class Call:
    """A start: function, arguments, and the id if there is one."""

    function: str
    arguments: tuple[Any, ...]
    id: str | None


@dataclass(frozen=True, slots=True)
class Action:
    """What the outside does at a time, nanoseconds after the beginning."""

    at: int
    verb: str
    rest: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario.  What begins with `expect` is what must come of it, where it is said."""

    group: str
    name: str
    shows: str
    promised: tuple[str, ...]  # whose public documentation promises it
    program: str
    start: tuple[Call, ...]
    answers: dict[str, Any]
    inside: tuple[str, ...]  # effects answered by functions of the interpreter's own process
    outside: tuple[Action, ...]
    config: dict[str, Any]
    result: str | None = None
    error: str | None = None
    status: str = "done"
    effects: dict[str, int] = field(default_factory=dict)
    keys: tuple[str, ...] | None = None
    calls: dict[str, int] | None = None
    log: tuple[str, ...] | None = None
    logged: tuple[str, ...] | None = None
    processes: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    told: tuple[str, ...] | None = None
    took: str | None = None

    def __str__(self) -> str:
        return self.name


KEYS = {one.name for one in fields(Scenario)} - {"group"}
REQUIRED = ("name", "shows", "promised", "program")


def nanoseconds(text: str) -> int:
    """A time as "90m"."""
    (value,) = read_all_data(text)
    if not isinstance(value, Duration):
        raise BadScenario(f"{text} is not a duration")
    return value.ns


def read_call(text: str, module: str) -> Call:
    """A call as "main 1 [2 3]" or "id=order-7 main 1"."""
    id = None
    if text.startswith("id="):
        id, _, text = text[3:].partition(" ")
    function, *arguments = read_all_data(text)
    if not isinstance(function, Symbol):
        raise BadScenario(f"{text}: a call begins with the name of a function")
    return Call(f"{module}/{function.name}", tuple(arguments), id)


def read_action(text: str) -> Action:
    """An action of the outside."""
    found = _ACTION.fullmatch(text)
    if found is None:
        raise BadScenario(f"{text}: an action is a time, a verb and more")
    return Action(nanoseconds(found[1]), found[2], found[3])


def _scenario(group: str, row: dict[str, Any]) -> Scenario:
    name = row.get("name", "?")
    unknown = sorted(row.keys() - KEYS)
    missing = [key for key in REQUIRED if key not in row]
    if unknown or missing:
        raise BadScenario(f"{group}: {name}: unknown {unknown}, missing {missing}")
    made = dict(row)
    program = made["program"].strip() + "\n"
    if not program.startswith("(ns "):
        program = "(ns s)\n" + program
    module = re.match(r"\(ns (\S+?)[\s)]", program)
    assert module is not None
    made["program"] = program
    made["start"] = tuple(read_call(text, module[1]) for text in row.get("start", ["main"]))
    made["outside"] = tuple(sorted(map(read_action, row.get("outside", ())), key=lambda action: action.at))
    for key in ("promised", "inside", "keys", "log", "logged", "told"):
        if key in row:
            made[key] = tuple(row[key])
    made.setdefault("inside", ())
    made.setdefault("answers", {})
    made.setdefault("config", {})
    if "status" not in row and "error" in row:
        made["status"] = "failed"
    return Scenario(group=group, **made)


@cache
def scenarios() -> tuple[Scenario, ...]:
    """All scenarios, in the order of their files and of their places in them."""
    found: list[Scenario] = []
    for path in sorted(GROUPS.glob("*.toml")):
        for row in tomllib.loads(path.read_text(encoding="utf-8"))["scenario"]:
            found.append(_scenario(path.stem, row))
    names = [scenario.name for scenario in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadScenario(f"two scenarios are called {twice}")
    return tuple(found)


def named(name: str) -> Scenario:
    """The scenario of a name."""
    for scenario in scenarios():
        if scenario.name == name:
            return scenario
    raise BadScenario(f"no scenario is called {name!r}")

"""The fenced blocks of the documentation, and running those that are Clojure-like source with expected values.

In a `clojure` block a comment after a form says what must come of it:

    ;; => VALUE             the value, printed
    ;; error: :KIND TEXT    the error that ends the process: its kind, and how its message begins
    ;; error: A101          the block does not compile, and this code is reported for the form before
    ;; prints: VALUE        what the form before gave to `log`, one line each

Definitions are kept as they stand; every other form that has such a comment becomes a function and runs in a process of
its own, with time virtual and the effects below answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from flowmetal.compiler.reader import read_source
from flowmetal.compiler.shapes import is_list, items_of
from flowmetal.diagnostics import CompileFailed
from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import LocalDone
from flowmetal.engine.simulate import Answer, Simulation
from flowmetal.values import Instant, Map, Symbol, decode_value, fail, keyword, print_string

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w*)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r";; (=>|error:|prints:) (.*)")
_CODE = re.compile(r"[A-Z][0-9]{3}")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the word behind the fence, its text, and the line of the page its text begins at."""

    page: str
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(slots=True)
class Expected:
    """What the comments after one form say."""

    line: int
    value: str | None = None
    error: str | None = None
    prints: list[str] | None = None


@dataclass(slots=True)
class Example:
    """A block made into a module: its source, and the functions to run with what is expected of each."""

    source: str
    codes: set[tuple[str, int]] = field(default_factory=set)
    runs: dict[str, Expected] = field(default_factory=dict)


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        found.append(Block(page.name, match[1], match[2], text.count("\n", 0, match.start(2)) + 1))
    return tuple(found)


def of_language(page: Path, language: str) -> list[Block]:
    """The blocks of one language."""
    return [block for block in blocks(page) if block.language == language]


def has_expectations(block: Block) -> bool:
    """Whether a block says what must come of it."""
    return _COMMENT.search(block.text) is not None


def example(block: Block) -> Example:
    """The module that a block stands for."""
    read = read_source(block.text, "doc.fm")
    ends = [(span.end_line, span.end_column) for span in read.spans]
    wanted: dict[int, Expected] = {}
    made = Example("")
    for span, comment in read.comments:
        match = _COMMENT.fullmatch(comment.rstrip())
        if match is None:
            continue
        index = sum(end <= (span.line, span.column) for end in ends) - 1
        assert index >= 0, f"{block}: `{comment}` has no form before it"
        if match[1] == "error:" and _CODE.fullmatch(match[2]):
            made.codes.add((match[2], read.spans[index].line))
            continue
        expected = wanted.setdefault(index, Expected(block.line + span.line - 1))
        if match[1] == "=>":
            expected.value = match[2]
        elif match[1] == "error:":
            expected.error = match[2]
        else:
            expected.prints = [*(expected.prints or []), match[2]]
    if made.codes or not read.forms or read.diagnostics:
        made.source = block.text
        return made
    lines = block.text.split("\n")
    parts: list[str] = []
    for index, span in enumerate(read.spans):
        text = _cut(lines, span)
        if index in wanted and not _defines(read.forms[index]):
            name = f"example-{index}"
            made.runs[name] = wanted[index]
            text = f"(defn {name} []\n{text})"
        parts.append(text)
    made.source = "\n".join(parts)
    return made


def run(block: Block) -> list[str]:
    """Runs a block; a line for every expectation that does not hold."""
    made = example(block)
    try:
        built = build_artifact({"doc.fm": made.source})
    except CompileFailed as failed:
        found = {(one.code, one.span.line if one.span else 0) for one in failed.diagnostics}
        if made.codes:
            missing = {(code, line) for code, line in made.codes if not _reported(code, line, found)}
            return [f"{block}: expected {code} for line {line}, got {sorted(found)}" for code, line in missing]
        return [f"{block}: does not compile: {[str(one) for one in failed.diagnostics]}"]
    if made.codes:
        return [f"{block}: compiles, but {sorted(made.codes)} is expected"]
    problems = []
    for name, expected in made.runs.items():
        simulation = Simulation(ANSWERS)
        hash = simulation.deploy(built.data)
        pid = simulation.start(hash, f"{built.name}/{name}")
        simulation.run(pid)
        ran = simulation.outcome(pid)
        if ran.error is not None:
            got = f"error: {print_string(ran.error.kind)} {ran.error.message}"
        elif ran.status == "done":
            got = f"=> {print_string(ran.value)}"
        else:
            got = f"is {ran.status}"
        if expected.error is not None:
            good = got.startswith(f"error: {expected.error}")
        else:
            good = expected.value is None or got == f"=> {expected.value}"
        if not good:
            wanted = expected.value if expected.error is None else f"error: {expected.error}"
            problems.append(f"{block.page}:{expected.line}: expected {wanted}, got {got}")
        prints = [
            print_string(decode_value(event.payload))
            for event in ran.log
            if isinstance(event, LocalDone) and event.effect == "log"
        ]
        if expected.prints is not None and prints != expected.prints:
            problems.append(f"{block.page}:{expected.line}: expected prints {expected.prints}, got {prints}")
    return problems


def _reported(code: str, line: int, found: set[tuple[str, int]]) -> bool:
    """Whether a code was reported at a form that begins in `line`, or below."""
    return any(code == other and at >= line for other, at in found)


def _cut(lines: list[str], span: Any) -> str:
    taken = lines[span.line - 1 : span.end_line]
    taken[-1] = taken[-1][: span.end_column - 1]
    taken[0] = taken[0][span.column - 1 :]
    return "\n".join(taken)


def _defines(form: Any) -> bool:
    items = items_of(form) if is_list(form) else []
    head = items[0] if items else None
    if head.__class__ is not Symbol or head.namespace is not None:
        return False
    return bool(head.name.startswith("def") or head.name in ("ns", "declare"))


# ---- the world of the examples ------------------------------------------------------------------------------------


def _charge(payload: Any) -> Any:
    if isinstance(payload, Map) and payload.get(keyword("amount")) == 0:
        fail("billing/declined", "nothing to charge")
    return Map.of([(keyword("id"), "ch-1")])


def _request(payload: Any) -> Any:
    return Map.of([(keyword("status"), 200), (keyword("body"), payload.get(keyword("url")))])


#: What the commands of docs/shell.md write.
_COMMANDS = {
    "true": "",
    "echo hello": "hello\n",
    "git rev-parse HEAD": "4b825dc\n",
    "sh -c git log --oneline | wc -l": "12\n",
    "psql -At shop": "17\n",
}


def _run(payload: Any) -> Any:
    """A command that is known writes its output, another one ends with code 1."""
    arguments = payload.get(keyword("command")) if isinstance(payload, Map) else payload
    line = " ".join(arguments)
    facts = {"exit": 0 if line in _COMMANDS else 1, "signal": None, "out": _COMMANDS.get(line, ""), "err": ""}
    return Map.of([(keyword(name), value) for name, value in facts.items()])


#: What answers the effects of the examples.
ANSWERS: Mapping[str, Answer] = {
    "billing/charge": _charge,
    "notify/send": lambda payload: Map.of([(keyword("sent"), True)]),
    "http/request": _request,
    "shell/run": _run,
    "http/callback": lambda payload: Map.of([(keyword("status"), "passed")]),
    "clock/read": lambda payload: Instant(0),
}

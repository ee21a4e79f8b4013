"""docs/stdlib and the examples of the standard library: each public name has one, and each gives what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from doc_blocks import DOCS, Block, run

from flowmetal.compiler.names import is_core
from flowmetal.engine.document import Entry, anchor, library_entries, pages

ENTRIES = library_entries()

#: What has no example, with the reason.
WITHOUT_EXAMPLE: dict[str, str] = {
    "multimethod": "what defmulti expands to",
    "add-method": "what defmethod expands to",
    "instance-of": "what instance? expands to",
}

#: Examples that hold in a test only; docs/testing.md has such ones, which are run.
ONLY_IN_TESTS = ("answering", "deliver", "use-fixtures")

#: Modules whose names are used without the module's.
REFERRED = ("test",)


def shown(entry: Entry) -> str:
    """The name as a program writes it."""
    return entry.name if is_core(entry.module) or entry.module in REFERRED else f"{entry.module}/{entry.name}"


def example_blocks(module: str) -> Iterator[Block]:
    """The examples of a module as programs: those with definitions alone, all others together."""
    required = "" if is_core(module) else f" (:require [{module}{' :refer :all' if module in REFERRED else ''}])"
    head = f"(ns examples{required})\n"
    together: list[str] = []
    for entry in ENTRIES[module]:
        if module == "test" and entry.name in ONLY_IN_TESTS:
            continue
        lines = [str(example) for example in entry.examples]
        if all(example.value or example.error for example in entry.examples):
            together += lines
        else:
            yield Block(f"{module}: {entry.name}", "clojure", head + "\n".join(lines), 0)
    yield Block(module, "clojure", head + "\n".join(together), 0)


@pytest.mark.parametrize("module", [name for name, found in ENTRIES.items() if any(one.examples for one in found)])
def test_examples_hold(module: str) -> None:
    assert [problem for block in example_blocks(module) for problem in run(block)] == []


def test_every_public_name_has_an_example() -> None:
    without = [shown(entry) for found in ENTRIES.values() for entry in found if not entry.examples]
    assert [name for name in without if name not in WITHOUT_EXAMPLE] == []
    assert [name for name in WITHOUT_EXAMPLE if name not in without] == []


def test_an_example_shows_its_name() -> None:
    wrong = []
    for found in ENTRIES.values():
        for entry in found:
            name = re.escape(shown(entry))
            if (
                entry.name != "deref"
                and entry.examples
                and not any(
                    re.search(rf"(?<![\w*+!?<>=/.-]){name}(?![\w*+!?<>=/.-])", one.expression) for one in entry.examples
                )
            ):
                wrong.append(shown(entry))
    assert wrong == []


def test_pages_are_what_is_generated() -> None:
    """`make docs` writes them."""
    folder = DOCS / "stdlib"
    made = pages()
    assert sorted(path.name for path in folder.glob("*.md")) == sorted(made)
    stale = [name for name, text in made.items() if (folder / name).read_text(encoding="utf-8") != text]
    assert stale == []


def test_anchors_are_unique() -> None:
    anchors = [anchor(entry) for found in ENTRIES.values() for entry in found]
    assert len(set(anchors)) == len(anchors)


def test_a_wrong_example_is_found() -> None:
    assert len(run(Block("x", "clojure", "(inc 1) ;; => 3\n(inc nil) ;; error: :type", 0))) == 1

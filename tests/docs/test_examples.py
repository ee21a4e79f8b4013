"""What the documentation shows is what happens: its programs are run, its settings read, its commands exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from doc_blocks import DOCS, ROOT, Block, example, has_expectations, of_language, run

from flowmetal.bytecode.program import Global
from flowmetal.compiler.forms import FORMS
from flowmetal.compiler.names import is_core
from flowmetal.diagnostics import CompileFailed, all_codes
from flowmetal.engine.build import build_artifact
from flowmetal.engine.library import standard_library
from flowmetal.server.config import read_config

PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LANGUAGE = DOCS / "language.md"

EXAMPLES = [
    block
    for page in PAGES
    for block in of_language(page, "clojure")
    if has_expectations(block) or block.text.startswith("(ns ")
]
SETTINGS = [block for page in PAGES for block in of_language(page, "toml")]


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_clojure_example(block: Block) -> None:
    assert run(block) == []


def test_no_example_is_warned_of() -> None:
    found: list[str] = []
    for block in EXAMPLES:
        try:
            built = build_artifact({"doc.fm": example(block).source})
        except CompileFailed:
            continue  # an example of an error
        found += [f"{block}: {one}" for one in built.warnings]
    assert found == []


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_settings_example(block: Block) -> None:
    read_config(tomllib.loads(block.text))


def test_most_blocks_of_the_language_are_run() -> None:
    assert all(has_expectations(block) for block in of_language(LANGUAGE, "clojure"))


def test_a_wrong_example_fails() -> None:
    """The harness itself: a wrong value, error or log line is found."""
    wrong = [
        "(+ 1 2) ;; => 4",
        "(+ 1 2) ;; error: :type",
        "(/ 1 0) ;; => 0",
        "(/ 1 0) ;; error: :type",
        "(log 1) ;; => nil\n;; prints: 2",
        "(defn f [] (g)) ;; error: A109",
        "(defn f [] 1) ;; error: A101",
        "(perform :nobody/serves) ;; => 1",
    ]
    for text in wrong:
        assert len(run(Block("test", "clojure", text, 1))) == 1, text
    assert run(Block("test", "clojure", "(log 1) ;; => nil\n;; prints: 1", 1)) == []


def core_globals() -> dict[str, Global]:
    """The names of all modules of the core."""
    modules = standard_library().modules
    return {name: found for module in modules if is_core(module) for name, found in modules[module].globals.items()}


def test_names_in_the_language_page_exist() -> None:
    """Words of the sections that list names: special forms, or public names of the library."""
    text = LANGUAGE.read_text(encoding="utf-8")
    core = core_globals()
    known = {name for name, found in core.items() if not found.private} | set(FORMS) | {"catch", "finally"}
    known |= {"`x", "@"}
    listed = re.findall(r"`([^`\s]+)`", text[text.index("## Forms") : text.index("### Destructuring")])
    listed += re.findall(r"`([^`\s(]+)`", paragraph(text, "An atom holds").partition("It belongs")[0])
    assert len(listed) > 50
    assert [name for name in listed if name not in known and "." not in name] == []


def test_what_is_not_there_is_not_there() -> None:
    text = LANGUAGE.read_text(encoding="utf-8")
    core = core_globals()
    missing = re.findall(r"`([a-z-]+)`", text[text.index("## Not there") :])
    allowed = {"async", "receive"}  # named as what to use instead
    assert [name for name in missing if name in core and name not in allowed] == []


def paragraph(text: str, start: str) -> str:
    """The paragraph that begins so, in one line."""
    return " ".join(text[text.index(start) :].partition("\n\n")[0].split())


#: Kinds that programs do not meet: the machine's own, and those of embedding, `flowvm run` and a prompt.
HIDDEN_KINDS = {"flowmetal/abandoned", "flowmetal/engine", "flowmetal/function-failed", "flowmetal/internal",
                "flowmetal/unserved", "flowmetal/interrupted", "flowmetal/waits-for-ever",
                "flowmetal/not-at-the-prompt", "flowmetal/denied", "flowmetal/wrong-form", "flowmetal/paused",
                "flowmetal/store"}  # fmt: skip


def test_kinds_of_errors() -> None:
    text = LANGUAGE.read_text(encoding="utf-8")
    table = text[text.index("| kind | when |") : text.index("## Contracts")]
    described = {kind for row in table.split("\n") for kind in re.findall(r"`:([\w/-]+)`", row[1:].partition("|")[0])}
    raised: set[str] = set()
    for package in ("values", "vm", "engine", "store"):
        for path in (ROOT / "flowmetal" / package).rglob("*.py"):
            if path.name not in ("simulate.py", "evaluate.py"):
                source = path.read_text(encoding="utf-8")
                raised.update(
                    re.findall(r'(?:\bfail\(\s*|KIND_\w+ = keyword\(|ErrorValue\(keyword\()"([\w/-]+)"', source)
                )
    for path in (ROOT / "stdlib").rglob("*.fm"):
        raised.update(re.findall(r"\(%error :([\w/-]+)", path.read_text(encoding="utf-8")))
    assert described - {"error"} <= raised
    assert {kind for kind in raised - described if not kind.startswith(("http/", "shell/"))} <= HIDDEN_KINDS


def test_modules_of_the_library_are_named() -> None:
    text = LANGUAGE.read_text(encoding="utf-8")
    for name in standard_library().modules:
        if name.startswith("flowmetal.core."):
            continue  # its names are the core's, whichever module defines them
        assert f"`{name}`" in text, f"docs/language.md does not name the module {name}"


def test_codes_in_the_pages_exist() -> None:
    known = set(all_codes())
    for page in PAGES:
        for code in re.findall(r"`([A-Z][0-9]{3})`", page.read_text(encoding="utf-8")):
            assert code in known, f"{page.name} names the code {code}"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            if path.startswith(("http://", "https://")):
                continue
            found = (page.parent / path).resolve() if path else page
            assert found.exists(), f"{page.name} links to {target}"
            if anchor and found.suffix == ".md":
                assert anchor in anchors(found), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page: of its headings, as they are made for people who read it on the web, and written ones."""
    text = page.read_text(encoding="utf-8")
    found = set(re.findall(r'<a id="([^"]+)"', text))
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(kept.replace(" ", "-"))
    return found


def test_pages_stand_alone() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert "/work/" not in text and "shared/design" not in text, page.name

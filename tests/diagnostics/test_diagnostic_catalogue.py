"""The catalogue: codes are unique and of their stage, templates are sound, every code that is used has its words."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from flowmetal.diagnostics import Entry, all_codes, explain
from flowmetal.diagnostics.catalogue import STAGES, fields_of, fill, fill_hint

PACKAGE = Path(__file__).resolve().parent.parent.parent / "flowmetal"
CODES_FILES = sorted(path for path in (PACKAGE / "diagnostics" / "codes").glob("*.py") if path.stem != "__init__")

#: File of codes -> stage letter.
LETTERS = {
    "reader": "R",
    "analysis": "A",
    "macro": "M",
    "contract": "C",
    "warning": "W",
    "artifact": "B",
    "machine": "V",
    "store": "S",
    "http": "H",
    "cli": "U",
}


def test_every_stage_has_its_file() -> None:
    assert {path.stem for path in CODES_FILES} == set(LETTERS)
    assert set(STAGES) == set(LETTERS.values())


@pytest.mark.parametrize("path", CODES_FILES, ids=lambda path: path.stem)
def test_codes_of_a_file(path: Path) -> None:
    codes = importlib.import_module(f"flowmetal.diagnostics.codes.{path.stem}").CODES
    letter = LETTERS[path.stem]
    assert STAGES[letter] is codes
    for code, entry in codes.items():
        assert re.fullmatch(rf"{letter}[0-9]{{3}}", code), f"{code} in codes/{path.name}"
        assert isinstance(entry, Entry)
    # A key that is written twice in a dict would silently win; the text of the file shows it.
    written = re.findall(r'^    "([A-Z][0-9]{3})": Entry\(', path.read_text(), re.MULTILINE)
    assert sorted(written) == sorted(codes)


@pytest.mark.parametrize(("code", "entry"), all_codes().items(), ids=list(all_codes()))
def test_entry(code: str, entry: Entry) -> None:
    assert entry.title and entry.title == entry.title.strip() and len(entry.title) <= 32
    assert entry.text and entry.text == entry.text.strip()
    hints = (entry.hint,) if isinstance(entry.hint, str) else entry.hint
    for template in (entry.text, *hints, entry.explanation):
        fields_of(template)  # raises if it is not a template of plain fields
    known = set(fields_of(entry.text)) | {name for hint in hints for name in fields_of(hint)}
    assert set(fields_of(entry.explanation)) <= known, "an explanation has no facts of its own"
    page = explain(code)
    assert page is not None and page.startswith(f"{code}: {entry.title}")


def test_every_code_used_is_in_the_catalogue() -> None:
    used = set()
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name != "codes":
            pattern = r'(?:FlowmetalError|StoreError|CodecError|Diagnostic|Bad)\(\s*"([A-Z][0-9]{3})"'
            used |= set(re.findall(pattern, path.read_text()))
    assert used - set(all_codes()) == set()


def test_explain() -> None:
    page = explain("r002")
    assert page is not None
    assert page.startswith("R002: mismatched bracket (reader)\n\n")
    assert page.endswith("\n")
    assert max(map(len, page.split("\n"))) <= 84
    assert explain("[R002]") == page
    assert explain("R999") is None
    assert explain("") is None


def test_filling_never_fails() -> None:
    assert fill("`{a}` and {{b}} and {c}", {"a": 1}) == "`1` and {b} and ?"
    assert len(fill("{a}", {"a": "x" * 10_000})) < 500
    assert fill("{a}", {"a": ["x", 2]}) == "x, 2"


def test_hint_is_the_first_that_has_its_facts() -> None:
    hints = ("Did you mean `{suggestion}`?", "Look again.")
    assert fill_hint(hints, {"suggestion": "map"}) == "Did you mean `map`?"
    assert fill_hint(hints, {"suggestion": None}) == "Look again."
    assert fill_hint("Did you mean `{suggestion}`?", {}) == ""

"""Every code of the compiler as people see it: the whole text, and the JSON, of a source that gives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_diagnostics import FOLDER, PATHS, documents, sources_of

from flowmetal.diagnostics import all_codes, explain

#: Codes without a golden source, and why.
WITHOUT = {
    "R070": "bytes that are no text",
    "R071": "half of a surrogate pair, which no file can hold",
    "R072": "millions of characters",
    "R073": "a hundred errors",
    "R074": "a thousand brackets",
    "R080": "only where data is read",
    "R081": "only where data is read",
    "R082": "only where data is read",
    "A104": "a thousand nested forms",
    "A108": "a thousand arguments",
    **dict.fromkeys(("A160", "A161", "A162", "A163"), "a prompt"),
    "A200": "a project's folder",
    "A201": "a project's folder",
}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_is_shown_as_before(path: Path) -> None:
    text, data = documents(path)
    assert text == path.with_suffix(".txt").read_bytes().decode()
    assert data == path.with_suffix(".json").read_bytes().decode()
    assert f"[{path.stem.partition('-')[0]}]" in text


def test_every_code_of_the_compiler_has_a_source() -> None:
    there = {path.stem.partition("-")[0] for path in PATHS}
    wanted = {code for code in all_codes() if code[0] in "RAMCW"}
    assert wanted - there == set(WITHOUT)
    assert there <= wanted
    assert len(there) >= 80


def test_no_golden_file_is_left_over() -> None:
    stems = {path.stem for path in PATHS}
    assert {path.stem for path in FOLDER.iterdir()} == stems


def test_several_files_in_one() -> None:
    assert list(sources_of(FOLDER / "A137.fm")) == ["a.fm", "b.fm"]


def test_every_code_is_explained() -> None:
    for code, entry in all_codes().items():
        page = explain(code)
        assert page is not None and page.startswith(f"{code}: {entry.title}")

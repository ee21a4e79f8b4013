"""Programs of source files that are kept from one command to the next: the same bytes, or made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowmetal.diagnostics import CompileFailed
from flowmetal.engine import kept_programs
from flowmetal.engine.build import build_artifact
from flowmetal.engine.kept_programs import built_once

HELLO = {"hello.fm": b'(ns hello)\n(defn main [] "hello")\n'}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs are kept."""
    monkeypatch.setattr(kept_programs, "cache_folder", lambda: str(tmp_path))
    return tmp_path / kept_programs.FOLDER


def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(sources: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(kept_programs.build, "build_artifact", fail)


def test_what_was_kept_is_what_is_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = built_once(HELLO)
    no_compiler(monkeypatch)
    again = built_once(HELLO)
    assert (first, first.data) == (again, again.data)
    monkeypatch.undo()
    assert first.data == build_artifact(HELLO).data


@pytest.mark.parametrize(
    "other",
    [
        {"hello.fm": b'(ns hello)\n(defn main [] "hallo")\n'},
        {"other.fm": HELLO["hello.fm"]},
        {**HELLO, "b.fm": b"(ns b)"},
        {"b.fm": b"(ns b)", **HELLO},
    ],
    ids=["text", "name", "more", "order"],
)
def test_whatever_decides_an_artifact_is_in_its_key(folder: Path, other: dict[str, bytes]) -> None:
    built_once(HELLO)
    built_once({**HELLO, "b.fm": b"(ns b)"} if next(iter(other)) == "b.fm" else HELLO)
    assert built_once(other).data == build_artifact(other).data


@pytest.mark.parametrize("damage", [lambda data: data[:-7], lambda data: b"", lambda data: b"x" * len(data)])
def test_a_damaged_file_is_made_again(folder: Path, damage: object) -> None:
    first = built_once(HELLO)
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    assert built_once(HELLO) == first
    assert built_once(HELLO) == first


def test_warnings_are_given_each_time(folder: Path) -> None:
    text = {"a.fm": b"(ns a)\n(defn main [] (let [x 1] 2))\n"}
    assert built_once(text).warnings and built_once(text).warnings
    assert not folder.exists()


def test_errors_are_not_kept(folder: Path) -> None:
    for _ in range(2):
        with pytest.raises(CompileFailed):
            built_once({"a.fm": b"(ns a)\n(defn main [] (nothing))\n"})
    assert not folder.exists()


def test_where_nothing_can_be_kept_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_programs, "cache_folder", lambda: None)
    assert built_once(HELLO) == build_artifact(HELLO)

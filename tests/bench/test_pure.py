"""The programs of the comparison of pure code run on all sides that are here and give the same result."""

from __future__ import annotations

import pytest

from benchmarks.pure.run import PROGRAMS, SIZES, SUFFIXES, Different, compare, document, sides_here, table


def small(program: str) -> int:
    return 12 if program == "fib" else 1000


def test_every_program_exists_in_every_language() -> None:
    for program in SIZES:
        for suffix in SUFFIXES.values():
            assert (PROGRAMS / f"{program}{suffix}").exists()


def test_python_and_flowmetal_agree() -> None:
    here = {name: python for name, python in sides_here().items() if name in ("python", "frames", "lifted")}
    results = [compare(program, small(program), here, rounds=1) for program in SIZES]
    assert all(seconds >= 0 for one in results for side in one.seconds.values() for seconds in side)
    assert set(document(results)["programs"]) == set(SIZES)
    assert table(results).count("\n") == len(SIZES) + 2


def test_a_different_result_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.pure.run.size_for", lambda program, size, side: size)
    monkeypatch.setitem(SUFFIXES, "frames", ".wrong")
    wrong = PROGRAMS / "loop.wrong"
    try:
        wrong.write_text("(ns loop)\n(defn run [n] (inc n))\n")
        with pytest.raises(Different):
            compare(
                "loop", 100, {name: python for name, python in sides_here().items() if name in ("python", "frames")}, 1
            )
    finally:
        wrong.unlink()

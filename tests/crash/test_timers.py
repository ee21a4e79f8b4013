"""Timers over deaths of interpreters and steps of the clock: a small share here, the whole in the crash suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.timers import run


def test_each_timer_fires_once_and_none_early(tmp_path: Path) -> None:
    report = run(1500, 4, 7, tmp_path)
    assert (report.done, report.wrong, report.early) == (1500, [], 0), report.text()
    assert report.kills == 4 and report.steps == 3
    # Two cores that all tests share say little about lateness; that is for the crash suite.
    assert report.percentile(0.5) < 5.0, report.text()


@pytest.mark.crash
def test_a_hundred_thousand_timers(tmp_path: Path) -> None:
    report = run(100_000, 20, 1, tmp_path)
    print(report.text())
    assert (report.done, report.wrong, report.early) == (100_000, [], 0), report.text()
    assert report.percentile(0.99) < 1.0, report.text()

"""What fuzzing has kept is run again, without atheris; and the harness finds what is broken on purpose."""

from __future__ import annotations

import importlib.util
import logging
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowmetal.server import api
from tests.fuzz import __main__ as fuzzing
from tests.fuzz import replay, targets
from tests.fuzz.targets import TARGETS


@pytest.fixture(autouse=True)
def _leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a target changes in this process is put back: other tests wait, log, and look for open sockets."""
    logger = logging.getLogger("flowmetal")
    level = logger.level
    monkeypatch.setattr(api, "WAIT_SECONDS_MAX", 0.001)
    yield
    logger.setLevel(level)
    while targets._WEB:
        web = targets._WEB.pop()
        if web.server is not None:
            web.server._socket.close()
        web.loop.close()


#: Seeds changed at random in the default run, for each target.
CHANGED = 150


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs(name: str) -> None:
    assert replay.replay(name) > 0


@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs(name: str) -> None:
    """A few blind changes, for where there is no atheris."""
    dice = random.Random(7)
    found = [data for _, data in replay.inputs(name)]
    for number in range(CHANGED):
        data = bytearray(dice.choice(found))
        for _ in range(dice.choice((1, 1, 2, 8))):
            at = dice.randrange(len(data) + 1)
            match dice.randrange(4):
                case 0:
                    data[at : at + 1] = bytes([dice.randrange(256)])
                case 1:
                    del data[at : at + dice.randrange(1, 9)]
                case 2:
                    data[at:at] = data[at : at + dice.randrange(1, 40)]
                case _:
                    data[at:at] = dice.choice(found)[:20]
        replay.bounded(name, f"change {number}", bytes(data[: TARGETS[name].longest]))


def broken(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def broken_run(data: bytes) -> None:
        run(data)
        if b"webhook-id" in data:
            raise KeyError("broken on purpose")

    return broken_run


def test_the_replay_tells_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    one = TARGETS["signatures"]
    monkeypatch.setitem(TARGETS, "signatures", replace(one, run=broken(one.run)))
    with pytest.raises(AssertionError, match="broken on purpose"):
        replay.replay("signatures")


def test_slow_inputs_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "SECONDS", 0.0)
    with pytest.raises(AssertionError, match=r"\d s"):
        replay.replay("config")


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is for Python 3.11 only")
def test_fuzzing_finds_something_new(tmp_path: Path) -> None:
    done, covered, wrong = fuzzing.fuzz("signatures", 2, tmp_path, 1)
    assert done > 500 and covered > 20 and not wrong
    assert len(list((tmp_path / "signatures").iterdir())) > len(TARGETS["signatures"].seeds())


def test_the_command_line() -> None:
    for arguments, code in ((["nothing"], 2), (["config", "--input", __file__], 0)):
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", *arguments],
            cwd=fuzzing.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr

"""What all tests share: how many examples property tests draw, folders for what they leave, reports that can be sent.

The default run draws few examples, the same ones every time; `make test-long` draws many, other ones every time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on what else the machine does: no property may fail of that.
_common: dict[str, Any] = {
    "deadline": None,
    "stateful_step_count": 30,
    "suppress_health_check": [HealthCheck.too_slow],
    "print_blob": True,
}
settings.register_profile("default", max_examples=25, derandomize=True, database=None, **_common)
settings.register_profile("long", max_examples=400, derandomize=False, **_common)
settings.load_profile("default")

# The library compiled from stdlib/*.fm is kept in the tree, so that a home folder that is missing or cannot be written
# costs nothing; subprocesses inherit this.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).resolve().parent.parent / "build" / "cache")


def pytest_configure(config: pytest.Config) -> None:
    """A folder for temporary files, for all workers: killed owners of stores leave those of their sockets behind."""
    if hasattr(config, "workerinput"):
        return  # it has inherited that
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # tmp_path stays, to be looked at
    folder = tempfile.mkdtemp(prefix="flowmetal-tests-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Reports that pytest-xdist can send: what a test logs may hold halves of surrogate pairs, which UTF-8 has not."""
    return _sendable((yield))


def _sendable(data: Any) -> Any:
    match data:
        case str():
            return data.encode("utf-8", "backslashreplace").decode("utf-8")
        case dict():
            return {_sendable(key): _sendable(value) for key, value in data.items()}
        case list() | tuple():
            return data.__class__(map(_sendable, data))
        case _:
            return data

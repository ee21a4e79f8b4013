"""Has a store scrubbed by a process of its own, which a damaged page may end, or keep busy for ever, instead of us.

    python -m flowmetal.store.scrubbing     {"path", "options", "pages"} on standard input, a line of JSON for each
                                            piece of work and one with the report on standard output

First LMDB's pages are looked over by a walk in Python that cannot be ended by them (lmdb.verify), unless the store is
in use; then LMDB reads it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from flowmetal.store.errors import StoreError
from flowmetal.store.keys import KeySource, find_source
from flowmetal.store.lmdb_engine import LmdbEngine
from flowmetal.store.lmdb_files import BACKUP_FILE, DATA_FILE, page_damage
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.owner_lock import OwnerLock
from flowmetal.store.scrub import PAGE, Finding, Report, scrub

#: A piece of work that takes longer hangs.
SILENCE_SECONDS = 120.0
#: The walk over the pages tells nothing; it may take this long, and so long for each GiB, which takes some 20 s.
PAGE_WALK_SECONDS = 300.0
PAGE_WALK_SECONDS_PER_GIB = 300.0


def is_in_use(path: Path) -> int:
    """The pid of the process that writes a store, or 0."""
    lock = OwnerLock(path)
    if lock.try_acquire():
        lock.release()
        return 0
    info = lock.read_info()
    return info.pid if info is not None else -1


def scrub_store(path: Path, options: LmdbOptions, *, pages: bool | None = None) -> Report:
    """Scrubs a store; the report.  `pages`: whether LMDB's pages are looked over; None: where nobody uses the store.

    StoreError where it cannot be opened at all.
    """
    if pages is None:
        pages = (path / BACKUP_FILE).exists() or not is_in_use(path)
    source = find_source(options.key)
    task = {
        "path": str(path),
        "pages": pages,
        "network": options.allow_network,
        "key": None if source is None else [source.kind, source.value, source.asked],
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "flowmetal.store.scrubbing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )
    hung = threading.Event()

    def give_up() -> None:
        hung.set()
        child.kill()

    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(json.dumps(task).encode() + b"\n")
        child.stdin.close()
    except OSError:
        pass  # it has ended already, and its end is looked at below
    walk_seconds = PAGE_WALK_SECONDS + _size(path) / (1 << 30) * PAGE_WALK_SECONDS_PER_GIB
    at: list[str] = ["", ""]
    said: dict[str, Any] = {}
    while True:
        timer = threading.Timer(walk_seconds if at[0] == PAGE else SILENCE_SECONDS, give_up)
        timer.start()
        line = child.stdout.readline()
        timer.cancel()
        if not line.endswith(b"\n"):
            break
        told = json.loads(line)
        if "at" in told:
            at = told["at"]
        else:
            said = told
    child.stdout.close()
    code = child.wait()
    if "refused" in said:
        raise StoreError(said["refused"][0], **said["refused"][1])
    if "report" in said:
        return _report(said["report"])
    return _cut_short(at, hung.is_set(), code, said)


def _size(path: Path) -> int:
    try:
        return (path / DATA_FILE).stat().st_size
    except OSError:
        return 0


def _cut_short(at: list[str], hung: bool, code: int, said: dict[str, Any]) -> Report:
    """The report of a child that did not come to its end."""
    if hung:
        reason = "reading it does not come to an end"
    elif code < 0:
        reason = f"reading it ends the process ({signal.Signals(-code).name})"
    else:
        reason = f"reading it failed ({said.get('failed', code)})"
    finding = Finding(PAGE, at[0], at[1], reason, "what comes after it was not read; restore a backup")
    return Report(found=1, findings=[finding])


def _report(told: dict[str, Any]) -> Report:
    return Report(**{**told, "findings": [Finding(**one) for one in told["findings"]]})


# ---- in the process that reads ---------------------------------------------------------------------------------------


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, default=str) + "\n")
    sys.stdout.flush()


def _work(task: dict[str, Any]) -> None:
    path = Path(task["path"])
    key = None
    if task["key"] is not None:
        kind, value, asked = task["key"]
        key = KeySource(kind, tuple(value) if isinstance(value, list) else value, asked)
    report = Report()
    if task["pages"]:
        _say({"at": [PAGE, ""]})
        for problem in page_damage(path):
            report.add(PAGE, "", b"", problem, "LMDB's own pages are damaged: restore a backup")
    _say({"at": ["", ""]})
    try:
        engine = LmdbEngine(path, LmdbOptions(allow_network=task["network"], key=key), create=False)
        try:
            scrub(engine, report, lambda space, start: _say({"at": [space, start.hex()]}))
        finally:
            engine.close()
    except StoreError as error:
        if not report.found:
            raise
        report.add(PAGE, "", b"", str(error), "not all of it was read; restore a backup")
    _say({"report": report.document()})


def main() -> None:
    """What the process does."""
    try:
        _work(json.loads(sys.stdin.readline()))
    except StoreError as error:
        _say({"refused": [error.code, error.facts]})
    except Exception as error:
        _say({"failed": f"{type(error).__name__}: {error}"})
        sys.exit(1)


if __name__ == "__main__":
    main()

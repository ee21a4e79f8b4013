"""Whether a process that used a store was ended by a fault of memory, which a damaged page of its file can cause.

LMDB trusts what is in the pages that it maps: a pointer that is wrong ends the process by SIGBUS, SIGSEGV or SIGABRT,
and the next one that is started again.  So `flowvm serve` has such an end noted in the folder, by Python's
faulthandler, which works in a process that is lost.  Whoever opens the store next looks its pages over first, by a walk
that no page can end, and refuses it where they are damaged.  Where nothing was noted this costs a look at one file.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from flowmetal import lazily
from flowmetal.store.errors import StoreError
from flowmetal.store.lmdb_files import BACKUP_FILE, DATA_FILE, page_damage
from flowmetal.store.owner_lock import OwnerLock

faulthandler = lazily.module("faulthandler")

_log = logging.getLogger(__name__)

#: Where it is noted; empty while there is nothing.
CRASH_FILE = "crash"
_NOTE_BYTES = 200


def watch(folder: Path) -> None:
    """Has it noted if this process is ended so.  For programs: a library leaves that to who uses it.  Nothing is done
    where a fault handler is at work already, where there is no store yet, and in a backup."""
    if faulthandler.is_enabled() or not (folder / DATA_FILE).exists() or (folder / BACKUP_FILE).exists():
        return
    try:
        descriptor = os.open(folder / CRASH_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return  # whatever it is, opening the store will say so
    faulthandler.enable(descriptor, all_threads=False)  # stays open as long as the process lives


def check(folder: Path, lock: OwnerLock | None = None) -> None:
    """S108 where a process was ended so and the pages of the store are damaged; where they are not, that is forgotten.

    `lock`: that of the owner, where this process has it.  Without it, and where another process has it, nothing is
    looked at: the owner did that, and changes the pages.
    """
    try:
        if not (folder / CRASH_FILE).stat().st_size:
            return
        with (folder / CRASH_FILE).open("rb") as file:
            said = file.read(_NOTE_BYTES).split(b"\n")[0].decode("ascii", "replace")
    except OSError:
        return
    taken = None
    if lock is None:
        taken = OwnerLock(folder)
        if not taken.try_acquire():
            return
    try:
        _log.warning("a process that used the store at %s was ended (%s): its pages are looked over", folder, said)
        problems = page_damage(folder)
        if problems:
            reason = f"a process that used it was ended ({said}), and of its pages it is to be said: {problems[0]}"
            raise StoreError("S108", path=str(folder), reason=reason)
        try:
            os.truncate(folder / CRASH_FILE, 0)
        except OSError:
            pass  # it is looked over again, then
    finally:
        if taken is not None:
            taken.release()

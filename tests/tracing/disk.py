"""What a disk could hold after a power cut, from the events of a trace.

The rules are the weakest that POSIX allows: of what was done to a file since its last sync any subset may be there, each
write whole or in any of its sectors of 512 bytes; of new, renamed and removed entries of a folder any subset since that
folder's last sync.  A sync covers what was done before it began.  After one of a file that failed, what it was to cover
may be lost for good, whatever later syncs say.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tracing.recorder import VOLATILE, Event, Inode, Rename, Resize, Said, Sync, Write

SECTOR = 512
#: How the unsynced is treated: all lost, all there, or for each write by chance.
MODES = ("none", "all", "some", "torn")


@dataclass(eq=False)
class _Pending:
    number: int
    event: Write | Resize | Rename
    durable: bool = False
    doomed: bool = False  # a sync that was to cover it has failed


class Disk:
    """The state at one moment of a trace, moved on by `advance`.

    `ignore_syncs`: as if no sync did anything, which shows that a checker sees what is lost.
    """

    def __init__(self, root: Inode, begin: dict[Inode, dict[str, Inode]], *, ignore_syncs: bool = False) -> None:
        self._root = root
        self._folders = {inode: dict(entries) for inode, entries in begin.items()}
        self._content: dict[Inode, bytearray] = {}
        self._pending: dict[Inode, list[_Pending]] = {}  # of files
        self._renames: list[_Pending] = []
        self._ignore_syncs = ignore_syncs
        self._number = 0
        self.said: list[bytes] = []

    def advance(self, event: Event) -> None:
        """The next event happens."""
        if isinstance(event, Said):
            self.said.append(event.line)
        elif isinstance(event, Sync):
            if not self._ignore_syncs:
                self._sync(event)
        elif isinstance(event, Rename):
            self._renames.append(_Pending(self._number, event))
        else:
            durable = isinstance(event, Write) and event.durable and not event.failed and not self._ignore_syncs
            doomed = isinstance(event, Write) and event.failed
            self._pending.setdefault(event.inode, []).append(_Pending(self._number, event, durable, doomed))
            self._fold(event.inode)
        self._number += 1

    def _sync(self, sync: Sync) -> None:
        inode = sync.inode
        if inode.is_folder:
            for one in self._renames:
                assert isinstance(one.event, Rename)
                if one.number < sync.begun and any(folder is inode for folder, _, _ in one.event.changes):
                    # The entries of folders are in the journal of the file system, which does not forget them after a
                    # failure as it does the pages of files: it tries again, or takes no more writes.
                    one.durable |= not sync.failed
            while self._renames and self._renames[0].durable:
                self._rename(self._folders, self._renames.pop(0).event)
            return
        for one in self._pending.get(inode, ()):
            if one.number < sync.begun and not one.durable:
                one.doomed |= sync.failed
                one.durable = not one.doomed
        self._fold(inode)

    def _fold(self, inode: Inode) -> None:
        pending = self._pending.get(inode, [])
        while pending and pending[0].durable:
            _apply(self._base(inode), pending.pop(0).event)

    def _base(self, inode: Inode) -> bytearray:
        if inode not in self._content:
            self._content[inode] = bytearray(inode.begin)
        return self._content[inode]

    @staticmethod
    def _rename(folders: dict[Inode, dict[str, Inode]], event: Write | Resize | Rename) -> None:
        assert isinstance(event, Rename)
        for folder, name, inode in event.changes:
            entries = folders.setdefault(folder, {})
            if inode is None:
                entries.pop(name, None)
            else:
                entries[name] = inode

    @property
    def unsynced(self) -> int:
        """How many changes are not on the disk for sure."""
        return sum(map(len, self._pending.values())) + len(self._renames)

    def image(self, mode: str, chance: random.Random) -> dict[str, bytes | None]:
        """One thing that the disk could hold: path -> content, None for a folder."""
        folders = {inode: dict(entries) for inode, entries in self._folders.items()}
        for one in self._renames:
            if one.durable or _is_there(mode, chance):
                self._rename(folders, one.event)
        found: dict[str, bytes | None] = {}
        self._walk(self._root, "", folders, found, mode, chance)
        return found

    def _walk(
        self,
        folder: Inode,
        path: str,
        folders: dict[Inode, dict[str, Inode]],
        found: dict[str, bytes | None],
        mode: str,
        chance: random.Random,
    ) -> None:
        for name, inode in folders.get(folder, {}).items():
            place = f"{path}/{name}" if path else name
            if inode.is_folder:
                found[place] = None
                self._walk(inode, place, folders, found, mode, chance)
            elif name in VOLATILE:
                content = _volatile(chance)
                if content is not None:
                    found[place] = content
            else:
                found[place] = self._file(inode, mode, chance)

    def _file(self, inode: Inode, mode: str, chance: random.Random) -> bytes:
        content = bytearray(self._base(inode))
        for one in self._pending.get(inode, ()):
            if one.durable or mode == "all":
                _apply(content, one.event)
            elif mode == "none":
                continue
            elif mode == "some" or isinstance(one.event, Resize):
                if chance.random() < 0.5:
                    _apply(content, one.event)
                elif isinstance(one.event, Write) and chance.random() < 0.3:  # its size is there, and not its bytes
                    _extend(content, one.event.offset + len(one.event.data))
            else:
                assert isinstance(one.event, Write)
                _tear(content, one.event, chance)
        return bytes(content)


def _is_there(mode: str, chance: random.Random) -> bool:
    return mode == "all" or (mode != "none" and chance.random() < 0.6)


def _extend(content: bytearray, size: int) -> None:
    if len(content) < size:
        content.extend(bytes(size - len(content)))


def _apply(content: bytearray, event: Write | Resize | Rename) -> None:
    if isinstance(event, Write):
        _extend(content, event.offset)
        content[event.offset : event.offset + len(event.data)] = event.data
    elif isinstance(event, Resize):
        _extend(content, event.size)
        del content[event.size :]


def _tear(content: bytearray, event: Write, chance: random.Random) -> None:
    """Some sectors of a write; runs of them, so that large writes are not torn into dust."""
    end = event.offset + len(event.data)
    position = event.offset
    there = chance.random() < 0.5
    while position < end:
        sectors = 1 if chance.random() < 0.5 else chance.randrange(1, 17)
        stop = min((position // SECTOR + sectors) * SECTOR, end)
        if there:
            _extend(content, position)
            content[position:stop] = event.data[position - event.offset : stop - event.offset]
        there = chance.random() < 0.5
        position = stop


def _volatile(chance: random.Random) -> bytes | None:
    kind = chance.randrange(4)
    return (None, b"", bytes(8192), chance.randbytes(chance.randrange(1, 9000)))[kind]


def write_image(image: dict[str, bytes | None], folder: Path) -> None:
    """Makes the files of an image."""
    folder.mkdir(parents=True)
    for path, content in image.items():
        if content is None:
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)


def moments(events: Sequence[Event]) -> int:
    """At how many moments the power may go: before the first event, and after each."""
    return len(events) + 1

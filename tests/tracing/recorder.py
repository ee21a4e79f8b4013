"""What a traced process does to the files of one folder, as a list of events.

It is called at the system calls that change files, and keeps the tree of the folder along with them.  A write to a
shared map is not seen, so one on a file that matters is an error; LMDB maps its data for reading only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.tracing.ptrace import Answer, Call, TracingError

#: What changes files.
CALLS = (
    "open", "openat", "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "truncate", "fallocate",
    "fsync", "fdatasync", "msync", "sync_file_range", "sync", "syncfs", "rename", "renameat", "renameat2", "mkdir",
    "mkdirat", "rmdir", "unlink", "unlinkat", "link", "linkat", "symlink", "symlinkat", "copy_file_range", "sendfile",
    "splice", "mmap",
)  # fmt: skip
WRITES = frozenset({"write", "writev", "pwrite64", "pwritev", "pwritev2"})
SYNCS = frozenset({"fsync", "fdatasync"})
#: Files that are mapped for writing, and whose content nobody relies on after a start of the machine.
VOLATILE = frozenset({"lock.mdb", "clock"})

_AT_FDCWD = -100
_O_CREAT, _O_TRUNC, _O_APPEND, _O_DSYNC = 0o100, 0o1000, 0o2000, 0o10000


@dataclass(eq=False)
class Inode:
    """A file or folder.  `begin`: what a file held when the trace began, which is on the disk."""

    is_folder: bool
    begin: bytes = b""
    entries: dict[str, Inode] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Write:
    """Bytes written.  `durable`: the descriptor syncs each write.  `failed`: it said that it failed."""

    inode: Inode
    offset: int
    data: bytes
    durable: bool = False
    failed: bool = False


@dataclass(frozen=True, eq=False)
class Resize:
    """A file got another size."""

    inode: Inode
    size: int


@dataclass(frozen=True, eq=False)
class Rename:
    """Entries of folders changed, all of them or none: (folder, name, what is there now)."""

    changes: tuple[tuple[Inode, str, Inode | None], ...]


@dataclass(frozen=True, eq=False)
class Sync:
    """What was done to a file or folder before the event `begun` is on the disk, unless it failed."""

    inode: Inode
    begun: int
    failed: bool = False


@dataclass(frozen=True, eq=False)
class Said:
    """A line that the process wrote to say what it was told is durable."""

    line: bytes


Event = Write | Resize | Rename | Sync | Said


class Recorder:
    """`root`: the folder; what is in it when the trace begins is taken for synced.  `said`: the file of acknowledgements,
    outside it.  `decide` is asked for what to do to a call that concerns the folder: (call, path) -> answer."""

    def __init__(self, root: Path, said: Path, decide: Callable[[Call, str], Answer] | None = None) -> None:
        self.root = str(root)
        self.events: list[Event] = []
        self.tree = _read_tree(root)
        self.begin = _copy_tree(self.tree)
        self._said = str(said)
        self._decide = decide
        self._prefix = self.root + "/"

    # ---- before a call

    def before(self, call: Call) -> Answer:
        """See Tracer."""
        try:
            return self._before(call)
        except (FileNotFoundError, ProcessLookupError):
            return None  # the thread was killed at this moment

    def _before(self, call: Call) -> Answer:
        name = call.name
        if name in WRITES or name in SYNCS or name in ("ftruncate", "fallocate", "sync_file_range", "mmap"):
            number = call.signed(4 if name == "mmap" else 0)
            path = _read_link(f"/proc/{call.thread}/fd/{number}") if number >= 0 else ""
            if path == self._said and name in WRITES:
                self.events.append(Said(self._data(call)))
                return None
            if not self._is_ours(path):
                return None
            if name in ("fallocate", "sync_file_range") or (name == "mmap" and os.path.basename(path) not in VOLATILE):
                raise TracingError(f"{name} of {path} is not recorded")
            if name == "mmap":
                return None
            call.kept = self._write_of(call, path, number) if name in WRITES else (path, len(self.events))
        elif name in (
            "sync",
            "syncfs",
            "copy_file_range",
            "sendfile",
            "splice",
            "link",
            "linkat",
            "symlink",
            "symlinkat",
        ):
            if name in ("copy_file_range", "sendfile", "splice"):
                paths = [_read_link(f"/proc/{call.thread}/fd/{call.signed(0 if name == 'sendfile' else 2)}")]
            else:
                paths = [call.text(call.arguments[index]) for index in range(2)] if "link" in name else []
            if any(map(self._is_ours, paths)):
                raise TracingError(f"{name} is not recorded")
            return None
        elif name == "msync":
            return None
        else:
            paths = self._paths(call)
            if not any(map(self._is_ours, paths)):
                return None
            call.kept = tuple(paths)
        path = call.kept[0]  # type: ignore[index]
        return self._decide(call, path) if self._decide is not None else None

    def _is_ours(self, path: str) -> bool:
        return path.startswith(self._prefix) or path == self.root

    def _write_of(self, call: Call, path: str, number: int) -> tuple[str, int, bytes, bool]:
        flags, position = _about(call.thread, number)
        if call.name in ("pwrite64", "pwritev", "pwritev2"):
            position = call.arguments[3]
        elif flags & _O_APPEND:
            position = os.stat(f"/proc/{call.thread}/fd/{number}").st_size
        return path, position, self._data(call), bool(flags & _O_DSYNC)

    @staticmethod
    def _data(call: Call) -> bytes:
        if call.name in ("write", "pwrite64"):
            return call.memory(call.arguments[1], call.arguments[2])
        parts = call.vector(call.arguments[1], call.arguments[2])
        return b"".join(call.memory(address, size) for address, size in parts)

    def _paths(self, call: Call) -> list[str]:
        name, given = call.name, call.arguments
        if name.startswith("rename"):
            if name == "rename":
                return [self._path(call, _AT_FDCWD, given[0]), self._path(call, _AT_FDCWD, given[1])]
            return [self._path(call, call.signed(0), given[1]), self._path(call, call.signed(2), given[3])]
        if name.endswith("at"):
            return [self._path(call, call.signed(0), given[1])]
        return [self._path(call, _AT_FDCWD, given[0])]

    @staticmethod
    def _path(call: Call, folder: int, address: int) -> str:
        text = call.text(address)
        if text.startswith("/"):
            return os.path.normpath(text)
        base = _read_link(f"/proc/{call.thread}/" + ("cwd" if folder == _AT_FDCWD else f"fd/{folder}"))
        return os.path.normpath(os.path.join(base, text))

    def lost(self, call: Call) -> None:
        """See Tracer: whether a write was made is looked up in the file."""
        if call.name in WRITES and isinstance(call.kept, tuple) and len(call.kept) == 4:
            path, offset, data, _ = call.kept
            inode = self._find(path)
            if inode is None:
                return
            with open(path, "rb") as file:
                found = os.pread(file.fileno(), len(data), offset)
            size = next(
                (index for index, pair in enumerate(zip(found, data, strict=False)) if pair[0] != pair[1]), len(found)
            )
            self.events.append(Write(inode, offset, data[:size]))
        elif call.name not in SYNCS and call.kept is not None:
            raise TracingError(f"a thread was killed in {call.name}")

    # ---- after it

    def after(self, call: Call) -> None:
        """See Tracer."""
        kept = call.kept
        pretended = isinstance(kept, tuple) and len(kept) == 2 and kept[0] == "pretended"
        if pretended:
            kept = kept[1]  # type: ignore[index]
        if not isinstance(kept, tuple):
            return
        name, path = call.name, str(kept[0])
        if name in SYNCS:
            inode = self._find(path)
            if inode is not None:
                self.events.append(Sync(inode, kept[1], failed=call.result < 0 or pretended))
        elif call.result < 0:
            return
        elif name in WRITES:
            inode = self._find(path)
            if inode is not None:
                _, offset, data, durable = kept
                self.events.append(Write(inode, offset, data[: call.result], durable, pretended))
        elif name in ("ftruncate", "truncate"):
            inode = self._find(path)
            if inode is not None:
                self.events.append(Resize(inode, call.arguments[1]))
        else:
            self._entry_changed(call, [str(one) for one in kept])

    def _entry_changed(self, call: Call, paths: list[str]) -> None:
        name = call.name
        folder, leaf = self._parent(paths[0])
        if folder is None:
            return
        if name in ("open", "openat", "creat"):
            flags = _O_CREAT | _O_TRUNC if name == "creat" else call.arguments[2 if name == "openat" else 1]
            found = folder.entries.get(leaf)
            if found is None and flags & _O_CREAT and leaf:
                self._set((folder, leaf, Inode(False)))
            elif found is not None and flags & _O_TRUNC:
                self.events.append(Resize(found, 0))
        elif name.startswith("mkdir"):
            self._set((folder, leaf, Inode(True)))
        elif name.startswith(("unlink", "rmdir")):
            self._set((folder, leaf, None))
        elif name.startswith("rename"):
            to, to_leaf = self._parent(paths[1])
            found = folder.entries.get(leaf)
            if to is None or found is None:
                raise TracingError(f"{paths[0]} is renamed and not known, or leaves the folder")
            self._set((folder, leaf, None), (to, to_leaf, found))

    def _set(self, *changes: tuple[Inode, str, Inode | None]) -> None:
        for folder, leaf, inode in changes:
            if inode is None:
                folder.entries.pop(leaf, None)
            else:
                folder.entries[leaf] = inode
        self.events.append(Rename(changes))

    def _parent(self, path: str) -> tuple[Inode | None, str]:
        if path == self.root:
            return self.tree, ""
        folder, _, leaf = path.rpartition("/")
        found = self._find(folder)
        return (found, leaf) if found is not None and found.is_folder else (None, leaf)

    def _find(self, path: str) -> Inode | None:
        if path == self.root:
            return self.tree
        if not path.startswith(self._prefix) or path.endswith(" (deleted)"):
            return None
        found: Inode | None = self.tree
        for part in path[len(self._prefix) :].split("/"):
            found = found.entries.get(part) if found is not None else None
        return found


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _about(thread: int, number: int) -> tuple[int, int]:
    """(flags, position) of a descriptor."""
    flags = position = 0
    with open(f"/proc/{thread}/fdinfo/{number}", encoding="ascii") as file:
        for line in file:
            word, _, value = line.partition(":")
            if word == "pos":
                position = int(value)
            elif word == "flags":
                flags = int(value, 8)
    return flags, position


def _read_tree(path: Path) -> Inode:
    if stat.S_ISDIR(path.stat().st_mode):
        return Inode(True, entries={name: _read_tree(path / name) for name in sorted(os.listdir(path))})
    return Inode(False, path.read_bytes())


def _copy_tree(inode: Inode) -> dict[Inode, dict[str, Inode]]:
    """The entries of every folder."""
    found = {inode: dict(inode.entries)}
    for child in inode.entries.values():
        if child.is_folder:
            found |= _copy_tree(child)
    return found

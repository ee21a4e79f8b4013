"""Reading what a command is given: regular files of a bounded size, and standard input.

A pipe would hold a command up for ever, and a device may have no end, so neither is read: `-` is what says that
something comes that way.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from flowmetal.diagnostics import FlowmetalError

#: Bytes of a file, or of standard input: more than any source or artifact may have.
READ_MAX = 256 << 20

#: What the system says of a path at which there is nothing.
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL})

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read_file(path: str | os.PathLike[str], limit: int = READ_MAX) -> bytes:
    """The bytes of a regular file.

    FlowmetalError U101 where there is none, U118 where it cannot be read, U111 for what is no regular file, U112 for
    more than `limit` bytes.
    """
    shown = os.fspath(path)
    try:
        # Without waiting: opening a pipe lasts until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise _no_file(shown, _KINDS.get(stat.S_IFMT(found.st_mode), "no file"))
            return _read(file, shown, limit)
    except IsADirectoryError:
        raise _no_file(shown, "a folder") from None
    except ValueError:
        raise FlowmetalError("U101", path=shown, problem="a path has no null bytes") from None
    except OSError as problem:
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            raise _no_file(shown, "a socket or a device") from None
        code = "U101" if problem.errno in _NOT_THERE else "U118"
        raise FlowmetalError(code, path=shown, problem=problem.strerror or str(problem)) from None


def _no_file(shown: str, kind: str) -> FlowmetalError:
    """U111; what gives bytes can be given as standard input."""
    return FlowmetalError("U111", path=shown, kind=kind, instead="-" if kind in ("a pipe", "a device") else None)


def read_stream(stream: BinaryIO, name: str = "standard input", limit: int = READ_MAX) -> bytes:
    """All that comes from a stream.  FlowmetalError U112 where that is too much, U118 where it cannot be read."""
    try:
        return _read(stream, name, limit)
    except OSError as problem:
        raise FlowmetalError("U118", path=name, problem=problem.strerror or str(problem)) from None


def _read(stream: BinaryIO, name: str, limit: int) -> bytes:
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise FlowmetalError("U112", path=name, limit=limit)
    return data

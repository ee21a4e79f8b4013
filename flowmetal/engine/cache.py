"""Files that only save time: each written in one piece, and ignored where it cannot be read or written."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from flowmetal import lazily

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = lazily.module("tempfile")


def cache_folder() -> str | None:
    """The user's folder for compiled things; None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return None if base.startswith("~") else os.path.join(base, "flowmetal")


def read_kept(path: str | os.PathLike[str]) -> bytes | None:
    """What was kept at a path; None where there is nothing to be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def keep(path: str | os.PathLike[str], data: bytes) -> None:
    """write_whole() for what can be made again: a folder that cannot be written costs time only."""
    with contextlib.suppress(OSError):
        write_whole(path, data)


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file in one piece, with the folders above it; others see the old file or the new one.  OSError."""
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as device:  # a device or a pipe, which cannot be replaced
            device.write(data)
        return
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name[:40]}")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    """The permissions that new files do without; the only way to ask is to set them."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask

"""Files that only save time: each written in one piece, and ignored where it cannot be read or written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def cache_folder() -> Path | None:
    """The user's folder for compiled things; None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "flowmetal"
    except RuntimeError:
        return None


def read_kept(path: Path) -> bytes | None:
    """What was kept at a path; None where there is nothing to be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def keep(path: Path, data: bytes) -> None:
    """write_whole() for what can be made again: a folder that cannot be written costs time only."""
    with contextlib.suppress(OSError):
        write_whole(path, data)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file in one piece, with the folders above it; others see the old file or the new one.  OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a device or a pipe, which cannot be replaced
        return
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}")
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

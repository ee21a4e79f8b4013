"""What a build has found out before: files under the hash of all that decided them, with the hash of their content.

Whoever builds asks by key and gets bytes or nothing: a file that is damaged, cut off or not there is the same as one
that was never written.  Files are written in one piece, so builds at the same time do not trip over each other.
"""

from __future__ import annotations

import contextlib
import os
from hashlib import sha256

from flowmetal.engine.cache import keep, read_kept

#: Files that a cache may have; beyond it the oldest that the last build did not use go.  A large project has a thousand
#: modules of two files each, and ten of their versions are worth keeping.
FILES_MAX = 20_000

_MARK = b"FMK1"


class ModuleCache:
    """A folder of kept results; `folder` need not exist."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = os.fspath(folder)
        self._used: set[str] = set()
        self._wrote = False

    def get(self, key: bytes) -> bytes | None:
        """What was put under a key; None where there is nothing that is whole."""
        name = key.hex()
        self._used.add(name)
        data = read_kept(os.path.join(self._folder, name))
        if data is None or len(data) < len(_MARK) + 32 or not data.startswith(_MARK):
            return None
        content = data[len(_MARK) : -32]
        return content if sha256(key + content).digest() == data[-32:] else None

    def put(self, key: bytes, content: bytes) -> None:
        """Keeps bytes under a key."""
        self._wrote = True
        keep(os.path.join(self._folder, key.hex()), _MARK + content + sha256(key + content).digest())

    def trim(self, most: int = FILES_MAX) -> None:
        """Removes the oldest files where there are too many; those asked for through this object stay."""
        if not self._wrote:
            return
        with contextlib.suppress(OSError):
            with os.scandir(self._folder) as found:
                files = list(found)
            if len(files) <= most:
                return
            aged: list[tuple[float, str]] = []
            for file in files:
                with contextlib.suppress(OSError):
                    if file.name not in self._used:
                        aged.append((file.stat().st_mtime, file.path))
            for _, path in sorted(aged)[: len(files) - most]:
                with contextlib.suppress(OSError):
                    os.unlink(path)

"""The sources behind an installation that was not built: those of the library, and those of the compiler.

A built package carries the library compiled, and the hash of the compiler.  In a source tree both are found from the
files.  Hashing two hundred files costs as much as running a small program, so what they hashed to is kept under what
the file system says of them: sizes and times.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256

from flowmetal.engine.cache import cache_folder, keep, read_kept

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: Packages that decide how sources compile.
_COMPILED_BY = ("bytecode", "compiler", "reading", "values", "vm")

#: A file as young as this may change again within one tick of the file system's clock, so nothing is kept of it.
_YOUNG_NS = 2_000_000_000


def library_folder() -> str:
    """Where the library's sources are."""
    shipped = os.path.join(PACKAGE, "stdlib")
    return shipped if os.path.isdir(shipped) else os.path.join(os.path.dirname(PACKAGE), "stdlib")


def source_texts(folder: str | os.PathLike[str] | None = None) -> dict[str, str]:
    """The texts of the library's sources by file; by default of those of this installation."""
    place = library_folder() if folder is None else os.fspath(folder)
    texts = {}
    for path, _ in _files(place, ".fm"):
        with open(path, encoding="utf-8") as file:
            texts[os.path.relpath(path, place).replace(os.sep, "/")] = file.read()
    return texts


@cache
def digests() -> tuple[bytes, bytes]:
    """The hashes of the compiler's sources and of the library's."""
    compiler = [one for name in _COMPILED_BY for one in _files(os.path.join(PACKAGE, name), ".py")]
    library = list(_files(library_folder(), ".fm"))
    facts = [(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns) for path, found in compiler + library]
    folder = cache_folder()
    note = "" if folder is None else os.path.join(folder, f"tree-{sha256(repr(facts).encode()).hexdigest()[:32]}")
    kept = read_kept(note) if note else None
    if kept is not None and len(kept) == 64:
        return kept[:32], kept[32:]
    made = _digest(path for path, _ in compiler), _digest(path for path, _ in library)
    if note and max((fact[3] for fact in facts), default=0) < time.time_ns() - _YOUNG_NS:
        keep(note, made[0] + made[1])
    return made


def _files(folder: str, suffix: str) -> Iterator[tuple[str, os.stat_result]]:
    """The files below a folder with a suffix, in order of path."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, suffix)
        elif entry.name.endswith(suffix):
            yield entry.path, entry.stat()


def _digest(paths: Iterable[str]) -> bytes:
    digest = sha256()
    for path in paths:
        with open(path, "rb") as file:
            content = file.read()
        digest.update(b"%s\x00%d\x00" % (os.path.basename(path).encode(), len(content)))
        digest.update(content)
    return digest.digest()

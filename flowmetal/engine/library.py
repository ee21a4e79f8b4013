"""The standard library as the engine has it: the modules of stdlib.fmc, from the package or from the user's cache.

An installed package carries `flowmetal/stdlib/stdlib.fmc`.  In a source tree the library is compiled from `stdlib/*.fm`
and kept in the user's cache folder, under a name made of the hashes of those sources and of the code that compiles
them, so that a change of either compiles it again.  The compiler is loaded only then: running an artifact does without.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path

from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.link import link
from flowmetal.bytecode.program import Module
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.cache import cache_folder, keep, read_kept
from flowmetal.vm.builtins.registry import BUILTINS

_PACKAGE = Path(__file__).resolve().parent.parent

#: The file of an installed package that holds the hash of the compiler's code.
COMPILER_HASH = "compiler.hash"

#: Packages that decide how sources compile.
_COMPILED_BY = ("bytecode", "compiler", "reading", "values", "vm")


@dataclass(frozen=True, slots=True)
class Library:
    """The standard library: its artifact (a bundle), that artifact's content hash, and its modules by name."""

    data: bytes
    hash: bytes
    modules: dict[str, Module]


def builtin_arity(number: int) -> tuple[int, int | None] | None:
    """How many arguments a builtin takes, for the verifier; None for a number that no builtin has."""
    row = BUILTINS.get(number)
    return None if row is None else (row.min_args, row.max_args)


_lock = threading.Lock()
_loaded: Library | None = None


def standard_library() -> Library:
    """The standard library of this installation; loaded once.  FlowmetalError B501 where there is none to be found."""
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = _find()
        return _loaded


def open_library(data: bytes) -> Library:
    """A library from the bytes of its bundle."""
    artifact = decode_artifact(data, builtin_arity)
    return Library(data, artifact.hash, link(artifact).modules)


def library_sources(folder: Path) -> list[Path]:
    """The library's source files."""
    return sorted(folder.rglob("*.fm"))


def source_texts(folder: Path | None = None) -> dict[str, str]:
    """The texts of the library's sources by file; by default of those of this installation."""
    if folder is None:
        shipped = _PACKAGE / "stdlib"
        folder = shipped if shipped.is_dir() else _PACKAGE.parent / "stdlib"
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in library_sources(folder)}


def _find() -> Library:
    shipped = _PACKAGE / "stdlib" / "stdlib.fmc"
    if shipped.is_file():
        return open_library(shipped.read_bytes())
    folder = _PACKAGE.parent / "stdlib"
    sources = library_sources(folder)
    if not sources:
        raise FlowmetalError("B501", path=str(shipped))
    folder_kept = cache_folder()
    path = None
    if folder_kept is not None:
        name = sha256(compiler_fingerprint() + _digest(sources)).hexdigest()[:32]
        path = folder_kept / f"stdlib-{name}.fmc"
    kept = None if path is None else read_kept(path)
    if kept is not None:
        try:
            return open_library(kept)
        except FlowmetalError:
            pass  # damaged: it is made again
    data = _compiler()(folder)
    if path is not None:
        keep(path, data)
    return open_library(data)


def _compiler() -> Callable[[Path], bytes]:
    """What compiles the library.  It takes the compiler with it, so it is not loaded before it is needed."""
    made: Callable[[Path], bytes] = importlib.import_module("flowmetal.engine.stdlib").compile_stdlib
    return made


@cache
def compiler_fingerprint() -> bytes:
    """Tells one compiler from another.  An installed package brings it; a source tree is hashed, in some 10 ms."""
    shipped = _PACKAGE / "stdlib" / COMPILER_HASH
    if shipped.is_file():
        return shipped.read_bytes()
    return _digest(compiler_sources())


def _digest(paths: Iterable[Path]) -> bytes:
    digest = sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(b"%s\x00%d\x00" % (path.name.encode(), len(content)))
        digest.update(content)
    return digest.digest()


def compiler_sources() -> Iterable[Path]:
    """The code that decides what a source compiles to."""
    for name in _COMPILED_BY:
        yield from sorted((_PACKAGE / name).rglob("*.py"))

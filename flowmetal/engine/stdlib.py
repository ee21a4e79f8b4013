"""The standard library as the engine has it: the modules of stdlib.fmc, from the package or built from source once.

An installed package carries `flowmetal/stdlib/stdlib.fmc`.  In a source tree the library is compiled from `stdlib/*.fm`
and kept in the user's cache folder, under a name made of the hashes of those sources and of the code that compiles
them, so that a change of either compiles it again.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from flowmetal.bytecode.fmc import decode_artifact, encode_artifact
from flowmetal.bytecode.link import link
from flowmetal.bytecode.program import Function, Module, Program
from flowmetal.compiler import compile_project
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import Closure, LanguageError
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.evaluate import CompileTime, EvaluationFailed

#: The library's module that its bundle is named after.
MAIN = "flowmetal.core"

_PACKAGE = Path(__file__).resolve().parent.parent

#: Packages that decide how the library's sources compile.
_COMPILED_BY = ("bytecode", "compiler", "values", "vm")


@dataclass(frozen=True, slots=True)
class Library:
    """The standard library: its artifact (a bundle), that artifact's content hash, and its modules by name."""

    data: bytes
    hash: bytes
    modules: dict[str, Module]


class Evaluate:
    """The compiler's evaluator, made of the machine."""

    def __init__(self) -> None:
        self._machine = CompileTime()

    def run(self, program: Program, function: Function) -> Any:
        """See flowmetal.compiler."""
        try:
            return self._machine.run(program, function)
        except EvaluationFailed as failed:
            raise LanguageError(failed.error) from None

    def call(self, program: Program, closure: Closure, args: Sequence[Any]) -> Any:
        """See flowmetal.compiler."""
        try:
            return self._machine.call(program, closure, args)
        except EvaluationFailed as failed:
            raise LanguageError(failed.error) from None


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
            _loaded = open_library(_find_data())
        return _loaded


def open_library(data: bytes) -> Library:
    """A library from the bytes of its bundle."""
    artifact = decode_artifact(data, builtin_arity)
    return Library(data, artifact.hash, link(artifact).modules)


def compile_stdlib(folder: Path) -> bytes:
    """Compiles the `.fm` files of a folder into the library's bundle.  Raises CompileFailed."""
    sources = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in _sources(folder)}
    modules = compile_project(sources, {}, Evaluate(), BUILTINS)
    return encode_artifact(modules, MAIN, builtin_arity=builtin_arity)


def _sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.fm"))


def _find_data() -> bytes:
    shipped = _PACKAGE / "stdlib" / "stdlib.fmc"
    if shipped.is_file():
        return shipped.read_bytes()
    folder = _PACKAGE.parent / "stdlib"
    if not _sources(folder):
        raise FlowmetalError("B501", path=str(shipped))
    cache = _cache_folder()
    if cache is None:
        return compile_stdlib(folder)
    kept = cache / f"stdlib-{_fingerprint(folder)}.fmc"
    with contextlib.suppress(OSError):
        return kept.read_bytes()
    data = compile_stdlib(folder)
    _keep(kept, data)
    return data


def _cache_folder() -> Path | None:
    """Where compiled libraries are kept; None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "flowmetal"
    except RuntimeError:
        return None


def _keep(path: Path, data: bytes) -> None:
    """Writes a file in one piece; a folder that cannot be written only costs the time of compiling again."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def _fingerprint(folder: Path) -> str:
    digest = sha256()
    for path in _inputs(folder):
        content = path.read_bytes()
        digest.update(b"%s\x00%d\x00" % (path.name.encode(), len(content)))
        digest.update(content)
    return digest.hexdigest()[:32]


def _inputs(folder: Path) -> Iterable[Path]:
    yield from _sources(folder)
    for name in _COMPILED_BY:
        yield from sorted((_PACKAGE / name).rglob("*.py"))

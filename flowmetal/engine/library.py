"""The standard library as the engine has it: the modules of stdlib.fmc, from the package or from the user's cache.

An installed package carries `flowmetal/stdlib/stdlib.fmc`.  In a source tree the library is compiled from `stdlib/*.fm`
and kept in the user's cache folder, under a name made of the hashes of those sources and of the code that compiles
them, so that a change of either compiles it again.  The compiler is loaded only then: running an artifact does without.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from flowmetal import lazily
from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.link import link
from flowmetal.bytecode.program import Module
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.cache import cache_folder, keep, read_kept
from flowmetal.vm.builtins.registry import builtin_arity

if TYPE_CHECKING:
    from flowmetal.engine import source_tree, stdlib
else:
    source_tree = lazily.module("flowmetal.engine.source_tree")
    stdlib = lazily.module("flowmetal.engine.stdlib")

#: Where an installed package has the library.
_SHIPPED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "stdlib")

#: The file of an installed package that holds the hash of the compiler's code.
COMPILER_HASH = "compiler.hash"


@dataclass(frozen=True, slots=True)
class Library:
    """The standard library: its artifact (a bundle), that artifact's content hash, and its modules by name."""

    data: bytes
    hash: bytes
    modules: dict[str, Module]


_lock = allocate_lock()
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


def _find() -> Library:
    shipped = read_kept(os.path.join(_SHIPPED, "stdlib.fmc"))
    if shipped is not None:
        return open_library(shipped)
    folder = source_tree.library_folder()
    if not os.path.isdir(folder):
        raise FlowmetalError("B501", path=os.path.join(_SHIPPED, "stdlib.fmc"))
    folder_kept = cache_folder()
    path = None
    if folder_kept is not None:
        name = sha256(compiler_fingerprint() + source_tree.digests()[1]).hexdigest()[:32]
        path = os.path.join(folder_kept, f"stdlib-{name}.fmc")
    kept = None if path is None else read_kept(path)
    if kept is not None:
        try:
            return open_library(kept)
        except FlowmetalError:
            pass  # damaged: it is made again
    data = stdlib.compile_stdlib(folder)
    if path is not None:
        keep(path, data)
    return open_library(data)


@cache
def compiler_fingerprint() -> bytes:
    """Tells one compiler from another.  An installed package brings it; in a source tree it is the files' hash."""
    shipped = read_kept(os.path.join(_SHIPPED, COMPILER_HASH))
    if shipped is not None:
        return shipped
    found: bytes = source_tree.digests()[0]
    return found

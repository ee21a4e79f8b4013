"""Programs that were compiled before: an artifact under the hash of all that decides it, in the user's cache folder.

What a command compiles each time it is called with a source file (`flowvm run deploy.fm`) comes from here from the
second time on, and the compiler is not even loaded.  An artifact depends on the names and texts of the sources, the
library and the compiler alone, so a build that was kept has the same bytes as a new one.  Programs that the compiler
warned of are not kept: the warnings are shown each time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING

from flowmetal import lazily
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.cache import cache_folder
from flowmetal.engine.library import compiler_fingerprint, standard_library
from flowmetal.engine.module_cache import ModuleCache
from flowmetal.engine.opening import Built, read_artifact

if TYPE_CHECKING:
    from flowmetal.engine import build
else:
    build = lazily.module("flowmetal.engine.build")

#: Programs that are kept; beyond it the oldest go.
PROGRAMS_MAX = 500

FOLDER = "programs"


def built_once(sources: Mapping[str, bytes]) -> Built:
    """`build_artifact` of sources (text by file name), or what it gave before.  CompileFailed."""
    folder = cache_folder()
    if folder is None:
        made: Built = build.build_artifact(sources)
        return made
    cache = ModuleCache(os.path.join(folder, FOLDER))
    key = _key(sources)
    kept = cache.get(key)
    if kept is not None:
        try:
            return read_artifact(kept)
        except FlowmetalError:
            pass  # it is made again
    made = build.build_artifact(sources)
    if not made.warnings:
        cache.put(key, made.data)
        cache.trim(PROGRAMS_MAX)
    return made


def _key(sources: Mapping[str, bytes]) -> bytes:
    digest = sha256(b"program" + compiler_fingerprint() + standard_library().hash)
    for name, text in sources.items():  # in their order: where several could be the main module, the first one is
        digest.update(sha256(name.encode("utf-8", "surrogateescape")).digest() + sha256(text).digest())
    return digest.digest()

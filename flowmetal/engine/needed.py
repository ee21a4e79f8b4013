"""Which artifacts of a store need which others, for retention.

What stands under a hash is always the same program, so what it needs is read once.  Only that is kept, and not the
artifacts: a library has a megabyte, and a sweep that reads all of them again and again leaves holes of that size in the
memory of a process that otherwise needs little.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.engine.artifacts import POINTER
from flowmetal.engine.library import standard_library
from flowmetal.store.interface import Store
from flowmetal.vm.builtins.registry import builtin_arity


class Needed:
    """What artifacts of one store need, as far as somebody has asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._requires: dict[bytes, tuple[bytes, ...]] = {}  # artifact -> hashes of modules
        self._no_pointers: set[bytes] = set()

    def libraries(self, artifacts: Iterable[bytes], stored: Collection[bytes]) -> set[bytes]:
        """The hashes under which a store has what artifacts need of libraries, of all those that are `stored`.

        A library stands under its own hash, with a pointer under the hash of each of its modules (engine/artifacts.py);
        all of those are needed when one is.  FlowmetalError for an artifact that is none.
        """
        bundles = {standard_library().hash}
        for hash in artifacts:
            for required in self._required(hash):
                pointer = self._store.artifact(required)
                if pointer is not None and pointer.startswith(POINTER):
                    bundles.add(pointer[len(POINTER) :])
        there = frozenset(stored)
        self._no_pointers &= there
        self._requires = {hash: required for hash, required in self._requires.items() if hash in there}
        return bundles | {hash for hash in there if hash not in self._no_pointers and self._points_to(hash) in bundles}

    def _required(self, hash: bytes) -> tuple[bytes, ...]:
        """The hashes of the modules that an artifact requires of others."""
        found = self._requires.get(hash)
        if found is None:
            data = self._store.artifact(hash)
            if data is None:
                return ()
            found = tuple(decode_artifact(data, builtin_arity).requires().values())
            self._requires[hash] = found
            self._no_pointers.add(hash)
        return found

    def _points_to(self, hash: bytes) -> bytes | None:
        """The library that a pointer points to; None for what is none."""
        data = self._store.artifact(hash)
        if data is None:
            return None
        if data.startswith(POINTER):
            return data[len(POINTER) :]
        self._no_pointers.add(hash)
        return None

"""Looks up, before a start, whether the program has the function that is asked for.

The store starts what it is told to, as it knows nothing of programs; a wrong name would make a process that fails at
once.  Whoever starts one by hand gets the error instead.
"""

from __future__ import annotations

from flowmetal.bytecode.fmc import Artifact, decode_artifact
from flowmetal.client.errors import NotFound
from flowmetal.diagnostics import FlowmetalError, suggest
from flowmetal.store.interface import Start, Store

#: Artifacts whose functions are kept, and function names that a message lists.
ARTIFACTS_MAX = 64
LISTED_MAX = 20


class Exports:
    """The functions of the programs of a store.  Safe for threads, as what it keeps can be found again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[bytes, dict[str, tuple[str, ...]]] = {}  # artifact -> module -> functions

    def check(self, command: Start) -> None:
        """NotFound (B014) where the module of the function is in the artifact and does not define it.

        Everything else is left to the start and to the interpreter: a program that is not deployed, an artifact that
        cannot be read, a function of a library, an id that was started before.
        """
        digest = command.artifact or self._store.deployed(command.name).get(command.name or "")
        if digest is None:
            return
        module, _, function = command.function.partition("/")
        functions = self._functions(digest).get(module)
        if functions is None or function in functions:
            return
        if command.id is not None and self._store.process_by_id(command.id) is not None:
            return
        known = ", ".join(functions[:LISTED_MAX]) + (" ..." if len(functions) > LISTED_MAX else "")
        near = suggest(function, functions)
        raise NotFound("B014", module=module, name=function, known=known or "none", suggestion=near)

    def _functions(self, digest: bytes) -> dict[str, tuple[str, ...]]:
        found = self._known.get(digest)
        if found is None:
            data = self._store.artifact(digest)
            try:
                artifact = None if data is None else decode_artifact(data)
                found = {} if artifact is None else _functions_of(artifact)
            except FlowmetalError:
                found = {}
            if len(self._known) >= ARTIFACTS_MAX:
                self._known.clear()
            self._known[digest] = found
        return found


def _functions_of(artifact: Artifact) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(each.name for each in module.globals.values() if not each.macro)
        for name, module in artifact.modules.items()
    }

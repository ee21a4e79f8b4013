"""What a program can be started on: the public functions of its own modules, and the numbers of arguments they take.

The store starts what it is told to, as it knows nothing of programs; a wrong name would make a process that fails at
once.  Whoever starts one (a client, the API, an endpoint, `flowvm run`) asks here first and gets the error instead.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.bytecode.fmc import Artifact, decode_artifact
from flowmetal.bytecode.program import Global, Module
from flowmetal.client.errors import NotFound, Refused
from flowmetal.dataclass import replace
from flowmetal.diagnostics import FlowmetalError, suggest
from flowmetal.values import Closure

if TYPE_CHECKING:
    from flowmetal.store import interface
    from flowmetal.store.interface import Start, Store
else:  # `flowvm run` does without
    interface = lazily.module("flowmetal.store.interface")

#: Artifacts that are kept open, and function names that a message lists.
ARTIFACTS_MAX = 64
LISTED_MAX = 20


class Exports:
    """The functions of the programs of a store.  Safe for threads, as what it keeps can be found again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[bytes, Artifact | None] = OrderedDict()

    def check(self, command: Start, count: int) -> Start:
        """The start with the very artifact that was looked at, so that a deploy in between changes nothing.

        `count` is the number of arguments.  Raises what check_function raises.  Left to the start and the interpreter
        are a program that is not deployed, an artifact that cannot be read, and an id that was started before.
        """
        digest = command.artifact or self._store.deployed(command.name).get(command.name or "")
        artifact = None if digest is None else self._artifact(digest)
        if artifact is None:
            return command
        try:
            check_function(artifact, command.function, count, command.name)
        except (NotFound, Refused):
            if command.id is None or self._store.process_by_id(command.id) is None:
                raise
            return command
        return replace(command, artifact=digest)

    def check_schedule(self, payload: Any) -> None:
        """The same for the definition of a schedule, plain data; what is wrong with it otherwise is the store's."""
        if not isinstance(payload, Mapping):
            return
        program, function = payload.get("program"), payload.get("function", "main")
        arguments = payload.get("args", ())
        if program.__class__ is str and function.__class__ is str and isinstance(arguments, list | tuple):
            count = len(arguments) + (1 if payload.get("pass-run", payload.get("pass_run")) is True else 0)
            self.check(interface.Start(function, b"", name=program), count)

    def _artifact(self, digest: bytes) -> Artifact | None:
        if digest in self._known:
            return self._known[digest]
        data = self._store.artifact(digest)
        try:
            artifact = None if data is None else decode_artifact(data)
        except FlowmetalError:
            artifact = None
        if len(self._known) >= ARTIFACTS_MAX:
            self._known.popitem(last=False)
        self._known[digest] = artifact
        return artifact


def check_function(artifact: Artifact, function: str, count: int, program: str | None = None) -> None:
    """Checks that "module/function" (or a function of the main module) can be started with `count` arguments.

    `program`: the name that it is deployed as.

    NotFound B014 where there is no such public function of the artifact's own modules, Refused B016 where it takes
    another number of arguments.
    """
    module_name, slash, name = function.rpartition("/")
    module_name = module_name if slash else artifact.main
    module = artifact.modules.get(module_name)
    if module is None:
        names = [f"{each}/{known}" for each, inside in artifact.modules.items() for known in _functions(inside)]
        alike = [each for each in names if each.endswith(f"/{name}")]
        near = suggest(function, names) or (alike[0] if alike else suggest(module_name, artifact.modules))
        other = program if near and near.partition("/")[0] != program else None  # which starts go by where none is said
        raise NotFound(
            "B014", module=artifact.name, name=function, known=_listed(names), suggestion=near, program=other
        )
    found = module.globals.get(name)
    try:
        arities = None if found is None else _arities(found)
    except FlowmetalError:
        return  # its value refers to a library, which is not at hand here
    if arities is None or found is None or found.private:
        names = _functions(module)
        private = name if found is not None and found.private and arities is not None else None
        raise NotFound(
            "B014",
            module=module_name,
            name=name,
            known=_listed(names),
            suggestion=suggest(name, names),
            private=private,
        )
    if not any(count == fixed or (more and count >= fixed) for fixed, more in arities):
        parameters = " or ".join(found.parameters)
        raise Refused("B016", name=function, takes=_takes(arities), count=_arguments(count), parameters=parameters)


def _functions(module: Module) -> list[str]:
    """The names of what can be started, in order of definition."""
    names = []
    for name in module.globals:
        try:
            found = module.globals[name]
            if not found.private and _arities(found) is not None:
                names.append(name)
        except FlowmetalError:
            names.append(name)
    return names


def _arities(found: Global) -> list[tuple[int, bool]] | None:
    """(parameters, whether more are taken) of each body of a function; None for what is no function."""
    value = found.value
    if found.macro or value.__class__ is not Closure:
        return None
    codes = [value.function.module.codes[index] for index in value.function.codes]
    return [(code.parameters, code.variadic) for code in codes]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:LISTED_MAX]) + (" ..." if len(names) > LISTED_MAX else "") if names else "none"


def _takes(arities: list[tuple[int, bool]]) -> str:
    least = min((fixed for fixed, more in arities if more), default=None)
    shown = [str(fixed) for fixed in sorted({fixed for fixed, _ in arities}) if least is None or fixed < least]
    if least is not None:
        shown.append(f"{least} or more")
    return "1 argument" if shown == ["1"] else f"{' or '.join(shown)} arguments"


def _arguments(count: int) -> str:
    return "1 argument" if count == 1 else f"{count} arguments"

"""Which secrets a program names: the constants that `secret` is called with in its own code, and handles it holds.

A name that the program computes, and `secret` used as a value, may be any secret: then it is `secret` whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flowmetal.bytecode.fmc import Artifact
from flowmetal.bytecode.heap import Copies
from flowmetal.bytecode.link import link
from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import PER_PROCESS, UNBOUND, Code, Module
from flowmetal.bytecode.shape import SHAPES, register_written
from flowmetal.engine.grants import SECRET
from flowmetal.engine.library import standard_library
from flowmetal.engine.opening import library_module
from flowmetal.lazily import module as late_module
from flowmetal.values import Closure, Secret, is_secret_name

_reachable = late_module("flowmetal.compiler.reachable")  # a plain run loads no compiler
_HOME, _NAME = "flowmetal.core.secrets", "secret"
#: Secrets that are granted by name.
NAMES_MAX = 64

_BUILTIN = 2200  # `%secret`, which library code alone may name


def secret_grants(artifact: Artifact) -> list[str]:
    """The grants of the secrets that an artifact names, sorted: ["secret=api"], or ["secret"] where one is computed."""
    known = {module.hash for module in standard_library().modules.values()}
    own = [module for module in artifact.modules.values() if module.hash not in known]
    link(artifact, library_module)  # values of the top level may be functions of libraries
    found: set[str] = set()
    computed = False
    copies = Copies()
    for module in own:
        values = list(module.constants)
        for item in module.globals.values():
            if item.value is PER_PROCESS:
                values.append(copies.value(module, item.name))
            elif item.value is not UNBOUND:
                values.append(item.value)
        for name in (*_in_values(values), *(name for code in module.codes for name in _in_code(module, code))):
            if name is None:
                computed = True
            else:
                found.add(name)
    # The grants of a process are few: where there are very many names, all are meant.
    return [SECRET] if computed or len(found) > NAMES_MAX else [f"{SECRET}={name}" for name in sorted(found)]


def _in_values(values: Iterable[Any]) -> Iterator[str | None]:
    """Names of handles in values; None for `secret` itself."""
    seen: dict[int, Any] = {}
    todo = list(values)
    while todo:
        value = todo.pop()
        if value.__class__ is Secret:
            yield from value.names
            continue
        if value.__class__ is Closure and value.function.name == f"{_HOME}/{_NAME}":
            yield None
        if value.__class__ is str or (value.__class__ is Closure and not value.captures):
            continue
        parts = _reachable.parts_of(value)
        if parts and id(value) not in seen:
            seen[id(value)] = value
            todo.extend(parts)


def _in_code(module: Module, code: Code) -> Iterator[str | None]:
    """Names that `secret` is called with; what a register holds is known from the constant to the next jump."""
    targets = {row.target for row in code.tries}
    for instruction in code.instructions:
        label = SHAPES[instruction[0]].label
        if label:
            targets.add(instruction[label])
    known: dict[int, str] = {}
    for at, instruction in enumerate(code.instructions):
        op = instruction[0]
        if at in targets or op == Op.loop:
            known = {}
        if op in (Op.global_, Op.dynamic) and _is_secret(module, instruction[2]):
            yield None
        elif op in (Op.call_global, Op.tail_call_global):
            place = 2 if op == Op.call_global else 1
            if _is_secret(module, instruction[place]):
                yield _only(known, instruction[place + 1])
        elif op == Op.builtin and instruction[2] == _BUILTIN:
            yield _only(known, instruction[3])
        written = register_written(instruction)
        if written is not None:
            value: Any = known.get(instruction[2]) if op == Op.move else None
            if op == Op.constant:
                value = module.constants[instruction[2]]
            known.pop(written, None)
            if value.__class__ is str:
                known[written] = value


def _is_secret(module: Module, index: int) -> bool:
    reference = module.references[index]
    return reference.module == _HOME and reference.name == _NAME


def _only(known: dict[int, str], registers: tuple[int, ...]) -> str | None:
    name = known.get(registers[0]) if len(registers) == 1 else None
    return name if name is not None and is_secret_name(name) else None

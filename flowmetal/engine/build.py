"""Building: sources to the bytes of an artifact, and what can be said of an artifact; what `flowc` calls.

Joins the compiler, the machine (as its evaluator), the standard library and the artifact format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowmetal.bytecode.disassemble import disassemble, disassemble_module
from flowmetal.bytecode.fmc import decode_artifact, encode_artifact
from flowmetal.bytecode.program import Module
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError, suggest
from flowmetal.engine.incremental import Compiled, Inputs, compile_modules
from flowmetal.engine.library import standard_library
from flowmetal.engine.opening import Built, open_artifact
from flowmetal.vm.builtins.registry import builtin_arity

__all__ = ["Built", "Described", "artifact_name", "build_artifact", "describe_artifact", "pack", "verify_file"]

#: Names of functions that a message lists.
NAMES_MAX = 20


@dataclass(frozen=True, slots=True)
class Described:
    """An artifact for people: as a JSON-like document, and as text."""

    document: dict[str, Any]
    text: str


def build_artifact(
    sources: Mapping[str, bytes | str], main: str | None = None, strip: bool = False, bundle: bool = False
) -> Built:
    """Compiles sources (text by path) to an artifact named after its module `main`.

    By default that is the module that no other one requires, the first source's where there are several.

    `strip` leaves source text and places out, `bundle` puts the standard library in.  Raises CompileFailed with all
    diagnostics.
    """
    texts = {file: text.encode() if isinstance(text, str) else text for file, text in sources.items()}
    compiled = compile_modules(Inputs(texts))
    return pack(compiled, main or _module_of(compiled.modules, next(iter(sources))), strip, bundle)


def pack(compiled: Compiled, main: str, strip: bool, bundle: bool, libraries: Iterable[Module] = ()) -> Built:
    """The artifact of compiled modules and the libraries they bring, named after the module `main`."""
    modules = [*libraries, *compiled.modules]
    packed = [*standard_library().modules.values(), *modules] if bundle else modules
    data = encode_artifact(packed, main, strip=strip, builtin_arity=builtin_arity)
    return Built(main, data, decode_artifact(data).hash, compiled.warnings)


def verify_file(data: bytes) -> None:
    """Checks an artifact.  Raises FlowmetalError with a B code."""
    open_artifact(data)


def artifact_name(data: bytes) -> str:
    """The name of an artifact's main module.  Raises FlowmetalError with a B code."""
    return decode_artifact(data).name


def describe_artifact(data: bytes, function: str | None = None) -> Described:
    """The manifest and the instructions of an artifact, or the instructions of one function ("deploy/main")."""
    artifact = open_artifact(data)
    document: dict[str, Any] = {
        "name": artifact.name,
        "hash": artifact.hash.hex(),
        "bytes": len(data),
        "modules": [_module_document(module) for module in artifact.modules.values()],
    }
    if function is None:
        text = "\n".join(disassemble_module(module) for module in artifact.modules.values())
    else:
        text = "\n".join(_bodies(artifact.modules.values(), artifact.main, function))
        if not text:
            names = [found.name for module in artifact.modules.values() for found in module.functions]
            near = suggest(function, names) or suggest(f"{artifact.main}/{function}", names)
            known = ", ".join(names[:NAMES_MAX]) + (" and others" if len(names) > NAMES_MAX else "")
            raise FlowmetalError("B014", module=artifact.name, name=function, known=known, suggestion=near)
    document["disassembly"] = text
    return Described(document, text)


def _module_of(modules: list[Module], path: str) -> str:
    """The module that the artifact is named after."""
    required = {name for module in modules for name in module.requires}
    roots = [module for module in modules if module.name not in required] or modules
    return next((module.name for module in roots if module.file == path), roots[0].name)


def _bodies(modules: Iterable[Module], main: str, function: str) -> Iterable[str]:
    wanted = function if "/" in function else f"{main}/{function}"
    for module in modules:
        for candidate in module.functions:
            if candidate.name == wanted or candidate.name.startswith(wanted + "/"):
                for index in candidate.codes:
                    yield disassemble(module.codes[index], module)


def _module_document(module: Module) -> dict[str, Any]:
    exports = [found for found in module.globals.values() if not found.private]
    return {
        "name": module.name,
        "hash": module.hash.hex() if module.hash is not None else None,
        "requires": {name: hash.hex() for name, hash in sorted(module.requires.items())},
        "exports": [
            {"name": found.name, "parameters": list(found.parameters), "doc": found.doc, "effect": found.effect}
            for found in exports
        ],
        "effects": [
            {"effect": site.effect, "function": site.function, "place": str(site.span) if site.span else None}
            for site in module.effect_sites
        ],
        "functions": len(module.functions),
    }

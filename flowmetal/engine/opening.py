"""Artifacts as a command has them in its hand: their bytes, their names, whether they are sound.  Knows no store."""

from __future__ import annotations

from flowmetal.bytecode.fmc import Artifact, decode_artifact
from flowmetal.bytecode.link import verify_artifact
from flowmetal.bytecode.program import Module
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import Diagnostic
from flowmetal.engine.library import standard_library
from flowmetal.vm.builtins.registry import builtin_arity


@dataclass(frozen=True, slots=True)
class Built:
    """An artifact: the name of its main module, its bytes, its content hash, and what the compiler warned of.

    `own`: a command has compiled it from source that it was given.
    """

    name: str
    data: bytes
    hash: bytes
    warnings: tuple[Diagnostic, ...] = ()
    own: bool = False


def read_artifact(data: bytes) -> Built:
    """An artifact as it comes from a file.  Raises FlowmetalError with a B code."""
    artifact = decode_artifact(data)
    return Built(artifact.name, data, artifact.hash)


def open_artifact(data: bytes) -> Artifact:
    """Decodes an artifact and verifies all of its code.  Raises FlowmetalError B0xx, B1xx, B2xx."""
    return verify_artifact(data, builtin_arity, library_module)


def library_module(name: str, hash: bytes) -> Module | None:
    """A module of this installation's library; None where it does not have that very one."""
    module = standard_library().modules.get(name)
    return module if module is not None and module.hash == hash else None

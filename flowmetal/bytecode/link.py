"""Linking: the modules of an artifact and the libraries it requires by hash become one program.

ProgramTable is how images name the parts of such a program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal.bytecode.claims import Claims
from flowmetal.bytecode.fmc import Artifact, decode_artifact
from flowmetal.bytecode.heap import Copies, heap_of, link_heaps
from flowmetal.bytecode.layout import MODULES_MAX
from flowmetal.bytecode.open_tables import check_entries
from flowmetal.bytecode.program import Function, Module, Program
from flowmetal.bytecode.verify import BuiltinArity
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import ModuleOwner

#: Finds a library by name and hash, or gives None.
Libraries = Callable[[str, bytes], Module | None]


def no_libraries(name: str, hash: bytes) -> Module | None:
    """For an artifact that has all it needs."""
    return None


def link(artifact: Artifact, libraries: Libraries = no_libraries) -> Program:
    """The program of an artifact: its modules, main first, then all by name.

    Raises FlowmetalError B011 to B013, B015 where a library is missing, comes in two versions, lacks a global that is
    used, or is not what it is called.  Libraries are linked too, once for all programs that use them.
    """
    found: dict[str, Module] = dict(artifact.modules)
    users: dict[str, str] = dict.fromkeys(found, artifact.main)
    todo = list(found.values())
    while todo:
        module = todo.pop()
        for name, hash in module.requires.items():
            known = found.get(name)
            if known is None:
                known = libraries(name, hash)
                if known is None:
                    raise FlowmetalError("B011", module=module.name, library=name, hash=hash.hex()[:12])
                if known.hash != hash or known.name != name:
                    raise FlowmetalError(
                        "B015", library=name, hash=hash.hex()[:12], found=(known.hash or b"").hex()[:12] or known.name
                    )
                if len(found) >= MODULES_MAX:
                    raise FlowmetalError("B006", place="modules of the program", limit=MODULES_MAX)
                found[name], users[name] = known, module.name
                todo.append(known)
            elif known.hash != hash:
                raise FlowmetalError("B012", module=module.name, other=users[name], library=name)
    link_heaps(found.values(), found)
    for module in artifact.modules.values():
        for reference in module.references:
            if reference.name not in found[reference.module].globals:
                raise FlowmetalError("B013", module=module.name, name=reference.name, library=reference.module)
    names = [artifact.main, *sorted(name for name in found if name != artifact.main)]
    own = frozenset(artifact.modules)
    return Program({name: found[name] for name in names}, artifact.main, artifact.hash, own)


def verify_artifact(
    data: bytes, builtin_arity: BuiltinArity | None = None, libraries: Libraries | None = None
) -> Artifact:
    """Checks everything in an artifact now instead of at first use: codes, tables, values, references.

    Values can refer to the libraries, so they and the references are checked only if the libraries are given or none is
    required.  Raises the FlowmetalError of what is wrong first.
    """
    artifact = decode_artifact(data, builtin_arity)
    linked: Program | None = None
    if libraries is not None or not artifact.requires():
        linked = link(artifact, libraries or no_libraries)
    copies = Copies()
    claims = Claims(linked.modules) if linked is not None else None
    for module in artifact.modules.values():
        module.stored.check(values=linked is not None)
        if claims is not None:
            check_entries(module)
            copies.decoder(heap_of(module))
            claims.check(module, [copies.value(module, name) for name in module.stored.mutable_names])
    return artifact


class ProgramTable:
    """How images and event values name the functions and constants of a program: by module index and number.

    Implements the HashedModules protocol of the values.  Main is module 0, the others follow by name: the order follows
    from the program alone, so an index in an image means the same wherever the program is loaded.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        names = [program.main, *sorted(name for name in program.modules if name != program.main)]
        self.modules: list[Module] = [program.modules[name] for name in names if name in program.modules]
        self._indexes = {id(module): index for index, module in enumerate(self.modules)}

    def index_of(self, function: Function) -> tuple[int, int]:
        """(module index, function index); LookupError for a function of another program."""
        return self._indexes[id(function.module)], function.index

    def function(self, module_index: int, function_index: int) -> Function:
        """The function with these indexes; LookupError if there is none."""
        functions = self._module(module_index).functions
        if not 0 <= function_index < len(functions):
            raise LookupError(function_index)
        return functions[function_index]

    def constant_ref(self, value: Any) -> tuple[int, int] | None:
        """(module index, number) of a shared object of one of the modules, else None."""
        owner = value.owner
        if owner.__class__ is not ModuleOwner:
            return None
        index = self._indexes.get(id(owner.module))
        return None if index is None else (index, value.oid)

    def constant(self, module_index: int, number: int) -> Any:
        """The shared object with this number; LookupError if there is none."""
        module = self._module(module_index)
        if module.stored is None:
            raise LookupError(number)
        return heap_of(module).object(number)

    def code(self, module_index: int, code_index: int) -> Any:
        """The code with these indexes; LookupError if there is none."""
        codes = self._module(module_index).codes
        if not 0 <= code_index < len(codes):
            raise LookupError(code_index)
        return codes[code_index]

    def module_of(self, module: Module | None) -> int:
        """The index of a module; LookupError if it is not of this program."""
        return self._indexes[id(module)]

    def module_hash(self, module_index: int) -> bytes:
        """The hash of a module; LookupError if there is none."""
        hash = self._module(module_index).hash
        if hash is None:
            raise LookupError(module_index)
        return hash

    def module_index(self, hash: bytes) -> int | None:
        """The index of the module with this hash, or None."""
        for index, module in enumerate(self.modules):
            if module.hash == hash:
                return index
        return None

    def _module(self, index: int) -> Module:
        if not 0 <= index < len(self.modules):
            raise LookupError(index)
        return self.modules[index]

"""Artifacts: .fmc files, which hold the compiled modules of a program.

    magic, format version, machine version | table: manifest, one item a module | SHA-256 of all before | signatures

The hash at the end is the artifact's content hash, by which a store knows it.  Two builds of the same modules are equal
byte for byte.  Modules of libraries are named by hash and stay outside, unless they are bundled.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Any

from flowmetal.bytecode.encode import Encoded, Session
from flowmetal.bytecode.layout import FORMAT_VERSION, HASH_BYTES, MAGIC, MODULES_MAX
from flowmetal.bytecode.opcodes import MACHINE_VERSION
from flowmetal.bytecode.packing import pack_record, unpack_record
from flowmetal.bytecode.program import EffectSite, Global, Module, Program
from flowmetal.bytecode.signatures import content_end
from flowmetal.bytecode.stored import Stored
from flowmetal.bytecode.table import Table, pack_table
from flowmetal.bytecode.verify import BuiltinArity
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import Closure

_VERSIONS = struct.Struct("<HH")
_HEAD_BYTES = len(MAGIC) + _VERSIONS.size


@dataclass(frozen=True, slots=True)
class Export:
    """A public function of the main module, for tools."""

    name: str
    arities: tuple[tuple[int, bool], ...]  # parameters, variadic
    parameters: tuple[str, ...]
    doc: str | None
    contract: Any
    effects: tuple[str, ...]
    open: bool  # it may perform other effects too


@dataclass(frozen=True, slots=True)
class Artifact:
    """A decoded artifact.  Its modules are lazy; `link` makes a program of them."""

    hash: bytes
    name: str
    main: str
    modules: dict[str, Module]  # in the order in which they need each other

    def requires(self) -> dict[str, bytes]:
        """The libraries that are not inside, by name, with their hashes."""
        found: dict[str, bytes] = {}
        for module in self.modules.values():
            found.update({name: hash for name, hash in module.requires.items() if name not in self.modules})
        return dict(sorted(found.items()))

    def exports(self) -> list[Export]:
        """The public functions of the main module, in order of definition.

        If contracts or values refer to other modules, the artifact must have been linked (B201).
        """
        return [
            _export(found)
            for found in self.modules[self.main].globals.values()
            if not (found.private or found.macro) and found.value.__class__ is Closure
        ]

    def effects(self) -> dict[str, list[EffectSite]]:
        """The effects that the modules inside may perform, each with the call sites that make it possible."""
        found: dict[str, list[EffectSite]] = {}
        for module in self.modules.values():
            for site in module.effect_sites:
                found.setdefault(site.effect, []).append(site)
        return dict(sorted(found.items()))


def _export(found: Global) -> Export:
    function = found.value.function
    bodies = [function.module.codes[index] for index in function.codes]
    return Export(
        found.name,
        tuple((body.parameters, body.variadic) for body in bodies),
        found.parameters,
        found.doc,
        found.contract,
        function.effects,
        function.open,
    )


def encode_artifact(
    modules: Program | Iterable[Module],
    main: str | None = None,
    *,
    name: str | None = None,
    bundle: bool = False,
    strip: bool = False,
    builtin_arity: BuiltinArity | None = None,
) -> bytes:
    """The bytes of an artifact.

    Of a program its own modules go inside: those just compiled, or those that came in the program's own artifact; with
    `bundle` the libraries too.  Of a list of modules all go inside; main is the last one unless said otherwise.
    `strip` leaves out source text, spans and names of locals.  Errors: B1xx where a module is not what the machine
    runs, B301 where a value cannot be stored, B302 where a module is missing or they need each other in a circle.
    """
    if isinstance(modules, Program):
        program = modules
        main = program.main if main is None else main
        inside = [module for module in program.modules.values() if bundle or _is_own(module, program)]
    else:
        inside = list(modules)
        main = inside[-1].name if main is None and inside else main
    by_name = {module.name: module for module in inside}
    if main is None or main not in by_name:
        raise FlowmetalError("B302", module="the artifact", library=main, problem="is not among its modules")
    if len(inside) > MODULES_MAX:
        raise FlowmetalError("B006", place="modules of the artifact", limit=MODULES_MAX)
    session = Session(builtin_arity)
    done = [session.encode(module) for module in _in_order(by_name)]
    items = [pack_record(main, name or main), *(_module_item(encoded, strip) for encoded in done)]
    data = MAGIC + _VERSIONS.pack(FORMAT_VERSION, MACHINE_VERSION) + pack_table(items)
    return data + hashlib.sha256(data).digest()


def _is_own(module: Module, program: Program) -> bool:
    return module.stored is None or (bool(program.hash) and module.stored.artifact == program.hash)


def _module_item(encoded: Encoded, strip: bool) -> bytes:
    return pack_table((encoded.core, b"" if strip else encoded.debug))


def _in_order(by_name: dict[str, Module]) -> list[Module]:
    """Each module after those it requires, otherwise by name."""
    order: dict[str, Module] = {}
    opened: dict[str, None] = {}
    for name in sorted(by_name):
        stack = [name]
        while stack:
            top = stack[-1]
            below = sorted(
                required for required in by_name[top].requires if required in by_name and required not in order
            )
            below = [required for required in below if required != top]
            if top in order or not below:
                order.setdefault(top, by_name[top])
                opened.pop(top, None)
                stack.pop()
                continue
            opened[top] = None
            if below[0] in opened:
                raise FlowmetalError("B302", module=top, library=below[0], problem="needs it in turn")
            stack.append(below[0])
    return list(order.values())


def decode_artifact(data: bytes | bytearray | memoryview, builtin_arity: BuiltinArity | None = None) -> Artifact:
    """The artifact of these bytes, which are kept and must not change.

    Only the index is read; what is behind it is decoded and verified at its first use.  `builtin_arity` lets the
    verifier check calls of builtins.  Raises FlowmetalError B001 to B006, and later B1xx and B2xx, whatever the
    bytes are.
    """
    view = memoryview(data)
    if bytes(view[: len(MAGIC)]) != MAGIC:
        raise FlowmetalError("B001")
    view = view[: content_end(view)]
    if len(view) < _HEAD_BYTES + HASH_BYTES:
        raise FlowmetalError("B004")
    format_version, machine_version = _VERSIONS.unpack_from(view, len(MAGIC))
    if format_version != FORMAT_VERSION:
        raise FlowmetalError("B002", found=format_version, expected=FORMAT_VERSION)
    if machine_version > MACHINE_VERSION:
        raise FlowmetalError("B003", found=machine_version, expected=MACHINE_VERSION)
    content = bytes(view[-HASH_BYTES:])
    if hashlib.sha256(view[:-HASH_BYTES]).digest() != content:
        raise FlowmetalError("B004")
    table = Table(view[_HEAD_BYTES:-HASH_BYTES], "artifact")
    if not 2 <= len(table) <= MODULES_MAX + 1:
        raise FlowmetalError("B005", place="artifact", problem="has no modules, or too many")
    main, name = unpack_record(table[0], "manifest", str, str)
    modules: dict[str, Module] = {}
    for index in range(1, len(table)):
        place = f"module {index}"
        parts = Table(table[index], place)
        parts.only(2)
        module = Stored(parts[0], parts[1], builtin_arity, content, place).module
        if module.name in modules:
            raise FlowmetalError("B005", place=place, problem=f"is called {module.name}, as another is")
        modules[module.name] = module
    if main not in modules:
        raise FlowmetalError("B005", place="manifest", problem=f"names {main} as main, which is not inside")
    return Artifact(content, name, main, modules)


def strip_artifact(data: bytes) -> bytes:
    """The same artifact without source text, spans and names of locals; its modules keep their hashes."""
    artifact = decode_artifact(data)
    return encode_artifact(artifact.modules.values(), artifact.main, name=artifact.name, strip=True)

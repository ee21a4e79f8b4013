"""Modules as bytes: the core, whose hash names the module, and the debug part, which can be left out.

The same module gives the same bytes always: nothing depends on identity, on hash seeds or on what was encoded before,
and nothing is written into the objects of the module.  The layout is in layout.py.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flowmetal.bytecode.flat import pack_integers
from flowmetal.bytecode.layout import CORE, DEBUG, FLAGS, HASH_BYTES
from flowmetal.bytecode.packing import pack_record, pack_texts
from flowmetal.bytecode.program import UNBOUND, Function, Global, Module, captures_of
from flowmetal.bytecode.reach import Reach
from flowmetal.bytecode.records import Files, encode_code, encode_code_debug, encode_function, encode_spans
from flowmetal.bytecode.stored import Stored
from flowmetal.bytecode.table import pack_table
from flowmetal.bytecode.verify import BuiltinArity, verify_module
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import Closure, Encoder, LanguageError, LazySeq, Promise, Resumption, meta_of, pack, state_of

_FLAGS = ("private", "macro", "dynamic", "test")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A module as bytes."""

    module: Module
    core: bytes
    debug: bytes
    hash: bytes


class Session:
    """One writing of an artifact: its modules in the order in which they need each other."""

    def __init__(self, builtin_arity: BuiltinArity | None = None) -> None:
        self.builtin_arity = builtin_arity
        self.done: dict[str, Encoded] = {}
        #: id() of an object -> (its module, its number there, the object, which keeps the id taken).
        self.places: dict[int, tuple[Module, int, Any]] = {}
        #: id() of a function that is not decoded -> (its module, its number there).
        self.functions: dict[int, tuple[Module, int]] = {}

    def encode(self, module: Module) -> Encoded:
        """The bytes of a module; those it requires have come before.  Errors: B1xx, B301, B302."""
        stored: Stored | None = module.stored
        if stored is not None:
            result = Encoded(module, bytes(stored.core), bytes(stored.debug), stored.hash)
        else:
            verify_module(module, self.builtin_arity)
            core = _Core(module, self).encode()
            result = Encoded(module, core, _debug(module), hashlib.sha256(core).digest())
        self.done[module.name] = result
        return result

    def hash_of(self, name: str, user: Module, found: Module | None) -> bytes:
        """The hash under which `user` requires the module `name`."""
        done = self.done.get(name)
        if done is not None:
            return done.hash
        declared = user.requires.get(name, b"")
        if len(declared) == HASH_BYTES:
            return declared
        if found is not None and found.hash is not None:
            return found.hash
        raise FlowmetalError("B302", module=user.name, library=name, problem="is not compiled yet")


class _Core:
    """The encoding of one core.  It is also the module table that the encoder of values asks."""

    def __init__(self, module: Module, session: Session) -> None:
        self.module = module
        self.session = session
        self.names = sorted(name for name in module.requires if name != module.name)
        self.hashes = [session.hash_of(name, module, None) for name in self.names]
        for index, function in enumerate(module.functions):
            session.functions[id(function)] = (module, index)
        self.order = [index for function in module.functions for index in function.codes]

    def encode(self) -> bytes:
        module = self.module
        reach = Reach()
        shared = _HeapEncoder(self, len(module.functions))
        constants = []
        for index, constant in enumerate(module.constants):
            if reach.mutable(constant):
                raise FlowmetalError("B301", place=f"Constant {index} of {module.name}", problem="something mutable")
            constants.append(self.atom(shared, constant, f"Constant {index} of {module.name}"))
        rows: list[bytes | Global] = []
        for found in module.globals.values():
            own = found.value is not UNBOUND and reach.mutable(found.value)
            rows.append(found if own else self.global_record(found, shared, shared))
        own_objects = _HeapEncoder(self, shared.next_id)
        globals = [
            row if isinstance(row, bytes) else self.global_record(row, shared, own_objects, mutable=True)
            for row in rows
        ]
        states = self.states(own_objects)
        references = [self.index(reference.module) for reference in module.references]
        start, starts = 0, [0]
        for function in module.functions:
            start += len(function.codes)
            starts.append(start)
        # The header comes last: what was encoded may have brought modules that nothing else refers to.
        parts = {
            "names": pack_texts(list(module.globals)),
            "globals": pack_table(globals),
            "starts": pack_integers(starts),
            "functions": pack_table(self.function_record(function) for function in module.functions),
            "codes": pack_table(encode_code(module.codes[index]) for index in self.order),
            "references": pack_table(
                (pack_integers(references), pack_texts([reference.name for reference in module.references]))
            ),
            "constants": pack_table(constants),
            "shared": pack_table(map(pack, shared.records)),
            "own": pack_table(map(pack, own_objects.records)),
            "states": pack_table(states),
            "sites": pack_table(
                (
                    pack_texts([site.effect for site in module.effect_sites]),
                    pack_texts([site.function for site in module.effect_sites]),
                )
            ),
            "header": pack_record(module.name, pack_texts(self.names), b"".join(self.hashes)),
        }
        return pack_table(parts[name] for name in CORE)

    def function_record(self, function: Function) -> bytes:
        bodies = [self.module.codes[index] for index in function.codes]
        arities = [(body.parameters, body.variadic) for body in bodies]
        return encode_function(function, captures_of(function), arities)

    def global_record(self, found: Global, shared: _HeapEncoder, objects: _HeapEncoder, mutable: bool = False) -> bytes:
        flags = sum(FLAGS[flag] for flag in _FLAGS if getattr(found, flag)) + (FLAGS["mutable"] if mutable else 0)
        unbound = found.value is UNBOUND
        place = f"{self.module.name}/{found.name}"
        return pack_record(
            flags + (FLAGS["unbound"] if unbound else 0),
            found.doc,
            pack_texts(found.parameters),
            self.atom(shared, found.contract, f"The contract of {place}"),
            found.effect,
            self.atom(objects, None if unbound else found.value, place),
        )

    def states(self, own: _HeapEncoder) -> list[bytes]:
        """The states of the mutable objects, which may bring new objects, mutable ones too."""
        states: list[bytes] = []
        for mutable in own.mutables:  # grows on the way
            number = own.numbers[id(mutable)][0]
            place = f"The top level of {self.module.name}"
            if mutable.__class__ is Resumption:
                raise FlowmetalError("B301", place=place, problem="a continuation")
            if mutable.__class__ is Promise and mutable.state == "pending":
                raise FlowmetalError("B301", place=place, problem="a promise that is not settled")
            if mutable.__class__ is LazySeq and mutable.state == "running":
                raise FlowmetalError("B301", place=place, problem="a lazy sequence that is being realized")
            try:
                atoms = [own.atom(value) for value in state_of(mutable)]
            except LanguageError as error:
                raise FlowmetalError("B301", place=place, problem=error.error.message) from error
            states.append(pack([number, *atoms]))
        return states

    def atom(self, encoder: _HeapEncoder, value: Any, place: str) -> bytes:
        try:
            return pack(encoder.atom(value))
        except LanguageError as error:
            raise FlowmetalError("B301", place=place, problem=error.error.message) from error

    def index(self, name: str, found: Module | None = None) -> int:
        """The index by which this core refers to a module."""
        if name == self.module.name:
            return 0
        if name not in self.names:
            self.hashes.append(self.session.hash_of(name, self.module, found))
            self.names.append(name)
        place = self.names.index(name)
        if found is not None and found.hash is not None and found.hash != self.hashes[place]:
            raise FlowmetalError(
                "B302", module=self.module.name, library=name, problem="was compiled anew while it was in use"
            )
        return place + 1

    # What an encoder of values asks of its module table.

    def index_of(self, function: Function) -> tuple[int, int]:
        """The indexes of a function."""
        found = self.session.functions.get(id(function))
        if found is None:
            module = function.module
            if module is None or module.stored is None or module.name == self.module.name:
                place = f"The top level of {self.module.name}"
                raise FlowmetalError("B301", place=place, problem=f"{function.name}, which no module has any more")
            found = module, function.index
        return self.index(found[0].name, found[0]), found[1]

    def constant_ref(self, value: Any) -> tuple[int, int] | None:
        """Not asked: the encoder below finds objects of modules itself."""
        return None

    def function(self, module_index: int, function_index: int) -> Any:
        """Not asked when writing."""
        raise LookupError(function_index)

    def constant(self, module_index: int, number: int) -> Any:
        """Not asked when writing."""
        raise LookupError(number)


class _HeapEncoder(Encoder):
    """Writes objects of a module, remembering their numbers here and in the session instead of in the objects."""

    def __init__(self, core: _Core, next_id: int) -> None:
        super().__init__(self, next_id, core)
        self.core = core
        self.numbers: dict[int, tuple[int, Any]] = {}

    def _known(self, value: Any) -> list[Any] | None:
        own = self.numbers.get(id(value))
        if own is not None:
            return [own[0]]
        core = self.core
        if value.__class__ is Closure and not value.captures and meta_of(value) is None:
            module_index, function_index = core.index_of(value.function)
            return [module_index, "g", function_index]
        place = core.session.places.get(id(value))
        if place is not None:
            return [core.index(place[0].name, place[0]), "g", place[1]]
        # An object of a decoded module, shared or a copy for the process that compiles.
        module = getattr(value.owner, "module", None)
        if module.__class__ is Module and module.name != core.module.name:
            return [core.index(module.name, module), "g", value.oid]
        return None

    def _own(self, value: Any, number: int) -> None:
        self.numbers[id(value)] = (number, value)
        self.core.session.places[id(value)] = (self.core.module, number, value)


def _debug(module: Module) -> bytes:
    files = Files()
    order = [index for function in module.functions for index in function.codes]
    codes = pack_table([encode_code_debug(module.codes[index], files) for index in order])
    parts = {
        "codes": codes,
        "globals": encode_spans([found.span for found in module.globals.values()], files),
        "sites": encode_spans([site.span for site in module.effect_sites], files),
        "source": pack_record(module.file, module.source),
        "files": pack_texts(list(files.numbers)),  # last: the others name them
    }
    return pack_table(parts[name] for name in DEBUG)

"""The objects of a decoded module: those that all processes share, and those of which each process has a copy.

Shared objects are decoded together when the first of them is asked, after those of the modules they may refer to; their
owner is a ModuleOwner, so that images refer to them instead of holding them.  Copies are ordinary objects of a process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowmetal.bytecode.program import Function, Module, Program, captures_of
from flowmetal.bytecode.table import Table
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import (
    Closure,
    CodecError,
    Decoder,
    LazySeq,
    ModuleOwner,
    Mutable,
    Resumption,
    set_state,
    unpack,
)

_MUTABLE = (Mutable, LazySeq)


class CopyOwner:
    """The owner of a process's copy of a module's own objects; `oid` is the number in the module.

    Only a process that compiles needs it: it tells that a value to be stored is the object of another module.
    """

    __slots__ = ("module",)

    def __init__(self, module: Module) -> None:
        self.module = module


class ModuleHeap:
    """The objects of one module by number, see layout.py."""

    def __init__(self, module: Module, shared: Table, own: Table, states: Table) -> None:
        self.module = module
        self.first = len(module.functions)
        self.own_start = self.first + len(shared)
        self.own = own
        self.states = states
        self.links: tuple[Module, ...] | None = None  # itself and the modules it requires; set when it is linked
        self._shared = shared
        self._closures: dict[int, Closure] = {}
        self._owner = ModuleOwner(module)
        self._plain = Decoder(None, _SharedTable(self))  # for atoms that refer to no object of this module
        #: The decoder with the shared objects, once there is one.  A dict, whose setdefault lets one of several threads
        #: that decode at once win, before any of them has given an object out.
        self._decoders: dict[str, Decoder] = {}

    def value(self, data: memoryview, place: str) -> Any:
        """The value of the bytes of an atom.  Errors: B201, B202."""
        atom = _unpack(data, place)
        return _value(self.load() if _is_own(atom) else self._plain, atom, place)

    def object(self, number: int) -> Any:
        """The shared object with a number; LookupError if there is none."""
        if 0 <= number < self.first:
            return self._closure(number)
        if not self.first <= number < self.own_start:
            raise LookupError(number)
        return self.load().objects[number]

    def linked(self, index: int) -> Module:
        """The module that this one refers to by an index; LookupError if it is not known."""
        if index == 0:
            return self.module
        if self.links is None or not 0 < index < len(self.links):
            raise LookupError(index)
        return self.links[index]

    def load(self) -> Decoder:
        """The decoder with the shared objects, which have been decoded after those of required modules.

        Without recursion: programs may have many modules.
        """
        found = self._decoders.get("shared")
        if found is not None:
            return found
        stack = [self]
        while stack:
            heap = stack[-1]
            below = [] if heap._decoders else [found for found in heap.below() if not found._decoders]
            if below:
                stack.extend(below)
                continue
            stack.pop()
            if not heap._decoders:
                heap._decoders.setdefault("shared", heap._decode_shared())
        return self._decoders["shared"]

    def below(self) -> list[ModuleHeap]:
        """The heaps of the modules it requires.  There are no cycles, since a module's hash covers what it requires."""
        return [heap_of(module) for module in (self.links or ())[1:]]

    def copy(self, copies: Copies) -> Decoder:
        """A copy of the own objects; those of required modules are in `copies` already."""
        place = f"{self.module.name}, own objects"
        decoder = Decoder(CopyOwner(self.module), _CopyTable(self, copies))
        self._add(decoder, self.own_start, self.own, place)
        waiting = {number for number, found in decoder.objects.items() if isinstance(found, _MUTABLE)}
        for index in range(len(self.states)):
            row = _unpack(self.states[index], place)
            number = row[0] if row.__class__ is list and row else None
            if number.__class__ is not int or number not in waiting:
                raise FlowmetalError("B201", place=place, problem="a state belongs to no object")
            waiting.remove(number)
            found = decoder.objects[number]
            try:
                set_state(found, [decoder.value(atom) for atom in row[1:]])
            except CodecError as error:
                raise FlowmetalError("B201", place=place, problem=error.problem) from error
            if found.__class__ is Resumption or getattr(found, "state", "") in ("pending", "running"):
                raise FlowmetalError("B202", place=place, problem="it waits for a process that is gone")
        if waiting:
            raise FlowmetalError("B201", place=place, problem="an object has no state")
        return decoder

    def _closure(self, number: int) -> Closure:
        found = self._closures.get(number)
        if found is None:
            function = self.module.functions[number]
            if captures_of(function):
                raise LookupError(number)
            made = Closure(function)
            made.owner, made.oid = self._owner, number
            found = self._closures.setdefault(number, made)
        return found

    def _decode_shared(self) -> Decoder:
        place = f"{self.module.name}, shared objects"
        decoder = Decoder(self._owner, _SharedTable(self))
        self._add(decoder, self.first, self._shared, place)
        if any(isinstance(found, _MUTABLE) for found in decoder.objects.values()):
            raise FlowmetalError("B202", place=place, problem="something mutable")
        return decoder

    def _add(self, decoder: Decoder, first: int, table: Table, place: str) -> None:
        records = [_unpack(table[index], place) for index in range(len(table))]
        try:
            decoder.add(first, records)
        except CodecError as error:
            raise FlowmetalError("B201", place=place, problem=error.problem) from error
        for found in decoder.objects.values():
            if found.__class__ is Closure and len(found.captures) != captures_of(found.function):
                raise FlowmetalError("B111", place=place, wanted=captures_of(found.function), found=len(found.captures))


def heap_of(module: Module) -> ModuleHeap:
    """The heap of a decoded module."""
    heap: ModuleHeap = module.stored.heap
    return heap


class Copies:
    """The copies one process has of the own objects of its modules, made together, so that what is shared stays so."""

    def __init__(self) -> None:
        self._decoders: dict[int, Decoder] = {}

    def decoder(self, heap: ModuleHeap) -> Decoder:
        """The decoder with the copies of a module, made now if need be, after those of the modules it requires."""
        stack = [heap]
        while stack:
            top = stack[-1]
            below = [found for found in top.below() if id(found) not in self._decoders]
            if below and id(top) not in self._decoders:
                stack.extend(below)
                continue
            stack.pop()
            if id(top) not in self._decoders:
                self._decoders[id(top)] = top.copy(self)
        return self._decoders[id(heap)]

    def value(self, module: Module, name: str) -> Any:
        """The copy of the value of a mutable global.  Errors: B201, B202."""
        place = f"{module.name}/{name}"
        return _value(self.decoder(heap_of(module)), _unpack(module.stored.global_value(name), place), place)


def instantiate(program: Program) -> dict[tuple[str, str], Any]:
    """A fresh copy of every mutable global of a program, by (module, name); what they share, the copies share.

    The objects have no owner that an image knows, so an image writes them like any other object of its process.
    """
    copies = Copies()
    return {
        (module.name, name): copies.value(module, name)
        for module in program.modules.values()
        if module.stored is not None
        for name in module.stored.mutable_names
    }


def instantiate_global(module: Module, name: str) -> Any:
    """A fresh copy of one mutable global of a decoded module, sharing nothing with other copies."""
    return Copies().value(module, name)


def _unpack(data: memoryview, place: str) -> Any:
    try:
        return unpack(bytes(data))
    except CodecError as error:
        raise FlowmetalError("B201", place=place, problem=error.problem) from error


def _is_own(atom: Any) -> bool:
    """Whether an atom refers to an object of its own module."""
    return atom.__class__ is list and len(atom) == 1


def _value(decoder: Decoder, atom: Any, place: str) -> Any:
    try:
        return decoder.value(atom)
    except CodecError as error:
        raise FlowmetalError("B201", place=place, problem=error.problem) from error


class _SharedTable:
    """How shared objects refer to functions and to shared objects of other modules."""

    def __init__(self, heap: ModuleHeap) -> None:
        self.heap = heap

    def index_of(self, function: Any) -> tuple[int, int]:
        """Not asked when reading."""
        raise LookupError

    def constant_ref(self, value: Any) -> tuple[int, int] | None:
        """Not asked when reading."""
        raise LookupError

    def function(self, module_index: int, function_index: int) -> Function:
        """The function with these indexes."""
        functions = self.heap.linked(module_index).functions
        if not 0 <= function_index < len(functions):
            raise LookupError(function_index)
        return functions[function_index]

    def constant(self, module_index: int, number: int) -> Any:
        """A closure without captures of any module, or a shared object of another one."""
        module = self.heap.linked(module_index)
        if module is self.heap.module and number >= self.heap.first:
            raise LookupError(number)
        return heap_of(module).object(number)


class _CopyTable(_SharedTable):
    """How own objects refer to functions, to shared objects, and to the copies of own objects of other modules."""

    def __init__(self, heap: ModuleHeap, copies: Copies) -> None:
        super().__init__(heap)
        self.copies = copies

    def constant(self, module_index: int, number: int) -> Any:
        """A shared object of any module, or this process's copy of an own object of another one."""
        module = self.heap.linked(module_index)
        heap = heap_of(module)
        if number < heap.own_start or heap is self.heap:
            return heap.object(number)
        return self.copies.decoder(heap).objects[number]


def link_heaps(modules: Iterable[Module], by_name: dict[str, Module]) -> None:
    """Tells each module which modules it refers to by index."""
    for module in modules:
        heap = heap_of(module)
        if heap.links is None:
            heap.links = (module, *(by_name[name] for name in module.requires))

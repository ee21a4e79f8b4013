"""What an artifact may perform, and where: read from its code, whatever its author says of it.

A place is a `perform` in the artifact's own code, or where that names something that performs: a `defeffect`, or a
function of a library.  Functions that a program calls without knowing them are functions of the program or its
libraries, all of which are looked at, so only an effect whose name is computed can be one that is not listed; those
places are listed too, without an effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flowmetal.bytecode.fmc import Artifact
from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import PER_PROCESS, UNBOUND, Code, Function, Global, Module, Program
from flowmetal.bytecode.shape import SHAPES, register_written
from flowmetal.compiler.reachable import MUTABLE, parts_of, walk
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics.span import Span
from flowmetal.values import Closure, Keyword

#: Instructions that name a global, and where in them it stands.
_NAMING = {Op.global_: 2, Op.dynamic: 2, Op.call_global: 2, Op.tail_call_global: 1}
_PERFORMING = (Op.perform, Op.request)

#: Registers with a constant that are kept track of, those of which it was last written; they are copied at each jump.
#: What is forgotten counts as computed.
KNOWN_MAX = 32

#: Values that are looked through for functions of libraries; whoever holds what was not may perform anything.
VALUES_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where an effect comes from.  `effect` None: its name is computed.  `through`: what is named there, or None."""

    effect: str | None
    function: str
    span: Span | None
    through: str | None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        where = str(self.span) if self.span is not None else None
        return {"function": self.function, "place": where, "through": self.through}


class _Reader:
    """Looks through the modules of an artifact; what libraries perform is found out once for each function."""

    def __init__(self, artifact: Artifact, program: Program, own: Iterable[Module]) -> None:
        self.program = program
        self.own = {module.name for module in own}
        self.found: dict[Place, None] = {}
        self._outside: dict[int, tuple[frozenset[str], bool]] = {}
        self._looked: dict[int, tuple[Any, list[Function] | None]] = {}  # by id of a value, which is kept alive
        self._values = 0

    def module(self, module: Module) -> None:
        """Adds the places of a module."""
        defining = {
            found.value.function.index
            for found in module.globals.values()
            if found.effect is not None and found.value.__class__ is Closure
        }
        for function in module.functions:
            if function.index in defining:
                continue
            for effect, span in performed_in(function):
                self.found[Place(effect, function.name, span, None)] = None
            for definition, name, span in self._named_in(function):
                self._through(definition, name, function.name, span)
            for span, values in _constants_in(function):
                self._held(values, function.name, span)
        for found in module.globals.values():
            if found.value is not UNBOUND and found.value is not PER_PROCESS and found.effect is None:
                self._held([found.value], f"{module.name}/{found.name}", found.span)
        listed = {(place.effect, place.function) for place in self.found}
        for site in module.effect_sites:  # what the compiler found in values that each process has of its own
            if (site.effect, site.function) not in listed:
                self.found[Place(site.effect, site.function, site.span, None)] = None

    def _named_in(self, function: Function) -> Iterator[tuple[Global, str, Span | None]]:
        module = function.module
        assert module is not None
        for index in function.codes:
            code = module.codes[index]
            for at, instruction in enumerate(code.instructions):
                position = _NAMING.get(instruction[0])
                if position is None:
                    continue
                reference = module.references[instruction[position]]
                found = self.program.lookup(reference.module, reference.name)
                if found is not None and (found.effect is not None or reference.module not in self.own):
                    yield found, f"{reference.module}/{reference.name}", _span(code, at)

    def _through(self, definition: Global, name: str, function: str, span: Span | None) -> None:
        if definition.effect is not None:
            self.found[Place(definition.effect, function, span, name)] = None
            return
        if definition.value is not UNBOUND and definition.value is not PER_PROCESS:
            self._functions([definition.value], name, function, span)

    def _held(self, values: Iterable[Any], function: str, span: Span | None) -> None:
        """Functions of libraries that a value holds: whoever has the value may call them."""
        self._functions(values, None, function, span)

    def _functions(self, values: Iterable[Any], name: str | None, function: str, span: Span | None) -> None:
        for value in values:
            held = self._held_by(value)
            if held is None:
                self.found[Place(None, function, span, name)] = None
                continue
            for one in held:
                effects, computed = self._of(one)
                for effect in sorted(effects):
                    self.found[Place(effect, function, span, name or one.name)] = None
                if computed:
                    self.found[Place(None, function, span, name or one.name)] = None

    def _held_by(self, value: Any) -> list[Function] | None:
        """The functions of libraries that a value holds; None where too many values have been looked through."""
        known = self._looked.get(id(value))
        if known is not None:
            return known[1]
        if value.__class__ is not Closure and value.__class__ not in MUTABLE and not parts_of(value):
            return []
        functions: list[Function] = []
        found: list[Function] | None = functions
        for one in walk([value], set()):
            self._values += 1
            if self._values > VALUES_MAX:
                found = None
                break
            if one.__class__ is Closure and one.function.module.name not in self.own:
                functions.append(one.function)
        self._looked[id(value)] = value, found
        return found

    def _of(self, function: Function) -> tuple[frozenset[str], bool]:
        """What a library function and all that it names may perform; whether it also computes names of effects."""
        known = self._outside.get(id(function))
        if known is not None:
            return known
        effects: set[str] = set(function.effects)
        computed = False
        seen = {id(function)}
        todo = [function]
        while todo:
            one = todo.pop()
            computed = computed or any(effect is None for effect, _ in performed_in(one))
            for other in self._next(one):
                if id(other) not in seen:
                    seen.add(id(other))
                    todo.append(other)
        found = self._outside[id(function)] = (frozenset(effects), computed)
        return found

    def _next(self, function: Function) -> Iterator[Function]:
        module = function.module
        assert module is not None
        for index in function.codes:
            for instruction in module.codes[index].instructions:
                if instruction[0] == Op.closure:
                    yield module.functions[instruction[2]]
                elif instruction[0] == Op.sibling:
                    yield module.functions[instruction[3]]
                elif (position := _NAMING.get(instruction[0])) is not None:
                    reference = module.references[instruction[position]]
                    found = self.program.lookup(reference.module, reference.name)
                    if found is not None and found.value.__class__ is Closure:
                        yield found.value.function


def performed_in(function: Function) -> Iterator[tuple[str | None, Span | None]]:
    """The effects that the code of a function itself asks for; None for one whose name is computed."""
    module = function.module
    assert module is not None
    for index in function.codes:
        code = module.codes[index]
        if not any(instruction[0] in _PERFORMING for instruction in code.instructions):
            continue
        yield from _performed(module, code)


def _performed(module: Module, code: Code) -> Iterator[tuple[str | None, Span | None]]:
    """Jumps go forward but to loop heads, so one pass sees every way to an instruction before it comes to it."""
    caught = {row.target for row in code.tries}
    known: dict[int, Any] | None = {}  # registers that hold a constant on every way to here; None: there is no way
    pending: dict[int, dict[int, Any]] = {}
    for at, instruction in enumerate(code.instructions):
        before = pending.pop(at, None)
        if before is not None:
            known = before if known is None else _common(known, before)
        if known is None or at in caught or instruction[0] == Op.loop:
            known = {}
        if instruction[0] in _PERFORMING:
            name = known.get(instruction[2])
            yield (name.text if name.__class__ is Keyword else None), _span(code, at)
        written = register_written(instruction)
        if written is not None:
            value = known.get(instruction[2]) if instruction[0] == Op.move else None
            known.pop(written, None)
            if instruction[0] == Op.constant:
                value = module.constants[instruction[2]]
            if value.__class__ is Keyword:
                known[written] = value
                if len(known) > KNOWN_MAX:
                    del known[next(iter(known))]
        shape = SHAPES[instruction[0]]
        if shape.label:
            target = instruction[shape.label]
            pending[target] = _common(pending[target], known) if target in pending else dict(known)
        if shape.ends:
            known = None


def _common(one: dict[int, Any], other: dict[int, Any]) -> dict[int, Any]:
    return {register: value for register, value in one.items() if other.get(register) is value}


def _constants_in(function: Function) -> Iterator[tuple[Span | None, list[Any]]]:
    module = function.module
    assert module is not None
    for index in function.codes:
        code = module.codes[index]
        for at, instruction in enumerate(code.instructions):
            if instruction[0] == Op.constant:
                yield _span(code, at), [module.constants[instruction[2]]]


def _span(code: Any, at: int) -> Span | None:
    return code.spans[at] if at < len(code.spans) else None


def places_of(artifact: Artifact, program: Program, libraries: Iterable[Module]) -> list[Place]:
    """The places of an artifact by effect, computed ones last.  `libraries`: modules that are not the author's."""
    known = {module.hash for module in libraries}
    own = [module for module in artifact.modules.values() if module.hash not in known]
    reader = _Reader(artifact, program, own)
    for module in own:
        reader.module(module)
    return sorted(
        reader.found,
        key=lambda place: (
            place.effect is None,
            place.effect or "",
            str(place.span or ""),
            place.function,
            place.through or "",
        ),
    )

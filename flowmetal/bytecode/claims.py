"""Claims: what functions say they may perform, checked against what their code does.

A function says which effects it may perform, and whether it also runs what is not known before (`open`).  The claims
of a module are checked one function at a time, each against what its own instructions perform and against the claims of
the functions that it names: if all claims hold in that way, none says less than the truth, whatever calls whatever.
Naming counts as calling, and making a closure counts as calling it, less the effects that a `handle` around it answers.
Time is linear in the code and in the values; sets of effects are bit masks.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from flowmetal.bytecode.known import Known
from flowmetal.bytecode.liveness import read_after
from flowmetal.bytecode.opcodes import BY_NUMBER, REGION_KINDS, Op
from flowmetal.bytecode.program import PER_PROCESS, UNBOUND, Code, Function, Global, Instruction, Module
from flowmetal.bytecode.shape import jump_target, register_written
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import Cell, Closure, Heap, Keyword, LazySeq, Promise, Resumption, children_of, meta_of

OPEN = 1  # the bit for what is not known
EFFECTS_MAX = 4096  # names of effects in the modules of one artifact and what they name; a mask has a bit for each

_HANDLE = next(kind for kind, (name, _) in REGION_KINDS.items() if name == "handle")
_MUTABLE = (Cell, LazySeq, Promise, Resumption)

#: Where an instruction has the register of what it calls.
_CALLEE = {Op.call: 2, Op.tail_call: 1, Op.apply: 2, Op.tail_apply: 1, Op.async_: 2}
_NAMES = {Op.global_: 2, Op.dynamic: 2, Op.call_global: 2, Op.tail_call_global: 1}
_MADE = {Op.closure: 2, Op.sibling: 3}

#: What loads a value whose functions are counted where it is named.
_VALUES = frozenset({Op.constant, Op.global_, Op.closure, Op.sibling})

#: What may stand between the making of a closure and the map or region that takes it.
_BETWEEN = frozenset({Op.nil, Op.true, Op.false, Op.integer, Op.constant, Op.closure, Op.sibling, Op.global_, Op.move})


class Claims:
    """Checks the claims of linked modules.  One object for all modules of an artifact."""

    def __init__(self, modules: dict[str, Module]) -> None:
        self.modules = modules
        self._bits: dict[str, int] = {}
        self._names: list[str] = [""]
        self._masks: dict[int, tuple[int, Function]] = {}
        self._conditional: dict[int, tuple[bool, Function]] = {}
        self._inside: dict[int, tuple[int, Any]] = {}

    # ---- what is claimed -----------------------------------------------------------------------------------------

    def bit(self, effect: str) -> int:
        """The bit of an effect.  FlowmetalError B006."""
        found = self._bits.get(effect)
        if found is None:
            if len(self._names) > EFFECTS_MAX:
                raise FlowmetalError("B006", place="names of effects", limit=EFFECTS_MAX)
            found = self._bits[effect] = 1 << len(self._names)
            self._names.append(effect)
        return found

    def claimed(self, function: Function) -> int:
        """What a function says it may perform."""
        found = self._masks.get(id(function))
        if found is None:
            mask = OPEN if function.open else 0
            for effect in function.effects:
                mask |= self.bit(effect)
            found = self._masks[id(function)] = (mask, function)
        return found[0]

    def conditional(self, function: Function) -> bool:
        """Whether a function is not open only because it calls its last parameter, the `resume` of a clause.

        That is so where it is a clause of a `handle`; who does something else with it is open, and no value holds it.
        """
        if function.open:
            return False
        found = self._conditional.get(id(function))
        if found is None:
            assert function.module is not None
            codes = [function.module.codes[index] for index in function.codes]
            answer = any(_resume(code) >= 0 and _calls(code, _resume(code)) for code in codes)
            found = self._conditional[id(function)] = (answer, function)
        return found[0]

    def inside(self, value: Any) -> int:
        """What the functions inside a value say they may perform, together."""
        if not isinstance(value, Heap):
            return 0
        known = self._inside
        done = known.get(id(value))
        if done is not None:
            return done[0]
        stack: list[tuple[Any, list[Any]]] = []
        part: Any = value
        while True:
            if part is not None and id(part) not in known:
                known[id(part)] = (self._itself(part), part)
                stack.append((part, _parts(part)))
            top, parts = stack[-1]
            part = None
            while parts and part is None:
                next_part = parts[-1]
                if id(next_part) in known:
                    known[id(top)] = (known[id(top)][0] | known[id(next_part)][0], top)
                    parts.pop()
                else:
                    part = next_part
            if part is None:
                stack.pop()
                if not stack:
                    return known[id(value)][0]

    def _itself(self, value: Any) -> int:
        if value.__class__ is Closure:
            if self.conditional(value.function):
                raise FlowmetalError("B124", place=value.function.name)
            return self.claimed(value.function)
        return OPEN if isinstance(value, _MUTABLE) else 0

    def named(self, found: Global | None) -> int:
        """What naming a global may run."""
        if found is None or found.value is UNBOUND or found.value is PER_PROCESS:
            return OPEN
        return self.inside(found.value) | (OPEN if found.dynamic else 0)

    # ---- the check -----------------------------------------------------------------------------------------------

    def check(self, module: Module, values: Iterable[Any] = ()) -> None:
        """Checks one module; `values` are those of its globals of which each process has its own.

        FlowmetalError B123, B124, B125.
        """
        own = {}
        declared = held = 0
        for found in module.globals.values():
            value = found.value
            inside = self.inside(value) if value is not UNBOUND and value is not PER_PROCESS else 0
            held |= inside
            if found.effect is not None:
                declared |= self.bit(found.effect)
                self._claim(inside, OPEN | self.bit(found.effect), f"{module.name}/{found.name}", "B125")
                if value.__class__ is Closure:
                    own[id(value.function)] = found
        sites: dict[str, int] = {}
        for site in module.effect_sites:
            sites[site.function] = sites.get(site.function, 0) | self.bit(site.effect)
        for function in module.functions:
            claim, listed = self.claimed(function), -1
            if id(function) not in own:
                listed = sites.get(function.name, 0) | OPEN
            held |= claim
            for index in function.codes:
                _Body(self, module, function, module.codes[index], claim, listed).run()
        for value in values:
            held |= self.inside(value)
        for mask in sites.values():
            declared |= mask
        self._claim(held & ~OPEN, declared, module.name, "B125")

    def _claim(self, needed: int, claim: int, place: str, code: str = "B123") -> None:
        missing = needed & ~claim
        if missing == 0:
            return
        if missing & OPEN:
            raise FlowmetalError("B124", place=place)
        name = self._names[(missing & -missing).bit_length() - 1]
        raise FlowmetalError(code, place=place, effect=name)

    def performed(self, needed: int, claim: int, listed: int, place: str) -> None:
        """Checks what an instruction brings against the function's claim and the module's list of call sites."""
        if needed & ~claim:
            self._claim(needed, claim, place)
        if needed & ~listed & ~OPEN:
            self._claim(needed & ~OPEN, listed, place, "B125")


class _Body:
    """One pass over a code."""

    def __init__(self, claims: Claims, module: Module, function: Function, code: Code, claim: int, listed: int) -> None:
        self.claims = claims
        self.module = module
        self.function = function
        self.code = code
        self.claim = claim
        self.listed = listed
        self.known = Known(code)
        self.resume = -1 if function.open else _resume(code)
        self._keys: dict[int, list[str]] = {}  # instruction that makes a map -> the effects among its keys

    def run(self) -> None:
        claims, instructions = self.claims, self.code.instructions
        for index, instruction in self.known.steps():
            number = instruction[0]
            needed = listed = 0
            if number == Op.constant:
                needed = claims.inside(self.module.constants[instruction[2]])
            elif number in _NAMES:
                needed, listed = self._named(instruction[_NAMES[number]])
            elif number in _MADE:
                needed = self._made(index, instruction, self.module.functions[instruction[_MADE[number]]])
            elif number == Op.map:
                self._keys[index] = self._clauses(instruction[2])
            elif number in (Op.perform, Op.request):
                needed = listed = self._performed(instruction[2])
            if number in _CALLEE:
                register = instruction[_CALLEE[number]]
                if register != self.resume or number == Op.async_:
                    needed |= self._called(register)
            elif number == Op.region:
                needed |= self._called(instruction[4])
            if needed & ~self.claim or listed & ~self.listed & ~OPEN:
                name = BY_NUMBER[instructions[index][0]].name
                place = f"{self.code.name}, instruction {index} ({name})"
                claims.performed(needed, self.claim, -1, place)
                claims.performed(listed, -1, self.listed, place)

    def _named(self, index: int) -> tuple[int, int]:
        """What naming a global may run, and of that what must be in the list of call sites."""
        claims = self.claims
        reference = self.module.references[index]
        owner = claims.modules.get(reference.module)
        found = None if owner is None else owner.globals.get(reference.name)
        needed = claims.named(found)
        if found is not None and found.effect is not None:
            return needed, claims.bit(found.effect)
        return needed, 0 if reference.module == self.module.name else needed

    def _performed(self, register: int) -> int:
        writer = self.known.writer(register)
        if writer >= 0 and self.code.instructions[writer][0] == Op.constant:
            effect = self.module.constants[self.code.instructions[writer][2]]
            if effect.__class__ is Keyword:
                return self.claims.bit(effect.text)
        return OPEN

    def _clauses(self, items: tuple[int, ...]) -> list[str]:
        """The keywords among the keys of a map that stand for a function that is made here."""
        instructions = self.code.instructions
        found = []
        for key, clause in zip(items[::2], items[1::2], strict=True):
            writer, maker = self.known.writer(key), self.known.writer(clause)
            if min(writer, maker) < 0 or instructions[maker][0] != Op.closure:
                continue
            if instructions[writer][0] == Op.constant:
                value = self.module.constants[instructions[writer][2]]
                if value.__class__ is Keyword:
                    found.append(value.text)
        return found

    def _called(self, register: int) -> int:
        """What is counted already where it was named needs no more."""
        writer = self.known.writer(register)
        return 0 if writer >= 0 and self.code.instructions[writer][0] in _VALUES else OPEN

    # ---- handlers ------------------------------------------------------------------------------------------------

    def _made(self, index: int, instruction: Instruction, function: Function) -> int:
        """What making a closure brings: all its function may perform, less what a `handle` around the call answers."""
        claims = self.claims
        needed = claims.claimed(function)
        if instruction[0] == Op.closure:
            if needed & ~OPEN and self._is_body(index, instruction[1]):
                needed &= ~self._answered(self.code.instructions[index + 1][3])
            if not needed & OPEN and claims.conditional(function) and self._is_clause(index, instruction[1]):
                return needed
        return needed | (OPEN if claims.conditional(function) else 0)

    def _is_body(self, index: int, register: int) -> bool:
        """Whether the closure made here is the body of the `handle` right behind, and nothing else."""
        instructions = self.code.instructions
        if index + 1 >= len(instructions):
            return False
        region = instructions[index + 1]
        return (
            region[0] == Op.region
            and region[2] == _HANDLE
            and region[4] == register
            and region[3] != register
            and index + 1 not in self._joins
            and not read_after(self.code, index + 1) >> register & 1
        )

    def _answered(self, data: int) -> int:
        """The effects that the map in a register, made here, has clauses for."""
        found = 0
        for effect in self._keys.get(self.known.writer(data), ()):
            found |= self.claims.bit(effect)
        return found

    def _is_clause(self, index: int, register: int) -> bool:
        """Whether the closure made here goes into the map of a `handle` as a clause, and nowhere else."""
        instructions = self.code.instructions
        place = self._taken_by(index, register)
        if place < 0 or instructions[place][0] != Op.map:
            return False
        _, made, items = instructions[place]
        if items.count(register) != 1 or items.index(register) % 2 == 0:
            return False
        region = self._taken_by(place, made)
        return (
            region >= 0
            and instructions[region][:1] + instructions[region][2:4] == (Op.region, _HANDLE, made)
            and (instructions[region][4] != made)
        )

    def _taken_by(self, index: int, register: int) -> int:
        """The one instruction that reads what was just written, if control comes to it straight; else -1."""
        place = self.known.next_use.get(index, -1)
        if place < 0 or self._straight[index + 1] != place or read_after(self.code, place) >> register & 1:
            return -1
        return place

    @cached_property
    def _joins(self) -> frozenset[int]:
        """Where control may come from elsewhere than the instruction before."""
        targets = (jump_target(instruction) for instruction in self.code.instructions)
        return frozenset([*(row.target for row in self.code.tries), *(one for one in targets if one is not None)])

    @cached_property
    def _straight(self) -> list[int]:
        """For each instruction the first, from it on, that may do more than load something, or is jumped to."""
        instructions = self.code.instructions
        found = [*range(len(instructions) + 1)]
        for index in range(len(instructions) - 2, -1, -1):
            if instructions[index][0] in _BETWEEN and index not in self._joins:
                found[index] = found[index + 1]
        return found


def _resume(code: Code) -> int:
    """The register of the last parameter, which in a clause is `resume`; -1 where it is written, or there is none."""
    register = code.parameters - 1
    if register < 0 or code.variadic or any(row.register == register for row in code.tries):
        return -1
    return -1 if any(register_written(instruction) == register for instruction in code.instructions) else register


def _calls(code: Code, register: int) -> bool:
    return any(
        instruction[0] in _CALLEE and instruction[0] != Op.async_ and instruction[_CALLEE[instruction[0]]] == register
        for instruction in code.instructions
    )


def _parts(value: Any) -> list[Any]:
    parts = [part for part in children_of(value) or () if isinstance(part, Heap)]
    meta = meta_of(value)
    return parts if meta is None else [*parts, meta]

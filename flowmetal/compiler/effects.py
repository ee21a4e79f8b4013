"""Effects: which effects a function may perform, and whether it also calls what is not known before it runs.

A function may do what it performs itself, what the globals it names may do, and what the closures it makes may do, less
what a `handle` around them answers.  All of it is an upper bound: naming counts as calling.
"""

from __future__ import annotations

from flowmetal.bytecode.program import UNBOUND, EffectSite, Function, Reference
from flowmetal.compiler.building import Builder
from flowmetal.compiler.reachable import MUTABLE, walk
from flowmetal.values import Closure


class _Analysis:
    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.module = builder.module
        self.effects: list[set[str]] = [set(facts.effects) for facts in builder.facts]
        self.open: list[bool] = [facts.open for facts in builder.facts]
        self.callees: list[list[int]] = [[] for _ in builder.facts]  # own functions named as a value or a global
        self._meanings: dict[Reference, tuple[list[Function], bool]] = {}

    def run(self) -> None:
        """Fills in `effects` and `open` of every function, and the module's effect sites."""
        for index, facts in enumerate(self.builder.facts):
            for reference in facts.references:
                functions, unknown = self._meaning(reference)
                self._edges(index, functions, unknown)
            if facts.constants:
                self._edges(index, *_functions_in(facts.constants))
        self._spread()
        for index, function in enumerate(self.module.functions):
            function.effects = tuple(sorted(self.effects[index]))
            function.open = self.open[index]
        self.module.effect_sites[:] = self._sites()

    def _sites(self) -> list[EffectSite]:
        """Where effects come into the module: `perform`, the naming of an effect or of a library function with some,
        and values that hold such functions.
        """
        own = {
            definition.value.function.index
            for definition in self.module.globals.values()
            if definition.effect is not None and definition.value.__class__ is Closure
        }
        found: dict[EffectSite, None] = {}
        for index, (function, facts) in enumerate(zip(self.module.functions, self.builder.facts, strict=True)):
            if index in own:
                continue
            found.update(dict.fromkeys(facts.sites))
            for reference, span in facts.named:
                for effect in self._brings(reference):
                    found[EffectSite(effect, function.name, span)] = None
            for effect in self._held(facts.constants):
                found[EffectSite(effect, function.name, None)] = None
        for name, definition in self.module.globals.items():
            if definition.effect is None and definition.value is not UNBOUND:
                for effect in self._held([definition.value]):
                    found[EffectSite(effect, f"{self.module.name}/{name}", definition.span)] = None
        return list(found)

    def _held(self, values: list[object]) -> list[str]:
        """The effects of functions of other modules inside values."""
        functions = _functions_in(values)[0] if values else []
        return sorted({effect for one in functions if one.module is not self.module for effect in one.effects})

    def _brings(self, reference: Reference) -> tuple[str, ...]:
        definition = self.builder.find(reference)
        if definition is None:
            return ()
        if definition.effect is not None:
            return (definition.effect,)
        if reference.module == self.module.name:
            return ()
        effects = {effect for function in self._meaning(reference)[0] for effect in function.effects}
        return tuple(sorted(effects))

    def _meaning(self, reference: Reference) -> tuple[list[Function], bool]:
        """The functions that naming a global may run; whether there may be others."""
        found = self._meanings.get(reference)
        if found is None:
            definition = self.builder.find(reference)
            if definition is None or definition.value is UNBOUND or definition.mutable:
                found = ([], True)
            elif definition.dynamic:
                found = (_functions_in([definition.value])[0], True)
            else:
                found = _functions_in([definition.value])
            self._meanings[reference] = found
        return found

    def _edges(self, index: int, functions: list[Function], unknown: bool) -> None:
        self.open[index] = self.open[index] or unknown
        for function in functions:
            if function.module is self.module:
                self.callees[index].append(function.index)
            else:
                self.effects[index].update(function.effects)
                self.open[index] = self.open[index] or function.open

    def _spread(self) -> None:
        """Passes effects from callees to callers until nothing changes."""
        callers: list[list[tuple[int, frozenset[str]]]] = [[] for _ in self.callees]
        for index, facts in enumerate(self.builder.facts):
            for callee in self.callees[index]:
                callers[callee].append((index, frozenset()))
            for callee, answered in facts.inner:
                callers[callee].append((index, frozenset(answered)))
        waiting = list(range(len(callers)))
        while waiting:
            callee = waiting.pop()
            for caller, handled in callers[callee]:
                effects = self.effects[callee] - handled
                if effects <= self.effects[caller] and (self.open[caller] or not self.open[callee]):
                    continue
                self.effects[caller] |= effects
                self.open[caller] = self.open[caller] or self.open[callee]
                waiting.append(caller)


def _functions_in(values: list[object]) -> tuple[list[Function], bool]:
    functions: list[Function] = []
    unknown = False
    for value in walk(values, set()):
        if value.__class__ is Closure:
            functions.append(value.function)
        elif value.__class__ in MUTABLE:
            unknown = True
    return functions, unknown


def analyze_effects(builder: Builder) -> None:
    """Analyzes a pruned module."""
    _Analysis(builder).run()

"""Names: what a symbol means in a module, once it is known to be no local.

Order: the module's own globals; what `ns` refers to; the core (flowmetal.core and the modules below it); for a
qualified symbol own effects, aliases, full names of libraries.  `%name` is a builtin or an operation of the machine, in
the standard library and, written `flowmetal.core/%name`, in what its macros expand to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowmetal.bytecode.open_tables import is_entry
from flowmetal.bytecode.program import UNBOUND, Global, Module
from flowmetal.compiler.evaluation import BuiltinRow
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import suggest
from flowmetal.values import Symbol

CORE = "flowmetal.core"

#: The module that requires those which the others of the core stand on.
BASICS = "flowmetal.core.basics"


def is_core(module: str) -> bool:
    """Whether a module is one of those whose public names every program has: `flowmetal.core` and those below it."""
    return module == CORE or module.startswith(CORE + ".")


#: Names that mean the special form wherever they stand at the head of a list.
HARD_FORMS = frozenset((
    "def", "defn", "defn-", "defmacro", "defeffect", "fn", "fn*", "let", "let*", "letfn", "letfn*", "loop", "loop*",
    "recur", "if", "do", "quote", "syntax-quote", "throw", "try", "catch", "finally", "ns",
))  # fmt: skip
#: Names that a local or a global of the module may take; syntax-quote writes them as `flowmetal.core/perform`.
SOFT_FORMS = frozenset(("perform", "request", "handle", "binding"))

#: Functions of the core that are one instruction when called with these numbers of arguments.
#: Value: mnemonic and whether the two arguments change places.
INLINE: Mapping[tuple[str, int], tuple[str, bool]] = {
    ("+", 2): ("add", False),
    ("-", 2): ("subtract", False),
    ("*", 2): ("multiply", False),
    ("<", 2): ("less", False),
    ("<=", 2): ("less_equal", False),
    (">", 2): ("less", True),
    (">=", 2): ("less_equal", True),
    ("=", 2): ("equal", False),
    ("not", 1): ("not", False),
}

#: Operations of the machine under `%` names: number of arguments and mnemonic.
OPERATIONS: Mapping[str, tuple[int, str]] = {
    "add": (2, "add"),
    "subtract": (2, "subtract"),
    "multiply": (2, "multiply"),
    "less": (2, "less"),
    "less-equal": (2, "less_equal"),
    "equal": (2, "equal"),
    "not": (1, "not"),
    "async": (1, "async"),
    "await": (1, "await"),
    "await-any": (1, "await_any"),
    "cancel": (1, "cancel"),
}


@dataclass(frozen=True, slots=True)
class Special:
    """The symbol names a special form."""

    name: str


@dataclass(frozen=True, slots=True)
class Percent:
    """The symbol names a builtin or an operation: what comes after the `%`."""

    name: str


@dataclass(frozen=True, slots=True)
class Target:
    """The symbol names a global."""

    module: str
    definition: Global


Resolved = Special | Percent | Target | None


@dataclass(slots=True)
class Names:
    """What the symbols of one module mean."""

    module: Module
    libraries: Mapping[str, Module]
    builtins: Mapping[str, BuiltinRow]
    library: bool  # the module belongs to the standard library, so `%name` may be written
    aliases: dict[str, str] = field(default_factory=dict)
    refers: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> (module, name there)
    refer_whole: list[str] = field(default_factory=list)
    excluded: set[str] = field(default_factory=set)  # core names the module does without
    required: list[str] = field(default_factory=list)  # modules that the `ns` form requires and that are there
    missing: set[str] = field(default_factory=set)  # required modules that are not there, and their aliases
    missing_names: set[str] = field(default_factory=set)  # names referred to of those
    others: Mapping[str, str] = field(default_factory=dict)  # modules that are there but cannot be required -> why
    used: set[str] = field(default_factory=set)  # own globals and referred names that something named
    ambiguous: dict[str, tuple[str, str]] = field(default_factory=dict)  # names met that two whole modules have
    used_modules: set[str] = field(default_factory=set)
    late: bool = False  # globals may be defined again, so no code may rely on what one holds now
    core_modules: list[str] = field(init=False)  # flowmetal.core first, then those below it by name

    def __post_init__(self) -> None:
        self.core_modules = sorted(name for name in self.libraries if is_core(name))

    def resolve(self, symbol: Symbol) -> Resolved:
        """What a symbol means, or None."""
        if symbol.namespace is None:
            return self._plain(symbol.name)
        return self._qualified(symbol.namespace, symbol.name)

    def _plain(self, name: str) -> Resolved:
        if name in HARD_FORMS:
            return Special(name)
        own = self.module.globals.get(name)
        if own is not None:
            self.used.add(name)
            return Target(self.module.name, own)
        if name in self.refers:
            module, there = self.refers[name]
            self.used.add(name)
            return self._in_module(module, there)
        whole = self._of_whole(name)
        if whole is not None:
            return whole
        if name in SOFT_FORMS:
            return Special(name)
        if self.library and len(name) > 1 and name.startswith("%"):
            return Percent(name[1:])
        return None if name in self.excluded else self.core(name)

    def _of_whole(self, name: str) -> Target | None:
        """A public name of a module that is referred to as a whole; of two modules that have it, the first."""
        first: Target | None = None
        for module in self.refer_whole:
            found = self._in_module(module, name)
            if found is None or found.definition.private:
                continue
            self.used_modules.add(module)
            if first is None:
                first = found
            elif first.module != module:
                self.ambiguous[name] = (first.module, module)
        return first

    def settled(self, module: str) -> bool:
        """Whether the globals of a module keep the values they have."""
        if not self.late:
            return True
        found = self.libraries.get(module) if module != self.module.name else None
        return found is not None and found.hash is not None

    def core(self, name: str) -> Target | None:
        """The name of the core, or None; a private one where the module is one of the core's own."""
        inside = is_core(self.module.name)
        for module in self.core_modules:
            found = self.libraries[module].globals.get(name)
            if found is not None and (inside or not found.private):
                return Target(module, found)
        return None

    def _qualified(self, namespace: str, name: str) -> Resolved:
        if namespace == CORE and (name in SOFT_FORMS or name in HARD_FORMS):
            return Special(name)
        if namespace == CORE and len(name) > 1 and name.startswith("%"):
            return Percent(name[1:])
        effect = self.module.globals.get(f"{namespace}/{name}")
        if effect is not None:
            self.used.add(f"{namespace}/{name}")
            return Target(self.module.name, effect)
        if f"{namespace}/{name}" in self.refers:
            module, there = self.refers[f"{namespace}/{name}"]
            self.used.add(f"{namespace}/{name}")
            return self._in_module(module, there)
        module = self.aliases.get(namespace, namespace)
        self.used_modules.add(module)
        if module == self.module.name:
            self.used.add(name)
        found = self._in_module(module, name)
        if found is None and module == CORE:
            found = self.core(name)
        if found is not None:
            return found
        for whole in self.refer_whole:
            found = self._in_module(whole, f"{namespace}/{name}")
            if found is not None:
                self.used_modules.add(whole)
                return found
        return None

    def _module(self, namespace: str) -> Module | None:
        return self.libraries.get(self.aliases.get(namespace, namespace))

    def _in_module(self, module: str, name: str) -> Target | None:
        source = self.module if module == self.module.name else self.libraries.get(module)
        found = None if source is None else source.globals.get(name)
        return None if found is None else Target(module, found)

    def declare_broken(self, symbol: object) -> None:
        """Makes a name known whose definition could not be read."""
        if isinstance(symbol, Symbol):
            name = symbol.name if symbol.namespace is None else f"{symbol.namespace}/{symbol.name}"
            self.module.globals.setdefault(name, Global(name, UNBOUND))

    def module_named(self, namespace: str) -> str | None:
        """Full name of the module that a namespace of a symbol means, or None."""
        module = self.aliases.get(namespace, namespace)
        return module if module == self.module.name or module in self.libraries else None

    def suggestion(self, symbol: Symbol, locals_: Iterable[str]) -> str | None:
        """The name that was most likely meant."""
        if symbol.namespace is None:
            candidates = [*locals_, *self.module.globals, *self.refers]
            for core in self.core_modules:
                candidates += _public(self.libraries[core])
            candidates += [*HARD_FORMS, *SOFT_FORMS]
            return suggest(symbol.name, [name for name in candidates if "__" not in name and not is_entry(name)])
        module = self.module_named(symbol.namespace)
        if module is None:
            # A name of the core is written without its module, and is not what a qualified one was meant to be.
            spaces = [space for space in (*self.aliases, *self.libraries) if not is_core(space)]
            written = [f"{space}/{symbol.name}" for space in spaces if symbol.name in _public(self._module(space))]
            written += [name for name in self.module.globals if "/" in name]
            return suggest(f"{symbol.namespace}/{symbol.name}", written)
        near = suggest(symbol.name, _public(self.libraries.get(module) or self.module))
        return None if near is None else f"{symbol.namespace}/{near}"


def _public(module: Module | None) -> list[str]:
    return [] if module is None else [name for name, found in module.globals.items() if not found.private]

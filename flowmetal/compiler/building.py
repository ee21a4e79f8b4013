"""Builder: the module while it grows; pools of constants and references, functions and codes, facts about effects."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flowmetal.bytecode.open_tables import add_entry
from flowmetal.bytecode.program import Code, EffectSite, Function, Global, Module, Program, Reference
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import Span
from flowmetal.values import BuiltinFn, Keyword, Symbol


@dataclass(slots=True)
class Facts:
    """What the emitter saw a function do itself, for the analysis of effects.

    `inner` are the functions it makes closures of, each with the effects that a `handle` around it answers.
    """

    effects: set[str] = field(default_factory=set)
    references: dict[Reference, None] = field(default_factory=dict)
    constants: list[Any] = field(default_factory=list)
    inner: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    sites: list[EffectSite] = field(default_factory=list)
    named: list[tuple[Reference, Span | None]] = field(default_factory=list)  # every place that names a global
    open: bool = False


def scalar_key(value: Any) -> Any:
    """A key under which equal scalars of one kind share a constant; None for what is shared by identity only."""
    kind = value.__class__
    if kind is str or kind is int or kind is bytes:
        return (kind, value)
    if kind is Keyword:
        return (kind, value.text)
    if kind is float:
        return (kind, value.hex())
    if kind is Decimal:
        return (kind, value.as_tuple())
    if kind is Symbol:
        return (kind, value.namespace, value.name) if value.meta is None else None
    if kind is BuiltinFn:
        return (kind, value.number)
    return None


class Builder:
    """Grows one module; the program it stands in is what the evaluator is given."""

    def __init__(self, module: Module, libraries: dict[str, Module]) -> None:
        self.module = module
        self.program = Program({**libraries, module.name: module}, module.name, growing=[], seen_from=module.name)
        self.facts: list[Facts] = []  # by function index
        self.hidden: dict[str, None] = {}  # globals that stand for locals of a `let` around definitions
        self.deciding = False  # an effect has options that may hold a function, for which the machine needs the core
        self._constants: dict[Any, int] = {}
        self._references: dict[Reference, int] = {}

    def constant(self, value: Any) -> int:
        """Index of a constant, shared with an equal scalar or the same object."""
        key = scalar_key(value)
        if key is None:
            # The pool keeps the object alive, so its id cannot come to mean another one.
            key = ("object", id(value))
        index = self._constants.get(key)
        if index is None:
            index = self._constants[key] = len(self.module.constants)
            self.module.constants.append(value)
        return index

    def reference(self, reference: Reference) -> int:
        """Index of a reference to a global."""
        index = self._references.get(reference)
        if index is None:
            index = self._references[reference] = len(self.module.references)
            self.module.references.append(reference)
        return index

    def function(self, name: str, doc: str | None = None) -> Function:
        """A new function without codes."""
        function = Function(name, (), doc, index=len(self.module.functions), module=self.module)
        self.module.functions.append(function)
        self.facts.append(Facts())
        return function

    def code(self, code: Code) -> int:
        """Adds a code; its index."""
        code.index = len(self.module.codes)
        code.module = self.module
        self.module.codes.append(code)
        return code.index

    def take_entries(self, span: Span | None) -> None:
        """Puts the entries of open tables that an evaluation has added into the module."""
        growing = self.program.growing
        if growing:
            for table, key, value in growing:
                add_entry(self.module, table, key, value, span)
            growing.clear()
            self.program.open = None

    def find(self, reference: Reference) -> Global | None:
        """The global a reference means."""
        return self.program.lookup(reference.module, reference.name)

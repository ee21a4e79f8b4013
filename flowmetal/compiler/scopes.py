"""Scopes: which local a name means, and what functions capture.

A scope is a link of a chain: the names that one form binds, around them the scope it stands in.  Reading a local of an
outer function makes it a capture of every function in between.
"""

from __future__ import annotations

from flowmetal.bytecode.program import Reference
from flowmetal.compiler.nodes import Binding, FunctionScope

#: What a local name can mean: a register, or the hidden global that a `let` around top-level definitions made of it.
Meaning = Binding | Reference


class Scope:
    """The names bound by one form."""

    __slots__ = ("function", "names", "parent")

    def __init__(self, function: FunctionScope, parent: Scope | None = None) -> None:
        self.function = function
        self.parent = parent
        self.names: dict[str, Meaning] = {}

    def child(self) -> Scope:
        """A scope inside this one, in the same function."""
        return Scope(self.function, self)

    def add(self, name: str, meaning: Meaning) -> None:
        """Binds a name here; a name bound before is shadowed."""
        self.names[name] = meaning

    def find(self, name: str) -> Meaning | None:
        """What a name means, or None if it is no local."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def visible(self) -> dict[str, None]:
        """All names of locals in scope, innermost first."""
        names: dict[str, None] = {}
        scope: Scope | None = self
        while scope is not None:
            names.update(dict.fromkeys(scope.names))
            scope = scope.parent
        return names


def use(function: FunctionScope, binding: Binding) -> None:
    """Notes that `function` reads a binding: a capture, if it is not its own."""
    current: FunctionScope | None = function
    while current is not None and binding.owner is not current:
        if binding is current.own or (current.group is not None and binding in current.group.members):
            current.uses_self = True
            return
        current.captures[binding] = None
        current = current.parent
    if current is not None and binding is current.own:
        current.uses_self = True

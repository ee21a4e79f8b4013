"""Core nodes: what analysis makes of forms and the emitter makes instructions of.

Nodes are resolved (names are bindings, globals or builtins), macro-free and free of sugar: no destructuring, no
contracts, no `letfn` cycles.  Every node has the span of the source text it stands for.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.program import Reference
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import Span


@dataclass(slots=True, eq=False)
class Binding:
    """A local name.  `owner` is the function whose registers hold it; hidden ones are not shown to people.

    `resumes`: it is the `resume` of a handler's clause, so that calling it runs nothing but the body that is handled.
    """

    name: str
    owner: FunctionScope
    span: Span | None = None
    hidden: bool = False
    resumes: bool = False


@dataclass(slots=True, eq=False)
class Group:
    """The functions of one `letfn`: they share one layout of captures, and reach each other by `sibling`."""

    members: dict[Binding, FnNode | None] = field(default_factory=dict)
    captures: dict[Binding, None] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class FunctionScope:
    """What is known of a function while its body is analyzed.

    `captures` are the outer bindings its closures hold, in order of first use; one dict for a whole `letfn` group.
    """

    parent: FunctionScope | None
    name: str  # qualified, for frames and messages
    own: Binding | None = None  # the binding of the function's own name inside its body
    group: Group | None = None
    captures: dict[Binding, None] = field(default_factory=dict)
    uses_self: bool = False  # the arity being analyzed needs the closure itself


@dataclass(slots=True, eq=False)
class Target:
    """Where a `recur` goes: a loop or the head of a function."""

    bindings: list[Binding]
    used: bool = False
    is_function: bool = False


@dataclass(slots=True, eq=False)
class Node:
    """Base of all nodes."""

    span: Span | None

    def children(self) -> tuple[Node, ...]:
        """The nodes evaluated as part of this one, bodies of closures not included."""
        return ()


@dataclass(slots=True, eq=False)
class Const(Node):
    """A value known now."""

    value: Any


@dataclass(slots=True, eq=False)
class Local(Node):
    """Reads a binding."""

    binding: Binding


@dataclass(slots=True, eq=False)
class GlobalRead(Node):
    """Reads a global, through the innermost `binding` if it is dynamic."""

    reference: Reference
    dynamic: bool = False


@dataclass(slots=True, eq=False)
class If(Node):
    """Chooses by nil and false."""

    test: Node
    then: Node
    otherwise: Node

    def children(self) -> tuple[Node, ...]:
        return (self.test, self.then, self.otherwise)


@dataclass(slots=True, eq=False)
class Do(Node):
    """Evaluates `statements` for what they do, then `result`."""

    statements: list[Node]
    result: Node

    def children(self) -> tuple[Node, ...]:
        return (*self.statements, self.result)


@dataclass(slots=True, eq=False)
class Let(Node):
    """Binds in order, then evaluates the body."""

    bindings: list[tuple[Binding, Node]]
    body: Node

    def children(self) -> tuple[Node, ...]:
        return (*(value for _, value in self.bindings), self.body)


@dataclass(slots=True, eq=False)
class LetFn(Node):
    """Binds functions that know each other, then evaluates the body."""

    group: Group
    body: Node

    def children(self) -> tuple[Node, ...]:
        return (*(fn for fn in self.group.members.values() if fn is not None), self.body)


@dataclass(slots=True, eq=False)
class Loop(Node):
    """A loop: each turn has its own values of the target's bindings."""

    target: Target
    initial: list[Node]
    body: Node

    def children(self) -> tuple[Node, ...]:
        return (*self.initial, self.body)


@dataclass(slots=True, eq=False)
class Head(Node):
    """The head of a function's body, where a `recur` outside of any loop goes."""

    target: Target
    body: Node

    def children(self) -> tuple[Node, ...]:
        return (self.body,)


@dataclass(slots=True, eq=False)
class Recur(Node):
    """The next turn of a loop."""

    target: Target
    arguments: list[Node]

    def children(self) -> tuple[Node, ...]:
        return tuple(self.arguments)


@dataclass(slots=True, eq=False)
class Arity:
    """One parameter list and its body."""

    parameters: list[Binding]
    rest: Binding | None
    body: Node
    uses_self: bool
    text: str  # the parameter list for people, "[amount to]"


@dataclass(slots=True, eq=False)
class FnNode(Node):
    """Makes a closure."""

    scope: FunctionScope
    arities: list[Arity]
    doc: str | None = None


@dataclass(slots=True, eq=False)
class Call(Node):
    """Calls a value."""

    function: Node
    arguments: list[Node]

    def children(self) -> tuple[Node, ...]:
        return (self.function, *self.arguments)


@dataclass(slots=True, eq=False)
class BuiltinCall(Node):
    """Calls a builtin by its permanent number."""

    number: int
    name: str
    arguments: list[Node]

    def children(self) -> tuple[Node, ...]:
        return tuple(self.arguments)


@dataclass(slots=True, eq=False)
class Operation(Node):
    """An instruction `mnemonic` of registers only: written one first, then one for each argument.

    `swapped`: the two operands change places; they are evaluated as written all the same.
    """

    mnemonic: str
    arguments: list[Node]
    swapped: bool = False

    def children(self) -> tuple[Node, ...]:
        return tuple(self.arguments)


@dataclass(slots=True, eq=False)
class Collection(Node):
    """A vector, map (keys and values in turn) or set of values computed now; `mnemonic` names the instruction."""

    mnemonic: str
    items: list[Node]

    def children(self) -> tuple[Node, ...]:
        return tuple(self.items)


@dataclass(slots=True, eq=False)
class Apply(Node):
    """Calls a value with the items of a sequence."""

    function: Node
    arguments: Node

    def children(self) -> tuple[Node, ...]:
        return (self.function, self.arguments)


@dataclass(slots=True, eq=False)
class Throw(Node):
    """Throws an error."""

    error: Node

    def children(self) -> tuple[Node, ...]:
        return (self.error,)


@dataclass(slots=True, eq=False)
class Catch:
    """A catch clause: `test` looks at the error (None takes what reaches it), `body` sees it as `binding`."""

    binding: Binding
    test: Node
    body: Node


@dataclass(slots=True, eq=False)
class Try(Node):
    """Evaluates `body`; an error goes to the first clause whose test holds; `final` runs in any case."""

    body: Node
    clauses: list[Catch]
    final: Node | None

    def children(self) -> tuple[Node, ...]:
        handlers = [node for clause in self.clauses for node in (clause.test, clause.body)]
        return (self.body, *handlers, *((self.final,) if self.final is not None else ()))


@dataclass(slots=True, eq=False)
class Perform(Node):
    """Performs an effect (`perform`) or asks for a promise of its answer (`request`)."""

    mnemonic: str
    effect: Node
    payload: Node
    options: Node

    def children(self) -> tuple[Node, ...]:
        return (self.effect, self.payload, self.options)


@dataclass(slots=True, eq=False)
class RegionNode(Node):
    """Calls a function of no arguments inside a region; `handled` are the effects a `handle` region answers."""

    kind: int
    data: Node
    body: Node
    handled: tuple[str, ...] = ()

    def children(self) -> tuple[Node, ...]:
        return (self.data, self.body)


def reads(node: Node) -> list[Binding]:
    """The bindings a node may read, captured ones of closures included; may hold one twice."""
    found: list[Binding] = []
    pending: list[Node] = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, Local):
            found.append(current.binding)
        elif isinstance(current, FnNode):
            found.extend(current.scope.captures)
        pending.extend(current.children())
    return found

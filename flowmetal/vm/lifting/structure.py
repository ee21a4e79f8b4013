"""Control flow as nested Python statements, from the blocks of a code and who dominates whom.

A block that several ways lead to stands behind the code it is reached from, as wasm's structured jumps have it: that
code is wrapped in a `while True` that is left by `break` (it never goes round), unless all its ways fall through its
end anyway.  Loops are `for _ in F`, F being the fuel, so that going round takes fuel; what is behind a loop stands
inside its body.  A jump out of several Python loops at once breaks one, and `q` says behind it where to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowmetal.dataclass import dataclass, field
from flowmetal.vm.lifting.flow import Block, Edge, Flow, Unliftable

#: Where a line of lifted code stands in the bytecode, see takeover.py.
Meta = tuple[Any, ...] | None

NESTING_MAX = 90  # Python takes 100 levels of indentation
LINES_MAX = 6000


@dataclass(slots=True)
class Line:
    """One line of Python.  `pure`: running it twice is the same as running it once."""

    text: str
    meta: Meta = None
    pure: bool = False


@dataclass(slots=True)
class If:
    """`then` where the test holds, else `other`."""

    test: str
    meta: Meta
    then: list[Node]
    other: list[Node]


@dataclass(slots=True)
class Loop:
    """A Python loop: `while True`, or one that takes fuel; then `exhausted` is what its lines stand for."""

    context: Context
    fuel: bool
    body: list[Node]
    exhausted: Meta = None


@dataclass(slots=True)
class Cross:
    """A jump out of the innermost loop, on the way to somewhere further out."""

    key: Key
    out_of: list[Context]


@dataclass(slots=True)
class After:
    """Behind a loop: the ways on of those that jump out through it."""

    context: Context
    ways: list[tuple[Key, list[Node]]]


Node = Line | If | Loop | Cross | After
Key = tuple[str, int]


@dataclass(slots=True, eq=False)
class Context:
    """A Python loop that is open.  `key`: where its `break` (a block) or `continue` (a loop) leads."""

    key: Key
    crossed: list[Key] = field(default_factory=list)

    @property
    def tested(self) -> bool:
        """Whether it must be asked behind the loop which way it was left."""
        return self.key[0] == "block" or len(self.crossed) > 1


@dataclass(slots=True)
class Written:
    """A block as statements, and how it ends: a test between two edges, one edge, none, or the body begun again."""

    lines: list[Line]
    edges: tuple[Edge, ...] = ()
    test: str = ""
    meta: Meta = None
    again: int = -1  # number of the place that calls the body itself in place of its frame


OWN: Key = ("loop", -1)  # the body's own loop, for calls of itself


class Structure:
    """Puts written blocks into nested statements."""

    def __init__(self, flow: Flow, written: dict[int, Written]) -> None:
        self.flow = flow
        self.written = written
        self.needed: set[int] = set()  # blocks that something jumps to
        self.sites: dict[int, list[int]] = {}  # head -> its `jump_back`s, in the order in which they are numbered
        self.ahead: dict[int, Line] = {}  # what stands before the loop with a head
        self.merged = -1  # the head whose first turn takes the fuel of the call

    def nodes(self, contexts: Sequence[Context]) -> list[Node]:
        """All of it, inside loops that are open already."""
        while True:
            before = len(self.needed)
            for one in contexts:
                one.crossed.clear()
            self.sites = {}
            result = self._tree(self.flow.entry, tuple(contexts), OWN if contexts else None)
            if len(self.needed) == before:
                return result

    def _tree(self, start: int, contexts: tuple[Context, ...], falls: Key | None) -> list[Node]:
        block = self.flow.blocks[start]
        merges = [child for child in block.children if self.flow.blocks[child].ways > 1]
        merges.sort(key=lambda child: -self.flow.blocks[child].order)
        if not block.head:
            return self._within(block, merges, contexts, falls)
        context = Context(("loop", start))
        body = self._within(block, merges, (*contexts, context), context.key)
        result: list[Node] = []
        exhausted: Meta = None
        if start in self.ahead:
            result.append(self.ahead[start])
        if block.ticks:
            result.append(Line(f"j{start} = -1"))
            if start != self.merged:
                result.append(Line("F.extra += 1"))
            exhausted = ("loop", start, self.sites.get(start, []), start == self.merged)
        result.append(Loop(context, block.ticks, body, exhausted))
        self._after(context, contexts, result)
        return result

    def _within(self, block: Block, merges: list[int], contexts: tuple[Context, ...], falls: Key | None) -> list[Node]:
        if not merges:
            return self._code(block, contexts, falls)
        target = merges[0]
        key = ("block", target)
        if target not in self.needed:
            return self._within(block, merges[1:], contexts, key) + self._tree(target, contexts, falls)
        context = Context(key)
        body = self._within(block, merges[1:], (*contexts, context), key)
        if can_fall(body):
            body.append(Line("break"))
        result: list[Node] = [Loop(context, False, body)]
        self._after(context, contexts, result)
        return result + self._tree(target, contexts, falls)

    def _after(self, context: Context, contexts: tuple[Context, ...], result: list[Node]) -> None:
        if context.crossed:
            ways = [(key, self._jump(key, contexts, None)) for key in context.crossed]
            result.append(After(context, ways))

    def _code(self, block: Block, contexts: tuple[Context, ...], falls: Key | None) -> list[Node]:
        written = self.written[block.start]
        nodes: list[Node] = list(written.lines)
        if written.again >= 0:
            nodes.append(Line(f"j = {written.again}"))
            return nodes + self._jump(OWN, contexts, falls)
        if not written.edges:
            return nodes
        if len(written.edges) == 1:
            return nodes + self._go(block, written.edges[0], contexts, falls)
        then = self._go(block, written.edges[0], contexts, falls)
        other = self._go(block, written.edges[1], contexts, falls)
        nodes.append(If(written.test, written.meta, then, other))
        return nodes

    def _go(self, block: Block, edge: Edge, contexts: tuple[Context, ...], falls: Key | None) -> list[Node]:
        target = self.flow.blocks[edge.target]
        nodes: list[Node] = []
        back = target.order <= block.order
        if back and target.ticks:
            sites = self.sites.setdefault(target.start, [])
            sites.append(edge.back)
            nodes.append(Line(f"j{target.start} = {len(sites) - 1}"))
        elif edge.back >= 0:
            nodes.append(Loop(Context(("block", -2)), True, [Line("break")], ("at", edge.back, edge.back)))
        if back:
            return nodes + self._jump(("loop", target.start), contexts, falls)
        if target.ways > 1:
            return nodes + self._jump(("block", target.start), contexts, falls)
        return nodes + self._tree(target.start, contexts, falls)

    def _jump(self, key: Key, contexts: tuple[Context, ...], falls: Key | None) -> list[Node]:
        if key == falls:
            return []
        if contexts and contexts[-1].key == key:
            return [Line("continue" if key[0] == "loop" else "break")]
        crossed: list[Context] = []
        for context in reversed(contexts):
            if context.key == key:
                for one in crossed:
                    if key not in one.crossed:
                        one.crossed.append(key)
                return [Cross(key, crossed)]
            crossed.append(context)
        if key[0] != "block":
            raise Unliftable("a loop is not open where something goes round it")
        self.needed.add(key[1])
        return [Line("break")]  # nothing of this is kept: another round begins


def can_fall(nodes: Sequence[Node]) -> bool:
    """Whether control can come to the end of statements."""
    if not nodes:
        return True
    last = nodes[-1]
    match last:
        case Line():
            return not last.text.startswith(("return ", "raise ", "break", "continue"))
        case If():
            return can_fall(last.then) or can_fall(last.other)
        case Cross():
            return False
        case Loop():
            # Left by `break` only; one that takes fuel for itself falls through, others go on in an `After`.
            return last.context.key[0] == "block"
        case After():
            return last.context.key[0] == "block" or any(can_fall(way) for _, way in last.ways)


class Text:
    """Statements as text, and the meta of each line by its number."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.metas: dict[int, Meta] = {}
        self.asks = False  # some loop is left in several ways, so that `q` is used
        self._numbers: dict[Key, int] = {}

    def line(self, level: int, text: str, meta: Meta = None) -> None:
        """Adds a line."""
        if level > NESTING_MAX or len(self.lines) > LINES_MAX:
            raise Unliftable("it is nested too deeply or too long")
        self.lines.append(" " * level + text)
        if meta is not None:
            self.metas[len(self.lines)] = meta

    def nodes(self, level: int, nodes: Sequence[Node]) -> None:
        """Adds statements."""
        if not nodes:
            self.line(level, "pass")
        for node in nodes:
            match node:
                case Line():
                    self.line(level, node.text, node.meta)
                case If():
                    self._if(level, node)
                case Loop():
                    self.line(level, "for _ in F:" if node.fuel else "while True:", node.exhausted)
                    self.nodes(level + 1, node.body)
                    if node.fuel:
                        self.line(level, "else:")
                        self.line(level + 1, "raise Exhausted", node.exhausted)
                case Cross():
                    if any(one.tested for one in node.out_of):
                        self.line(level, f"q = {self._number(node.key)}")
                    self.line(level, "break")
                case After():
                    self._after(level, node)

    def _if(self, level: int, node: If) -> None:
        if node.then or not node.other:
            self.line(level, f"if {node.test}:", node.meta)
            self.nodes(level + 1, node.then)
            if not node.other:
                return
            if not can_fall(node.then):
                self.nodes(level, node.other)
                return
            self.line(level, "else:")
        else:
            self.line(level, f"if not {node.test}:", node.meta)
        self.nodes(level + 1, node.other)

    def _after(self, level: int, node: After) -> None:
        for key, way in node.ways:
            if node.context.tested:
                self.line(level, f"if q == {self._number(key)}:")
                level += 1
            if not any(way_node.__class__ is Cross for way_node in way):
                self.line(level, "q = 0")
            self.nodes(level, way) if way else None
            if node.context.tested:
                level -= 1

    def _number(self, key: Key) -> int:
        self.asks = True
        return self._numbers.setdefault(key, len(self._numbers) + 1)

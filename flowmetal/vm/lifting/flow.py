"""The ways through a code body: its basic blocks, their order, who dominates whom, and which are heads of loops.

Seen from one entry: instruction 0, or the head of a loop that a frame stands at.  Blocks that only an error leads to
are left out, since an error is handled by frames.
"""

from __future__ import annotations

from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Code
from flowmetal.bytecode.shape import SHAPES
from flowmetal.dataclass import dataclass, field


class Unliftable(Exception):
    """The code has something that is not translated; it runs in frames."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A way to another block.  `back`: the index of the `jump_back` that it is and that takes fuel, else -1."""

    target: int
    back: int = -1


@dataclass(slots=True)
class Block:
    """Instructions `start` up to `stop` (not included), which run one after the other, and where they lead.

    Of two edges the first is the one that is taken when the jump is not.
    """

    start: int
    stop: int
    edges: tuple[Edge, ...]
    order: int = 0  # its place in reverse postorder
    dominator: int = -1  # start of the block that every way here passes last; the entry's is itself
    children: list[int] = field(default_factory=list)  # blocks that it dominates at first hand
    ways: int = 0  # edges that lead here from blocks before it in order
    head: bool = False  # blocks that it dominates lead back here
    ticks: bool = True  # of a head: all that lead back are `jump_back`


class Flow:
    """The blocks of a code that can be reached from `entry`, in reverse postorder."""

    def __init__(self, code: Code, entry: int = 0) -> None:
        self.code = code
        self.entry = entry
        self.blocks: dict[int, Block] = {}
        self._find_blocks()
        self.order = self._sorted()
        self._dominate()
        self._classify()

    def dominates(self, above: int, below: int) -> bool:
        """Whether every way from the entry to `below` passes `above`."""
        blocks = self.blocks
        limit = blocks[above].order
        while blocks[below].order > limit:
            below = blocks[below].dominator
        return below == above

    def loop_of(self, head: int) -> set[int]:
        """The blocks of the loop with this head."""
        before: dict[int, list[int]] = {}
        for block in self.blocks.values():
            for edge in block.edges:
                before.setdefault(edge.target, []).append(block.start)
        inside = {head}
        pending = [start for start in before.get(head, ()) if self.dominates(head, start)]
        while pending:
            start = pending.pop()
            if start not in inside:
                inside.add(start)
                pending.extend(before.get(start, ()))
        return inside

    def _find_blocks(self) -> None:
        instructions = self.code.instructions
        leaders = {0, self.entry}
        for index, row in enumerate(instructions):
            shape = SHAPES[row[0]]
            if row[0] == Op.loop:
                leaders.add(index)
            if shape.label:
                leaders.add(row[shape.label])
                leaders.add(index + 1)
            elif shape.ends:
                leaders.add(index + 1)
        pending = [self.entry]
        while pending:
            start = pending.pop()
            if start in self.blocks:
                continue
            stop = start + 1
            while stop not in leaders:
                stop += 1
            row = instructions[stop - 1]
            shape = SHAPES[row[0]]
            edges: list[Edge] = []
            if not shape.ends:
                edges.append(Edge(stop))
            if shape.label:
                edges.append(Edge(row[shape.label]))
            elif shape.back:
                edges.append(Edge(row[shape.back], stop - 1))
            self.blocks[start] = Block(start, stop, tuple(edges))
            pending.extend(edge.target for edge in edges)

    def _sorted(self) -> list[int]:
        blocks = self.blocks
        seen = {self.entry}
        done: list[int] = []
        stack = [(self.entry, iter(blocks[self.entry].edges[::-1]))]
        while stack:
            start, edges = stack[-1]
            for edge in edges:
                if edge.target not in seen:
                    seen.add(edge.target)
                    stack.append((edge.target, iter(blocks[edge.target].edges[::-1])))
                    break
            else:
                stack.pop()
                done.append(start)
        done.reverse()
        for place, start in enumerate(done):
            blocks[start].order = place
        return done

    def _dominate(self) -> None:
        blocks = self.blocks
        before: dict[int, list[int]] = {start: [] for start in self.order}
        for start in self.order:
            for edge in blocks[start].edges:
                before[edge.target].append(start)
        blocks[self.entry].dominator = self.entry
        changed = True
        while changed:
            changed = False
            for start in self.order[1:]:
                found = -1
                for other in before[start]:
                    if blocks[other].dominator < 0:
                        continue
                    found = other if found < 0 else self._common(found, other)
                if blocks[start].dominator != found:
                    blocks[start].dominator = found
                    changed = True
        for start in self.order[1:]:
            blocks[blocks[start].dominator].children.append(start)

    def _common(self, one: int, other: int) -> int:
        blocks = self.blocks
        while one != other:
            while blocks[one].order > blocks[other].order:
                one = blocks[one].dominator
            while blocks[other].order > blocks[one].order:
                other = blocks[other].dominator
        return one

    def _classify(self) -> None:
        for start in self.order:
            block = self.blocks[start]
            for edge in block.edges:
                target = self.blocks[edge.target]
                if target.order > block.order:
                    target.ways += 1
                elif self.dominates(edge.target, start):
                    target.head = True
                    target.ticks = target.ticks and edge.back >= 0
                else:
                    raise Unliftable("a loop has two entries")

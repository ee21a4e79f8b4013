"""Makes the Python function that calls a small function of the program for many items, its body written in place.

Such a body has no loop, no effect, no change of a cell, and calls only functions of which the same is true; so when
anything is in the way, what was done for some items can be forgotten and done again.  See many.py, which does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Instruction, Program
from flowmetal.bytecode.shape import register_written
from flowmetal.values import Closure
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.lifting.entries import Entry, Lifted, lifted_of
from flowmetal.vm.lifting.expressions import Operand
from flowmetal.vm.lifting.flow import Flow, Unliftable
from flowmetal.vm.lifting.function import Making
from flowmetal.vm.lifting.kinds import BOOL, INT, Kinds
from flowmetal.vm.lifting.structure import If, Line, Node, Structure, Text
from flowmetal.vm.lifting.walks import FILTER, MAP, REDUCE, WHILE_TRUE
from flowmetal.vm.load import run_function

INSTRUCTIONS_MAX = 150  # of a body that is written in place
DEPTH_MAX = 4  # of the calls in it

_REALIZING = frozenset({500, 501, 502, 503})
_PLAIN = frozenset(
    {
        Op.nil, Op.true, Op.false, Op.integer, Op.constant, Op.move, Op.add, Op.subtract, Op.multiply, Op.add_integer,
        Op.less, Op.less_equal, Op.equal, Op.not_, Op.closure, Op.sibling, Op.vector, Op.set, Op.map, Op.jump,
        Op.jump_if_false, Op.jump_if_true, Op.jump_if_not_nil, Op.return_, Op.throw,
    }
)  # fmt: skip


def _harmless(making: Making, row: Instruction, depth: int) -> bool:
    """Whether an instruction changes nothing and ends soon."""
    number = row[0]
    if number in _PLAIN:
        return True
    if number == Op.builtin:
        return not BUILTINS[row[2]].context
    if number == Op.global_:
        return making.known(row[2])[0]
    if number in (Op.call_global, Op.tail_call_global):
        settled, value = making.known(row[-2])
        if not settled or value.__class__ is not Closure:
            return False
        body = run_function(value.function).fixed.get(len(row[-1]))
        return body is not None and _tame(lifted_of(body), making.program, depth + 1)
    return False


def _tame(lifted: Lifted, program: Program, depth: int) -> bool:
    """Whether a function that is called may be run again."""
    code = lifted.body.code
    if depth > DEPTH_MAX or not lifted.calls or len(code.instructions) > INSTRUCTIONS_MAX:
        return False
    flow = Flow(code)
    if any(block.head for block in flow.blocks.values()):
        return False
    making = Making(lifted, flow, program, {}, loops=False)
    if making.own:
        return False
    rows = [code.instructions[index] for start in flow.order for index in range(start, flow.blocks[start].stop)]
    # What is lazy would be realized by the lifted form of the function, and that cannot be forgotten.
    return all(_harmless(making, row, depth) and not (row[0] == Op.builtin and row[2] in _REALIZING) for row in rows)


class _Inlined(Making):
    """A body that is written in place of its call, in a loop over items."""

    def __init__(self, lifted: Lifted, flow: Flow, program: Program, start: dict[int, int], kind: str) -> None:
        super().__init__(lifted, flow, program, start, loops=False)
        self.kind = kind
        self.gathered = {}
        self.again = True
        last = self.code.parameters - 1
        written = any(register_written(row) == last for row in self.code.instructions)
        self.item = "x" if written else f"r{last}"
        self.begin = f"r{last} = x" if written else ""
        self.gave: list[str] = []

    def give(self, operand: Operand) -> list[str]:
        """The statements in place of `return`."""
        text = operand.text
        if self.kind == MAP:
            self.gave = [text, ""]
            return [f"append({text})", "continue"]
        if self.kind == REDUCE:
            if operand.kind in (INT, BOOL):
                return [f"r0 = {text}", "continue"]
            return [f"r0 = {text}", "if type(r0) is Reduced: raise Bail", "continue"]
        test = self.expressions.truth(operand, self.kind != WHILE_TRUE)
        if self.kind == FILTER:
            self.gave = [self.item, f" if {test}"]
            return [f"if {test}: append({self.item})", "continue"]
        return [f"if {test}: return n", "continue"]


def lift_many(lifted: Lifted, kind: str, integers: tuple[int, ...], program: Program) -> Entry | None:
    """The function that calls a body for many items, if there is one.

    It is called with the fuel, the closure and the items, before them for REDUCE the value so far; it gives a list, the
    last value, or the number of items gone past.  `integers`: the arguments that are integers; for REDUCE the first of
    them only if it is one in all turns.
    """
    code = lifted.body.code
    if code.variadic or code.tries or len(code.instructions) > INSTRUCTIONS_MAX:
        return None
    try:
        return _lift_many(lifted, kind, integers, program)
    except (Unliftable, RecursionError, SyntaxError):
        return None


def _lift_many(lifted: Lifted, kind: str, integers: tuple[int, ...], program: Program) -> Entry | None:
    code = lifted.body.code
    flow = Flow(code)
    if any(block.head for block in flow.blocks.values()):
        return None
    start = dict.fromkeys(integers, INT)
    making = _Inlined(lifted, flow, program, start, kind)
    rows = [code.instructions[index] for one in flow.order for index in range(one, flow.blocks[one].stop)]
    if making.own or not all(_harmless(making, row, 0) for row in rows):
        return None
    if kind == REDUCE and 0 in integers and Kinds(flow, start, {}, (), INT).result != INT:
        return None
    written = making.written()
    nodes = Structure(flow, written).nodes(())
    if not _straight(nodes):
        return None
    text = Text()
    text.line(0, "")
    text.line(1, "")
    given = code.parameters
    captures = "".join(f"r{given + place}, " for place in range(code.captures))
    if captures:
        text.line(1, f"{captures}= S.captures")
    if code.takes_self:
        text.line(1, f"r{given + code.captures} = S")
    parameters = ["F", "S", "items"]
    if kind == REDUCE:
        parameters.insert(2, "r0")
    alone = len(flow.order) == 1 and len(written[flow.entry].lines) == 2  # all of it is one expression
    if alone and making.gave and not making.begin:
        text.line(1, f"return [{making.gave[0]} for {making.item} in items{making.gave[1]}]")
        return making.finish(text, parameters)
    if kind in (MAP, FILTER):
        text.line(1, "out = []")
        text.line(1, "append = out.append")
    if kind in (MAP, FILTER, REDUCE):
        text.line(1, f"for {making.item} in items:")
    else:
        text.line(1, "n = -1")
        text.line(1, f"for n, {making.item} in enumerate(items):")
    if making.begin:
        text.line(2, making.begin)
    text.nodes(2, nodes)
    text.line(1, "return " + {MAP: "out", FILTER: "out", REDUCE: "r0"}.get(kind, "n + 1"))
    return making.finish(text, parameters)


def _straight(nodes: Sequence[Node]) -> bool:
    """Whether statements have no loop, so that `continue` in them is for the loop around."""
    for node in nodes:
        if isinstance(node, If):
            if not (_straight(node.then) and _straight(node.other)):
                return False
        elif not isinstance(node, Line):
            return False
    return True


def lift_many_of(function: Any, count: int, kind: str, integers: tuple[int, ...], program: Program) -> Entry | None:
    """`lift_many` of the body of a closure's function with a number of parameters, made once."""
    body = run_function(function).fixed.get(count)
    if body is None:
        return None
    lifted = lifted_of(body)
    key = (kind, integers)
    try:
        return lifted.many[key]
    except KeyError:
        found = lifted.many[key] = lift_many(lifted, kind, integers, program)
        return found

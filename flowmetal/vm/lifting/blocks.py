"""Basic blocks as Python statements, instruction by instruction; operands.py has what is known on the way."""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Instruction
from flowmetal.dataclass import replace
from flowmetal.values import Keyword
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.builtins.strings import LIFTED_MAX
from flowmetal.vm.lifting.accumulators import CONJ, GET, ITEMS, NTH, changes, looks_up
from flowmetal.vm.lifting.expressions import Operand, text_parts
from flowmetal.vm.lifting.kinds import ANY, BOOL, INT, constant_kind
from flowmetal.vm.lifting.operands import Operands, flat_of
from flowmetal.vm.lifting.structure import Line, Meta, Written
from flowmetal.vm.state import Region

ATTRIBUTE_ARGUMENTS_MAX = 4  # calls with as many have an entry of their own, see entries.py

#: Builtins that realize what is lazy in their argument, by their helper in runtime.py.
REALIZING = {500: "lifted_seq", 501: "lifted_first", 502: "lifted_rest", 503: "lifted_next"}
#: Classes whose plain case is written in place.
_PLAIN = {
    500: "({1} if type({0}) is Cons else lifted_seq(F, {1}))",
    501: "({1}.first if type({0}) is Cons else lifted_first(F, {1}))",
    502: "({1}.rest if type({0}) is Cons else lifted_rest(F, {1}))",
    503: "lifted_next(F, {0})",
}
_LITERALS = {Op.nil: None, Op.true: True, Op.false: False}


class Writer(Operands):
    """Writes one block."""

    def write(self) -> Written:
        """The block as statements."""
        self._enter()
        self._put_in()
        written = self._write()
        self.unit.exits[self.block.start] = self.constants
        return written

    def _enter(self) -> None:
        """What all blocks that lead here leave as constants is constant still."""
        before, exits = self.unit.before.get(self.block.start), self.unit.exits
        if before and not self.block.head and all(one in exits for one in before):
            first, *others = [exits[one] for one in before]
            self.constants = {
                register: operand
                for register, operand in first.items()
                if all(other.get(register) is operand for other in others)
            }

    def _write(self) -> Written:
        code, block = self.unit.code, self.block
        for index in range(block.start, block.stop):
            self.index = index
            self.snapshots[index] = self.constants
            row = code.instructions[index]
            if index == block.stop - 1:
                done = self._last(row)
                if done is not None:
                    return done
            self._step(row)
        self._spill(block.edges[0].target)
        return Written(self.lines, block.edges)

    # ---- the last instruction ------------------------------------------------------------------------------------

    def _last(self, row: Instruction) -> Written | None:
        """Writes an instruction that ends the block by itself; None for any other."""
        number = row[0]
        edges = self.block.edges
        if number in (Op.jump, Op.jump_back):
            self._spill(edges[0].target)
            return Written(self.lines, edges)
        if number in (Op.jump_if_false, Op.jump_if_true, Op.jump_if_not_nil):
            operand = self.uses((row[1],))[0]
            if number == Op.jump_if_not_nil:
                test = f"({operand.text} is None)"
            else:
                test = self.unit.expressions.truth(operand, number == Op.jump_if_false)
            meta = self.meta([operand])
            self._spill(edges[0].target, edges[1].target)
            return Written(self.lines, edges, test, meta)
        if number == Op.return_:
            operand = self.uses((row[1],))[0]
            self._give(operand, [operand], "at")
        elif number == Op.throw:
            self.statement("raise Bail", [])
        elif number in (Op.tail_call, Op.tail_call_global):
            return self._tail_call(row)
        elif number == Op.tail_apply:
            parts = self.uses((row[1], row[2]))
            self._give(Operand(f"apply_call(F, {parts[0].text}, {parts[1].text})"), parts, "tail")
        else:
            return None
        return Written(self.lines)

    def _tail_call(self, row: Instruction) -> Written:
        index = self.index
        own = self.unit.own.get(index)
        if own is not None and self.unit.loops and self.unit.kinds.fits(index, self.kinds_now()):
            parts = self.uses(own)
            function = row[1] if row[0] == Op.tail_call else -1
            pairs = [(f"r{place}", part.text) for place, part in enumerate(parts) if part.text != f"r{place}"]
            if row[0] == Op.tail_call_global and (self.unit.code.captures or self.unit.code.takes_self):
                pairs.append(("S", self.unit.constant(self.unit.known(row[1])[1]).text))
            if pairs:
                left, right = ", ".join(pair[0] for pair in pairs), ", ".join(pair[1] for pair in pairs)
                self.statement(f"{left} = {right}", parts)
            else:
                self.flush()
            return Written(self.lines, again=self.unit.site(index, own, function))
        text, parts = self._call_text(row[1], row[2], row[0] == Op.tail_call_global)
        self._give(Operand(text), parts, "tail")
        return Written(self.lines)

    def _give(self, operand: Operand, parts: list[Operand], kind: str) -> None:
        """Writes what ends the body with a value."""
        first, *others = self.unit.give(operand)
        self.statement(first, parts, kind)
        self.lines.extend(Line(text) for text in others)

    # ---- other instructions --------------------------------------------------------------------------------------

    def kinds_now(self) -> dict[int, int]:
        """The kinds of registers, constants among them."""
        kinds = dict(self.kinds)
        for register, operand in self.constants.items():
            kinds[register] = operand.kind
        return kinds

    def _step(self, row: Instruction) -> None:
        number = row[0]
        unit = self.unit
        make = unit.expressions
        if number in _LITERALS:
            self.hold(row[1], unit.constant(_LITERALS[number]))
        elif number == Op.integer:
            self.hold(row[1], unit.constant(row[2]))
        elif number == Op.constant:
            assert unit.code.module is not None
            self.hold(row[1], unit.constant(unit.code.module.constants[row[2]]))
        elif number == Op.move:
            self._move(row[1], row[2])
        elif number == Op.loop:
            pass
        elif number in (Op.add, Op.subtract, Op.multiply):
            sign, name = {Op.add: ("+", "add"), Op.subtract: ("-", "subtract"), Op.multiply: ("*", "multiply")}[number]
            parts = self.uses((row[2], row[3]), row[1], root=False)
            self.define(row[1], *self._made(make.arithmetic(sign, name, parts[0], parts[1]), parts))
        elif number == Op.add_integer:
            parts = self.uses((row[2],), row[1], root=False)
            sign, other = ("+", row[3]) if row[3] >= 0 else ("-", -row[3])
            one = Operand(str(other), INT, True, True, value=other, constant=True)
            made = make.arithmetic(sign, "add" if sign == "+" else "subtract", parts[0], one)
            self.define(row[1], *self._made(made, parts))
        elif number in (Op.less, Op.less_equal):
            parts = self.uses((row[2], row[3]), row[1], root=False)
            sign, name = ("<", "less") if number == Op.less else ("<=", "less_equal")
            self.define(row[1], *self._made(make.comparison(sign, name, *parts), parts))
        elif number == Op.equal:
            parts = self.uses((row[2], row[3]), row[1], root=False)
            self.define(row[1], *self._made(make.equality(*parts), parts))
        elif number == Op.not_:
            parts = self.uses((row[2],), row[1], root=False)
            self.define(row[1], *self._made(make.negation(parts[0]), parts))
        elif number == Op.builtin:
            self._builtin(row)
        elif number == Op.closure:
            assert unit.code.module is not None
            parts = self.uses(row[3], row[1], root=False)
            function = unit.constant(unit.code.module.functions[row[2]])
            items = ", ".join(part.text for part in parts) + ("," if len(parts) == 1 else "")
            self.define(row[1], f"Closure({function.text}, ({items}))", ANY, parts, True)
        elif number == Op.sibling:
            assert unit.code.module is not None
            parts = self.uses((row[2],), row[1], root=False)
            function = unit.constant(unit.code.module.functions[row[3]])
            self.define(row[1], f"Closure({function.text}, {parts[0].text}.captures)", ANY, parts, True)
        elif number == Op.global_:
            settled, value = unit.known(row[2])
            if settled:
                self.hold(row[1], unit.constant(value))
            else:
                self.define(row[1], f"global_value(F.process, CODE, {row[2]})[0]", ANY, [], False)
        elif number == Op.dynamic:
            self.define(row[1], f"dynamic_value(F.process, F.fiber, CODE, {row[2]})", ANY, [], False)
        elif self.index in unit.nth_calls and row[3][0] in self.gathered:
            self._call_nth(row)
        elif number in (Op.call, Op.call_global):
            text, parts = self._call_text(row[2], row[3], number == Op.call_global, row[1])
            kind = unit.kinds.returns if unit.kinds.fits(self.index, self.kinds_now()) else ANY
            self.assign(row[1], text, kind, parts, "call")
        elif number == Op.apply:
            parts = self.uses((row[2], row[3]), row[1])
            self.assign(row[1], f"apply_call(F, {parts[0].text}, {parts[1].text})", ANY, parts, "call")
        elif number in (Op.vector, Op.set, Op.map):
            self._collection(row)
        elif number == Op.region and row[2] == Region.ATOMIC:
            parts = self.uses((row[4],), row[1])
            self.assign(row[1], f"atomic(F, {parts[0].text})", ANY, parts, "call")
        elif number == Op.end_finally:
            operand = self.uses((row[1],))[0]
            self.statement(f"if {operand.text} is not None: raise Bail", [operand])
        else:
            # An effect, a region, a wait: that is for frames, which come to the rest of the block.
            self.statement("raise Bail", [])

    def _made(self, made: tuple[str, int, bool], parts: list[Operand]) -> tuple[str, int, list[Operand], bool]:
        text, kind, safe = made
        return text, kind, parts, safe

    def _move(self, to: int, source: int) -> None:
        operand = self.uses((source,), to, root=False)[0]
        if operand.constant:
            self.hold(to, operand)
        elif operand.text == f"r{source}":
            self.define(to, operand.text, operand.kind, [operand], True, atomic=True)
        else:
            self._forget(to)
            self.pending[to] = operand
            self.kinds[to] = operand.kind

    def _call_text(
        self, function: int, registers: tuple[int, ...], is_global: bool, written: int = -1
    ) -> tuple[str, list[Operand]]:
        """The call of a register's or a global's value, with the operands that it is made of."""
        unit = self.unit
        own = unit.own.get(self.index)
        if is_global:
            settled, value = unit.known(function)
            parts = self.uses(registers, written)
            if settled:
                target = unit.constant(value)
                name = unit.entry(value, len(registers), tuple(part.kind == INT for part in parts))
                if name is not None:
                    return _joined(name, ["F", target.text, *[part.text for part in parts]]), parts
                return self._value_call(target, value, parts), parts
            callee = Operand(f"(c := global_value(F.process, CODE, {function})[0])", start=self.index)
            return self._unknown_call("c", callee.text, parts), parts
        if own is not None:
            parts = self.uses(registers, written)
            name = unit.entry(None, len(registers), tuple(part.kind == INT for part in parts))
            if name is not None:
                return _joined(name, ["F", f"r{function}", *[part.text for part in parts]]), parts
        if function in self.pending:
            self.flush()
        parts = self.uses((function, *registers), written)
        target = parts[0]
        if target.constant:
            name = unit.entry(target.value, len(registers), tuple(part.kind == INT for part in parts[1:]))
            if name is not None:
                return _joined(name, ["F", target.text, *[part.text for part in parts[1:]]]), parts
            return self._value_call(target, target.value, parts[1:]), parts
        if not target.atomic:
            return self._unknown_call("c", f"(c := {target.text})", parts[1:]), parts
        count = len(parts) - 1
        spoiled = unit.unsteady.get(self.block.start)
        if (
            spoiled is not None
            and function not in spoiled
            and unit.held >> function & 1
            and target.text == f"r{function}"
            and count <= ATTRIBUTE_ARGUMENTS_MAX
        ):
            unit.callees.add((function, count))
            return _joined(f"h{function}_{count}", ["F", target.text, *[part.text for part in parts[1:]]]), parts
        return self._unknown_call(target.text, target.text, parts[1:]), parts

    def _value_call(self, target: Operand, value: Any, parts: list[Operand]) -> str:
        """The call of a constant that is no closure with a body for these arguments."""
        other = {1: "call_one", 2: "call_two"}.get(len(parts), "other_call")
        return _joined(other, ["F", target.text, *[part.text for part in parts]])

    def _unknown_call(self, name: str, first: str, parts: list[Operand]) -> str:
        texts = [part.text for part in parts]
        if len(parts) > ATTRIBUTE_ARGUMENTS_MAX:
            return _joined("value_call", ["F", first, *texts])
        arguments = ", ".join(["F", name, *texts])
        # The class is looked at first, so `first` names the value for the rest of the line.
        other = {1: "call_one", 2: "call_two"}.get(len(parts), "other_call")
        return (
            f"(({name}.function.lifted or warm({name})).n{len(parts)} if type({first}) is Closure else {other})"
            f"({arguments})"
        )

    def _builtin(self, row: Instruction) -> None:
        unit = self.unit
        register, number, registers = row[1], row[2], row[3]
        info = BUILTINS[number]
        if changes(row) and register in self.gathered:
            self._change(row)
            return
        if registers and registers[0] in self.gathered and looks_up(row, registers[0]):
            parts = self.uses(registers[1:], register, root=False)
            method = "get" if number == GET else "nth"
            text = _joined(f"A{registers[0]}.{method}", [part.text for part in parts])
            if number == GET and _own_key(parts[0]) and all(part.atomic for part in parts):
                name = unit.expressions.name()
                text = f"({text} if ({name} := G{registers[0]}.get({parts[0].text})) is None else {name})"
            read = Operand("", ANY, start=self.index, uses=frozenset((registers[0],)))
            self.define(register, text, ANY, [*parts, read], False)
            return
        if info.context:
            parts = self.uses(registers, register)
            text = _joined(unit.expressions.builtin(number), ["F.process", *[part.text for part in parts]])
            self.assign(register, text, ANY, parts)
            return
        if number in REALIZING and not self.unit.again:
            if any(one in self.pending for one in registers):
                self.flush()  # while it is realized the frame stands at this very instruction
            parts = self.uses(registers, register)
            first, again = unit.expressions.twice(parts[0])
            self.assign(register, _PLAIN[number].format(first, again), ANY, parts)
            return
        if number == 200 and len(registers) > 1 and registers[0] == register and register not in registers[1:]:
            self._append_text(row)
            return
        parts = self.uses(registers, register, root=False)
        made = unit.expressions.call(number, parts)
        if number == NTH and len(parts) == 2:
            made = self._walk(registers[0], parts) or made
        if made[1] == ANY and unit.kinds.result_kind(self.index, row, self.kinds) == BOOL:
            made = (made[0], BOOL, made[2])
        self.define(register, *self._made(made, parts))

    def _walk(self, register: int, parts: list[Operand]) -> tuple[str, int, bool] | None:
        """An item of a collection that stays the same in a loop, which keeps the 32 items that it looked at last."""
        coll, place = parts
        spoiled = self.unit.unsteady.get(self.block.start)
        if spoiled is None or register in spoiled or coll.text != f"r{register}":
            return None
        if place.kind != INT or not place.atomic or place.constant:
            return None
        self.unit.walked.add(register)
        kept, number, i = f"C{register}", f"c{register}", place.text
        block = f"({kept} := items_of({coll.text}, ({number} := {i} >> 5)))"
        return f"({kept} if {i} >> 5 == {number} else {block})[{i} & 31]", ANY, False

    def _change(self, row: Instruction) -> None:
        """A change of a collection in place of itself, which is gathered."""
        register, number = row[1], row[2]
        parts = self.uses(row[3][1:], register)
        texts = ", ".join(part.text for part in parts)
        meta = self.meta(parts)
        self.flush()
        if self.gathered[register] == ITEMS:
            self.lines.append(Line(f"if type(r{register}) is Vector:", meta))
            self.lines.append(Line(f" L{register}.append({texts})", meta))
            self.lines.append(Line("else:"))
            plain = self.unit.expressions.builtin(number)
            self.lines.append(Line(f" r{register} = {plain}(r{register}, {texts})", meta))
        elif number == CONJ:
            self.lines.append(Line(f"A{register}.conj({texts})", meta))
            self.lines.append(Line(flat_of(register), pure=True))
        else:
            self._change_item(register, parts, meta)
        self.kinds[register] = ANY

    def _change_item(self, register: int, parts: list[Operand], meta: Meta) -> None:
        """`assoc` of what is gathered: one integer for another is changed in place."""
        place, value = parts
        if not _own_key(place) or not place.atomic:
            self.lines.append(Line(f"A{register}.assoc({place.text}, {value.text})", meta))
            self.lines.append(Line(flat_of(register), pure=True))
            return
        expressions = self.unit.expressions
        key, item, old = place.text, value.text, expressions.name()
        if not value.atomic:
            item = expressions.name()
            self.lines.append(Line(f"{item} = {value.text}", meta))
        integer = "" if value.kind == INT else f"type({item}) is int and "
        lines = [
            f"if {integer}type({old} := G{register}.get({key})) is int:",
            f" if {old} != {item}: G{register}[{key}] = {item}",
            "else:",
            f" A{register}.assoc({key}, {item})",
            f" {flat_of(register)}",
        ]
        if place.kind == INT:
            lines[:1] = [
                f"if 0 <= {key} < n{register} and {integer}type({old} := B{register}[{key}]) is int:",
                f" if {old} != {item}: B{register}[{key}] = {item}; D{register}[{key} >> 5] = 1",
                f"el{lines[0]}",
            ]
        self.lines.extend(Line(line, meta) for line in lines)

    def _call_nth(self, row: Instruction) -> None:
        """A call of the library's `nth` with what is gathered."""
        register, coll = row[1], row[3][0]
        place = self.uses(row[3][1:], register)[0]
        text = f"A{coll}.call_nth(F, {place.text})"
        if place.kind != INT or not place.atomic:
            self.assign(register, text, ANY, [place], "call")
            return
        self.statement(f"if 0 <= {place.text} < n{coll}:", [place])
        meta = self.meta([place])
        lines = [" for _ in F: break", " else: raise Exhausted", f" r{register} = B{coll}[{place.text}]", "else:"]
        self.lines.extend(Line(line, meta) for line in lines)
        self.lines.append(Line(f" r{register} = {text}", self.meta([place], "call")))
        self._drop_constant(register)
        self.kinds[register] = ANY

    def _append_text(self, row: Instruction) -> None:
        """Text added to a string that nothing else refers to: Python then need not copy it."""
        register, registers = row[1], row[3]
        if register in self.pending:
            self.flush()
        if register in self.constants:
            parts = self.uses(registers, register, root=False)
            made = self.unit.expressions.call(200, parts)
            self.define(register, *self._made(made, parts))
            return
        parts = self.uses(registers[1:], register)
        expressions = self.unit.expressions
        name = expressions.name()
        added = text_parts(expressions, parts)
        meta = self.meta(parts)
        self.flush()
        self._drop_constant(register)
        texts = ", ".join([f"r{register}", *[part.text for part in parts]])
        self.lines.append(
            Line(f"if type(r{register}) is str and len(r{register}) + len({name} := {added}) <= {LIFTED_MAX}:", meta)
        )
        self.lines.append(Line(f" r{register} = r{register} + {name}", meta))
        self.lines.append(Line("else:"))
        self.lines.append(Line(f" r{register} = {expressions.builtin(200)}({texts})", meta))
        self.kinds[register] = ANY

    def _collection(self, row: Instruction) -> None:
        number, register, registers = row[0], row[1], row[2]
        parts = self.uses(registers, register, root=False)
        items = "".join(f"{part.text}, " for part in parts)
        if number == Op.vector:
            text = f"Vector(({items}))" if 1 <= len(parts) <= 32 else f"Vector.of(({items}))"
            self.define(register, text, ANY, parts, True)
            return
        if number == Op.set:
            self.define(register, f"Set.of(({items}))", ANY, parts, False)
            return
        keys = parts[::2]
        if 1 <= len(keys) <= 16 and all(key.constant and key.value.__class__ in (str, int, Keyword) for key in keys):
            pairs = ", ".join(f"{key.text}: {value.text}" for key, value in zip(keys, parts[1::2], strict=True))
            self.define(register, f"Map({{{pairs}}})", ANY, parts, True)
            return
        self.define(register, f"map_of(({items}))", ANY, parts, False)


def _own_key(operand: Operand) -> bool:
    """Whether an operand is known to be its own key in a dict, as integers and constant names are."""
    return operand.kind == INT or (operand.constant and operand.value.__class__ in (str, Keyword))


def _joined(name: str, arguments: list[str]) -> str:
    return f"{name}({', '.join(arguments)})"


def settle(operand: Operand, value: Any) -> Operand:
    """An operand that is a constant."""
    return replace(operand, value=value, constant=True, kind=constant_kind(value), atomic=True, safe=True)

"""What registers are known to hold: which instruction wrote the value that one reads, whatever way led there.

A pass from the first instruction of a code to the last, of linear time.  What a register holds counts as known while
the last instruction before that wrote it is on every way: a jump from before it to behind it ends that, and so does a
loop that writes the register again.  The code has passed verify.py, so jumps go forward but to the heads of loops.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowmetal.bytecode.opcodes import Op
from flowmetal.bytecode.program import Code, Instruction
from flowmetal.bytecode.shape import SHAPES, registers_read


class Known:
    """The walk over one code: `steps` gives its instructions in turn, `writer` answers for the one that was given."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self._last: dict[int, int] = {}  # register -> the instruction that wrote it, in the order of the instructions
        self._handlers: dict[int, list[tuple[int, int]]] = {}  # target -> (register, start) of the ranges it is of
        for row in code.tries:
            self._handlers.setdefault(row.target, []).append((row.register, row.start))
        self.next_use: dict[int, int] = {}  # of an instruction that writes: the next one that uses its register
        self._again: dict[int, int] = {}  # of an instruction that writes: the next one that writes its register
        self._look_ahead()
        self._loops: list[tuple[int, int]] = []  # head and end of the loops around the instruction, outermost first

    def _look_ahead(self) -> None:
        written: dict[int, int] = {}
        used: dict[int, int] = {}
        instructions = self.code.instructions
        for index in range(len(instructions) - 1, -1, -1):
            instruction = instructions[index]
            place = SHAPES[instruction[0]].write
            if place:
                register = instruction[place]
                if register in written:
                    self._again[index] = written[register]
                if register in used:
                    self.next_use[index] = used[register]
                written[register] = used[register] = index
            for register in registers_read(instruction):
                used[register] = index
            for register, _ in self._handlers.get(index, ()):
                written[register] = used[register] = index

    def steps(self) -> Iterator[tuple[int, Instruction]]:
        """Each instruction with its index; between two of them `writer` answers for the first."""
        instructions = self.code.instructions
        ends = {ins[1]: index for index, ins in enumerate(instructions) if ins[0] == Op.jump_back}
        sources: dict[int, int] = {}  # target -> the first instruction that jumps there
        last, loops = self._last, self._loops
        for index, instruction in enumerate(instructions):
            source = sources.get(index)
            if source is not None:
                self._forget(source)
            for register, start in self._handlers.get(index, ()):
                self._forget(start - 1)
                last.pop(register, None)
            while loops and loops[-1][1] < index:
                loops.pop()
            if instruction[0] == Op.loop and index in ends:
                loops.append((index, ends[index]))
            yield index, instruction
            shape = SHAPES[instruction[0]]
            if shape.label:
                sources.setdefault(instruction[shape.label], index)
            if shape.write:
                register = instruction[shape.write]
                last.pop(register, None)
                last[register] = index

    def _forget(self, source: int) -> None:
        """Ways have met, one from an instruction before which everything that is known must have been written."""
        last = self._last
        while last:
            register, index = last.popitem()
            if index <= source:
                last[register] = index
                return

    def writer(self, register: int) -> int:
        """The index of the instruction that wrote what the register holds, or -1."""
        index = self._last.get(register, -1)
        if index >= 0:
            again = self._again.get(index)
            if again is not None:
                for head, end in self._loops:
                    if head > index:
                        return -1 if again <= end else index
        return index

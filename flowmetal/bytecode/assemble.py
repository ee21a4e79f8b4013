"""The assembler: code bodies from the text that disassemble.py writes, or that a person does.

A text holds bodies one after the other.  A body begins with `.code "name"`, has directives, then instructions, one a
line: a mnemonic and its operands.  `r3` is a register, `k0` a constant, `g0` a reference, `f0` a function, `b7` a
builtin, `(r1 r2)` a list of registers; a region is its name; a label stands before an instruction as `again:` and is
an operand by its name.  `@12:4-12:9` at the end is the span, in the file of the last `.file`; from `;` on a line is a
comment.

    .code "demo/count"
    .parameters 1        ; also .captures N, .registers N, .variadic, .self, .index N, .file "demo.fm"
    .registers 2
    .try catch again out out r1
    .local "n" r0 again out
    again:
      loop
      jump_back again
    out:
      return r1
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from flowmetal.bytecode.flat import LAYOUTS
from flowmetal.bytecode.opcodes import BY_NAME, REGION_KINDS, Operand
from flowmetal.bytecode.program import Code, Instruction, LocalName, Try
from flowmetal.diagnostics import FlowmetalError, Span

#: The letter before the number of each kind of operand; the others are written without one.
PREFIXES: dict[Operand, str] = {
    Operand.WRITE: "r",
    Operand.READ: "r",
    Operand.CONSTANT: "k",
    Operand.REFERENCE: "g",
    Operand.FUNCTION: "f",
    Operand.BUILTIN: "b",
    Operand.INTEGER: "",
}
_REGIONS = {name: number for number, (name, _) in REGION_KINDS.items()}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()]|[^\s();"]+|;.*|\S')
_SPAN = re.compile(r"@(\d{1,10}):(\d{1,10})-(\d{1,10}):(\d{1,10})\Z", re.ASCII)
_LABEL = re.compile(r"[A-Za-z_][\w-]*\Z", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,10}\Z", re.ASCII)


def assemble(text: str) -> Code:
    """The one code body of a text.  FlowmetalError B401 with the line where the text is wrong."""
    codes = assemble_all(text)
    if len(codes) != 1:
        raise FlowmetalError("B401", line=1, problem=f"there are {len(codes)} bodies where one is expected")
    return codes[0]


def assemble_all(text: str) -> list[Code]:
    """The code bodies of a text, in order.  FlowmetalError B401.  What they mean is for verify.py to check."""
    codes: list[Code] = []
    body: _Body | None = None
    for number, line in enumerate(text.split("\n"), 1):
        words = _Words(number, line)
        if words.done():
            continue
        if words.peek() == ".code":
            words.take()
            if body is not None:
                codes.append(body.finish())
            body = _Body(words.string())
            words.end()
        elif body is None:
            words.fail("a text begins with .code and a name")
        else:
            body.line(words)
    if body is not None:
        codes.append(body.finish())
    return codes


class _Words:
    """The words of one line, taken from the left."""

    def __init__(self, number: int, line: str) -> None:
        self.number = number
        self.words = [word for word in _TOKEN.findall(line) if not word.startswith(";")]
        self.position = 0

    def fail(self, problem: str) -> NoReturn:
        raise FlowmetalError("B401", line=self.number, problem=problem)

    def done(self) -> bool:
        return self.position >= len(self.words)

    def peek(self) -> str:
        return self.words[self.position] if not self.done() else ""

    def take(self) -> str:
        word = self.peek()
        if not word:
            self.fail("the line ends too early")
        self.position += 1
        return word

    def end(self) -> None:
        if not self.done():
            self.fail(f"`{self.peek()}` is too much")

    def string(self) -> str:
        word = self.take()
        try:
            value = json.loads(word)
        except ValueError:
            value = None
        if value.__class__ is not str:
            self.fail(f"`{word}` is not a string in double quotes")
        return str(value)

    def integer(self, prefix: str = "") -> int:
        word = self.take()
        digits = word.removeprefix(prefix)
        if not word.startswith(prefix) or not _NUMBER.match(digits):
            self.fail(f"`{word}` is not {f'{prefix} and a number' if prefix else 'a number'}")
        return int(digits)

    def label(self) -> str:
        word = self.take()
        if not _LABEL.match(word):
            self.fail(f"`{word}` is not a label")
        return word


class _Body:
    """One code while it is read; what names labels waits for the end, when all of them are known."""

    def __init__(self, name: str) -> None:
        self.code = Code(name, 0, False, 0, False, 0, ())
        self.file = ""
        self.labels: dict[str, int] = {}
        self.instructions: list[Callable[[], Instruction]] = []
        self.spans: list[Span | None] = []
        self.rows: list[Callable[[], None]] = []

    def finish(self) -> Code:
        code = self.code
        code.instructions = tuple(make() for make in self.instructions)
        for make in self.rows:
            make()
        if any(self.spans):
            code.spans = tuple(self.spans)
        return code

    def line(self, words: _Words) -> None:
        word = words.take()
        if word.startswith("."):
            self.directive(word, words)
        elif word.endswith(":") and _LABEL.match(word[:-1]):
            if word[:-1] in self.labels:
                words.fail(f"the label {word[:-1]} is here twice")
            self.labels[word[:-1]] = len(self.instructions)
            if not words.done():
                self.line(words)
            return
        else:
            self.instruction(word, words)
        words.end()

    def directive(self, word: str, words: _Words) -> None:
        code = self.code
        if word == ".parameters":
            code.parameters = words.integer()
        elif word == ".captures":
            code.captures = words.integer()
        elif word == ".registers":
            code.registers = words.integer()
        elif word == ".index":
            code.index = words.integer()
        elif word == ".variadic":
            code.variadic = True
        elif word == ".self":
            code.takes_self = True
        elif word == ".file":
            self.file = words.string()
        elif word == ".try":
            kind = words.take()
            start, end, target = (self.place(words) for _ in range(3))
            register = words.integer("r")
            self.rows.append(lambda: self.add_try(Try(start(), end(), target(), register, kind)))
        elif word == ".local":
            name = words.string()
            register = words.integer("r")
            start, end = self.place(words), self.place(words)
            self.rows.append(lambda: self.add_local(LocalName(name, register, start(), end())))
        else:
            words.fail(f"`{word}` is not a directive")

    def add_try(self, row: Try) -> None:
        self.code.tries += (row,)

    def add_local(self, row: LocalName) -> None:
        self.code.locals += (row,)

    def place(self, words: _Words) -> Callable[[], int]:
        """A label by name, looked up at the end."""
        name = words.label()

        def find() -> int:
            if name not in self.labels:
                words.fail(f"there is no label {name}")
            return self.labels[name]

        return find

    def instruction(self, mnemonic: str, words: _Words) -> None:
        opcode = BY_NAME.get(mnemonic)
        if opcode is None:
            words.fail(f"`{mnemonic}` is not an instruction")
        operands: list[Any] = []
        for kind in opcode.operands:
            if kind is Operand.REGISTERS:
                operands.append(tuple(self.registers(words)))
            elif kind is Operand.REGION:
                name = words.take()
                if name not in _REGIONS:
                    words.fail(f"`{name}` is not a region")
                operands.append(_REGIONS[name])
            elif kind is Operand.LABEL or kind is Operand.BACK:
                operands.append(self.place(words))
            else:
                operands.append(words.integer(PREFIXES[kind]))
        self.spans.append(self.span(words))
        assert len(operands) == sum(LAYOUTS[opcode.number])
        number = opcode.number
        self.instructions.append(lambda: (number, *(item() if callable(item) else item for item in operands)))

    def registers(self, words: _Words) -> Iterator[int]:
        if words.take() != "(":
            words.fail("a list of registers begins with (")
        while words.peek() != ")":
            yield words.integer("r")
        words.take()

    def span(self, words: _Words) -> Span | None:
        if words.done():
            return None
        word = words.take()
        found = _SPAN.match(word)
        if found is None:
            words.fail(f"`{word}` is not a span")
        line, column, end_line, end_column = map(int, found.groups())
        return Span(self.file, line, column, end_line, end_column)

"""format_source: writes the tokens of a text again, with the white space that the rules ask for.

Kept: where lines break, comments, commas, spaces between forms of a line.  Changed: indentation, spaces at the ends of
lines and inside brackets, missing spaces, more than one empty line in a row, the end of the file.
"""

from __future__ import annotations

from flowmetal.compiler.formatter.rules import DEPTH_MAX, Block, Inner, rules_of
from flowmetal.compiler.formatter.tokens import Kind, all_tokens
from flowmetal.compiler.reader import read_source
from flowmetal.compiler.reader.reading import SOURCE_CHARACTERS
from flowmetal.diagnostics import CompileFailed, Diagnostic, Span

BODY = 2

#: Deeper indentation than this is cut: the text would grow with the square of its nesting.
INDENTATION_MAX = 400


class _Level:
    """An open bracket, or a mark that still waits for `wants` forms."""

    __slots__ = ("column", "first_in_line", "forms", "head", "inner", "is_list", "second", "spaced", "wants", "width")

    def __init__(self, text: str, column: int, wants: int = 0) -> None:
        self.column = column  # of the bracket or mark
        self.width = len(text)
        self.wants = wants  # 0 for a bracket
        self.spaced = text.startswith("#") and text not in ("#^", "#'")  # of a mark: a space after it is kept
        self.is_list = not wants and text.endswith("(")
        self.inner = column + self.width  # where its first form stands
        self.forms = 0  # that have begun
        self.head = ""  # of a list: the symbol it begins with
        self.second = -1  # column of the second form
        self.first_in_line: list[bool] = []  # of the first forms, as far as a rule asks


def format_source(text: str | bytes, file: str) -> str:
    """The text in its usual layout.  Raises CompileFailed if the reader does not accept it, before or after."""
    read = read_source(text, file)
    if read.diagnostics:
        raise CompileFailed(list(read.diagnostics))
    try:
        return _Writer().write(read.text)
    except _TooLong:
        # Indentation grows with the nesting; a file that could not be read again is not written.
        raise CompileFailed([Diagnostic("U160", Span(file, 1, 1, 1, 1), {"limit": SOURCE_CHARACTERS})]) from None


class _TooLong(Exception):
    """The text written so far has more characters than a file may have."""


class _Writer:
    def __init__(self) -> None:
        self.out: list[str] = []
        self.column = 0
        self.levels: list[_Level] = [_Level("", 0)]
        self.fresh = True  # at the start of a line
        self.lines = 0  # line breaks to write before what comes next
        self.space = ""  # spaces and commas to write before what comes next
        self.comma = False  # one that ended a line: it stays if something follows in its bracket
        self.size = 0  # characters written
        self.tight = True  # nothing may stand before what comes next: after a bracket, a mark
        self.after_comment = False

    def write(self, text: str) -> str:
        """The whole text."""
        for kind, token in all_tokens(text):
            if kind is Kind.SPACE:
                self._space(token)
            elif kind is Kind.COMMENT:
                self._comment(token)
            elif kind is Kind.CLOSE:
                self._close(token)
            else:
                self._form(kind, token)
        self.out.append("\n" if self.out else "")
        return "".join(self.out)

    # ---- tokens ---------------------------------------------------------------------------------------------------

    def _space(self, token: str) -> None:
        token = token.replace("\ufeff", "")
        lines = token.count("\n")
        if lines:
            before = token[: token.index("\n")]
            self.space = ("," if "," in self.space + before else "") if not self.lines else ""
            self._commas()
            self.lines += lines
            self.space = ""
        elif not self.lines:
            self.space += token.replace("\t", " ").replace("\r", "").replace("\f", " ")

    def _commas(self) -> None:
        """A comma at the end of a line stays there."""
        if self.space and not self.tight and not self.after_comment:
            self.comma = True
        self.space = ""

    def _comment(self, token: str) -> None:
        if self.lines and (not self.tight or self.after_comment or self.levels[-1].wants):
            self._break()
        elif self.lines and self.out:
            self._break()  # first thing in its bracket, on a line of its own
        elif self.out and not self.fresh:
            self._put(self.space or " ")
        self.lines, self.space = 0, ""
        self._put(token.rstrip())
        self.tight = False
        self.after_comment = True

    def _close(self, token: str) -> None:
        if self.after_comment:
            self.lines = 1
            self._break()
        self.lines, self.space, self.comma = 0, "", False
        self.levels.pop()
        self._put(token)
        self._formed()

    def _form(self, kind: Kind, token: str) -> None:
        if self.lines or self.after_comment:
            if self.tight and not self.after_comment and not self.levels[-1].wants:
                pass  # white space after an opening bracket
            elif self.out:
                self.lines = max(self.lines, 1)
                self._break()
        elif not self.tight or (self.levels[-1].wants and self.levels[-1].forms):
            self._put(self.space or " ")
        elif self.levels[-1].wants and self.levels[-1].spaced:
            self._put(self.space)
        self.lines, self.space, self.after_comment = 0, "", False
        self._begin(token, kind)
        if kind is Kind.LEAF:
            self._put(token)
            self._formed()
            return
        wants = {Kind.OPEN: 0, Kind.PREFIX: 1, Kind.META: 2}[kind]
        self.levels.append(_Level(token, self.column, wants))
        self._put(token)
        self.tight = True

    def _begin(self, token: str, kind: Kind) -> None:
        """A form begins here, in the level on top."""
        level = self.levels[-1]
        if level.forms == 0 and kind is Kind.LEAF and level.is_list:
            level.head = token
        elif level.forms == 1:
            level.second = self.column
        if level.forms <= DEPTH_MAX + 1:
            level.first_in_line.append(self.fresh)
        level.forms += 1

    def _formed(self) -> None:
        """A form has ended: marks that have what they wait for end with it."""
        self.tight = False
        while self.levels[-1].wants and self.levels[-1].forms >= self.levels[-1].wants:
            self.levels.pop()

    # ---- lines ----------------------------------------------------------------------------------------------------

    def _put(self, text: str) -> None:
        if not text:
            return
        self.out.append(text)
        self.size += len(text)
        if self.size >= SOURCE_CHARACTERS:
            raise _TooLong
        last = text.rfind("\n")
        self.column = len(text) - last - 1 if last >= 0 else self.column + len(text)
        self.fresh = False

    def _break(self) -> None:
        """Line breaks, one empty line at most, and the indentation of what comes."""
        if not self.out:
            return
        breaks = "\n\n" if self.lines > 1 else "\n"
        self._put("," + breaks if self.comma else breaks)
        self.comma = False
        indentation = self._indentation()
        self._put(" " * min(indentation, INDENTATION_MAX))
        self.fresh = True

    def _indentation(self) -> int:
        """For the next form of the level on top."""
        position = len(self.levels) - 1
        while self.levels[position].wants:
            position -= 1
        level = self.levels[position]
        if position == 0:
            return 0
        # A form inside a mark belongs to the form that the mark began, which has been counted.
        index = level.forms - (1 if position < len(self.levels) - 1 else 0)
        if not level.is_list:
            return level.inner
        around: list[_Level] = []
        for one in (self.levels[at] for at in range(position, -1, -1)):
            if not one.wants:
                around.append(one)
                if len(around) > DEPTH_MAX:
                    break
        for depth, holder in enumerate(around):
            if not holder.is_list:
                continue
            for rule in rules_of(holder.head):
                if isinstance(rule, Block):
                    if depth == 0:
                        return self._block(level, rule.arguments, index)
                elif isinstance(rule, Inner) and rule.depth == depth:
                    argument = (index if depth == 0 else holder.forms - 1) - 1
                    if rule.argument is None or rule.argument == argument:
                        return level.column + level.width - 1 + BODY
        return self._arguments(level, index)

    def _block(self, level: _Level, arguments: int, index: int) -> int:
        starts = level.first_in_line
        body = arguments + 1
        own_line = body >= len(starts) or starts[body]
        if index > arguments and own_line:
            return level.column + level.width - 1 + BODY
        return self._arguments(level, index)

    def _arguments(self, level: _Level, index: int) -> int:
        return level.second if index > 1 else level.inner

"""Source: one text while it is being read.  It is what the lexer and the grammar call to make forms of tokens.

Everything that is wrong ends in `report`, with a place; a placeholder symbol stands in for what could not be read, so
that reading goes on and finds the next error.
"""

from __future__ import annotations

from typing import Any

from flowmetal.compiler.reader.lexer import NESTING_MAX
from flowmetal.compiler.reader.namespaces import Namespaces
from flowmetal.compiler.reader.spans import FormSpan
from flowmetal.diagnostics import Diagnostic, Label, Span
from flowmetal.reading.atoms import ARGUMENT, atom_value, char, keyword_parts, symbolic_value
from flowmetal.reading.bad import Bad
from flowmetal.reading.building import (
    ORDERED,
    list_of,
    map_of,
    metadata_of,
    namespaced,
    set_of,
    vector_of,
    with_metadata,
)
from flowmetal.reading.tags import tagged_value
from flowmetal.reading.text import character_value, regex_pattern, string_value
from flowmetal.values import List, Map, Regex, Symbol, print_string, span_of, symbol

#: Errors of one file that are reported; what follows is most often caused by the first ones.
DIAGNOSTICS_MAX = 50

#: Arguments that `#(...)` can have, as in Clojure.
ARGUMENTS_MAX = 20

#: Namespace of the symbols that stand in for what could not be read; no name that is read can have it.
PLACEHOLDER = "(unreadable)"

PREFIXES = {
    "'": "quote",
    "`": "syntax-quote",
    "~": "unquote",
    "~@": "unquote-splicing",
    "@": "deref",
    "#'": "var",
}

Pair = tuple[Any, Span | None]
Mark = tuple[str, int, int]  # text, line, column

_new = tuple.__new__


class Restart(Exception):
    """The brackets of the text do not match, or a form is missing: it is to be read again, with repairs."""


class ReadingEnds(Exception):
    """Reading ends here: DIAGNOSTICS_MAX is reached, or NESTING_MAX."""


class Source:
    """The state of reading one file: errors and comments so far, names, open function literals."""

    def __init__(self, text: str, file: str, namespaces: Namespaces, repairing: bool) -> None:
        self.text = text
        self.file = file
        self.namespaces = namespaces
        self.repairing = repairing
        self.lexer: Any = None
        self.top: list[Any] | None = None
        self.diagnostics: list[Diagnostic] = []
        self.comments: list[tuple[Span, str]] = []
        #: Atoms met before: names as (namespace, name) for symbols, whose place is their own, others as the value.
        self.symbols: dict[str, tuple[str | None, str]] = {}
        self.atoms: dict[str, Any] = {}
        self.ends_in_string = False
        self._functions: list[_FunctionLiteral] = []
        self._functions_made = 0
        self._placeholders = 0
        self._unquotes: list[tuple[int, int, str]] = []
        self._long_string: Span | None = None

    # What the lexer calls.

    def atom(self, t: Any, span: Span) -> Any:
        """Completes the token of an atom that was not met before."""
        text = t.value
        if text[0] == "%" and ARGUMENT.fullmatch(text):
            t.type = "ARGUMENT"
            t.value = (text, span)
            return t
        try:
            if text.startswith("::"):
                t.value = (self._namespaced_keyword(text), span)
                return t
            value = atom_value(text)
        except Bad as bad:
            self.report(bad, self.part(bad, span, text))
            t.value = self.placeholder(span)
            return t
        if value.__class__ is Symbol:
            self.symbols[text] = (value.namespace, value.name)
            t.value = (Symbol(value.namespace, value.name, span), None)
        else:
            self.atoms[text] = value
            t.value = (value, span)
        return t

    def string(self, token: str, span: Span) -> str:
        """The value of a string token."""
        if span.end_line > span.line:
            self._long_string = span
        return string_value(token)

    def character(self, token: str, span: Span) -> Any:
        """The value of a character token."""
        return char(character_value(token))

    def regex(self, token: str, span: Span) -> Regex:
        """The value of a regular expression token."""
        if span.end_line > span.line:
            self._long_string = span
        return Regex(regex_pattern(token))

    def symbolic(self, token: str, span: Span) -> float:
        """The value of `##Inf` and its like."""
        return symbolic_value(token)

    def unterminated(self, mark: str, span: Span) -> None:
        """A string or regular expression that starts here and has no end."""
        self.ends_in_string = True
        labels = []
        if self._long_string is not None:
            labels.append(Label(self._long_string, "this one runs over lines: is its end the one that is missing?"))
        self.report(Bad("R010" if mark == '"' else "R013"), span, labels=tuple(labels))

    def too_deep(self, span: Span) -> None:
        """The bracket here is nested deeper than any program: reading ends."""
        self.diagnostics.append(Diagnostic("R074", span, {"limit": NESTING_MAX}))
        raise ReadingEnds

    def unbalanced(self) -> None:
        """A closing bracket does not match."""
        if not self.repairing:
            raise Restart

    def ended(self) -> None:
        """The text is at its end."""
        if self.lexer.open and not self.repairing:
            raise Restart

    # What the grammar calls.  Items come as one list: form, span, form, span...

    def new_items(self) -> list[Any]:
        """An empty list for the forms between two brackets; the first one made is for those of the file."""
        items: list[Any] = []
        if self.top is None:
            self.top = items
        return items

    def list_form(self, opening: Mark, items: list[Any], closing: Mark) -> Pair:
        """`(...)`"""
        return list_of(items[::2], self._span(opening, closing, items)), None

    def vector_form(self, opening: Mark, items: list[Any], closing: Mark) -> Pair:
        """`[...]`"""
        return vector_of(items[::2], self._span(opening, closing, items)), None

    def map_form(self, opening: Mark, items: list[Any], closing: Mark) -> Pair:
        """`{...}` and `#:namespace{...}`"""
        values = items[::2]
        if len(values) % 2:
            self.report(
                Bad("R040"), self.place(values[-1], items[-1]), labels=(self._label(opening, "the map starts here"),)
            )
            values.pop()
            del items[-2:]
        if opening[0] != "{":
            values = namespaced(values, self._map_namespace(opening))
        span = self._span(opening, closing, items, values if len(values) > 2 * ORDERED else None)
        return map_of(values, span, lambda first, second: self._duplicate("R041", items, first, second)), None

    def set_form(self, opening: Mark, items: list[Any], closing: Mark) -> Pair:
        """`#{...}`"""
        values = items[::2]
        span = self._span(opening, closing, items, values if len(values) > ORDERED else None)
        return set_of(values, span, lambda first, second: self._duplicate("R042", items, first, second)), None

    def enter_function(self, opening: Mark) -> None:
        """`#(` was read; arguments belong to it until `function` is called."""
        if self._functions:
            outer = self._functions[-1].opening
            self.report(Bad("R061"), self._mark_span(opening), labels=(self._label(outer, "the outer one"),))
        self._functions_made += 1
        self._functions.append(_FunctionLiteral(opening, self._functions_made))

    def function_form(self, opening: Mark, items: list[Any], closing: Mark) -> Pair:
        """`#(...)`: (fn* [p1__1# & rest__1#] (...))"""
        literal = self._functions.pop()
        span = self._span(opening, closing, items)
        mark = self._mark_span(opening)
        names = [literal.name(number) for number in range(1, literal.highest + 1)]
        if literal.rest:
            names += ["&", literal.name(0)]
        parameters = vector_of([Symbol(None, name, mark) for name in names], mark)
        body = list_of(items[::2], span)
        return list_of([Symbol(None, "fn*", mark), parameters, body], Span._make(span)), None

    def argument(self, text: str, span: Span) -> Pair:
        """`%`, `%2` or `%&`: the parameter of the function literal around it; `%` without one is a name."""
        if not self._functions:
            if text == "%":  # what `:post` conditions call the result
                return Symbol(None, text, span), None
            self.report(Bad("R060", name=text), span)
            return self.placeholder(span)
        literal = self._functions[-1]
        if text == "%&":
            literal.rest = True
            return Symbol(None, literal.name(0), span), None
        number = int(text[1:4] or "1")
        if not 1 <= number <= ARGUMENTS_MAX or len(text) > 4:
            self.report(Bad("R062", name=text[:60], limit=ARGUMENTS_MAX), span)
            return self.placeholder(span)
        literal.highest = max(literal.highest, number)
        return Symbol(None, literal.name(number), span), None

    def prefixed(self, mark: Mark, form: Pair) -> Pair:
        """`'x` and the other marks that stand for a list of two: (quote x)"""
        text, line, column = mark
        if text == "`":
            while self._unquotes and self._unquotes[-1][:2] > (line, column):
                self._unquotes.pop()
        elif text[0] == "~":
            self._unquotes.append((line, column, text))
        name = Symbol(None, PREFIXES[text], self._mark_span(mark))
        return list_of([name, form[0]], self._prefix_span(mark, form, [None, form[1]])), None

    def tagged(self, mark: Mark, form: Pair) -> Pair:
        """`#inst "..."` and the other tagged literals; `#shop.Order{...}`, a record"""
        span = self._prefix_span(mark, form, [])
        module, _, name = mark[0][1:].rpartition(".")
        if module and name and form[0].__class__ is Map:
            maker = Symbol(module, f"map->{name}", self._mark_span(mark))
            return list_of([maker, form[0]], self._prefix_span(mark, form, [None, form[1]])), None
        if not is_placeholder(form[0]):
            try:
                return tagged_value(mark[0][1:], form[0]), span
            except Bad as bad:
                self.report(bad, self.place(*form) if bad.code == "R051" else self._mark_span(mark))
        return self.placeholder(span)

    def with_metadata(self, mark: Mark, metadata: Pair, form: Pair) -> Pair:
        """`^{...} x`"""
        if is_placeholder(metadata[0]) or is_placeholder(form[0]):
            return form
        try:
            return with_metadata(form[0], metadata_of(metadata[0])), form[1]
        except Bad as bad:
            self.report(bad, self.place(*(metadata if bad.code == "R064" else form)))
            return form

    def top_level(self, form: List) -> None:
        """A list at the top level is complete."""
        if form.count > 1 and form.first == _NS:
            self.namespaces.declare(form)

    def ended_well(self) -> None:
        """All forms are made: what was waiting for a form around it has none."""
        for line, column, text in self._unquotes:
            self.report(Bad("R063", mark=text), self._mark_span((text, line, column)))

    # Errors.

    def report(self, bad: Bad, span: Span, labels: tuple[Label, ...] = ()) -> None:
        """Adds an error; raises ReadingEnds with the last one there is room for."""
        self.diagnostics.append(Diagnostic(bad.code, span, bad.facts, labels))
        if len(self.diagnostics) >= DIAGNOSTICS_MAX:
            self.diagnostics.append(Diagnostic("R073", span, {"limit": DIAGNOSTICS_MAX}))
            raise ReadingEnds

    def missing(self, parser: Any, report: bool) -> Pair:
        """The mark on top of the parser's stack has no form after it: reports that and returns what stands in."""
        stack = parser.symstack
        top = len(stack) - 1
        if report:
            # A form after `#_` is left out, and the mark in front of that is still without one.
            while stack[top].type == "form" and stack[top - 1].type == "DISCARD":
                top -= 2
        # A form after `^` is its metadata.
        mark = stack[top - 1].value if stack[top].type == "form" else stack[top].value
        if report:
            self.report(Bad("R004", mark=mark[0]), self._mark_span(mark))
        return self.placeholder(self._mark_span(mark))

    def placeholder(self, span: Span) -> Pair:
        """A symbol that stands in for what could not be read, different from every other form."""
        self._placeholders += 1
        return Symbol(PLACEHOLDER, str(self._placeholders), span), None

    def part(self, bad: Bad, span: Span, text: str) -> Span:
        """The place of a part of a token that starts at `span`."""
        if bad.start is None or bad.end is None:
            return span
        line, column = _moved(span.line, span.column, text[: bad.start])
        end_line, end_column = _moved(line, column, text[bad.start : bad.end])
        return Span(self.file, line, column, end_line, end_column)

    def _duplicate(self, code: str, items: list[Any], first: int, second: int) -> None:
        form = items[2 * second]
        label = Label(self.place(*items[2 * first : 2 * first + 2]), "first here")
        self.report(
            Bad(code, key=print_string(form, limit=60)), self.place(form, items[2 * second + 1]), labels=(label,)
        )

    # Names.

    def _namespaced_keyword(self, text: str) -> Any:
        alias, name = keyword_parts(text)
        return self.namespaces.keyword(alias, name, strict=not self.repairing)

    def _map_namespace(self, opening: Mark) -> str:
        # "#:name{", "#::{" or "#::alias{", with white space before the brace.
        name = opening[0][2:-1].rstrip(" \t\r\n\f\v,")
        try:
            if not name.startswith(":"):
                if not name or "/" in name:
                    raise Bad("R031", name=f":{name}"[:60])
                return name
            return self.namespaces.namespace(name[1:] or None, "name", strict=not self.repairing)
        except Bad as bad:
            self.report(bad, self._mark_span(opening))
            return name.lstrip(":") or "_"

    # Places.

    def _span(self, opening: Mark, closing: Mark, items: list[Any], written: list[Any] | None = None) -> Span:
        place = (self.file, opening[1], opening[2], closing[1], closing[2] + 1)
        spans = items[1::2]
        if written is None and not any(spans):
            return _new(Span, place)
        span = _new(FormSpan, place)
        span.children = tuple(spans)
        span.written = None if written is None else tuple(written)
        return span

    def _prefix_span(self, mark: Mark, form: Pair, children: list[Span | None]) -> Span:
        end = self.place(*form)
        place = (self.file, mark[1], mark[2], end.end_line, end.end_column)
        if not any(children):
            return _new(Span, place)
        span = _new(FormSpan, place)
        span.children = tuple(children)
        span.written = None
        return span

    def place(self, form: Any, span: Span | None) -> Span:
        """The place of a form, given the span that came with it."""
        found: Span = span if span is not None else span_of(form)
        return found

    def _mark_span(self, mark: Mark) -> Span:
        text, line, column = mark
        return Span(self.file, line, column, line, column + len(text.partition("\n")[0]))

    def _label(self, mark: Mark, text: str) -> Label:
        return Label(self._mark_span(mark), text)


class _FunctionLiteral:
    """A `#(...)` whose end is not read yet: the arguments seen in it."""

    __slots__ = ("highest", "number", "opening", "rest")

    def __init__(self, opening: Mark, number: int) -> None:
        self.opening = opening
        self.number = number
        self.highest = 0
        self.rest = False

    def name(self, argument: int) -> str:
        """The parameter of an argument; 0 is for all the others.  The `#` lets syntax-quote rename it."""
        return f"p{argument}__{self.number}#" if argument else f"rest__{self.number}#"


def is_placeholder(form: Any) -> bool:
    """Whether a form stands in for one that could not be read."""
    return form.__class__ is Symbol and form.namespace == PLACEHOLDER


_NS = symbol("ns")


def _moved(line: int, column: int, text: str) -> tuple[int, int]:
    """The place after `text`, which starts at a place."""
    lines = text.count("\n")
    if not lines:
        return line, column + len(text)
    return line + lines, len(text) - text.rfind("\n")

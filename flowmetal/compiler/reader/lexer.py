"""The ply lexer: text to tokens with their places.

A token's value is
  ATOM            (value, span, or None for a symbol, which carries its span itself)
  ARGUMENT        (text, span): `%`, `%2`, `%&`, of which the grammar knows where they stand
  opening bracket (text, line, column)
  closing bracket (text, line, column)
  PREFIX TAG META DISCARD   (text, line, column)
where lines and columns count from 1.  What is wrong inside a token is reported and a placeholder stands in
for it, so that the grammar never sees it.

ply needs its rules as functions named t_TOKEN with the expression attached; the order of the functions is the order in
which the expressions are tried.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from ply import lex

from flowmetal.diagnostics import Span
from flowmetal.reading import tokens as expressions
from flowmetal.reading.bad import Bad
from flowmetal.values import Symbol

tokens = (
    "ATOM",
    "ARGUMENT",
    "LIST",
    "VECTOR",
    "MAP",
    "SET",
    "FUNCTION",
    "NAMESPACED",
    "CLOSE_LIST",
    "CLOSE_VECTOR",
    "CLOSE_MAP",
    "PREFIX",
    "META",
    "DISCARD",
    "TAG",
)

#: Brackets inside brackets.  Far beyond any program; it bounds the memory that a file of brackets alone can take.
NESTING_MAX = 100_000

CLOSER = {"(": ")", "[": "]", "{": "}", "#{": "}", "#(": ")"}

_new_span = tuple.__new__

Rule = TypeVar("Rule", bound=Callable[..., Any])


def _token(expression: str) -> Callable[[Rule], Rule]:
    """Attaches the expression as an attribute: ply would take it from the docstring, which `python -OO` removes."""
    decorate: Callable[[Rule], Rule] = lex.TOKEN(expression)
    return decorate


#: What separates most tokens is skipped without a match.
t_ignore = " ,"


@_token(expressions.ATOM)
def t_ATOM(t: Any) -> Any:
    lexer = t.lexer
    text = t.value
    column = t.lexpos - lexer.line_start + 1
    span = _new_span(Span, (lexer.file, t.lineno, column, t.lineno, column + len(text)))
    name = lexer.symbols.get(text)
    if name is not None:
        t.value = (Symbol(name[0], name[1], span), None)
    elif text in lexer.atoms:
        t.value = (lexer.atoms[text], span)
    else:
        return lexer.source.atom(t, span)
    return t


@_token(expressions.SPACE)
def t_SPACE(t: Any) -> None:
    text = t.value
    lines = text.count("\n")
    if lines:
        t.lexer.lineno += lines
        t.lexer.line_start = t.lexpos + text.rfind("\n") + 1


@_token(r"\(")
def t_LIST(t: Any) -> Any:
    return _open(t, ")")


@_token(r"\)")
def t_CLOSE_LIST(t: Any) -> Any:
    return _close(t)


@_token(r"\[")
def t_VECTOR(t: Any) -> Any:
    return _open(t, "]")


@_token(r"\]")
def t_CLOSE_VECTOR(t: Any) -> Any:
    return _close(t)


@_token(r"\{")
def t_MAP(t: Any) -> Any:
    return _open(t, "}")


@_token(r"\}")
def t_CLOSE_MAP(t: Any) -> Any:
    return _close(t)


@_token(expressions.STRING)
def t_STRING(t: Any) -> Any:
    return _literal(t, t.lexer.source.string)


@_token(expressions.COMMENT)
def t_COMMENT(t: Any) -> None:
    column = t.lexpos - t.lexer.line_start + 1
    span = Span(t.lexer.file, t.lineno, column, t.lineno, column + len(t.value))
    t.lexer.source.comments.append((span, t.value))


@_token(r"\#\{")
def t_SET(t: Any) -> Any:
    return _open(t, "}")


@_token(r"\#\(")
def t_FUNCTION(t: Any) -> Any:
    return _open(t, ")")


@_token(r"\#_")
def t_DISCARD(t: Any) -> Any:
    return _mark(t, "DISCARD")


@_token(r"\#?\^")
def t_META(t: Any) -> Any:
    return _mark(t, "META")


@_token(r"'|`|~@|~|@|\#'")
def t_PREFIX(t: Any) -> Any:
    return _mark(t, "PREFIX")


@_token(expressions.CHARACTER)
def t_CHARACTER(t: Any) -> Any:
    return _literal(t, t.lexer.source.character)


@_token(expressions.REGEX)
def t_REGEX(t: Any) -> Any:
    return _literal(t, t.lexer.source.regex)


@_token(expressions.SYMBOLIC)
def t_SYMBOLIC(t: Any) -> Any:
    return _literal(t, t.lexer.source.symbolic)


@_token(expressions.NAMESPACED_MAP)
def t_NAMESPACED(t: Any) -> Any:
    text = t.value
    token = _open(t, "}")
    lines = text.count("\n")
    if lines:
        t.lexer.lineno += lines
        t.lexer.line_start = t.lexpos + text.rfind("\n") + 1
    return token


@_token(expressions.TAG)
def t_TAG(t: Any) -> Any:
    return _mark(t, "TAG")


@_token(r"\#?\"")
def t_UNTERMINATED(t: Any) -> Any:
    # The complete strings were tried before, so this one runs to the end of the text.
    span = _span_of(t, len(t.value))
    t.lexer.skip(len(t.lexer.lexdata) - t.lexer.lexpos)
    t.lexer.source.unterminated(t.value, span)
    t.type = "ATOM"
    t.value = t.lexer.source.placeholder(span)
    return t


@_token(expressions.BAD_DISPATCH)
def t_DISPATCH(t: Any) -> None:
    # What follows the mark is read by itself, unless it belongs to the mark as in `#?` and `#=`.
    mark = t.value if t.value in ("#?", "#=", "#<") else "#"
    span = _span_of(t, len(mark))
    t.lexer.skip(len(mark) - len(t.value))
    t.lexer.source.report(Bad("R053", mark=mark), span)


@_token(r"[\s\S]")
def t_OTHER(t: Any) -> None:
    character = t.value
    span = _span_of(t, 1)
    if character == "\\":
        t.lexer.source.report(Bad("R015"), span)
    else:
        digits = f"{ord(character):04X}"
        t.lexer.source.report(Bad("R034", character=f"U+{digits}", digits=digits), span)


def t_eof(t: Any) -> None:
    t.lexer.source.ended()


def t_error(t: Any) -> None:
    raise AssertionError("the last rule takes every character")


def _open(t: Any, closer: str) -> Any:
    lexer = t.lexer
    lexer.open.append(closer)
    if len(lexer.open) > NESTING_MAX:
        lexer.source.too_deep(_span_of(t, len(t.value)))
    t.value = (t.value, t.lineno, t.lexpos - lexer.line_start + 1)
    return t


def _close(t: Any) -> Any:
    lexer = t.lexer
    text = t.value
    if not lexer.open or lexer.open.pop() != text:
        lexer.source.unbalanced()
    t.value = (text, t.lineno, t.lexpos - lexer.line_start + 1)
    return t


def _mark(t: Any, kind: str) -> Any:
    t.type = kind
    t.value = (t.value, t.lineno, t.lexpos - t.lexer.line_start + 1)
    return t


def _literal(t: Any, read: Callable[[str, Span], Any]) -> Any:
    """A token that is a value by itself and may run over several lines."""
    lexer = t.lexer
    text = t.value
    line, column = t.lineno, t.lexpos - lexer.line_start + 1
    lines = text.count("\n")
    if lines:
        lexer.lineno += lines
        lexer.line_start = t.lexpos + text.rfind("\n") + 1
    end = t.lexpos + len(text) - lexer.line_start + 1
    span = Span(lexer.file, line, column, lexer.lineno, end)
    t.type = "ATOM"
    try:
        t.value = (read(text, span), span)
    except Bad as bad:
        lexer.source.report(bad, lexer.source.part(bad, span, text))
        t.value = lexer.source.placeholder(span)
    return t


def _span_of(t: Any, length: int) -> Span:
    column = t.lexpos - t.lexer.line_start + 1
    return Span(t.lexer.file, t.lineno, column, t.lineno, column + length)


@cache
def _built() -> Any:
    # Without `optimize` no file is read or written.  The flags must not have VERBOSE, which ply would set.
    return lex.lex(module=sys.modules[__name__], reflags=0, errorlog=lex.NullLogger())


def new_lexer(source: Any, text: str, file: str) -> Any:
    """A ply lexer over a text; `source` gets what is found wrong and reads the atoms (see source.py)."""
    lexer = _built().clone()
    lexer.source = source
    lexer.file = file
    lexer.symbols = source.symbols
    lexer.atoms = source.atoms
    lexer.line_start = 0
    lexer.lineno = 1
    lexer.open = []
    lexer.input(text)
    return lexer


def made_token(kind: str, value: Any) -> Any:
    """A token that is not in the text."""
    token = lex.LexToken()
    token.type, token.value, token.lineno, token.lexpos = kind, value, 0, 0
    return token

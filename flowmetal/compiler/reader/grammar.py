"""The ply grammar: tokens to forms.

The value of `items` is one flat list, form, span, form, span...; of `form` and of what makes one a pair (form, span),
where the span is None if the form carries it itself.  The functions keep no state of their own: what a file needs
(names, places, errors found) is on `p.lexer`, which is the Source being read.  A prefix at the end of its bracket,
with no form to belong to, is the only syntax error that can reach the parser; brackets are put right before.
"""

from __future__ import annotations

import copy
import sys
import types
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from ply import yacc

from flowmetal.compiler.reader import lexer

tokens = lexer.tokens

start = "items"

Rule = TypeVar("Rule", bound=Callable[..., Any])


def _rule(grammar: str) -> Callable[[Rule], Rule]:
    """Sets the docstring, in which ply looks for the grammar, by hand: `python -OO` removes written ones."""

    def decorate(function: Rule) -> Rule:
        function.__doc__ = grammar
        return function

    return decorate


@_rule("items :")
def p_items_none(p: Any) -> None:
    p.slice[0].value = p.lexer.new_items()


@_rule("items : items ATOM")
def p_items_atom(p: Any) -> None:
    _, items, atom = p.slice
    items.value += atom.value
    p.slice[0].value = items.value


@_rule(
    """items : items collection
             | items prefixed"""
)
def p_items_form(p: Any) -> None:
    _, items, form = p.slice
    items.value += form.value
    p.slice[0].value = items.value


@_rule("items : items ARGUMENT")
def p_items_argument(p: Any) -> None:
    _, items, argument = p.slice
    items.value += p.lexer.argument(*argument.value)
    p.slice[0].value = items.value


@_rule("items : items DISCARD form")
def p_items_discard(p: Any) -> None:
    p.slice[0].value = p.slice[1].value


@_rule("collection : LIST items CLOSE_LIST")
def p_list(p: Any) -> None:
    _, opening, items, closing = p.slice
    form = p.slice[0].value = p.lexer.list_form(opening.value, items.value, closing.value)
    if len(p.stack) == 2:  # the bottom of the stack and the items of the file
        p.lexer.top_level(form[0])


@_rule("collection : VECTOR items CLOSE_VECTOR")
def p_vector(p: Any) -> None:
    _, opening, items, closing = p.slice
    p.slice[0].value = p.lexer.vector_form(opening.value, items.value, closing.value)


@_rule(
    """collection : MAP items CLOSE_MAP
                  | NAMESPACED items CLOSE_MAP"""
)
def p_map(p: Any) -> None:
    _, opening, items, closing = p.slice
    p.slice[0].value = p.lexer.map_form(opening.value, items.value, closing.value)


@_rule("collection : SET items CLOSE_MAP")
def p_set(p: Any) -> None:
    _, opening, items, closing = p.slice
    p.slice[0].value = p.lexer.set_form(opening.value, items.value, closing.value)


@_rule("collection : FUNCTION enter items CLOSE_LIST")
def p_function(p: Any) -> None:
    _, opening, _, items, closing = p.slice
    p.slice[0].value = p.lexer.function_form(opening.value, items.value, closing.value)


@_rule("enter :")
def p_enter(p: Any) -> None:
    # Runs before the first form inside is read, so that the arguments in it find their function.
    p.lexer.enter_function(p.stack[-1].value)


@_rule("prefixed : PREFIX form")
def p_prefixed(p: Any) -> None:
    p.slice[0].value = p.lexer.prefixed(p.slice[1].value, p.slice[2].value)


@_rule("prefixed : TAG form")
def p_tagged(p: Any) -> None:
    p.slice[0].value = p.lexer.tagged(p.slice[1].value, p.slice[2].value)


@_rule("prefixed : META form form")
def p_meta(p: Any) -> None:
    p.slice[0].value = p.lexer.with_metadata(p.slice[1].value, p.slice[2].value, p.slice[3].value)


@_rule(
    """form : ATOM
            | collection
            | prefixed"""
)
def p_form(p: Any) -> None:
    p.slice[0].value = p.slice[1].value


@_rule("form : ARGUMENT")
def p_form_argument(p: Any) -> None:
    p.slice[0].value = p.lexer.argument(*p.slice[1].value)


@_rule("form : DISCARD form form")
def p_form_discard(p: Any) -> None:
    p.slice[0].value = p.slice[3].value


def p_error(token: Any) -> Any:
    raise AssertionError("parse() gives every parser its own")


@cache
def _built() -> Any:
    # ply looks for tables of an earlier run by importing a module of this name.  One of a foreign version stands in,
    # so that whatever lies on the path as `parsetab.py` is neither imported nor believed.
    none = types.ModuleType("no_tables")
    none.__dict__["_tabversion"] = "none"
    parser = yacc.yacc(
        module=sys.modules[__name__],
        tabmodule=none,
        outputdir="",
        write_tables=False,
        debug=False,
        errorlog=yacc.NullLogger(),
    )
    # Where only one reduction is possible it is done without a look at the next token, so that a form is complete when
    # what follows it is read: `::name` behind the `ns` form depends on that.  ply by itself does so only in states
    # where a single token can follow.
    parser.defaulted_states = {
        state: next(iter(actions.values()))
        for state, actions in parser.action.items()
        if len(set(actions.values())) == 1 and next(iter(actions.values())) < 0
    }
    return parser


def parse(source: Any, next_token: Callable[[], Any], on_error: Callable[[Any, Any], Any]) -> None:
    """Parses the tokens that `next_token` gives (None at the end); the forms are in `source.top`.

    `on_error(token, parser)` is called where a form is missing: with the token that came instead (None at the end).
    It returns a token to go on with; that one is read in place of the other, which must then be given again.
    """
    # A parser of its own for every text, over the tables that all share: its stacks are in it.
    parser = copy.copy(_built())

    def report(token: Any) -> Any:
        parser.errok()
        return on_error(token, parser)

    parser.errorfunc = report
    try:
        parser.parse(lexer=source, tokenfunc=next_token)
    finally:
        # Without this the parser, and with it every form of the file, waits for the garbage collector.
        parser.errorfunc = None

"""Keywords and symbols: making them and taking them apart."""

from __future__ import annotations

from typing import Any

from flowmetal.values import Keyword, Symbol, keyword, symbol
from flowmetal.vm.builtins.check import string, wrong_type
from flowmetal.vm.builtins.registry import builtin
from flowmetal.vm.state import Process


@builtin(300, "keyword", 1, 2)
def to_keyword(first: Any, second: Any = None) -> Keyword | None:
    """A keyword of a name (string, symbol, keyword), or of a namespace and a name; nil of anything else."""
    if second is not None:
        space = "" if first is None else string("keyword", first) + "/"
        return keyword(space + string("keyword", second))
    kind = first.__class__
    if kind is Keyword or first is None:
        return first  # type: ignore[no-any-return]
    if kind is Symbol:
        return keyword(symbol_text(first))
    return keyword(first) if kind is str else None


@builtin(301, "symbol", 1, 2)
def to_symbol(first: Any, second: Any = None) -> Symbol:
    """A symbol of a name (string, symbol, keyword), or of a namespace and a name."""
    if second is not None:
        space = "" if first is None else string("symbol", first) + "/"
        return symbol(space + string("symbol", second))
    kind = first.__class__
    if kind is Symbol:
        return first  # type: ignore[no-any-return]
    if kind is Keyword:
        return symbol(first.text)
    return symbol(string("symbol", first))


def symbol_text(value: Symbol) -> str:
    """The text of a symbol, with its namespace."""
    return value.name if value.namespace is None else f"{value.namespace}/{value.name}"


@builtin(302, "name", 1)
def name(value: Any) -> str:
    """The name of a keyword or symbol without its namespace; a string as it is."""
    if value.__class__ is str:
        return value
    if value.__class__ in (Keyword, Symbol):
        return value.name
    wrong_type("name", "a keyword, a symbol or a string", value)


@builtin(303, "namespace", 1)
def namespace(value: Any) -> str | None:
    """The namespace of a keyword or symbol, or nil."""
    if value.__class__ in (Keyword, Symbol):
        return value.namespace
    wrong_type("namespace", "a keyword or a symbol", value)


@builtin(304, "gensym", 1, context=True)
def gensym(process: Process, prefix: Any) -> Symbol:
    """A symbol that no other call has given: a text and a number of the process."""
    text = string("gensym", prefix)
    number = process.next_name
    process.next_name = number + 1
    return Symbol(None, f"{text}{number}")

"""What the files of this folder have in common: the shape of a handler, and how a form shows how it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowmetal.bytecode.program import Global
from flowmetal.compiler.nodes import Node, Target
from flowmetal.compiler.scopes import Scope
from flowmetal.dataclass import dataclass
from flowmetal.values import keyword

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

#: Analyzes a special form: its items, head included; the scope; where a `recur` in tail position goes.
Handler = Callable[["Analyzer", list[Any], Scope, Target | None], Node]


@dataclass(slots=True)
class Definition:
    """A definition to be evaluated: the global it gives a value, and the node of the value (None: declared only)."""

    definition: Global
    value: Node | None


#: Analyzes a definition; None after an error.
Definer = Callable[["Analyzer", list[Any], Scope], Definition | None]

_ASCRIPTION = keyword("-")

#: How each form is written, for the message of one that is not.
SYNTAX = {
    "binding": "(binding [*name* value ...] body ...)",
    "catch": "(catch kind name body ...)",
    "def": '(def name "doc"? value?)',
    "defeffect": '(defeffect name "doc"? [parameter ...] :- contract?)',
    "defmacro": '(defmacro name "doc"? [parameter ...] body ...)',
    "defn": '(defn name "doc"? [parameter ...] body ...)',
    "fn": "(fn name? [parameter ...] body ...)",
    "handle": "(handle body (effect [parameter ... resume] body ...) ... "
    "(:default [effect payload options resume] body ...)?)",
    "if": "(if test then else?)",
    "let": "(let [name value ...] body ...)",
    "letfn": "(letfn [(name [parameter ...] body ...) ...] body ...)",
    "loop": "(loop [name value ...] body ...)",
    "ns": '(ns name "doc"? (:require [library :as alias :refer [name ...]] ...))',
    "perform": "(perform effect payload? options?)",
    "quote": "(quote form)",
    "request": "(request effect payload? options?)",
    "syntax-quote": "(syntax-quote form)",
    "throw": "(throw error)",
    "try": "(try body ... (catch kind name body ...) ... (finally body ...))",
}


def malformed(analyzer: Analyzer, name: str, form: Any = None) -> Node:
    """Reports a form that is not written as it should be."""
    span = analyzer.span if form is None else analyzer.span_at(form)
    return analyzer.error("A111", span=span, name=name, syntax=SYNTAX[name])


def is_ascription(form: Any) -> bool:
    """Whether a form is the mark before a contract."""
    return form is _ASCRIPTION

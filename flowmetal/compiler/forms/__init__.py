"""The special forms, one a file: each turns the items of its list into a core node.

FORMS has what may stand in an expression; definitions, which stand at top level only, are in DEFINITIONS.
"""

from __future__ import annotations

from flowmetal.compiler.forms.binding import analyze_binding
from flowmetal.compiler.forms.conditional import analyze_if
from flowmetal.compiler.forms.define import define_value
from flowmetal.compiler.forms.define_effect import define_effect
from flowmetal.compiler.forms.define_function import define_function, define_private
from flowmetal.compiler.forms.define_macro import define_macro
from flowmetal.compiler.forms.form import Definer, Handler
from flowmetal.compiler.forms.function import analyze_fn
from flowmetal.compiler.forms.handling import analyze_handle
from flowmetal.compiler.forms.let import analyze_let
from flowmetal.compiler.forms.letfn import analyze_letfn
from flowmetal.compiler.forms.looping import analyze_loop, analyze_recur
from flowmetal.compiler.forms.misplaced import analyze_definition, analyze_part
from flowmetal.compiler.forms.performing import analyze_perform, analyze_request
from flowmetal.compiler.forms.quoting import analyze_quote
from flowmetal.compiler.forms.sequence import analyze_do
from flowmetal.compiler.forms.syntax_quote import analyze_syntax_quote
from flowmetal.compiler.forms.throwing import analyze_throw
from flowmetal.compiler.forms.trying import analyze_try

FORMS: dict[str, Handler] = {
    "binding": analyze_binding,
    "catch": analyze_part,
    "def": analyze_definition,
    "defeffect": analyze_definition,
    "defmacro": analyze_definition,
    "defn": analyze_definition,
    "defn-": analyze_definition,
    "do": analyze_do,
    "finally": analyze_part,
    "fn": analyze_fn,
    "fn*": analyze_fn,
    "handle": analyze_handle,
    "if": analyze_if,
    "let": analyze_let,
    "let*": analyze_let,
    "letfn": analyze_letfn,
    "letfn*": analyze_letfn,
    "loop": analyze_loop,
    "loop*": analyze_loop,
    "ns": analyze_definition,
    "perform": analyze_perform,
    "quote": analyze_quote,
    "recur": analyze_recur,
    "request": analyze_request,
    "syntax-quote": analyze_syntax_quote,
    "throw": analyze_throw,
    "try": analyze_try,
}

DEFINITIONS: dict[str, Definer] = {
    "def": define_value,
    "defeffect": define_effect,
    "defmacro": define_macro,
    "defn": define_function,
    "defn-": define_private,
}

"""`defmacro`: functions from forms to a form, run while the module is compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.define import declare, take_documentation
from flowmetal.compiler.forms.define_function import named_function
from flowmetal.compiler.forms.form import Definition, malformed
from flowmetal.compiler.forms.function import read_signatures
from flowmetal.compiler.scopes import Scope

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

#: What a macro can see besides the forms of its arguments.
HIDDEN = ("&form", "&env")


def define_macro(analyzer: Analyzer, items: list[Any], scope: Scope) -> Definition | None:
    """`(defmacro name "doc"? [parameter ...] body ...)`"""
    if len(items) < 3:
        malformed(analyzer, "defmacro")
        return None
    definition = declare(analyzer, "defmacro", items[1])
    if definition is None:
        return None
    definition.macro = True
    signatures = read_signatures(analyzer, take_documentation(definition, items[2:]), "defmacro")
    if signatures is None:
        return None
    return Definition(definition, named_function(analyzer, definition, signatures, scope, HIDDEN))

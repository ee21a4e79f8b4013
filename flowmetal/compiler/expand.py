"""Macro expansion: one call of a macro, run by the evaluator.

A macro is a function of the call's form, the locals in scope, and the forms of the arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.bytecode.program import UNBOUND
from flowmetal.compiler.names import CORE, Target, is_core
from flowmetal.compiler.reader import spanned_children
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import is_list, items_of
from flowmetal.diagnostics import Label, Span
from flowmetal.values import Closure, ErrorValue, LazySeq, List, Map, Set, Symbol, Vector, iterate, keyword, span_of

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

#: Arguments every macro takes before those of the call: `&form` and `&env`.
HIDDEN_PARAMETERS = 2

#: The kind of error by which a macro of the core names a diagnostic of its own, see `wrong-form` of the library.
WRONG_FORM = "flowmetal/wrong-form"

_CODE, _FORM, _WITHIN, _FACTS = (keyword(name) for name in ("code", "form", "within", "facts"))


def expand(analyzer: Analyzer, head: Symbol, found: Target, form: Any, scope: Scope) -> Any:
    """The form a macro call stands for; nil after an error, which is reported."""
    definition = found.definition
    closure = definition.value
    if closure is UNBOUND:
        analyzer.error("M104", span=analyzer.span_at(head), name=str(head))
        return None
    environment = Map.of([(Symbol(None, name), True) for name in scope.visible()])
    items = items_of(form)
    call = form if form.__class__ is List else List.of(items)
    try:
        expansion = analyzer.call(closure, [call, environment, *items[1:]])
        realize(analyzer, expansion)
        return expansion
    except Exception as problem:
        error = error_of(problem)
        if error is None:
            raise
        _report(analyzer, head, found, error, call)
        return None


def error_of(problem: Exception) -> ErrorValue | None:
    """The language's error that an exception of the evaluator carries, or None if it is something else."""
    error = getattr(problem, "error", None)
    return error if isinstance(error, ErrorValue) else None


def _report(analyzer: Analyzer, head: Symbol, found: Target, error: ErrorValue, call: Any) -> None:
    if error.kind.text == WRONG_FORM and is_core(found.module) and error.data.__class__ is Map:
        data = error.data
        facts = {key.text: value for key, value in data.get(_FACTS).items()}
        form = data.get(_FORM)
        span = span_of(form) or _place(data.get(_WITHIN), form) or _place(call, form)
        analyzer.error(data.get(_CODE), analyzer.span_at(form) if span is None else Span(*span), **facts)
        return
    defined = found.definition.span
    # Where a macro of the library stands helps nobody; nor does the full name of what everybody calls by a short one.
    own = not is_core(found.module) and defined is not None
    labels = (Label(defined, "the macro is defined here"),) if own and defined is not None else ()
    name = head.name if found.module == analyzer.names.module.name or is_core(found.module) else str(head)
    if error.kind.text == "arity":
        forms = " or ".join(found.definition.parameters) or "other arguments"
        analyzer.reporter.error("M103", analyzer.span, labels=labels, name=name, parameters=forms)
        return
    analyzer.reporter.error(
        "M101", analyzer.span, labels=labels, name=name, kind=f":{error.kind.text}", message=error.message
    )


def _place(whole: Any, form: Any) -> Any:
    """Where a form stands that has no span of its own, as symbols have none: the first that is it, from outside in."""
    level = [whole]
    while level:
        below: list[Any] = []
        for one in level:
            if span_of(one) is None:
                continue  # not written by the author
            for child, span in spanned_children(one):
                if child is form:
                    return span
                below.append(child)
        level = below
    return None


def realize(analyzer: Analyzer, form: Any) -> None:
    """Realizes the lazy sequences in a form: from here on it is only data."""
    pending = [form]
    while pending:
        current = pending.pop()
        if current.__class__ is LazySeq and current.state != "done":
            definition = analyzer.builder.program.lookup(CORE, "realize-all")
            if definition is not None and definition.value.__class__ is Closure:
                analyzer.call(definition.value, [current])
        if current.__class__ is List and span_of(current) is not None:
            continue  # written by the author, not by the macro
        if current.__class__ is Map:
            pending.extend(part for pair in current.items() for part in pair)
        elif is_list(current) or current.__class__ in (Vector, Set):
            pending.extend(iterate(current))

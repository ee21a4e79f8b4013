"""Watch: what a person may not have meant, found while forms are analyzed; the warnings of a module.

Only what a person wrote is reported.  The reader gives what it reads a span, and what a macro makes has none, so a
name or list without a span of its own came out of a template and is nothing its reader could change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.compiler.names import is_core
from flowmetal.compiler.nodes import Binding
from flowmetal.compiler.reader import child_span
from flowmetal.compiler.report import place_of
from flowmetal.compiler.shapes import is_list, items_of, text_of
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import Diagnostic, Span
from flowmetal.diagnostics.suggest import edit_distance, suggestions
from flowmetal.values import Keyword, Map, Symbol, Vector, iterate, keyword, meta_of, print_string, span_of

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer

#: Who wrote the form being analyzed: a person; a macro of the core that binds the names it is given; another macro.
WRITTEN, BINDING_MACRO, MACRO = "written", "binding macro", "macro"

#: Macros of the core that bind names their user chose and can see to.
_BINDING_MACROS = frozenset((
    "for", "doseq", "dotimes", "if-let", "when-let", "if-some", "when-some", "when-first",
))  # fmt: skip

#: Effects that the engine serves and no `defeffect` of the library names.
_SERVED = ("send", "receive")

#: A misspelling: at most one edit in names shorter than this, two in longer ones, none in very short ones.
_LONG_NAME, _SHORT_NAME = 8, 4

_IGNORE = keyword("flowmetal/ignore")


def is_written(form: Any) -> bool:
    """Whether a form stands in the source as it is."""
    return isinstance(span_of(form), Span)


@dataclass(slots=True)
class _Site:
    """A place that binds a name; a form that is analyzed twice binds it twice, and has one site."""

    name: str
    span: Span
    code: str
    used: bool = False


@dataclass(frozen=True, slots=True)
class Required:
    """What an `ns` form takes from a module."""

    module: str
    alias: str | None
    span: Span | None
    refers: tuple[tuple[str, Span | None], ...]
    whole: bool


class Watch:
    """Gathers while a module is analyzed; `finish` reports."""

    def __init__(self) -> None:
        self.required: list[Required] = []
        self.written: dict[str, Span] = {}  # globals whose name stands in the source
        self.effects: list[tuple[str, Span | None]] = []  # names of effects that are performed as keywords
        self.handled: set[str] = set()
        self._sites: dict[tuple[Span, str], _Site] = {}
        self._by_binding: dict[Binding, _Site] = {}

    # ---- names ----------------------------------------------------------------------------------------------------

    def bound(self, analyzer: Analyzer, binding: Binding, symbol: Any, code: str = "W101") -> None:
        """A local is bound to the name that `symbol` writes."""
        span = span_of(symbol)
        if analyzer.origin == MACRO or not isinstance(span, Span) or binding.hidden or binding.name.startswith("_"):
            return
        if analyzer.origin == BINDING_MACRO:
            code = "W101"  # `for` and its kin bind by functions
        site = self._sites.setdefault((span, binding.name), _Site(binding.name, span, code))
        self._by_binding[binding] = site

    def read(self, binding: Binding, symbol: Symbol | Binding) -> None:
        """A symbol of the source reads a local; the compiler's own reads go by other names."""
        site = self._by_binding.get(binding)
        if site is not None and symbol.name == binding.name:
            site.used = True

    def defined(self, analyzer: Analyzer, symbol: Symbol) -> None:
        """A global gets its definition."""
        span = span_of(symbol)
        if analyzer.origin == MACRO or not isinstance(span, Span):
            return
        self.written.setdefault(symbol.name, span)
        names = analyzer.names
        if names.library or symbol.name in names.excluded or names.core(symbol.name) is None:
            return  # the names of a library's module are written with their module
        analyzer.reporter.warn("W106", span, name=symbol.name)

    # ---- forms ----------------------------------------------------------------------------------------------------

    def macro_call(self, analyzer: Analyzer, module: str, name: str, form: Any) -> None:
        """Looks at a call of a macro of the core before it is expanded."""
        if not is_core(module) or not is_written(form):
            return
        items = items_of(form)
        if name == "cond":
            for index in range(1, len(items) - 2, 2):
                if items[index] is True or items[index] is keyword("else"):
                    span = child_span(form, index + 2) or analyzer.span_at(form)
                    analyzer.reporter.warn("W109", span, name=text_of(items[index]))
                    return
        elif name == "case":
            self._case(analyzer, form, items)
        elif name in ("when", "when-not", "if-not") and len(items) > 1:
            constant_test(analyzer, name, items[1], form)

    def _case(self, analyzer: Analyzer, form: Any, items: list[Any]) -> None:
        seen: set[tuple[type, str]] = set()
        for index in range(2, len(items) - 1, 2):
            for constant in items_of(items[index]) if is_list(items[index]) else [items[index]]:
                key = (constant.__class__, print_string(constant))
                if key in seen:
                    span = child_span(form, index) or analyzer.span_at(form)
                    analyzer.reporter.warn("W110", span, value=text_of(constant))
                seen.add(key)

    # ---- the end --------------------------------------------------------------------------------------------------

    def finish(self, analyzer: Analyzer, forms: tuple[Any, ...], text: str) -> tuple[Diagnostic, ...]:
        """The warnings of a module without errors, in order of place."""
        names, reporter = analyzer.names, analyzer.reporter
        for site in self._sites.values():
            if not site.used:
                reporter.warn(site.code, site.span, name=site.name)
        shared = is_core(names.module.name)  # the modules of the core use each other's private names
        for name, span in self.written.items():
            definition = names.module.globals.get(name)
            if definition is None or not definition.private or definition.effect is not None:
                continue
            if not shared and name not in names.used and not name.startswith("_"):
                reporter.warn("W103", span, name=name)
        for required in self.required:
            self._required(analyzer, required, text)
        self._effects(analyzer)
        found = sorted(reporter.warnings, key=place_of)
        ignored = ignored_places(forms) if found and _IGNORE.text in text else []
        return tuple(one for one in found if not any(_within(one, place, codes) for place, codes in ignored))

    def _required(self, analyzer: Analyzer, required: Required, text: str) -> None:
        used = analyzer.names.used
        named = required.module in analyzer.names.used_modules
        if required.alias is not None:
            # The reader has made names of other modules out of `::alias/name` already.
            named = named or f"::{required.alias}/" in text or f"#::{required.alias}{{" in text
        unused = [(name, span) for name, span in required.refers if name not in used]
        if not named and len(unused) == len(required.refers) and (required.alias or required.refers or required.whole):
            analyzer.reporter.warn("W104", required.span, name=required.module)
            return
        for name, span in unused:
            analyzer.reporter.warn("W105", span, name=name, module=required.module)

    def _effects(self, analyzer: Analyzer) -> None:
        names = analyzer.names
        own = {found.effect for found in names.module.globals.values() if found.effect is not None}
        waiting = [(name, span) for name, span in self.effects if name not in own and name not in self.handled]
        if not waiting:
            return
        known = {*own, *self.handled, *_SERVED}
        for module in names.libraries.values():
            known.update(found.effect for found in module.globals.values() if found.effect is not None)
            known.update(site.effect for site in module.effect_sites)
        for name, span in waiting:
            if name in known or len(name) < _SHORT_NAME:
                continue
            allowed = 1 if len(name) < _LONG_NAME else 2
            near = [other for other in suggestions(name, known) if edit_distance(name, other, allowed) <= allowed]
            if near:
                analyzer.reporter.warn("W111", span, name=name, suggestion=near[0])


def constant_test(analyzer: Analyzer, name: str, test: Any, form: Any) -> None:
    """Warns of a test that is a literal."""
    if test is None or test.__class__ is bool:
        analyzer.reporter.warn("W108", child_span(form, 1) or analyzer.span_at(form), name=name, value=text_of(test))


def binds_as_written(module: str, name: str) -> bool:
    """Whether a macro binds the names that its user gives it, as they are."""
    return is_core(module) and name in _BINDING_MACROS


def ignored_places(forms: tuple[Any, ...]) -> list[tuple[Span, tuple[str, ...]]]:
    """Where `^:flowmetal/ignore` stands: the place of the form, and the codes ignored there (none: all).

    At the name of a definition it means the whole definition.
    """
    found: list[tuple[Span, tuple[str, ...]]] = []
    pending: list[tuple[Any, Any]] = [(form, form) for form in forms]
    while pending:
        form, holder = pending.pop()
        meta = meta_of(form)
        if meta.__class__ is Map and meta.get(_IGNORE) not in (None, False):
            span = span_of(holder if form.__class__ is Symbol and _defines(holder, form) else form)
            if isinstance(span, Span):
                found.append((span, _codes(meta.get(_IGNORE))))
        if form.__class__ is Map:
            pending.extend((part, form) for pair in form.items() for part in pair)
        elif is_list(form) or form.__class__ is Vector:
            pending.extend((item, form) for item in iterate(form))
    return found


def _defines(holder: Any, name: Any) -> bool:
    items = items_of(holder) if is_list(holder) else []
    return len(items) > 1 and items[1] is name and items[0].__class__ is Symbol and items[0].name.startswith("def")


def _codes(value: Any) -> tuple[str, ...]:
    if value.__class__ is not Vector:
        return ()
    return tuple(item.name if item.__class__ in (Keyword, Symbol) else str(item) for item in items_of(value))


def _within(diagnostic: Diagnostic, place: Span, codes: tuple[str, ...]) -> bool:
    span = diagnostic.span
    if span is None or (codes and diagnostic.code not in codes):
        return False
    start, end = (place.line, place.column), (place.end_line, place.end_column)
    return start <= (span.line, span.column) < end

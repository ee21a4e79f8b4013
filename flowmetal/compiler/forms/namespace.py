"""`ns`: the name of a module and what it takes from others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowmetal.compiler.forms.form import malformed
from flowmetal.compiler.names import Names
from flowmetal.compiler.shapes import is_list, is_symbol, items_of
from flowmetal.compiler.watch import Required
from flowmetal.diagnostics import Span, suggest
from flowmetal.values import Keyword, Map, Symbol, Vector

if TYPE_CHECKING:
    from flowmetal.compiler.analyze import Analyzer


def namespace_name(form: Any) -> str | None:
    """The module that an `ns` form names; None if the form is no `ns` form."""
    items = items_of(form) if is_list(form) else []
    if len(items) >= 2 and is_symbol(items[0], "ns") and items[1].__class__ is Symbol:
        return str(items[1])
    return None


def required_names(form: Any) -> list[tuple[str, Any]]:
    """(module, form that names it) of everything an `ns` form requires, as far as it is well written."""
    found: list[tuple[str, Any]] = []
    for clause in items_of(form)[2:]:
        parts = items_of(clause) if is_list(clause) else []
        if parts and _is_keyword(parts[0], "require"):
            for spec in parts[1:]:
                name = items_of(spec)[0] if spec.__class__ is Vector and len(spec) else spec
                if name.__class__ is Symbol and not _names_only(spec):
                    found.append((str(name), name))
    return found


def _names_only(spec: Any) -> bool:
    """Whether a module is named for the sake of an alias alone, `[module :as-alias name]`: it need not be there."""
    options = items_of(spec)[1::2] if spec.__class__ is Vector else []
    return bool(options) and all(_is_keyword(option, "as-alias") for option in options)


def apply_namespace(analyzer: Analyzer, items: list[Any]) -> None:
    """Takes the clauses of `(ns name "doc"? clause ...)` into the names of the module."""
    if len(items) < 2 or items[1].__class__ is not Symbol:
        malformed(analyzer, "ns")
        return
    clauses = items[2:]
    if clauses and clauses[0].__class__ is str:
        clauses = clauses[1:]
    for clause in clauses:
        parts = items_of(clause) if is_list(clause) else []
        if parts and _is_keyword(parts[0], "require"):
            for spec in parts[1:]:
                _require(analyzer, spec)
        elif len(parts) == 3 and _is_keyword(parts[0], "refer-core") and _is_keyword(parts[1], "exclude"):
            analyzer.names.excluded.update(name.name for name in items_of(parts[2]) if name.__class__ is Symbol)
        else:
            malformed(analyzer, "ns", clause)


def _require(analyzer: Analyzer, spec: Any) -> None:
    names: Names = analyzer.names
    parts = items_of(spec) if spec.__class__ is Vector else [spec]
    if not parts or parts[0].__class__ is not Symbol:
        malformed(analyzer, "ns", spec)
        return
    module = str(parts[0])
    if _names_only(spec):
        for value in parts[2::2]:
            if value.__class__ is not Symbol or value.namespace is not None:
                malformed(analyzer, "ns", spec)
                return
            _alias(analyzer, value, module)
        return
    if module not in names.libraries:
        span = analyzer.span_at(parts[0])
        if module in names.others:
            analyzer.error("A201", span=span, name=module, reason=names.others[module])
        else:
            analyzer.error("A131", span=span, name=module, suggestion=_meant(module, names.libraries))
        _take_as_missing(names, module, parts[1:])
        return
    names.required.append(module)
    names.module.requires[module] = b""  # for what the top level sees of open tables
    options = parts[1:]
    if len(options) % 2:
        malformed(analyzer, "ns", spec)
        return
    pairs = list(zip(options[::2], options[1::2], strict=True))
    renames = {
        there: here
        for option, value in pairs
        if _is_keyword(option, "rename") and _is_names(value)
        for there, here in value.items()
    }
    alias: str | None = None
    whole = False
    refers: list[tuple[str, Span | None]] = []
    for option, value in pairs:
        if _is_keyword(option, "as") and value.__class__ is Symbol and value.namespace is None:
            _alias(analyzer, value, module)
            alias = value.name
        elif _is_keyword(option, "as-alias") and value.__class__ is Symbol and value.namespace is None:
            _alias(analyzer, value, module)
        elif _is_keyword(option, "refer") and _is_keyword(value, "all"):
            names.refer_whole.append(module)
            whole = True
        elif _is_keyword(option, "refer") and value.__class__ is Vector:
            for name in items_of(value):
                here = renames.pop(name, name) if name.__class__ is Symbol else name
                _refer(analyzer, module, name, here)
                refers.append((str(here), analyzer.span_at(name)))
        elif not (_is_keyword(option, "rename") and _is_names(value)):
            malformed(analyzer, "ns", spec)
    for there, here in renames.items():
        _refer(analyzer, module, there, here)
        refers.append((str(here), analyzer.span_at(there)))
    analyzer.watch.required.append(Required(module, alias, analyzer.span_at(spec), tuple(refers), whole))


def _alias(analyzer: Analyzer, name: Symbol, module: str) -> None:
    """Takes a short name for a module."""
    aliases = analyzer.names.aliases
    if aliases.get(name.name, module) != module:
        analyzer.error("A143", analyzer.span_at(name), name=name.name, one=aliases[name.name], other=module)
    aliases[name.name] = module


def _meant(module: str, libraries: Iterable[str]) -> str | None:
    """The module that was most likely meant: `string` for `clojure.string`."""
    libraries = list(libraries)
    last = module.rpartition(".")[2]
    return last if last in libraries else suggest(module, libraries)


def _take_as_missing(names: Names, module: str, options: list[Any]) -> None:
    """Notes what a module that is not there would have brought, so that its uses are not reported as well."""
    names.missing.add(module)
    for option, value in zip(options[::2], options[1::2], strict=False):
        if _is_keyword(option, "as") and value.__class__ is Symbol:
            names.missing.add(value.name)
        elif _is_keyword(option, "refer") and value.__class__ is Vector:
            names.missing_names.update(str(name) for name in items_of(value))


def _is_names(value: Any) -> bool:
    """Whether something is a map from plain names to plain names."""
    if not isinstance(value, Map):
        return False
    return all(one.__class__ is Symbol and one.namespace is None for pair in value.items() for one in pair)


def _refer(analyzer: Analyzer, module: str, name: Any, here: Any) -> None:
    """Takes a name of a module, under the name `here`."""
    source = analyzer.names.libraries[module]
    written = str(name)
    found = source.globals.get(written) if name.__class__ is Symbol else None
    if found is None or found.private:
        public = [other for other, definition in source.globals.items() if not definition.private]
        suggestion = suggest(written, public)
        analyzer.error("A132", span=analyzer.span_at(name), name=written, module=module, suggestion=suggestion)
        return
    before = analyzer.names.refers.get(str(here))
    if before is not None and before != (module, written):
        analyzer.error("A142", analyzer.span_at(name), name=str(here), one=before[0], other=module)
    analyzer.names.refers[str(here)] = (module, written)


def _is_keyword(form: Any, text: str) -> bool:
    return form.__class__ is Keyword and form.text == text

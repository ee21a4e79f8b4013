"""compile_module: the text of one file to a module.

Reads, takes the forms one by one (each can use what the ones before it define), checks what only the whole module can
tell, prunes.  Every error found on the way is in the one CompileFailed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from flowmetal.bytecode.open_tables import is_entry
from flowmetal.bytecode.program import Module
from flowmetal.compiler.analyze import DEPTH_MAX, Analyzer
from flowmetal.compiler.building import Builder
from flowmetal.compiler.calls import check_counts, check_local_counts
from flowmetal.compiler.effects import analyze_effects
from flowmetal.compiler.evaluation import BuiltinRow, Evaluator
from flowmetal.compiler.forms.namespace import namespace_name
from flowmetal.compiler.names import CORE, Names, is_core
from flowmetal.compiler.proving import check_contracts
from flowmetal.compiler.prune import prune
from flowmetal.compiler.reader import ReadResult, is_placeholder, read_source
from flowmetal.compiler.report import Reporter
from flowmetal.compiler.shapes import depth_exceeds, is_list, items_of
from flowmetal.compiler.toplevel import TopLevel
from flowmetal.dataclass import replace
from flowmetal.diagnostics import CompileFailed, Label, Span

#: Python frames for DEPTH_MAX nested forms: analysis and emission take up to some twenty for each.
_FRAMES = 30 * DEPTH_MAX

#: Errors of the reader after which brackets were put in or left out.
_BRACKETS = ("R001", "R002")


def compile_module(
    text: str | bytes,
    file: str,
    *,
    libraries: Mapping[str, Module],
    evaluate: Evaluator,
    builtins: Mapping[Any, BuiltinRow],
    name: str | None = None,
    library: bool | None = None,
    tests: bool = False,
) -> Module:
    """Compiles one file.  Raises CompileFailed with all its errors; the module's `warnings` has what is doubtful.

    `libraries` are the modules it may use, by name.  `builtins` has a row for each builtin, under any key.  The module
    is called what its `ns` form says, else `name`, else as the file without its ending.  `library` says that `%name`
    may be written, as in the standard library; by default that is so where there are no libraries to use.  `tests`:
    what is a test stays in the module.
    """
    read = read_source(text, file)
    return compile_read(
        read, file, libraries=libraries, evaluate=evaluate, builtins=builtins, name=name, library=library, tests=tests
    )


def compile_read(
    read: ReadResult,
    file: str,
    *,
    libraries: Mapping[str, Module],
    evaluate: Evaluator,
    builtins: Mapping[Any, BuiltinRow],
    name: str | None = None,
    library: bool | None = None,
    others: Mapping[str, str] = MappingProxyType({}),
    tests: bool = False,
) -> Module:
    """As compile_module, of a file that has been read.

    `others` are modules that are there but cannot be required, with a reason; they are for messages.
    """
    reporter = Reporter()
    for diagnostic in read.diagnostics:
        reporter.add(diagnostic)
    module = Module(module_name(read, file, name), source=read.text, file=file)
    rows = {row.name: row for row in builtins.values()}
    names = Names(module, libraries, rows, not libraries if library is None else library, others=others)
    builder = Builder(module, dict(libraries))
    analyzer = Analyzer(names, builder, reporter, evaluate, file)
    with deep_recursion():
        _take_forms(analyzer, read)
        if not read.diagnostics:  # a definition with an error has no value, and calls of it are not judged
            check_counts(analyzer)
            check_local_counts(analyzer)
            check_contracts(analyzer)
        _find_later_definitions(analyzer)
        if reporter.errors:
            raise CompileFailed(reporter.in_order())
        module.warnings = analyzer.watch.finish(analyzer, read.forms, read.text)
        required = prune(builder, tests)
        analyze_effects(builder)
    # What other modules add to open tables counts though no code here names it.
    adding = [name for name in names.required if any(map(is_entry, libraries[name].globals))]
    module.requires.clear()
    deciding = [CORE] if builder.deciding and CORE in libraries and not is_core(module.name) else []
    for other in sorted({*required, *adding, *deciding}):
        found = libraries.get(other)
        module.requires[other] = (found.hash if found is not None else None) or b""
    return module


def module_name(read: ReadResult, file: str, name: str | None) -> str:
    """What a module is called."""
    for form in read.forms[:1]:
        declared = namespace_name(form)
        if declared is not None:
            return declared
    stem = file.replace("\\", "/").rpartition("/")[2].partition(".")[0]
    return name or stem or "user"


def _take_forms(analyzer: Analyzer, read: ReadResult) -> None:
    top = TopLevel(analyzer)
    for form, span in zip(read.forms, read.spans, strict=True):
        if depth_exceeds(form, DEPTH_MAX):
            analyzer.error("A104", span=span, limit=DEPTH_MAX)
        elif read.diagnostics and (_has_placeholder(form) or _is_misread(read, span)):
            _declare_only(analyzer, form)
        else:
            top.form(form, span)
    if read.diagnostics:
        # What was put in for missing brackets is not what the author meant; evaluating it proves nothing.
        analyzer.reporter.drop("A135")


def _find_later_definitions(analyzer: Analyzer) -> None:
    """Says of unknown names which of them are defined below their use."""
    found = analyzer.reporter.diagnostics
    for index, one in enumerate(found):
        place = analyzer.defined.get(str(one.facts.get("name"))) if one.code == "A101" else None
        if place is not None and one.span is not None and one.span.line <= place.line:
            facts = {**one.facts, "later": place.line}
            found[index] = replace(one, facts=facts, labels=(*one.labels, Label(place, "defined here, below its use")))


def _is_misread(read: ReadResult, span: Span) -> bool:
    """Whether brackets of a form are not what the author meant, so that nothing can be said of what is in it."""
    start, end = (span.line, span.column), (span.end_line, span.end_column)
    return any(
        one.code in _BRACKETS and one.span is not None and start <= (one.span.line, one.span.column) < end
        for one in read.diagnostics
    )


def _has_placeholder(form: Any) -> bool:
    """Whether the reader could not read all of a form; it has said so."""
    pending = [form]
    while pending:
        current = pending.pop()
        if is_placeholder(current):
            return True
        if hasattr(current, "items"):
            pending.extend(part for pair in current.items() for part in pair)
        elif hasattr(current, "__iter__") and not isinstance(current, str | bytes | tuple):
            pending.extend(current)
    return False


def _declare_only(analyzer: Analyzer, form: Any) -> None:
    """Makes the name of a definition that could not be read known, so that its uses are not reported."""
    items = items_of(form) if is_list(form) else []
    if len(items) >= 2 and str(items[0]).startswith("def"):
        analyzer.names.declare_broken(items[1])


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Lets the compiler recurse as deep as DEPTH_MAX asks for; Python to Python calls take no C stack."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)

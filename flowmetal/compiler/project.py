"""compile_project: several files that use each other, in the order of their dependencies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowmetal.bytecode.program import Module
from flowmetal.compiler.compile import compile_read, module_name
from flowmetal.compiler.evaluation import BuiltinRow, Evaluator
from flowmetal.compiler.forms.namespace import namespace_name, required_names
from flowmetal.compiler.names import CORE, is_core
from flowmetal.compiler.reader import ReadResult, read_source
from flowmetal.compiler.report import Reporter
from flowmetal.compiler.shapes import span_within
from flowmetal.diagnostics import CompileFailed, Label, Span


def compile_project(
    sources: Mapping[str, str | bytes],
    libraries: Mapping[str, Module],
    evaluate: Evaluator,
    builtins: Mapping[Any, BuiltinRow],
    library: bool | None = None,
) -> list[Module]:
    """Compiles files, by name to text; the modules, each after those it requires.

    Raises CompileFailed with the diagnostics of all files: one that requires a file with errors is not looked at.
    """
    reporter = Reporter()
    is_library = not libraries if library is None else library
    reads: dict[str, tuple[str, ReadResult]] = {}
    for file in sorted(sources):
        read = read_source(sources[file], file)
        name = module_name(read, file, None)
        if name in reads:
            other = reads[name][0]
            reporter.error("A137", _start(read, file), labels=(Label(_start(reads[name][1], other), "the other one"),),
                           name=name, other=other)  # fmt: skip
            continue
        reads[name] = (file, read)
    order = _in_order(reads, reporter, is_library)
    available = dict(libraries)
    compiled: list[Module] = []
    failed: set[str] = set()
    for name in order:
        file, read = reads[name]
        if any(required in failed for required in _requires(name, read, reads, is_library)):
            failed.add(name)
            continue
        try:
            module = compile_read(
                read, file, libraries=available, evaluate=evaluate, builtins=builtins, library=is_library
            )
        except CompileFailed as problem:
            failed.add(name)
            for diagnostic in problem.diagnostics:
                reporter.add(diagnostic)
            continue
        available[name] = module
        compiled.append(module)
    if reporter.errors:
        raise CompileFailed(reporter.in_order())
    return compiled


def _requires(
    name: str, read: ReadResult, reads: Mapping[str, tuple[str, ReadResult]], is_library: bool
) -> dict[str, Span | None]:
    """The modules of the project that one needs, and where it says so."""
    found: dict[str, Span | None] = {}
    if is_library and name != CORE:
        # Every module has the names of the core; those below flowmetal.core require each other in their `ns`.
        core = [CORE] if is_core(name) else sorted(other for other in reads if is_core(other))
        found.update(dict.fromkeys(other for other in core if other in reads))
    for form in read.forms[:1]:
        if namespace_name(form) is not None:
            for required, place in required_names(form):
                if required in reads and required != name:
                    found[required] = span_within(place, None)
    return found


def _in_order(reads: Mapping[str, tuple[str, ReadResult]], reporter: Reporter, is_library: bool) -> list[str]:
    """Names of modules, each after those it requires; a circle is reported and its modules left out."""
    order: list[str] = []
    state: dict[str, str] = {}
    for start in sorted(reads):
        if start in state:
            continue
        path: list[tuple[str, list[tuple[str, Span | None]]]] = []
        _enter(start, path, state, reads, is_library)
        while path:
            name, waiting = path[-1]
            if not waiting:
                path.pop()
                if state[name] == "open":
                    state[name] = "done"
                    order.append(name)
                continue
            required, span = waiting.pop(0)
            if state.get(required) == "open":
                circle = [entry for entry, _ in path]
                circle = [*circle[circle.index(required) :], required]
                reporter.error("A138", span, circle=" -> ".join(circle))
                for member in circle:
                    state[member] = "circle"
            elif state.get(required) == "circle":
                state[name] = "circle"
            elif required not in state:
                _enter(required, path, state, reads, is_library)
    return order


def _enter(
    name: str,
    path: list[tuple[str, list[tuple[str, Span | None]]]],
    state: dict[str, str],
    reads: Mapping[str, tuple[str, ReadResult]],
    is_library: bool,
) -> None:
    state[name] = "open"
    path.append((name, list(_requires(name, reads[name][1], reads, is_library).items())))


def _start(read: ReadResult, file: str) -> Span:
    return read.spans[0] if read.spans else Span(file, 1, 1, 1, 1)

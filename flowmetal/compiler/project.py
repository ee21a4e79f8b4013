"""compile_project: several files that use each other, in the order of their dependencies.

The pieces of it (Head, heads_by_name, in_order) are there for a build that keeps what it has compiled before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowmetal.bytecode.program import Module
from flowmetal.compiler.compile import compile_read, module_name
from flowmetal.compiler.evaluation import BuiltinRow, Evaluator
from flowmetal.compiler.forms.namespace import namespace_name, required_names
from flowmetal.compiler.names import BASICS, CORE, is_core
from flowmetal.compiler.reader import ReadResult, read_source
from flowmetal.compiler.report import Reporter
from flowmetal.compiler.shapes import span_within
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import CompileFailed, Label, Span


@dataclass(frozen=True, slots=True)
class Head:
    """What the beginning of a file says: the module it holds, and the modules that one requires, with their places."""

    name: str
    file: str
    start: Span
    requires: tuple[tuple[str, Span | None], ...]


def read_head(read: ReadResult, file: str) -> Head:
    """The head of a file that has been read."""
    found: dict[str, Span | None] = {}
    for form in read.forms[:1]:
        if namespace_name(form) is not None:
            for required, place in required_names(form):
                found[required] = span_within(place, None)
    start = read.spans[0] if read.spans else Span(file, 1, 1, 1, 1)
    return Head(module_name(read, file, None), file, start, tuple(found.items()))


def heads_by_name(heads: Iterable[Head], reporter: Reporter) -> dict[str, Head]:
    """Heads under the names of their modules; of two with one name the second is reported and left out."""
    found: dict[str, Head] = {}
    for head in heads:
        other = found.setdefault(head.name, head)
        if other is not head:
            labels = (Label(other.start, "the other one"),)
            reporter.error("A137", head.start, labels=labels, name=head.name, other=other.file)
    return found


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
    reads = {file: read_source(sources[file], file) for file in sorted(sources)}
    heads = heads_by_name([read_head(read, file) for file, read in reads.items()], reporter)
    available = dict(libraries)
    compiled: list[Module] = []
    order = in_order(heads, reporter, is_library)
    failed = set(heads) - set(order)
    for name in order:
        if any(required in failed for required in needed(name, heads, is_library)):
            failed.add(name)
            continue
        file = heads[name].file
        try:
            module = compile_read(
                reads[file], file, libraries=available, evaluate=evaluate, builtins=builtins, library=is_library
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


def needed(name: str, heads: Mapping[str, Head], is_library: bool = False) -> dict[str, Span | None]:
    """The modules of the project that one needs, and where it says so."""
    found: dict[str, Span | None] = {}
    if is_library and name != CORE:
        # Every module has the names of the core.  Its own modules have those of flowmetal.core and what they require,
        # and all but the basic ones have those of the basic ones.
        core = sorted(other for other in heads if is_core(other))
        if is_core(name):
            basic = heads[BASICS].requires if BASICS in heads else ()
            base = {BASICS, *(required for required, _ in basic)}
            core = [CORE] if name in base else [other for other in core if other == CORE or other in base]
        found.update(dict.fromkeys(other for other in core if other in heads))
    found.update((required, span) for required, span in heads[name].requires if required in heads and required != name)
    return found


def in_order(heads: Mapping[str, Head], reporter: Reporter, is_library: bool = False) -> list[str]:
    """Names of modules, each after those it requires; a circle is reported and its modules left out."""
    order: list[str] = []
    state: dict[str, str] = {}
    for start in sorted(heads):
        if start in state:
            continue
        path: list[tuple[str, list[tuple[str, Span | None]]]] = []
        _enter(start, path, state, heads, is_library)
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
                _enter(required, path, state, heads, is_library)
    return order


def _enter(
    name: str,
    path: list[tuple[str, list[tuple[str, Span | None]]]],
    state: dict[str, str],
    heads: Mapping[str, Head],
    is_library: bool,
) -> None:
    state[name] = "open"
    path.append((name, list(needed(name, heads, is_library).items())))

"""The suite: source files compiled with their tests, and the tests that are in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flowmetal.bytecode.fmc import decode_artifact, encode_artifact
from flowmetal.bytecode.link import link
from flowmetal.bytecode.program import Module
from flowmetal.compiler import compile_project
from flowmetal.diagnostics import Span
from flowmetal.engine.live import Loaded, loaded
from flowmetal.engine.stdlib import Evaluate, builtin_arity, standard_library
from flowmetal.values import Closure, Vector
from flowmetal.vm.builtins.registry import BUILTINS

#: The library's module that tests are written with.
LIBRARY = "test"

#: A module that is compiled with the others, so that the library is there also where no check is: what starts a test.
STARTER = "flowmetal.testing"
RUN = f"{STARTER}/run"
_SOURCE = f'(ns {STARTER} "Starts a test." (:require test))(defn run [function fixtures] (test/run function fixtures))'

#: What `use-fixtures` defines, outermost first.
FIXTURES = ("once-fixtures", "each-fixtures")


@dataclass(frozen=True, slots=True)
class Test:
    """A test: its full name, "shop.orders-test/totals", where it is defined, the function and those around it."""

    name: str
    place: Span | None
    function: Closure
    fixtures: tuple[Closure, ...]


@dataclass(frozen=True, slots=True)
class Suite:
    """A linked program with its tests: modules in order of their files, tests in order of their places."""

    program: Loaded
    tests: tuple[Test, ...]
    library: frozenset[str]  # names of modules whose frames are left out of traces


def build_suite(sources: Mapping[str, bytes | str], only: Iterable[str] | None = None) -> Suite:
    """Compiles files, by path to text, with their tests.  Raises CompileFailed.

    `only`: the files whose tests count; without it all of them.
    """
    library = standard_library().modules
    files = {**sources, STARTER: _SOURCE}
    modules = compile_project(files, library, Evaluate(), BUILTINS, tests=True)
    data = encode_artifact(modules, STARTER, builtin_arity=builtin_arity)
    artifact = decode_artifact(data, builtin_arity)
    program = link(artifact, lambda name, hash: library.get(name))
    wanted = set(sources if only is None else only)
    tests: list[Test] = []
    for module in sorted(artifact.modules.values(), key=lambda module: module.file):
        if module.file in wanted:
            tests += tests_of(module)
    own = {module.name for module in modules} - {STARTER}
    return Suite(loaded(program), tuple(tests), frozenset({*library, STARTER}) - own)


def tests_of(module: Module) -> list[Test]:
    """The tests of a module, in the order in which they stand there."""
    found = {name: definition for name, definition in module.globals.items() if definition.test}
    fixtures: list[Closure] = []
    for name in FIXTURES:
        definition = found.pop(name, None)
        if definition is not None and definition.value.__class__ is Vector:
            fixtures += [fixture for fixture in definition.value if fixture.__class__ is Closure]
    tests = [
        Test(f"{module.name}/{name}", definition.span, definition.value, tuple(fixtures))
        for name, definition in found.items()
        if definition.value.__class__ is Closure
    ]
    return sorted(tests, key=lambda test: (test.place.line, test.place.column) if test.place else (0, 0))

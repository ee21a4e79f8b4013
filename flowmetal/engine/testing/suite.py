"""The suite: source files compiled with their tests, and the tests that are in them."""

from __future__ import annotations

from collections.abc import Container, Mapping

from flowmetal.bytecode.fmc import decode_artifact, encode_artifact
from flowmetal.bytecode.link import link
from flowmetal.bytecode.program import Module
from flowmetal.dataclass import dataclass, replace
from flowmetal.diagnostics import Span
from flowmetal.engine.incremental import Inputs, compile_modules
from flowmetal.engine.library import standard_library
from flowmetal.engine.live import Loaded, loaded
from flowmetal.engine.module_cache import ModuleCache
from flowmetal.values import Closure, Vector
from flowmetal.vm.builtins.registry import builtin_arity

#: The library's module that tests are written with.
LIBRARY = "test"

#: A module that is compiled with the others, so that the library is there also where no check is: what starts a test.
STARTER = "flowmetal.testing"
RUN = f"{STARTER}/run"
_SOURCE = b"""(ns flowmetal.testing "Starts a test." (:require test))
(defn run [function fixtures] (test/run function fixtures))"""

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


def build_suite(
    inputs: Inputs | Mapping[str, bytes | str], only: Container[str] | None = None, cache: ModuleCache | None = None
) -> Suite:
    """Compiles files with their tests: by path to text, or as a project has them.  Raises CompileFailed.

    `only`: the files whose tests count; without it all of them.
    """
    if not isinstance(inputs, Inputs):
        inputs = Inputs({file: text.encode() if isinstance(text, str) else text for file, text in inputs.items()})
    files = {**inputs.sources, STARTER: _SOURCE}
    compiled = compile_modules(replace(inputs, sources=files, tests=True), cache).modules
    library = {**standard_library().modules, **inputs.libraries}
    artifact = decode_artifact(encode_artifact(compiled, STARTER, builtin_arity=builtin_arity), builtin_arity)
    program = link(artifact, lambda name, hash: library.get(name))
    tests: list[Test] = []
    for module in sorted(artifact.modules.values(), key=lambda module: module.file):
        if only is None or module.file in only:
            tests += tests_of(module)
    own = {module.name for module in compiled} - {STARTER}
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

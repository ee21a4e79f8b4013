"""Compiling the modules of a program, of which those whose inputs have not changed come from a cache.

A module is kept under the hash of all that decides what it compiles to: the compiler, the library, its file's name and
text, and the *interfaces* of the modules it requires, directly or not.  The interface of a module is its whole code
(macros run, and values are computed, while others compile) and the places of its definitions; not its comments.

Each module is compiled against the others as they come out of their bytes, whether those were kept or just made.  So a
build with a full cache, an empty one or none gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import flowmetal
from flowmetal.bytecode.fmc import decode_artifact, encode_artifact
from flowmetal.bytecode.heap import link_heaps
from flowmetal.bytecode.layout import FORMAT_VERSION
from flowmetal.bytecode.opcodes import MACHINE_VERSION
from flowmetal.bytecode.program import Module
from flowmetal.compiler.compile import compile_read
from flowmetal.compiler.project import Head, heads_by_name, in_order, needed, read_head
from flowmetal.compiler.reader import ReadResult, read_source
from flowmetal.compiler.report import Reporter
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import CompileFailed, Diagnostic, FlowmetalError, Label, Span
from flowmetal.engine.library import compiler_fingerprint, standard_library
from flowmetal.engine.module_cache import ModuleCache
from flowmetal.engine.stdlib import Evaluate
from flowmetal.vm.builtins.registry import BUILTINS, builtin_arity

#: A span, in a kept head or warning.
_SPAN_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a program is compiled of.

    sources    text by file name; the name goes into traces and messages
    libraries  compiled modules besides the standard library, by name
    expected   module that a file must hold, by file name -> (module, file where the module it holds would belong)
    others     modules that are there but cannot be required -> why, for messages
    tests      what is a test stays in the modules
    """

    sources: Mapping[str, bytes]
    libraries: Mapping[str, Module] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    tests: bool = False


@dataclass(frozen=True, slots=True)
class Compiled:
    """Modules, each after those it requires; the warnings of all; how many of them were not compiled but kept."""

    modules: list[Module]
    warnings: tuple[Diagnostic, ...]
    kept: int


def compile_modules(inputs: Inputs, cache: ModuleCache | None = None) -> Compiled:
    """Compiles what has changed.  Raises CompileFailed with the diagnostics of all files."""
    return _Build(inputs, cache).run()


class _Build:
    def __init__(self, inputs: Inputs, cache: ModuleCache | None) -> None:
        self._inputs = inputs
        self._cache = cache
        self._reporter = Reporter()
        self._reads: dict[str, ReadResult] = {}
        self._evaluate = Evaluate()
        self._library = {**standard_library().modules, **inputs.libraries}
        self._modules: dict[str, Module] = {}
        self._interfaces: dict[str, bytes] = {}  # of a module and all it requires
        self._below: dict[str, dict[str, None]] = {}  # the modules that one requires, directly or not
        self._warnings: list[Diagnostic] = []
        self._kept = 0
        self._base = b"" if cache is None else self._fingerprint()

    def run(self) -> Compiled:
        all_heads = [self._head(file) for file in sorted(self._inputs.sources)]
        placed = [head for head in all_heads if self._is_in_place(head)]
        names = {head.name for head in placed}
        # What is misplaced has been reported; it is no second file of a module that is where it belongs.
        placed += [head for head in all_heads if head.name not in names]
        heads = heads_by_name(placed, self._reporter)
        order = in_order(heads, self._reporter)
        failed = set(heads) - set(order)
        for name in order:
            required = list(needed(name, heads))
            if any(other in failed for other in required) or not self._module(heads[name], required):
                failed.add(name)
        if self._reporter.errors:
            raise CompileFailed(self._reporter.in_order())
        if self._cache is not None:
            self._cache.trim()
        return Compiled(list(self._modules.values()), tuple(self._warnings), self._kept)

    # ---- heads ----------------------------------------------------------------------------------------------------

    def _head(self, file: str) -> Head:
        key = self._key(b"head", file)
        kept = None if self._cache is None else self._cache.get(key)
        head = None if kept is None else _read_kept_head(kept, file)
        if head is None:
            read = self._read(file)
            head = read_head(read, file)
            if self._cache is not None and not read.diagnostics:
                requires = [[name, span] for name, span in head.requires]
                self._cache.put(key, json.dumps([head.name, head.start, requires]).encode())
        return head

    def _read(self, file: str) -> ReadResult:
        found = self._reads.get(file)
        if found is None:
            found = self._reads[file] = read_source(self._inputs.sources[file], file)
        return found

    def _is_in_place(self, head: Head) -> bool:
        expected = self._inputs.expected.get(head.file)
        if expected is not None and expected != head.name:
            folder = head.file.removesuffix(expected.replace(".", "/") + ".fm")
            path = folder + head.name.replace(".", "/") + ".fm"
            self._reporter.error("A200", head.start, name=head.name, expected=expected, path=path)
            return False
        return True

    # ---- modules --------------------------------------------------------------------------------------------------

    def _module(self, head: Head, required: list[str]) -> bool:
        """Compiles a module or takes it from the cache; False where it has errors."""
        below = self._below[head.name] = {}
        for other in required:
            below.update(self._below[other])
            below[other] = None
        available = {**self._library, **{other: self._modules[other] for other in below}}
        interfaces = b"".join(other.encode() + b"\0" + self._interfaces[other] for other in sorted(required))
        key = self._key(b"module", head.file, interfaces)
        kept = None if self._cache is None else self._cache.get(key)
        found = None if kept is None else _read_kept_module(kept, head.name, available)
        if found is None:
            found = self._compile(head, available)
            if found is None:
                return False
            if self._cache is not None:
                self._cache.put(key, found.content)
        else:
            self._kept += 1
        link_heaps([found.module], {**available, head.name: found.module})
        self._modules[head.name] = found.module
        self._warnings += found.warnings
        self._interfaces[head.name] = sha256(_interface(found.module) + interfaces).digest()
        return True

    def _compile(self, head: Head, available: Mapping[str, Module]) -> _Found | None:
        try:
            module = compile_read(
                self._read(head.file),
                head.file,
                libraries=available,
                evaluate=self._evaluate,
                builtins=BUILTINS,
                library=False,
                others=self._inputs.others,
                tests=self._inputs.tests,
            )
        except CompileFailed as problem:
            for diagnostic in problem.diagnostics:
                self._reporter.add(diagnostic)
            return None
        warnings = module.warnings
        data = encode_artifact([module], head.name, builtin_arity=builtin_arity)
        text = json.dumps([_plain_diagnostic(one) for one in warnings]).encode()
        content = len(text).to_bytes(4, "big") + text + data
        return _Found(decode_artifact(data, builtin_arity).modules[head.name], list(warnings), content)

    # ---- keys -----------------------------------------------------------------------------------------------------

    def _key(self, kind: bytes, file: str, more: bytes = b"") -> bytes:
        if self._cache is None:
            return b""
        text = self._inputs.sources[file]
        parts = (self._base, kind, file.encode("utf-8", "surrogatepass"), sha256(text).digest(), more)
        return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()

    def _fingerprint(self) -> bytes:
        """Of all that is the same for every module of this build."""
        parts = [
            flowmetal.__version__.encode(),
            b"%d %d" % (FORMAT_VERSION, MACHINE_VERSION),
            compiler_fingerprint(),
            standard_library().hash,
            b"tests" if self._inputs.tests else b"",
            *(module.hash or b"" for _, module in sorted(self._inputs.libraries.items())),
        ]
        return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


@dataclass(frozen=True, slots=True)
class _Found:
    module: Module
    warnings: list[Diagnostic]
    content: bytes


def _interface(module: Module) -> bytes:
    """What others that require a module can see of it: its code, and where its names are defined."""
    spans = json.dumps([[name, found.span] for name, found in module.globals.items()])
    return sha256((module.hash or b"") + spans.encode()).digest()


# ---- what is kept -------------------------------------------------------------------------------------------------


def _read_kept_head(data: bytes, file: str) -> Head | None:
    try:
        name, start, requires = json.loads(data)
        found = tuple((str(required), _span(span)) for required, span in requires)
        place = _span(start)
    except (ValueError, TypeError, RecursionError):
        return None
    return None if place is None or name.__class__ is not str else Head(name, file, place, found)


def _read_kept_module(data: bytes, name: str, available: Mapping[str, Module]) -> _Found | None:
    size = int.from_bytes(data[:4], "big")
    try:
        warnings = [_diagnostic(one) for one in json.loads(data[4 : 4 + size])]
        module = decode_artifact(data[4 + size :], builtin_arity).modules[name]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, FlowmetalError):
        return None
    for required, hash in module.requires.items():
        found = available.get(required)
        if found is None or found.hash != hash:
            return None
    return _Found(module, warnings, data)


def _plain_diagnostic(one: Diagnostic) -> dict[str, Any]:
    """A diagnostic as JSON; facts are shown by str() anyway."""
    return {
        "code": one.code,
        "level": one.level,
        "span": one.span,
        "facts": {name: _plain(fact) for name, fact in one.facts.items()},
        "labels": [[label.span, label.text] for label in one.labels],
    }


def _plain(fact: Any) -> Any:
    if fact is None or isinstance(fact, str | bool | int | float):
        return fact
    return [_plain(one) for one in fact] if isinstance(fact, list | tuple) else str(fact)


def _diagnostic(plain: dict[str, Any]) -> Diagnostic:
    labels = tuple(Label(span, str(text)) for place, text in plain["labels"] if (span := _span(place)) is not None)
    return Diagnostic(str(plain["code"]), _span(plain["span"]), dict(plain["facts"]), labels, str(plain["level"]))


def _span(plain: Iterable[Any] | None) -> Span | None:
    if plain is None:
        return None
    fields = list(plain)
    if (
        len(fields) != _SPAN_FIELDS
        or fields[0].__class__ is not str
        or any(one.__class__ is not int for one in fields[1:])
    ):
        raise ValueError("not a span")
    return Span(*fields)

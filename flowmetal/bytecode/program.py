"""Programs in memory: Code, Function, Module, Program, as the compiler makes them and the loader finds them.

All of it is plain data.  A module holds live values (constants, the values of its globals); fmc.py turns it into
bytes and back.  The machine adds nothing here but the cache slots that are marked as its own.  In a decoded module
the lists and dicts are lazy look-alikes that cannot be changed (lazy.py).
"""

from __future__ import annotations

from collections.abc import MutableMapping, MutableSequence
from typing import Any

from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics.diagnostic import Diagnostic
from flowmetal.diagnostics.span import Span

Instruction = tuple[Any, ...]  # (opcode number, operand, ...); a REGISTERS operand is a tuple of ints


@dataclass(frozen=True, slots=True)
class Try:
    """A row of a code's handler table, innermost first.

    An error raised at an instruction `start <= index < end` goes to `target` with the error in `register`.
    kind "catch" takes errors that programs may catch; kind "finally" takes all that unwinds, abandoning included.
    """

    start: int
    end: int
    target: int
    register: int
    kind: str


@dataclass(frozen=True, slots=True)
class LocalName:
    """A source name that lives in `register` from instruction `start` up to `end`; for people who look at frames."""

    name: str
    register: int
    start: int
    end: int


@dataclass(slots=True, eq=False)
class Code:
    """One body of a function, for one number of arguments.

    Registers at entry: the `parameters` arguments, then (if `variadic`) the list of the others or nil, then the
    `captures` captured values, then (if `takes_self`) the closure itself, then temporaries up to `registers`.
    `spans[i]` is the source place of instruction i (None where there is none, or where they were stripped).
    """

    name: str
    parameters: int
    variadic: bool
    captures: int
    takes_self: bool
    registers: int
    instructions: tuple[Instruction, ...]
    tries: tuple[Try, ...] = ()
    locals: tuple[LocalName, ...] = ()
    spans: tuple[Span | None, ...] = ()
    index: int = -1  # position in module.codes
    module: Module | None = None
    ready: Any = None  # the machine's: predecoded instructions
    live: Any = None  # liveness.py's: cache of live registers


@dataclass(slots=True, eq=False)
class Function:
    """What a closure is of: a name and one Code per number of arguments."""

    name: str  # qualified, "deploy/main" or "deploy/main/fn@12" for an inner one
    codes: tuple[int, ...]  # indexes into module.codes, one an arity, the variadic one last
    doc: str | None = None
    effects: tuple[str, ...] = ()  # effects it may perform itself or through known calls, sorted ("http/request")
    open: bool = False  # it also calls functions or effects that are not known before it runs
    index: int = -1  # position in module.functions
    module: Module | None = None
    ready: Any = None  # the machine's: predecoded arities
    lifted: Any = None  # the machine's: what lifted code calls it by
    captures: int = -1  # how many values its closures capture; -1: as its codes say, see captures_of


@dataclass(frozen=True, slots=True)
class Reference:
    """A global used by a module: the module that defines it and its name there."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Global:
    """A name a module defines.  `value` is UNBOUND until its definition has run.

    `mutable`, set in decoded modules only, says that the value holds a cell, a lazy sequence or another mutable object.
    Each process then has its own copy (heap.py's `instantiate`), and `value` is PER_PROCESS.
    """

    name: str
    value: Any
    private: bool = False
    macro: bool = False
    dynamic: bool = False
    mutable: bool = False  # the value holds cells or lazy sequences: each process has a copy (set when decoded)
    test: bool = False  # a test of `flowc test`; left out of what `flowc build` makes
    doc: str | None = None
    parameters: tuple[str, ...] = ()  # parameter lists as text, "[amount to]", for docs and messages
    contract: Any = None  # a value (map with :args and :return as quoted forms) or None
    effect: str | None = None  # the effect name, for what `defeffect` defines
    span: Span | None = None


class _Mark:
    """What stands for a value that is not there; equal to nothing that a program can hold."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


UNBOUND = _Mark("UNBOUND")  # the value of a declared global before its definition
PER_PROCESS = _Mark("PER_PROCESS")  # the value of a decoded global of which each process has its own


@dataclass(frozen=True, slots=True)
class EffectSite:
    """A call site that makes an effect possible, for the manifest."""

    effect: str
    function: str
    span: Span | None


@dataclass(slots=True, eq=False)
class Module:
    """One compiled source file.  While it is compiled it grows; `hash` is set when it is encoded or decoded."""

    name: str
    codes: MutableSequence[Code] = field(default_factory=list)
    functions: MutableSequence[Function] = field(default_factory=list)
    constants: MutableSequence[Any] = field(default_factory=list)
    references: MutableSequence[Reference] = field(default_factory=list)
    globals: MutableMapping[str, Global] = field(default_factory=dict)
    requires: dict[str, bytes] = field(default_factory=dict)  # module name -> SHA-256 of what it was built against
    effect_sites: MutableSequence[EffectSite] = field(default_factory=list)
    source: str | None = None  # strippable
    file: str = ""
    hash: bytes | None = None  # SHA-256 of its canonical bytes
    stored: Any = None  # decode.py's: what the lazy parts of a decoded module are read from
    warnings: tuple[Diagnostic, ...] = ()  # what the compiler warned of, by place; not part of an artifact


@dataclass(slots=True, eq=False)
class Program:
    """Modules linked by name: the artifact's own and the libraries they require."""

    modules: dict[str, Module]
    main: str  # name of the module the artifact is named after
    hash: bytes = b""  # content hash of the artifact, which names it in a store
    own: frozenset[str] = frozenset()  # modules that are the artifact's, not a library's; empty: all of them are
    growing: list[tuple[str, Any, Any]] | None = None  # entries of open tables just added; None: the program is sealed
    seen_from: str = ""  # the module of which open tables see what it requires only; "": all modules count
    open: Any = None  # open_tables.py's: what has been found out about the open tables

    def lookup(self, module: str, name: str) -> Global | None:
        """The global `name` of `module`, or None."""
        found = self.modules.get(module)
        return None if found is None else found.globals.get(name)


def captures_of(function: Function) -> int:
    """How many values a closure of this function captures."""
    if function.captures >= 0:
        return function.captures
    assert function.module is not None
    return function.module.codes[function.codes[0]].captures

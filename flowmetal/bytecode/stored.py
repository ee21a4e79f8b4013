"""A decoded module: opened by looking at its index only, its parts made when first asked, and checked then.

Each code is decoded and verified at its first use, each function, global and constant likewise.  Whatever the bytes
are, what comes out is well formed, or a FlowmetalError says which part is not.  The layout is in layout.py.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from functools import cached_property
from operator import le
from typing import Any

from flowmetal.bytecode.flat import unpack_integers
from flowmetal.bytecode.heap import ModuleHeap
from flowmetal.bytecode.layout import CORE, DEBUG, FLAGS, HASH_BYTES
from flowmetal.bytecode.lazy import LazyDict, LazyList
from flowmetal.bytecode.packing import unpack_record, unpack_texts
from flowmetal.bytecode.program import PER_PROCESS, UNBOUND, Code, EffectSite, Function, Global, Module, Reference
from flowmetal.bytecode.records import decode_code, decode_code_debug, decode_function, decode_spans
from flowmetal.bytecode.table import Table
from flowmetal.bytecode.verify import BuiltinArity, Scope, verify_arities, verify_code
from flowmetal.diagnostics import FlowmetalError, Span

_TEXT = (str, type(None))
_GLOBAL = (int, _TEXT, bytes, bytes, _TEXT, bytes)


class Stored:
    """What the lazy parts of a module are made from.  Raises FlowmetalError B005 where the index is malformed."""

    def __init__(
        self, core: memoryview, debug: memoryview, builtin_arity: BuiltinArity | None, artifact: bytes, place: str
    ) -> None:
        self.core = core
        self.debug = debug
        self.artifact = artifact  # content hash of the artifact it is in
        self._builtin_arity = builtin_arity
        self._parts = self._sections(core, CORE, place)
        self.name, requires, hashes = unpack_record(self._parts["header"], place, str, bytes, bytes)
        self.hash = hashlib.sha256(core).digest()
        module = self.module = Module(self.name, hash=self.hash, stored=self)
        self._requires = unpack_texts(requires, self._at("requires"))
        if len(hashes) != HASH_BYTES * len(self._requires) or len({self.name, *self._requires}) <= len(self._requires):
            raise self._malformed("requires", "does not have one hash for each module")
        for index, name in enumerate(self._requires):
            module.requires[name] = hashes[index * HASH_BYTES : (index + 1) * HASH_BYTES]
        self._open_functions()
        self._open_debug()
        self._open_names()
        constants = self._table("constants")
        self._constants = constants
        module.constants = LazyList(len(constants), self._constant)
        self.heap = ModuleHeap(module, self._table("shared"), self._table("own"), self._table("states"))

    @property
    def mutable_names(self) -> list[str]:
        """The globals of which each process has its own."""
        if not len(self.heap.own):
            return []
        return [found.name for found in self.module.globals.values() if found.mutable]

    def global_value(self, name: str) -> memoryview:
        """The bytes of the atom that is the value of a global; KeyError if it is not defined."""
        fields = unpack_record(self._globals[self._names.index(name)], f"{self.name}/{name}", *_GLOBAL)
        return memoryview(fields[5])

    def check(self, values: bool) -> None:
        """Makes every part, so that all of it is checked; constants and globals only if `values`, which needs links."""
        module = self.module
        for items in (module.functions, module.codes, module.references, module.effect_sites):
            for index in range(len(items)):
                items[index]
        if values:
            for index in range(len(module.constants)):
                module.constants[index]
            for name in module.globals:
                module.globals[name]
            self.heap.load()

    # ---- opening -----------------------------------------------------------------------------------------------

    def _open_functions(self) -> None:
        self._codes, self._functions = self._table("codes"), self._table("functions")
        starts = self._starts = unpack_integers(self._parts["starts"], self._at("starts"))
        if (
            len(starts) != len(self._functions) + 1
            or (starts[0], starts[-1]) != (0, len(self._codes))
            or not all(map(le, starts, starts[1:]))
        ):
            raise self._malformed("functions", "do not share out the codes")
        self._arities: dict[int, list[tuple[int, bool]]] = {}
        self.module.functions = LazyList(len(self._functions), self._function)
        self.module.codes = LazyList(len(self._codes), self._code)

    def _open_debug(self) -> None:
        self._files: list[str] = []
        self._debug: dict[str, memoryview] = {}
        if len(self.debug):
            debug = self._debug = self._sections(self.debug, DEBUG, self._at("debug"))
            self.module.file, self.module.source = unpack_record(debug["source"], self._at("source"), str, _TEXT)
            self._files = unpack_texts(debug["files"], self._at("files"))
            self._code_debug = Table(debug["codes"], self._at("spans"))
            self._code_debug.only(len(self._codes))

    def _open_names(self) -> None:
        module = self.module
        names = self._names = unpack_texts(self._parts["names"], self._at("names"))
        self._globals = self._table("globals")
        self._globals.only(len(names))
        if len(set(names)) != len(names):
            raise self._malformed("names", "has a name twice")
        module.globals = LazyDict(names, LazyList(len(names), self._global))
        references = self._table("references")
        references.only(2)
        self._reference_modules = unpack_integers(references[0], self._at("references"))
        self._reference_names = unpack_texts(references[1], self._at("references"))
        if len(self._reference_names) != len(self._reference_modules):
            raise self._malformed("references", "has names without modules")
        module.references = LazyList(len(self._reference_names), self._reference)
        sites = self._table("sites")
        sites.only(2)
        self._site_effects = unpack_texts(sites[0], self._at("sites"))
        self._site_functions = unpack_texts(sites[1], self._at("sites"))
        if len(self._site_effects) != len(self._site_functions):
            raise self._malformed("sites", "has effects without functions")
        module.effect_sites = LazyList(len(self._site_effects), self._site)

    # ---- parts, each made once ---------------------------------------------------------------------------------

    def _function(self, index: int) -> Function:
        function, arities = decode_function(self._functions[index], self._at(f"function {index}"))
        start, end = self._starts[index], self._starts[index + 1]
        if len(arities) != end - start or function.captures < 0:
            raise FlowmetalError("B120", place=function.name, problem="does not fit its bodies")
        verify_arities(function.name, arities)
        function.codes = tuple(range(start, end))
        function.index, function.module = index, self.module
        self._arities[index] = arities
        return function

    def _code(self, index: int) -> Code:
        code = decode_code(self._codes[index], self._at(f"code {index}"))
        number = bisect_right(self._starts, index) - 1
        function = self.module.functions[number]
        arity = self._arities[number][index - self._starts[number]]
        if (code.parameters, code.variadic) != arity or code.captures != function.captures:
            raise FlowmetalError("B120", place=code.name, problem="does not fit its bodies")
        code.index, code.module = index, self.module
        if self._debug:
            decode_code_debug(self._code_debug[index], code, self._files, self._at(f"spans of {code.name}"))
        verify_code(code, self._scope)
        return code

    @cached_property
    def _scope(self) -> Scope:
        functions = self.module.functions
        captures = LazyList(len(functions), lambda index: functions[index].captures)
        return Scope(len(self._constants), len(self._reference_names), captures, self._builtin_arity)

    def _reference(self, index: int) -> Reference:
        number = self._reference_modules[index]
        if not 0 <= number <= len(self._requires):
            raise self._malformed("references", f"names module {number}, which is not required")
        return Reference(self._requires[number - 1] if number else self.name, self._reference_names[index])

    def _site(self, index: int) -> EffectSite:
        span = self._site_spans[index] if self._site_spans else None
        return EffectSite(self._site_effects[index], self._site_functions[index], span)

    def _constant(self, index: int) -> Any:
        return self.heap.value(self._constants[index], self._at(f"constant {index}"))

    def _global(self, index: int) -> Global:
        name = self._names[index]
        place = f"{self.name}/{name}"
        flags, doc, parameters, contract, effect, value = unpack_record(self._globals[index], place, *_GLOBAL)
        if not 0 <= flags < 2 * max(FLAGS.values()):
            raise FlowmetalError("B005", place=place, problem="has unknown flags")
        found = Global(
            name,
            UNBOUND,
            doc=doc,
            parameters=tuple(unpack_texts(parameters, place)),
            contract=self.heap.value(memoryview(contract), place),
            effect=effect,
            span=self._global_spans[index] if self._global_spans else None,
        )
        for flag, bit in FLAGS.items():
            if flag != "unbound":
                setattr(found, flag, bool(flags & bit))
        if found.mutable:
            found.value = PER_PROCESS
        elif not flags & FLAGS["unbound"]:
            found.value = self.heap.value(memoryview(value), place)
        return found

    # ---- helpers -----------------------------------------------------------------------------------------------

    @cached_property
    def _site_spans(self) -> tuple[Span | None, ...]:
        return self._spans("sites", len(self._site_effects))

    @cached_property
    def _global_spans(self) -> tuple[Span | None, ...]:
        return self._spans("globals", len(self._names))

    def _spans(self, part: str, count: int) -> tuple[Span | None, ...]:
        if not self._debug:
            return ()
        return decode_spans(self._debug[part], self._files, count, self._at(f"spans of {part}"))

    def _at(self, part: str) -> str:
        return f"{self.name}, {part}"

    def _malformed(self, part: str, problem: str) -> FlowmetalError:
        return FlowmetalError("B005", place=self._at(part), problem=problem)

    def _table(self, part: str) -> Table:
        return Table(self._parts[part], self._at(part))

    @staticmethod
    def _sections(data: memoryview, names: tuple[str, ...], place: str) -> dict[str, memoryview]:
        table = Table(data, place)
        table.only(len(names))
        return {name: table[index] for index, name in enumerate(names)}

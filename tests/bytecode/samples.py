"""Two modules as a compiler leaves them: `lib` with shared and mutable values, and `app`, which uses it."""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.assemble import assemble_all
from flowmetal.bytecode.program import UNBOUND, EffectSite, Function, Global, Module, Reference
from flowmetal.diagnostics import Span
from flowmetal.values import Cell, Closure, LazySeq, List, Map, Set, Vector, keyword, symbol, with_meta

LIB = """
.code "lib/increment"
.index 0
.parameters 1
.registers 2
.file "lib.fm"
.local "x" r0 L0 L2
L0:
    add_integer r1 r0 1 @1:1-1:9
    return r1 @1:1-1:20
L2:

.code "lib/adder/fn@3"
.index 1
.parameters 1
.captures 1
.registers 3
    add r2 r0 r1
    return r2

.code "lib/adder"
.index 2
.parameters 1
.registers 2
    closure r1 f2 (r0)
    return r1

.code "lib/adder"
.index 3
.parameters 1
.variadic
.registers 4
    constant r2 k0
    constant r3 k1
    global r2 g0
    return r2

.code "lib/numbers/fn@9"
.index 4
.registers 1
    nil r0
    return r0
"""

APP = """
.code "app/main"
.index 0
.parameters 1
.registers 6
.file "app.fm"
.try catch L1 L3 L4 r5
    constant r1 k0 @2:3-2:9
L1:
    call_global r2 g0 (r0) @3:3-3:20
    builtin r3 b2 (r1 r2) @3:3-3:20
L3:
    return r3 @4:1-4:2
L4:
    call_global r4 g1 (r5) @5:1-5:9
    return r4
"""


def span(line: int) -> Span:
    return Span("lib.fm", line, 1, line, 10)


def function(module: Module, name: str, codes: tuple[int, ...], **more: Any) -> Function:
    made = Function(name, codes, index=len(module.functions), module=module, **more)
    module.functions.append(made)
    return made


def define(module: Module, name: str, value: Any, **more: Any) -> Any:
    module.globals[name] = Global(name, value, **more)
    return value


def lib(size: int = 5000) -> Module:
    module = Module("lib", source="(defn increment [x]\n  (+ x 1))\n", file="lib.fm")
    module.codes.extend(assemble_all(LIB))
    for code in module.codes:
        code.module = module
    # The codes are not in the order of their functions, as a compiler that emits inner functions first leaves them.
    increment = function(module, "lib/increment", (0,), doc="One more.")
    adder = function(module, "lib/adder", (2, 3), effects=("http/get", "log"), open=True)
    inner = function(module, "lib/adder/fn@3", (1,))
    numbers = function(module, "lib/numbers/fn@9", (4,))
    module.constants += [keyword("a/b"), Vector.of([1, "two", Vector.of([symbol("x/y"), 2.5])])]
    module.references += [Reference("lib", "routes"), Reference("lib", "big")]
    define(module, "increment", Closure(increment), doc="One more.", parameters=("[x]",), span=span(1))
    define(module, "adder", Closure(adder), private=True)
    big = define(module, "big", Vector.of(range(size)))
    define(module, "routes", Map.of([(keyword("up"), Closure(increment)), (keyword("two"), Closure(inner, (2,)))]))
    cell = define(module, "counter", Cell(0))
    define(module, "count-up", Closure(inner, (cell,)), doc="Shares the cell.")
    define(module, "state", Map.of([(keyword("cell"), cell), (keyword("big"), big)]))
    define(module, "numbers", LazySeq(Closure(numbers)))
    realized = LazySeq(Closure(numbers))
    realized.state, realized.thunk, realized.value = "done", None, List.of([1, 2])
    define(module, "realized", realized)
    knot = Cell()
    knot.value = Vector.of([knot, cell])
    define(module, "knot", knot)
    define(module, "later", UNBOUND)
    define(module, "*level*", 3, dynamic=True)
    define(module, "tagged", with_meta(List.of([symbol("if"), 1]), Map.of([(keyword("m"), True)])), macro=True)
    define(module, "text", "long " * 50)
    define(module, "checked", 12, contract=Map.of([(keyword("args"), Vector.of([symbol("int?")]))]), effect="a/b")
    module.effect_sites += [EffectSite("http/get", "lib/adder", span(7)), EffectSite("log", "lib/adder", None)]
    return module


def app(library: Module, values: dict[str, Any] | None = None) -> Module:
    """`values` are those of the library's globals as the compiling process has them, where it has its own."""
    own = values or {}

    def of(name: str) -> Any:
        return own[name] if name in own else library.globals[name].value

    module = Module("app", source="(ns app)\n", file="app.fm", requires={"lib": library.hash or b""})
    module.codes.extend(assemble_all(APP))
    module.codes[0].module = module
    main = function(module, "app/main", (0,), effects=("http/get",))
    module.constants.append(of("routes"))
    module.references += [Reference("lib", "increment"), Reference("app", "main")]
    module.effect_sites.append(EffectSite("http/get", "app/main", None))
    define(module, "main", Closure(main), parameters=("[x]",))
    define(module, "same-counter", of("counter"))
    define(module, "more", of("big").conj(1))
    define(module, "pair", Set.of([of("routes"), of("increment")]))
    define(module, "mixed", Vector.of([of("counter"), of("routes"), Cell(of("state"))]))
    return module

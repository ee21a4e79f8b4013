"""What instructions sources become: one table, source to listing."""

# Sources and what becomes of them stand side by side, so some lines are long.

from __future__ import annotations

from itertools import pairwise

import pytest

from .support import code, compile_bare, compile_text, listing, value_of

TABLE: list[tuple[str, str, str]] = [
    ("a parameter is its register", "(defn f [x] x)", "return 0"),
    ("nil", "(defn f [])", "nil 0\nreturn 0"),
    ("a small integer", "(defn f [] -7)", "integer 0 -7\nreturn 0"),
    ("a big integer is a constant", "(defn f [] 3000000000)", "constant 0 3000000000\nreturn 0"),
    ("constant vectors are made once", "(defn f [] [1 {:a 2}])", "constant 0 [1 {:a 2}]\nreturn 0"),
    ("operands are locals", "(defn f [x y] (+ x y))", "add 2 0 1\nreturn 2"),
    ("small amounts are immediate", "(defn f [x] (- (+ 1 x) 5))", "add_integer 1 0 1\nadd_integer 1 1 -5\nreturn 1"),
    ("but not minus zero", "(defn f [x] (- x 0))", "integer 1 0\nsubtract 1 0 1\nreturn 1"),
    ("greater is less, swapped", "(defn f [x y] (> x y))", "less 2 1 0\nreturn 2"),
    ("an alias of a builtin", "(defn f [x] (first x))", "builtin 1 %first (0)\nreturn 1"),
    ("a keyword is a look-up", "(defn f [m] (:a m 1))", "constant 1 :a\ninteger 2 1\nbuiltin 1 %get (0 1 2)\nreturn 1"),
    ("a tail call", "(defn g [x] x)\n(defn f [x] (g (g x)))", "call_global 1 t/g (0)\ntail_call_global t/g (1)"),
    ("a tail call of a local", "(defn f [g x] (g x))", "tail_call 0 (1)"),
    (
        "a condition falls through",
        "(defn f [x y] (if (< x y) :less :more))",
        "less 2 0 1\njump_if_false 2 4\nconstant 2 :less\nreturn 2\nconstant 2 :more\nreturn 2",
    ),
    (
        "not turns the jump around",
        "(defn f [x] (if (not x) 1 2))",
        "jump_if_true 0 3\ninteger 1 1\nreturn 1\ninteger 1 2\nreturn 1",
    ),
    (
        "some? jumps on nil",
        "(defn f [x] (if (some? x) 1 2))",
        "jump_if_not_nil 0 3\ninteger 1 2\nreturn 1\ninteger 1 1\nreturn 1",
    ),
    (
        "and is two jumps",
        "(defn f [x y] (if (and x y) 1 2))",
        "jump_if_false 0 4\njump_if_false 1 4\ninteger 2 1\nreturn 2\ninteger 2 2\nreturn 2",
    ),
    (
        "or is two jumps",
        "(defn f [x y] (if (or x y) 1 2))",
        "jump_if_true 0 2\njump_if_false 1 4\ninteger 2 1\nreturn 2\ninteger 2 2\nreturn 2",
    ),
    ("a known condition costs nothing", "(defn f [x] (if true x (if nil 1 2)))", "return 0"),
    ("a second name costs nothing", "(defn f [x] (let [y x z y] z))", "return 0"),
    (
        "a loop updates in place",
        "(defn f [n] (loop [i 0 sum 0] (if (< i n) (recur (inc i) (+ sum 2)) sum)))",
        "integer 1 0\ninteger 2 0\nloop\nless 3 1 0\njump_if_false 3 8\nadd_integer 1 1 1\nadd_integer 2 2 2\njump_back 2\nreturn 2",
    ),
    (
        "a swap takes one register aside",
        "(defn f [a b] (if a (recur b a) b))",
        "loop\njump_if_false 0 6\nmove 2 0\nmove 0 1\nmove 1 2\njump_back 0\nreturn 1",
    ),
    (
        "a value that a later argument reads waits",
        "(defn f [a b] (if a (recur (inc a) (+ a b)) b))",
        "loop\njump_if_false 0 6\nadd_integer 2 0 1\nadd 1 0 1\nmove 0 2\njump_back 0\nreturn 1",
    ),
    ("a loop without recur is a let", "(defn f [x] (loop [y (inc x)] y))", "add_integer 1 0 1\nreturn 1"),
    ("nothing after a throw", "(defn f [x] (if x (throw x) (do (throw x) 1)))", "jump_if_false 0 2\nthrow 0\nthrow 0"),
    (
        "catch",
        "(defn f [g] (try (g) (catch _ e e)))",
        "call 1 0 ()\nreturn 1\nnil 4\nbuiltin 3 %catches (2 4)\njump_if_false 3 6\nreturn 2\nthrow 2",
    ),
    (
        "finally stands once",
        "(defn f [g h] (try (g) (finally (h))))",
        "nil 2\ncall 2 0 ()\nnil 3\ncall 4 1 ()\nend_finally 3\nreturn 2",
    ),
    ("an effect", "(defn f [x] (perform :a/b x))", "constant 1 :a/b\nnil 2\nperform 1 1 0 2\nreturn 1"),
    (
        "an effect of the module is performed where it is called",
        "(defeffect a/b [x y])\n(defn f [x] (a/b x 1 :timeout 5s))",
        'constant 1 :a/b\ninteger 3 1\nvector 2 (0 3)\nconstant 3 {:timeout #duration "PT5S"}\nperform 1 1 2 3\nreturn 1',
    ),
    ("a dynamic name", "(def ^:dynamic *x* 1)\n(defn f [] *x*)", "dynamic 0 t/*x*\nreturn 0"),
    ("a closure captures by value", "(defn f [x] (fn [] x))", "closure 1 1 (0)\nreturn 1"),
]


@pytest.mark.parametrize(("source", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_instructions(source: str, expected: str) -> None:
    module = compile_text(source)
    assert "\n".join(listing(module, code(module, "f"))) == expected


def test_registers_at_entry_are_parameters_rest_captures_self() -> None:
    module = compile_text("(defn f [a] (fn me [x & more] [x more a me]))")
    inner = module.codes[1]
    assert (inner.parameters, inner.variadic, inner.captures, inner.takes_self) == (1, True, 1, True)
    assert listing(module, inner) == ["vector 4 (0 1 2 3)", "return 4"]
    assert [(name.name, name.register) for name in inner.locals] == [("x", 0), ("more", 1), ("a", 2), ("me", 3)]


def test_letfn_makes_siblings_and_no_circles() -> None:
    module = compile_text("(defn f [k] (letfn [(a [n] (b n)) (b [n] (if n (a k) b))] (a 1)))")
    a, b = (module.codes[index] for index in (1, 2))
    assert listing(module, code(module, "f")) == [
        "closure 1 1 (0)", "sibling 2 1 2", "integer 3 1", "tail_call 1 (3)",
    ]  # fmt: skip
    assert (a.captures, b.captures, a.takes_self, b.takes_self) == (1, 1, True, True)
    assert listing(module, a) == ["sibling 3 2 2", "tail_call 3 (0)"]
    assert listing(module, b) == ["jump_if_false 0 3", "sibling 3 2 1", "tail_call 3 (1)", "return 2"]


def test_every_instruction_has_the_span_of_its_form() -> None:
    module = compile_text("(defn f [x]\n  (let [y (* x 2)]\n    (vector y\n            (str x))))")
    found = code(module, "f")
    assert [f"{span.line}:{span.column}" for span in found.spans if span] == ["2:11", "2:11", "4:13", "3:5", "3:5"]


def test_what_a_macro_makes_has_the_span_of_the_call() -> None:
    module = compile_text("(defmacro twice [x] `(+ ~x (* 2 ~x)))\n(defn f [x]\n  (twice (dec x)))")
    spans = [f"{span.line}:{span.column}" for span in code(module, "f").spans if span]
    assert spans == ["3:10", "3:3", "3:10", "3:3", "3:3", "3:3"]


def test_locals_are_named_while_they_live() -> None:
    module = compile_text("(defn f [x] (let [y (inc x)] (str y)) (let [[a] x] a))")
    names = [(local.name, local.register) for local in code(module, "f").locals]
    assert names == [("x", 0), ("y", 1), ("a", 1)]


def test_try_rows_are_innermost_first() -> None:
    module = compile_text("(defn f [g] (try (try (g) (catch :a e 1)) (catch :b e 2) (finally (g))))")
    rows = code(module, "f").tries
    assert [row.kind for row in rows] == ["catch", "catch", "finally"]
    assert all(inner.start >= outer.start and inner.end <= outer.end for inner, outer in pairwise(rows))


def test_bootstrap_needs_special_forms_and_builtins_only() -> None:
    module = compile_bare(
        """
        (ns flowmetal.core)
        (def first %first)
        (defmacro when [test & body] (%list 'if test (%cons 'do body)))
        (defn count-down [n] (when (%less 0 n) (count-down (%add n -1))))
        (def result [(count-down 1000) (first [1 2])])
        """
    )
    assert str(value_of(module)) == "[nil 1]"


def test_compile_time_leftovers_are_dropped() -> None:
    module = compile_text('(def a (let [f (fn [x] (str x "only here"))] (f 1)))\n(defn g [] 1)')
    assert [function.name for function in module.functions] == ["t/g"]
    assert "only here" not in module.constants
    assert len(module.codes) == 1


def test_functions_are_numbered_in_order_of_the_source() -> None:
    module = compile_text("(defn a [] (fn [] 1))\n(def b [(fn [] 2)])\n(defn c [] (b 0))")
    assert [function.name for function in module.functions] == ["t/a", "t/a/fn@1", "t/b/fn@2", "t/c"]
    assert [function.index for function in module.functions] == [0, 1, 2, 3]
    assert all(module.codes[function.codes[0]].module is module for function in module.functions)

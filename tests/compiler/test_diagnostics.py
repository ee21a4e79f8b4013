"""What the compiler says about wrong sources: codes and places in a table, some in full."""

from __future__ import annotations

import pytest

from flowmetal.compiler import compile_project
from flowmetal.diagnostics import CompileFailed
from flowmetal.diagnostics.codes import analysis, contract, macro
from flowmetal.vm.builtins import BUILTINS
from flowmetal.vm.evaluate import CompileTime

from .support import codes_of, compile_text, library, rendered

DEEP = "(defn f [] " + "(do " * 1200 + "1" + ")" * 1201
NESTED_TRIES = "(defn f [g] " + "(try " * 70 + "(g)" + " (catch _ e 1))" * 70 + ")"

TABLE: list[tuple[str, list[str]]] = [
    ("(defn f [x] (y x))", ["A101 1:14"]),
    ("(defn f [x] (g x))\n(defn g [x] x)", ["A101 1:14"]),
    ("(def x if)", ["A102 1:8"]),
    ("(defn f [] perform)", ["A102 1:12"]),
    ("(def x when)", ["A103 1:8"]),
    (DEEP, ["A104 1:1"]),
    ("(defmacro inf [x] `(do (inf ~x)))\n(defn f [] (inf 1))", ["A104 2:12"]),
    ("(def x `(quote ~'a))\n(defn f [] '" + "[" * 1100 + "]" * 1100 + ")", ["A104 2:1"]),
    ("(defn f [] (strng/join 1))", ["A105 1:13"]),
    ("(ns t (:require [string :as s]))\n(defn f [] (s/jin 1))", ["A101 2:13"]),
    ("(defn f [] (flowmetal.core/private-one 1))", ["A101 1:13"]),
    ("(defn f [] (1 2))", ["A107 1:12"]),
    ("(def x 5)\n(defn f [] (x 2))", ["A107 2:12"]),
    ("(defn f [g] (g " + "1 " * 1025 + "))", ["A108 1:13"]),
    ("(defn f [] (inc 1 2))", ["A109 1:12"]),
    ("(defn g [a & b] a)\n(defn f [] (g))", ["A109 2:12"]),
    ("(defn f [] (let [g (fn [x] x)] (g)))", ["A109 1:32"]),
    ("(defn f [] ((fn [x & more] x)))\n(defn g [] (#(inc %) 1 2))", ["A109 1:12", "A109 2:12"]),
    ("(defn f [] (letfn [(a [x] (b)) (b [x y] x)] (a 1)))", ["A109 1:27"]),
    ("(defn f [] (fn g ([] (g 1 2)) ([x] x)))", ["A109 1:22"]),
    ("(defn f [] [(:a) (:a {} 1 2)])", ["A109 1:13", "A109 1:18"]),
    ("(defn f [g] (let [g (fn [x] x) h g] [(h) (apply g [])]) (g 1 2))", []),
    ("(ns t (:require [string :refer [join]] [set :refer [union] :rename {union join}]))\n(def x 1)", ["A142 1:53"]),
    ("(ns t (:require [string :as s] [set :as s]))", ["A143 1:41"]),
    ("(defn f [x] {:pre (pos? x)} x)\n(defn g [x] {:post 3} x)", ["A144 1:19", "A144 2:13"]),
    ("(defn f [x]\n  (match x [?a {:k (g ?a)}] ?a))\n(defn g [x y] (match x {:k y} 1))", ["A145 2:20", "A145 3:28"]),
    ("(defn f [x] (match x 1 :one ?n :when (odd? ?n)))", ["A146 1:29"]),
    ("(defn f [] (receive (after 1s 1) ?x ?x))", ["A147 1:21"]),
    ("(defn f [p] (select (await p 1)))\n(defn g [] (select))", ["A148 1:21", "A148 2:12"]),
    ("(defn f [x] {:pre [(pos? x)] :post nil} x)\n(defn g [] {:pre 3})", []),
    ("(defn f [] (g))\n(declare g)", ["A101 1:13"]),
    ("(declare g)\n(defn f [] (g 1 2))\n(defn g ([a] a) ([a b c] b))", ["A109 2:12"]),
    ("(defn f [] (flowmetal.core/%no-such-thing 1))", ["A110 1:13"]),
    ("(defn f [] (if))", ["A111 1:12"]),
    ("(defn f [] (let [a] 1))", ["A111 1:12"]),
    ("(defn f [] (loop 1 2))", ["A111 1:12"]),
    ("(defn f [] (letfn [(1)] 2))", ["A111 1:20"]),
    ("(defn f [] (try 1 (catch :a)))", ["A111 1:19"]),
    ("(defn f [] (try 1 (catch _ e 1) 2))", ["A111 1:12"]),
    ("(defn f [] (handle 1 (:foo)))", ["A111 1:22"]),
    ("(defn f [] (perform))", ["A111 1:12"]),
    ("(defn f [] (throw))", ["A111 1:12"]),
    ("(defn f [] (quote))", ["A111 1:12"]),
    ("(defn f)", ["A111 1:1"]),
    ("(def)", ["A111 1:1"]),
    ("(fn 1)", ["A111 1:1"]),
    ("(defeffect a/b)", ["A111 1:1"]),
    ("(ns t (:import x))", ["A111 1:7"]),
    ("(defn f [] (def x 1))", ["A112 1:12"]),
    ("(defn f [] (catch _ e 1))", ["A113 1:12"]),
    ("(def x 1)\n(defn f [] (binding [x 2] 1))", ["A114 2:22"]),
    ("(defn f [x] (inc (recur 1)))", ["A115 1:18"]),
    ("(defn f [x] (try (recur 1) (catch _ e 1)))", ["A115 1:18"]),
    ("(defn f [x] (try 1 (catch _ e (recur 1)) (finally 2)))", ["A115 1:31"]),
    ("(defn f [x] (recur 1 2))", ["A116 1:13"]),
    ("(defn f [] (let [1 2] 3))", ["A117 1:12"]),
    ("(defn f [] (let [a/b 2] 3))", ["A117 1:18"]),
    ("(defn f [] (let [{:foo a} 2] 3))", ["A117 1:18"]),
    ("(defmacro m [] (atom 1))\n(defn f [] (m))", ["A118 2:12"]),
    ("(defn f [] {[1] 1 '[1] 2})", ["A119 1:12"]),
    ("(defn f ([a] 1) ([b] 2))", ["A120 1:18"]),
    ("(defn f ([& a] 1) ([b & c] 2))", ["A120 1:20"]),
    ("(defn f ([a b & c] 1) ([a b c d] 2))", ["A121 1:1"]),
    ("(defn f [& a b] 1)", ["A122 1:14"]),
    ("(defn f [a a] 1)", ["A123 1:12"]),
    ("(defn f [] (handle 1 (:a [r] 1) (:a [r] 2)))", ["A124 1:33"]),
    ("(defn f [] (handle 1 (f [r] 1)))", ["A125 1:23"]),
    ("(defn f [] (handle 1 (no/such [r] 1)))", ["A101 1:23"]),
    ("(defn f [] `~@[1])", ["A126 1:13"]),
    ("(defn f [x] (unquote x))", ["A139 1:14"]),
    ("(defn f [x] ~x)", ["R063 1:13"]),
    ("(defn f [] (future (nothing)))\n(defn g [] (dosync (alter (ref 1) inc)))", ["A140 1:13", "A140 2:13"]),
    ("(defn f [x] (map ref x))\n(defn ref [x] x)\n(defn g [] (ref 1))", ["A140 1:18"]),
    ("(defn f [x] (inc %))", ["R060 1:18"]),
    ("(defn area [w h] w)\n(defn f [] (area 5))\n(defn g [] (arae 5 5))", ["A109 2:12", "A101 3:13"]),
    ("(defn area [w] (gone w))\n(defn f [] (area 5 6))", ["A101 1:17"]),
    ("(defn f [x :- pos-int?] x)\n(defn g [] (f -1))\n(defn h [] (gone))", ["C102 2:15", "A101 3:13"]),
    ("(def other/x 1)", ["A127 1:6"]),
    ("(def let 1)", ["A128 1:6"]),
    ("(def f 1)\n(defn f [] 1)", ["A129 2:7"]),
    ("(defeffect a/b [{:keys [c]}])", ["A130 1:16"]),
    ("(ns t (:require [strin :as s]))", ["A131 1:18"]),
    ("(ns t (:require [clojure.string :as s]))\n(defn f [] (s/trim (s/join [1])))", ["A131 1:18"]),
    (
        "(ns t (:require [strin :as s :refer [joi]]))\n(def x (s/a 1))\n(defn f [] [(joi 2) (strin/b) (y)])",
        ["A131 1:18", "A101 3:32"],
    ),
    ("(ns t (:require [string :refer [jon]]))", ["A132 1:33"]),
    ("(def x 1)\n(ns t)", ["A133 2:1"]),
    (NESTED_TRIES, ["A134 1:333"]),
    ('(def x (throw (error :k "boom")))', ["A135 1:8"]),
    ("(def x (missing))\n(def y (inc x))", ["A101 1:9"]),
    ("(def x (perform :a/b 1))", ["A136 1:8"]),
    ("(defprotocol P (f [x]) (f [x y]))", ["M101 1:1"]),
    ("(defrecord R [a & b])\n(deftype T 3)\n(defrecord S 3)", ["M101 1:1", "M101 2:1", "M101 3:1"]),
    ("(defmulti x 3)", ["A135 1:1"]),
    ("(ns a (:require [b :as-alias c] [d :as-alias 3] [string :as s :as-alias s]))", ["A111 1:33"]),
    ("(defn f [] (macroexpand '(when 1 2)))\n(defn g [] (with-redefs [f 1] 2))", ["A140 1:13", "A140 2:13"]),
    ('(defmacro bad [x] (throw (error :k "no")))\n(defn f [] (bad 1))', ["M101 2:12"]),
    ("(defmacro inf [x] `(inf ~x))\n(defn f [] (inf 1))", ["M102 2:12"]),
    ("(defmacro one [x] x)\n(defn f [] (one))", ["M103 2:12"]),
    ("(defmacro broken [x] (missing))\n(defn f [] (broken 1))", ["A101 1:23", "M104 2:13"]),
    ("(defn f [x :- 5] x)", ["C101 1:15"]),
    ("(defn f [x :- pos-int?] x)\n(defn g [] (f -1))", ["C102 2:15"]),
    ('(defn f [x :- {:a (maybe int?)}] x)\n(defn g [] [(f {:a nil}) (f {:a ""})])', ["C102 2:29"]),
    ("(defn g [x] :- string? (str x))\n(defn f [x :- int?] x)\n(defn h [] (f (g 1)))", ["C103 3:15"]),
    (
        "(defn f [x :- int?] x)\n(defn h [y] (f (str y)) (f (+ y 1)) (f (count y)) (f (if y [] {})))",
        ["C103 2:16", "C103 2:54"],
    ),
    ("(defn f [x :- string?] x)\n(defn h [y] (let [n 1 s :a] (f n) (if (string? s) (f s) 1)))", ["C102 2:32"]),
    ("(defn f ([x :- string?] x) ([x :- int? y] y))\n(defn h [] (f 5) (f 5 5) (f :a 5))", ["C102 2:15", "C102 2:29"]),
    ("(def money {:n int?})\n(defn f [x :- [money]] x)\n(defn h [] (f [{:n 1}]) (f [{:n :a}]))", ["C102 3:28"]),
    ("(defn f [x :- (maybe int? string?)] x)", ["C101 1:15"]),
    ("(defn f [x]\n  (y x)\n  (z x))\n(defn g [] (if))", ["A101 2:4", "A101 3:4", "A111 4:12"]),
]


@pytest.mark.parametrize(
    ("source", "expected"), TABLE, ids=[f"{row[1][:1]} {number}" for number, row in enumerate(TABLE)]
)
def test_code_and_place(source: str, expected: list[str]) -> None:
    assert codes_of(source) == expected


def test_errors_of_the_reader_come_with_those_of_the_compiler() -> None:
    found = codes_of("(defn f [] (h 1))\n(defn g [x\n(def y 1)")
    assert found[0] == "A101 1:13"
    assert any(code.startswith("R001 2:") for code in found)


def test_every_code_has_a_source() -> None:
    seen = {line.split()[0] for _, expected in TABLE for line in expected}
    elsewhere = {
        "A141",
        "A106",
        "A137",
        "A138",
        "A200",
        "A201",
    }  # need several modules: below, and tests/engine/test_project.py
    elsewhere |= {"A160", "A161", "A162", "A163"}  # of the prompt: tests/engine/test_session.py
    every = {*analysis.CODES, *macro.CODES, *contract.CODES}
    assert every - seen - elsewhere == set()


def project(**sources: str) -> list[str]:
    """Codes of a project of several files."""
    try:
        compile_project({f"{name}.fm": text for name, text in sources.items()}, library(), CompileTime(), BUILTINS)
    except CompileFailed as failure:
        return [f"{found.code} {found.span}" for found in failure.diagnostics]
    return []


def test_private_names() -> None:
    one = "(defn- hidden [x] x)\n(defmacro shown [x] `(hidden ~x))"
    assert project(one=one, two="(ns two (:require one))\n(def a (one/shown 1))") == []
    assert project(one=one, two="(ns two (:require one))\n(def a (one/hidden 1))") == ["A106 two.fm:2:9"]


def test_modules_of_a_project() -> None:
    assert project(a="(ns a (:require [b :refer [x]]))\n(def y x)", b="(def x 1)") == []
    assert project(a="(ns a (:require b))", b="(ns b (:require c))", c="(ns c (:require a))") == ["A138 c.fm:1:17"]
    both = {"b": "(def x 1) (def y 2)", "c": "(def x 3) (defn- y [] 4)"}
    whole = "(ns a (:require [b :refer :all] [c :refer :all]))\n"
    assert project(a=whole + "(def z y)", **both) == []
    assert project(a=whole + "(def z (inc x))", **both) == ["A141 a.fm:2:13"]
    assert project(a="(ns same)", b="(ns same)") == ["A137 b.fm:1:1"]
    # A module that requires one with errors is not looked at.
    assert project(a="(ns a (:require b))\n(b/gone)", b="(def x (missing))") == ["A101 b.fm:1:9"]


GOLDEN = [
    (
        "(defn order [x]\n  (schedule x 30))\n\n(defn schedule [x y] x)",
        """\
-- UNKNOWN NAME --------------------------------------------------- t.fm:2:4  [A101]

2 |   (schedule x 30))
  |    ^^^^^^^^ Nothing here is called `schedule`.
  ...
4 | (defn schedule [x y] x)
  |       -------- defined here, below its use

It is defined in line 4: move that up, or write `(declare schedule)` before this.
""",
    ),
    (
        "(defn order [x]\n  (shcedule x 30))\n(defn schedule [x y] x)",
        """\
-- UNKNOWN NAME --------------------------------------------------- t.fm:2:4  [A101]

2 |   (shcedule x 30))
  |    ^^^^^^^^ Nothing here is called `shcedule`.

A name is defined above its use, or declared with `(declare shcedule)`.
""",
    ),
    (
        "(defn schedule [x y] x)\n(defn order [x]\n  (shcedule x 30))",
        """\
-- UNKNOWN NAME --------------------------------------------------- t.fm:3:4  [A101]

3 |   (shcedule x 30))
  |    ^^^^^^^^ Nothing here is called `shcedule`.

Did you mean `schedule`?
""",
    ),
    (
        "(defn pay [amount to] amount)\n(defn f [] (pay 1))",
        """\
-- WRONG NUMBER OF ARGUMENTS ------------------------------------- t.fm:2:12  [A109]

2 | (defn f [] (pay 1))
  |            ^^^^^^^ `pay` is called with 1 argument, but takes 2 arguments.

It is defined with the parameters [amount to].
""",
    ),
    (
        "(defn pay [amount :- pos-int?] amount)\n(defn f []\n  (pay -1))",
        """\
-- BROKEN CONTRACT ------------------------------------------------ t.fm:3:8  [C102]

1 | (defn pay [amount :- pos-int?] amount)
  |       --- the contract is here
  ...
3 |   (pay -1))
  |        ^^ `pay` is called with `-1` for `amount`, which is not `pos-int?`.
""",
    ),
    (
        "(defn f [] 1)\n(defn f [] 2)",
        """\
-- DEFINED TWICE -------------------------------------------------- t.fm:2:7  [A129]

1 | (defn f [] 1)
  |       - first defined here
2 | (defn f [] 2)
  |       ^ `f` is defined twice in this module.

Remove one of the definitions, or give it another name.
""",
    ),
]


@pytest.mark.parametrize(("source", "expected"), GOLDEN)
def test_rendered(source: str, expected: str) -> None:
    assert rendered(source) == expected


def test_a_module_without_errors_has_none() -> None:
    compile_text("(defn f [x] x)")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("(defn f [] (strng/join 1))", "Did you mean `string/join`?"),
        ('(defn f [] (s/upper-case ""))', "Did you mean `string/upper-case`?"),
        ('(defn f [] (System/getenv ""))', "Require it in the `ns` form"),
        ("(defn f [] (foo/get 1))", None),
        ("(ns t (:require [clojure.string :as s]))", "Did you mean `string`?"),
        ("(ns t (:require [clojure.set :as s]))", "Did you mean `set`?"),
        ("(ns t (:require [clojure.walk]))", "Did you mean `walk`?"),
        ("(defn f [] (future 1))", "Use `async`"),
    ],
)
def test_hints(source: str, hint: str | None) -> None:
    text = rendered(source)
    assert hint is None or hint in text
    assert "flowmetal.core/" not in text

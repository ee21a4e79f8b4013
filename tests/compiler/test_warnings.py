"""What the compiler warns of: codes and places in a table; correct code gives none, which the repository's own shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowmetal.compiler import compile_module
from flowmetal.compiler.reader import read_source
from flowmetal.diagnostics import CompileFailed
from flowmetal.diagnostics.codes import warning
from flowmetal.vm.builtins import BUILTINS
from flowmetal.vm.evaluate import CompileTime

from .support import library

ROOT = Path(__file__).resolve().parents[2]


def warnings_of(text: str, file: str = "t.fm") -> list[str]:
    module = compile_module(text, file, libraries=library(), evaluate=CompileTime(), builtins=BUILTINS)
    assert all(one.level == "warning" for one in module.warnings)
    return [f"{one.code} {one.span.line}:{one.span.column}" for one in module.warnings if one.span is not None]


TABLE: list[tuple[str, list[str]]] = [
    ("(defn f [] (let [x 1 _y 2] 3))", ["W101 1:18"]),
    ("(defn f [] (let [x 1 y x] y))", []),
    ("(defn f [m] (let [{:keys [a b] :as all} m] a))", ["W101 1:29", "W101 1:36"]),
    ("(defn f [{:keys [a] :or {a 1}}] 2)", ["W101 1:18"]),
    ("(defn f [v] (let [[a _ & more] v] a))", ["W101 1:26"]),
    ("(defn f [] (loop [x 1 [y z] [1 2]] (if y (recur 2 [3 4]) 1)))", ["W101 1:19", "W101 1:26"]),
    ("(defn f [xs] (doseq [x xs] 1) (for [y xs z [1]] y))", ["W101 1:22", "W101 1:42"]),
    ("(defn f [x] (when-let [y x] 1) (as-> 1 z 2))", ["W101 1:24"]),
    ("(defn f [] (letfn [(g [] 1) (h [] 2)] (g)))", ["W101 1:30"]),
    ("(let [[a b] [1 2]] (defn g [] a))", []),
    ("(defn f [x] (let [x (inc x)] x))", []),
    ("(defn f [a b & c] a)", ["W102 1:12", "W102 1:16"]),
    ("(defn f [_a b :- int?] 1)", []),
    ("(defn f [] (map (fn [x] 1) [1]) #(inc %2))", ["W102 1:22"]),
    ("(defn f [] (handle 1 (:a [x resume] 2)))", []),
    ("(defn f [] (try 1 (catch _ e 2)))", []),
    ("(defmacro m [x] nil)\n(defn f [] (m 1))", ["W102 1:14"]),
    ("(defmacro m [x] `(let [y# 1 ~'z 2] (fn [~x] 3)))\n(defn f [] (m a))", []),
    ("(defn- f [x] x)", ["W103 1:8"]),
    ("(def ^:private a 1)\n(def ^:private b a)\n(def ^:private _c 1)", ["W103 2:16"]),
    ("(defn- f [x] x)\n(defmacro m [x] `(f ~x))\n(defn- g [x] x)\n(defmacro n [x] (list 'g x))", []),
    ("(ns t (:require [string :as s] [set :refer [union difference]] [walk] json))\n(defn f [] (union))",
     ["W104 1:17", "W105 1:51"]),
    ("(ns t (:require [string :as s]))\n(defn f [] ::s/x)", []),
    ("(ns t (:require [string :as s]))\n(defmacro f [] `s/join)", []),
    ("(ns t (:require [string :as s :refer [join]]))\n(defn f [] (join [1]))", []),
    ("(ns t (:require [string :refer :all]))\n(defn f [] 1)", ["W104 1:17"]),
    ("(defn get [x] x)\n(defn f [count] count)", ["W106 1:7"]),
    ("(ns t (:refer-core :exclude [get]))\n(defn get [x] x)", []),
    ("(defn f [e] (throw e) (inc 1))", ["W107 1:23"]),
    ("(defn f [xs] (doseq [x xs] (throw x)))\n(defn g [x] (while x (throw x)))", []),
    ("(defn f [] (if nil 1 2))\n(defn g [] (when true 2))\n(defn h [] (while true 1))", ["W108 1:16", "W108 2:18"]),
    ("(defn f [x] (cond x 1 :else 2 (inc x) 3))\n(defn g [x] (cond x 1 :else 2))", ["W109 1:31"]),
    ("(defn f [x] (case x 1 :a (2 1) :b :c))\n(defn g [x] (case x 1 :a 1.0 :b))", ["W110 1:26"]),
    ("(defn f [] (perform :htp/request {}))\n(defn g [] (perform :my/own 1) (perform :now))", ["W111 1:21"]),
    ("(defeffect a/charge [x])\n(defn f [] (perform :a/chrge 1) (perform :a/charge 1))", ["W111 2:21"]),
    ('(defn f [x] "doc" x)\n(defn g [] "value")', ["W112 1:13"]),
    # Silenced.
    ("(defn f [] ^:flowmetal/ignore (let [x 1] 3))", []),
    ("(defn ^:flowmetal/ignore get [x] (let [y 1] 2))", []),
    ("(defn f [] ^{:flowmetal/ignore [:W102]} (let [x 1] (fn [y] 3)))", ["W101 1:47"]),
    ("(ns t (:require ^:flowmetal/ignore [string :as s]))", []),
    ("(defn f [^:flowmetal/ignore x y] 1)", ["W102 1:31"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), TABLE, ids=range(len(TABLE)))
def test_code_and_place(source: str, expected: list[str]) -> None:
    assert warnings_of(source) == expected


def test_every_code_has_a_source() -> None:
    assert {line.split()[0] for _, expected in TABLE for line in expected} == set(warning.CODES)


def test_errors_come_without_warnings() -> None:
    with pytest.raises(CompileFailed) as failed:
        warnings_of("(defn f [x] (let [y 1] (gone)))")
    assert [one.code for one in failed.value.diagnostics] == ["A101"]


#: Programs of the repository that are warned of rightly: they are about what they do.
MEANT = {"tests/golden/programs/names/shadowing.fm": ["W106 2:7"]}

CORPUS = sorted([*(ROOT / "tests/golden/programs").rglob("*.fm"), *(ROOT / "examples").rglob("*.fm")])


def test_correct_programs_are_not_warned_of() -> None:
    found: dict[str, list[str]] = {}
    for path in CORPUS:
        name = path.relative_to(ROOT).as_posix()
        try:
            warned = warnings_of(path.read_text(encoding="utf-8"), name)
        except CompileFailed:
            continue  # a program about an error
        if warned:
            found[name] = warned
    assert found == MEANT


def test_the_library_is_not_warned_of() -> None:
    assert [str(one) for module in library().values() for one in module.warnings] == []


def test_marks_are_found_at_any_depth() -> None:
    text = "(defn f [] [{:a ^:flowmetal/ignore (let [x 1] 2)}])"
    assert not read_source(text, "t.fm").diagnostics
    assert warnings_of(text) == []

"""What programs mean: sources whose `result` is evaluated at compile time, against what is printed."""

# Sources and what becomes of them stand side by side, so some lines are long.

from __future__ import annotations

import pytest

from .support import result

CLOSURES = [
    ("(def result ((fn [x] ((fn [y] [x y]) 2)) 1))", "[1 2]"),
    (
        "(def result (mapv (fn [f] (f)) (loop [i 0 acc []] (if (< i 3) (recur (inc i) (conj acc (fn [] i))) acc))))",
        "[0 1 2]",
    ),
    (
        "(def result (loop [x 0 acc []]"
        " (let [y x] (if (< x 3) (recur (inc x) (conj acc (fn [] [x y]))) (mapv (fn [f] (f)) acc)))))",
        "[[0 0] [1 1] [2 2]]",
    ),
    ("(def result ((fn count-down [n] (if (= n 0) :done (count-down (dec n)))) 100000))", ":done"),
    ("(def result (((fn me [x] (fn [] [(fn? me) x])) 7)))", "[true 7]"),
    ("(def result (let [c (atom 0) f (fn [] (swap! c inc))] (f) (f) @c))", "2"),
    (
        "(defn even [n] (if (= n 0) true ((fn [f] (f (dec n))) (fn [m] (not (even m))))))\n(def result (even 9))",
        "false",
    ),
    ("(def result (let [request 1 handle (fn [x] x)] (handle request)))", "1"),
]

FUNCTIONS = [
    (
        "(defn f ([] 0) ([a] 1) ([a b & c] (if c [a b c] 2)))\n(def result [(f) (f 1) (f 1 2) (f 1 2 3)])",
        "[0 1 2 [1 2 (3)]]",
    ),
    ("(defn f [n & more] (if (> n 0) (recur (dec n) (cons n more)) more))\n(def result (f 3))", "(1 2 3)"),
    ("(defn f [{:keys [a]} [x & r] & more] [a x r more])\n(def result (f {:a 1} [1 2 3] 4 5))", "[1 1 (2 3) (4 5)]"),
    ("(defn f [x & {:keys [y] :or {y 9} :as m}] [x y m])\n(def result [(f 1) (f 1 :y 2) (f 1 {:y 3})])",
     "[[1 9 nil] [1 2 {:y 2}] [1 3 {:y 3}]]"),
    ("(defn f [[a b]] (if (> a 0) (recur [(dec a) (+ b a)]) b))\n(def result (f [4 0]))", "10"),
    ("(defn f [x] {:pre [(> x 0)]} x)\n(def result [(f 1) (try (f 0) (catch _ e :refused))])", "[1 :refused]"),
    ("(defn f [x] {:a x})\n(def result (f 1))", "{:a 1}"),
    ("(def result (#(vector %1 %2 %&) 1 2 3))", "[1 2 (3)]"),
    ("(declare odd)\n(defn even [n] (if (= n 0) true (odd (dec n))))\n"
     "(defn odd [n] (if (= n 0) false (even (dec n))))\n(def result (even 100001))", "false"),
]  # fmt: skip

LETFN = [
    (
        "(def result (letfn [(ev [n] (if (= n 0) true (od (dec n)))) (od [n] (if (= n 0) false (ev (dec n))))]"
        " [(ev 10) (od 7) (ev 100000)]))",
        "[true true true]",
    ),
    (
        "(def result (let [k 5] (letfn [(f [n] (if (> n 0) (first (g (dec n))) [n k])) (g [n] (mapv (fn [x] (f x)) [n]))]"
        " (f 3))))",
        "[0 5]",
    ),
    ("(def result (letfn [(a [] b) (b [] 1)] ((a))))", "1"),
    (
        "(def result (let [x 1] (letfn [(f [] (letfn [(g [] [x (h)]) (h [] (if f 2 3))] (g)))] (f))))",
        "[1 2]",
    ),
]

DESTRUCTURING = [
    ("(def result (let [[a [b & c] :as d] [1 [2 3 4]]] [a b c d]))", "[1 2 (3 4) [1 [2 3 4]]]"),
    ("(def result (let [[a b] nil [c] [] [d e] '(1)] [a b c d e]))", "[nil nil nil 1 nil]"),
    ("(def result (let [[a & b] {:k 1}] [a b]))", "[[:k 1] nil]"),
    ('(def result (let [[a b] "xy"] [a b]))', "[\\x \\y]"),
    (
        "(def result (let [{a :a [b c] :v {:keys [d]} :m :strs [e] :syms [f] :x/keys [g] :or {e 9}}"
        " {:a 1 :v [2 3] :m {:d 4} 'f 6 :x/g 7}] [a b c d e f g]))",
        "[1 2 3 4 9 6 7]",
    ),
    ("(def result (let [{:keys [:a y/b] :as m} {:a 1 :y/b 2}] [a b m]))", "[1 2 {:a 1, :y/b 2}]"),
    ("(def result (let [{:keys [a] :or {a (+ 1 1)}} {:a nil}] a))", "nil"),
    ("(def result (loop [a 1 b (+ a 1) [c d] [a b]] (if (< a 5) (recur b (+ a b) [d a]) [a b c d])))", "[5 8 2 3]"),
    ("(def result (mapv (fn [[k v]] [v k]) {:a 1 :b 2}))", "[[1 :a] [2 :b]]"),
    ("(def result (for [[a {:keys [b]}] [[1 {:b 2}]] :let [[c] [3]]] [a b c]))", "([1 2 3])"),
]

LOOPS = [
    ("(def result (loop [a 1 b 2 c 3 n 4] (if (= n 0) [a b c] (recur b c a (dec n)))))", "[2 3 1]"),
    ("(def result (loop [i 0] (if (< i 1000000) (recur (inc i)) i)))", "1000000"),
    (
        "(def result (loop [i 0 t 0] (if (= i 3) t (recur (inc i) (loop [j 0 u t] (if (= j i) u (recur (inc j) (+ u 1))))))))",
        "3",
    ),
    (
        '(def result (loop [n 3] (try (if (> n 0) (throw (error :k "")) :ok) (catch :k e (recur (dec n))))))',
        ":ok",
    ),
    ("(def result (loop [i 0 x 1] (if (= i 2) x (recur (inc i) (try (inc x) (finally (* x 100)))))))", "3"),
]

ERRORS = [
    (
        "(def result (let [a (atom [])] (try (try (swap! a conj 1) (throw (error :k \"\")) (finally (swap! a conj 2)))"
        " (catch _ e (swap! a conj 3)) (finally (swap! a conj 4))) @a))",
        "[1 2 3 4]",
    ),
    ("(def result (try 1 (catch _ e 2) (finally 3)))", "1"),
    ("(def result (try (try (throw (error :a \"\")) (finally (throw (error :b \"\")))) (catch _ e (:kind e))))", ":b"),
    ("(def result (try (throw (error :a \"\")) (catch :b e 1) (catch #{:a :c} e 2)))", "2"),
    ("(def result (try (throw (error :a \"\")) (catch (fn [e] (= :a (:kind e))) e 3)))", "3"),
    ("(def result (try (try (throw (error :a \"\")) (catch :b e 1)) (catch :a e 4)))", "4"),
    (
        "(defn f [x] (try (if x (throw (error :k \"\")) :fine) (catch :k e :caught) (finally nil)))\n"
        "(def result [(f true) (f false)])",
        "[:caught :fine]",
    ),
    ("(defn f [n] (try (if (= n 0) :deep (throw (error :k \"\"))) (catch _ e (f (dec n)))))\n(def result (f 10000))",
     ":deep"),
    ("(def result (try 5))", "5"),
]  # fmt: skip

MACROS = [
    ("(defmacro unless [c & body] `(if ~c nil (do ~@body)))\n(def result [(unless false 1 2) (unless true 1)])", "[2 nil]"),
    ("(defmacro sq [x] `(let [v# ~x] (* v# v#)))\n(def result (let [v 3] (sq (+ v 1))))", "16"),
    ("(defmacro both [x] `(let [f# (fn [y#] [~x y#])] (f# 2)))\n(def result (let [f 1 y 1] (both [f y])))", "[[1 1] 2]"),
    ("(defmacro my-or [a b] `(let [x# ~a] (if x# x# ~b)))\n(def result (let [x 5] (my-or nil x)))", "5"),
    ("(defmacro shadow [x] `(map inc [~x]))\n(def result (let [map 1 inc 2] (shadow inc)))", "(3)"),
    ("(defmacro locals [] `(quote ~(vec (reverse (keys &env)))))\n(def result (let [a 1 b 2] (locals)))", "[a b]"),
    ("(defmacro whole [& _] `(quote ~&form))\n(def result (whole 1 [2]))", "(whole 1 [2])"),
    ("(defmacro defs [& names] `(do ~@(map (fn [n] `(def ~n '~n)) names)))\n(defs a b)\n(def result [a b])", "[a b]"),
    ("(defmacro lazily [] (list* 'vector (map inc (take 3 (iterate inc 1)))))\n(def result (lazily))", "[2 3 4]"),
    ("(defn- helper [x] (* 2 x))\n(defmacro doubled [x] `(helper ~x))\n(def result (doubled 4))", "8"),
    ("(def result `(a ~(+ 1 2) ~@[3 4] x# x# if map [~@nil] {:k ~1} #{~2}))",
     "(t/a 3 3 4 x__1__auto__ x__1__auto__ if flowmetal.core/map [] {:k 1} #{2})"),
    ("(def y 5)\n(defmacro m [] (let [x 'y] ``(~~x ~'~x)))\n(def result (m))", "(5 y)"),
]  # fmt: skip

CONTRACTS = [
    ("(defn f [x :- int?] :- string? (str x))\n(def result (f 1))", '"1"'),
    (
        "(defn f [x] x)\n(defn g [x :- {:id string? :n [int?]}] x)\n"
        "(def result (try (g (f {:id 3})) (catch :contract e (:data e))))",
        '{:name "x", :value {:id 3}, :contract {:id string?, :n [int?]}, :place "t.fm:2:15", :path [:id], :part 3, :part-contract string?}',
    ),
    (
        "(defn kept [x :- (or int? nil?) y :- (enum :a :b) z :- (maybe [int? string?]) w :- (and int? pos?) v :- #{1 2}]"
        " true)\n(defn try-it [& args] (try (apply kept args) (catch :contract e (:name (:data e)))))\n"
        '(def result [(try-it 1 :a nil 1 1) (try-it nil :b [1 ""] 1 2) (try-it "" :a nil 1 1) (try-it 1 :c nil 1 1)'
        " (try-it 1 :a [1 2] 1 1) (try-it 1 :a [1] 1 1) (try-it 1 :a nil -1 1) (try-it 1 :a nil 1 3)])",
        '[true true "x" "y" "z" "z" "w" "v"]',
    ),
    (
        '(defn f [x] :- int? (if (= x 0) "no" (recur (dec x))))\n'
        "(def result (try (f 3) (catch :contract e (:name (:data e)))))",
        '"result of t/f"',
    ),
    (
        "(defn f [x] (let [[a b] :- [int?] x] (+ a b)))\n(def result [(f [1 2]) (try (f [1 :b]) (catch :contract e :no))])",
        "[3 :no]",
    ),
    ("(defn f [{:keys [a]} :- {:a int?}] a)\n(def result (f {:a 1}))", "1"),
]

EFFECTS = [
    ("(def result (handle (+ 1 (perform :foo 41)) (:foo [x resume] (resume (inc x)))))", "43"),
    ("(def result (handle (+ 1 (perform :foo 41)) (:foo [x resume] x)))", "41"),
    ("(defeffect a/b [x y])\n(def result (handle (a/b 1 2) (a/b [x y resume] (resume [y x]))))", "[2 1]"),
    ("(defeffect ping [])\n(def result (handle [(ping) (ping :timeout 5s) (ping {:timeout 4s})] (ping [resume] (resume 7))))",
     "[7 7 7]"),
    ("(defeffect a/b [x :- int?] :- string?)\n"
     "(def result (handle (try (a/b 1) (catch :contract e (:name (:data e)))) (a/b [x resume] (resume x))))",
     '"result of t/a/b"'),
    ("(defeffect a/b [x])\n(def result (handle (mapv a/b [1 2]) (a/b [x resume] (resume (* 2 x)))))", "[2 4]"),
    ("(def result (handle (let [e :foo] (perform e [1])) (:foo [[a] resume] (resume [:got a])) (:bar [r] r)))", "[:got 1]"),
    ("(def ^:dynamic *x* 1)\n(defn g [] *x*)\n(def result [(g) (binding [*x* 2] (g)) (binding [*x* (inc *x*)] (mapv (fn [_] (g)) [1]))])",
     "[1 2 [2]]"),
]  # fmt: skip

TOP_LEVEL = [
    ("(let [c (atom 0)] (defn next-id [] (swap! c inc)))\n(def result [(next-id) (next-id)])", "[1 2]"),
    ("(let [{:keys [a b]} {:a 1 :b 2} [c] [3]] (defn f [] [a b c]))\n(def result (f))", "[1 2 3]"),
    ("(when true (def result 5))", "5"),
    ("(if false (def result 5) (do (def a 6) (def result (+ a 1))))", "7"),
    ("(def result \"doc\" 1)", "1"),
    ("(ns t (:require [string :as s :refer [join]]))\n(def result [(s/upper-case \"a\") (join \",\" [1 2]) (string/trim \" x \")])",
     '["A" "1,2" "x"]'),
    ("(ns t (:refer-core :exclude [map]))\n(defn map [x] [:mine x])\n(def result (map 1))", "[:mine 1]"),
    ("(defn inc [x] [:mine x])\n(def result [(inc 1) (map inc [1])])", "[[:mine 1] ([:mine 1])]"),
    ("(def result (meta ^{:a 1} [(+ 1 1)]))", "{:a 1}"),
    ("(def result [(:a {:a 1} 2) ({:a 1} :a) (:b {:a 1} 3) ([1 2] 0) (#{1} 1)])", "[1 1 3 1 1]"),
]  # fmt: skip

ALL = {
    "closures": CLOSURES,
    "functions": FUNCTIONS,
    "letfn": LETFN,
    "destructuring": DESTRUCTURING,
    "loops": LOOPS,
    "errors": ERRORS,
    "macros": MACROS,
    "contracts": CONTRACTS,
    "effects": EFFECTS,
    "top level": TOP_LEVEL,
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [pytest.param(*row, id=f"{group} {number}") for group, rows in ALL.items() for number, row in enumerate(rows)],
)
def test_result(source: str, expected: str) -> None:
    assert result(source) == expected

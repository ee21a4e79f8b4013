"""Programs as source, each from a number: the plans of the simulation written as code, and expressions over the core.

What they are for is that every byte that comes of them is the same everywhere, so they hold much that has an order or a
hash: large maps and sets, closures, cells, several fibers, and values of all kinds in the log.
"""

from __future__ import annotations

import random
from functools import cache

from tests.differential import generator as expressions
from tests.simulation.plans import Generator, Plan

#: Operations that are written as code; each seed uses some of them.
OPS = (
    "value", "call", "inline", "flaky", "refused", "sleep", "race", "cancel", "local", "add", "cas", "sum", "last", "all",
    "pmap", "late", "any", "timeout", "finally", "shield", "catch", "handle", "abandon", "deep", "big", "cell", "lazy",
    "spawn", "watch",
)  # fmt: skip

#: Names of the core whose values must not be shown, or that read what is around.
_LEFT_OUT = frozenset({"rand", "rand-int", "rand-nth", "shuffle", "gensym", "now"})

PRELUDE = """(ns generated (:require [kv :as kv] [time :as time]))
(def total (atom 0))
(defn nap [ms] (sleep (time/milliseconds ms)) ms)
(defn cleaned [id f g] (log [:enter id]) (try (f) (finally (log [:exit id]) (g))))
"""


class _Plans(Generator):
    """Plans of the operations that are written as code."""

    def __init__(self, source: random.Random) -> None:
        super().__init__(source, http=False)
        names, weights = self._all
        kept = [(name, weight) for name, weight in zip(names, weights, strict=True) if name in OPS]
        self._all = (tuple(name for name, _ in kept), tuple(weight for _, weight in kept))
        leaves = [(name, weight) for name, weight in zip(*self._leaves, strict=True) if name in OPS]
        self._leaves = (tuple(name for name, _ in leaves), tuple(weight for _, weight in leaves))


@cache
def _names() -> frozenset[str]:
    return frozenset(row[0] for row in expressions.signatures()) - _LEFT_OUT


def program(number: int) -> str:
    """The source of a program with a function `main`."""
    source = random.Random(f"program {number}")
    plan = _Plans(source).plan(source.choice((2, 5, 9)))
    shown = expressions.expressions(number + 1, 3, set(_names()))
    lines = "\n  ".join(f"(log (try {text} (catch _ e [(error-kind e) (ex-message e)])))" for text in shown)
    words = [f'"word {source.randrange(1000)}"' for _ in range(source.choice((3, 20, 60)))]
    table = " ".join(f"{word} {index}" for index, word in enumerate(dict.fromkeys(words)))
    keys = " ".join(f":key-{index}" for index in source.sample(range(500), source.choice((2, 9, 40))))
    return f"""{PRELUDE}
(def table {{{table}}})
(def keywords #{{{keys}}})
(defn main []
  {lines}
  (log (count table) (reduce + (vals table)) (vec (take 5 keywords)) (group-by count (keys table)))
  (let [value {code(plan)}]
    (log [:value value keywords (assoc table "more" value)])
    value))
"""


def code(plan: Plan) -> str:
    """A plan as an expression."""
    op, *a = plan
    match op:
        case "value":
            return str(a[0])
        case "call":
            return f"(perform :svc/double {a[0]})"
        case "inline":
            return f"(perform :svc/inline {a[0]})"
        case "flaky":
            return f"(perform :svc/flaky [{a[0]} {a[1]}] {{:retry {{:max 30 :backoff 1s :jitter 0}}}})"
        case "refused":
            return f"(try (perform :svc/refuse {a[0]}) (catch :svc/refused e (:x (ex-data e))))"
        case "sleep":
            return f"(nap {a[0]})"
        case "race":
            return f"(race (async (nap {a[0]})) (async (nap {a[1]})))"
        case "cancel":
            return (
                f"(let [p (async (cleaned {a[1]} (fn [] (nap 86400000)) (fn [] {code(a[2])})))] (nap {a[0]}) (cancel! p)"
                f" (try (await p) (catch :flowmetal/cancelled _ {a[0]})))"
            )
        case "local":
            return f"(do (random) (uuid) (progress {a[0]}) (annotate! {{:sim {a[0]}}}) {a[0]})"
        case "add":
            return f'(do (kv/update "{a[0]}" (fn [n] (+ (or n 0) {a[1]}))) {a[1]})'
        case "cas":
            return f'(loop [] (let [old (kv/get "{a[0]}")] (if (kv/compare-and-set "{a[0]}" old (+ (or old 0) {a[1]})) {a[1]} (recur))))'
        case "sum":
            return f"(+ {' '.join(map(code, a[0]))})"
        case "last":
            return f"(do {' '.join(map(code, a[0]))})"
        case "all":
            return f"(reduce + (all {' '.join(f'(async {code(one)})' for one in a[0])}))"
        case "pmap":
            return f"(reduce + (pmap (fn [f] (f)) [{' '.join(f'(fn [] {code(one)})' for one in a[0])}] {{:limit 2}}))"
        case "late":
            return f"(await (async {code(a[0])}) {{:timeout (time/milliseconds {a[1]}) :else -1}})"
        case "any":
            return f'(any (async (throw (error :planned "no"))) (async {code(a[0])}))'
        case "timeout":
            return (
                f"(try (with-timeout (time/milliseconds {a[0]}) (cleaned {a[1]} (fn [] (nap 86400000)) (fn [] {code(a[2])})))"
                f" (catch :timeout _ {a[0]}))"
            )
        case "finally":
            return f"(cleaned {a[0]} (fn [] {code(a[1])}) (fn [] {code(a[2])}))"
        case "shield":
            return f"(shield {code(a[0])})"
        case "catch":
            return f'(try {code(a[0])} (throw (error :planned "planned" {{:x {a[1]}}})) (catch :planned e (:x (ex-data e))))'
        case "handle":
            return f"(handle {code(a[0])} (:sim/ask [n resume] (resume (+ n {a[1]}))))"
        case "ask":
            return f"(perform :sim/ask {a[0]})"
        case "abandon":
            return f"(handle (cleaned {a[0]} (fn [] (perform :sim/stop {a[1]})) (fn [] {code(a[2])})) (:sim/stop [n resume] n))"
        case "deep":
            return f"((fn deep [n] (if (zero? n) {code(a[1])} (+ 1 (deep (dec n))))) {a[0]})"
        case "big":
            return f"(let [v (vec (range {a[0]})) m (zipmap v (map str v)) value {code(a[1])}] (+ value (count v) (count (get m 0))))"
        case "cell":
            parts = " ".join(f"(async (let [n {code(one)}] (swap! cell + n) (swap! total + n)))" for one in a[0])
            return f"(let [cell (atom 0)] (all {parts}) @cell)"
        case "lazy":
            return f"(let [d (delay {code(a[0])})] (+ (await (async @d)) @d))"
        case "spawn":
            return (
                f"(let [me (self)] (spawn (fn [] (send me [:child {a[0]} {code(a[1])}])))"
                f" (receive [:child ?i ?v] :when (= ?i {a[0]}) ?v))"
            )
        case "watch":
            return (
                f"(let [[_ ref] (spawn-monitor (fn [] {code(a[0])}))]"
                " (receive {:type :down :ref ?ref :status ?status} :when (= ?ref ref) (if (= :done ?status) 1 0)))"
            )
    raise AssertionError(op)

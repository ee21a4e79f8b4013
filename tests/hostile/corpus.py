"""What is changed: artifacts of small programs, of the golden programs and of the library, and images of their runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from flowmetal import vm
from flowmetal.bytecode.fmc import decode_artifact, encode_artifact
from flowmetal.bytecode.link import ProgramTable, link
from flowmetal.bytecode.program import Program
from flowmetal.diagnostics import CompileFailed, FlowmetalError
from flowmetal.engine.build import build_artifact
from flowmetal.engine.library import standard_library
from flowmetal.engine.opening import library_module
from flowmetal.vm.builtins.registry import builtin_arity
from tests.hostile.running import FRAMES_ONLY
from tests.scenarios.data import scenarios
from tests.vm.programs import PROGRAMS

_GOLDEN = Path(__file__).parent.parent / "golden" / "programs"

#: Programs that use much of the library, with little around it.
SMALL = (
    "(defn main [] (scope (async (try (perform :a 1) (finally (perform :b 2)))) (async (await (request :c 3))) :value))",
    "(defn main [] (handle (scope (let [p (async (perform :a 1))] [(perform :ask 2) (await p)]))"
    " (:ask [x resume] (resume (perform :b x)))))",
    "(defn main [] (let [s (map (fn [x] (perform :a x)) (iterate inc 1)) q (async (first s)) r (async (second s))]\n"
    " (perform :b (sorted-map 1 2 3 4)) [(await q) (await r) (into {} (map vector (range 40) (range 40))) 1/3 1.5M]))",
    "(defn main [] (handle (try (perform :ask 1) (finally (perform :cleanup 2))) (:ask [x resume] [:gave-up x])))",
    "(def c (atom (vec (range 100))))\n(defn main [] (swap! c conj (perform :a (str @c))) (perform :b (set @c)) @c)",
    "(defn main [x] (loop [i 0 s 0] (if (< i 30) (recur (inc i) (+ s (* i i))) [s (mod s 7) (quot s 3) (- s)])))",
    "(defn fib [n] (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))\n(defn main [] (fib 8))",
    '(defn main [x] (let [s (str x "-" 12)] [(subs s 0 1) (count s) (str s s) (= s "a") (compare s "b") (name :a)]))',
    '(defn main [x] (re-find #"a(b*)c" (str x)) (format "%5d %s" 3 x) (hash x) (get [1 2 3] 1) (nth [1 2] 0))',
    "(defn main [x] (assoc {:a 1} :b x) (conj [1] x) (conj #{1} x) (dissoc {:a 1} :a) (into [] (range 10)) (vec (list 1 2)))",
    "(defn main [x] (bit-shift-left 1 5) (bit-and 7 3) (max 1 2) (rem 7 2) (/ 1 3) (double 1) (int 2.5) (keyword \"a\"))",
    "(defn main [x] (reduce + (map inc (filter odd? (range 20)))) (sort [3 1 2]) (apply max [1 2]) (group-by odd? [1 2 3]))",
    "(def data {:a [1 2 {:b #{1 2}}] 1.5 \"x\" :s 'sym :k [1/3 2.5M]})\n(defn main [] (get-in data [:a 2 :b]))",
    "(def table (vec (range 200)))\n(def big (zipmap (range 60) (range 60)))\n(defn main [x] [(nth table 150) (get big 33)])",
    "(def c (atom {}))\n(def s (map inc (range 5)))\n(defn main [] (swap! c assoc :a 1) [(first s) @c])",
    "(defmulti area :shape)\n(defmethod area :square [x] (* 2 2))\n(defmethod area :default [x] 0)\n(defn main [] (area {:shape :square}))",
    "(defprotocol P (go [x] [x y]))\n(defrecord R [a b] P (go [x] (:a x)) (go [x y] y))\n(defn main [] (go (->R 1 2)))",
    "(defn main [& xs] (letfn [(f [n] (if (< n 1) 0 (g (- n 1)))) (g [n] (f n))] (f 3)) (let [[a & b] xs {:keys [k]} {:k 1}] [a b k]))",
    "(def ^:dynamic *d* 1)\n(defn main [] (binding [*d* 2] (perform :a *d*)) (try (throw (error :no \"m\" {:a 1})) (catch :no e (:data e))))",
    "(defeffect shop/charge \"Charges.\" [amount :- int?] :- int?)\n(defn main [] (try (shop/charge 1) (catch _ e 2) (finally (shop/charge 3 :timeout 5s))))",
    "(ns app (:require [string :as s] [set :as t]))\n(defn main [x] (s/join \",\" [1 2]) (t/union #{1} #{2}) (s/split \"a,b\" #\",\"))",
    "(defn main [] (let [t (transient [])] (conj! t 1) (persistent! t)) (let [v (volatile! 1)] @v) (seq {:a 1}) (sorted-set 3 1 2))",
)  # fmt: skip


def _built(source: str) -> bytes | None:
    try:
        return build_artifact({"test.fm": source}).data
    except (FlowmetalError, CompileFailed):
        return None


def _golden() -> list[str]:
    return [path.read_text() for path in sorted(_GOLDEN.rglob("*.fm"))]


@cache
def sources() -> list[str]:
    """The programs that images are of."""
    return [*SMALL, *(source for source, _ in PROGRAMS.values())]


@cache
def artifacts() -> list[bytes]:
    """All artifacts, small ones first."""
    found = [_built(source) for source in [*sources(), *_golden(), *(one.program for one in scenarios())]]
    data = [one for one in found if one is not None and len(one) < 20_000]
    for module in standard_library().modules.values():
        alone = encode_artifact([module], module.name, builtin_arity=builtin_arity)
        if len(alone) < 20_000:
            data.append(alone)
    return sorted(dict.fromkeys(data), key=lambda one: (len(one), one))


@cache
def linked(number: int) -> tuple[Program, ProgramTable]:
    """The program of a source, linked."""
    data = _built(sources()[number])
    assert data is not None, sources()[number]
    program = link(decode_artifact(data, builtin_arity), library_module)
    return program, ProgramTable(program)


@cache
def images(number: int) -> list[list[bytes]]:
    """Images of a program: its segments up to each of its first effects, and a checkpoint in place of them."""
    program, table = linked(number)
    process = vm.new_process(program, table, FRAMES_ONLY)
    found: Any = program.lookup(program.main, "main")
    least = min(program.modules[program.main].codes[index].parameters for index in found.value.function.codes)
    vm.start(process, found.value, [[None, 3, "text"][place % 3] for place in range(least)])
    segments = [process.image.segment()]
    result = [segments.copy()]
    waiting: list[int] = []
    for _ in range(12):
        outcome = vm.run(process, 60)
        match outcome:
            case vm.Performed(performed):
                waiting.append(performed)
            case vm.Idle() if waiting:
                vm.settle(process, waiting.pop(), 1)
            case vm.Idle() | vm.Finished() | vm.Failed():
                break
        segments.append(process.image.segment())
        result.append(segments.copy())
        result.append([vm.restore(program, table, segments, FRAMES_ONLY).image.checkpoint()])
    return result

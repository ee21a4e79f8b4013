"""Lifted code and frames are one engine: the same values, effects, traces, fuel and bytes of images at every point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowmetal import vm
from flowmetal.diagnostics import CompileFailed
from flowmetal.values import LanguageError, print_string
from flowmetal.vm import load
from flowmetal.vm.frames import Mode
from flowmetal.vm.lifting import entering
from tests.vm import kit
from tests.vm.programs import PROGRAMS

GOLDEN = sorted((Path(__file__).parent.parent / "golden" / "programs").rglob("*.fm"))
STEPS_MAX = 5_000
WHOLE = 1 << 40  # fuel that nothing here uses up


@dataclass
class Done:
    """All that a run can be told by."""

    outcome: str = ""
    log: list[Any] = field(default_factory=list)
    segments: list[bytes] = field(default_factory=list)
    fuel: int = 0
    slices: int = 0


@pytest.fixture(autouse=True)
def hot() -> Iterator[None]:
    """Everything is lifted at its first call."""
    before = load.HEAT
    load.HEAT = 0
    try:
        yield
    finally:
        load.HEAT = before


def run(source: str, lifting: bool, fuel: int = WHOLE, restored: bool = False, limits: Any = None) -> Done:
    """Runs `main` to its end, cut every `fuel`, with a segment at each effect and cut."""
    done = Done()
    linked, table = kit.program(source, fresh=restored)
    limits = limits or vm.Limits(frames=5_000, heap_objects=50_000, lifting=lifting)
    process = vm.new_process(linked, table, limits)
    main = linked.lookup(linked.main, "main")
    assert main is not None
    vm.start(process, main.value, [])
    for _ in range(STEPS_MAX):
        outcome = vm.run(process, fuel)
        done.fuel += fuel - process.fuel
        done.slices = process.slices
        match outcome:
            case vm.Performed(number, effect, payload):
                done.log.append((number, effect, print_string(payload)))
                kit._answer(process, number, effect, payload, kit.echo, effect in {"now", "random", "log"})
            case vm.CancelRequest(number):
                done.log.append(number)
            case vm.Finished(value):
                done.outcome = print_string(value, limit=100_000)
                return done
            case vm.Failed(error):
                done.outcome = f"{print_string(error.kind)} {error.message} {print_string(error.trace, limit=10_000)}"
                return done
            case vm.Idle():
                done.outcome = "idle"
                return done
        try:
            done.segments.append(process.image.segment())
        except LanguageError:
            continue
        if restored:
            if len(done.segments) >= 20:
                done.segments = [process.image.checkpoint()]
            process = vm.restore(linked, table, done.segments, limits)
    done.outcome = "it goes on"
    return done


def same(source: str, *fuels: int, restored: bool = False) -> Done:
    """Runs a program in both engines, whole and cut."""
    result = Done()
    for fuel in fuels or (WHOLE,):
        result = run(source, True, fuel, restored)
        assert result == run(source, False, fuel, restored)
    return result


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    same(PROGRAMS[name][0], 11)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden_programs(path: Path) -> None:
    source = path.read_text()
    try:
        kit.artifact(source)
    except CompileFailed:
        return  # a program about compile-time errors
    same(source)


@pytest.mark.slow
@pytest.mark.parametrize("fuel", [1, 3, 7, 53, 331])
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden_programs_cut(path: Path, fuel: int) -> None:
    source = path.read_text()
    try:
        kit.artifact(source)
    except CompileFailed:
        return
    same(source, fuel)
    same(source, fuel, restored=True)


CASES = {
    "fib": "(defn fib [n] (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (defn main [] (fib 15))",
    "loop": "(defn main [] (loop [i 0 s 0] (if (< i 400) (recur (inc i) (+ s (* i i))) s)))",
    "two ways round": """
        (defn f [n] (loop [i 0 a 0 b 1]
          (cond (= i n) [a b] (odd? i) (recur (inc i) b (+ a b)) :else (recur (inc i) (+ a b) a))))
        (defn main [] (map f (range 40)))""",
    "nested loops": """
        (defn f [n] (loop [i 0 s 0]
          (if (< i n)
            (recur (inc i) (loop [j 0 s s] (if (and (< j i) (not= s 77)) (recur (inc j) (+ s (* i j))) s)))
            s)))
        (defn main [] [(f 40) (f 0) (f 1)])""",
    "self in place of the frame": """
        (defn f [a b n] (if (= n 0) [a b] (if (even? n) (recur b a (dec n)) (f (inc b) a (dec n)))))
        (defn main [] (f 1 2 301))""",
    "each other in place of the frame": """
        (declare od) (defn ev [n] (if (= n 0) true (od (dec n)))) (defn od [n] (if (= n 0) false (ev (dec n))))
        (defn main [] [(ev 1100) (od 1101) (ev 3)])""",
    "deep recursion": "(defn f [n] (if (= n 0) 0 (+ 1 (f (dec n))))) (defn main [] (f 700))",
    "closures": """
        (defn comp2 [f g] (fn [x] (f (g x))))
        (defn main [] (map (comp2 inc (comp2 (fn [x] (* x x)) dec)) (range 100)))""",
    "a named function": "(defn main [] ((fn down [n acc] (if (= n 0) acc (+ 1 (down (dec n) (conj acc n))))) 0 []))",
    "integers grow": "(defn main [] (loop [i 0 x 3] (if (< i 12) (recur (inc i) (* x x)) (mod x 1000007))))",
    "factorial": "(defn f [n] (if (< n 2) 1 (* n (f (dec n))))) (defn main [] (f 200))",
    "other numbers": """
        (defn f [a b] [(+ a b) (- a b) (* a b) (< a b) (<= a b) (= a b)])
        (defn main [] [(f 1 2) (f 1.5 2) (f 1/2 1/2) (f 1.5M 2) (f 2 2.0) (f -1 0.0)])""",
    "no numbers": """
        (defn f [a b] (try (+ a b) (catch _ e (error-message e))))
        (defn main [] [(f 1 2) (f true 1) (f "a" "b") (f nil 1) (f 1 :x) (f 1 2.5)])""",
    "truth": """
        (defn f [x] (if x 1 0)) (defn g [x] (or x :no)) (defn h [x] (and x :yes)) (defn i [x] (not x))
        (defn main [] (map (fn [x] [(f x) (g x) (h x) (i x) (= x 0) (= x 1) (= x true) (nil? x)])
                           [nil false true 0 1 1.0 "" [] :k]))""",
    "keys of a map": """
        (defn f [k] {k 1 true 2 1.0 3 "a" 4 :b 5}) (defn main [] [(f 1) (f true) (f 1.0) (f :b) (get (f 1) 1)])""",
    "things as functions": """
        (defn f [g x] (g x))
        (defn main [] [(f :a {:a 1}) (f {:a 2} :a) (f [7 8] 1) (f #{3} 3) (f inc 4) (f (fn [& r] r) 5) (f 'a {'a 6})])""",
    "not functions": """
        (defn f [g x] (try (g x) (catch _ e [(error-kind e) (error-message e)])))
        (defn main [] [(f 1 2) (f nil 2) (f "a" 2) (f (fn [] 1) 2) (f inc :a) (f [1] 9)])""",
    "rest arguments": """
        (defn f [a & more] [a more]) (defn g [& more] (apply + more))
        (defn main [] [(f 1) (f 1 2 3) (apply f [1 2]) (g) (g 1 2 3 4 5 6 7) (apply g 1 [2 3])])""",
    "many arguments": """
        (defn f [a b c d e g h] [h g e d c b a]) (defn call [k] (k 1 2 3 4 5 6 7))
        (defn main [] [(call f) (call (fn [& r] r)) (f 1 2 3 4 5 6 7) (call +)])""",
    "lazy sequences": """
        (defn from [n] (lazy-seq (cons n (from (inc n)))))
        (defn main [] [(take 5 (map inc (filter even? (from 0)))) (first (drop 50 (from 1)))
                       (reduce + (take 100 (map (fn [x] (* x x)) (from 1)))) (nth (iterate inc 5) 9)])""",
    "lazy sequences that fail": """
        (defn bad [n] (lazy-seq (if (= n 3) (throw (ex-info "three" {:n n})) (cons n (bad (inc n))))))
        (defn main [] (let [s (bad 0)]
          [(take 3 s) (try (vec s) (catch _ e (error-message e))) (try (nth s 5) (catch _ e (error-message e)))]))""",
    "lazy sequences of themselves": """
        (defn main [] (let [a (atom nil) s (lazy-seq (cons 1 (rest @a)))]
          (reset! a s) (try [(first s) (second s)] (catch _ e (error-message e)))))""",
    "lazy of lazy": """
        (defn f [n] (if (= n 0) (lazy-seq nil) (lazy-seq (f (dec n)))))
        (defn main [] [(seq (f 5)) (first (f 3)) (count (f 2)) (first (lazy-seq (lazy-seq [7])))])""",
    "an effect inside": """
        (defn f [x] (if (= x 50) (perform :test/ask {:x x}) x))
        (defn main [] (loop [i 0 out []] (if (< i 60) (recur (inc i) (conj out (f i))) (count out))))""",
    "an effect in a lazy sequence": """
        (defn main [] (reduce + (map (fn [x] (log x) x) (take 5 (iterate inc 0)))))""",
    "handlers": """
        (defn f [x] (perform :test/ask x))
        (defn main [] (handle (reduce + (map f (range 10))) (:test/ask [x resume] (resume (* 2 x)))))""",
    "catch": """
        (defn f [x] (if (= 0 (mod x 7)) (throw (ex-info "seven" {:x x})) x))
        (defn main [] (map (fn [x] (try (f x) (catch _ e (:x (error-data e))) (finally (inc x)))) (range 30)))""",
    "an error leaves": "(defn f [x] (if (= x 9) (nth [1] x) (inc (f (inc x))))) (defn main [] (f 0))",
    "cells": """
        (defn main [] (let [a (atom 0) b (atom [])]
          (dotimes [i 50] (swap! a + i) (swap! b conj (* i @a)))
          [@a (count @b) (try (swap! a (fn [x] (perform :test/ask x))) (catch _ e (error-kind e)))]))""",
    "top-level cells": "(def a (atom 1)) (defn main [] (dotimes [i 20] (swap! a * 2)) @a)",
    "dynamic names": """
        (def ^:dynamic *d* 1) (defn f [x] (+ x *d*))
        (defn main [] [(map f (range 5)) (binding [*d* 10] (doall (map f (range 5))))])""",
    "letfn": """
        (defn main [] (letfn [(ev [n] (if (= n 0) true (od (dec n)))) (od [n] (if (= n 0) false (ev (dec n))))]
          [(ev 50) (od 50)]))""",
    "strings": """
        (defn main [] [(loop [i 0 s ""] (if (< i 50) (recur (inc i) (str s i "," (nth [1.5 nil :k \\c] (mod i 4)))) s))
                       (str nil) (str 1 nil "b" true)])""",
    "changes in a loop": """
        (defn f [n] (loop [i 0 m {}] (if (< i n) (recur (inc i) (assoc m (mod (* i 7) 61) (+ (get m i 0) i))) m)))
        (defn g [n v] (loop [i 0 v v] (if (< i n) (recur (inc i) (assoc v i (* i i))) v)))
        (defn h [n] (loop [i 0 v [] w nil] (if (< i n) (recur (inc i) (conj v i) (conj w i)) [v w])))
        (defn k [m ks] (loop [ks ks m m] (if (seq ks) (recur (rest ks) (assoc m (first ks) (count ks))) m)))
        (defn main []
          (let [a (f 30) b (g 100 []) c (h 70)]
            (perform :test/keep [a b c])
            [(f 5) (f 300) a (g 40 b) (h 5) c (k {true 1 1 2 1.0 3} [1 true 1.0 1.0M nil :a "b" [1] 1 2])
             (try (g 3 "no") (catch _ e (error-message e))) (try (g 3 nil) (catch _ e (error-message e)))]))""",
    "walks": """
        (defn f [v n] (loop [i 0 s 0] (if (< i n) (recur (inc i) (+ s (nth v i))) s)))
        (defn g [v i] (try (loop [i i s []] (if (< i 70) (recur (inc i) (conj s (nth v i))) s)) (catch _ e (error-kind e))))
        (defn main []
          (let [v (vec (range 100))]
            [(f v 100) (f (range 5 60 2) 20) (f (rest v) 99) (g v 30) (g v -1) (g (range 3 200) 33) (g (rest v) 31)
             (g (vec (range 50)) 30) (g "abc" 0) (g (apply str (range 50)) 65) (g [] 0) (g {} 0) (g nil 68) (g v 68)
             (g (list* (range 80)) 67) (map (fn [x] [x]) (subs "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG" 2))]))""",
    "a vector changed everywhere": """
        (defn f [v n] (loop [i 0 v v]
          (if (< i n) (let [at (mod (* i 17) n)] (recur (inc i) (assoc v at (+ (nth v at) i)))) v)))
        (defn g [v n] (loop [i 0 v v] (if (< i n) (recur (inc i) (conj (assoc v (nth v i) i) 0)) v)))
        (defn main []
          (let [v (vec (range 300))] (perform :test/keep v) [(f v 300) (f (f v 10) 200) v (g [0 1 2] 40)]))""",
    "the same in a loop": """
        (defn f [m n] (loop [i 0 m m] (if (< i n) (recur (inc i) (assoc m :a 1)) m)))
        (defn g [v n] (loop [i 0 v v] (if (< i n) (recur (inc i) (assoc v 0 (if (odd? i) 5 (nth v 0)))) v)))
        (defn main []
          (let [m {:a 1 :b 2} v [5 6]]
            (perform :test/keep [m v])
            [(identical? m (f m 10)) (identical? v (g v 10)) (f {} 3) (g [1 2] 4)]))""",
    "quotients": "(defn f [a] [(mod a 7) (rem a 7) (quot a 7)]) (defn main [] (map f [20 -20 0 7 -7 20.5 1/2 -3.25M]))",
}

QUOTAS = {
    "stack": "(defn f [n] (inc (f (inc n)))) (defn main [] (f 0))",
    "heap": "(defn main [] (loop [v ()] (recur (cons [(count v)] v))))",
    "heap in calls": """
        (declare g) (defn f [v] (if v (g (cons [(count v)] v)))) (defn g [v] (f v)) (defn main [] (f ()))""",
}


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    assert same(CASES[name], WHOLE, 3).outcome
    same(CASES[name], 17, restored=True)


@pytest.mark.parametrize("name", QUOTAS)
def test_quotas_are_met_at_the_same_place(name: str) -> None:
    done = same(QUOTAS[name], WHOLE)
    assert ":flowmetal/limit" in done.outcome


def test_they_are_lifted() -> None:
    seen = []
    before = entering._run

    def counted(*arguments: Any) -> tuple[bool, int, Any]:
        result = before(*arguments)
        seen.append(result[0] and result[1] == Mode.DELIVER)
        return result

    entering._run = counted
    try:
        run(CASES["fib"], True)
        run(CASES["loop"], True)
        run(CASES["lazy sequences"], True)
    finally:
        entering._run = before
    assert seen.count(True) > 5


def test_an_endless_loop_is_cut() -> None:
    linked, table = kit.program("(defn main [] (loop [i 0] (recur (inc i))))")
    process = vm.new_process(linked, table)
    vm.start(process, linked.lookup(linked.main, "main").value, [])  # type: ignore[union-attr]
    for _ in range(3):
        assert vm.run(process, 30_000) == vm.OutOfFuel()


def test_nothing_is_lifted_that_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "HEAT", 300)
    monkeypatch.setattr(entering, "_run", lambda *_: pytest.fail("lifted"))
    assert run("(defn main [] (reduce + [1 2 3]))", True, restored=True).outcome == "6"

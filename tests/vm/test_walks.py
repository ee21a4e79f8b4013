"""Walks through many items at once leave what single turns leave: values, fuel, errors and images."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.vm.lifting import many
from tests.vm.test_lifting import WHOLE, hot, run, same

__all__ = ["hot"]

CASES = {
    "a pipeline": "(defn main [] (reduce + 0 (map (fn [x] (* x x)) (filter (fn [x] (not= (mod x 3) 0)) (range 150)))))",
    "other numbers among integers": """
        (def xs (vec (concat (range 70) [2.5 1/2 100000000000000000000000000000] (range 80) [-7])))
        (defn main [] [(map (fn [x] (* 2 x)) xs) (reduce + xs) (filter (fn [x] (< x 50)) xs) (reduce max xs)])""",
    "no numbers among them": """
        (def xs (vec (concat (range 70) [true nil "a"] (range 20))))
        (defn tried [f] (try (f) (catch _ e [(error-kind e) (error-message e)])))
        (defn main [] [(tried (fn [] (reduce + xs))) (tried (fn [] (map (fn [x] (+ x 1)) xs)))
                       (filter (fn [x] (= x 7)) xs) (map str xs)])""",
    "thrown in the middle": """
        (defn f [x] (if (= x 90) (throw (ex-info "ninety" {:x x})) (inc x)))
        (defn main [] (try (map (fn [x] (f (f x))) (range 120)) (catch _ e [(error-message e) (error-data e)])))""",
    "integers grow": """
        (defn main [] [(reduce (fn [a x] (+ a a x)) 1 (range 200)) (reduce (fn [a x] (* a 3)) 1 (range 100))
                       (reduce (fn [a x] (+ a x)) 1.5 (range 100)) (reduce (fn [a x] (* a x)) 1 (range 1 60))])""",
    "reduced": """
        (defn f [a x] (if (> a 1000) (reduced [a x]) (+ a x)))
        (defn main [] [(reduce f 0 (range 200)) (reduce f 0 (range 20)) (reduce (fn [a x] (reduced a)) 5 (range 100))])""",
    "as long as": """
        (defn main [] [(every? (fn [x] (< x 99)) (range 150)) (every? int? (range 150)) (some (fn [x] (= x 120)) (range 150))
                       (some neg? (vec (range 100))) (count (take-while (fn [x] (< (* x x) 9000)) (range 150)))
                       (first (drop-while (fn [x] (< x 77)) (vec (range 99)))) (not-any? nil? (vec (range 80)))])""",
    "things that are called": """
        (def rows (vec (map (fn [i] {:id i :tags [i (str i)]}) (range 100))))
        (defn main [] [(reduce + (map :id rows)) (count (filter :none rows)) (map inc (range 70)) (map {3 :three} (range 40))
                       (reduce conj [] (range 70)) (map #{5 50} (range 60)) (filterv even? (range 90)) (mapv :tags rows)
                       (map (comp inc inc) (range 40)) (reduce (partial + 1) 0 (range 50))])""",
    "what is captured, and its own parts": """
        (defn adders [k] (map (fn [x] (fn [y] (+ x y k))) (range 40)))
        (defn main [] [(map (fn [f] (f 1)) (adders 5)) (map (fn [[a b :as v]] [b a v]) (zipmap (range 30) (range 30)))
                       (let [k 3] (filter (fn [x] (let [y (mod x k)] (or (= y 1) (= y 2)))) (range 70)))
                       (reduce (fn [[a b] {:keys [n]}] [(+ a n) (conj b n)]) [0 []] (map (fn [n] {:n n}) (range 40)))])""",
    "calls of small functions": """
        (defn double [x] (+ x x)) (defn quadruple [x] (double (double x)))
        (defn pick [x] (if (odd? x) (quadruple x) (if (= 0 (mod x 10)) :ten x)))
        (defn main [] [(map pick (range 100)) (every? (fn [x] (< (double x) 150)) (range 100))
                       (filter (fn [x] (int? (pick x))) (vec (range 60)))])""",
    "lazy parts": """
        (defn from [n] (lazy-seq (cons n (from (inc n)))))
        (def parts (vec (map (fn [i] (if (= i 40) (from i) [i])) (range 80))))
        (defn main [] (let [parts (vec (map (fn [i] (if (= i 40) (from i) [i])) (range 80)))]
          [(map first parts) (map (fn [s] (first (rest s))) parts) (map (fn [s] (nth s 0)) parts) (map seq [[1] []])]))""",
    "effects and cells": """
        (def seen (atom 0))
        (defn main [] [(map (fn [x] (swap! seen inc) x) (range 40)) @seen
                       (map (fn [x] (if (= x 33) (perform :test/ask {:x x}) x)) (range 50))
                       (run! (fn [x] (reset! seen x)) (range 60)) @seen])""",
    "other collections": """
        (defn main [] [(map (fn [c] [c c]) (apply str (range 40))) (reduce + (rest (vec (range 100)))) (map inc (list 1 2 3))
                       (filter odd? (drop 5 (vec (range 90)))) (map (fn [x] (* x x)) (range 100 0 -3)) (reduce + (range 0 9 0.5))
                       (reduce + (subvec (vec (range 200)) 30 170)) (map key (zipmap (range 30) (range 30)))
                       (map (fn [x] (* x x)) (range 4611686018427387890 4611686018427387950))])""",
    "changes in place": """
        (defn swaps [v n] (loop [i 0 v v] (if (< i n)
          (recur (inc i) (assoc v (mod (* i 7) (count v)) (+ i 1))) v)))
        (defn sums [v n] (loop [i 0 v v] (if (< i n) (recur (inc i) (assoc v i (+ (nth v i) i))) v)))
        (defn texts [v n] (loop [i 0 v v] (if (< i n) (recur (inc i) (assoc v i (if (odd? i) (str (nth v i)) i))) v)))
        (defn grows [v n] (loop [i 0 v v] (if (< i n)
          (recur (inc i) (if (= 0 (mod i 5)) (conj (assoc v i (nth v i)) i) (assoc v i (* 2 (nth v i))))) v)))
        (defn gets [v n] (loop [i 0 v v] (if (< i n) (recur (inc i) (assoc v i (+ 1 (get v i 0)))) v)))
        (defn tried [f & more] (try (apply f more) (catch _ e [(error-kind e) (error-message e)])))
        (def v (vec (range 70)))
        (defn main [] [(swaps v 90) (sums v 70) (tried sums v 75) (texts v 60) (grows v 60) (gets v 90) (gets {} 30)
                       (gets nil 5) (tried sums [1 2 "a" 4] 4) (tried gets (list 1 2) 2) (= v (vec (range 70)))
                       (tried sums (assoc v 50 nil) 60) (tried gets (assoc v 50 2.5) 60)])""",
    "counted": """
        (defn tally [n k] (loop [i 0 m {}] (if (< i n) (let [key (mod (* i 13) k)]
          (recur (inc i) (assoc m key (+ (get m key 0) i)))) m)))
        (defn named [n] (loop [i 0 m {:a 1}] (if (< i n) (recur (inc i) (assoc m :a (+ (get m :a) i) "b" i)) m)))
        (defn nils [n] (loop [i 0 m {}] (if (< i n) (let [key (mod i 3)]
          (recur (inc i) (assoc m key (if (nil? (get m key :none)) i nil)))) m)))
        (defn main [] [(tally 150 40) (tally 90 7) (named 40) (nils 50) (get-in {:a {:b 1}} [:a :b]) (get-in [] [:a :b])
                       (map (fn [m] (get-in m [:a :b])) [{:a {:b 2}} {:a nil} nil {} 5 {:a {:b nil}} {:a [1]}])])""",
    "a loop of the program": """
        (defn go [f v] (loop [i 0 acc 0] (if (< i (count v)) (recur (inc i) (f acc (nth v i))) acc)))
        (defn walk [f v n] (loop [i 2 acc 0] (if (< i n) (recur (inc i) (f acc (nth v i))) [i acc])))
        (defn main [] [(walk (fn [a x] (+ a (* 2 x))) (vec (range 90)) 90) (go + [1 2 3])
                       (try (walk + [1 2] 40) (catch _ e (error-message e))) (walk + (vec (range 50)) -1)])""",
}


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    same(CASES[name], WHOLE, 173)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_cases_cut(name: str) -> None:
    same(CASES[name], 1, 7, 64, 211, 997)
    same(CASES[name], 331, restored=True)


def test_they_are_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small functions are called for many items at once, those with an effect are not."""
    passed: list[int] = []
    walk = many._walk

    def watched(F: Any, coll: Any, place: int, *rest: Any) -> int:
        to = walk(F, coll, place, *rest)
        passed.append(to - place)
        return to

    monkeypatch.setattr(many, "_walk", watched)
    run(CASES["a pipeline"], True)
    assert passed[0] == 150 and sum(passed) >= 250  # some are left to single turns where a slice ends
    passed.clear()
    run("(defn main [] (map (fn [x] (log x) x) (range 40)))", True)
    assert passed == []

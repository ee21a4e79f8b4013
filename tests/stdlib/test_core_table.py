"""Expressions of the core and what Clojure 1.11.1 prints for them; `!` for any error.  One module, a function a row."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))

import kit

TABLE = r"""
(into [] (take-nth 2) [1 2 3 4 5]) => [1 3 5]
(into [] (distinct) [1 2 1 3]) => [1 2 3]
(into [] (dedupe) [1 1 2 1 nil nil]) => [1 2 1 nil]
(into [] (partition-all 2) [1 2 3]) => [[1 2] [3]]
(into [] (partition-by odd?) [1 3 2 4 5]) => [[1 3] [2 4] [5]]
(into [] (comp (partition-by odd?) (take 1)) [1 3 2 4 5]) => [[1 3]]
(into [] (comp (partition-all 2) (take 1)) [1 2 3 4 5]) => [[1 2]]
(into [] (map-indexed vector) [:a :b]) => [[0 :a] [1 :b]]
(into [] (keep-indexed (fn [i x] (if (odd? i) x nil))) [:a :b :c :d]) => [:b :d]
(into [] (drop-while odd?) [1 3 4 5]) => [4 5]
(into [] (interpose :x) [1 2 3]) => [1 :x 2 :x 3]
(into [] (comp (interpose :x) (take 2)) [1 2 3]) => [1 :x]
(into [] (replace {1 :one}) [1 2 1]) => [:one 2 :one]
(into [] (random-sample 1.0) [1 2]) => [1 2]
(into [] (comp cat (map inc)) [[1 2] [3]]) => [2 3 4]
(into [] (comp cat (take 2)) [[1 2] [3]]) => [1 2]
(into [] (halt-when even?) [1 3]) => [1 3]
(transduce (halt-when even? (fn [r x] [r x])) conj [] [1 3 4 5]) => [[1 3] 4]
(replace [10 9 8] [0 2 4]) => [10 8 4]
(replace {:a nil} [:a :b]) => [nil :b]
(replace {1 2} (list 1 3)) => (2 3)
(subseq (sorted-map 1 :a 2 :b 3 :c) > 1 < 3) => ([2 :b])
(rsubseq (sorted-map 1 :a 2 :b 3 :c) >= 2) => ([3 :c] [2 :b])
(rsubseq (sorted-set 1 2 3) > 1 <= 2) => (2)
(subseq (sorted-set 1) > 5) => nil
(subseq (sorted-map) >= 1) => nil
(bounded-count 5 (map inc (range))) => 5
(bounded-count 1 [1 2 3]) => 3
(sort (comparator >) [3 1 2]) => (3 2 1)
((comparator <) 1 2) => -1
(eduction (map inc) [1 2]) => (2 3)
(vec (eduction (map inc) (filter even?) [1 2 3])) => [2 4]
(reduce + (eduction (map inc) [1 2])) => 5
(indexed? [1]) => true
(indexed? nil) => false
(simple-ident? :a/b) => false
(simple-ident? 1) => false
(qualified-ident? 'a/b) => true
(qualified-ident? :a) => false
(qualified-ident? "a") => false
(replicate 2 1) => (1 1)
(vec (iteration (fn [k] (if (< k 3) {:k (inc k) :v k} nil)) :initk 0 :vf :v :kf :k)) => [0 1 2]
(vec (iteration (fn [_] nil))) => []
(let [p (promise)] (deliver p 1) (deliver p 2) @p) => 1
(let [p (promise)] (deliver p 1) (realized? p)) => true
(deliver (doto (promise) (deliver 1)) 2) => nil
(sequence (partition-all 2) [1 2 3]) => ([1 2] [3])
(into #{} (distinct) [1 1]) => #{1}
(transduce (partition-by even?) conj [[0]] [1 1 2]) => [[0] [1 1] [2]]
(transduce (comp (dedupe) (map inc)) + 0 [1 1 2]) => 5
(take-nth 2 []) => ()
(map-indexed vector nil) => ()
"""

ROWS = [line.rsplit(" => ", 1) for line in TABLE.splitlines() if line]


@cache
def source() -> str:
    return "(ns t)\n" + "\n".join(f"(defn row-{i} [] {expression})" for i, (expression, _) in enumerate(ROWS))


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[expression for expression, _ in ROWS])
def test_as_in_clojure(number: int) -> None:
    outcome = kit.run(source(), f"row-{number}").outcome
    outcome = "!" if outcome.startswith("error ") else outcome
    assert outcome.replace(",", "") == ROWS[number][1].replace(",", "")

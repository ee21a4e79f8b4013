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
(realized? (delay 1)) => false
(realized? (doto (delay 1) force)) => true
(conj {:a 1} (list [:b 2])) => !
(conj {:a 1} {:b 2}) => {:a 1, :b 2}
(conj {:a 1} nil) => {:a 1}
(conj {:a 1} 5) => !
(let [{:keys [a b] :or {b 2} :as m} {:a 1}] [a b m]) => [1 2 {:a 1}]
(let [[a & [b :as r] :as v] [1 2 3]] [a b r v]) => [1 2 (2 3) [1 2 3]]
(let [{:x/keys [a] :syms [s] :strs [t]} {:x/a 1 's 2 "t" 3}] [a s t]) => [1 2 3]
(let [{a :a {b :b} :c} {:a 1 :c {:b 2}}] [a b]) => [1 2]
(let [{:keys [:a x/b]} {:a 1 :x/b 2}] [a b]) => [1 2]
((fn [& {:keys [a b]}] [a b]) :a 1 :b 2) => [1 2]
((fn [& {:keys [a b]}] [a b]) {:a 1 :b 2}) => [1 2]
((fn [& {:keys [a b]}] [a b]) :a 1 {:b 2}) => [1 2]
(let [[a [b]] nil] [a b]) => [nil nil]
(let [[x y] "ab"] [x y]) => [\a \b]
((fn ([a] 1) ([a & r] r)) 1) => 1
((fn ([a] 1) ([a & r] r)) 1 2) => (2)
(for [x [1 2 3] :let [y (* x x)] :when (odd? y) :while (< y 9)] y) => (1)
(for [x [1 2] y [3 4] :while (< y 4)] [x y]) => ([1 3] [2 3])
(letfn [(a [n] (if (= n 0) :done (b (dec n)))) (b [n] (a n))] (a 5)) => :done
(case 'a a 1 (b c) 2 :no) => 1
(case "x" "x" 1) => 1
(case [1] [1] :v) => :v
(case \a \a 1) => 1
(case {:a 1} {:a 1} :m) => :m
(case nil nil 1 2) => 1
(condp some [1 2] #{3} :>> inc #{2} :>> dec) => 1
(cond-> 1 true inc false dec) => 2
(some-> {:a {:b 1}} :a :b inc) => 2
(if-let [[a] nil] a :e) => :e
(when-let [[a b] [1 2]] [a b]) => [1 2]
((fnil + 1 2) nil nil 3) => 6
(trampoline (fn [] (fn [] 1))) => 1
(reductions + [1 2 3]) => (1 3 6)
(reductions (fn [a b] (if (> b 2) (reduced a) (+ a b))) [1 2 3 4]) => (1 3 3)
(mapcat list [1 2] [3 4]) => (1 3 2 4)
(partition 2 1 [1 2 3]) => ((1 2) (2 3))
(partition 3 3 [:p] [1 2 3 4]) => ((1 2 3) (4 :p))
(partition-all 2 1 [1 2 3]) => ((1 2) (2 3) (3))
(tree-seq sequential? seq [1 [2]]) => ([1 [2]] 1 [2] 2)
(merge-with + {:a 1} nil {:a 2}) => {:a 3}
(max-key count "a" "bb" "cc") => "cc"
(sort-by - [1 3 2]) => (3 2 1)
(sort-by count > ["a" "bbb" "cc"]) => ("bbb" "cc" "a")
(group-by odd? [1 2 3]) => {true [1 3], false [2]}
(frequencies [1 1 2]) => {1 2, 2 1}
(interleave [1 2] [3 4 5]) => (1 3 2 4)
(split-with odd? [1 2 3]) => [(1) (2 3)]
(nthrest [] 5) => []
(nthnext [1 2] 1) => (2)
(take-last 2 [1 2 3]) => (2 3)
(drop-last 2 [1 2 3]) => (1)
(butlast [1]) => nil
(peek nil) => nil
(pop []) => !
(pop (list 1 2)) => (2)
(disj #{1 2} 1 2) => #{}
(dissoc {:a 1} :a :b) => {}
(update-in {} [:a :b] (fnil inc 0)) => {:a {:b 1}}
(assoc-in nil [:a] 1) => {:a 1}
(assoc [1] 1 2) => [1 2]
(assoc [1] 3 2) => !
(get-in {:a [1 2]} [:a 1]) => 2
(zipmap [:a :b] [1]) => {:a 1}
(select-keys {:a 1 :b 2} [:a :c]) => {:a 1}
(into (sorted-map) {2 1 1 2}) => {1 2, 2 1}
(= (sorted-map 1 2) {1 2}) => true
(= (sorted-set 1 2) #{1 2}) => true
(empty (sorted-map 1 2)) => {}
(meta (conj ^{:a 1} [1] 2)) => {:a 1}
(meta (assoc ^{:a 1} {} 1 2)) => {:a 1}
(meta (seq ^{:a 1} [1])) => nil
(meta (with-meta (list 1) {:b 1})) => {:b 1}
(meta (into ^{:a 1} [] [1])) => {:a 1}
(meta (rest ^{:a 1} (list 1 2))) => nil
(meta (pop ^{:a 1} [1 2])) => {:a 1}
(meta (pop (with-meta (list 1) {:a 1}))) => {:a 1}
(meta (pop (with-meta (list 1 2) {:a 1}))) => nil
(meta (filterv odd? ^{:a 1} [1])) => nil
(meta (select-keys ^{:a 1} {:b 1} [:b])) => {:a 1}
(meta (update-vals ^{:a 1} {:b 1} inc)) => {:a 1}
(meta (merge ^{:a 1} {:b 1} {:c 1})) => {:a 1}
(update-vals {} inc) => {}
(update-keys {:a 1} name) => {"a" 1}
(update-vals nil inc) => {}
(update-vals [1 2] inc) => [2 3]
(persistent! (conj! (transient [1]) 2)) => [1 2]
(let [m (memoize (fn [x] x))] [(m nil) (m nil)]) => [nil nil]
(take 3 (iterate inc 0)) => (0 1 2)
(take 5 (cycle [1 2])) => (1 2 1 2 1)
(repeat 2 :a) => (:a :a)
(range 0 1 0.5) => (0 0.5)
(range 5 0 -2) => (5 3 1)
((some-fn :a :b) {:b 1}) => 1
((every-pred odd? pos?) 1 3) => true
(let [s (create-struct :a :b)] (struct s 1 2)) => {:a 1, :b 2}
(let [s (create-struct :a :b)] (struct-map s :b 2 :c 3)) => {:a nil, :b 2, :c 3}
(let [s (create-struct :a :b)] ((accessor s :a) (struct s 1))) => 1
(volatile? (volatile! 1)) => true
(seq-to-map-for-destructuring (list :a 1)) => {:a 1}
(let [x 1] (letfn [(f ([] (f 1)) ([y] (+ x y)))] (f))) => 2
(doseq [x [1]] x) => nil
(dotimes [i 2] i) => nil
(loop [[a & r] [1 2 3] s 0] (if a (recur r (+ s a)) s)) => 6
(assert true) => nil
(comment 1) => nil
(run! identity [1]) => nil
(counted? (range 3)) => true
(not-empty []) => nil
(distinct? 1 1) => false
(rseq [1 2]) => (2 1)
(reverse nil) => ()
(cons 1 nil) => (1)
(list* 1 [2]) => (1 2)
(apply max [1 2]) => 2
(ex-message (ex-info "m" {:a 1})) => "m"
(ex-data (ex-info "m" {:a 1})) => {:a 1}
(ex-message (ex-cause (ex-info "m" {} (ex-info "c" {})))) => "c"
(reduce-kv (fn [a k v] (+ a v)) 0 {:a 1 :b 2}) => 3
(reduce-kv (fn [a i v] (+ a i v)) 0 [1 2]) => 4
(reduce-kv + 0 nil) => 0
(keys {}) => nil
(vals nil) => nil
(find {:a 1} :a) => [:a 1]
(contains? [1] 0) => true
(contains? (list 1) 0) => !
(nth nil 0) => nil
(nth [1] 5) => !
(first 1) => !
(count 5) => !
(subvec [1 2 3] 1) => [2 3]
(flatten [1 [2 [3]]]) => (1 2 3)
(keep identity [nil 1]) => (1)
(random-sample 0 [1]) => ()
(vec (lazy-cat [1] [2])) => [1 2]
(conj {:a 1} (list (first {:b 2}))) => {:a 1, :b 2}
(conj {} (list [1 2])) => !
(conj {} "ab") => !
(conj {} [1 2 3]) => !
(into {} [nil [1 2] {:c 3} (list (first {:a 1}))]) => {1 2, :c 3, :a 1}
(keys (list (first {:a 1}))) => (:a)
(keys [[1 2]]) => !
(with-meta (first {:a 1}) {}) => !
(map-entry? (into (first {:a 1}) [])) => true
(map-entry? (pop (conj (first {:a 1}) 1))) => false
(map-entry? (update (first {:a 1}) 1 identity)) => false
(map map-entry? {:a 1 1.0 2 "k" 3}) => (true true true)
(map-entry? (first (rseq (sorted-map 1 2)))) => true
(meta (empty ^{:a 1} {1 2})) => {:a 1}
(meta (empty (with-meta (seq [1]) {:a 1}))) => nil
(meta (vec ^{:a 1} [1])) => nil
(meta (set ^{:a 1} #{1})) => nil
(meta (sort ^{:a 1} [2 1])) => {:a 1}
(meta (sort-by - ^{:a 1} [2 1])) => {:a 1}
(meta (sort ^{:a 1} [])) => nil
(meta (replace {1 2} ^{:a 1} [1])) => {:a 1}
(meta (merge-with + ^{:a 1} {} {:b 1})) => {:a 1}
(merge-with + false {:a 1}) => {:a 1}
(merge-with + {:a 1} (list (first {:a 2}))) => {:a 3}
(merge-with + {:a 1} [:b 2]) => !
(assoc (sorted-map-by > 1 :a 2 :b) 3 :c 0 :d) => {3 :c, 2 :b, 1 :a, 0 :d}
((sorted-map-by > 1 :a 2 :b) 5 :none) => :none
(conj (sorted-map-by > 1 :a) [2 :b] {3 :c} nil) => {3 :c, 2 :b, 1 :a}
(conj (sorted-map-by > 1 :a) [1 2 3]) => !
(into (sorted-map-by >) (map (fn [x] [x x])) (range 5)) => {4 4, 3 3, 2 2, 1 1, 0 0}
(into (sorted-set-by >) (range 40)) => #{39 38 37 36 35 34 33 32 31 30 29 28 27 26 25 24 23 22 21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0}
(reduce disj (into (sorted-set-by >) (range 60)) (range 0 60 3)) => #{59 58 56 55 53 52 50 49 47 46 44 43 41 40 38 37 35 34 32 31 29 28 26 25 23 22 20 19 17 16 14 13 11 10 8 7 5 4 2 1}
(reduce dissoc (into (sorted-map-by >) (map (fn [x] [x x])) (range 60)) (range 0 60 2)) => {59 59, 57 57, 55 55, 53 53, 51 51, 49 49, 47 47, 45 45, 43 43, 41 41, 39 39, 37 37, 35 35, 33 33, 31 31, 29 29, 27 27, 25 25, 23 23, 21 21, 19 19, 17 17, 15 15, 13 13, 11 11, 9 9, 7 7, 5 5, 3 3, 1 1}
(disj (sorted-set-by > 1 2 3) 2 7) => #{3 1}
(rseq (sorted-map-by > 1 :a 2 :b)) => ([1 :a] [2 :b])
(subseq (sorted-set-by > 1 2 3 4) > 4 < 1) => (3 2)
(rsubseq (sorted-set-by > 1 2 3 4) >= 4 <= 1) => (1 2 3 4)
(= (sorted-map-by > 1 :a 2 :b) (sorted-map-by < 1 :a 2 :b)) => true
(= (sorted-set-by > 1 2) #{1 2}) => true
(= (hash (sorted-map-by > 1 2)) (hash {1 2})) => true
(merge (sorted-map-by > 1 :a) {2 :b} {3 :c}) => {3 :c, 2 :b, 1 :a}
(assoc-in {:m (sorted-map-by > 1 {:a 5})} [:m 2 :a] 6) => {:m {2 {:a 6}, 1 {:a 5}}}
(select-keys (sorted-map-by > 1 5 2 6) [1 3]) => {1 5}
(into (empty (sorted-map-by > 1 2)) {5 6 7 8}) => {7 8, 5 6}
(meta (assoc (with-meta (sorted-map-by > 1 2) {:m 1}) 2 3)) => {:m 1}
(let [{:keys [a b]} (sorted-map-by (fn [x y] (compare y x)) :a 1 :b 2)] [a b]) => [1 2]
(sorted-set-by (fn [a b] (* 0.5 (- a b))) 3 1 2) => #{1 3}
(sorted-set-by (fn [a b] (compare (count a) (count b))) "aaa" "b" "cc" "dd") => #{"b" "cc" "aaa"}
(into (sorted-map-by (fn [a b] (compare (:n a) (:n b)))) [[{:n 2} :b] [{:n 1} :a] [{:n 2 :x 1} :c]]) => {{:n 1} :a, {:n 2} :c}
(assoc (sorted-map-by > 1 2) :a 3) => !
(binding [*print-length* 2] (pr-str [1 2 3])) => "[1 2 ...]"
(binding [*print-length* 2] (pr-str [1 2])) => "[1 2]"
(binding [*print-length* 0] (pr-str [1 2])) => "[...]"
(binding [*print-length* 0] (pr-str [])) => "[]"
(binding [*print-length* 1] (pr-str {:a 1 :b 2})) => "{:a 1, ...}"
(binding [*print-length* 2] (pr-str {:a 1 :b 2})) => "{:a 1, :b 2}"
(binding [*print-length* 3] (pr-str (iterate inc 0))) => "(0 1 2 ...)"
(binding [*print-length* 3] (pr-str (cons 1 (map inc (range))))) => "(1 1 2 ...)"
(binding [*print-length* 2] (pr-str [[1 2 3] [4 5 6] [7]])) => "[[1 2 ...] [4 5 ...] ...]"
(binding [*print-length* 2] (print-str ["a" "b" "c"])) => "[a b ...]"
(binding [*print-level* 1] (pr-str [1 [2 [3]]])) => "[1 #]"
(binding [*print-level* 2] (pr-str [1 [2 [3]]])) => "[1 [2 #]]"
(binding [*print-level* 0] (pr-str [1 [2 [3]]])) => "#"
(binding [*print-level* 1] (pr-str {:a {:b 1}})) => "{:a #}"
(binding [*print-level* 2 *print-length* 1] (pr-str {:a {:b {:c 1} :d 2}})) => "{:a {:b #, ...}}"
(binding [*print-length* 2] (binding [*print-length* nil] (pr-str [1 2 3]))) => "[1 2 3]"
(binding [*print-length* 2] (pr-str "abcdef")) => "\"abcdef\""
(binding [*print-length* 2] (pr-str (lazy-seq [1 2 3]))) => "(1 2 ...)"
(find {[1] 2} (list 1)) => [[1] 2]
(find {(list 1) 2} [1]) => [(1) 2]
(select-keys {[1] 2} [(list 1)]) => {[1] 2}
(meta (key (find {^{:a 1} [1] 2} [1]))) => {:a 1}
(meta (key (find (sorted-map ^{:a 1} [1] 2) [1]))) => {:a 1}
(meta (key (first (select-keys {(with-meta 'a {:b 1}) 1} ['a])))) => {:b 1}
(sorted? (set (sorted-set 3 1 2))) => true
(find (into {} (map (fn [x] [(list x) x])) (range 40)) [7]) => [(7) 7]
(pr-str (tagged-literal 'foo [1 2])) => "#foo [1 2]"
(= (tagged-literal 'foo 1) (tagged-literal 'bar 1)) => false
(xml-seq {:tag :a :content [{:tag :b :content ["x"]} "y"]}) => ({:tag :a, :content [{:tag :b, :content ["x"]} "y"]} {:tag :b, :content ["x"]} "x" "y")
((bound-fn ([x] x) ([x y] y)) 1 2) => 2
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

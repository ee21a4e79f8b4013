"""Tables of expressions and what they print; `!kind` for an error.  And what holds of every name of the library."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from flowmetal import vm
from flowmetal.bytecode.link import ProgramTable
from flowmetal.bytecode.program import Module, Program
from flowmetal.compiler import compile_module
from flowmetal.engine.library import standard_library
from flowmetal.engine.stdlib import Evaluate
from flowmetal.values import print_string
from flowmetal.vm.builtins import BY_NAME

STDLIB = Path(__file__).parents[2] / "stdlib"
FUEL = 5_000_000

#: `~` before a result: the expression itself is lazy, and is made a vector to be looked at.
TABLE = r"""
; arithmetic and comparison of any number of arguments
(apply + [1 2 3]) => 6
(map - [1 2]) => (-1 -2)
(< 1 2 3) => true
(apply = [1 1 2]) => false
(max 3 1) => 3
(inc 41) => 42
(quot 7 2) => 3
(zero? 0) => true
((if true + -) 1 2) => 3
; choosing
(when false 1) => nil
(when true 1 2) => 2
(when-not false 1) => 1
(if-not false 1 2) => 1
(if-let [x nil] x :else) => :else
(when-some [x false] [x]) => [false]
(when-first [x [5 6]] x) => 5
(cond) => nil
(cond false 1) => nil
(cond false 1 :else 2) => 2
(condp = 5 1 :a :default) => :default
(condp = 5 1 :a) => !argument
(case :a (:a :b) 1 2) => 1
(case 5 1 2) => !argument
(case [1 2] [1 2] :vector :other) => :vector
(case nil nil :nil :other) => :nil
(and) => true
(and 1 2) => 2
(or nil 1) => 1
(some-> 1 inc inc) => 3
(some->> [1 2] (map inc) first) => 2
(-> 1 inc) => 2
(-> [1 2] first) => 1
(->> 1 (- 3)) => 2
(as-> [1] v (conj v 2) (count v)) => 2
(cond-> 1 false inc true (+ 10)) => 11
(cond->> [1 2] true (map inc)) => (2 3)
(cond-> {} true (assoc :a 1) true (cond-> true (assoc :b 2))) => {:a 1, :b 2}
(doto (atom 0) (swap! inc) deref) => #cell 1
; map and kin, eager and lazy
(map inc []) => ()
(map + [1 2 3] [10 20]) => (11 22)
(map vector (range) [:a :b]) => ([0 :a] [1 :b])
(map str "ab") => ("a" "b")
(map key {:a 1}) => (:a)
(vec (take 2 (map + (range) (range)))) => [0 2]
(mapv inc #{1}) => [2]
(mapv + [1] [2]) => [3]
(mapv inc (take 2 (range))) => [1 2]
(map-indexed vector [:a :b]) => ([0 :a] [1 :b])
(vec (take 2 (map-indexed vector (repeat :x)))) => [[0 :x] [1 :x]]
(filter odd? [1 2 3]) => (1 3)
(filterv odd? [1 2 3]) => [1 3]
(remove odd? [1 2 3]) => (2)
(vec (take 2 (remove odd? (range)))) => [0 2]
(keep :a [{:a 1} {} {:a false}]) => (1 false)
(keep-indexed (fn [i x] (if (odd? i) x nil)) [:a :b]) => (:b)
(mapcat reverse [[1 2] [3]]) => (2 1 3)
(mapcat vector [1 2] [:a :b]) => (1 :a 2 :b)
(vec (take 3 (mapcat (fn [x] (range x)) (range)))) => [0 0 1]
(concat) => ()
(concat [1] [2]) => (1 2)
(vec (take 3 (concat [1 2] (range)))) => [1 2 0]
(vec (concat (lazy-seq [1]) nil (lazy-seq [2]))) => [1 2]
(vec (lazy-cat [1] [2])) => [1 2]
(take 2 [1]) => (1)
(drop 1 [1 2]) => (2)
(vec (take 2 (drop 3 (range)))) => [3 4]
(take-while odd? [1 3 4 5]) => (1 3)
(vec (take-while (fn [x] (< x 3)) (range))) => [0 1 2]
(drop-while odd? [1 4 5]) => (4 5)
(first (drop-while (fn [x] (< x 3)) (range))) => 3
(drop-last [1 2]) => (1)
(drop-last 2 [1 2 3]) => (1)
(vec (drop-last 2 (take 4 (range)))) => [0 1]
(take-last 2 [1 2 3]) => (2 3)
(take-nth 2 [1 2 3]) => (1 3)
(vec (take 2 (take-nth 3 (range)))) => [0 3]
(nthrest [1 2 3] 1) => (2 3)
(nthrest [1 2] 0) => [1 2]
(nthnext [1] 1) => nil
(nth [1] 3 :none) => :none
(nth (range) 100) => 100
(nth (map inc [1 2]) 1) => 3
(ffirst [[1]]) => 1
(nfirst [[1 2]]) => (2)
(fnext [1 2]) => 2
(nnext [1 2 3]) => (3)
(second (range)) => 1
(not-empty []) => nil
(sequence nil) => ()
(sequence [1]) => (1)
(doall (map inc (take 2 (range)))) => (1 2)
(dorun (map inc [1])) => nil
(range 3) => (0 1 2)
(range 1 10 3) => (1 4 7)
(range 3 0 -1) => (3 2 1)
(vec (take 2 (range 5 ##Inf))) => [5 6]
(vec (take 3 (iterate inc 1))) => [1 2 3]
(repeat 2 :x) => (:x :x)
(repeatedly 2 (constantly 1)) => (1 1)
(vec (take 2 (repeatedly (constantly 1)))) => [1 1]
(vec (take 3 (cycle [1 2]))) => [1 2 1]
(cycle []) => ()
; reductions
(reduce + nil) => 0
(reduce + 5 nil) => 5
(reduce (fn [a b] (reduced :early)) [1 2 3]) => :early
(reduce + (take 3 (range))) => 3
(reduce conj #{} [1 1]) => #{1}
(reduce-kv (fn [a k v] (conj a k v)) [] {:a 1}) => [:a 1]
(reduce-kv (fn [a i v] (if (= i 1) (reduced a) (conj a v))) [] [:x :y]) => [:x]
(reductions + 10 [1 2]) => (10 11 13)
(reductions + []) => (0)
(vec (take 3 (reductions conj [] (range)))) => [[] [0] [0 1]]
(every? odd? []) => true
(every? odd? (range)) => false
(some odd? [2 4]) => nil
(some #{3} (range)) => 3
(not-every? odd? [1 2]) => true
(not-any? odd? [2]) => true
(run! identity [1]) => nil
; sequences from sequences
(partition 2 [1 2 3]) => ((1 2))
(partition 2 1 [1 2 3]) => ((1 2) (2 3))
(partition 2 2 [:p] [1 2 3]) => ((1 2) (3 :p))
(vec (take 2 (partition 2 1 (range)))) => [(0 1) (1 2)]
(vec (partition 2 2 [:p] (take 3 (range)))) => [(0 1) (2 :p)]
(partition-all 2 1 [1 2 3]) => ((1 2) (2 3) (3))
(vec (partition-all 2 (take 3 (range)))) => [(0 1) (2)]
(partition-by odd? []) => ()
(partition-by nil? [nil nil 1]) => ((nil nil) (1))
(vec (take 2 (partition-by (fn [x] (quot x 2)) (range)))) => [(0 1) (2 3)]
(interleave [1 2] [:a :b]) => (1 :a 2 :b)
(interleave) => ()
(interpose :x [1 2]) => (1 :x 2)
(vec (take 3 (interpose :x (range)))) => [0 :x 1]
(distinct [1 1 2]) => (1 2)
(vec (take 2 (distinct (cycle [1 2])))) => [1 2]
(dedupe [1 1 2 1]) => (1 2 1)
(vec (dedupe (take 4 (cycle [1 1 2])))) => [1 2 1]
(distinct? 1 2 1) => false
(distinct? 1 2 3) => true
(tree-seq sequential? seq [1 [2]]) => ([1 [2]] 1 [2] 2)
(sort [3 1]) => (1 3)
(sort > [1 3]) => (3 1)
(sort compare [3 1]) => (1 3)
(sort-by first [[2] [1]]) => ([1] [2])
(sort-by count > ["a" "bb"]) => ("bb" "a")
(sort ()) => ()
(max-key abs 1 -5) => -5
(min-key abs 1 -5) => 1
(shuffle []) => []
(flatten [1 [2]]) => (1 2)
; maps
(update {:a 1} :a inc) => {:a 2}
(update {} :a (fnil inc 0)) => {:a 1}
(update {:a 1} :a + 1 2 3) => {:a 7}
(update [1 2] 0 inc) => [2 2]
(update-in {} [:a :b] (fnil conj []) 1) => {:a {:b [1]}}
(update-vals {:a 1} inc) => {:a 2}
(update-keys {:a 1} name) => {"a" 1}
(merge-with into {:a [1]} {:a [2]} nil) => {:a [1 2]}
(merge-with +) => nil
(group-by odd? [1 2 3]) => {true [1 3], false [2]}
(index-by :id [{:id 1}]) => {1 {:id 1}}
(into [1] [2]) => [1 2]
(into) => []
(into {} (map (fn [x] [x x])) [1]) => {1 1}
(transduce (comp (map inc) (filter even?)) conj [] [1 2 3]) => [2 4]
(transduce (take 2) (completing conj count) [] (range)) => 2
(into [] (keep :a) [{:a 1} {}]) => [1]
(into [] (drop 1) [1 2]) => [2]
(subseq (sorted-map 1 :a 2 :b 3 :c) > 1) => ([2 :b] [3 :c])
(subseq (sorted-set 1 2 3) >= 1 < 3) => (1 2)
; functions
((comp) 1) => 1
((comp inc inc) 1) => 3
((comp first rest list) 1 2) => 2
((partial + 1) 2 3 4) => 10
((juxt inc dec) 1) => [2 0]
((every-pred odd? pos?) 1) => true
((some-fn :a :b) {:b 1}) => 1
((fnil + 1 2) nil nil) => 3
((complement nil?) 1) => true
(apply max 1 2 [3]) => 3
(apply str "a" "b" "c" "d" "e" ["f"]) => "abcdef"
(identity 1) => 1
(boolean nil) => false
((memoize inc) 1) => 2
(vary-meta [1] assoc :a 1) => [1]
(meta (vary-meta [1] assoc :a 1)) => {:a 1}
(persistent! (conj! (transient [1]) 2)) => [1 2]
; for and doseq
(for [x []] x) => ()
(for [x [1 2] :when (odd? x)] x) => (1)
(for [x [1 2 3] :while (< x 3)] x) => (1 2)
(for [x [1 2] y [x (* 10 x)]] y) => (1 10 2 20)
(for [[k v] {:a 1}] [v k]) => ([1 :a])
(vec (take 2 (for [x (range) y [:a]] [x y]))) => [[0 :a] [1 :a]]
(doseq [x [1]] x) => nil
(let [a (atom [])] (doseq [x [1 2 3] :while (< x 3) y [:a]] (swap! a conj [x y])) @a) => [[1 :a] [2 :a]]
(let [a (atom 0)] (doseq [x (range) :while (< x 3)] (swap! a + x)) @a) => 3
; cells, delays, errors
(deref (atom 1)) => 1
(let [a (atom {})] (swap! a assoc-in [:x :y] 1) (:x @a)) => {:y 1}
(let [v (volatile! 1)] (vswap! v + 1) @v) => 2
(force 1) => 1
(deref 5) => !type
(ex-data (ex-info "m" {:a 1})) => {:a 1}
(error-kind (ex-info "m" {:kind :k})) => :k
(error-cause (ex-info "m" {} (error :c "c"))) => #error {:kind :c, :message "c", :data nil}
(throw (error :k "m")) => !k
(throw (->error {:kind :k})) => !k
(throw (->error "m")) => !error
(throw (->error 5)) => !type
(assert false) => !assertion
(reduced? (reduced 1)) => true
(unreduced (reduced 1)) => 1
(trampoline (fn [n] (fn [] n)) 1) => 1
(all []) => []
(race) => !argument
(pmap inc [1 2] {:limit 0}) => !argument
(pmap inc [1 2] {:limit nil}) => !argument
(error-message (try (inc (first [])) (catch _ e e))) => "`+` needs numbers, not nil"
(error-message (try (< 1 "2") (catch _ e e))) => "`<` needs numbers, not \"2\""
(pmap inc [] {:limit 1.5}) => !argument
(pmap inc [1] 2) => !argument
(error-message (try (pmap inc [1] {:limt 2}) (catch _ e e))) => "pmap has no option :limt; did you mean :limit?"
(error-message (try (pmap inc [1] {:size 2}) (catch _ e e))) => "pmap has no option :size; there is :limit"
(error-message (try (pmap inc [1] {:limit "2"}) (catch _ e e))) => ":limit must be an integer from 1, not \"2\""
(error-message (try (await (async 1) {:timeout 5}) (catch _ e e))) => ":timeout must be a duration such as 30s, not 5"
(error-message (try (await (async 1) {:timeout nil}) (catch _ e e))) => ":timeout must be a duration such as 30s, not nil"
(error-message (try (await (async 1) {:tiemout 5s}) (catch _ e e))) => "await has no option :tiemout; did you mean :timeout?"
(error-message (try (await (async 1) {:max 5s}) (catch _ e e))) => "await has no option :max; there are :timeout, :else"
(error-kind (try (await (async 1) nil) (catch _ e e))) => :argument
(await (async 1) {}) => 1
(error-message (try (with-timeout 5 1) (catch _ e e))) => "the time of with-timeout must be a duration such as 30s, not 5"
(error-message (try (with-timeout nil 1) (catch _ e e))) => "the time of with-timeout must be a duration such as 30s, not nil"
(error-message (try (with-deadline 5s 1) (catch _ e e))) => "the time of with-deadline must be an instant, not #duration \"PT5S\""
(error-message (try (http/callback {:timeout nil}) (catch _ e e))) => ":timeout must be a duration such as 30s, not nil"
(pcalls 1 (+ 1 1)) => [1 2]
; the other modules
(string/join [1 2]) => "12"
(string/join ", " [1 nil :k]) => "1, , :k"
(string/split "a  b" #"\s+") => ["a" "b"]
(string/split "a.b" ".") => ["a" "b"]
(string/replace "aa" \a \b) => "bb"
(string/replace "hello" #"l+" (fn [m] (str (count m)))) => "he2o"
(string/replace-first "aa" #"a" (fn [m] "b")) => "ba"
(string/replace-first "aa" "a" "b") => "ba"
(string/escape "a<b" {\< "&lt;"}) => "a&lt;b"
(string/escape "ab" (fn [c] (if (= c \a) "x" nil))) => "xb"
(string/pad-left 5 3 \0) => "005"
(json/parse "{\"a\": [1]}") => {:a [1]}
(json/parse "{\"a\": 1}" {:keys :string}) => {"a" 1}
(json/write {:a [1 nil]}) => "{\"a\": [1, null]}"
(set/union #{1} #{2}) => #{1 2}
(set/superset? #{1 2} #{1}) => true
(set/select odd? #{1 2}) => #{1}
(set/project #{{:a 1 :b 2}} [:a]) => #{{:a 1}}
(set/rename #{{:a 1}} {:a :b}) => #{{:b 1}}
(set/index #{{:a 1 :b 2}} [:a]) => {{:a 1} #{{:a 1, :b 2}}}
(set/rename-keys {:a 1} {:a :b}) => {:b 1}
(set/map-invert {:a 1}) => {1 :a}
(walk/prewalk (fn [x] (if (= x 1) 2 x)) [1 [1]]) => [2 [2]]
(walk/postwalk-replace {1 :one} [1 {:k 1}]) => [:one {:k :one}]
(walk/prewalk-replace {[1] :v} [[1]]) => [:v]
(walk/keywordize-keys {"a" [{"b" 1}]}) => {:a [{:b 1}]}
(time/in (time/plus 1m 30s) :seconds) => 90
(time/seconds 1/2) => #duration "PT0.500S"
(time/before? 1s 2s) => true
(time/text 90m) => "PT1H30M"
(time/text #inst "2026-01-01T00:00:00Z") => "2026-01-01T00:00:00.000Z"
(time/parse-duration "PT5S") => #duration "PT5S"
(time/parse-duration "soon") => nil
(math/sqrt 16) => 4.0
(math/pow 2 100) => 1267650600228229401496703205376
(math/round 2.5) => 3
(math/gcd 12 18) => 6
(math/clamp 0 15 10) => 10
(http/ok? {:status 204}) => true
(http/ok? {:status 500}) => false
(http/ok? {}) => false
"""


def rows() -> list[str]:
    return [line for line in TABLE.splitlines() if line and not line.startswith(";")]


@cache
def compiled() -> tuple[Program, ProgramTable]:
    """One module with a function for each row."""
    text = "(ns table)\n" + "\n".join(
        f"(defn row-{number} [] {row.rpartition(' => ')[0]})" for number, row in enumerate(rows())
    )
    libraries = standard_library().modules
    module = compile_module(text, "table.fm", libraries=libraries, evaluate=Evaluate(), builtins=BY_NAME)
    program = Program({**libraries, module.name: module}, module.name)
    return program, ProgramTable(program)


@pytest.mark.parametrize("number", range(len(rows())), ids=lambda number: rows()[number])
def test_row(number: int) -> None:
    program, table = compiled()
    process = vm.new_process(program, table)
    vm.start(process, program.modules["table"].globals[f"row-{number}"].value, [])
    outcome: Any = vm.run(process, FUEL)
    while isinstance(outcome, vm.CancelRequest):
        outcome = vm.run(process, FUEL)
    if isinstance(outcome, vm.Failed):
        printed = "!" + outcome.error.kind.text
    else:
        assert isinstance(outcome, vm.Finished)
        printed = print_string(outcome.value)
    assert printed == rows()[number].rpartition(" => ")[2]


MODULES = sorted(standard_library().modules)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_sentence(name: str) -> None:
    module: Module = standard_library().modules[name]
    missing = [found.name for found in module.globals.values() if not found.private and not (found.doc or "").strip()]
    assert missing == []
    for found in module.globals.values():
        if found.doc:
            assert found.doc.strip()[-1] in ".;", f"{found.name}: {found.doc}"


def test_sources_are_tidy() -> None:
    for path in sorted(STDLIB.rglob("*.fm")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert line == line.rstrip() and len(line) <= 120, f"{path.name}:{number}"
            assert not re.search(r"\b(TODO|FIXME)\b", line), f"{path.name}:{number}"


def test_modules_of_the_core_share_their_names() -> None:
    places: dict[str, list[str]] = {}
    for name in MODULES:
        if name == "flowmetal.core" or name.startswith("flowmetal.core."):
            for found in standard_library().modules[name].globals:
                places.setdefault(found, []).append(name)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}

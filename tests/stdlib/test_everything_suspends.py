"""Every function of the core that takes a function, and every macro that takes a body, may perform in the middle.

For each there is a program in which what it calls performs an effect at its first, middle and last call.  It runs with
the process saved and restored after every few instructions (after every one in the long run), and comes to the same
value with the same effects.  What takes a function is found by the names of parameters; nothing may be missing here.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pytest

from flowmetal.compiler.names import is_core
from flowmetal.engine.library import standard_library

sys.path.insert(0, str(Path(__file__).parents[1] / "vm"))

import kit

#: Parameters that are functions, or forms that are evaluated.
TAKES = frozenset((
    "f", "g", "fs", "pred", "preds", "xform", "xforms", "keyfn", "comparator", "branch?", "thunk", "retf", "step", "rf",
    "fnk", "body", "forms", "form", "expression", "expressions", "clauses", "then", "else", "colls", "test", "done",
))  # fmt: skip

#: `e` performs and gives its argument back; `o` and `l` are a predicate and a comparator that do.
PRELUDE = """
(ns t)
(defn e [x] (perform :t/ask x))
(defn o [x] (odd? (e x)))
(defn l [a b] (< (e a) (e b)))
(def ^:dynamic *d* 1)
(defn lazily [n] (lazy-seq (cons (e n) (if (< n 3) (lazily (inc n)) nil))))
"""

TABLE = r"""
-> (-> 1 e inc e)
->> (->> 1 e (+ 1) e)
and (and (e 1) (e nil) (e 2))
any? (any? (e 1))
apply (apply (fn [& xs] (mapv e xs)) [1 2])
as-> (as-> 1 x (e x) (inc x) (e x))
assert (assert (e false) "no")
async (await (async (e 1) (e 2)))
atomic (try (atomic (e 1)) (catch _ x (error-kind x)))
bounded-count (bounded-count 2 (lazily 1))
case (case (e 1) 1 (e 2) 3)
cat (into [] (comp cat (map e)) [[1] [2 3]])
comp ((comp e inc e) 1)
comparator (vec (sort (comparator l) [2 3 1]))
complement ((complement o) 3)
completing (transduce (map e) (completing conj e) [] [1 2])
concat (vec (concat (lazily 1) (lazily 2)))
cond (cond (e false) 1 (e 2) (e 3))
cond-> (cond-> 1 (e true) e (e false) inc true e)
cond->> (cond->> 1 (e true) (e) (e true) (+ (e 2)))
condp (condp (fn [a b] (= (e a) (e b))) 2 1 (e :a) 2 (e :b))
constantly ((constantly (e 1)) (e 2))
dedupe (vec (dedupe (lazily 1)))
delay (let [d (delay (e 1))] [@d @d])
distinct (vec (distinct (lazily 1)))
doall (doall (lazily 1))
dorun (dorun (lazily 1))
doseq (doseq [x [1 2 3] :when (e true) :let [y (e x)]] (e y))
dotimes (dotimes [i (e 3)] (e i))
doto (doto (e 1) e (+ (e 2)))
drop-while (vec (drop-while (fn [x] (< (e x) 3)) [1 2 3 4]))
eduction (vec (eduction (map e) (filter o) [1 2 3]))
every-pred ((every-pred o (fn [x] (< (e x) 4))) 1 3)
every? (every? o [1 3 5])
filter (vec (filter o [1 2 3]))
filterv (filterv o [1 2 3])
flat-map-until (vec (for [x [1 2] y [x (e x)]] (e y)))
each-until (doseq [x (lazily 1) y [1]] (e y))
fnil ((fnil e (e 1)) nil)
for (vec (for [x [1 2 3] :when (o x) :while (e true)] (e x)))
force (force (delay (e 1)))
group-by (group-by o [1 2 3])
halt-when (into [] (halt-when (fn [x] (= (e x) 2))) [1 2 3])
if-let (if-let [x (e 1)] (e x) 2)
if-not (if-not (e false) (e 1) (e 2))
if-some (if-some [x (e nil)] 1 (e 2))
index-by (index-by e [1 2 3])
into (into [] (map e) [1 2 3])
iterate (vec (take 3 (iterate (fn [x] (inc (e x))) 1)))
iteration (vec (iteration (fn [k] (if (< (e k) 3) {:k (inc k) :v k} nil)) :initk 0 :vf :v :kf :k))
interleave (vec (interleave (lazily 1) (lazily 1)))
juxt ((juxt e inc e) 1)
keep (vec (keep (fn [x] (if (o x) x nil)) [1 2 3]))
keep-indexed (vec (keep-indexed (fn [i x] (e x)) [1 2]))
lazy-cat (vec (lazy-cat [(e 1)] [(e 2)]))
lazy-seq (vec (lazy-seq [(e 1) (e 2)]))
make-delay @(make-delay (fn [] (e 1)))
map (vec (map e [1 2 3]))
map-indexed (vec (map-indexed (fn [i x] [i (e x)]) [1 2]))
mapcat (vec (mapcat (fn [x] [(e x) x]) [1 2]))
mapv (mapv e [1 2 3])
match (match (e 1) 2 (e 3) ?n :when (o ?n) (e (inc ?n)))
max-key (max-key e 1 3 2)
memoize (let [f (memoize e)] [(f 1) (f 1) (f 2)])
merge-with (merge-with (fn [a b] (e (+ a b))) {:a 1} {:a 2} {:a 3})
min-key (min-key e 2 1 3)
not-any? (not-any? o [2 4 6])
not-every? (not-every? o [1 3 4])
or (or (e nil) (e false) (e 3))
partial ((partial (fn [a b] (e (+ a b))) 1) 2)
partition (vec (partition 2 (lazily 1)))
partition-all (vec (partition-all 2 1 (lazily 1)))
partition-by (vec (partition-by o [1 3 2]))
pcalls (pcalls (e 1) (e 2))
pmap (pmap e [1 2 3])
pvalues (pvalues (e 1) (e 2))
random-sample (random-sample 1.0 (map e [1 2]))
reduce (reduce (fn [a b] (e (+ a b))) [1 2 3])
reduce-kv (reduce-kv (fn [a k v] (+ a (e v))) 0 {:a 1 :b 2})
reductions (vec (reductions (fn [a b] (e (+ a b))) [1 2 3]))
remove (vec (remove o [1 2 3]))
repeatedly (vec (repeatedly 3 (fn [] (e 1))))
receive (handle (receive 1 (e 0) ?n (e ?n)) (:receive [_ resume] (resume 2)))
select (select (await [a (promise)] (e a)) (await [b (async (e 1))] (e (inc b))))
run! (run! e [1 2 3])
scope (scope (async (e 1)) (e 2))
sequence (vec (sequence (map e) [1 2 3]))
shield (shield (e 1) (e 2))
with-cleanup-time (with-cleanup-time 1h (e 1) (e 2))
some (some (fn [x] (if (= 3 (e x)) x nil)) [1 2 3])
some-> (some-> 1 e inc e)
some->> (some->> 1 e (+ 1) e)
some-fn ((some-fn (fn [x] (< (e x) 0)) o) 2 3)
sort (vec (sort l [3 1 2]))
sort-by (vec (sort-by (fn [x] (- (e x))) [3 1 2]))
add-watch (let [a (atom 1) l (atom [])] (add-watch a :w (fn [_ _ o n] (swap! l conj [(e o) (e n)]))) (swap! a inc) (reset! a 5) @l)
add-tap (let [l (atom [])] (add-tap (fn [x] (swap! l conj (e x)))) [(tap> 1) (tap> 2) @l])
alter-meta! (let [a (atom 1 :meta {:n 1})] (alter-meta! a (fn [m] (assoc m :k (e 1)))) (meta a))
set-validator! (let [a (atom 1)] (try (set-validator! a (fn [x] (e x))) (catch _ x (error-kind x))))
bound-fn ((bound-fn [x] (e x) (e 2)) 1)
bound-fn* ((bound-fn* (fn [x] (e x) (e 2))) 1)
remove-tap (do (add-tap e) (remove-tap e) (tap> 1) (e 2))
sorted-map-by (let [m (sorted-map-by l 2 :b 1 :a 3 :c)] [(get m 2) (m 1) (dissoc m 2) (find m 3) (subseq m > 1)])
time (with-out-str (handle (time (e 1)) (:now [_ resume] (resume #inst "2026-01-01T00:00:00Z"))))
with-bindings (with-bindings {'t/*d* 2} (e 1) (e *d*))
with-bindings* (with-bindings* {'t/*d* 2} (fn [x] (e x) (e *d*)) 1)
sorted-set-by (let [s (into (sorted-set-by l 2 1) [3 2])] [(s 2) (contains? s 5) (disj s 1) (apply s [3]) (rsubseq s < 3)])
split-with (mapv vec (split-with o [1 3 4]))
swap! (try (swap! (atom 1) e) (catch _ x (error-kind x)))
swap-vals! (try (swap-vals! (atom 1) e) (catch _ x (error-kind x)))
take-while (vec (take-while o [1 3 4]))
trampoline (trampoline (fn [] (e 1) (fn [] (e 2))))
transduce (transduce (comp (map e) (filter o)) (fn ([a] (e a)) ([a b] (e (+ a b)))) 0 [1 2 3])
tree-seq (vec (tree-seq (fn [x] (e (vector? x))) (fn [x] (e x)) [1 [2]]))
update (update {:a 1} :a e)
update-in (update-in {:a {:b 1}} [:a :b] e)
update-keys (update-keys {:a 1 :b 2} e)
update-vals (update-vals {:a 1 :b 2} e)
vary-meta (meta (vary-meta [1] (fn [m] {:m (e 1)})))
vswap! (try (vswap! (atom 1) e) (catch _ x (error-kind x)))
when (when (e true) (e 1) (e 2))
when-first (when-first [x (lazily 1)] (e x))
when-let (when-let [x (e 1)] (e x) (e 2))
when-not (when-not (e false) (e 1) (e 2))
when-some (when-some [x (e 1)] (e x) (e 2))
while (let [n (atom 0)] (while (< (e @n) 3) (reset! n (inc @n))) @n)
with-out-str (with-out-str (println (e 1)) (e 2) (println (e 3)))
; not by a name of their own: what realizes, unwinds and transduces
try (try (e 1) (finally (e 2) (e 3)))
catch (try (throw (ex-info "no" {})) (catch (fn [x] (e true)) x (e (:message x))))
stateful (into [] (comp (map-indexed vector) (map e) (distinct) (partition-all 2)) [1 2 3])
lazily (= (lazily 1) [1 2 3])
deliver (let [p (promise)] (async (deliver p (e 1))) [(await p) (e 2)])
"""

#: What takes a function and has no program here, and why.
WITHOUT = {
    "comment": "evaluates nothing",
    "declare": "defines",
    "defonce": "defines",
    "run-with-timeout": "the world of these tests answers `sleep` at once; see the golden program fibers/timeout",
    "with-timeout": "as run-with-timeout",
    "with-deadline": "as run-with-timeout; see the golden program fibers/deadline",
    "add-method": "what `defmethod` expands to, at the top level",
    "assertion-failed": "its form is a quoted one",
    "extend-type": "defines; its functions are called as any other",
    "extend-protocol": "as extend-type",
    "deftype": "as extend-type",
    "defrecord": "as extend-type",
    "reify": "as extend-type",
    "range": "its step is a number",
    "clause-test": "for macros; it makes a form",
    "match-clauses": "as clause-test",
    "pattern-test": "as clause-test",
    "names-in": "as clause-test",
    "wrong-form": "as clause-test",
    "subseq": "its test is one of < <= > >=",
    "rsubseq": "its test is one of < <= > >=",
}


def rows() -> list[tuple[str, str]]:
    lines = [line for line in TABLE.splitlines() if line and not line.startswith(";")]
    return [(name, expression) for name, _, expression in (line.partition(" ") for line in lines)]


@cache
def source() -> str:
    return PRELUDE + "\n".join(f"(defn row-{i} [] {expression})" for i, (_, expression) in enumerate(rows()))


def check(number: int, every: int) -> None:
    plain = kit.run(source(), f"row-{number}")
    restored = kit.run(source(), f"row-{number}", restore_every=every, checkpoint_every=1000)
    assert (restored.outcome, restored.log) == (plain.outcome, plain.log)
    refused = plain.outcome == ":atomic"
    assert plain.log or refused, "nothing was performed"
    assert refused or not plain.outcome.startswith("error") or rows()[number][0] == "assert", plain.outcome


@pytest.mark.parametrize("number", range(len(rows())), ids=[name for name, _ in rows()])
def test_performs_in_the_middle(number: int) -> None:
    check(number, 11)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(rows())), ids=[name for name, _ in rows()])
def test_performs_at_every_instruction(number: int) -> None:
    check(number, 1)


def test_nothing_that_takes_a_function_is_missing() -> None:
    names = {name for name, _ in rows()} | set(WITHOUT)
    missing = []
    for module, found in standard_library().modules.items():
        if is_core(module):
            for name, definition in found.globals.items():
                parameters = {one.strip("&[] ") for one in " ".join(definition.parameters or ()).split()}
                if not definition.private and parameters & TAKES and name not in names:
                    missing.append(name)
    assert sorted(missing) == []

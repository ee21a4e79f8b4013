"""Forms with holes that generated expressions are made of; `<kind>` is a hole, pools.py says what fills it."""

from __future__ import annotations

from tests.differential.data_forms import DATA_FORMS
from tests.differential.forms import FORMS
from tests.differential.programs import PROGRAMS, lines

#: Forms, by subject.  Where a form binds names, they are used inside it only.
TEMPLATES: dict[str, list[str]] = {
    "let": lines(
        """
        (let [a <any> b <any>] [b a])
        (let [[a b & c] <coll>] [a b c])
        (let [[a [b] :as all] <nested>] [a b all])
        (let [[_ x] <vec>] x)
        (let [{:keys [a b] :or {b <scalar>} :as m} <map>] [a b m])
        (let [{a :a {b :b} :a} <map>] [a b])
        (let [{:strs [a] :syms [x]} <map>] [a x])
        (let [{:keys [a/b] :a/keys [c]} {:a/b <any> :a/c <any>}] [b c])
        (let [{x 0 y 1} <vec>] [x y])
        (let [[a & {:keys [b]}] '(1 :b 2)] [a b])
        (let [[a b] "xyz" [c] nil] [a b c])
        (let [x <num> x (+ x 1)] x)
        (let [f (fn [{:keys [a] :or {a 5}}] a)] (f <map>))
        (let [[x & [y & z]] <coll>] [x y z])
        (let [{[p q] :a} {:a <coll>}] [p q])
        """
    ),
    "fn": lines(
        """
        ((fn [x & more] [x more]) <any> <any>)
        ((fn ([] 0) ([a] [a]) ([a b & c] [a b c])) <any> <any> <any>)
        ((fn [x] (if (pos? x) (recur (dec x)) x)) <small>)
        ((fn [& {:keys [a b] :or {b 9}}] [a b]) :a <any>)
        ((fn [& {:as m}] m) {:a <any>})
        ((fn f [n] (if (< n 1) 1 (* n (f (dec n))))) <small>)
        (#(vector %2 %1) <any> <any>)
        (#(apply + %&) <small> <small>)
        ((fn [[a b] {c :c}] [a b c]) <vec> {:c <any>})
        (apply (fn [a & b] [a b]) <coll>)
        ((partial <fn2> <any>) <any>)
        ((comp <fn1> <fn1>) <any>)
        ((juxt <fn1> <fn1>) <any>)
        ((fnil <fn1> <scalar>) nil)
        (<fn1> <any>)
        (<fn2> <any> <any>)
        (letfn [(ev [n] (if (= n 0) true (od (dec n)))) (od [n] (if (= n 0) false (ev (dec n))))] (ev <nat>))
        (let [f (memoize <fn1>)] [(f <scalar>) (f <scalar>)])
        ((fn [x] {:pre [(number? x)]} x) <any>)
        ((every-pred <pred> <pred>) <any> <any>)
        ((some-fn <pred> <pred>) <any>)
        ((complement <pred>) <any>)
        (map (<cmp> 1 2) [])
        """
    ),
    "loop": lines(
        """
        (loop [i 0 acc []] (if (< i <small>) (recur (inc i) (conj acc i)) acc))
        (loop [[x & more] <coll> n 0] (if x (recur more (inc n)) n))
        (dotimes [i 3] i)
        (let [a (atom 0)] (while (< @a 5) (swap! a inc)) @a)
        (let [a (atom [])] (doseq [x <coll> :when (some? x)] (swap! a conj x)) @a)
        (let [a (atom [])] (doseq [x [1 2] y <coll>] (swap! a conj [x y])) @a)
        (let [a (atom 0)] (dotimes [i <small>] (swap! a + i)) @a)
        (loop [x <small> r 1] (if (pos? x) (recur (- x 1) (*' r x)) r))
        """
    ),
    "for": lines(
        """
        (for [x <coll>] [x])
        (for [x <coll> y [1 2]] [x y])
        (for [x <nums> :when (pos? x)] x)
        (for [x <nums> :let [y (* x x)] :while (< y 20)] y)
        (for [[a b] <pairs>] [b a])
        (for [x (range 4) y (range x) :when (odd? (+ x y))] [x y])
        (for [x (range 3) :while (< x 2) y <coll>] [x y])
        (take 3 (for [x (range) y [:a :b]] [x y]))
        """
    ),
    "choice": lines(
        """
        (cond <bool> 1 (nil? <any>) 2 :else 3)
        (cond)
        (cond false 1)
        (case <scalar> nil :n 1 :one (2 3) :few :a :kw "a" :s \\a :c [1 2] :v :other)
        (case <small> 0 :z 1 :o)
        (case <any> [] :empty {} :map () :list "" :s #{} :set :d)
        (condp = <small> 1 :one 2 :two :else)
        (condp some <vec> #{1} :>> inc #{:a} :kw :none)
        (if <any> 1 2)
        (if-not <any> 1 2)
        (if-let [x <any>] [x] :else)
        (if-let [[a b] <vec>] [a b] :else)
        (when-let [x (seq <coll>)] (first x))
        (if-some [x <any>] [x] :nil)
        (when-some [x <any>] [x])
        (when-first [x <coll>] [x])
        (when <any> 1 2)
        (when-not <any> 1 2)
        (and <any> <any>)
        (or <any> <any>)
        (and)
        (or nil <bool>)
        """
    ),
    "threading": lines(
        """
        (-> <num> inc (- 2))
        (->> <coll> (map str) (apply str))
        (-> <map> (assoc :z 1) (dissoc :a) :z)
        (some-> <map> :a :b)
        (some->> <coll> seq (map str))
        (cond-> <vec> true (conj 1) false (conj 2) (odd? 3) (conj <any>))
        (cond->> <coll> <bool> (map str) <bool> (take 1))
        (as-> <num> x (+ x 1) [x x])
        @(doto (atom <any>) (reset! 1))
        (neg? (compare <str> <str>))
        (pos? (compare <kw> <kw>))
        (zero? (compare <name> <name>))
        (-> <coll> seq first)
        (->> (range) (map inc) (filter odd?) (take <small>))
        (-> [] (conj <any>) (conj <any>) rseq)
        """
    ),
    "state": lines(
        """
        @(doto (atom 1) (swap! <fnnum2> 2))
        (let [a (atom 1)] [(swap! a inc) (reset! a <any>) @a])
        (let [a (atom 1)] [(swap-vals! a inc) (reset-vals! a 5) @a])
        (let [a (atom 1)] [(compare-and-set! a 1 2) (compare-and-set! a 1 3) @a])
        (let [v (volatile! 0)] (vswap! v + 3) (vreset! v (inc @v)) @v)
        (let [n (atom 0) d (delay (swap! n inc))] [(realized? d) @d @d @n (realized? d)])
        (let [a (atom {})] (swap! a assoc <kw> <any>) (swap! a update :a <fn1>) @a)
        (let [a (atom 0) s (lazy-seq (swap! a inc) [1])] [@a (first s) (first s) @a])
        (let [x (atom 1 :meta {:a 1})] (meta x))
        (let [x (atom 1 :validator pos?)] (try (reset! x -1) (catch Throwable e :bad)))
        (deref (reduced <any>))
        """
    ),
    "errors": lines(
        """
        (try <any> (catch Throwable e :caught) (finally 1))
        (try (/ <small> 0) (catch Throwable e :caught))
        (try (throw (ex-info "m" {:a <any>})) (catch Throwable e [(ex-message e) (ex-data e)]))
        (try (nth <seqc> <small>) (catch Throwable e :out))
        (try (<fn1> <any>) (catch Throwable e :failed))
        (try (throw (ex-info "o" {:k 1} (ex-info "i" {}))) (catch Throwable e (ex-message (ex-cause e))))
        (let [a (atom [])] (try (swap! a conj 1) (throw (ex-info "x" {})) (catch Throwable e (swap! a conj 2)) (finally (swap! a conj 3))) @a)
        (try (assert <bool> "msg") (catch Throwable e :assertion))
        (try (case <small> 1 2) (catch Throwable e :none))
        (throw (ex-info "boom" {}))
        """
    ),
    "hash": lines(
        """
        (let [a <num> b <num>] (or (not= a b) (= (hash a) (hash b))))
        (let [a <any> b <any>] [(= a b) (= b a)])
        (let [a <coll> b <coll>] (or (not= a b) (= (hash a) (hash b))))
        (get {<num> :found} <num>)
        (contains? #{<num>} <num>)
        (count (hash-set <num> <scalar>))
        (= [<num>] (list <num>))
        (= <coll> <coll>)
        (= {:a <num>} {:a <num>})
        (distinct [<num> <num> <num>])
        (frequencies [<num> <num>])
        """
    ),
    "lazy": lines(
        """
        (take <small> (iterate inc <num>))
        (take <small> (repeat <any>))
        (take <small> (cycle <coll>))
        (take <small> (map vector (range) <coll>))
        (first (filter <pred> (range 10)))
        (take 3 (drop <small> (range)))
        (take-while #(< % 5) (map inc (range)))
        (let [s (map inc (range))] [(first s) (second s) (nth s 10)])
        (take 5 (concat <coll> (range)))
        (take 5 (interleave (range) (repeat <any>)))
        (nth (iterate #(* 2 %) 1) <nat>)
        (take 4 (reductions + (range)))
        (take 3 (partition <pos> (range)))
        (take 2 (partition-all <pos> <pos> (range)))
        (take 3 (partition-by #(quot % 3) (range)))
        (take 5 (mapcat #(repeat % %) (range)))
        (take 5 (distinct (cycle [1 2 3 1 2 3 4])) )
        (take 3 (tree-seq vector? seq [[1 [2]] 3]))
        (take 3 (lazy-cat <coll> (range)))
        (first (rest (lazy-seq (cons 1 (lazy-seq [<any>])))))
        (take 3 (keep-indexed (fn [i x] (if (odd? i) x)) (range)))
        (take 3 (interpose :i (range)))
        (take 2 (split-at 2 (range 5)))
        (count (take 100 (repeatedly (fn [] 1))))
        (take 3 (dedupe (range)))
        (take 3 (map-indexed vector (range)))
        (into [] (take 3) (range))
        (first (sequence (map inc) (range 5)))
        (transduce (comp (map inc) (take 3)) + (range))
        """.replace("(take 5 (distinct (cycle [1 2 3 1 2 3 4])) )", "(take 3 (distinct (cycle [1 2 3])))")
    ),
    "syntax": lines(
        """
        '(1 <scalar>)
        `(1 ~<any> ~@<vec>)
        (quote <list>)
        [<any> #_ <any> <any>]
        #{<scalar>}
        {<kw> <any>}
        (do <any> <any>)
        (comment <any>)
        ((fn [] <any>))
        (str '<kw> "x")
        #:n{:a <any>}
        (pr-str <any>)
        (pr-str <num>)
        (pr-str <str>)
        (str <num>)
        (prn-str <coll>)
        (pr-str <char>)
        (read-string (pr-str <any>))
        (= <any> (read-string (pr-str <any>)))
        """
    ),
    "more": lines(
        """
        (sort-by <fnnum> <ints>)
        (group-by <pred> <ints>)
        (partition-by <pred> <vec>)
        (into {} (map (fn [x] [x x])) <vec>)
        (sort <ints>)
        (sort (comparator <cmp>) <ints>)
        (reduce (fn [a x] (if (nil? x) (reduced a) (conj a x))) [] <coll>)
        (apply max <ints>)
        (apply str (interpose "," <coll>))
        (map + <nums> <nums>)
        (update <map> :a (fnil inc 0))
        (update-in <map> [:a :b] (fnil conj []) <any>)
        (merge-with + {:a 1 :b <num>} {:a <num>})
        (reduce-kv (fn [a k v] (conj a k)) [] <map>)
        (select-keys <map> [:a :b])
        (zipmap [:a :b] <coll>)
        (vec (sorted-set 3 1 2))
        (keys (sorted-map 2 :a 1 :b))
        (subseq (sorted-set 1 2 3 4) <low> <small> <high> <small>)
        (rsubseq (sorted-map 1 :a 2 :b 3 :c) <test> <small>)
        (first (sorted-map <kw> 1 <kw> 2))
        (format <fmt> <fmtarg> <fmtarg>)
        (with-out-str (print <any> <any>))
        (with-out-str (println <any>) (pr <any>))
        (with-out-str (prn <coll>))
        (with-out-str (printf "%s-%s" <any> 1))
        (boolean (re-find <regex> <str>))
        (string/split <str> <regex> <small>)
        (string/replace <str> <regex> <repl>)
        (set/union (set <ints>) #{1})
        (re-seq <regex> <str>)
        (map (fn [[k v]] [v k]) <map>)
        (map key <map>)
        (apply hash-map [<kw> <any>])
        (mapv (fn [x] (cond (number? x) :n (string? x) :s (nil? x) :nil :else :o)) <coll>)
        (some #{<scalar>} <coll>)
        (nth <coll> <small> :none)
        (get-in {:a [{:b <any>}]} [:a <small> :b])
        (assoc-in <map> <path> <any>)
        (walk/postwalk (fn [x] (if (number? x) (inc x) x)) <any>)
        (tree-seq coll? seq <nested>)
        """
    ),
}
for _more in (FORMS, DATA_FORMS, PROGRAMS):
    for _subject, _forms in _more.items():
        TEMPLATES[_subject] = TEMPLATES.get(_subject, []) + _forms

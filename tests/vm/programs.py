"""Small programs around everything that suspends: name, source, and what they come to with the tests' answers."""

PROGRAMS: dict[str, tuple[str, str]] = {
    "plain effect": ("(defn main [] [(perform :a 1) (perform :b 2)])", "[1 2]"),
    "effect in the middle of arguments": ("(defn main [] (+ 1 (perform :a 2) (* 3 (perform :b 4))))", "15"),
    "nested calls": (
        "(defn inner [x] (let [y (perform :a x)] (+ x y)))\n(defn main [] (loop [i 0 s 0] (if (< i 5) (recur (inc i) (+ s (inner i))) s)))",
        "20",
    ),
    "closure over a register": (
        "(defn main [] (let [a (perform :a 1) f (fn [x] [a x (perform :b x)])] (f 2)))",
        "[1 2 2]",
    ),
    "error from outside is caught": (
        "(defn main [] (try (perform :fail 7) (catch :test/failed e [(:message e) (:data e)])))",
        '["the world refused" 7]',
    ),
    "finally performs": (
        "(defn main [] (let [c (atom [])]\n (try (try (perform :fail 1) (finally (swap! c conj (perform :cleanup 2))))\n   (catch :test/failed e (swap! c conj :caught)))\n @c))",
        "[2 :caught]",
    ),
    "uncaught": (
        "(defn main [] (try (perform :fail 1) (finally (perform :x 2))))",
        "error :test/failed the world refused",
    ),
    "handler resumes": (
        "(defn main [] (handle (+ 1 (perform :ask 5)) (:ask [x resume] [:result (resume (* x (perform :outside 10)))])))",
        "[:result 51]",
    ),
    "handler gives up": (
        "(defn main [] (handle (try (+ 1 (perform :ask 5)) (finally (perform :cleanup 1))) (:ask [x resume] [:gave-up x])))",
        "[:gave-up 5]",
    ),
    "handler throws": (
        '(defn main [] (try (handle (try (perform :ask 5) (finally (perform :cleanup 1))) (:ask [x resume] (throw (error :no "no")))) (catch :no e :caught)))',
        ":caught",
    ),
    "handlers nest": (
        "(defn main [] (handle (handle [(perform :a 1) (perform :b 2)] (:a [x resume] (resume (+ x (perform :b 10))))) (:b [x resume] (resume (* x 100)))))",
        "[1001 200]",
    ),
    "handled loop": (
        "(defn main [] (handle (loop [i 0 s 0] (if (< i 30) (recur (inc i) (+ s (perform :ask i))) s)) (:ask [x resume] (resume (inc x)))))",
        "465",
    ),
    "resume twice": (
        "(defn main [] (try (handle (perform :ask 1) (:ask [x resume] (resume 1) (resume 2))) (catch :resume e :refused)))",
        ":refused",
    ),
    "fibers": (
        "(defn main [] (let [p (async (perform :a 1)) q (async (perform :b 2))] [(await q) (await p)]))",
        "[2 1]",
    ),
    "fiber under a handler": (
        "(defn main [] (handle (await (async (inc (perform :ask 5)))) (:ask [x resume] (resume (* 2 x)))))",
        "11",
    ),
    "fiber fails": (
        "(defn main [] (let [p (async (perform :fail 1))] (try (await p) (catch :test/failed e :caught))))",
        ":caught",
    ),
    "fiber failure surfaces at the end": (
        '(defn main [] (async (throw (error :lost "nobody looks"))) (perform :a 1))',
        "error :lost nobody looks",
    ),
    "scope cancels": (
        '(defn main [] (let [seen (atom [])]\n (try (scope (async (try (perform :long 1) (finally (swap! seen conj (perform :cleanup 2)))))\n             (perform :a 1) (throw (error :bad "b")))\n   (catch :bad e (swap! seen conj :bad)))\n @seen))',
        None,
    ),
    "all": ("(defn main [] (all [(async (perform :a 1)) (async (perform :b 2)) (async 3)]))", "[1 2 3]"),
    "lazy sequence performs": (
        "(defn main [] (let [s (map (fn [x] (perform :a x)) (iterate inc 1))] [(first s) (first s) (take 3 s)]))",
        "[1 1 (1 2 3)]",
    ),
    "map, reduce and sort perform": (
        "(defn main [] [(map (fn [x] (perform :m x)) [1 2 3]) (reduce (fn [a x] (+ a (perform :r x))) 0 [1 2 3])\n (sort-by (fn [x] (perform :s x)) [3 1 2])])",
        "[(1 2 3) 6 (1 2 3)]",
    ),
    "equality realizes": (
        "(defn main [] (= (lazy-seq (list (perform :a 1) 2)) [1 2]))",
        "true",
    ),
    "cells": (
        "(def shared (atom 10))\n(defn main [] (let [c (atom 1)] (swap! c + (perform :a 2)) (swap! shared + @c) (perform :b nil) [@c @shared]))",
        "[3 13]",
    ),
    "cell in a closure in the cell": (
        "(defn main [] (let [c (atom nil)] (reset! c (fn [] (perform :a 1) c)) (perform :b 1) (identical? c ((deref c)))))",
        "true",
    ),
    "bindings": (
        "(def ^:dynamic *x* 1)\n(defn get-x [] (perform :a nil) *x*)\n(defn main [] [(get-x) (binding [*x* 2] (get-x)) (get-x)])",
        "[1 2 1]",
    ),
    "bindings reach fibers": (
        "(def ^:dynamic *x* 1)\n(defn main [] (binding [*x* 5] (await (async (do (perform :a nil) *x*)))))",
        "5",
    ),
    "swap! may not perform": (
        "(defn main [] (let [c (atom 1)] (try (swap! c (fn [x] (perform :a x))) (catch :atomic e :refused))))",
        ":refused",
    ),
    "big collections": (
        "(defn main [] (loop [i 0 m {} v []] (if (< i 60) (do (when (= 0 (mod i 20)) (perform :a i)) (recur (inc i) (assoc m i (str i)) (conj v i)))\n  [(count m) (get m 59) (nth v 50) (= (reduce + v) 1770)])))",
        '[60 "59" 50 true]',
    ),
    "sharing is kept": (
        "(defn main [] (let [a {:x [1 2 3]} b [a a]] (perform :a 1) (identical? (first b) (second b))))",
        "true",
    ),
    "deep stack": (
        "(defn deep [n] (if (= n 0) (perform :bottom 0) (+ 1 (deep (dec n)))))\n(defn main [] (deep 60))",
        "60",
    ),
    "mutual tail calls": (
        "(declare odd)\n(defn even [n] (if (= n 0) (perform :end true) (odd (dec n))))\n(defn odd [n] (if (= n 0) false (even (dec n))))\n(defn main [] (even 40))",
        "true",
    ),
    "letfn": (
        "(defn main [] (letfn [(a [n] (if (= n 0) (perform :end :done) (b (dec n)))) (b [n] (a n))] (a 5)))",
        ":done",
    ),
    "race": (
        "(defn main [] (race [(async (perform :a :first)) (async (do (perform :b 1) (perform :c 2)))]))",
        ":first",
    ),
    "requests without waiting": (
        "(defn main [] (let [p (request :later 1) q (request :other 2)] (perform :x 1) [(await q) (await p)]))",
        "[2 1]",
    ),
    "multi-arity and rest": (
        "(defn f ([a] [a (perform :a a)]) ([a & more] [(perform :b a) more]))\n(defn main [] [(f 1) (f 1 2 3)])",
        "[[1 1] [1 (2 3)]]",
    ),
    "error value in a register": (
        '(defn main [] (let [e (try (perform :fail {:why "x"}) (catch _ e e))] (perform :a 1) [(:kind e) (:data e)]))',
        '[:test/failed {:why "x"}]',
    ),
}

"""Programs of several top-level forms, with holes: multimethods, hierarchies, protocols, records, macros, variables.

Each is one line; `<kind>` is a hole, pools.py says what fills it.  The last form's value is the answer.
"""

from __future__ import annotations


def lines(text: str) -> list[str]:
    """The lines of a text that hold something."""
    return [line for line in (line.strip() for line in text.splitlines()) if line]


PROGRAMS: dict[str, list[str]] = {
    "multimethods": lines(
        """
        (defmulti area :shape) (defmethod area :sq [{:keys [s]}] (* s s)) (defmethod area :default [x] [:none x]) [(area {:shape :sq :s <num>}) (area <map>)]
        (defmulti area :shape) (defmethod area :sq [m] m) (area {:shape <kw> :v <any>})
        (defmulti f identity) (defmethod f <scalar> [x] [:first x]) (defmethod f :default [x] [:other x]) (f <scalar>)
        (defmulti f identity :default :else) (defmethod f :else [x] [:other x]) (defmethod f 1 [_] :one) [(f <small>) (f :default)]
        (defmulti f (fn [a b] [(number? a) (coll? b)])) (defmethod f [true true] [a b] [a b]) (defmethod f [false true] [a b] b) (defmethod f :default [& more] (count more)) (f <any> <any>)
        (defmulti f count) (defmethod f 0 [_] :none) (defmethod f 2 [x] x) (f <coll>)
        (defmulti f (fn [& xs] (count xs))) (defmethod f 0 [] :zero) (defmethod f 1 [x] [x]) (defmethod f :default [& xs] xs) [(f) (f <any>) (f 1 <any>)]
        (derive ::sq ::shape) (defmulti f identity) (defmethod f ::shape [_] :shape) (defmethod f :default [_] :other) [(f ::sq) (f ::shape) (f <kw>)]
        (derive ::cat ::pet) (derive ::dog ::pet) (defmulti meet vector) (defmethod meet [::cat ::pet] [_ _] :cat-pet) (defmethod meet [::pet ::pet] [_ _] :pets) [(meet ::cat ::dog) (meet ::dog ::cat)]
        (derive ::both ::a) (derive ::both ::b) (defmulti f identity) (defmethod f ::a [_] :a) (defmethod f ::b [_] :b) (prefer-method f ::b ::a) [(f ::both) (f ::a)]
        (derive ::both ::a) (derive ::both ::b) (defmulti f identity) (defmethod f ::a [_] :a) (defmethod f ::b [_] :b) (f <tag>)
        (defmulti f :k) (defmethod f 1 [_] 1) (defmethod f 2 [_] 2) (remove-method f 1) [(count (methods f)) (try (f {:k <small>}) (catch Throwable e :none))]
        (defmulti f :k) (defmethod f 1 [_] :one) [((get-method f 1) <any>) (get-method f 5)]
        (defmulti f :k) (defmethod f 1 [_] :one) (remove-all-methods f) (count (methods f))
        (defmulti f "doc" :k) (defmethod f nil [m] [:nil m]) (f <any>)
        (defmulti f first) (defmethod f :a [[_ x]] x) (defmethod f nil [_] :empty) (f <vec>)
        (defmulti f :k) (defmethod f :a [{:keys [k] :as m}] (f (assoc m :k :b))) (defmethod f :b [m] m) (f {:k :a :v <any>})
        (defmulti f (fn [x] (cond (nil? x) :nil (number? x) :number :else :other))) (defmethod f :number [x] (inc x)) (defmethod f :nil [_] 0) (f <any>)
        """
    ),
    "hierarchies": lines(
        """
        (derive ::a ::c) (derive ::b ::c) (derive ::c ::d) [(isa? ::a <tag>) (isa? <tag> ::d) (parents ::a) (ancestors <tag>) (descendants <tag>)]
        (derive <tag> <tag>) (derive <tag> <tag>) [(ancestors ::a) (descendants ::c)]
        (derive ::a ::b) (underive ::a ::b) [(isa? ::a ::b) (parents ::a)]
        (derive ::a ::b) (derive ::b ::c) (underive <tag> <tag>) [(ancestors ::a) (descendants ::c) (parents ::b)]
        (let [h (-> (make-hierarchy) (derive :a :b) (derive :b :c) (derive :x :c))] [(isa? h :a :c) (ancestors h <kw>) (descendants h <kw>) (parents h :b)])
        (let [h (derive (make-hierarchy) <kw> <kw>)] [(isa? h :a :b) h])
        (let [h (-> (make-hierarchy) (derive :a :b) (derive :a :c) (underive :a <kw>))] [(parents h :a) (descendants h :b)])
        [(isa? <any> <any>) (isa? <kw> <kw>)]
        (derive ::a ::b) [(isa? [::a <scalar>] [::b <scalar>]) (isa? [::a] [::b ::b]) (isa? [[::a]] [[::b]])]
        (derive ::a ::b) (derive ::b ::a)
        (derive ::a ::a)
        (derive <any> ::b) (parents <any>)
        (make-hierarchy)
        """
    ),
    "records": lines(
        """
        (defrecord P [x y]) (let [p (->P <any> <any>)] [p (:x p) (get p :y) (:z p <any>) (count p)])
        (defrecord P [x y]) (let [p (->P <any> 2)] [(assoc p :x <any>) (assoc p :z <any>) (dissoc p :x) (dissoc p :z)])
        (defrecord P [x y]) (let [p (map->P <map>)] [p (keys p) (vals p)])
        (defrecord P [x y]) [(map->P {:x <any>}) (map->P {:z 1 :x 2}) (map->P {})]
        (defrecord P [x]) [(= (->P <num>) (->P <num>)) (= (->P 1) {:x 1}) (= {:x 1} (->P 1))]
        (defrecord P [x]) (defrecord Q [x]) [(= (->P <any>) (->Q <any>)) (instance? P (->Q 1)) (instance? P (->P 1))]
        (defrecord P [x y]) (let [{:keys [x y z]} (->P <any> <any>)] [x y z])
        (defrecord P [x y]) (let [p (->P <any> <any>)] [(seq p) (first p) (into {} p) (map key p)])
        (defrecord P [x y]) (merge (->P 1 2) <map>)
        (defrecord P [x y]) (merge {:a 1} (->P <any> 2))
        (defrecord P [x]) (update (->P <any>) :x <fn1>)
        (defrecord P [x]) (let [p (->P 1)] [(contains? p :x) (contains? p <any>) (find p :x) (map? p) (record? p) (coll? p) (associative? p) (sequential? p) (ifn? p) (counted? p)])
        (defrecord P [x]) ((->P 1) :x)
        (defrecord P [x]) (conj (->P 1) [<any> <any>])
        (defrecord P [x]) (empty (->P <any>))
        (defrecord P [x]) (meta (with-meta (->P <any>) <map>))
        (defrecord P [x]) (meta (assoc (with-meta (->P 1) {:m 1}) :x 2))
        (defrecord P [x]) (->P)
        (defrecord P []) [(->P) (= (->P) (->P)) (seq (->P)) (assoc (->P) :a <any>)]
        (defrecord P [x]) (pr-str (->P <any>))
        (defrecord P [x y]) (reduce-kv (fn [a k v] (conj a [k v])) [] (->P <any> <any>))
        (defrecord P [x y]) (select-keys (->P <any> 2) [:x <any>])
        (defrecord P [x]) (get {(->P 1) :found} (->P <small>))
        (defrecord P [x]) (contains? #{(->P <num>)} (->P <num>))
        (defrecord P [x]) (assoc-in (->P {:a 1}) [:x :a] <any>)
        (defrecord P [x]) (get-in (->P <map>) [:x :a])
        (defrecord P [x]) (update-in (->P <map>) [:x :a] (fnil conj []) <any>)
        (defrecord P [x]) (walk/postwalk (fn [v] (if (number? v) (inc v) v)) {:p <num>})
        (defrecord P [x]) (= (hash (->P <num>)) (hash (->P <num>)))
        (defrecord P [x]) (zipmap (keys (->P 1)) (vals (->P <any>)))
        (defrecord P [x]) (assoc (->P 1) <any> <any>)
        (defrecord P [a b]) (sort-by :a [(->P 3 1) (->P <num> 2) (->P 1 3)])
        (defrecord P [a b]) (group-by :a [(->P 1 1) (->P <small> 2)])
        (defrecord P [a]) (defn f [^P p] (:a p)) (f <map>)
        """
    ),
    "protocols": lines(
        """
        (defprotocol Sh (area [s]) (scale [s k])) (defrecord Sq [side] Sh (area [_] (* side side)) (scale [_ k] (->Sq (* k side)))) (let [q (scale (->Sq <num>) <num>)] [q (area q)])
        (defprotocol Sh (area [s])) (extend-protocol Sh nil (area [_] :nil) String (area [s] (count s)) Number (area [n] [n])) (area <any>)
        (defprotocol Sh (area [s])) (extend-protocol Sh nil (area [_] :nil) Object (area [o] [:object o])) [(area <any>) (area nil)]
        (defprotocol Sh (area [s])) (extend-type Boolean Sh (area [b] (not b))) (extend-type Character Sh (area [c] (str c))) (area <scalar>)
        (defprotocol Sh (area [s])) (extend-type Number Sh (area [_] :number)) (extend-type Long Sh (area [_] :long)) [(area 1) (area 1.5) (area 1/2) (area <small>)]
        (defprotocol Sh (area [s]) (size [s] [s k])) (let [r (reify Sh (area [_] <any>) (size [_] 1) (size [_ k] [k]))] [(area r) (size r) (size r <any>)])
        (defprotocol Sh (area [s])) (let [x <any> r (reify Sh (area [this] x))] (area r))
        (defprotocol Sh (area [s])) [(satisfies? Sh <any>) (satisfies? Sh (reify Sh (area [_] 1)))]
        (defprotocol Sh (area [s])) (extend-type String Sh (area [s] s)) [(satisfies? Sh <scalar>) (satisfies? Sh "a")]
        (defprotocol Sh (area [s])) (defrecord P [x]) (extend-type P Sh (area [p] (:x p))) [(area (->P <any>)) (satisfies? Sh (->P 1))]
        (defprotocol Sh (area [s])) (defrecord P [x]) (extend P Sh {:area (fn [p] [(:x p)])}) (area (->P <any>))
        (defprotocol Sh (area [s])) (defrecord P [x]) (area (->P 1))
        (defprotocol Sh "doc" (area [s] "doc of area") (other [s])) (defrecord P [x] Sh (area [_] x)) [(area (->P <any>)) (try (other (->P 1)) (catch Throwable e :none))]
        (defprotocol A (fa [x])) (defprotocol B (fb [x y])) (deftype T [v] A (fa [_] v) B (fb [_ y] [v y])) (let [t (->T <any>)] [(fa t) (fb t <any>)])
        (defprotocol A (fa [x])) (deftype T [v]) (fa (->T 1))
        (defprotocol A (fa [x n])) (extend-type String A (fa [s n] (subs s n))) (fa <str> <small>)
        (defprotocol A (fa [x])) (extend-protocol A String (fa [s] (fa (count s))) Number (fa [n] [:n n])) (map fa [<str> <num>])
        (defprotocol A (fa [x])) (extend-type nil A (fa [_] :nil)) [(fa nil) (fa <scalar>)]
        (defprotocol A (fa [x])) (defrecord P [x] A (fa [this] (assoc this :x <any>))) (fa (->P 1))
        (defprotocol A (fa [x])) (defrecord P [x] A (fa [{:keys [x]}] [x])) (fa (->P <any>))
        (defprotocol A (fa [x]) (fb [x])) (defrecord P [n] A (fa [p] (if (pos? n) (fb p) :done)) (fb [_] (fa (->P (dec n))))) (fa (->P <small>))
        (defprotocol A (fa [x])) (fa)
        (defprotocol A (fa [x])) (map? A)
        """
    ),
    "definitions": lines(
        """
        (def x <num>) (defn f "doc" ([a] (f a 1)) ([a b] [a b x])) [(f <any>) (f 1 <any>)]
        (defn f ([] 0) ([a] [:one a]) ([a b] [:two a b]) ([a b & more] [:more a b more])) [(f) (f <any>) (f <any> 2) (f 1 2 <any>)]
        (defn f [& more] more) [(f) (f <any>) (apply f <coll>)]
        (defn f [a & [b & c]] [a b c]) (apply f <coll>)
        (defmacro unless [c & body] `(if ~c nil (do ~@body))) (unless <bool> <any> <any>)
        (defmacro twice [x] `(let [y# ~x] [y# y#])) (twice <any>)
        (defmacro rev [& forms] (reverse forms)) (rev <any> <any> vector)
        (defmacro m ([] 0) ([a] `[~a]) ([a & more] `(list ~a ~@more))) [(m) (m <any>) (m 1 <any>)]
        (declare g) (defn f [n] (if (pos? n) (g (dec n)) :f)) (defn g [n] (if (pos? n) (f (dec n)) :g)) (f <nat>)
        (def ^:dynamic *d* <any>) (defn f [] *d*) [(f) (binding [*d* <any>] (f)) *d*]
        (def ^:dynamic *d* 1) (def ^:dynamic *e* 2) [(binding [*d* <any> *e* *d*] [*d* *e*]) *e*]
        (def ^:dynamic *d* 1) [(try (binding [*d* 2] (/ <num> 0)) (catch Throwable e *d*)) *d*]
        (def ^:dynamic *d* 1) (binding [*d* 2] (binding [*d* (inc *d*)] [*d* (map (fn [x] x) <coll>)]))
        (def ^:dynamic *d* [0]) (binding [*d* (conj *d* 1)] (mapv #(conj *d* %) <vec>))
        (defn f [& {:keys [a b] :as m}] [a b m]) [(f :a <any>) (f {:a <any>}) (f :b 1 {:a <any>})]
        (defn f [x] {:pre [(some? x)] :post [(coll? %)]} x) (f <any>)
        (defn f [x & {:keys [k] :or {k :none}}] [x k]) [(f <any>) (f 1 :k <any>)]
        (defonce x <any>) x
        (defn- f [x] (vector x)) (f <any>)
        (def f (memoize (fn [x] (vector x)))) [(f <any>) (f <any>)]
        (def a (atom <num>)) (defn f [x] (swap! a + x)) [(f 1) (f <num>) @a]
        (def log (atom [])) (defn f [x] (swap! log conj x) x) (do (f <any>) (or (f nil) (f false) (f <any>)) @log)
        (defn fib [n] (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (fib <small>)
        (defn f [n acc] (if (pos? n) (recur (dec n) (conj acc n)) acc)) (f <small> <vec>)
        (defn f [{:keys [a] {:keys [b]} :in :or {a 1 b 2}}] [a b]) [(f <map>) (f {:in <map>})]
        (defn f [[a [b]] & [c]] [a b c]) (f <nested> <any>)
        (defn f [x] (case x 1 :one :a [x] (2 3) :few nil :nil "s" :string :none)) (map f [<scalar> <small> <any>])
        (def v <vec>) (defn f [] (count v)) [(f) (first v)]
        """
    ),
    "printing": lines(
        """
        (println <any> <any>) :done
        (prn <any>) (println <str>) <scalar>
        (doseq [x <vec>] (prn x))
        (do (println) (println <coll>) 1)
        (run! println <coll>)
        (let [x (do (prn :once) <any>)] [x x])
        (dotimes [i <small>] (println i <scalar>))
        (printf "%s|%s%n" <any> <scalar>)
        (map (fn [x] x) (do (prn 1) <coll>))
        (with-out-str (prn <any>) (print <any> <any>) (newline) (println))
        """
    ),
}

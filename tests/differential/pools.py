"""What generated expressions are made of: edge cases for each kind of argument, and forms with holes.

`<kind>` is a hole.  Expressions in a pool are whole, so that every one of them can stand anywhere.
"""

from __future__ import annotations

import re


def _lines(text: str) -> list[str]:
    return [line for line in (line.strip() for line in text.splitlines()) if line]


_INTS = "0 1 -1 2 3 7 10 42 -7 255 1000 -128 65536 2147483647 4294967296 9007199254740993"
_BIG = "9223372036854775807 -9223372036854775808 9223372036854775808N 123456789012345678901234567890 -99999999999999999999N"
_SMALL = "0 1 2 3 4 5 -1 7 10"
_RATIOS = "1/2 -1/3 22/7 7/2 -5/4 1/1000000007 4/2"
_DECIMALS = "1.50M 0M 0.0M -2.5M 1e3M 3M 100M 0.1M 1.0M"
_FLOATS = "0.0 -0.0 1.0 1.5 -2.5 0.1 1e10 1e-5 100.0 1e21 123456.789 1e7 3.0 ##Inf ##-Inf ##NaN 1e300 0.001"
_STRINGS = r'"" "a" "abc" "Hello, World" "  x  " "a,b,,c" "ab12cd3" "\n" "a\nb\r\nc" "\"q\"" "\\" "true" "Émile" "ß" "aaa" "key" "x=1;y=2" "\t" "a b c" "-12" "$1"'
_KEYWORDS = ":a :b :c :a/b :x.y/z :k1"
_SYMBOLS = "'a 'b 'x/y '+ 'if 'let"
_CHARS = r"\a \b \A \z \0 \space \newline \tab \é \\ \" \return \("
_REGEX = (
    r'#"a" #"\d+" #"(\d)(\d)?" #"[a-c]+" #"^a" #"\s+" #"," #"" #"(?i)hello" #"(a)|(b)" #"b*" #"x$" #"\w" #"." #"[^a]"'
)

POOLS: dict[str, list[str]] = {
    "int": f"{_INTS} {_INTS} {_BIG}".split(),
    "small": _SMALL.split(),
    "nat": ["0", "1", "2", "3", "5", "9", "10", "65", "97", "955"],
    "code": ["10", "32", "48", "65", "97", "122", "233", "955", "8364"],
    "pos": ["1", "2", "3", "4"],
    "ratio": _RATIOS.split(),
    "num": f"{_INTS} {_BIG} {_RATIOS} {_DECIMALS} {_FLOATS} {_SMALL}".split(),
    "str": re.findall(r'"(?:[^"\\]|\\.)*"', _STRINGS),
    "numstr": [
        '"12"',
        '"-7"',
        '"+3"',
        '"1.5"',
        '"1e3"',
        '" 1"',
        '"abc"',
        '""',
        '"true"',
        '"false"',
        '"TRUE"',
        '"1."',
        '".5"',
        '"-"',
        '"0x10"',
        '"1N"',
        '"Infinity"',
        '"NaN"',
        '"1e400"',
        '"-0.0"',
        '"1d"',
        '"00012"',
        '"99999999999999999999"',
        '"0fa1b2c3-0000-1111-2222-0123456789ab"',
        '"1-1-1-1-1"',
    ],
    "kw": _KEYWORDS.split(),
    "sym": _SYMBOLS.split(),
    "name": [*f"{_KEYWORDS} {_SYMBOLS}".split(), '"s"', '"a/b"', "nil"],
    "kwarg": [*f"{_KEYWORDS} {_SYMBOLS}".split(), '"s"', '"a/b"', '"a b"', '"/"', '"a/b/c"'],
    "char": _CHARS.split(" "),
    "bool": ["true", "false"],
    "nil": ["nil"],
    "regex": _REGEX.split(" "),
    "repl": [
        '"X"',
        '"$0$0"',
        '""',
        '"<$0>"',
        '"\\\\$"',
        '"$1"',
        '"-"',
        "string/upper-case",
        '(fn [m] (str "[" m "]"))',
        "count",
    ],
    "fmt": [
        '"%s"',
        '"%d"',
        '"%5d|"',
        '"%-5d|"',
        '"%05d"',
        '"%x"',
        '"%X"',
        '"%o"',
        '"%.2f"',
        '"%10.3f"',
        '"%e"',
        '"%s and %s"',
        '"%%"',
        '"%S"',
        '"%10s|"',
        '"%-10s|"',
        '"%c"',
        '"%b"',
        '"%+d"',
        '"%,d"',
        '"%n"',
        '"no"',
        '"%08.2f"',
        '"%q"',
        '"%"',
        '"%2$s %1$s"',
        '"%.3s"',
        '"%g"',
    ],
    "fmtarg": [
        "1",
        "-42",
        "1234567",
        "1.5",
        "-0.004",
        '"abc"',
        ":k",
        "nil",
        "[1 2]",
        "\\a",
        "true",
        "1.50M",
        "1N",
        "100.0",
        "255",
        "1/2",
        "1e10",
    ],
    "scalar": [*f"nil true false 0 1 -3 2.5 1/2 1.5M {_KEYWORDS} {_SYMBOLS} \\a".split(), '"a"', '"b"', '""'],
    "any0": [
        *f"nil true false 0 1 1.0 :a \\a 'x {_BIG}".split(),
        '""',
        '"a"',
        "[]",
        "{}",
        "()",
        "#{}",
        "[1 2]",
        "{:a 1}",
        "'(1 2)",
        "[nil]",
        "#{1}",
        "{nil nil}",
    ],
    "any": [
        *f"nil true false 0 1 -1 2.5 1/2 1.5M 1N {_KEYWORDS} \\a 'x".split(),
        '""',
        '"abc"',
        "[]",
        "{}",
        "()",
        "#{}",
        "[1 2 3]",
        "{:a 1}",
        "'(1 2 3)",
        "#{1}",
        "[nil false]",
        "{:a {:b 2}}",
        "(range 3)",
        '"x"',
        "[<scalar> <scalar>]",
        "{<kw> <scalar>}",
        "(list <scalar>)",
    ],
    "vec": [
        "[]",
        "[1 2 3]",
        "[nil]",
        "[:a :b]",
        "[[1 2] [3 4]]",
        "[<scalar> <scalar>]",
        "[1 1.0 1N]",
        '["a" "b"]',
        "[<num> <num> <num>]",
        "[3 1 2]",
        "[<any>]",
        "(vec (range 40))",
        "[\\a nil {}]",
    ],
    "list": ["()", "'(1 2 3)", "(list <scalar> <scalar>)", "'(a b c)", "(list nil)", "'((1 2) (3))"],
    "map": [
        "{}",
        "{:a 1}",
        "{:a 1, :b 2}",
        "{nil 1}",
        "{:a {:b 1}}",
        "{<kw> <scalar>}",
        '{"a" 1 :b nil}',
        "{1 :i 1.0 :f}",
        "{[1] :v}",
        "{:a nil}",
        "(sorted-map :b 1 :a 2)",
        "{:a [1 2], :b {:c 3}}",
        "{false true}",
        "{'x 1}",
    ],
    "smap": ["(sorted-map)", "(sorted-map 1 :a 2 :b 3 :c)", "(sorted-map 5 nil)"],
    "sset": ["(sorted-set)", "(sorted-set 3 1 2)", "(sorted-set 1 5 3)"],
    "oset": [
        "#{}",
        "#{1}",
        "#{1 2 3}",
        "#{:a :b}",
        "#{nil}",
        "#{<scalar>}",
        "#{1.0 1}",
        "(set <vec>)",
        "#{[1] '(2)}",
        "(sorted-set 2 3 1)",
        "#{#{1} #{}}",
    ],
    "coll": [
        "nil",
        "[]",
        "[1 2 3]",
        "'(1 2 3)",
        "()",
        "{:a 1, :b 2}",
        "{}",
        "#{}",
        "#{1}",
        '"abc"',
        '""',
        "(range 5)",
        "(map inc [1 2])",
        "(lazy-seq [1 2])",
        "(take 4 (iterate inc 1))",
        "[nil false true]",
        "[1 [2 [3]]]",
        "(sorted-set 3 1 2)",
        "(sorted-map :b 1 :a 2)",
        "(seq [1 2])",
        "(rest [1 2 3])",
        "(repeat 3 :x)",
        "(filter odd? (range 9))",
        "<vec>",
        "<list>",
        "(cons 0 [1])",
        "(reverse [1 2 3])",
        "[[:a 1] [:b 2]]",
        "(take 5 (cycle [1 2]))",
        "(concat [1] (lazy-seq [2]))",
        "<map>",
        "[1 1 2 2 1]",
        "(range 1 10 4)",
    ],
    "seqc": [
        "[1 2 3]",
        "'(1 2 3)",
        "(range 5)",
        "(map inc [1 2])",
        "nil",
        "(take 3 (range))",
        "(lazy-seq [1 2])",
        "[]",
    ],
    "stack": ["[1 2 3]", "'(1 2 3)", "nil", "[]", "()", "<vec>", "<list>"],
    "ints": [
        "[3 1 2]",
        "[]",
        "nil",
        "'(5 5 1)",
        "(range 5)",
        "[<num> <num>]",
        "[2 1.0 1/2 3M]",
        "[10 -1 9223372036854775808N]",
    ],
    "nums": ["[1 2 3]", "[]", "[1.5 2]", "(range 6)", "[1/2 1/3]", "[<num> <num>]", "nil", "[1M 2]"],
    "strs": ['["b" "a" "c"]', "[]", '["B" "a"]', "[:b :a]", "['b 'a/x 'a]", "[[2 1] [1]]", "[nil 1 nil]", "[\\b \\a]"],
    "kws": ["[:a]", "[:a :b]", "[]", "[:zz]"],
    "kwmap": ["{:a :b}", "{:a :x, :b :y}", "{}", "{:zz :a}", "{:a :a}"],
    "rel": ["#{}", "#{{:a 1 :b 2}}", "#{{:a 1 :b 2} {:a 1 :b 3} {:a 2}}", "#{{:a 1 :c 3} {:a 2 :c 4}}", "#{{:z 1}}"],
    "path": ["[:a]", "[:a :b]", "[]", "[:a :b :c]", "[nil]", "nil", "[:b 0]"],
    "pairs": ["[[:a 1] [:b 2]]", "{:a 1}", "[]", "nil", "[[1 2] [1 3]]", "(list [:x :y])"],
    "pair": ["[1 2]", "'(:a :b)", "[<any> <any>]", "[[1] [2]]"],
    "one": ["[1]", "'(:a)", "[<any>]"],
    "entry": ["[:a 1]", "[:k nil]", "{:x 1, :y 2}", "nil", "(first {:m 1})", "[1 2 3]", "[]"],
    "entryv": ["(first {:a 1})", "(find {:a 1} :a)", "(first (sorted-map 1 2))", "(first {nil nil})"],
    "nested": [
        "[[1 2] [3 [4 5]]]",
        "'((1) (2 (3)))",
        "[1 [2 [3 [4]]]]",
        "nil",
        "[]",
        "{:a [1 [2]]}",
        "[[] [[]]]",
        "[nil [nil]]",
        '["ab" ["c"]]',
        "(list [1] (range 3))",
    ],
    "fn1": [
        "inc",
        "identity",
        "str",
        "(fn [x] [x x])",
        "first",
        ":a",
        "count",
        "#(vector %)",
        "(constantly 7)",
        "not",
        "nil?",
        "{1 :one, :a 2}",
        "#{1 :a}",
        '(partial str "p")',
        "(comp str inc)",
        "keyword",
        "vec",
        "seq",
        "pr-str",
        "type-free",
    ],
    "fnsafe": ["identity", "(fn [x] (if (number? x) (inc x) x))", "(fn [x] (if (keyword? x) (name x) x))"],
    "fnnum": ["-", "identity", "inc", "(fn [x] (* x x))", "abs", "(fn [x] (mod x 3))", "(constantly 1)"],
    "fn2": [
        "+",
        "vector",
        "list",
        "str",
        "(fn [a b] [b a])",
        "conj",
        "=",
        "max",
        "(fn [a b] a)",
        "-",
        "compare",
        "cons",
        "#(list %2 %1)",
        "hash-map",
        "(fn [& more] (count more))",
        "get",
    ],
    "fn2r": ["conj", "+", "(completing conj)", "(fn ([] []) ([a] a) ([a b] (conj a b)))", "(completing + str)", "str"],
    "vecrf": ["conj", "(completing conj count)", "+", "str", "max"],
    "fnnum2": [
        "+",
        "*",
        "-",
        "max",
        "min",
        "(fn [a b] (+ a (* 2 b)))",
        "/",
        "+'",
        "(fn [a b] (if (> a 5) (reduced a) (+ a b)))",
    ],
    "fn3": [
        "(fn [acc k v] (conj (vec acc) [k v]))",
        "(fn [acc k v] (reduced k))",
        "list",
        "vector",
        "(fn [a k v] (str a k v))",
    ],
    "fnc": [
        "reverse",
        "vector",
        "(fn [x] [x x])",
        "seq",
        "range",
        "list",
        "(fn [x] (repeat 2 x))",
        "(fn [x] nil)",
        "vals",
    ],
    "fnseq": ["identity", "seq", "rest"],
    "pred": [
        "odd?",
        "nil?",
        "number?",
        "pos?",
        "some?",
        "keyword?",
        "#{1 2}",
        "identity",
        "(fn [x] (= x 1))",
        "(constantly true)",
        "(complement nil?)",
        ":a",
        "even?",
        "coll?",
        "sequential?",
        "string?",
        "#(< % 3)",
        "(some-fn nil? keyword?)",
        "vector?",
        "(every-pred number? pos?)",
    ],
    "cmp": [">", "<", "compare", "(fn [a b] (compare b a))", "(comparator <)", "(comparator >)", "(fn [a b] (< b a))"],
    "test": ["<", ">", "<=", ">="],
    "low": [">", ">="],
    "high": ["<", "<="],
    "xform": [
        "(map inc)",
        "(filter odd?)",
        "(take 2)",
        "(drop 1)",
        "(mapcat list)",
        "(comp (filter number?) (map str))",
        "(partition-all 2)",
        "(dedupe)",
        "(distinct)",
        "(take-while some?)",
        "(drop-while nil?)",
        "(keep identity)",
        "(map-indexed vector)",
        "(interpose :i)",
        "(remove nil?)",
        "(take-nth 2)",
        "(partition-by odd?)",
        "(keep-indexed (fn [i x] (when (odd? i) x)))",
        "(replace {1 :one})",
        "cat",
        "(halt-when nil?)",
        "(comp (take 3) (partition-all 2) cat)",
        "(map str)",
    ],
    "charmap": ['{\\a "<a>"}', "{}", '{\\b nil, \\c "C"}', "{\\a 1}", '(fn [c] (if (= c \\a) "_" nil))'],
    "metav": [
        "^{:m 1} [1]",
        "[1]",
        "(with-meta [1] {:a 1})",
        "^:k {:a 1}",
        "1",
        "nil",
        "(with-meta 'x {:b 2})",
        "(vary-meta [1] assoc :z 1)",
        "(with-meta () {:q 1})",
        "(conj (with-meta [1] {:a 1}) 2)",
        "(rest (with-meta '(1 2) {:a 1}))",
        "(with-meta (lazy-seq [1]) {:l 1})",
        "(assoc (with-meta {:a 1} {:m 1}) :b 2)",
        "(into (with-meta [] {:m 1}) [1])",
        "(empty (with-meta [1] {:a 1}))",
        "(seq (with-meta [1] {:a 1}))",
        "(map inc (with-meta [1] {:a 1}))",
        "(merge (with-meta {} {:m 1}) {:a 1})",
    ],
    "ref": [
        "(atom <any>)",
        "(delay <any>)",
        "(volatile! <any>)",
        "(reduced <any>)",
        "(doto (atom 1) (swap! + 2))",
        "(doto (atom []) (swap! conj <any> 1))",
    ],
    "delayed": ["(delay <any>)", "(lazy-seq [1])", "(doto (delay 1) force)", "(doto (lazy-seq [1]) seq)", "1"],
    "exinfo": ['(ex-info "m" {:a 1})', '(ex-info "m" {})', "nil", "1", '(ex-info "" {:k <any>})'],
    "tvec": [
        "(conj! (transient [1]) <any>)",
        "(transient <vec>)",
        "(pop! (transient [1 2]))",
        "(assoc! (transient [1 2]) 0 <any>)",
        "(reduce conj! (transient []) <coll>)",
    ],
    "tmap": [
        "(assoc! (transient {}) <any> <any>)",
        "(dissoc! (transient {:a 1 :b 2}) :a)",
        "(conj! (transient {:a 1}) [<kw> 2])",
    ],
    "tset": ["(conj! (transient #{}) <any>)", "(disj! (transient #{1 2}) 1)"],
    "ednstr": [
        '"1"',
        '"[1 2 {:a #{1}}]"',
        '"\\"s\\""',
        '"(a b)"',
        '""',
        '"nil"',
        '":a/b"',
        '"#_1 2"',
        '"1/2"',
        '"0x1F"',
        '"\\\\a"',
        '"{:a}"',
        '"[1"',
        '"1.5M"',
        '"#inst \\"2020-01-01T00:00:00.000-00:00\\""',
        '"^:k [1]"',
        '"##Inf"',
        '"; c\\n7"',
        '"1 2"',
        '"#{1 1}"',
        '"a/b/c"',
        '"+1"',
        '"-"',
        '"1e3"',
        '"017"',
        '"2r101"',
        '":"',
        '"{1 2 1 3}"',
        '"#:n{:a 1}"',
        '"\\\\newline"',
        '"\\\\u0041"',
        '"\\"\\\\u0041\\""',
    ],
    "ednform": ["1"],
}
POOLS["fn1"] = [text for text in POOLS["fn1"] if text != "type-free"]

#: Forms, by subject.  Where a form binds names, they are used inside it only.
TEMPLATES: dict[str, list[str]] = {
    "let": _lines(
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
    "fn": _lines(
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
    "loop": _lines(
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
    "for": _lines(
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
    "choice": _lines(
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
    "threading": _lines(
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
    "state": _lines(
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
    "errors": _lines(
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
    "hash": _lines(
        """
        (= (hash <num>) (hash <num>))
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
    "lazy": _lines(
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
    "syntax": _lines(
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
    "more": _lines(
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

"""Tables of builtin calls: `(name arguments) => printed result`, or `=> !kind` for an error of that kind.

Arguments are data as the data reader reads it; `L[...]` is not needed, (1 2) is a list.  A result is compared in print.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from flowmetal.reading.data import read_data
from flowmetal.values import LanguageError, Range, Regex, keyword, print_string
from flowmetal.vm.builtins import BY_NAME

NUMBERS = r"""
(+) => 0
(+ 1 2 3) => 6
(+ 1 1/2) => 3/2
(+ 1/2 1/2) => 1
(+ 1 0.5) => 1.5
(+ 1 1.50M) => 2.50M
(+ 1 "a") => !type
(+ true 1) => !type
(+ nil) => !type
(- 5) => -5
(- 5 1 1) => 3
(*) => 1
(* 2 3 4) => 24
(* 9999999999 9999999999) => 99999999980000000001
(divide 2) => 1/2
(divide 6 3) => 2
(divide 1 3) => 1/3
(divide 1 0) => !arithmetic
(divide 1.0 0) => ##Inf
(quot 7 -2) => -3
(rem 7 -2) => 1
(rem -7 2) => -1
(mod 7 -2) => -1
(mod -7 2) => 1
(quot 1 0) => !arithmetic
(inc 1) => 2
(dec 1/2) => -1/2
(inc nil) => !type
(< 1 2 3) => true
(< 1 3 2) => false
(< 1) => true
(< "a") => true
(> 3 2 1) => true
(>= 3 3 1) => true
(<= 3 3 1) => false
(== 1 1.0) => true
(== 1 2) => false
(= 1 1.0) => false
(= 1 1N) => true
(= 1 true) => false
(= [1 2] (1 2)) => true
(= {:a 1 :b 2} {:b 2 :a 1}) => true
(not= 1 2) => true
(max 1 3 2) => 3
(min 1.5 3) => 1.5
(max 1 ##NaN) => ##NaN
(abs -3/4) => 3/4
(zero? 0.0) => true
(pos? -1) => false
(neg? -1) => true
(even? 4) => true
(odd? 4) => false
(even? 1.0) => !type
(int 3.99) => 3
(int -3.99) => -3
(int \A) => 65
(int ##Inf) => !arithmetic
(float 1/4) => 0.25
(decimal "1.50") => 1.50M
(decimal 0.1) => 0.1M
(decimal "x") => !argument
(rationalize 0.25) => 1/4
(numerator 3/4) => 3
(denominator 3/4) => 4
(NaN? ##NaN) => true
(infinite? ##-Inf) => true
(infinite? 1) => false
(bit-and 12 10) => 8
(bit-or 12 10) => 14
(bit-xor 12 10) => 6
(bit-and-not 12 10) => 4
(bit-not 0) => -1
(bit-shift-left 1 70) => 1180591620717411303424
(bit-shift-left 1 99999999) => !limit
(bit-shift-right -8 1) => -4
(bit-test 5 2) => true
(bit-set 0 3) => 8
(bit-clear 15 0) => 14
(bit-flip 4 2) => 0
(bit-and 1 1.0) => !type
(sqrt 2) => 1.4142135623730951
(integer-sqrt 17) => 4
(power 2 10) => 1024
(power 2 -2) => 1/4
(power 1.5 2) => 2.25
(power 10 9999999) => !limit
(floor -1.5) => -2
(ceil 1.2) => 2
(round 2.5) => 3
(round -2.5) => -2
(floor ##NaN) => !argument
(parse-long "42") => 42
(parse-long "-42") => -42
(parse-long "4.2") => nil
(parse-long " 42") => nil
(parse-long 42) => !type
(parse-double "1e3") => 1000.0
(parse-double "x") => nil
(parse-boolean "true") => true
(parse-boolean "yes") => nil
(parse-decimal "1.10") => 1.10M
"""

STRINGS = r"""
(str) => ""
(str nil) => ""
(str "a" \b :c d 1 nil [1 "x"]) => "ab:cd1[1 \"x\"]"
(str 1.0 1/2) => "1.01/2"
(subs "hello" 1) => "ello"
(subs "hello" 1 3) => "el"
(subs "hello" 3 9) => !index
(subs nil 0) => !type
(string-join ", " [1 nil "x"]) => "1, , x"
(string-join "" ()) => ""
(upper-case "aß") => "ASS"
(lower-case "ÄB") => "äb"
(capitalize "hELLO") => "Hello"
(trim "  a ") => "a"
(triml "  a ") => "a "
(trimr "  a ") => "  a"
(trim-newline "a\r\n\n") => "a"
(starts-with? "abc" "ab") => true
(ends-with? "abc" \c) => !type
(index-of "abc" "" 9) => 3
(disj :a) => :a
(disj false 1) => nil
(subs "abc" 1 nil) => !type
(nth #{} -1 :none) => :none
(take 0 5) => ()
(rseq (range 3 4 1)) => !type
(decimal ##Inf) => !arithmetic
(sorted-map {} 1) => !type
(sorted-set [:a {}]) => #{[:a {}]}
(find (sorted-map 1 :a) 1.0) => [1 :a]
(includes? "abc" "bc") => true
(index-of "abcabc" "c") => 2
(index-of "abcabc" "c" 3) => 5
(index-of "abc" "x") => nil
(last-index-of "abcabc" \a) => 3
(last-index-of "abcabc" "a" 2) => 0
(string-replace "aXbX" "X" "--") => "a--b--"
(string-replace "abc" \b \x) => "axc"
(string-replace-first "aXbX" "X" "") => "abX"
(string-split "a,b,,c,," ",") => ["a" "b" "" "c"]
(string-split "a,b,c" "," 2) => ["a" "b,c"]
(string-split "a,,b,," "," -1) => ["a" "" "b" "" ""]
(string-split "abc" "") => ["a" "b" "c"]
(string-split "" ",") => [""]
(split-lines "a\nb\r\nc\n") => ["a" "b" "c"]
(blank? " \t") => true
(blank? nil) => true
(blank? "a") => false
(string-reverse "abc") => "cba"
(string-repeat "ab" 3) => "ababab"
(string-repeat "ab" 99999999) => !limit
(str (string-repeat "a" 16777216) "b") => !limit
(string-escape "a<b" {\< "&lt;"}) => "a&lt;b"
(char 97) => \a
(char 55296) => !argument
(char -1) => !argument
(pad-left 7 3 \0) => "007"
(pad-right "ab" 4) => "ab  "
(pad-left 1 2 "xy") => !argument
(format "%s is %d%%" "a" 5) => "a is 5%"
(format "%5d|%-5d|%05d|%+d" 42 42 42 42) => "   42|42   |00042|+42"
(format "%,d" 1234567) => "1,234,567"
(format "%.2f" 2.675) => "2.68"
(format "%.0f" 0.5) => "1"
(format "%8.3f" -1/3) => "  -0.333"
(format "%x %X %o" 255 255 8) => "ff FF 10"
(format "%c%n" \z) => "z\n"
(format "%s" nil) => "nil"
(format "%S" "abc") => "ABC"
(format "%(d %(.1f" -42 -2.5) => "(42) (2.5)"
(format "%#x %#o %B %E" 255 8 1 ##Inf) => "0xff 010 TRUE INFINITY"
(format "%.1e %e" 0.25 123456.789) => "2.5e-01 1.234568e+05"
(format "%,s" 1) => !argument
(format "%-d" 1) => !argument
(format "%.2d" 1) => !argument
(format "%d%q" 1 2) => !argument
(format "%e" 12345.678) => "1.234568e+04"
(format "%b" nil) => "false"
(format "%d" "x") => !type
(format "%d") => !argument
(format "%q" 1) => !argument
(format "%99999999d" 1) => !limit
(format "abc%") => !argument
(name :a/b) => "b"
(namespace :a/b) => "a"
(namespace :b) => nil
(name "s") => "s"
(name 1) => !type
(keyword "a") => :a
(keyword "a" "b") => :a/b
(keyword sym) => :sym
(keyword nil) => nil
(symbol "a") => a
(symbol "a" "b") => a/b
(symbol :k) => k
(pr-str "a" \b [1]) => "\"a\" \\b [1]"
(print-str "a" \b ["c"] nil) => "a b [c] nil"
"""

COLLECTIONS = r"""
(vector 1 2) => [1 2]
(vec (1 2)) => [1 2]
(vec nil) => []
(hash-map :a 1 :b 2) => {:a 1, :b 2}
(hash-map :a) => !argument
(hash-set 1 1 2) => #{1 2}
(set [1 2 1]) => #{1 2}
(list 1 2) => (1 2)
(sorted-map 3 :c 1 :a) => {1 :a, 3 :c}
(sorted-set 3 1 2) => #{1 2 3}
(get {:a 1} :a) => 1
(get {:a nil} :a 5) => nil
(get {:a 1} :b 5) => 5
(get [1 2] 1) => 2
(get [1 2] 2) => nil
(get [1 2] -1 :no) => :no
(get #{:a} :a) => :a
(get "abc" 1) => \b
(get nil :a) => nil
(get 5 :a) => nil
(get-in {:a [{:b 1}]} [:a 0 :b]) => 1
(get-in {:a 1} [:b :c] :no) => :no
(get-in {:a 1} []) => {:a 1}
(contains? {:a nil} :a) => true
(contains? [1 2] 2) => false
(contains? #{1} 1) => true
(contains? nil 1) => false
(contains? 5 1) => !type
(find {:a 1} :a) => [:a 1]
(find {:a 1} :b) => nil
(assoc nil :a 1) => {:a 1}
(assoc {:a 1} :a 2 :b 3) => {:a 2, :b 3}
(assoc [1 2] 2 3) => [1 2 3]
(assoc [1 2] 3 3) => !index
(assoc {} :a) => !arity
(assoc 5 1 1) => !type
(assoc-in {} [:a :b] 1) => {:a {:b 1}}
(assoc-in {:a {:b 1 :c 2}} [:a :b] 3) => {:a {:b 3, :c 2}}
(dissoc {:a 1 :b 2} :a :x) => {:b 2}
(dissoc nil :a) => nil
(conj [1] 2 3) => [1 2 3]
(conj (1) 2 3) => (3 2 1)
(conj nil 1) => (1)
(conj {:a 1} [:b 2]) => {:a 1, :b 2}
(conj {:a 1} {:b 2}) => {:a 1, :b 2}
(conj #{1} 1 2) => #{1 2}
(conj 5 1) => !type
(disj #{1 2} 1) => #{2}
(into [1] (2 3)) => [1 2 3]
(into (1) [2 3]) => (3 2 1)
(into {} [[:a 1] [:b 2]]) => {:a 1, :b 2}
(into #{} [1 1]) => #{1}
(into {} [1]) => !type
(keys {:a 1 :b 2}) => (:a :b)
(keys {}) => nil
(vals {:a 1 :b 2}) => (1 2)
(keys [1]) => !type
(key [:a 1]) => !type
(val [:a 1]) => !type
(peek [1 2]) => 2
(peek (1 2)) => 1
(peek []) => nil
(pop [1 2]) => [1]
(pop (1 2)) => (2)
(pop []) => !index
(subvec [1 2 3 4] 1 3) => [2 3]
(subvec [1 2] 1) => [2]
(subvec [1 2] 3) => !index
(empty [1]) => []
(empty {:a 1}) => {}
(empty (1)) => ()
(empty 5) => nil
(zipmap [:a :b :c] [1 2]) => {:a 1, :b 2}
(select-keys {:a 1 :b 2} [:a :c]) => {:a 1}
(merge {:a 1} nil {:a 2 :b 3}) => {:a 2, :b 3}
(merge) => nil
(frequencies [1 2 1]) => {1 2, 2 1}
(rename-keys {:a 1 :b 2} {:a :b :b :a}) => {:b 1, :a 2}
(map-invert {:a 1}) => {1 :a}
(union #{1} #{2} nil) => #{1 2}
(intersection #{1 2 3} #{2 3} #{3}) => #{3}
(difference #{1 2 3} #{2}) => #{1 3}
(union nil nil) => nil
(union #{1} #{2 3}) => #{2 3 1}
(intersection nil #{1}) => nil
(difference nil #{1}) => nil
(superset? #{1 2} #{1}) => true
(superset? #{1} #{2 3}) => false
(subset? #{1} #{1 2}) => true
(subset? #{1} [1]) => !type
(destructure-map (:a 1 :b 2)) => {:a 1, :b 2}
(destructure-map (:a 1 {:b 2})) => {:a 1, :b 2}
(destructure-map ({:b 2})) => {:b 2}
(destructure-map (:a)) => :a
(destructure-map {:a 1}) => {:a 1}
(destructure-map nil) => nil
(concat-vector [1] nil (2)) => [1 2]
(to-map (:a 1)) => {:a 1}
"""

SEQUENCES = r"""
(seq []) => nil
(seq "ab") => (\a \b)
(seq {:a 1}) => ([:a 1])
(seq 5) => !type
(first nil) => nil
(rest []) => ()
(next [1]) => nil
(second [1 2]) => 2
(cons 1 nil) => (1)
(cons 1 [2]) => (1 2)
(count nil) => 0
(count "héé") => 3
(count {:a 1}) => 1
(count 5) => !type
(nth [1 2] 1) => 2
(nth (1 2) 5) => !index
(nth (1 2) 5 :no) => :no
(nth nil 0) => nil
(nth [1] -1) => !index
(nth "ab" 1) => \b
(nth {:a 1} 0) => !type
(last [1 2 3]) => 3
(last nil) => nil
(butlast [1 2 3]) => (1 2)
(butlast [1]) => nil
(reverse [1 2 3]) => (3 2 1)
(rseq [1 2]) => (2 1)
(range 0 5 2) => (0 2 4)
(range 5 0 -2) => (5 3 1)
(range 0 0 1) => ()
(range 0 1 0) => !argument
(range 0 1 1/3) => (0 1/3 2/3)
(repeat 3 :x) => (:x :x :x)
(repeat 0 :x) => ()
(repeat 99999999 :x) => !limit
(concat [1] nil (2) "a") => (1 2 \a)
(take 2 [1 2 3]) => (1 2)
(take 9 (1)) => (1)
(take -1 [1]) => ()
(drop 1 [1 2 3]) => (2 3)
(drop 9 [1]) => ()
(drop 1 (1 2)) => (2)
(nthnext [1 2 3] 2) => (3)
(nthnext [1 2 3] 3) => nil
(take-last 2 [1 2 3]) => (2 3)
(drop-last 1 [1 2 3]) => (1 2)
(take-nth 2 [1 2 3 4 5]) => (1 3 5)
(partition 2 2 [1 2 3 4 5]) => ((1 2) (3 4))
(partition 2 1 [1 2 3]) => ((1 2) (2 3))
(partition 2 2 [1 2 3] [:p]) => ((1 2) (3 :p))
(partition 3 3 [1] []) => ((1))
(partition 0 1 [1]) => !argument
(partition-all 2 2 [1 2 3]) => ((1 2) (3))
(interleave [1 2 3] [:a :b]) => (1 :a 2 :b)
(interpose 0 [1 2 3]) => (1 0 2 0 3)
(distinct [1 1.0 true 1 "1"]) => (1 1.0 true "1")
(dedupe [1 1 2 1]) => (1 2 1)
(flatten [1 [2 (3 [4])] #{5}]) => (1 2 3 4 #{5})
(flatten 5) => ()
(sort [3 1 2]) => (1 2 3)
(sort ["b" "a"]) => ("a" "b")
(sort [1 "a"]) => !type
(sort-by-keys [2 1 2] [:b :a :c]) => (:a :b :c)
(list* 1 2 [3 4]) => (1 2 3 4)
(list* nil) => nil
(indexed nil) => []
(firsts [[1 2] (3)]) => [1 3]
(firsts [[1 2] ()]) => nil
(rests [[1 2] (3)]) => [(2) ()]
(lazy? [1]) => false
(empty? "") => true
(empty? nil) => true
(empty? [1]) => false
"""

OTHER = r"""
(compare 1 2) => -1
(compare "b" "a") => 1
(compare nil 1) => -1
(compare 1 "a") => !type
(identical? :a :a) => true
(identical? [1] [1]) => false
(type 1) => :integer
(type nil) => :nil
(type [1]) => :vector
(integer? 1) => true
(integer? true) => false
(number? 1.5M) => true
(rational? 1.5) => false
(seq? (1)) => true
(seq? [1]) => false
(sequential? [1]) => true
(coll? #{}) => true
(ifn? :a) => true
(fn? :a) => false
(keyword? :a) => true
(qualified-keyword? :a/b) => true
(simple-symbol? a/b) => false
(pos-int? 1) => true
(nat-int? -1) => false
(error? 1) => false
(error-kind 1) => nil
(error :k "m" {:a 1}) => #error {:kind :k, :message "m", :data {:a 1}}
(error "k" "m") => !type
(error :k :m) => !type
(duration 90 :minutes) => #duration "PT1H30M"
(duration 1/2 :seconds) => #duration "PT0.500S"
(duration 1 :fortnights) => !argument
(duration-in #duration "P1DT2H" :hours) => 26
(time-add #inst "2026-01-31T00:00:00Z" #duration "P1D") => #inst "2026-02-01T00:00:00.000Z"
(time-add #duration "PT1S" #duration "PT2S") => #duration "PT3S"
(time-add 1 #duration "PT2S") => !type
(time-subtract #inst "2026-02-01T00:00:00Z" #inst "2026-01-31T00:00:00Z") => #duration "P1D"
(time-subtract #inst "2026-02-01T00:00:00Z" #duration "P1D") => #inst "2026-01-31T00:00:00.000Z"
(duration-scale #duration "PT3S" 1/2) => #duration "PT1.500S"
(instant 0) => #inst "1970-01-01T00:00:00.000Z"
(instant "2026-11-24T06:30:00+01:00") => #inst "2026-11-24T05:30:00.000Z"
(instant "2026-02-30") => !argument
(instant "x") => !argument
(instant-in #inst "1970-01-02T00:00:01Z" :hours) => 24
(instant-of-parts {:year 2026 :month 2 :day 29}) => !argument
(instant-of-parts {:year 2024 :month 2 :day 29 :hour 12}) => #inst "2024-02-29T12:00:00.000Z"
(json-parse "{\"a\": [1, 2.5, null, true, \"x\"]}") => {:a [1 2.5 nil true "x"]}
(json-parse "{\"a b\": 1}") => {"a b" 1}
(json-parse "{\"a\": 1}" {:keys :string}) => {"a" 1}
(json-parse "{\"a\": 1}" {:keys :other}) => !argument
(json-parse "[1") => !json
(json-parse "NaN") => !json
(json-parse "1e999") => !json
(json-parse "\"\\ud800\"") => !json
(json-parse "") => !json
(json-parse 5) => !type
(json-write {:a [1 2.5 nil true "x\n"] "b" #{}}) => "{\"a\": [1, 2.5, null, true, \"x\\n\"], \"b\": []}"
(json-write {:a/b :c}) => "{\"a/b\": \"c\"}"
(json-write ##NaN) => !argument
(json-write "é") => "\"é\""
(json-write {:a [1]} {:pretty true}) => "{\n  \"a\": [\n    1\n  ]\n}"
(json-write []) => "[]"
(re-find #"a(b)?" "xab") => ["ab" "b"]
(re-find #"a(b)?" "xa") => ["a" nil]
(re-find #"\d+" "ab12cd") => "12"
(re-find #"z" "a") => nil
(re-find "z" "a") => !type
(re-matches #"a+" "aaa") => "aaa"
(re-matches #"a+" "aab") => nil
(re-seq #"\w" "ab") => ("a" "b")
(re-seq #"z" "ab") => nil
(re-find #"\d" "٣") => nil
(re-pattern "(") => !argument
(re-split "a1b22c" #"\d+") => ["a" "b" "c"]
(re-split "a1b2c" #"\d" 2) => ["a" "b2c"]
(re-split "abc" #"") => ["a" "b" "c"]
(re-split "" #",") => [""]
(re-replace "a1b22" #"\d+" "<$0>") => "a<1>b<22>"
(re-replace "john smith" #"(\w+) (\w+)" "$2 $1") => "smith john"
(re-replace "ab" #"(?P<x>a)" "${x}${x}") => "aab"
(re-replace "a" #"a" "\\$1") => "$1"
(re-replace "a" #"a" "$3") => !argument
(re-replace "aa" #"a" "b" true) => "ba"
(re-pieces "a1b" #"\d") => [["a" "1"] ["b" nil]]
(re-quote "a.b") => "a\\.b"
(bytes->vector (bytes "é")) => [195 169]
(base64-encode "hello") => "aGVsbG8="
(hex-encode "hi") => "6869"
(url-encode "a b/ü") => "a%20b%2F%C3%BC"
(url-decode "a+b%2F") => "a b/"
(url-decode "%ff") => !argument
(parse-uuid "550e8400-e29b-41d4-a716-446655440000") => #uuid "550e8400-e29b-41d4-a716-446655440000"
(parse-uuid "x") => nil
(hex-encode (sha256 "")) => "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
(hex-encode (hmac-sha256 "k" "m")) => "b60090e3052297aeb5a080889ce2fc4bca957e756faeb4df7d31800ca1e771ec"
(bytes->string (base64-decode "aGVsbG8")) => "hello"
(base64-decode "a") => !argument
(base64-decode "!!!!") => !argument
(hex-decode "0g") => !argument
(bytes [1 256]) => !argument
"""


def rows(table: str) -> list[str]:
    return [line for line in table.splitlines() if line.strip()]


def evaluate(form: Any) -> Any:
    """Calls the builtin a form names; arguments that name a builtin in their head are calls too."""
    head, *arguments = list(form)
    info = BY_NAME[head.text]
    values = [evaluate(a) if _is_call(a) else a for a in arguments]
    if not info.accepts(len(values)):
        return keyword("arity")
    return info.function(_Unbound(), *values) if info.context else info.function(*values)


class _Unbound:
    """A process that binds no dynamic names."""

    def bindings(self) -> list[Any]:
        return []


def _is_call(value: Any) -> bool:
    items = list(value) if value.__class__.__name__ == "List" else []
    return bool(items) and items[0].__class__.__name__ == "Symbol" and items[0].text in BY_NAME


@pytest.mark.parametrize("row", rows(NUMBERS + STRINGS + COLLECTIONS + SEQUENCES + OTHER))
def test_row(row: str) -> None:
    call, _, expected = row.rpartition(" => ")
    try:
        result = evaluate(read_data(call))
        printed = "!arity" if result is keyword("arity") else print_string(result)
    except LanguageError as problem:
        printed = "!" + problem.error.kind.text
    assert printed == expected


@pytest.mark.parametrize(
    "name", ["vec", "sort", "reverse", "set", "to-set", "to-list", "frequencies", "distinct", "concat-vector"]
)
def test_no_instruction_walks_an_endless_range(name: str) -> None:
    """One instruction cannot be interrupted, so what it may walk through has a limit of its own."""
    info = BY_NAME[name]
    started = time.process_time()
    with pytest.raises(LanguageError) as refused:
        info.function(Range(0, 10**12))
    assert refused.value.error.kind is keyword("limit")
    assert time.process_time() - started < 5.0


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){20}$", "(?:a?){30}a{30}b", r"\s*\s*\s*\s*x"]
)
def test_no_pattern_takes_exponential_time(pattern: str) -> None:
    started = time.process_time()
    BY_NAME["re-find"].function(Regex(pattern), ("a" * 50_000 + " " * 50_000) + "!")
    assert time.process_time() - started < 5.0

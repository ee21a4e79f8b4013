"""What handlers, fibers, scopes, cancellation, lazy sequences and limits mean, in tables of small programs.

Every row is also played restored after every instruction and cut at several sizes, see kit.same_every_way.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flowmetal.bytecode.program import UNBOUND, Reference
from flowmetal.values import LanguageError, keyword
from flowmetal.vm import calls
from tests.vm import kit

CANCELLED = "error :flowmetal/cancelled the process was cancelled"

#: name: (program, what happens when all fibers wait, the effects in order, what it comes to)
CANCELLATION: dict[str, tuple[str, tuple[str, ...], list[str], str]] = {
    "finally performs under cancellation": (
        "(defn main [] (try (perform :long 1) (finally (perform :cleanup 2) (perform :more 3))))",
        ("cancel", "2=nil", "3=nil"),
        ["long 1", "cancel 1", "cleanup 2", "more 3"],
        CANCELLED,
    ),
    "finally inside finally": (
        "(defn main [] (try (perform :a 1) (finally (try (perform :b 2) (finally (perform :c 3))) (perform :d 4))))",
        ("cancel", "2=nil", "3=nil", "4=nil"),
        ["a 1", "cancel 1", "b 2", "c 3", "d 4"],
        CANCELLED,
    ),
    "cancelled while a finally waits: after it": (
        "(defn main [] (try (perform :a 1) (finally (perform :b 2))) (perform :c 3))",
        ("1=:x", "cancel", "2=nil"),
        ["a 1", "b 2"],
        CANCELLED,
    ),
    "catch _ does not take it": (
        "(defn main [] (try (perform :a 1) (catch _ e :swallowed)))",
        ("cancel",),
        ["a 1", "cancel 1"],
        CANCELLED,
    ),
    "a predicate does not take it": (
        "(defn main [] (try (perform :a 1) (catch (fn [e] true) e :swallowed)))",
        ("cancel",),
        ["a 1", "cancel 1"],
        CANCELLED,
    ),
    "a named catch does, and it is raised again": (
        "(defn main [] (try (try (perform :a 1) (catch :flowmetal/cancelled e (perform :log 1) (perform :b 2)))"
        " (finally (perform :c 3))))",
        ("cancel", "2=nil"),
        ["a 1", "cancel 1", "c 3"],
        CANCELLED,
    ),
    "a caught one may end well": (
        "(defn main [] (try (perform :a 1) (catch :flowmetal/cancelled e [:stopped (:kind e)])))",
        ("cancel",),
        ["a 1", "cancel 1"],
        "[:stopped :flowmetal/cancelled]",
    ),
    "a second cancellation is raised again": (
        "(defn main [] (try (try (perform :a 1) (finally (perform :b 2)))"
        " (catch :flowmetal/cancelled e (shield (perform :c 3)) :done)))",
        ("cancel", "cancel", "2=nil", "cancel", "3=nil"),
        ["a 1", "cancel 1", "b 2", "c 3"],
        ":done",
    ),
    "shield": (
        "(defn main [] (shield (perform :a 1) (perform :b 2)) (perform :c 3))",
        ("cancel", "1=nil", "2=nil"),
        ["a 1", "b 2"],
        CANCELLED,
    ),
    "an answer that came first wins": (
        "(defn main [] (let [x (perform :a 1)] (if (= x 5) :five (perform :b 2))))",
        ("1=5 cancel",),
        ["a 1"],
        ":five",
    ),
    "an error that came first wins": (
        "(defn main [] (perform :a 1))",
        ("1!bad cancel",),
        ["a 1"],
        "error :bad from outside",
    ),
    "all fibers of the scope, in order": (
        "(defn main [] (scope (async (perform :a 1)) (async (perform :b 2)) (async (perform :c 3)) (perform :d 4)))",
        ("1=1 cancel",),
        ["d 4", "a 1", "b 2", "c 3", "cancel 2", "cancel 3", "cancel 4"],
        CANCELLED,
    ),
    "while a fiber waits to leave its scope": (
        "(defn main [] (scope (async (try (perform :a 1) (finally (perform :b 2)))) :value))",
        ("cancel", "2=nil"),
        ["a 1", "cancel 1", "b 2"],
        CANCELLED,
    ),
    "to leave a scope is a suspension point": (
        "(defn main [] (let [p (async (perform :a 1) (async (perform :child 9)) :done)]\n"
        " (perform :b 2) (cancel! p) (try (await p) (catch :flowmetal/cancelled e :cancelled))))",
        ("2=nil 1=nil",),
        ["b 2", "a 1"],
        ":cancelled",
    ),
    "scopes in scopes": (
        "(defn work [n] (if (= n 0) (perform :leaf 0) (scope (async (work (dec n))) (async (work (dec n))) n)))\n"
        "(defn main [] (work 2))",
        ("cancel",),
        ["leaf 0"] * 4 + [f"cancel {n}" for n in range(1, 5)],
        CANCELLED,
    ),
    "before it begins": (
        "(defn main [] (let [p (async (perform :never 1))] (cancel! p)"
        " (try (await p) (catch :flowmetal/cancelled e (:message e)))))",
        (),
        [],
        '"cancelled by the program"',
    ),
    "a fiber cancels itself": (
        "(defn main [] (let [me (atom nil) n (atom 0)\n"
        "  p (async (perform :a 1) (cancel! @me) (loop [i 0] (when (< i 20) (swap! n inc) (recur (inc i)))) (perform :b 2))]\n"
        " (reset! me p) (try (await p) (catch :flowmetal/cancelled e @n))))",
        ("1=nil",),
        ["a 1"],
        "20",
    ),
    "a clause that runs for a shielded body": (
        "(defn main [] (handle (do (shield (perform :ask 1)) (perform :after 3))"
        " (:ask [x resume] (resume (perform :outside 2)))))",
        ("cancel", "1=nil"),
        ["outside 2"],
        CANCELLED,
    ),
    "a clause that runs for a finally": (
        "(defn main [] (handle (try (perform :a 1) (finally (perform :ask 2)))"
        " (:ask [x resume] (perform :b x) (resume (perform :c x)))))",
        ("cancel", "2=nil", "3=nil"),
        ["a 1", "cancel 1", "b 2", "c 2"],
        CANCELLED,
    ),
    "a clause that waits gives its body up": (
        "(defn main [] (handle (try (perform :ask 1) (finally (perform :cleanup 2)))"
        " (:ask [x resume] (resume (perform :outside x)))))",
        ("cancel", "2=nil"),
        ["outside 1", "cancel 1", "cleanup 2"],
        CANCELLED,
    ),
    "a finally starts fibers": (
        "(defn main [] (try (perform :a 1) (finally (all [(async (perform :b 2)) (async (perform :c 3))]))))",
        ("cancel", "2=nil", "3=nil"),
        ["a 1", "cancel 1", "b 2", "c 3"],
        CANCELLED,
    ),
    "a failing scope cancels": (
        '(defn main [] (scope (async (try (perform :a 1) (finally (perform :b 2)))) (perform :c 3) (throw (error :x "x"))))',
        ("1=nil", "3=nil"),
        ["c 3", "a 1", "cancel 2", "b 2", 'flowmetal/finally #duration "PT30S"', "cancel 4"],
        "error :x x",
    ),
    "one that waits for an awaited promise": (
        "(defn main [] (let [p (async (perform :a 1)) q (async (await p))] (perform :b 2) (cancel! q)"
        " [(try (await q) (catch :flowmetal/cancelled e :q)) (await p)]))",
        ("1=nil", "2=7"),
        ["b 2", "a 1"],
        "[:q 7]",
    ),
    "one that waits for any": (
        "(defn main [] (let [p (async (perform :a 1)) q (async (select (await [x p] x) (await [y p] y)))] (perform :b 2) (cancel! q)"
        " [(try (await q) (catch :flowmetal/cancelled e :q)) (await p)]))",
        ("1=nil", "2=7"),
        ["b 2", "a 1"],
        "[:q 7]",
    ),
    "a race": (
        "(defn main [] (let [p (async (perform :a 1)) q (async (race [p p]))] (perform :b 2) (cancel! q)"
        " [(try (await q) (catch :flowmetal/cancelled e :q)) (try (await p) (catch :flowmetal/cancelled e :p))]))",
        ("1=nil",),
        ["b 2", "a 1", "cancel 2"],
        "[:q :p]",
    ),
    "one that realizes a lazy sequence": (
        "(defn main [] (let [s (map (fn [x] (perform :a x)) (iterate inc 1)) q (async (first s))] (perform :b 2) (cancel! q)"
        " [(try (await q) (catch :flowmetal/cancelled e :q)) (first s)]))",
        ("1=nil", "3=7"),
        ["b 2", "a 1", "cancel 2", "a 1"],
        "[:q 7]",
    ),
    "one that waits for a lazy sequence": (
        "(defn main [] (let [s (map (fn [x] (perform :a x)) (iterate inc 1)) p (async (first s)) q (async (first s))]\n"
        " (perform :b 2) (cancel! q) [(try (await q) (catch :flowmetal/cancelled e :q)) (await p)]))",
        ("1=nil", "2=7"),
        ["b 2", "a 1"],
        "[:q 7]",
    ),
    "an open request": (
        "(defn main [] (let [p (request :a 1)] (cancel! p) (try (await p) (catch :flowmetal/cancelled e (:message e)))))",
        (),
        ["a 1", "cancel 1"],
        '"cancelled by the program"',
    ),
    "several requests at once": (
        "(defn main [] (let [p (async (perform :a 1)) q (async (perform :b 2))] (perform :c 3) (cancel! p) (cancel! q)"
        " (perform :log 4) :done))",
        ("1=nil",),
        ["c 3", "a 1", "b 2", "cancel 2", "cancel 3", "log 4"],
        ":done",
    ),
}

HANDLERS: dict[str, tuple[str, tuple[str, ...], list[str], str]] = {
    "give up through nested finally": (
        "(defn main [] (handle (try (try (perform :ask 1) (finally (perform :a 2))) (finally (perform :b 3)))"
        " (:ask [x resume] [:gave-up x])))",
        ("1=nil", "2=nil"),
        ["a 2", "b 3"],
        "[:gave-up 1]",
    ),
    "give up in two fibers at once": (
        "(defn work [n] (try (perform :ask n) (finally (perform :cleanup n))))\n"
        "(defn main [] (handle (all [(async (work 1)) (async (work 2))]) (:ask [x resume] (* 10 x))))",
        ("2=nil", "1=nil"),
        ["cleanup 1", "cleanup 2"],
        "[10 20]",
    ),
    "a finally of a body given up performs the same effect": (
        "(defn main [] (handle (try (perform :ask 1) (finally (perform :log (perform :ask 2))))"
        " (:ask [x resume] (if (= x 1) :first (resume :again)))))",
        (),
        ["log :again"],
        ":first",
    ),
    "and is given up in its turn: what the first said stands": (
        "(defn main [] (handle (try (perform :ask 1) (finally (perform :ask 2) (perform :log :not-reached)))"
        " (:ask [x resume] [:gave-up x])))",
        (),
        [],
        "[:gave-up 1]",
    ),
    "the same after an error": (
        "(defn main [] (try (handle (try (perform :ask 1) (finally (perform :ask 2)))"
        ' (:ask [x resume] (if (= x 1) (throw (error :no "no")) :second))) (catch :no e :caught)))',
        (),
        [],
        ":caught",
    ),
    "an error in a finally of a body given up takes its place": (
        '(defn main [] (try (handle (try (perform :ask 1) (finally (throw (error :in-finally "f"))))'
        " (:ask [x resume] :value)) (catch :in-finally e :caught)))",
        (),
        [],
        ":caught",
    ),
    "catch _ does not see a body given up": (
        "(defn main [] (handle (try (perform :ask 1) (catch _ e (perform :log :seen))) (:ask [x resume] :value)))",
        (),
        [],
        ":value",
    ),
    "a scope with fibers in the body given up": (
        "(defn main [] (handle (scope (async (try (perform :a 1) (finally (perform :b 2)))) (perform :now 0) (perform :ask 3))"
        " (:ask [x resume] (perform :c 4))))",
        ("1=nil", "3=:value", "4=nil"),
        ["now 0", "a 1", "c 4", "cancel 2", "b 2", 'flowmetal/finally #duration "PT30S"', "cancel 5"],
        ":value",
    ),
    "a scope in the body while the clause waits": (
        "(defn main [] (handle (scope (let [p (async (perform :a 1))] [(perform :ask 2) (await p)]))"
        " (:ask [x resume] (resume (perform :b x)))))",
        ("2=20", "1=10"),
        ["b 2", "a 1"],
        "[10 20]",
    ),
    "resume, then go on": (
        "(defn main [] (handle [(perform :ask 1) (perform :ask 2)]"
        " (:ask [x resume] (let [v (resume (* x 10))] (perform :log x) (conj v x)))))",
        (),
        ["log 2", "log 1"],
        "[10 20 2 1]",
    ),
    "resume without an argument": (
        "(defn main [] (handle [(perform :ask 1)] (:ask [x resume] (resume))))",
        (),
        [],
        "[nil]",
    ),
    "an error after resume": (
        '(defn main [] (try (handle (perform :ask 1) (:ask [x resume] (resume 1) (throw (error :late "late"))))'
        " (catch :late e :caught)))",
        (),
        [],
        ":caught",
    ),
    "an error in the resumed body passes the clause": (
        '(defn main [] (handle (do (perform :ask 1) (throw (error :body "b")))'
        " (:ask [x resume] (try (resume 1) (catch :body e :caught-in-clause)))))",
        (),
        [],
        ":caught-in-clause",
    ),
    "the clause is outside its own handle": (
        "(defn main [] (handle (handle (perform :ask 1) (:ask [x resume] (resume (perform :ask 2))))"
        " (:ask [x resume] (resume [:outer x]))))",
        (),
        [],
        "[:outer 2]",
    ),
    "resume twice": (
        "(defn main [] (try (handle (perform :ask 1) (:ask [x resume] (resume 1) (resume 2))) (catch :resume e :refused)))",
        (),
        [],
        ":refused",
    ),
    "resume after the clause has ended": (
        "(defn main [] (let [kept (atom nil)] (handle (perform :ask 1) (:ask [x resume] (reset! kept resume) :ended))"
        " (try (@kept 1) (catch :resume e :refused))))",
        (),
        [],
        ":refused",
    ),
    "resume in another fiber": (
        "(defn main [] (handle (perform :ask 1)"
        " (:ask [x resume] (try (await (async (resume 1))) (catch :resume e (resume [:refused (:message e)]))))))",
        (),
        [],
        '[:refused "a body is resumed in the fiber that performed the effect"]',
    ),
    "resume with too many arguments": (
        "(defn main [] (handle (perform :ask 1) (:ask [x resume] (try (resume 1 nil 3) (catch :arity e (resume :refused))))))",
        (),
        [],
        ":refused",
    ),
    "resume in the clause of another body": (
        "(defn main [] (let [kept (atom nil)]\n"
        " (handle (handle (perform :a 1) (:a [x resume] (reset! kept resume) (perform :log 1) (perform :b 2)))"
        " (:b [x resume] (try (@kept :never) (catch :resume e :refused))))))",
        (),
        ["log 1"],
        ":refused",
    ),
    "a clause resumes the body of the clause around it": (
        "(defn main [] (handle (inc (perform :a 1))"
        " (:a [x outer] (handle (perform :b 2) (:b [y inner] [:b (outer 10)])))))",
        (),
        [],
        "[:b 11]",
    ),
    "request under a handler": (
        "(defn main [] (handle (let [p (request :ask 1) q (request :ask 2)] [(await q) (await p)])"
        " (:ask [x resume] (resume (perform :outside x)))))",
        ("2=:two", "1=:one"),
        ["outside 1", "outside 2"],
        "[:two :one]",
    ),
    "request under a handler that gives up": (
        "(defn main [] (handle (await (request :ask 1)) (:ask [x resume] [:gave-up x])))",
        (),
        [],
        "[:gave-up 1]",
    ),
    "request under a handler that throws": (
        '(defn main [] (handle (try (await (request :ask 1)) (catch :no e :caught)) (:ask [x resume] (throw (error :no "n")))))',
        (),
        [],
        ":caught",
    ),
    "bindings of the body do not reach the clause": (
        "(def ^:dynamic *x* 1)\n"
        "(defn main [] (binding [*x* 2] (handle (binding [*x* 3] [(perform :ask nil) *x*])"
        " (:ask [_ resume] (resume (do (perform :log *x*) *x*))))))",
        (),
        ["log 2"],
        "[2 3]",
    ),
    "the clause of a fiber's own copy": (
        "(defn main [] (handle (let [p (async (perform :ask 1)) q (async (perform :ask 2))] [(await p) (await q)])"
        " (:ask [x resume] (let [y (perform :outside x)] (resume (* y 100))))))",
        ("2=2", "1=1"),
        ["outside 1", "outside 2"],
        "[100 200]",
    ),
}

FIBERS: dict[str, tuple[str, tuple[str, ...], list[str], str]] = {
    "several wait for one promise: in the order of their numbers": (
        "(defn main [] (let [p (async (perform :p 1)) seen (atom [])\n"
        "  a (async (perform :first 1) (await p) (swap! seen conj :a)) b (async (await p) (swap! seen conj :b))]\n"
        " (await a) (await b) @seen))",
        ("2=nil", "1=:x"),
        ["p 1", "first 1"],
        "[:a :b]",
    ),
    "and all get its error": (
        "(defn main [] (let [p (async (perform :p 1)) f (fn [] (try (await p) (catch :bad e (:message e))))]\n"
        " (all [(async (f)) (async (f)) (async (f))])))",
        ("1!bad",),
        ["p 1"],
        '["from outside" "from outside" "from outside"]',
    ),
    "ready in the order of events": (
        "(defn main [] (let [seen (atom []) f (fn [n] (perform :wait n) (swap! seen conj n))]\n"
        " (all [(async (f 1)) (async (f 2)) (async (f 3))]) @seen))",
        ("3=nil 1=nil 2=nil",),
        ["wait 1", "wait 2", "wait 3"],
        "[3 1 2]",
    ),
    "await-any": (
        "(defn main [] (let [p (request :a 1) q (request :b 2)] (await p {:timeout 5s :else :late})))",
        ("3=nil",),
        ["a 1", "b 2", 'sleep #duration "PT5S"'],
        ":late",
    ),
    "await-any takes the first that is settled": (
        "(defn main [] (let [p (request :a 1) q (request :b 2)] (perform :c 3) (race [p q])))",
        ("2=:q", "1=:p", "3=nil"),
        ["a 1", "b 2", "c 3"],
        ":p",
    ),
    "an error nobody awaits": (
        "(defn main [] (async (perform :a 1)) (perform :b 2))",
        ("2!bad", "1=:value"),
        ["b 2", "a 1"],
        "error :bad from outside",
    ),
    "the first error nobody awaits": (
        "(defn main [] (async (perform :a 1)) (async (perform :b 2)) :value)",
        ("2!second", "1!first"),
        ["a 1", "b 2"],
        "error :second from outside",
    ),
    "an error that was awaited": (
        "(defn main [] (let [p (async (perform :a 1))] (try (await p) (catch :bad e nil)) (perform :b 2)))",
        ("1!bad", "2=:fine"),
        ["a 1", "b 2"],
        ":fine",
    ),
    "an error whose only waiter was cancelled is not lost": (
        "(defn main [] (let [p (async (perform :a 1)) q (async (await p))] (perform :b 2) (cancel! q) :value))",
        ("1=nil 2!bad",),
        ["b 2", "a 1"],
        "error :bad from outside",
    ),
    "many failures awaited": (
        '(defn main [] (loop [i 0] (if (< i 20) (do (try (await (async (throw (error :x "x")))) (catch :x e nil)) (recur (inc i)))'
        " (perform :a i))))",
        ("1=:fine",),
        ["a 20"],
        ":fine",
    ),
    "await in swap!": (
        "(defn main [] (let [p (async (perform :a 1)) c (atom 1)]\n"
        " [(try (swap! c (fn [x] (await p))) (catch :atomic e :refused)) @c (await p)]))",
        ("1=5",),
        ["a 1"],
        "[:refused 1 5]",
    ),
    "a settled promise in swap!": (
        "(defn main [] (let [p (async (perform :a 1)) c (atom 1)] (await p) (swap! c (fn [x] (+ x (await p))))))",
        ("1=5",),
        ["a 1"],
        "6",
    ),
    "async in swap!": (
        "(defn main [] (let [c (atom 1)] [(try (swap! c (fn [x] (async 1))) (catch :atomic e :refused)) @c]))",
        (),
        [],
        "[:refused 1]",
    ),
    "a handler inside swap!": (
        "(defn main [] (let [c (atom 1)] (swap! c (fn [x] (handle (+ x (perform :ask 5)) (:ask [y resume] (resume y)))))))",
        (),
        [],
        "6",
    ),
    "a lazy sequence of another fiber in swap!": (
        "(defn main [] (let [s (map (fn [x] (perform :a x)) (iterate inc 1)) p (async (first s)) c (atom 1)] (perform :b 0)\n"
        " [(try (swap! c (fn [x] (first s))) (catch :atomic e :refused)) (await p)]))",
        ("1=nil", "2=7"),
        ["b 0", "a 1"],
        "[:refused 7]",
    ),
}

LAZINESS: dict[str, tuple[str, tuple[str, ...], list[str], str]] = {
    "one fiber realizes, the others wait": (
        "(defn main [] (let [s (map (fn [x] (perform :a x)) (iterate inc 1))]"
        " (all [(async (first s)) (async (first s)) (async (take 2 s))])))",
        ("1=:x", "2=:y"),
        ["a 1", "a 2"],
        "[:x :x (:x :y)]",
    ),
    "an error is not kept": (
        "(defn main [] (let [s (map (fn [x] (perform :a x)) (iterate inc 1))]"
        " [(try (first s) (catch :bad e :bad)) (first s) (first s)]))",
        ("1!bad", "2=:x"),
        ["a 1", "a 1"],
        "[:bad :x :x]",
    ),
    "who waited tries again": (
        "(defn main [] (let [s (map (fn [x] (perform :a x)) (iterate inc 1)) f (fn [] (try (first s) (catch :bad e :bad)))]"
        " (all [(async (f)) (async (f))])))",
        ("1!bad", "2=:x"),
        ["a 1", "a 1"],
        "[:bad :x]",
    ),
    "it needs itself": (
        "(defn main [] (let [c (atom nil)] (reset! c (lazy-seq (cons 1 (rest @c)))) (try (count @c) (catch :argument e :itself))))",
        (),
        [],
        ":itself",
    ),
    "its body gives one that another fiber realizes": (
        "(defn main [] (let [s (lazy-seq (list (perform :a 1))) t (lazy-seq (do (perform :b 2) s))]"
        " (all [(async (first s)) (async (first t)) (async (first t))])))",
        ("2=nil", "1=:x"),
        ["a 1", "b 2"],
        "[:x :x :x]",
    ),
    "and that one fails": (
        "(defn main [] (let [s (lazy-seq (list (perform :a 1))) t (lazy-seq (do (perform :b 2) s))]"
        " (all [(async (try (first s) (catch :bad e :bad))) (async (first t))])))",
        ("2=nil", "1!bad", "3=:x"),
        ["a 1", "b 2", "a 1"],
        "[:bad :x]",
    ),
    "lazy in lazy in lazy": (
        "(defn down [n] (lazy-seq (if (= n 0) (list (perform :a 1)) (down (dec n)))))\n(defn main [] (first (down 20)))",
        ("1=:x",),
        ["a 1"],
        ":x",
    ),
    "a handler below takes what the body performs": (
        "(defn main [] (let [s (map (fn [x] (perform :ask x)) (iterate inc 1))]"
        " [(handle (first s) (:ask [x resume] :gave-up)) (handle (first s) (:ask [x resume] (resume [:answer x])))]))",
        (),
        [],
        "[:gave-up [:answer 1]]",
    ),
    "the result is realized": (
        "(defn main [] {:a (map (fn [x] (perform :a x)) (take 2 (iterate inc 1)))})",
        ("1=:x", "2=:y"),
        ["a 1", "a 2"],
        "{:a (:x :y)}",
    ),
    "a payload is realized": (
        "(defn main [] (perform :send (map inc (take 2 (iterate inc 1)))))",
        ("1=:sent",),
        ["send (2 3)"],
        ":sent",
    ),
}

ROWS = {
    f"{group}: {name}": row
    for group, table in (
        ("cancellation", CANCELLATION),
        ("handlers", HANDLERS),
        ("fibers", FIBERS),
        ("laziness", LAZINESS),
    )
    for name, row in table.items()
}


@pytest.mark.parametrize("name", ROWS)
def test_meaning(name: str) -> None:
    source, events, log, outcome = ROWS[name]
    played = kit.same_every_way(source, *events)
    assert played.outcome == outcome
    assert played.log == log


def test_a_cell_that_its_module_leaves_out_is_unbound(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a hostile artifact may have it: named as one of each process, and without a value."""
    program = SimpleNamespace(modules={})
    module = SimpleNamespace(references=[Reference("t", "cell")])
    process: Any = SimpleNamespace(program=program, globals={})
    code: Any = SimpleNamespace(code=SimpleNamespace(module=module))
    monkeypatch.setattr(calls, "find_global", lambda *_: SimpleNamespace(mutable=True, value=UNBOUND))
    monkeypatch.setattr(calls, "instantiate", lambda _: {})
    with pytest.raises(LanguageError) as raised:
        calls.global_value(process, code, 0)
    assert raised.value.error.kind == keyword("unbound")

"""Sessions: forms one after the other, names that are defined again, failures that change nothing, bounds."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flowmetal.diagnostics import CompileFailed, FlowmetalError
from flowmetal.engine import prompt_process
from flowmetal.engine.session import Bounds, Session
from flowmetal.values import LanguageError
from flowmetal.vm import Finished


def session(**bounds: Any) -> tuple[Session, list[str]]:
    lines: list[str] = []
    return Session(lines.append, Bounds(**bounds)), lines


def shown(made: Session, text: str) -> str:
    return made.printed(made.last(text))


def code_of(made: Session, text: str) -> str:
    """The code of the error that a text ends with."""
    try:
        made.printed(made.last(text))
    except CompileFailed as failed:
        return failed.diagnostics[0].code
    except LanguageError as error:
        return f":{error.error.kind.text}"
    except FlowmetalError as error:
        return error.code
    raise AssertionError(f"no error: {text}")


FORMS = [
    ("1", "1"),
    ("", "nil"),
    ("1 2 3", "3"),
    ("(def x 1)", "user/x"),
    ("(def x 1) (defn f [] x) (def x 2) (f)", "2"),
    ("(defn f [] 1) (defn g [] (f)) (defn f [] 2) (g)", "2"),
    ("(def f inc) (defn g [x] (f x)) (def f dec) (g 1)", "0"),
    ("(defn f [x] x) (defn f [x y] (if (= x 0) y (f (dec x) y))) (f 3 :end)", ":end"),
    ("(defmacro m [] 1) (m) (defn m [] 2) (m)", "2"),
    ("(def a (atom 1)) (swap! a inc) (swap! a inc) @a", "3"),
    ("(def s (map inc (range))) (take 3 s)", "(1 2 3)"),
    ("(do (def a 1) (def b (inc a))) b", "2"),
    ("(let [n 5] (defn f [] n)) (let [n 6] (defn g [] n)) [(f) (g)]", "[5 6]"),
    ("1 2 3 [*1 *2 *3]", "[3 2 1]"),
    ('(require \'[string :as s]) (s/upper-case "a")', '"A"'),
    ("(ns shop (:require [set :as sets])) (def x 1) (ns user) (require '[shop :as s]) s/x", "1"),
    ("(def x 7) (in-ns 'other) (def x 8) (in-ns 'user) [x other/x]", "[7 8]"),
    ("(macroexpand-1 '(when-not 1 2))", "(if 1 nil (do 2))"),
    ("(await (async (+ 1 2)))", "3"),
    ("(def ^:dynamic *d* 1) (defn f [] *d*) [(f) (binding [*d* 2] (f))]", "[1 2]"),
    ("(uuid? (uuid))", "true"),
    ("(sleep 1ms)", "nil"),
    ("(defmulti area :k) (defmethod area :a [_] 1) (defmethod area :a [_] 2) (area {:k :a})", "2"),
    ("(defeffect my/effect [x]) (handle (my/effect 1) (my/effect [x resume] (resume (inc x))))", "2"),
    ('(try (throw (ex-info "no" {})) (catch _ e :caught))', ":caught"),
]


@pytest.mark.parametrize(("text", "expected"), FORMS, ids=[text for text, _ in FORMS])
def test_forms(text: str, expected: str) -> None:
    assert shown(session()[0], text) == expected


ERRORS = [
    ("(foo)", "A101"),
    ("(defn f [] (later))", "A101"),
    ("(defn f [x] x) (f 1 2)", "A109"),
    ("(", "R001"),
    ("((fn [x] x) 1 2)", "A109"),
    ("(let [f (fn [x] x)] (f 1 2))", "A109"),
    ("(+ 1 :a)", ":type"),
    ('(throw (ex-info "x" {}))', ":error"),
    ("(ns string)", "A160"),
    ("(require '[nowhere])", "A131"),
    ("(doc nothing-of-the-kind)", "A162"),
    ("(doc 1)", "A161"),
    ("(in-ns 1)", "A161"),
    ("(source if)", "A163"),
    ("(perform :nobody/serves 1)", ":flowmetal/unserved"),
    ("(self)", ":flowmetal/not-at-the-prompt"),
    ("(do (register :me) 1)", ":flowmetal/not-at-the-prompt"),
    ("(monitor :other)", ":flowmetal/not-at-the-prompt"),
    ("(publish :all 1)", ":flowmetal/not-at-the-prompt"),
    ("(range)", "U122"),
    ("(iterate inc 0)", "U122"),
    ("(loop [] (recur))", ":flowmetal/limit"),
    ("(defn f [n] (inc (f n))) (f 1)", ":flowmetal/limit"),
    ("(loop [v []] (recur (conj v (vec (range 1000)))))", ":flowmetal/limit"),
    ("(defmacro m [] `(do (m) (m))) (m)", "A104"),
    ("(defmacro m [] `[(m) (m)]) (m)", "A104"),
    ("(defmacro m [] (loop [] (recur))) (m)", "M101"),
    ("(" * 3000, "R001"),
]


@pytest.mark.parametrize(("text", "code"), ERRORS, ids=[text[:60] for text, _ in ERRORS])
def test_errors(text: str, code: str) -> None:
    made, _ = session(fuel=300_000, heap=100_000, frames=50_000, seconds=20.0, characters=10_000, print_fuel=50_000)
    assert code_of(made, text) == code
    assert shown(made, "(+ 1 2)") == "3"


def test_a_form_that_fails_changes_nothing() -> None:
    made, _ = session()
    made.last("(def x 1) (defn f [] x)")
    assert code_of(made, '(def x (throw (ex-info "no" {})))') == ":error"
    assert code_of(made, "(do (def x 2) (def y 3) (foo))") == "A101"
    assert code_of(made, '(do (def x 2) (throw (ex-info "no" {})))') == ":error"
    assert shown(made, "[x (f)]") == "[1 1]"
    assert code_of(made, "y") == "A101"
    assert code_of(made, "(ns lost (:require [nowhere]))") == "A131"
    assert (made.namespace, code_of(made, "nowhere/x")) == ("user", "A105")


def test_aliases_of_earlier_texts_are_known_to_the_reader() -> None:
    made, _ = session()
    made.last("(require '[string :as s])")
    assert shown(made, "[::s/x ::y]") == "[:string/x :user/y]"


def test_the_error_is_kept() -> None:
    made, _ = session()
    code_of(made, '(throw (ex-info "no" {:a 1}))')
    assert shown(made, "(ex-data *e)") == "{:a 1}"


def test_a_lazy_sequence_that_was_stopped_can_be_tried_again() -> None:
    made, _ = session(fuel=100_000)
    made.last("(def go (atom false)) (def s (lazy-seq (loop [] (if @go [1 2] (recur)))))")
    assert code_of(made, "(first s)") == ":flowmetal/limit"
    assert shown(made, "(reset! go true) (first s)") == "1"


def test_what_is_printed_is_told_as_it_happens() -> None:
    made, lines = session()
    values = made.evaluate('(println "a" 1) (println "b")')
    next(values)
    assert lines == ["a 1"]
    next(values)
    assert lines == ["a 1", "b"]


def test_interrupting_a_loop_keeps_the_session() -> None:
    made, lines = session()
    made.last("(def x 1)")
    timer = threading.Timer(0.2, made.interrupt)
    timer.start()
    with pytest.raises(LanguageError) as raised:
        made.last('(try (loop [] (recur)) (finally (println "cleaned")))')
    assert raised.value.error.kind.text == "flowmetal/interrupted"
    assert (lines, shown(made, "x")) == (["cleaned"], "1")


def test_sessions_share_nothing() -> None:
    first, second = session()[0], session()[0]
    first.last("(def x 1)")
    assert code_of(second, "x") == "A101"


def test_doc_source_apropos_and_completion() -> None:
    made, lines = session()
    made.last('(defn twice\n  "Two times x."\n  [x]\n  (* 2 x))\n(def other 1)')
    made.last("(doc twice) (source twice)")
    assert lines[0].split("\n") == ["user/twice", "  [x]", "  Two times x."]
    assert lines[1] == '(defn twice\n  "Two times x."\n  [x]\n  (* 2 x))'
    assert "split-at" in shown(made, '(apropos "split-")')
    assert [one.name for one in made.complete("twi")] == ["twice"]
    assert "string/upper-case" in [one.name for one in made.complete("string/upper")]
    assert made.complete("\ud800") == []


def test_an_interrupt_just_before_the_end_of_a_form_ends_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """It arrives when the first form has its value: what comes after that form must not run."""
    made, lines = session(fuel=2_000_000)

    def run_and_interrupt(*arguments: Any) -> Any:
        outcome = machine_run(*arguments)
        if isinstance(outcome, Finished):
            made.interrupt()
        return outcome

    machine_run = prompt_process.run
    monkeypatch.setattr(prompt_process, "run", run_and_interrupt)
    with pytest.raises(LanguageError) as raised:
        made.last('(println "seen") (loop [] (recur))')
    assert raised.value.error.kind.text == "flowmetal/interrupted"
    assert lines == ["seen"]
    monkeypatch.undo()
    assert shown(made, "(+ 1 2)") == "3"

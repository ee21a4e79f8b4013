"""Contracts: what the compiler proves is what the check at run time finds, of any contract and any value."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowmetal.compiler import compile_module
from flowmetal.diagnostics import CompileFailed
from flowmetal.values import print_string
from flowmetal.vm.builtins import BUILTINS
from flowmetal.vm.evaluate import CompileTime

from .support import codes_of, library

PLAIN = [
    ("int?", "5"), ("pos-int?", "7"), ("string?", '"a"'), ("keyword?", ":k"), ("nil?", "nil"), ("boolean?", "true"),
    ("map?", "{:z 1}"), ("vector?", "[1 :a]"), ("number?", "1.5"), ("#{:a :b}", ":b"), ("(enum 1 :x)", "1"),
]  # fmt: skip

#: (contract, a value that keeps it), as source.
Pair = tuple[str, str]


def _shapes(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    pairs = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        inner.map(lambda p: (f"[{p[0]}]", f"[{p[1]} {p[1]}]")),
        inner.map(lambda p: (f"(maybe {p[0]})", "nil")),
        inner.map(lambda p: (f"(map-of keyword? {p[0]})", f"{{:p {p[1]} :q {p[1]}}}")),
        inner.map(lambda p: (f"(set-of {p[0]})", f"#{{{p[1]}}}")),
        pairs.map(lambda ps: (f"[{' '.join(p[0] for p in ps)}]", f"[{' '.join(p[1] for p in ps)}]")),
        pairs.map(lambda ps: (f"(or {' '.join(p[0] for p in ps)})", ps[-1][1])),
        pairs.map(lambda ps: (f"{{:a {ps[0][0]} (optional :b) {ps[1][0]}}}", f"{{:a {ps[0][1]} :b {ps[1][1]}}}")),
        pairs.map(lambda ps: (f"{{:a {ps[0][0]} (optional :b) {ps[1][0]}}}", f"{{:a {ps[0][1]}}}")),
    )


PAIRS = st.recursive(st.sampled_from(PLAIN), _shapes, max_leaves=6)


def checked(contract: str, value: str) -> str:
    """What the check at run time says: a function that is called in a way the compiler cannot see through."""
    text = (
        f"(defn f [x :- {contract}] :kept)\n(defn call [g v] (try (g v) (catch :contract e :broken)))\n"
        f"(def result (call f '{value}))"
    )
    module = compile_module(text, "t.fm", libraries=library(), evaluate=CompileTime(), builtins=BUILTINS)
    return print_string(module.globals["result"].value)


def proven(contract: str, value: str) -> list[str]:
    return [one.split()[0] for one in codes_of(f"(defn f [x :- {contract}] x)\n(defn g [] (f '{value}))")]


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_what_keeps_a_contract_gives_no_diagnostic(pair: Pair) -> None:
    assert checked(*pair) == ":kept"
    assert proven(*pair) == []


@settings(max_examples=80, deadline=None)
@given(PAIRS, PAIRS)
def test_what_is_proven_is_what_happens(one: Pair, other: Pair) -> None:
    broken = checked(one[0], other[1]) == ":broken"
    assert proven(one[0], other[1]) == (["C102"] if broken else [])


@settings(max_examples=60, deadline=None)
@given(PAIRS, PAIRS)
def test_results_flow_into_arguments(one: Pair, other: Pair) -> None:
    """A function whose result keeps a contract: what it can give is never reported where it would be taken."""
    text = (
        f"(defn give [x] :- {one[0]} x)\n(defn take-it [x :- {other[0]}] :kept)\n"
        "(defn main [v] (take-it (give v)))\n"
        f"(defn call [v] (try (main v) (catch :contract e :broken)))\n(def result (call (first ['{one[1]}])))"
    )
    try:
        module = compile_module(text, "t.fm", libraries=library(), evaluate=CompileTime(), builtins=BUILTINS)
    except CompileFailed as failed:
        assert {found.code for found in failed.diagnostics} == {"C103"}
        assert checked(other[0], one[1]) == ":broken"
        return
    assert print_string(module.globals["result"].value) == checked(other[0], one[1])


def test_disjoint_kinds_are_reported() -> None:
    for left, right in [
        ("string?", "int?"),
        ("[int?]", "map?"),
        ("(maybe keyword?)", "string?"),
        ("#{1 2}", "keyword?"),
    ]:
        text = f"(defn give [x] :- {left} x)\n(defn f [x :- {right}] x)\n(defn g [v] (f (give v)))"
        assert codes_of(text) == ["C103 3:16"]

"""Any source gives a verified module or diagnostics, the same ones every time; never a Python traceback."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.bytecode.fmc import decode_artifact, encode_artifact
from flowmetal.bytecode.link import link
from flowmetal.bytecode.program import Module
from flowmetal.bytecode.verify import verify_module
from flowmetal.compiler import compile_module, compile_project
from flowmetal.vm.builtins import BUILTINS
from flowmetal.vm.evaluate import CompileTime

from .support import builtin_arity, compile_text, diagnostics, library, library_sources, listing, result

WORDS = (
    "def defn defmacro defeffect fn let letfn loop recur if do quote syntax-quote throw try catch finally ns perform "
    'request handle binding unquote unquote-splicing & _ x y f nil true 1 1.5 :k :- :keys :or :as "s" \\a #{} x# a/b '
    "string/join map inc when cond -> for fn* :require :refer %1 flowmetal.core/%apply flowmetal.core/%region"
)
ATOMS = st.sampled_from(WORDS.split())
FORMS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5).map(lambda parts: f"({' '.join(parts)})"),
        st.lists(inner, max_size=4).map(lambda parts: f"[{' '.join(parts)}]"),
        st.lists(inner, max_size=2).map(lambda parts: f"{{{' '.join(parts)}}}"),
        inner.map(lambda form: f"`{form}"),
        inner.map(lambda form: f"~@{form}"),
        inner.map(lambda form: f"^:private {form}"),
    ),
    max_leaves=25,
)
HEADS = st.sampled_from(
    ["defn f [x]", "def y", "let [x 1]", "defmacro m [x]", "loop [x 1]", "try", "fn", "handle x", "do"]
)


@given(st.lists(st.tuples(HEADS, st.lists(FORMS, max_size=4)), min_size=1, max_size=3))
def test_forms_in_disorder(parts: list[tuple[str, list[str]]]) -> None:
    source = "\n".join(f"({head} {' '.join(forms)})" for head, forms in parts)
    diagnostics(source)


@given(st.text(alphabet="()[]{}`~@^#'\"\\:;%&/ \nabxdef1.", max_size=60))
def test_characters_in_disorder(text: str) -> None:
    diagnostics(text)


@pytest.mark.parametrize("count", [900, 1000, 1001, 100_000])
@pytest.mark.parametrize(
    "around", [("(do ", ")"), ("[", "]"), ("(fn [] ", ")"), ("(let [x ", "] x)"), ("(if 1 2 ", ")")]
)
def test_deep_nesting_is_compiled_or_reported(count: int, around: tuple[str, str]) -> None:
    limit = sys.getrecursionlimit()
    found = diagnostics(f"(def f (fn [] {around[0] * count}1{around[1] * count}))")
    assert {diagnostic.code for diagnostic in found} <= {"A104", "R072", "R074"}
    assert found or count <= 1000
    assert sys.getrecursionlimit() == limit


def test_wide_literals_are_put_together_from_parts() -> None:
    items = " ".join(["(inc x)"] * 2000)
    assert result(f"(defn f [x] [{items}])\n(def result (count (f 1)))") == "2000"
    pairs = " ".join(f"{number} (inc x)" for number in range(1500))
    assert result(f"(defn f [x] {{{pairs}}})\n(def result (count (f 1)))") == "1500"


def test_many_locals_are_reported_where_they_do_not_fit() -> None:
    names = " ".join(f"a{number} (str x)" for number in range(4200))
    assert [found.code for found in diagnostics(f"(defn f [x] (let [{names}] x))")] == ["A134"]


def test_long_chains_do_not_nest() -> None:
    clauses = " ".join(f"(= x {number}) {number}" for number in range(400))
    assert result(f"(defn f [x] (cond {clauses}))\n(def result (f 399))") == "399"
    steps = " ".join(["inc"] * 400)
    assert result(f"(def result (-> 0 {steps}))") == "400"


def fingerprint(modules: list[Module]) -> str:
    """A digest of everything an artifact would hold of modules, in order."""
    digest = hashlib.sha256()
    for module in modules:
        for function in module.functions:
            digest.update(f"{function.name} {function.codes} {function.effects} {function.open}\n".encode())
        for code in module.codes:
            digest.update("\n".join([code.name, *listing(module, code), str(code.locals), str(code.spans)]).encode())
        for definition in module.globals.values():
            text = str(definition.value)
            digest.update(f"{definition.name} {text} {definition.parameters} {definition.contract}\n".encode())
        digest.update(str(list(module.requires)).encode())
        digest.update(str(module.effect_sites).encode())
    return digest.hexdigest()


def library_fingerprint() -> str:
    """The fingerprint of the standard library, compiled here and now."""
    return fingerprint(compile_project(library_sources(), {}, CompileTime(), BUILTINS))


def test_the_standard_library_compiles_alike_under_every_hash_seed() -> None:
    expected = library_fingerprint()
    root = Path(__file__).resolve().parents[2]
    script = "from tests.compiler.test_robust import library_fingerprint; print(library_fingerprint())"
    for seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        found = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, cwd=root
        )
        assert found.stdout.strip() == expected


def test_the_standard_library_passes_the_verifier() -> None:
    for module in library().values():
        verify_module(module, builtin_arity)


def test_artifacts_of_one_source_are_equal_byte_for_byte() -> None:
    source = "(let [c (atom 0)] (defn f [x :- int?] (swap! c + x)))\n(def data {:a [1 2 #{3}] :f (comp f inc)})"
    bundle = encode_artifact(list(library().values()), "flowmetal.core", bundle=True)
    libraries = link(decode_artifact(bundle)).modules
    made = []
    for _ in range(2):
        module = compile_module(source, "t.fm", libraries=libraries, evaluate=CompileTime(), builtins=BUILTINS)
        made.append(encode_artifact([module], "t"))
    assert made[0] == made[1]
    assert list(link(decode_artifact(made[0]), lambda name, _: libraries.get(name)).modules["t"].globals)


def test_bytes_that_are_no_text() -> None:
    assert diagnostics(b"(def x \xff\xfe\x00")


def test_an_empty_file_is_an_empty_module() -> None:
    assert compile_text("").globals == {}

"""Open tables across modules: methods in other modules and in libraries, and entries that no compiler wrote."""

from __future__ import annotations

import pytest

from flowmetal.bytecode.fmc import decode_artifact, encode_artifact
from flowmetal.bytecode.open_tables import entry_name
from flowmetal.bytecode.program import Global
from flowmetal.compiler import compile_project
from flowmetal.diagnostics import CompileFailed, FlowmetalError
from flowmetal.engine.artifacts import open_artifact
from flowmetal.engine.build import build_artifact
from flowmetal.engine.library import standard_library
from flowmetal.engine.simulate import run_program
from flowmetal.engine.stdlib import Evaluate
from flowmetal.vm.builtins import BUILTINS
from flowmetal.vm.builtins.registry import builtin_arity

SHAPES = "(ns shapes) (defmulti area :shape) (defmethod area :default [x] :default) (defmethod area :dot [_] 0)"
SQUARES = """(ns squares (:require [shapes :as s]))
(derive ::square ::shape)
(defmethod s/area :square [{:keys [side]}] (sleep 1s) (* side side))
(defmethod s/area ::shape [_] :derived)"""
MAIN = """(ns main (:require [shapes :refer [area]] squares))
(defmethod area :dot [_] :later)
(defn main [] (mapv area [{:shape :square :side 3} {:shape :dot} {:shape :squares/square} {:shape 1}]))"""


def test_methods_of_other_modules_count_though_nothing_names_them() -> None:
    sources = {"main.fm": MAIN, "shapes.fm": SHAPES, "squares.fm": SQUARES}
    data = build_artifact(sources, "main").data
    ran = run_program(data, "main/main", [], crash_each_step=True)
    assert (ran.status, str(ran.value)) == ("done", "[9 :later :derived :default]")
    assert build_artifact(dict(reversed(sources.items())), "main").data == data
    assert "squares" in decode_artifact(data).modules["main"].requires


def test_derivations_of_two_modules_may_not_make_a_circle() -> None:
    with pytest.raises(CompileFailed) as failed:
        build_artifact({"a.fm": "(ns a) (derive :x/a :x/b)", "b.fm": "(ns b (:require a)) (derive :x/b :x/a)"})
    assert failed.value.diagnostics[0].code == "A135"


def test_what_is_not_required_is_not_seen_by_the_compiler() -> None:
    """Else a module would depend on what was compiled before it."""
    sources = {
        "a.fm": "(ns a) (derive :x/a :x/b)",
        "b.fm": "(ns b) (def known (isa? :x/a :x/b)) (defn main [] [known (isa? :x/a :x/b)])",
    }
    ran = run_program(build_artifact(sources, "b").data, "b/main", [])
    assert str(ran.value) == "[false true]"


def test_an_entry_that_is_no_pair_is_refused() -> None:
    modules = compile_project({"shapes.fm": SHAPES}, standard_library().modules, Evaluate(), BUILTINS)
    name = entry_name("shapes/area", 99)
    modules[0].globals[name] = Global(name, 7, private=True)
    with pytest.raises(FlowmetalError) as refused:
        open_artifact(encode_artifact(modules, "shapes", builtin_arity=builtin_arity))
    assert refused.value.code == "B130"

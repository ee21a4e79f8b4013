"""Which effects functions may perform, and where a module gets them from."""

# Sources and what becomes of them stand side by side, so some lines are long.

from __future__ import annotations

from flowmetal.bytecode.program import Module

from .support import compile_text


def effects(module: Module) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Function name to (effects, open)."""
    return {function.name: (function.effects, function.open) for function in module.functions}


def test_effects_go_from_callees_to_callers() -> None:
    module = compile_text(
        "(defeffect a/b [x])\n(declare g)\n(defn f [x] (if x (g x) (a/b x)))\n(defn g [x] (f x))\n(defn pure [x] (inc x))"
    )
    found = effects(module)
    assert found["t/f"] == (("a/b",), False)
    assert found["t/g"] == (("a/b",), False)
    assert found["t/pure"] == ((), False)


def test_a_handler_takes_its_effects_away() -> None:
    module = compile_text("(defn f [] (handle (do (perform :a 1) (perform :b 2)) (:a [x r] (r 1))))")
    assert effects(module)["t/f"] == (("b",), False)


def test_closures_count_where_they_are_made() -> None:
    module = compile_text("(defn f [xs] (mapv (fn [x] (perform :a x)) xs))")
    assert effects(module)["t/f"][0] == ("a",)


def test_calls_of_the_unknown_are_open() -> None:
    found = effects(compile_text("(defn f [g] (g 1))\n(defn h [e] (perform e 1))\n(defn k [x] (f inc))"))
    assert found["t/f"] == ((), True)
    assert found["t/h"] == ((), True)
    assert found["t/k"] == ((), True)


def test_functions_inside_data_count() -> None:
    found = effects(compile_text("(defn f [] (perform :a))\n(def table {:f f})\n(defn g [k] ((get table k)))"))
    assert found["t/g"] == (("a",), True)


def test_sites_are_where_an_effect_comes_in() -> None:
    module = compile_text(
        "(defeffect a/b [x :- int?])\n(defn f [x]\n  (a/b x))\n(defn g [x] (f x))\n(defn h []\n  (sleep 1s)\n  (perform :c))"
    )
    sites = [(site.effect, site.function, site.span.line if site.span else 0) for site in module.effect_sites]
    assert sorted(sites) == [("a/b", "t/f", 3), ("c", "t/h", 7), ("sleep", "t/h", 6)]


def test_what_a_definition_is_known_by() -> None:
    module = compile_text(
        '(defeffect a/b "Does b." [x :- int? y] :- map?)\n(defeffect c [])\n'
        '(defn f "Doc." [x :- int? & more] x)\n(defn- g ([] 1) ([a] 2))\n(def ^:dynamic *d* 1)\n(def ^{:doc "D."} e 1)'
    )
    definitions = module.globals
    assert definitions["a/b"].effect == "a/b"
    assert definitions["a/b"].doc == "Does b."
    assert definitions["a/b"].parameters == ("[x y & options]",)
    assert str(definitions["a/b"].contract) == "{:args [int? nil], :return map?}"
    assert definitions["c"].effect == "t/c"
    assert definitions["f"].parameters == ("[x & more]",)
    assert definitions["f"].doc == "Doc."
    assert (definitions["g"].private, definitions["g"].parameters) == (True, ("[]", "[a]"))
    assert definitions["*d*"].dynamic
    assert definitions["e"].doc == "D."


def test_required_modules_are_named() -> None:
    module = compile_text(
        "(ns t (:require [string :as s]))\n(defn f [x] (s/upper-case (mapv inc x)))\n(def k (comp f f))"
    )
    assert list(module.requires) == ["flowmetal.core.functions", "flowmetal.core.sequences"]

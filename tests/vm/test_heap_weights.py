"""What the heap is counted as: nothing that can be of any size is without weight, and bursts are noticed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from flowmetal import vm
from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.link import ProgramTable, link
from flowmetal.engine.build import build_artifact
from flowmetal.engine.opening import library_module
from flowmetal.values import EMPTY_MAP, List, Map, Symbol, Vector, keyword, with_meta
from flowmetal.values.work import allow
from flowmetal.vm.quota import count_values

LARGE = Vector.of(list(range(100_000)))


@pytest.mark.parametrize(
    ("value", "least"),
    [
        (1 << 1_000_000, 480),
        (-(1 << 1_000_000), 480),
        (Vector.of([1 << 1_000_000, (1 << 1_000_000) + 1]), 960),
        (List.of([1 << 100_000]), 48),
        (Fraction(1, (1 << 60_000) + 1), 28),
        (keyword("k" * 100_000), 390),
        (Symbol(None, "s" * 100_000), 390),
        ("t" * 100_000, 390),
        (with_meta(Vector.of([]), Map.of([(keyword("a"), LARGE)])), 3_000),
        (with_meta(List.of([1]), Map.of([(keyword("a"), LARGE)])), 3_000),
        (with_meta(EMPTY_MAP, Map.of([(keyword("a"), LARGE)])), 3_000),
    ],
    ids=range(11),
)
def test_whatever_can_be_large_has_weight(value: Any, least: int) -> None:
    assert least <= count_values([value], 0, 1 << 30) <= 2 * least + 300


BURST = """(ns t)
(defn texts [] (let [big (apply str (repeat 1000000 "x"))] (loop [v [] i 0] (recur (conj v (str big i)) (inc i)))))
(defn numbers [] (loop [v [] i (reduce * (repeat 30000 1000000007))] (recur (conj v i) (+ i 1))))"""


@pytest.mark.parametrize("lifting", [True, False])
@pytest.mark.parametrize("function", ["texts", "numbers"])
def test_a_burst_of_large_values_is_noticed(function: str, lifting: bool) -> None:
    """Between two counts of the heap there may be thousands of instructions, each of which makes a large value."""
    program = link(decode_artifact(build_artifact({"t.fm": BURST}).data), library_module)
    limits = vm.Limits(heap_objects=80_000, lifting=lifting)
    process = vm.new_process(program, ProgramTable(program), limits)
    found = program.lookup("t", function)
    assert found is not None
    vm.start(process, found.value, [])
    ended: Any = None
    for _ in range(5_000):
        allow(1000.0)
        try:
            ended = vm.run(process)
        finally:
            allow(None)
        if isinstance(ended, vm.Failed):
            break
    assert isinstance(ended, vm.Failed) and "heap objects" in ended.error.message
    assert (
        process.slices * 1000 < 60_000
    )  # else the usual count was it: by then a heap can be a hundred times too large

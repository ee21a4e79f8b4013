"""What an image costs: bytes of a step, of one far up a deep stack, of a change in a large collection, of a process."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal import vm
from flowmetal.vm import image
from tests.vm import kit

STEPS = "(loop [i 0 total 0] (if (< i 50) (recur (inc i) (+ total (perform :step i))) total))"

#: name: (program that performs :step again and again, bytes that each step but the first may take)
SIZES: dict[str, tuple[str, int]] = {
    "a step": (f"(defn main [] {STEPS})", 32),
    "a step 200 frames up": (f"(defn up [n] (if (= n 0) {STEPS} (+ 1 (up (dec n)))))\n(defn main [] (up 200))", 40),
    "a step with a payload": (
        '(defn main [] (loop [i 0 last nil] (if (< i 50) (recur (inc i) (perform :step {:id i :name (str "n" i)})) last)))',
        60,
    ),
    "a step and a cell": (
        "(defn main [] (let [c (atom 0)] (loop [i 0] (if (< i 50) (do (perform :step i) (swap! c inc) (recur (inc i))) @c))))",
        40,
    ),
    "a local effect": ("(defn main [] (loop [i 0] (if (< i 50) (do (perform :log i) (recur (inc i))) i)))", 40),
    "a step under a handler": (
        "(defn main [] (handle (loop [i 0] (if (< i 50) (do (perform :ask i) (recur (inc i))) i))"
        " (:ask [x resume] (resume (perform :step x)))))",
        80,
    ),
    "a step of a fiber of 20": (
        "(defn main [] (all (mapv (fn [n] (async (loop [i 0] (if (< i 4) (do (perform :step n) (recur (inc i))) n))))"
        " (range 20))))",
        64,
    ),
    "a fiber and its end": (
        "(defn main [] (loop [i 0] (if (< i 50) (do (await (async (perform :step i))) (recur (inc i))) i)))",
        110,
    ),
    "one entry of a map of 10,000": (
        "(defn main [] (loop [i 0 m (into {} (map (fn [n] [n (str n)]) (range 10000)))]\n"
        " (if (< i 50) (recur (inc i) (assoc m (perform :step (* 199 i)) i)) (count m))))",
        2000,
    ),
    "one item of a vector of 100,000": (
        "(defn main [] (loop [i 0 v (vec (range 100000))]\n"
        " (if (< i 50) (recur (inc i) (assoc v (perform :step (* 1999 i)) i)) (count v))))",
        2000,
    ),
}


def segments_of(source: str) -> list[int]:
    """The bytes of the segment after each effect, the first of which writes what was there before."""
    linked, table = kit.program(source)
    process = vm.new_process(linked, table)
    found = linked.lookup(linked.main, "main")
    assert found is not None
    vm.start(process, found.value, [])
    sizes = []
    waiting: list[tuple[int, Any]] = []
    while True:
        outcome = vm.run(process)
        match outcome:
            case vm.Performed(number, effect, payload):
                if effect == "log":
                    vm.answer_now(process, number, None)
                else:
                    waiting.append((number, payload))
                sizes.append(len(process.image.segment()))
            case vm.Idle():
                number, payload = waiting.pop(0)
                vm.settle(process, number, payload)
            case _:
                assert isinstance(outcome, vm.Finished), outcome
                return sizes


@pytest.mark.parametrize("name", SIZES)
def test_size_of_a_step(name: str) -> None:
    source, allowed = SIZES[name]
    later = segments_of(source)[25:]
    print(f"{name}: {min(later)} to {max(later)} bytes")
    assert max(later) <= allowed


def test_size_of_a_small_process() -> None:
    source = (
        "(defn ask [what] (perform :ask {:what what :who [:you :me]}))\n"
        '(defn main [] (let [name (ask "name") c (atom [name]) p (async (ask "age"))]\n'
        " (swap! c conj (await p)) (handle (ask :more) (:other [x resume] (resume x)))))"
    )
    linked, table = kit.program(source)
    process = vm.new_process(linked, table)
    found = linked.lookup(linked.main, "main")
    assert found is not None
    vm.start(process, found.value, [])
    sizes = []
    while isinstance(outcome := vm.run(process), vm.Performed | vm.Idle):
        if isinstance(outcome, vm.Performed):
            sizes.append(len(process.image.checkpoint()))
            vm.settle(process, outcome.number, "something")
    print(f"small process: {sizes} bytes")
    assert max(sizes) < 150


def test_a_ready_queue_is_written_as_what_moved() -> None:
    source = "(defn main [] (all (mapv (fn [n] (async (perform :step n))) (range 500))))"
    sizes = segments_of(source)
    print(f"first steps of 500 fibers: {sizes[1]} to {max(sizes[1:])} bytes")
    assert max(sizes[1:]) < 40


@pytest.mark.parametrize("name", [*SIZES, "a ready queue"])
def test_the_short_way_of_a_step_writes_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = "(defn main [] (all (mapv (fn [n] (async (perform :step n))) (range 50))))"
    source = SIZES[name][0] if name in SIZES else queue
    short = segments_written(source)
    monkeypatch.setattr(image.Image, "segment", lambda self: self._write(1))
    assert segments_written(source) == short


def segments_written(source: str) -> list[bytes]:
    """The segment after each effect, and after each answer where no effect came of it at once."""
    linked, table = kit.program(source)
    process = vm.new_process(linked, table)
    found = linked.lookup(linked.main, "main")
    assert found is not None
    vm.start(process, found.value, [])
    segments: list[bytes] = []
    waiting: list[tuple[int, Any]] = []
    while not isinstance(outcome := vm.run(process), vm.Finished):
        if isinstance(outcome, vm.Performed):
            waiting.append((outcome.number, outcome.payload))
            segments.append(process.image.segment())
        else:
            assert isinstance(outcome, vm.Idle), outcome
            vm.settle(process, *waiting.pop(0))
            segments.append(process.image.segment())
    return segments

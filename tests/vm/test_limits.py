"""Space, fuel and quotas: what stays flat, what is bounded, and that no cut by fuel can be seen."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from flowmetal import vm
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import LazySeq, NeedsRealize, print_string
from flowmetal.vm import unwinding
from flowmetal.vm.builtins.registry import BUILTINS, BY_NAME
from flowmetal.vm.frames import push_region
from flowmetal.vm.quota import count_objects
from flowmetal.vm.state import Region
from tests.engine.kit import Scripts
from tests.vm import kit
from tests.vm.programs import PROGRAMS

SMALL = vm.Limits(frames=60, heap_objects=20_000, fibers=50, requests=20)


# ---- space -------------------------------------------------------------------------------------------------------


def test_a_million_nested_calls() -> None:
    source = "(defn deep [n] (if (= n 0) 0 (inc (deep (dec n)))))\n(defn main [] (deep 1000000))"
    assert kit.play(source, limits=vm.Limits()).outcome == "1000000"


FLAT = {
    "mutual tail calls": (
        "(declare odd)\n(defn even [n] (if (= n 0) true (odd (dec n))))\n(defn odd [n] (if (= n 0) false (even (dec n))))\n"
        "(defn main [] (even 1000000))",
        "true",
    ),
    "a loop of handled effects": (
        "(defn main [] (handle (loop [i 0 s 0] (if (< i 5000) (recur (inc i) (+ s (perform :ask i))) s))"
        " (:ask [x resume] (resume 1))))",
        "5000",
    ),
    "the same through ten handlers": (
        "(defn nest [n] (if (= n 0) (loop [i 0 s 0] (if (< i 500) (recur (inc i) (+ s (perform :ask i))) s))\n"
        "  (handle (nest (dec n)) (:other [x resume] (resume x)))))\n"
        "(defn main [] (handle (nest 10) (:ask [x resume] (resume 1))))",
        "500",
    ),
    "a chain of handlers": (
        "(defn nest [n] (if (= n 0) (loop [i 0 s 0] (if (< i 500) (recur (inc i) (+ s (perform :ask i))) s))\n"
        "  (handle (nest (dec n)) (:ask [x resume] (resume (perform :ask (inc x)))))))\n"
        "(defn main [] (handle (nest 5) (:ask [x resume] (resume 1))))",
        "500",
    ),
    "tail calls through a resumption": (
        "(defn again [n] (if (= n 0) :end (do (perform :ask n) (again (dec n)))))\n"
        "(defn main [] (handle (again 5000) (:ask [x resume] (resume x))))",
        ":end",
    ),
}


@pytest.mark.parametrize("name", FLAT)
def test_flat(name: str) -> None:
    source, expected = FLAT[name]
    played = kit.play(source, fuel=997, limits=replace(SMALL, frames=150))
    assert played.outcome == expected
    assert played.deepest < 80


def test_deep_scopes_are_cancelled_without_recursion() -> None:
    source = "(defn nest [n] (if (= n 0) (perform :leaf 0) (async (nest (dec n)))))\n(defn main [] (async (nest 3000)) :value)"
    played = kit.play(source, "cancel", limits=vm.Limits())
    assert played.outcome.startswith("error :flowmetal/cancelled")
    assert played.log == ["leaf 0", "cancel 1"]


# ---- fuel --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_cuts_cannot_be_seen(name: str) -> None:
    source, _ = PROGRAMS[name]
    plain = kit.run(source, images=True)
    for fuel in (1, 2, 3, 5, 8, 13):
        cut = kit.run(source, images=True, fuel=fuel)
        assert (cut.outcome, cut.log, cut.images) == (plain.outcome, plain.log, plain.images), fuel


def test_an_endless_loop_is_cancelled_where_it_was_cut() -> None:
    process = _start("(defn main [] (try (loop [i 0] (recur (inc i))) (finally (perform :cleanup 1))))")
    assert vm.run(process, 100) == vm.OutOfFuel()
    vm.cancel(process, "enough")
    outcome = vm.run(process, 100)
    assert isinstance(outcome, vm.Performed) and outcome.effect == "cleanup"
    vm.settle(process, outcome.number, None)
    ended = vm.run(process, 100)
    assert isinstance(ended, vm.Failed) and ended.error.message == "the process was cancelled: enough"


@pytest.mark.parametrize("restored", [False, True])
def test_an_endless_loop_of_another_fiber_is_cancelled(restored: bool) -> None:
    source = "(defn main [] (scope (async (loop [i 0] (recur (inc i)))) (perform :a 1)))"
    linked, table = kit.program(source)
    process = _start(source)
    assert isinstance(vm.run(process, 100), vm.Performed)
    for _ in range(3):
        assert vm.run(process, 100) == vm.OutOfFuel()
    if restored:
        process = vm.restore(linked, table, [process.image.checkpoint()])
    vm.cancel(process, None)
    assert vm.run(process, 100) == vm.CancelRequest(1)
    ended = vm.run(process, 100)
    assert isinstance(ended, vm.Failed) and ended.error.kind is vm.KIND_CANCELLED


def test_a_cell_that_is_being_updated_is_not_overtaken() -> None:
    source = (
        "(def c (atom 0))\n(defn count-to [n] (loop [i 0] (if (< i n) (recur (inc i)) i)))\n"
        "(defn main [] (async (swap! c (fn [x] (+ x (count-to 50)))) (perform :never 0))\n"
        " (try (perform :a 1) (finally (swap! c inc) (perform :log @c))))"
    )
    process = _start(source)
    assert isinstance(vm.run(process, 10), vm.Performed)
    assert vm.run(process, 10) == vm.OutOfFuel()  # inside the swap!
    vm.cancel(process, None)
    outcomes = []
    while not isinstance(outcomes[-1] if outcomes else None, vm.Performed):
        outcomes.append(vm.run(process, 10))
    assert outcomes[-1].payload == 0  # the fiber went on to its next effect first
    vm.settle(process, outcomes[-1].number, None)
    later = [vm.run(process, 1000) for _ in range(3)]
    assert [one.payload for one in later if isinstance(one, vm.Performed)] == [51]


#: Loops that call nothing: each instruction that can be all there is to a loop takes fuel.
ENDLESS = {
    "regions": """
.code "t/main"
.self
.registers 2
  nil r1
  region r1 shield r1 r0
  return r1
""",
    "fibers": """
.code "t/main"
.self
.registers 2
  async r1 r0
  return r1
""",
    "lazy sequences": f"""
.code "t/main"
.self
.registers 2
  builtin r1 b{BY_NAME["lazy-seq"].number} (r0)
  builtin r1 b{BY_NAME["first"].number} (r1)
  return r1
""",
    "lazy sequences that give lazy sequences": f"""
.code "t/main"
.self
.registers 2
  builtin r1 b{BY_NAME["lazy-seq"].number} (r0)
  return r1
""",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_no_loop_without_fuel(name: str) -> None:
    scripts = Scripts()
    loaded = scripts(scripts.add(ENDLESS[name]))
    process = vm.new_process(loaded.program, loaded.table, vm.Limits())
    found = loaded.program.lookup("t", "main")
    assert found is not None
    vm.start(process, found.value, [])
    if name.endswith("give lazy sequences"):
        _force(process)
    assert vm.run(process, 2000) == vm.OutOfFuel()
    assert sum(len(fiber.frames) for fiber in process.fibers.values()) < 20_000


def _force(process: vm.Process) -> None:
    """Has the first fiber realize what its function gives."""
    fiber = process.fibers[1]
    call = fiber.frames.pop()
    push_region(fiber, Region.REALIZE, LazySeq(None))
    fiber.frames.append(call)


# ---- quotas ------------------------------------------------------------------------------------------------------

LIMITED = {
    "frames": (
        "(defn deep [n] (+ 1 (deep (inc n))))\n(defn main [] (deep 0))",
        "error :flowmetal/limit more than 60 nested calls",
    ),
    "frames, in a step": (
        "(defn deep [n] (perform :log n) (+ 1 (deep (inc n))))\n(defn main [] (deep 0))",
        "error :flowmetal/limit more than 60 nested calls",
    ),
    "heap": (
        "(defn main [] (loop [v ()] (recur (conj v 1))))",
        "error :flowmetal/limit more than 20000 heap objects",
    ),
    "heap, in steps": (
        "(defn main [] (loop [v [] n 0] (perform :log n) (recur (into v (map vector (range 1000))) (inc n))))",
        "error :flowmetal/limit more than 20000 heap objects",
    ),
    "strings": (
        '(defn main [] (loop [v [] n 0] (recur (conj v (apply str (repeat 100 (str n "-")))) (inc n))))',
        "error :flowmetal/limit more than 20000 heap objects",
    ),
    "fibers": (
        "(defn main [] (loop [] (async (perform :wait 1)) (recur)))",
        "error :flowmetal/limit more than 50 fibers",
    ),
    "requests": (
        "(defn main [] (loop [] (request :wait 1) (recur)))",
        "error :flowmetal/limit more than 20 open requests",
    ),
}


@pytest.mark.parametrize("name", LIMITED)
def test_limits(name: str) -> None:
    source, expected = LIMITED[name]
    assert kit.play(source, limits=SMALL).outcome == expected


@pytest.mark.parametrize("name", ["frames", "heap", "frames, in a step"])
def test_limits_are_met_at_the_same_place_however_fuel_cuts(name: str) -> None:
    source, _ = LIMITED[name]
    # What the program can see of where it was: a count, told in the end.
    source = source.replace("(deep (inc n))", "(deep (do (swap! seen inc) (inc n)))").replace(
        "(conj v 1)", "(do (swap! seen inc) (conj v 1))"
    )
    head, _, call = source.rpartition("(defn main [] ")
    source = f"(def seen (atom 0))\n{head}(defn main [] (try {call[:-1]} (finally (perform :log @seen))))"
    plain = kit.play(source, limits=replace(SMALL, frames=70))
    assert plain.outcome.startswith("error :flowmetal/limit")
    for way in ({"fuel": 3000}, {"fuel": 7777, "restored": True}, {"fuel": 20_000, "restored": True}):
        other = kit.play(source, limits=replace(SMALL, frames=70), **way)
        assert (other.log, other.outcome) == (plain.log, plain.outcome), way


def test_limits_are_seen_by_finally_alone_and_once() -> None:
    source = (
        "(def seen (atom []))\n"
        "(defn loop-in-finally [] (try (loop [v ()] (recur (conj v 1))) (catch _ e (swap! seen conj :caught))"
        " (finally (swap! seen conj :finally))))\n"
        "(defn main [] (try (loop-in-finally) (catch :flowmetal/limit e (swap! seen conj :named)) (finally (perform :log @seen))))"
    )
    played = kit.play(source, limits=SMALL)
    assert played.log == ["log [:finally]"]
    assert played.outcome.startswith("error :flowmetal/limit")


def test_dead_cells_are_not_kept_for_the_image() -> None:
    process = _start("(defn main [] (loop [] (reset! (atom 1) 2) (recur)))")
    vm.run(process, 10_000)
    assert len(process.touched) < 10


def test_integers_at_their_largest_can_be_saved() -> None:
    # The sum of a small integer and the largest one is too large, whichever comes first.
    largest = "(loop [x 1 n 0] (if (< n 20) (recur (* x x 2) (inc n)) x))"
    for form in ("(+ 1 big)", "(+ big 1)", "(inc big)", "(- -1 big)", "(- big -1)"):
        source = f"(defn main [] (let [half {largest} big (+ half (- half 1))] (perform :log 0) {form}))"
        outcome = kit.play(source, restored=True).outcome
        assert "limit" in outcome or len(outcome) < 400_000, form


# ---- faults ------------------------------------------------------------------------------------------------------


class Odd(Exception):
    """Nothing that a builtin may raise."""


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (TypeError("no such thing"), '[:flowmetal/internal "TypeError: no such thing"]'),
        (KeyError("k"), "[:flowmetal/internal \"KeyError: 'k'\"]"),
        (AttributeError("a"), '[:flowmetal/internal "AttributeError: a"]'),
        (RecursionError("deep"), '[:flowmetal/internal "RecursionError: deep"]'),
        (Odd("\ud800 odd"), '[:flowmetal/internal "Odd: ? odd"]'),
        (MemoryError(), "error :flowmetal/limit there is not enough memory"),
    ],
)
def test_a_fault_in_a_builtin_is_an_error_of_the_program(
    problem: Exception, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise problem

    number = BY_NAME["namespace"].number
    source = "(defn main [] (try (namespace :a/b) (catch _ e [(:kind e) (:message e)])))"
    linked, table = kit.program(source, fresh=True)
    monkeypatch.setitem(BUILTINS, number, replace(BUILTINS[number], function=broken))
    process = vm.new_process(linked, table, vm.Limits())
    found = linked.lookup(linked.main, "main")
    assert found is not None
    vm.start(process, found.value, [])
    outcome = vm.run(process)
    if isinstance(outcome, vm.Finished):
        assert kit.print_string(outcome.value) == expected
    else:
        assert isinstance(outcome, vm.Failed)
        assert f"error {kit.print_string(outcome.error.kind)} {outcome.error.message}" == expected


def test_a_machine_in_disorder_ends_the_process() -> None:
    process = _start("(defn main [] (perform :a 1))")
    vm.run(process)
    process.scopes.clear()
    vm.settle(process, 1, None)
    outcome = vm.run(process)
    assert isinstance(outcome, vm.Failed) and outcome.error.kind is vm.KIND_INTERNAL
    assert vm.run(process) == outcome


def test_apply_of_a_sequence_longer_than_memory() -> None:
    started = time.perf_counter()
    outcome = kit.play("(defn main [] (apply + (range 0 100000000000)))").outcome
    assert outcome.startswith("error :limit a range of more than 1048576 numbers cannot be taken at once")
    assert time.perf_counter() - started < 20


def _start(source: str, limits: vm.Limits | None = None) -> vm.Process:
    linked, table = kit.program(source)
    process = vm.new_process(linked, table, limits or vm.Limits())
    found = linked.lookup(linked.main, "main")
    assert found is not None
    vm.start(process, found.value, [])
    return process


def test_a_builtin_this_version_has_not() -> None:
    scripts = Scripts()
    loaded = scripts(scripts.add('.code "t/main"\n.registers 1\n  builtin r0 b99999 ()\n  return r0\n'))
    process = vm.new_process(loaded.program, loaded.table)
    found = loaded.program.lookup("t", "main")
    assert found is not None
    with pytest.raises(FlowmetalError, match="99999"):
        vm.start(process, found.value, [])


WALKS: dict[str, tuple[str, str, int]] = {
    "equal to what is known": ("(= (take 3000 (iterate inc 0)) (range 3000))", "true", 2),
    "equal, both lazy": ("(= (take 3000 (iterate inc 0)) (take 3000 (iterate inc 0)))", "true", 100),
    "different soon": ("(= (iterate inc 0) (iterate inc 1))", "false", 0),
}


@pytest.mark.parametrize("name", WALKS)
def test_an_instruction_is_not_run_once_a_lazy_cell(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time it meets cells to be realized an instruction begins anew, so its work would be quadratic."""
    expression, expected, at_most = WALKS[name]
    asked = []
    realize = unwinding.realize

    def counted(process: Any, fiber: Any, frame: Any, need: NeedsRealize) -> int:
        if frame[0].code.name.endswith("/main"):
            asked.append(need.cells)
        return realize(process, fiber, frame, need)

    monkeypatch.setattr(unwinding, "realize", counted)
    process = _start(f"(defn main [] {expression})", vm.Limits(lifting=False))
    outcome = vm.run(process)
    assert isinstance(outcome, vm.Finished) and print_string(outcome.value) == expected
    assert len(asked) <= at_most
    assert asked or at_most == 0


def test_an_error_behind_what_an_instruction_needs_is_nobodys() -> None:
    """More cells are realized than are looked at; what fails there is no error of the comparison."""
    source = (
        '(defn numbers [n] (lazy-seq (if (= n 60) (throw (error :test/late "late" n)) (cons n (numbers (inc n))))))\\n'
        "(defn main [] [(= (numbers 0) (map (fn [x] (if (= x 50) :no x)) (iterate inc 0)))\n"
        "  (try (= (numbers 0) (iterate inc 0)) (catch :test/late e (ex-data e)))])"
    )
    assert kit.play(source).outcome == "[false 60]"


def test_the_heap_is_counted_without_what_belongs_to_modules() -> None:
    source = "(def numbers (vec (range 5000)))\n(defn main [] (let [v numbers] (perform :stop nil) (count v)))"
    weights = []
    for text in (source, source.replace("[v numbers]", "[v (vec (range 5000))]")):
        process = _start(text)
        vm.run(process)
        weights.append(count_objects(process, None, 1 << 40))
    assert weights[0] < 20 and weights[1] > weights[0] + 150

"""What the loop runs in place of stored instructions: numbers, forms, and that nothing of it can be seen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flowmetal import vm
from flowmetal.vm import instructions, machine, performing
from flowmetal.vm.load import run_code, run_function
from tests.vm import kit
from tests.vm.programs import PROGRAMS

NUMBERS = {name: number for name, number in vars(instructions).items() if name.isupper() and name != "EFFECTS"}


def test_numbers_are_distinct() -> None:
    assert len(set(NUMBERS.values())) == len(NUMBERS)
    assert not set(NUMBERS.values()) & set(range(70 + instructions.EFFECTS, 77 + instructions.EFFECTS))


def test_the_loops_literals_are_the_numbers() -> None:
    """`if op == 10:  # ADD_INTEGER`, and `# 12 SUBTRACT` where no comparison is left to be made."""
    text = Path(str(machine.__file__)).read_text()
    named = 0
    for line in text.splitlines():
        code, mark, comment = line.partition("  # ")
        numbers = [int(number) for number in re.findall(r"op == (\d+)", code)] if mark else []
        pairs = re.findall(r"\b(?:(\d+) )?([A-Z][A-Z_]{2,})\b", comment)
        if numbers and pairs and not pairs[0][0]:
            assert [NUMBERS[name] for _, name in pairs] == numbers, line
            named += len(numbers)
        for number, name in pairs:
            if number:
                assert NUMBERS[name] == int(number), line
                named += 1
    for number, name in re.findall(r"# (\d+) ([A-Z_]{3,})$", text, re.M):
        assert NUMBERS[name] == int(number)
    assert named >= 55
    assert "op == 90 or op == 91:  # perform, request" in Path(str(performing.__file__)).read_text()


#: name: (a program, the instructions of `f` that are run, from its beginning on)
FORMS: dict[str, tuple[str, str]] = {
    "compare with a constant": ("(defn f [n] (if (< n 2) :less :more))", "LESS_CONSTANT_JUMP RETURN RETURN"),
    "compare with a constant on the left": ("(defn f [n] (if (> n 2) 1 2))", "LESS_JUMP RETURN RETURN"),
    "compare two": ("(defn f [a b] (if (< a b) a b))", "LESS_JUMP RETURN RETURN"),
    "equal to a keyword": ("(defn f [k] (if (= :a k) 1 2))", "EQUAL_CONSTANT_JUMP RETURN RETURN"),
    "a comparison that is kept": (
        "(defn f [a b] (let [x (< a b)] (if x x 1)))", "LESS JUMP_IF_FALSE RETURN RETURN"
    ),
    "a predicate": ("(defn f [a] (if (zero? a) 1 2))", "ZERO_JUMP RETURN RETURN"),
    "another predicate": ("(defn f [a] (if (string? a) 1 2))", "BUILTIN_ONE_JUMP RETURN RETURN"),
    "a sum returned": ("(defn f [a b] (+ a b))", "ADD_RETURN"),
    "a key": ("(defn f [m] (+ (:x m) 1))", "GET_CONSTANT ADD_INTEGER RETURN"),
    "a loop": (
        "(defn f [n] (loop [i 0 sum 1] (if (< i n) (recur (+ i 1) (* sum i)) sum)))",
        "CONSTANT CONSTANT LESS_JUMP RETURN ADD_INTEGER MULTIPLY MOVE_JUMP_BACK",
    ),
    "a constant that is still there after a call": (
        "(defn g [x] x) (defn f [x] (rem 7 (g x)))", "CONSTANT CALL_GLOBAL BUILTIN_TWO_RETURN"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_forms(name: str) -> None:
    source, expected = FORMS[name]
    linked, _ = kit.program(source)
    found = linked.lookup(linked.main, "f")
    assert found is not None
    code = run_code(found.value.function.module.codes[found.value.function.codes[0]])
    names = {number: name for name, number in NUMBERS.items()}
    pending: list[Any] = [code.entry]
    met: list[Any] = []
    while pending:
        running = pending.pop()
        if any(running is one for one in met):
            continue
        met.append(running)
        after = running[5] if running[5].__class__ is list else code.instructions[running[5]] if running[5] else None
        pending += [one for one in (after, running[4], running[1]) if one.__class__ is list]
    assert " ".join(names[running[0]] for running in met) == expected


def test_a_call_becomes_one_of_the_body_that_is_known() -> None:
    source = "(defn fib [n] (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))\n(defn main [] (fib 10))"
    linked, table = kit.program(source)
    process = vm.new_process(linked, table)
    main, fib = linked.lookup(linked.main, "main"), linked.lookup(linked.main, "fib")
    assert main is not None and fib is not None
    vm.start(process, main.value, [])
    assert vm.run(process) == vm.Finished(55)
    body = run_function(fib.value.function).fixed[1]
    numbers = [running[0] for running in body.instructions]
    assert numbers.count(instructions.ADD_INTEGER_CALL_KNOWN) == 2


#: Every fused form, where it runs out of fuel, meets a lazy sequence and fails.
CUT = """
(defn down [n] (if (= n 0) 0 (+ 1 (down (- n 1)))))
(defn each [f v] (loop [i 0 out []] (if (< i (count v)) (recur (inc i) (conj out (f (nth v i)))) out)))
(defn even-way [n] (if (= n 0) :even (odd-way (- n 1))))
(defn odd-way [n] (if (= n 0) :odd (even-way (- n 1))))
(defn sum [s] (loop [s (seq s) total 0] (if (nil? s) total (recur (next s) (+ total (first s))))))
(defn half [x y] (try (/ x y) (catch :arithmetic _ (* x 100))))
(defn two [a b] (vector a b))
(defn main []
  (let [n 3]
    [(down n) (each inc [1 2 3]) (each (fn [x] (two x n)) [1 2]) (even-way 5) (sum (map inc (filter odd? (iterate inc n))))
     (half 4 2) (half 4 0)]))
"""
SOURCES = {
    **{name: source for name, (source, _) in PROGRAMS.items()},
    "cut": "(declare odd-way)" + CUT.replace("(iterate inc n)", "(take 4 (iterate inc n))"),
}


def _fresh(source: str) -> vm.Process:
    linked, table = kit.program(source)
    process = vm.new_process(linked, table, kit.LIMITS)
    found = linked.lookup(linked.main, "main")
    assert found is not None
    vm.start(process, found.value, [])
    return process


def _stand(process: vm.Process) -> list[Any]:
    return [[(frame[0], frame[2]) for frame in fiber.frames] for fiber in process.fibers.values()]


@pytest.mark.parametrize("name", SOURCES)
def test_fuel_ends_at_the_same_instruction_when_stepped(name: str) -> None:
    """Cut after any amount of fuel, a frame is to the byte what it is when every instruction is run alone."""
    source = SOURCES[name]
    for fuel in (*range(1, 30), 77):
        fused, stepped = _fresh(source), _fresh(source)
        if not isinstance(vm.run(fused, fuel), vm.OutOfFuel):
            break
        stepped.stepping = True
        left, before = fuel, None
        while left or before != _stand(stepped):
            before = _stand(stepped)
            assert isinstance(vm.run(stepped, left), vm.OutOfFuel)
            left = stepped.fuel
        assert kit.canonical(source, [fused.image.segment()]) == kit.canonical(source, [stepped.image.segment()]), fuel

"""Images that were tampered with: refused with a FlowmetalError, or run to some end like any other program.

Segments and checkpoints of the programs are changed at random, as bytes and as structures; what can still be restored is
run, answered, cancelled, saved and restored again.  No other exception leaves the machine, nothing hangs, and nothing
takes memory that the bytes do not account for.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import msgpack
import pytest

from flowmetal import vm
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import ErrorValue, LanguageError, keyword
from tests.vm import kit
from tests.vm.programs import PROGRAMS

CASES = 6_000
SECONDS = 1.0  # of processor time that one case may take
MEGABYTES = 400  # that all of them together may add to the memory of the test's process
SEED = 20_251_124
OUTCOMES = 12  # that a tampered process is run for
FUEL = 500

SOURCES = [source for source, _ in PROGRAMS.values()] + [
    "(defn main [] (scope (async (try (perform :a 1) (finally (perform :b 2)))) (async (await (request :c 3))) :value))",
    "(defn main [] (handle (scope (let [p (async (perform :a 1))] [(perform :ask 2) (await p)]))"
    " (:ask [x resume] (resume (perform :b x)))))",
    "(defn main [] (let [s (map (fn [x] (perform :a x)) (iterate inc 1)) q (async (first s)) r (async (second s))]\n"
    " (perform :b (sorted-map 1 2 3 4)) [(await q) (await r) (into {} (map vector (range 40) (range 40))) 1/3 1.5M]))",
    "(defn main [] (handle (try (perform :ask 1) (finally (perform :cleanup 2))) (:ask [x resume] [:gave-up x])))",
    "(def c (atom (vec (range 100))))\n(defn main [] (swap! c conj (perform :a (str @c))) (perform :b (set @c)) @c)",
]


@cache
def images(number: int) -> list[list[bytes]]:
    """Images of a program: its segments up to each of its first effects, and a checkpoint in place of them."""
    source = SOURCES[number]
    linked, table = kit.program(source)
    process = vm.new_process(linked, table, kit.LIMITS)
    found = linked.lookup(linked.main, "main")
    assert found is not None
    vm.start(process, found.value, [])
    segments = [process.image.segment()]
    found_images = [segments.copy()]
    waiting: list[int] = []
    for _ in range(12):
        outcome = vm.run(process, 60)
        match outcome:
            case vm.Performed(performed):
                waiting.append(performed)
            case vm.Idle() if waiting:
                vm.settle(process, waiting.pop(), 1)
            case vm.Idle() | vm.Finished() | vm.Failed():
                break
        segments.append(process.image.segment())
        found_images.append(segments.copy())
        found_images.append([vm.restore(linked, table, segments, kit.LIMITS).image.checkpoint()])
    return found_images


# ---- tampering ---------------------------------------------------------------------------------------------------


def flip(dice: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + data[at + dice.choice((1, 1, 2, len(data))) :]


def splice(dice: random.Random, data: bytes) -> bytes:
    at, start = dice.randrange(len(data)), dice.randrange(len(data))
    return data[:at] + data[start : start + dice.randrange(1, 12)] + data[at + dice.randrange(0, 12) :]


def unpacked(data: bytes) -> Any:
    return msgpack.unpackb(data, ext_hook=msgpack.ExtType, raw=False, strict_map_key=False)


def copied(tree: Any) -> Any:
    return unpacked(msgpack.packb(tree))


def places(tree: Any) -> list[tuple[list[Any], int]]:
    """Every item of every list inside."""
    found = []
    pending = [tree]
    while pending:
        node = pending.pop()
        for index, item in enumerate(node):
            found.append((node, index))
            if item.__class__ is list:
                pending.append(item)
    return found


STRANGE: tuple[Any, ...] = (
    None, True, 0, 1, 2, 3, 5, 7, -1, -2, -3, -100, -101, -102, -103, 100, 1 << 31, 1 << 62, -(1 << 62), 1.5, "", "new",
    "text" * 30, b"bytes", [], [1], [2], [3], [0, "g", 0], [1, "g", 3], [1, "g", 1 << 40], [[]], [None, None],
    msgpack.ExtType(1, b"a"), msgpack.ExtType(12, b"\0\0\0\1catches"), msgpack.ExtType(12, b"\xff\0\0\1x"),
    msgpack.ExtType(13, b"v"), msgpack.ExtType(99, b"?"),
)  # fmt: skip


def restructure(dice: random.Random, data: bytes) -> bytes:
    tree = unpacked(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        spots = places(tree)
        if not spots:
            break
        node, index = dice.choice(spots)
        other, from_ = dice.choice(spots)
        match dice.randrange(8):
            case 0:
                node[index] = copied(dice.choice(STRANGE))
            case 1 | 2 if node[index].__class__ is int:
                node[index] += dice.choice((1, -1, 1, -1, 2, 10, 1000))
            case 3:
                node[index] = copied(other[from_])
            case 4:
                node[index], other[from_] = copied(other[from_]), copied(node[index])
            case 5:
                del node[index]
            case 6:
                node.insert(index, copied(dice.choice(STRANGE)))
            case _:
                node.insert(index, copied(node[index]))
    return bytes(msgpack.packb(tree))


WAYS: tuple[Callable[[random.Random, bytes], bytes], ...] = (flip, cut, splice, *[restructure] * 5)


def tampered(dice: random.Random, image: list[bytes]) -> list[bytes]:
    segments = image.copy()
    match dice.randrange(12):
        case 0 if len(segments) > 1:
            del segments[dice.randrange(len(segments))]
        case 1 if len(segments) > 1:
            segments.insert(dice.randrange(len(segments)), dice.choice(segments))
        case 2:
            segments.append(dice.choice(dice.choice(images(dice.randrange(len(SOURCES))))))
        case _:
            at = dice.choice((-1, -1, dice.randrange(len(segments))))
            segments[at] = dice.choice(WAYS)(dice, segments[at])
    return segments


# ---- what may come of it -----------------------------------------------------------------------------------------


def use(dice: random.Random, process: vm.Process) -> None:
    """Runs a process, answers what it asks, and cancels it in the end."""
    waiting: list[int] = list(process.request_waits)
    for turn in range(OUTCOMES):
        outcome = vm.run(process, FUEL)
        match outcome:
            case vm.Performed(number):
                waiting.append(number)
                if dice.random() < 0.3:
                    vm.answer_now(process, number, keyword("now"))
            case vm.Idle() if waiting and dice.random() < 0.8:
                number = waiting.pop(dice.randrange(len(waiting)))
                if dice.random() < 0.8:
                    vm.settle(process, number, turn)
                else:
                    vm.settle_error(process, number, ErrorValue(keyword("bad"), "bad", None))
            case vm.Idle():
                vm.cancel(process, None)
            case vm.Finished() | vm.Failed():
                return


def one_case(dice: random.Random) -> bool:
    """Whether the tampered image was taken."""
    number = dice.randrange(len(SOURCES))
    linked, table = kit.program(SOURCES[number])
    try:
        process = vm.restore(linked, table, tampered(dice, dice.choice(images(number))), kit.LIMITS)
    except FlowmetalError:
        return False
    use(dice, process)
    try:
        data = process.image.segment() if dice.random() < 0.5 else b""
        checkpoint = process.image.checkpoint()
    except LanguageError:
        return True  # it holds what cannot be saved
    assert data is not None
    try:
        again = vm.restore(linked, table, [checkpoint], kit.LIMITS)
    except FlowmetalError:
        return True
    use(dice, again)
    return True


@pytest.mark.parametrize("part", range(4))
def test_tampered_images(part: int) -> None:
    for number in range(len(SOURCES)):
        images(number)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = 0
    for case in range(CASES // 4):
        seed = SEED + part * 1_000_000 + case
        started = time.process_time()
        try:
            taken += one_case(random.Random(seed))
        except Exception as problem:
            raise AssertionError(f"seed {seed}: {problem!r}") from problem
        assert time.process_time() - started < SECONDS, f"seed {seed} takes too long"
    assert taken > CASES // 100  # else they were all refused, and nothing was run
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024 < MEGABYTES


def test_untouched_images_are_taken() -> None:
    for number in range(len(SOURCES)):
        linked, table = kit.program(SOURCES[number])
        for image in images(number):
            use(random.Random(1), vm.restore(linked, table, image, kit.LIMITS))

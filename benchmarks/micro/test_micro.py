"""Single operations: readers, values to bytes and back, images, collections, a commit.

`make bench-micro` shows the median and the operations a second of each.  Compare runs only with themselves on the same
machine, and with care: its speed drifts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.generated import one_file
from benchmarks.peers.flowmetal_side import PROGRAM
from flowmetal.compiler.reader import read_source
from flowmetal.engine.artifacts import Programs, deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.live import Loaded
from flowmetal.engine.starting import find_function
from flowmetal.reading.data import read_data
from flowmetal.store import open_store
from flowmetal.store.interface import Post, Start, Store
from flowmetal.store.memory import MemoryStore
from flowmetal.values import Map, Vector, decode_value, encode_value, from_python, keyword
from flowmetal.vm import Performed, Process, answer_now, new_process, restore, run, start

SOURCE = one_file(500)["app/part000.fm"]
ORDER = '{:id 17 :customer {:name "ada"} :lines [{:product "pen" :quantity 2 :price 120M} {:product "b\\u00fc"}]}'
DATA = "[" + " ".join([ORDER] * 100) + "]"
VALUE = from_python(
    [{"id": n, "name": f"customer-{n}", "lines": [{"quantity": n % 5, "price": n * 1.5}] * 3} for n in range(100)]
)


def test_read_source_of_500_lines(benchmark: BenchmarkFixture) -> None:
    assert benchmark(read_source, SOURCE, "app.fm")


def test_read_data_of_12_kb(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(read_data, DATA)) == 100


def test_build_500_lines(benchmark: BenchmarkFixture) -> None:
    assert benchmark.pedantic(build_artifact, ({"app/part000.fm": SOURCE},), rounds=5, warmup_rounds=1).data


def test_encode_a_value_of_100_orders(benchmark: BenchmarkFixture) -> None:
    assert benchmark(encode_value, VALUE)


def test_decode_a_value_of_100_orders(benchmark: BenchmarkFixture) -> None:
    assert benchmark(decode_value, encode_value(VALUE)) == VALUE


@pytest.fixture(scope="module")
def program() -> Loaded:
    store = MemoryStore()
    return Programs(store).get(deploy(store, build_artifact({"bench.fm": PROGRAM}).data))


def performed(program: Loaded, function: str, *arguments: Any) -> tuple[Process, int]:
    """A process that has performed its first effect, its image written; and the number of the request."""
    process = new_process(program.program, program.table)
    start(process, find_function(program.program, function), list(arguments))
    outcome = run(process)
    assert isinstance(outcome, Performed)
    process.image.checkpoint()
    return process, outcome.number


@pytest.mark.parametrize(
    "function, arguments",
    [("chain", (1 << 60,)), ("big", (1 << 60, 10_000, 100_000)), ("deep", (1 << 60, 200))],
    ids=["small", "10000-map-100000-vector", "200-frames"],
)
def test_a_step_and_its_segment(benchmark: BenchmarkFixture, program: Loaded, function: str, arguments: Any) -> None:
    process, number = performed(program, function, *arguments)

    def step() -> bytes:
        nonlocal number
        answer_now(process, number, 1)
        outcome = run(process)
        assert isinstance(outcome, Performed)
        number = outcome.number
        segment: bytes = process.image.segment()
        return segment

    assert len(benchmark(step)) < 2_000


def test_restore_a_small_process(benchmark: BenchmarkFixture, program: Loaded) -> None:
    process, _ = performed(program, "chain", 1 << 60)
    image = process.image.checkpoint()
    assert benchmark(lambda: restore(program.program, program.table, [image])).fibers


ENTRIES = [(keyword(f"key-{number}"), number) for number in range(10_000)]


@pytest.mark.parametrize("size", [8, 1_000, 10_000])
def test_map_assoc(benchmark: BenchmarkFixture, size: int) -> None:
    whole, key = Map.of(ENTRIES[:size]), ENTRIES[size // 2][0]
    assert len(benchmark(whole.assoc, key, "x")) == size


@pytest.mark.parametrize("size", [8, 1_000, 10_000])
def test_map_get(benchmark: BenchmarkFixture, size: int) -> None:
    whole, key = Map.of(ENTRIES[:size]), ENTRIES[size // 2][0]
    assert benchmark(whole.get, key) == size // 2


@pytest.mark.parametrize("size", [8, 1_000, 100_000])
def test_vector_assoc(benchmark: BenchmarkFixture, size: int) -> None:
    whole = Vector.of(range(size))
    assert len(benchmark(whole.assoc, size // 2, "x")) == size


@pytest.mark.parametrize("size", [8, 1_000, 100_000])
def test_vector_conj(benchmark: BenchmarkFixture, size: int) -> None:
    assert len(benchmark(Vector.of(range(size)).conj, "x")) == size + 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(tmp_path / "store")
    deploy(made, build_artifact({"bench.fm": PROGRAM}).data, "bench")
    yield made
    made.close()


@pytest.mark.parametrize("count", [1, 100])
def test_a_synced_commit_of_starts(benchmark: BenchmarkFixture, store: Store, count: int) -> None:
    starts = [Start("bench/wait", encode_value(Vector.of([])), name="bench")] * count
    assert len(benchmark(lambda: store.submit(starts).result())) == count


def test_a_synced_commit_of_a_message(benchmark: BenchmarkFixture, store: Store) -> None:
    waiting = Start("bench/wait", encode_value(Vector.of([])), name="bench")
    [(pid, _)] = store.submit([waiting]).result()
    messages = iter(range(1 << 60))
    assert benchmark.pedantic(
        lambda: store.submit([Post(pid, "message", encode_value(next(messages)))]).result(), rounds=500
    )

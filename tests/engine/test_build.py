"""From source text to a process: building, deploying, loading, and libraries that stay as they were."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flowmetal.diagnostics import CompileFailed, FlowmetalError
from flowmetal.engine import artifacts, library
from flowmetal.engine.artifacts import Programs, deploy
from flowmetal.engine.build import artifact_name, build_artifact, describe_artifact, verify_file
from flowmetal.engine.library import Library, open_library, standard_library
from flowmetal.engine.run import run_once
from flowmetal.engine.simulate import run_program
from flowmetal.store.memory import MemoryStore
from flowmetal.values import Vector

from .kit import k, m

HELLO = """
(ns hello)

(defeffect shop/charge "Charges a card." [order])

(defn greet [name] (str "Hello, " name "!"))

(defn main [name]
  (log "starting")
  (greet name))

(defn buy [order]
  (try
    (:id (shop/charge order :retry {:max 1 :backoff 10ms}))
    (catch :shop/refused e {:refused (:message e)})))

(defn waits [] (shop/charge 1))
"""


def hello(**options: Any) -> bytes:
    return build_artifact({"hello.fm": HELLO}, **options).data


def test_a_program_runs() -> None:
    ran = run_program(hello(), "hello/main", ["Ada"])
    assert (ran.status, ran.value) == ("done", "Hello, Ada!")


def test_a_foreign_function_is_answered() -> None:
    ran = run_program(hello(), "hello/buy", [7], {"shop/charge": lambda order: m(id=order + 1)}, crash_each_step=True)
    assert (ran.status, ran.value) == ("done", 8)


def test_builds_are_equal_byte_for_byte() -> None:
    assert hello() == hello()
    assert build_artifact({"hello.fm": HELLO}).hash == build_artifact({"hello.fm": HELLO.encode()}).hash


def test_a_stripped_artifact_runs() -> None:
    data = hello(strip=True)
    assert len(data) < len(hello())
    assert run_program(data, "hello/main", ["Ada"]).value == "Hello, Ada!"


def test_a_bundle_runs() -> None:
    data = hello(bundle=True)
    assert len(data) > len(hello())
    assert run_program(data, "hello/main", ["Ada"]).value == "Hello, Ada!"


def test_several_modules() -> None:
    sources = {
        "app.fm": "(ns app (:require [helpers :as h]))\n(defn main [] (h/twice 21))",
        "helpers.fm": "(ns helpers)\n(defn twice [n] (* 2 n))",
    }
    built = build_artifact(sources)
    assert built.name == "app"
    assert run_program(built.data, "app/main").value == 42


def test_all_errors_are_told_at_once() -> None:
    with pytest.raises(CompileFailed) as caught:
        build_artifact({"bad.fm": "(ns bad)\n(defn f [] (undefined-thing))\n(defn g [] (other-thing))"})
    assert len(caught.value.diagnostics) >= 2


def test_what_an_artifact_says_of_itself() -> None:
    data = hello()
    verify_file(data)
    assert artifact_name(data) == "hello"
    described = describe_artifact(data)
    assert json.loads(json.dumps(described.document))["name"] == "hello"
    (module,) = described.document["modules"]
    assert {site["effect"] for site in module["effects"]} >= {"shop/charge"}
    assert "hello/greet" in described.text
    assert "hello/buy" not in describe_artifact(data, "greet").text


@pytest.mark.parametrize("damage", [b"", b"FMC\x00", b"not an artifact"])
def test_damaged_artifacts_are_refused(damage: bytes) -> None:
    with pytest.raises(FlowmetalError):
        verify_file(damage)
    with pytest.raises(FlowmetalError):
        deploy(MemoryStore(), damage)


def test_every_changed_byte_is_noticed() -> None:
    data = hello()
    for place in range(0, len(data), max(1, len(data) // 50)):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(FlowmetalError):
            verify_file(bytes(changed))


def test_deploying_names_the_program() -> None:
    store = MemoryStore()
    data = hello()
    hash = deploy(store, data)
    assert store.deployed() == {"hello": hash}
    assert deploy(store, data, "other") == hash
    assert store.deployed() == {"hello": hash, "other": hash}


def test_a_program_keeps_its_library_when_the_package_is_upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    hash = deploy(store, hello())
    monkeypatch.setattr(artifacts, "standard_library", lambda: Library(b"", b"", {}))
    program = Programs(store).get(hash)
    assert program.program.modules["flowmetal.core"].hash == standard_library().modules["flowmetal.core"].hash


def test_a_program_the_store_does_not_have() -> None:
    with pytest.raises(FlowmetalError) as caught:
        Programs(MemoryStore()).get(b"\x00" * 32)
    assert caught.value.code == "V302"


def in_a_source_tree() -> bool:
    return not (Path(library.__file__).parent.parent / "stdlib" / "stdlib.fmc").exists()


def test_the_library_is_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = standard_library().data
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(library.stdlib, "compile_stdlib", lambda folder: compiled)
    data = library._find().data
    (kept,) = (tmp_path / "flowmetal").glob("stdlib-*")
    assert kept.read_bytes() == data
    monkeypatch.setattr(library.stdlib, "compile_stdlib", lambda folder: pytest.fail("compiled again"))
    if in_a_source_tree():
        assert library._find().data == data
        monkeypatch.setattr(library.stdlib, "compile_stdlib", lambda folder: compiled)
        for damage in (data[:-1], data[:100] + b"x" + data[101:], b""):
            kept.write_bytes(damage)  # it is made again
            assert library._find().data == data == kept.read_bytes()
    assert open_library(data).hash == standard_library().hash


def test_a_cache_that_cannot_be_written_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    compiled = standard_library().data
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr(library.stdlib, "compile_stdlib", lambda folder: compiled)
    assert library._find().data == compiled


def test_a_user_without_a_home_compiles_it_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = standard_library().data
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.setattr(library.stdlib, "compile_stdlib", lambda folder: compiled)
    assert library._find().data == compiled


def test_running_once_in_real_time() -> None:
    lines: list[str] = []
    ended = run_once(hello(), "hello/main", ["Ada"], lines.append)
    assert (ended.status, ended.value) == ("done", "Hello, Ada!")
    assert lines == ["starting"]


def test_running_once_with_somebody_to_serve() -> None:
    from flowmetal.store.interface import Complete, Take
    from flowmetal.values import encode_value

    asked: list[str] = []

    def serve(store: Any, effect: str) -> bool:
        asked.append(effect)
        for request in store.submit([Take((effect,), "w", 10, 1000)]).result()[0]:
            store.submit([Complete(request.pid, request.number, request.attempt, True, encode_value(m(id=5)))]).result()
        return True

    assert run_once(hello(), "hello/buy", [7], serve=serve).value == 5
    assert asked == ["shop/charge"]


def test_running_once_says_what_nobody_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowmetal.engine.run_stored.UNSERVED_SECONDS", 0.0)
    ended = run_once(hello(), "hello/waits", [])
    assert ended.status == "waiting"
    assert ended.error is not None
    assert ended.error.kind is k("flowmetal/unserved")
    assert "shop/charge" in ended.error.message


def test_running_once_waits_for_a_retry_and_for_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is to be tried again in a while, or that is taken late, is not one that nobody serves."""
    from flowmetal.store.interface import Complete, Take
    from flowmetal.values import ErrorValue, encode_value

    monkeypatch.setattr("flowmetal.engine.run_stored.UNSERVED_SECONDS", 0.0)
    source = "(ns slow)\n(defn main [] (perform :slow/job 1 {:retry {:max 3 :backoff 400ms :jitter 0}}))"

    def work(store: Any) -> None:
        answers = [(False, ErrorValue(k("slow/busy"), "busy", None)), (True, 5)]
        time.sleep(0.4)  # long after the request was opened
        while answers:
            for request in store.submit([Take(("slow/job",), "w", 10, 10_000)]).result()[0]:
                ok, value = answers.pop(0)
                done = Complete(request.pid, request.number, request.attempt, ok, encode_value(value))
                store.submit([done]).result()
            time.sleep(0.02)

    def serve(store: Any, effect: str) -> bool:
        threading.Thread(target=work, args=[store], daemon=True).start()
        return True

    ended = run_once(build_artifact({"slow.fm": source}).data, "slow/main", [], serve=serve)
    assert (ended.status, ended.value) == ("done", 5), ended


def test_a_failed_run_has_a_trace() -> None:
    source = '(ns broken)\n(defn inner [] (throw (error :broken/down "down" nil)))\n(defn main [] (str (inner)))'
    ended = run_once(build_artifact({"broken.fm": source}).data, "broken/main", [])
    assert ended.status == "failed"
    assert "broken.fm:2" in ended.trace_text()


def test_arguments_reach_the_program() -> None:
    source = "(ns args)\n(defn main [a & more] [a more])"
    data = build_artifact({"args.fm": source}).data
    value = run_program(data, "args/main", [1, 2, 3]).value
    assert value.get(0) == 1
    assert list(value.get(1)) == [2, 3]
    assert value.__class__ is Vector

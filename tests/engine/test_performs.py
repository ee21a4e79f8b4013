"""What `flowc effects` lists: all that a program performs, where, and through what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.link import link
from flowmetal.engine import performs
from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import LocalDone, Requested
from flowmetal.engine.library import standard_library
from flowmetal.engine.opening import library_module
from flowmetal.engine.performs import Place, places_of
from flowmetal.engine.simulate import Simulation
from flowmetal.values import Vector

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests" / "golden" / "programs").rglob("*.fm"))

#: What the engine asks itself, for the machine and the library, whatever is performed.
ENGINE = {"flowmetal/attempts", "flowmetal/finally"}


def places(data: bytes) -> list[Place]:
    artifact = decode_artifact(data)
    return places_of(artifact, link(artifact, library_module), standard_library().modules.values())


def listed(data: bytes) -> tuple[set[str], bool]:
    """The effects, and whether there may be others."""
    found = places(data)
    return {place.effect for place in found if place.effect is not None}, any(place.effect is None for place in found)


SOURCE = """(ns t (:require http kv handlers))
(defeffect pay/out "Pays." [amount])
(def table {:post http/post})
(def cell (atom kv/get))
(def ^:dynamic *how* kv/put)
(defmacro paying [n] `(pay/out ~n))
(defn direct [] (perform :mail/send 1))
(defn chosen [quick] (perform (if quick :a/b :c/d) 1))
(defn late [x] (perform :late/one (if x 1 2) (if x {:timeout 1s} nil)))
(defn by-name [name] (perform (keyword name) 1))
(defn by-macro [] (paying 1))
(defeffect inner/one "Inner." [n])
(defn in-handler [] (handle (perform :inner/one 1) (inner/one [n resume] (resume (perform :outer/one n)))))
(defn child [] (perform :child/one 1))
(defn starts [] (spawn child))
(defn main [] ((:post table) "x") (@cell "a") (*how* "a" 1))
"""


def test_places_and_what_they_go_through() -> None:
    found = places(build_artifact({"t.fm": SOURCE}).data)
    lines = {(place.effect, place.function, place.through) for place in found}
    assert {
        ("mail/send", "t/direct", None),
        ("late/one", "t/late", None),
        (None, "t/by-name", None),
        ("pay/out", "t/by-macro", None),
        ("inner/one", "t/in-handler/fn@13", None),
        ("child/one", "t/child", None),
        ("spawn", "t/starts", "flowmetal.core.concurrency/spawn"),
        ("http/request", "t/table", "http/post"),
    } <= lines
    effects = {place.effect for place in found}
    assert {"kv/get", "kv/put", "outer/one"} <= effects
    direct = next(place for place in found if place.function == "t/direct")
    assert str(direct.span) == "t.fm:7:17"
    assert not any(place.effect is None and place.function in ("t/late", "t/main") for place in found)


def test_a_name_that_two_ways_lead_to_is_computed() -> None:
    found = places(build_artifact({"t.fm": SOURCE}).data)
    assert {place.effect for place in found if place.function == "t/chosen"} == {None}


def test_what_the_author_says_does_not_count() -> None:
    """The lists of an artifact are its author's; the code says what it does."""
    artifact = decode_artifact(build_artifact({"t.fm": SOURCE}).data)
    module = artifact.modules["t"]
    module.effect_sites = []
    found = places_of(artifact, link(artifact, library_module), standard_library().modules.values())
    assert {"mail/send", "pay/out", "http/request", "child/one"} <= {place.effect for place in found}


def test_the_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value is looked through once, however often it is named; what is not looked at may perform anything."""
    data = build_artifact({"t.fm": SOURCE}).data
    artifact = decode_artifact(data)
    reader = performs._Reader(artifact, link(artifact, library_module), [])
    value = Vector.of([Vector.of([Vector.of([])]) for _ in range(1000)])
    assert reader._held_by(value) == []
    looked = reader._values
    assert 1000 < looked < 5000
    assert [reader._held_by(value) for _ in range(1000)] == [[]] * 1000 and reader._values == looked

    before = {(place.effect, place.function) for place in places(data)}
    assert ("http/request", "t/table") in before and (None, "t/table") not in before
    monkeypatch.setattr(performs, "VALUES_MAX", 0)
    monkeypatch.setattr(performs, "KNOWN_MAX", 0)
    after = {(place.effect, place.function) for place in places(data)}
    assert {(None, "t/table"), (None, "t/direct"), (None, "t/main")} <= after
    assert {function for _, function in before} <= {function for _, function in after}


#: Programs of the share that take longer than all others of it.
LONG = {"endless"}

SHARE = [
    path if number % 4 == 0 and path.stem not in LONG else pytest.param(path, marks=pytest.mark.slow, id=path.stem)
    for number, path in enumerate(GOLDEN)
]


@pytest.mark.parametrize("path", SHARE, ids=lambda path: path.stem)
def test_what_golden_programs_perform_is_listed(path: Path) -> None:
    """Functions without parameters are run with everything granted; their logs name nothing that is not listed."""
    try:
        built = build_artifact({str(path.name): path.read_bytes()})
    except Exception:
        pytest.skip("a program that is not to be compiled, or not alone")
    artifact = decode_artifact(built.data)
    link(artifact, library_module)
    names, computed = listed(built.data)
    world = Simulation()
    hash = world.deploy(built.data)
    for export in artifact.exports():
        if any(parameters == 0 for parameters, _ in export.arities):
            pid = world.start(hash, f"{artifact.main}/{export.name}")
            world.run(pid, until=world.clock.now + 10**10)
    for record in world.store.processes(limit=1000):
        for event in world.outcome(record.pid).log:
            if isinstance(event, Requested | LocalDone) and event.effect not in ENGINE:
                assert event.effect in names or computed, (record.function, event.effect)


def test_the_command(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowmetal.cli import flowc
    from flowmetal.cli.parameters import run_app

    (tmp_path / "t.fm").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    for arguments in (["t.fm"], ["t.fm", "--json"], ["--all", "t.fm"]):
        monkeypatch.setattr("sys.argv", ["flowc", "effects", *arguments])
        with pytest.raises(SystemExit) as ended:
            run_app(flowc.app)
        assert not ended.value.code
    out = capsys.readouterr().out
    assert "mail/send\n  t.fm:7:17  t/direct\n" in out
    assert "effects whose names are computed, which may be any" in out
    document = json.loads(out[out.index("{\n") : out.rindex("}\n") + 1])
    assert document["effects"]["mail/send"] == [{"function": "t/direct", "place": "t.fm:7:17", "through": None}]

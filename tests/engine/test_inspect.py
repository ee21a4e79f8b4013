"""Looking at processes: state now and at past steps, history, text and JSON forms."""

from __future__ import annotations

import json

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.simulate import BEGIN, Simulation
from flowmetal.inspect import history, inspect_process
from flowmetal.store.interface import PutArtifact

from .kit import SECOND, m

SOURCE = """
(ns shop)

(defeffect shop/charge "Charges a card." [order])

(defn pay [order total]
  (let [receipt (shop/charge order)]
    (sleep 30s)
    (str receipt " for " total)))

(defn main [order]
  (let [total 25
        note (pay order total)]
    (log note)
    note))

(defn fails [order]
  (pay (+ order "x") 1))

(defn handled [order]
  (handle (pay order 5)
    (:shop/other [payload resume] (resume 1))))

(defn deep [n]
  (if (= n 0) (shop/charge 0) (+ 1 (deep (- n 1)))))

(defn parent [order]
  (spawn deep 3)
  (perform :receive))

(defn stands [order]
  (let [{:keys [promise]} (http/callback {:timeout 1h})]
    [(perform :receive) promise]))

(defn both [order]
  (let [{:keys [promise]} (http/callback {:timeout 1h})
        paid (async (shop/charge order))]
    [(perform :receive) (await paid) promise]))
"""


ENDS = """(ns ends)
(defn function [] (fn [x] x))
(defn fails [] (throw (error :own "no" {:n 1})))
(defn waits [] (perform :no/answer))
"""


@pytest.fixture(scope="module")
def artifact() -> bytes:
    return build_artifact({"shop.fm": SOURCE}).data


def started(artifact: bytes, function: str, *arguments: object) -> tuple[Simulation, int]:
    world = Simulation({})
    pid = world.start(world.deploy(artifact), function, arguments, id="order-7")
    world.settle()
    return world, pid


def test_frames_have_source_lines_and_locals(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/main", m(id=7))
    seen = inspect_process(world.store, pid)
    assert seen is not None
    assert (seen.status, seen.id, seen.function) == ("waiting", "order-7", "shop/main")
    (fiber,) = seen.fibers
    assert fiber.waits == "request #1"
    frames = [frame for frame in fiber.frames if frame.file == "shop.fm" and frame.locals]
    assert [frame.function for frame in fiber.frames][-2:] == ["shop/pay", "shop/main"]
    (pay,) = frames  # what main has passed on it needs no more, so it is not kept
    assert pay.line == 7
    assert pay.source.strip() == "(let [receipt (shop/charge order)]"
    assert pay.locals == {"total": "25"}


def test_the_state_at_a_past_step(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/main", 7)
    world.answers["shop/charge"] = lambda order: "r1"
    world.run(pid)
    assert world.outcome(pid).value == "r1 for 25"
    kinds = [line.kind for line in history(world.store, pid)]
    assert kinds == ["start", "request", "answer", "request", "timer", "local", "done"]
    asking = inspect_process(world.store, pid, at=1)
    sleeping = inspect_process(world.store, pid, at=3)
    assert asking is not None
    assert sleeping is not None
    assert [request.effect for request in asking.requests] == ["shop/charge"]
    assert [request.effect for request in sleeping.requests] == ["sleep"]
    locals = [frame.locals for frame in sleeping.fibers[0].frames if frame.function == "shop/pay"]
    assert locals == [{"receipt": '"r1"', "total": "25"}]
    # After an answer the program holds it, though nothing was saved at that very entry.
    answered = inspect_process(world.store, pid, at=2)
    assert answered is not None
    assert answered.fibers[0].waits == ""
    assert inspect_process(world.store, pid, at=10_000) is not None


def test_handlers_are_shown(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/handled", 7)
    seen = inspect_process(world.store, pid)
    assert seen is not None
    assert seen.fibers[0].handlers == (":shop/other",)


def test_a_deep_stack_is_shown_in_part(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/deep", 1000)
    seen = inspect_process(world.store, pid)
    assert seen is not None
    (fiber,) = seen.fibers
    assert len(fiber.frames) == 100
    assert fiber.hidden > 800
    assert "more frames" in seen.to_text()


def test_a_failed_process_says_where(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/fails", 7)
    seen = inspect_process(world.store, pid)
    assert seen is not None
    assert seen.status == "failed"
    assert any("shop.fm:18" in line for line in seen.trace)
    assert "shop/fails" in seen.to_text()


def test_an_ended_process_says_what_came_of_it(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/main", 7)
    world.answers["shop/charge"] = lambda order: "r1"
    world.run(pid)
    seen = inspect_process(world.store, pid)
    assert seen is not None
    assert (seen.status, seen.result, seen.fibers, seen.requests) == ("done", '"r1 for 25"', (), ())
    assert '  result     "r1 for 25"' in seen.to_text().split("\n")
    before = inspect_process(world.store, pid, at=1)
    assert before is not None
    assert (before.result, len(before.fibers)) == ("", 1)

    for function, result, error, data in [
        ("ends/function", "#fn ends/function/fn@2", "", ""),
        ("ends/fails", "", ":own no", "{:n 1}"),
        ("ends/waits", "", ":flowmetal/cancelled", ""),
    ]:
        world = Simulation({})
        pid = world.start(world.deploy(build_artifact({"ends.fm": ENDS}).data), function)
        world.settle()
        world.post(pid, "cancel", None)
        world.settle()
        seen = inspect_process(world.store, pid)
        assert seen is not None
        assert (seen.result, seen.data, seen.fibers, seen.problem) == (result, data, (), "")
        assert seen.error.startswith(error)
        assert bool(seen.trace) == bool(error)
        json.dumps(seen.to_json())


def test_history_lines_are_cut_to_a_width(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/main", "x" * 3000)
    lines = history(world.store, pid)
    assert "x" * 3000 in lines.to_json()["events"][1]["text"]
    assert "x" * 3000 in lines.to_text()
    cut = history(world.store, pid, characters=160).to_text(160).split("\n")
    assert len(cut) == 2
    assert all(len(line) == 160 and line.endswith("…") for line in cut)


def test_a_spawned_process_says_who_spawned_it_and_with_what(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/parent", 7)
    child = inspect_process(world.store, pid + 1)
    own = inspect_process(world.store, pid)
    assert child is not None
    assert own is not None
    assert (child.parent, child.parent_id, own.parent, own.parent_id) == (pid, "order-7", None, None)
    assert (child.arguments, own.arguments) == (("3",), ("7",))
    assert f"spawned by {pid} (order-7)" in child.to_text()
    assert "arguments  [3]" in child.to_text()
    assert "spawned by" not in own.to_text()


def test_what_a_fiber_stands_at_comes_before_what_is_only_open(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/stands", 7)
    record = world.store.process(pid)
    assert record is not None
    assert record.waits == "receive #3; open: http/callback #1, until 2026-01-01T01:00:00.000Z"
    world, pid = started(artifact, "shop/both", 7)
    record = world.store.process(pid)
    assert record is not None
    assert record.waits == "receive #3; shop/charge #4; open: http/callback #1, until 2026-01-01T01:00:00.000Z"


def test_text_and_json_forms(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/main", 7)
    seen = inspect_process(world.store, pid)
    assert seen is not None
    document = json.loads(json.dumps(seen.to_json()))
    assert document["requests"][0]["effect"] == "shop/charge"
    assert document["fibers"][0]["frames"][0]["line"] > 0
    text = seen.to_text()
    assert "waits for  shop/charge #1" in text
    assert "shop.fm:7" in text
    lines = history(world.store, pid)
    assert json.loads(json.dumps(lines.to_json()))["events"][1]["number"] == 1
    assert "request #1 shop/charge 7" in lines.to_text()


def test_history_in_pieces(artifact: bytes) -> None:
    world, pid = started(artifact, "shop/main", 7)
    world.answers["shop/charge"] = lambda order: "r1"
    world.run(pid, until=BEGIN + 10 * SECOND)
    first = history(world.store, pid, limit=2)
    assert (len(first), first.more) == (2, True)
    rest = history(world.store, pid, start=2)
    assert [line.sequence for line in rest] == [2, 3]
    assert not rest.more


def test_what_cannot_be_shown_says_why(artifact: bytes) -> None:
    world = Simulation({})
    world.store.submit([PutArtifact(b"x" * 32, b"gone")]).result()
    pid = world.start(b"x" * 32, "shop/main", [])
    world.settle()
    seen = inspect_process(world.store, pid)
    assert seen is not None
    assert seen.status == "paused"
    assert seen.problem
    assert inspect_process(world.store, 999) is None


TIED = """
(ns tied)

(defn child [] (receive _ 1))

(defn main []
  (register "boss")
  (join-group "workers")
  (let [pid (spawn-link child)]
    (monitor pid)
    (receive _ 1)))
"""


def test_what_a_process_is_tied_to() -> None:
    world = Simulation()
    hash = world.deploy(build_artifact({"tied.fm": TIED}).data)
    pid = world.start(hash, "tied/main")
    world.run()
    state = inspect_process(world.store, pid)
    assert state is not None
    assert state.ties == ("name boss", "group workers", "link to 2", "monitor on 2")
    assert "  ties       name boss, group workers, link to 2, monitor on 2\n" in state.to_text()
    child = inspect_process(world.store, 2)
    assert child is not None
    assert child.ties == ("link to 1", "monitored by 1")
    assert world.store.ties(99) == []


def test_messages_that_nobody_has_received_are_shown() -> None:
    """Those that the program passed over, and those that are in the store."""
    source = "(ns mail) (defn main [] (receive :go :gone))"
    simulation = Simulation(seed=1)
    pid = simulation.start(simulation.deploy(build_artifact({"mail.fm": source}).data), "mail/main")
    simulation.settle()
    for number in range(12):
        simulation.post(pid, "message", number)
    simulation.settle()
    simulation.post(pid, "pause")
    simulation.settle()
    simulation.post(pid, "message", 99)
    found = inspect_process(simulation.store, pid)
    assert found is not None
    assert found.mailbox is not None
    assert (found.mailbox.waiting, found.mailbox.kept) == (1, 12)
    assert found.mailbox.messages == tuple(map(str, range(10)))
    assert "mailbox: 13 messages, 12 of them passed over by a receive" in found.to_text()
    assert "... 3 more ..." in found.to_text()

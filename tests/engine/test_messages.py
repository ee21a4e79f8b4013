"""`receive`, `select` and what they stand on: in order, selective, with nothing lost whoever waits or is cancelled."""

from __future__ import annotations

import pytest

from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import LocalDone, MessageReceived, Requested
from flowmetal.engine.simulate import Simulation
from flowmetal.values import Duration, decode_value, keyword, print_string

SECOND = 10**9

#: (what main does, what comes of it); `say` sends to oneself.
PROGRAMS = [
    ("(say 1 2 3) [(receive) (receive) (receive)]", "[1 2 3]"),
    ("(say 1 2 3 4) [(receive ?n :when (even? ?n) ?n) (receive ?n :when (even? ?n) ?n) (receive) (receive)]", "[2 4 1 3]"),
    ("(say {:a 1} {:b 2}) [(receive {:b ?b} ?b {:c ?c} ?c) (receive ?m ?m)]", "[2 {:a 1}]"),
    ("(receive _ :something (after 0s :nothing))", ":nothing"),
    ("(say 1 2 3) (receive 3 :three (after 0s :nothing))", ":three"),
    ("(say 1 2 3) [(receive 4 :four (after 0s :nothing)) (receive)]", "[:nothing 1]"),
    ("(receive _ :something (after 5s :nothing))", ":nothing"),
    ("(receive _ 1 (after (time/plus (now) 5s) 2))", "2"),
    ("(say nil false) [(receive) (receive ?x [?x])]", "[nil [false]]"),
    ("(loop [n 0] (say n) (receive 300 :done ?k (recur (inc ?k))))", ":done"),
    ("(doseq [n (range 700)] (say n)) [(receive 699 :last) (count (for [_ (range 699)] (receive))) (receive _ 1 (after 0s 0))]",
     "[:last 699 0]"),
    ("(say 1) (select (await [v (promise)] [:value v]) (receive ?m [:message ?m]) (after 1s :late))", "[:message 1]"),
    ("(say 1) (let [p (promise)] (deliver p 7)\n [(select (await [v p] [:value v]) (receive ?m ?m)) (receive)])", "[[:value 7] 1]"),
    ("(let [p (promise)] [(select (await [v p] v) (receive :x 1) (after 1s :late)) (promise-state p)])", "[:late :pending]"),
    ("(select (await [v (async (sleep 2s) :slow)] v) (await [[a b] (async (sleep 1s) [1 2])] (+ a b)))", "3"),
    ("(try (select (await [v (async (throw (error :bad \"x\")))] v)) (catch :bad _ :caught))", ":caught"),
    ("(say {:x 1} :stop) (loop [n 0] (select (receive :stop n {:x ?x} (recur (+ n ?x))) (after 1s :late)))", "1"),
    # Several receive at once: a message goes to the oldest fiber that wants it.
    ("(let [a (async (receive ?n :when (odd? ?n) [:a ?n])) b (async (receive ?n [:b ?n]))]\n"
     " (say 2 3) [(await a) (await b)])", "[[:a 3] [:b 2]]"),
    ("(let [r (atom []) f (fn [] (async (swap! r conj (receive))))]\n"
     " (scope (f) (f) (f) (sleep 1s) (say 1 2) (sleep 1s) (say 3)) @r)", "[1 2 3]"),
    ("(let [a (async (receive :a :got-a)) b (async (receive :b :got-b (after 3s :b-late)))]\n"
     " (sleep 5s) (say :b :a) [(await a) (await b) (receive)])", "[:got-a :b-late :b]"),
    # What came while its fiber was cancelled is there for the next.
    ("(let [a (async (receive))] (sleep 1s) (say 1) (cancel! a) (sleep 1s) (receive))", "1"),
    ("(let [a (async (receive))] (sleep 1s) (cancel! a) (sleep 1s) (say 1) (receive))", "1"),
    ("(let [a (async (receive :x 1)) b (async (receive :y 2))]\n"
     " (sleep 1s) (cancel! a) (sleep 1s) (say :x :y) [(await b) (receive)])", "[2 :x]"),
    ("(try (with-timeout 1s (receive :x 1)) (catch :timeout _ nil)) (say :x) (receive)", ":x"),
    ("(race (async (receive :x 1)) (async (sleep 1s) 2)) (say :x :y) [(receive) (receive)]", "[:x :y]"),
    # In a `finally`, where cancellation is held back.
    ("(let [r (promise) a (async (try (sleep 1h) (finally (deliver r (receive)))))]\n"
     " (sleep 1s) (cancel! a) (say 5) (sleep 1s) (await r))", "5"),
    # Under a handler of the program.
    ("(handle [(receive) (receive {:n ?n} ?n)] (:receive [_ resume] (resume {:n 7})))", "[{:n 7} 7]"),
    # An error of a guard leaves the message where it is.
    ("(say \"a\") [(try (receive ?n :when (even? ?n) 1) (catch _ e (error-kind e))) (receive)]", "[:type \"a\"]"),
    ("(say 1) [(try (receive ?n :when (do (sleep 1s) true) 1) (catch :atomic _ :atomic)) (receive)]", "[:atomic 1]"),
    # The effect itself goes on working: the oldest message that no `receive` has taken over.
    ("(say 1 2) [(perform :receive) (receive)]", "[1 2]"),
]  # fmt: skip

SOURCE = """
(ns t (:require time))
(defn say [& messages] (doseq [m messages] (send (self) m)))
(defn main [] {body})
(defn get-it [n] (receive ?m [n ?m]))
(defn later [time] (receive :x :got-x (after time [:late (receive :y :got-y (after 0s :no-y))])))
(defn cleaning [] (try (receive :never 1) (finally (log (receive _ :there (after 0s :nothing))))))
"""


def world_of(body: str = "nil") -> tuple[Simulation, bytes]:
    world = Simulation(seed=1)
    return world, world.deploy(build_artifact({"t.fm": SOURCE.replace("{body}", body)}).data)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize(("body", "value"), PROGRAMS)
def test_programs(body: str, value: str, crash: bool) -> None:
    world, artifact = world_of(body)
    pid = world.start(artifact, "t/main")
    world.run(crash_each_step=crash)
    ran = world.outcome(pid)
    assert (ran.error, print_string(ran.value)) == (None, value)
    record = world.store.process(pid)
    assert record is not None
    assert not world.store.inbox(pid) and not world.store.open_requests(pid)
    assert world.store.next_due() is None


def test_messages_that_came_before_the_time_win_however_late_they_are_looked_at() -> None:
    """The interpreter is away while the messages come and the time runs out: what was in time is not late."""
    world, artifact = world_of()
    pid = world.start(artifact, "t/later", [Duration(10 * SECOND)])
    world.settle()
    for text in ("a", "b", "c", "x"):
        world.post(pid, "message", keyword(text))
    world.clock.advance(60 * SECOND)
    world.crash()
    world.run()
    assert print_string(world.outcome(pid).value) == ":got-x"


def test_many_messages_are_taken_in_one_event() -> None:
    world, artifact = world_of("(mapv (fn [_] (receive)) (range 500))")
    pid = world.start(artifact, "t/main")
    for n in range(500):
        world.post(pid, "message", n)
    world.run()
    ran = world.outcome(pid)
    assert list(ran.value) == list(range(500))
    assert sum(isinstance(event, MessageReceived) for event in ran.log) == 2
    assert sum(isinstance(event, Requested) for event in ran.log) == 2


def test_a_message_and_a_cancellation_that_come_together() -> None:
    """The fiber ends; the message is there for its `finally`."""
    for first in ("message", "cancel"):
        world, artifact = world_of()
        pid = world.start(artifact, "t/cleaning")
        world.settle()
        for kind in ("message", "cancel") if first == "message" else ("cancel", "message"):
            world.post(pid, kind, None)
        world.run()
        ran = world.outcome(pid)
        assert ran.status == "cancelled"
        [said] = [event for event in ran.log if isinstance(event, LocalDone) and event.effect == "log"]
        assert print_string(decode_value(said.payload)) == ":there"


def test_what_it_waits_for_reads_well() -> None:
    world, artifact = world_of()
    pid = world.start(artifact, "t/get-it", [1])
    world.settle()
    record = world.store.process(pid)
    assert record is not None and record.waits == "receive #1"


def test_a_full_mailbox_is_an_error_that_can_be_caught() -> None:
    source = (
        "(defn fill [n] (try (loop [] (receive :never 1)) (catch :limit e [(:limit (ex-data e)) (count (drain))])))\n"
        "(defn drain [] (loop [found []] (receive ?m (recur (conj found ?m)) (after 0s found))))\n"
    )
    lines = source.splitlines()
    world = Simulation(seed=1)
    artifact = world.deploy(build_artifact({"u.fm": "(ns u)\n" + "\n".join(reversed(lines))}).data)
    pid = world.start(artifact, "u/fill", [1])
    sent = 0
    while world.outcome(pid).status in ("ready", "waiting") and sent < 110_000:
        for n in range(5000):
            world.post(pid, "message", n)
        sent += 5000
        world.settle()
    limit, count = world.outcome(pid).value
    assert limit is keyword("mailbox") and count == sent

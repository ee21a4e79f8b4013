"""Names, monitors, links and the key-value table while interpreters are killed: each is done once, and nothing is left."""

from __future__ import annotations

import random
import time
from contextlib import closing
from pathlib import Path

from flowmetal.engine.artifacts import deploy
from flowmetal.engine.build import build_artifact
from flowmetal.store import open_store
from flowmetal.store.interface import Operate, Start, Store
from flowmetal.values import Vector, decode_value, encode_value, print_string
from tests.crash.messages import Interpreters

SOURCE = """
(ns town (:require kv))

(defn tally [n]
  (receive
    [:add ?k] (tally (+ n ?k))
    [:get ?who] (do (send ?who n) :over)))

(defn child [n]
  (spawn-link (fn [] (sleep 1h)))
  (if (even? n) n (throw (error :odd "it is odd"))))

(defn work [rounds]
  (doseq [i (range rounds)]
    (get-or-start :tally tally 0)
    (send :tally [:add 1])
    (kv/update "count" (fnil inc 0))
    (let [[pid ref] (spawn-monitor child i)
          down (receive)]
      (when-not (= [ref pid (if (even? i) :done :failed)] [(get down :ref) (get down :pid) (get down :status)])
        (throw (error :wrong (str i " " down))))))
  rounds)

(defn main [workers rounds]
  (let [refs (mapv (fn [_] (nth (spawn-monitor work rounds) 1)) (range workers))
        statuses (mapv (fn [ref] (receive {:type :down :ref ?ref :status ?status} :when (= ?ref ref) ?status)) refs)]
    (send :tally [:get (self)])
    [(frequencies statuses) (kv/get "count") (receive ?n :when (int? ?n) ?n)]))
"""

WORKERS, ROUNDS, KILLS = 6, 10, 3


def ended(store: Store) -> bool:
    record = store.process(1)
    return record is not None and record.status in ("done", "failed", "cancelled")


def counted(store: Store) -> int:
    """What the table says now."""
    (data,) = store.submit([Operate("kv/get", encode_value(Vector.of(["count", 0])))]).result(60)
    return int(decode_value(data))


def test_names_monitors_and_keys_under_kills(tmp_path: Path) -> None:
    path = tmp_path / "store"
    chosen = random.Random(1)
    with closing(open_store(path)) as store:
        deploy(store, build_artifact({"town.fm": SOURCE}).data, "town")
        arguments = encode_value(Vector.of([WORKERS, ROUNDS]))
        store.submit([Start("town/main", arguments, name="town")]).result(60)
    interpreters = Interpreters(path, 120)
    kills = 0
    try:
        interpreters.fill()
        with closing(open_store(path, create=False)) as store:
            stop = time.monotonic() + 100
            while not ended(store):
                assert time.monotonic() < stop, store.processes(limit=20)
                time.sleep(0.05)
                if kills < KILLS and counted(store) >= (kills + 1) * WORKERS * ROUNDS // (KILLS + 1):
                    interpreters.kill(chosen)
                    interpreters.fill()
                    kills += 1
            interpreters.close()
            result = store.result(1)
            assert result is not None
            total = WORKERS * ROUNDS
            assert print_string(decode_value(result)) == f"[{{:done {WORKERS}}} {total} {total}]"
            assert kills == KILLS
            tallies = [one for one in store.processes(limit=10_000) if one.function == "town/tally"]
            assert len(tallies) == 1
    finally:
        if not interpreters.log.closed:
            interpreters.close()

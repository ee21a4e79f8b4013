"""Absurd as a side: `absurd_side.py FOLDER`, on the PostgreSQL of the variable DATABASE.

Default settings, but for the worker's look at its queue: 10 ms instead of 250, which is to its advantage.
`absurd_side.py FOLDER work` is the worker, a process of its own that the first one starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from typing import Any

from absurd_sdk import Absurd
from answering import Answer, say, serve, until

ADMINISTRATOR = os.environ["DATABASE"]
NAME = "absurd_bench"
URL = ADMINISTRATOR.rpartition("/")[0] + f"/{NAME}"
QUEUE = "default"
POLL_SECONDS = 0.01
CLAIM_SECONDS = 900
CONCURRENCY = int(os.environ.get("ABSURD_CONCURRENCY", "16"))  # threads; what it calls concurrency

spawned: dict[str, Any] = {}


def sql(query: str, *values: object, url: str = ADMINISTRATOR) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def register(app: Absurd) -> Absurd:
    def steps(count: int, context: Any) -> int:
        x = 0
        for _ in range(count):
            x = context.step("one", lambda v=x: v + 1)
        return x

    @app.register_task(name="chain")
    def chain_of(parameters: dict[str, Any], context: Any) -> int:
        return steps(parameters["n"], context)

    @app.register_task(name="held")
    def held(parameters: dict[str, Any], context: Any) -> str:
        x = steps(parameters["n"], context)
        return str(context.await_event(parameters["event"])) + str(x)

    return app


def prepare() -> tuple[Absurd, int]:
    """The client, and the pid of the worker it started."""
    if not sql("select 1 from pg_database where datname = %s", NAME):
        sql(f"create database {NAME}")
        tool = os.path.join(os.path.dirname(sys.executable), "absurdctl")
        subprocess.run([tool, "init", "-d", URL], check=True, capture_output=True)
        Absurd(URL).create_queue(QUEUE)
    worker = subprocess.Popen(
        [sys.executable, __file__, sys.argv[1], "work"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None and worker.stdout.readline()
    return Absurd(URL), worker.pid


def work() -> None:
    app = register(Absurd(URL))
    say({"up": True})
    app.start_worker(concurrency=CONCURRENCY, claim_timeout=CLAIM_SECONDS, poll_interval=POLL_SECONDS)


def spawn(task: str, **parameters: Any) -> Any:
    return app.spawn(task, parameters, queue=QUEUE)["task_id"]


def state(task: Any) -> str:
    found = app.fetch_task_result(task)
    return found.state if found else ""


def result(task: Any, pause: float = 0.001) -> Any:
    until(lambda: state(task) in ("completed", "failed", "cancelled"), 300, pause)
    found = app.fetch_task_result(task)
    if found.state != "completed":
        raise RuntimeError(f"a task is {found.state}")
    return found.result


def chain(steps: int) -> Answer:
    began = time.perf_counter()
    if result(spawn("chain", n=steps), 0.01) != steps:
        raise RuntimeError("a wrong result")
    return {"wall": time.perf_counter() - began}


def count_of(wanted: str) -> int:
    found: int = sql("select count(*) from absurd.t_default where state = %s", wanted, url=URL)[0][0]
    return found


def fan(count: int, steps: int) -> Answer:
    before = count_of("completed")
    began = time.perf_counter()
    for _ in range(count):
        spawn("chain", n=steps)
    until(lambda: count_of("completed") >= before + count, 300, 0.05)
    return {"wall": time.perf_counter() - began}


def latency(count: int) -> Answer:
    found = []
    for index in range(count):
        event = str(uuid.uuid4())
        task = spawn("held", n=0, event=event)
        until(lambda: state(task) == "sleeping", 30)  # noqa: B023 - called before the next round
        time.sleep(0.02 + (index % 7) * 0.003)
        began = time.perf_counter()
        app.emit_event(event, "x", QUEUE)
        if result(task) != "x0":
            raise RuntimeError("a wrong result")
        found.append((time.perf_counter() - began) * 1e3)
    return {"ms": found}


def park(count: int) -> Answer:
    before = count_of("sleeping")
    began = time.perf_counter()
    for _ in range(count):
        event = str(uuid.uuid4())
        spawned[event] = spawn("held", n=0, event=event)
    accepted = time.perf_counter() - began
    until(lambda: count_of("sleeping") >= before + count, 300, 0.05)
    return {"wall": time.perf_counter() - began, "accepted": accepted, "last": f"{event}={spawned[event]}"}


def hold(steps: int, key: str) -> Answer:
    task = spawn("held", n=steps, event=key)
    until(lambda: state(task) == "sleeping", 300, 0.01)
    return {"key": f"{key}={task}"}


def wake(key: str) -> Answer:
    event, _, task = key.partition("=")
    began = time.perf_counter()
    app.emit_event(event, "go", QUEUE)
    return {"result": result(task), "wall": time.perf_counter() - began}


def size() -> Answer:
    sql("checkpoint")
    [(stored, log)] = sql("select pg_database_size(%s), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')", NAME)
    return {"bytes": int(stored), "log": int(log)}


if __name__ == "__main__":
    if sys.argv[2:] == ["work"]:
        work()
    app, worker_pid = prepare()
    serve(
        {"chain": chain, "fan": fan, "latency": latency, "park": park, "hold": hold, "wake": wake, "bytes": size},
        pids=[os.getpid(), worker_pid],
    )

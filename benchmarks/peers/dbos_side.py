"""DBOS as a side: `dbos_side.py FOLDER`, on SQLite in that folder, or on the PostgreSQL of the variable DATABASE.

Default settings.  A workflow that waits is an asyncio task, the cheapest way DBOS has; others run in its threads.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import uuid

from answering import Answer, folder_bytes, serve, tenths, until
from dbos import DBOS, SetWorkflowID

FOLDER = sys.argv[1]
ADMINISTRATOR = os.environ.get("DATABASE", "")
NAME = "dbos_bench"
URL = (
    ADMINISTRATOR.replace("postgresql://", "postgresql+psycopg://").rpartition("/")[0] + f"/{NAME}"
    if ADMINISTRATOR
    else f"sqlite:///{FOLDER}/dbos.sqlite"
)
THREE_DAYS = 3 * 86400

marks: list[float] = []
waiting: set[str] = set()


@DBOS.step()
def one(x: int) -> int:
    return x + 1


@DBOS.workflow()
def chain_of(steps: int) -> int:
    x = 0
    for _ in range(steps):
        marks.append(time.perf_counter())
        x = one(x)
    return x


@DBOS.workflow()
def held(steps: int) -> str:
    x = 0
    for _ in range(steps):
        x = one(x)
    waiting.add(DBOS.workflow_id)
    return str(DBOS.recv("events", THREE_DAYS)) + str(x)


@DBOS.workflow()
async def parked() -> str:
    waiting.add(DBOS.workflow_id)
    return str(await DBOS.recv_async("events", THREE_DAYS))


def sql(query: str, *values: object) -> list[tuple[object, ...]]:
    import psycopg

    with psycopg.connect(ADMINISTRATOR, autocommit=True) as connection:
        cursor = connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def prepare() -> None:
    """Makes the database where it is not there yet, and begins."""
    if ADMINISTRATOR and not sql("select 1 from pg_database where datname = %s", NAME):
        sql(f"create database {NAME}")
    DBOS(config={"name": "bench", "system_database_url": URL, "log_level": "ERROR", "application_version": "1"})
    DBOS.launch()


def chain(steps: int) -> Answer:
    marks.clear()
    began = time.perf_counter()
    if chain_of(steps) != steps:
        raise RuntimeError("a wrong result")
    return {"wall": time.perf_counter() - began, **tenths(marks)}


def fan(count: int, steps: int) -> Answer:
    began = time.perf_counter()
    handles = [DBOS.start_workflow(chain_of, steps) for _ in range(count)]
    if any(handle.get_result() != steps for handle in handles):
        raise RuntimeError("a wrong result")
    return {"wall": time.perf_counter() - began}


def latency(count: int) -> Answer:
    found = []
    for index in range(count):
        handle = DBOS.start_workflow(held, 0)
        until(lambda: handle.workflow_id in waiting, 30)  # noqa: B023 - called before the next round
        # A poll that goes round once a second is met at another moment each time.
        time.sleep(0.02 + (index * 0.37) % 1.0 if not ADMINISTRATOR else 0.02)
        began = time.perf_counter()
        DBOS.send(handle.workflow_id, "x", "events")
        if handle.get_result() != "x0":
            raise RuntimeError("a wrong result")
        found.append((time.perf_counter() - began) * 1e3)
    return {"ms": found}


def park(count: int) -> Answer:
    """Workflows that wait for as long as this process lives, or the next."""
    began = time.perf_counter()
    before = len(waiting)
    names = [f"park-{uuid.uuid4()}" for _ in range(count)]

    async def start() -> None:
        for name in names:
            with SetWorkflowID(name):
                await DBOS.start_workflow_async(parked)
        await asyncio.sleep(1e9)

    threading.Thread(target=lambda: asyncio.run(start()), daemon=True).start()
    until(lambda: len(waiting) >= before + count, 300, 0.01)
    return {"wall": time.perf_counter() - began, "last": names[-1]}


def hold(steps: int, key: str) -> Answer:
    with SetWorkflowID(key):
        DBOS.start_workflow(held, steps)
    until(lambda: key in waiting, 300)
    time.sleep(0.3)  # until it has gone from its last step into its wait
    return {}


def wake(key: str) -> Answer:
    until(lambda: key in waiting, 300)
    began = time.perf_counter()
    DBOS.send(key, "go", "events")
    result = DBOS.retrieve_workflow(key).get_result(polling_interval_sec=0.01)
    return {"wall": time.perf_counter() - began, "result": result}


def size() -> Answer:
    if not ADMINISTRATOR:
        return {"bytes": folder_bytes(FOLDER)}
    sql("checkpoint")
    [(stored, log)] = sql("select pg_database_size(%s), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')", NAME)
    return {"bytes": int(str(stored)), "log": int(str(log))}


if __name__ == "__main__":
    prepare()
    serve(
        {"chain": chain, "fan": fan, "latency": latency, "park": park, "hold": hold, "wake": wake, "bytes": size},
        pids=[os.getpid()],
    )

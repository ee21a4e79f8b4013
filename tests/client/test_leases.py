"""Leases are kept by a thread of their own, and large work is done beside the loop, a little of it at once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from driver import DEADLINE_SECONDS, Driver, eventually, running

from flowmetal import Context, Worker
from flowmetal.client.background import INLINE_BYTES_MAX, Background, Gate
from flowmetal.client.serving import Answer, Running, Serving, StoreSource
from flowmetal.server import HttpServer, read_config
from flowmetal.store.interface import Fire
from flowmetal.values import encode_value


def test_a_loop_that_is_held_up_loses_no_lease() -> None:
    driver = Driver()
    made: list[Serving] = []
    began, go_on = threading.Event(), threading.Event()

    async def handle(running: Running) -> Answer:
        if running.request.effect == "t/heavy":
            began.set()
            go_on.wait(DEADLINE_SECONDS)  # in the loop's thread, on purpose
        return Answer(True, encode_value(running.request.attempt))

    async def main() -> None:
        made.append(Serving(StoreSource(driver.store, ("t/heavy",), "w", 600), handle, concurrency=4, lease_ms=600))
        await made[0].run()

    with_loop = Background("held-up", main, lambda: made[0].stop(0))
    with_loop.start()
    pid = driver.request("t/heavy")
    assert began.wait(DEADLINE_SECONDS)
    until = driver.store.open_requests(pid)[0].lease_until
    try:
        eventually(lambda: driver.store.now() > until + 600_000_000)  # a lease, twice over
        driver.submit(Fire())
        assert not driver.events(pid, "lost")
    finally:
        go_on.set()
    assert driver.plain_answer(pid) == (True, 1)
    assert with_loop.stop(DEADLINE_SECONDS)
    driver.store.close()


@pytest.mark.parametrize("way", ["store", "http"])
def test_a_function_extends_its_lease(way: str) -> None:
    driver = Driver()
    server = HttpServer(driver.store, read_config({"serve": {"port": 0}}))
    with running(server):
        worker = Worker(driver.store if way == "store" else server.url)
        said: list[bool] = []

        @worker.function("t/extends")
        def extends(payload: Any, context: Context) -> Any:
            said.append(context.extend())
            driver.close_request(context.pid)
            said.append(context.extend())

        with running(worker):
            driver.request("t/extends")
            eventually(lambda: said == [True, False])
    driver.store.close()


def test_a_gate_lets_few_through_and_keeps_the_place_of_what_was_given_up() -> None:
    inside: list[int] = []
    most: list[int] = []
    release = threading.Event()

    def work() -> str:
        inside.append(1)
        most.append(len(inside))
        release.wait(DEADLINE_SECONDS)
        inside.pop()
        return threading.current_thread().name

    async def main() -> None:
        gate = Gate(2)
        tasks = [asyncio.ensure_future(gate.run(work, INLINE_BYTES_MAX + 1)) for _ in range(5)]
        while len(inside) < 2:
            await asyncio.sleep(0.01)
        tasks[0].cancel()
        await asyncio.sleep(0.1)
        assert len(inside) == 2
        release.set()
        names = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(names[0], asyncio.CancelledError) and names[1:] == ["function"] * 4
        assert await gate.run(work, INLINE_BYTES_MAX) == threading.current_thread().name

    asyncio.run(main())
    assert max(most) == 2

"""A caller that no longer waits, as a cancelled task of asyncio, does not disturb the store or the other callers."""

from __future__ import annotations

import asyncio
import contextlib

from flowmetal.store.interface import Post
from tests.store.support import Rig


def test_cancelled_futures(rig: Rig) -> None:
    pid = rig.start()
    for number in range(20):
        future = rig.store.submit([Post(pid, "message", b"%d" % number)])
        assert not future.cancel()  # it is under way
    assert rig.one(Post(pid, "message", b"last"))
    assert len(rig.store.inbox(pid)) == 22  # and what was submitted is done


def test_cancelled_tasks(rig: Rig) -> None:
    pid = rig.start()

    async def give_up_at_once() -> None:
        for number in range(20):
            task = asyncio.ensure_future(
                asyncio.wait_for(asyncio.wrap_future(rig.store.submit([Post(pid, "message", b"%d" % number)])), 10)
            )
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        (done,) = await asyncio.wrap_future(rig.store.submit([Post(pid, "message", b"last")]))
        assert done

    asyncio.run(give_up_at_once())
    assert len(rig.store.inbox(pid)) == 22

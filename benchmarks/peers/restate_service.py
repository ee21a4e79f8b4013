"""The services that run on Restate, with its Python SDK: an ASGI application."""

from __future__ import annotations

from datetime import timedelta

import restate
from restate import Context, Service, Workflow, WorkflowContext, WorkflowSharedContext

#: A workflow that waits longer than this is suspended: it leaves the memory of the service.  The default is a minute.
SUSPEND = timedelta(seconds=1)

bench = Service("Bench", inactivity_timeout=SUSPEND)
held = Workflow("Held", inactivity_timeout=SUSPEND)


@bench.handler()
async def chain(context: Context, steps: int) -> int:
    x = 0
    for _ in range(steps):
        x = await context.run_typed("one", one, x=x)
    return x


async def one(x: int) -> int:
    return x + 1


@held.main()
async def run(context: WorkflowContext, steps: int) -> str:
    x = 0
    for _ in range(steps):
        x = await context.run_typed("one", one, x=x)
    context.set("at", "waiting")
    message: str = await context.promise("event").value()
    return message + str(x)


@held.handler()
async def go(context: WorkflowSharedContext, message: str) -> None:
    await context.promise("event").resolve(message)


@held.handler()
async def at(context: WorkflowSharedContext) -> str:
    return await context.get("at") or "on its way"


app = restate.app([bench, held], protocol="bidi")

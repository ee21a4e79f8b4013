"""The instructions that reach out of their frame: effects, regions, fibers and promises.  The loop hands them over."""

from __future__ import annotations

from typing import Any

from flowmetal.values import ErrorValue, Map, fail
from flowmetal.vm import fibers, handlers
from flowmetal.vm.frames import Mode, check_closure, entry_frame, push_region
from flowmetal.vm.load import RunCode
from flowmetal.vm.state import KIND_CANCELLED, Fiber, Process, Region, Resume


def run_effect(
    process: Process, fiber: Fiber, code: RunCode, registers: list[Any], instruction: list[Any]
) -> tuple[int, Any]:
    """Runs one such instruction.  Gives (mode, value), mode ON where the frame just goes on; LanguageErrors."""
    op, a, b, c, d, after = instruction
    index = after - 1
    frames = fiber.frames
    if op == 90 or op == 91:  # perform, request
        if fiber.cancelled is not None:
            fibers.check_cancelled(fiber, code, index)
        frame = (code, registers, after, a)
        return handlers.perform(process, fiber, frame, registers[b], registers[c], registers[d], op == 90)
    if op == 94:  # await
        fibers.check_cancelled(fiber, code, index)
        promise = fibers.check_promise(registers[b])
        settled, value = fibers.await_promise(process, fiber, (code, registers, index, -1), promise)
        if not settled:
            return Mode.STOP, None
        registers[a] = value
        return Mode.ON, None
    if op == 92:  # region
        data = registers[c]
        if b in (Region.HANDLE, Region.BIND) and data.__class__ is not Map:
            fail("type", "a region of handlers or bindings takes a map")
        call = entry_frame(check_closure(registers[d], "the body of a region"), [])
        if b == Region.SCOPE:
            data = fibers.new_scope(process, fiber)
        frames.append((code, registers, after, a))
        push_region(fiber, b, data)
        frames.append(call)
        return Mode.ENTER, None
    if op == 93:  # async
        registers[a] = fibers.start_fiber(process, fiber, registers[b], [])
        return Mode.ON, None
    if op == 95:  # await_any
        fibers.check_cancelled(fiber, code, index)
        chosen = fibers.await_any(process, fiber, (code, registers, index, -1), registers[b])
        if chosen < 0:
            return Mode.STOP, None
        registers[a] = chosen
        return Mode.ON, None
    # 96 cancel
    promise = fibers.check_promise(registers[b])
    reason = ErrorValue(KIND_CANCELLED, "cancelled by the program", None)
    fibers.cancel_promise(process, promise, reason)
    registers[a] = None
    if process.outbox:  # what is to be cancelled outside is told before the program goes on
        frames.append((code, registers, after, a))
        fiber.resume = (Resume.VALUE, None)
        process.ready.appendleft(fiber.id)
        return Mode.STOP, None
    return Mode.ON, None

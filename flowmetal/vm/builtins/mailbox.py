"""What the library's mailbox has to know of the machine: who waits for a promise, and who would answer an effect."""

from __future__ import annotations

from typing import Any

from flowmetal.values import Keyword, Promise
from flowmetal.vm.builtins.check import wrong_type
from flowmetal.vm.builtins.registry import builtin
from flowmetal.vm.state import Region


@builtin(2100, "awaited?", 1, context=True)
def is_awaited(process: Any, promise: Any) -> bool:
    """Whether a fiber waits for a promise, alone or among others."""
    if promise.__class__ is not Promise:
        wrong_type("awaited?", "a promise", promise)
    return id(promise) in process.waiters


@builtin(2101, "handled?", 1, context=True)
def is_handled(process: Any, effect: Any) -> bool:
    """Whether a handler of the program would answer an effect that is performed here."""
    if effect.__class__ is not Keyword:
        wrong_type("handled?", "the keyword of an effect", effect)
    fiber = process.fibers.get(process.running)
    if fiber is None:
        return False
    regions = (fiber.frames[index] for index in fiber.regions)
    return any(frame[1] == Region.HANDLE and frame[2].get(effect) is not None for frame in regions)

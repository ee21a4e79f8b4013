"""Runs a process: its ready fibers one after the other, until something outside it is needed."""

from __future__ import annotations

from flowmetal.diagnostics import FlowmetalError
from flowmetal.vm.faults import fault
from flowmetal.vm.fibers import set_deadline
from flowmetal.vm.machine import run_fiber
from flowmetal.vm.state import SLICE, Failed, Idle, Outcome, OutOfFuel, Process


def run(process: Process, fuel: int | None = None) -> Outcome:
    """Runs a process until something outside it is needed; see the outcomes in state.py.

    `fuel` bounds the calls and loop turns; the default is the process's own limit.  Nothing but FlowmetalError leaves
    it: that the process's own artifact is damaged.
    """
    process.fuel = process.limits.fuel_per_turn if fuel is None else fuel
    while True:
        if process.outbox:
            outcome: Outcome = process.outbox.popleft()
            break
        if process.end is not None:
            outcome = process.end
            break
        if not process.ready:
            if process.cleaning and set_deadline(process):
                continue
            outcome = Idle()
            break
        fiber = process.fibers[process.ready.popleft()]
        process.running = fiber.id
        try:
            if not run_fiber(process, fiber):
                return OutOfFuel()
        except FlowmetalError:
            raise
        except Exception as problem:  # not the program's: what the machine goes by is in disorder
            process.end = Failed(fault(problem))
        finally:
            process.running = 0
    process.slice_left = SLICE  # a slice begins with each step, so what a step does hangs on nothing before it
    return outcome

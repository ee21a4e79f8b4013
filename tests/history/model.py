"""What a history of operations must be like: a small checker in the manner of Wing and Gong, one object at a time.

An operation has a begin and an end by one clock; one whose outcome nobody knows has no end, and may have happened at any
time after its begin, or never.  A history of an object is linearizable if its operations can be put into an order that
keeps to these times (what ended before another began comes first) in which a sequential model gives every answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

#: An end that is later than all others: of an operation of which nobody knows.
NEVER = 1 << 63

#: Configurations of one object that are looked at; beyond it the checker gives up, which counts as a failure.
CONFIGURATIONS_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.  `known`: whether `result` is what it gave; else it may not have happened."""

    client: str
    begin: int
    end: int
    kind: str
    object: str
    arguments: tuple[Any, ...]
    result: Any = None
    known: bool = True


#: Gives the state after an operation, or None (in a tuple of nothing) where its result is not what the model gives.
Step = Callable[[Any, Operation], "tuple[Any] | None"]


def register(state: Any, operation: Operation) -> tuple[Any] | None:
    """A value that is read, written, compared and swapped, deleted."""
    a, known, result = operation.arguments, operation.known, operation.result
    match operation.kind:
        case "put":
            return (a[0],)
        case "get":
            return (state,) if not known or result == state else None
        case "cas":
            swapped = state == a[0]
            return (a[1] if swapped else state,) if not known or result == swapped else None
        case "delete":
            there = state is not None
            return (None,) if not known or result == there else None
    raise AssertionError(operation.kind)


def counter(state: Any, operation: Operation) -> tuple[Any] | None:
    """A number that is counted up, and read."""
    number = state or 0
    if operation.kind == "get":
        return (state,) if not operation.known or (operation.result or 0) == number else None
    return (number + 1,) if not operation.known or operation.result == number + 1 else None


def started(state: Any, operation: Operation) -> tuple[Any] | None:
    """The process of an id: started once, found from then on."""
    if operation.kind == "find":
        return (state,) if not operation.known or operation.result == state else None
    if not operation.known:
        return (state if state is not None else "?",)
    if state is None or state == "?":
        return (operation.result,)
    return (state,) if state == operation.result else None


def linearizable(operations: Sequence[Operation], step: Step, state: Hashable = None) -> bool:
    """Whether there is an order of the operations in which the model gives what they gave."""
    # One of which nobody knows may be left out, and what changes nothing is no matter.
    ordered = sorted((one for one in operations if one.known or one.kind != "get"), key=lambda one: one.begin)
    count = len(ordered)
    known = sum(1 << index for index, one in enumerate(ordered) if one.known)
    seen: set[tuple[int, Hashable]] = set()
    stack: list[tuple[int, int, Any]] = [(0, 0, state)]  # the first that is not placed, those that are, the state
    while stack:
        first, placed, state = stack.pop()
        if placed & known == known:
            return True
        if len(seen) > CONFIGURATIONS_MAX:
            raise RuntimeError("too many orders to look at")
        earliest = NEVER + 1
        for index in range(first, count):
            if placed >> index & 1:
                continue
            operation = ordered[index]
            if operation.begin > earliest:
                break
            earliest = min(earliest, operation.end)
            after = step(state, operation)
            if after is None:
                continue
            now = placed | 1 << index
            following = first
            while now >> following & 1:
                following += 1
            key = (now, after[0])
            if key not in seen:
                seen.add(key)
                stack.append((following, now, after[0]))
    return False


def alive_then_ended(operations: Sequence[Operation]) -> str:
    """What is wrong with the answers about one process: one that has been shown as ended is not alive afterwards.

    The result of each operation is whether it was alive.
    """
    ended = min((one.end for one in operations if one.known and one.result is False), default=NEVER)
    for one in operations:
        if one.known and one.result is True and one.begin > ended:
            return f"{one.kind} of {one.client} found {one.object} alive after somebody was told that it had ended"
    return ""


def never_back(operations: Sequence[Operation]) -> str:
    """What is wrong with looks at one process, whose results are (steps, final status or ""): none is ever taken back."""
    ends = sorted((one for one in operations if one.known), key=lambda one: one.end)
    position, steps, final = 0, -1, ""
    for one in sorted(ends, key=lambda one: one.begin):
        while position < len(ends) and ends[position].end < one.begin:
            steps = max(steps, ends[position].result[0])
            final = final or ends[position].result[1]
            position += 1
        if one.result[0] < steps:
            return f"{one.client} saw {one.result[0]} steps of {one.object} after {steps} had been seen"
        if final and one.result[1] != final:
            return f"{one.client} saw {one.object} as {one.result[1] or 'alive'} after it had been seen as {final}"
    return ""


def messages(sent: Sequence[Operation], got: Sequence[Any]) -> list[str]:
    """What is wrong with the messages of one receiver: `sent` have (sender, number) and `got` is a list of these."""
    found = []
    by_sender: dict[str, list[int]] = {}
    for sender, number in got:
        by_sender.setdefault(sender, []).append(number)
    for sender in sorted(set(by_sender) | {one.arguments[0] for one in sent}):
        of_it = [one for one in sent if one.arguments[0] == sender]
        numbers = by_sender.get(sender, [])
        accepted = [one.arguments[1] for one in of_it if one.known and one.result is True]
        possible = {one.arguments[1] for one in of_it if not one.known} | set(accepted)
        if len(set(numbers)) != len(numbers):
            found.append(f"messages of {sender} came twice: {numbers}")
        if numbers != sorted(numbers):
            found.append(f"messages of {sender} came out of order: {numbers}")
        if lost := sorted(set(accepted) - set(numbers)):
            found.append(f"messages {lost} of {sender} were accepted and did not come")
        if strange := sorted(set(numbers) - possible):
            found.append(f"messages {strange} of {sender} came and were not accepted")
    return found

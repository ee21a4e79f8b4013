"""The limits of processes in one table: their names in [limits], what they bound, and who sees that one is reached.

docs/limits.md has the table; `python -m flowmetal.engine.limits` prints it, and a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from flowmetal.dataclass import dataclass, field, replace
from flowmetal.store.interface import Store
from flowmetal.store.limits import MAX_ARGUMENT_BYTES, MAX_ATTRIBUTE_BYTES, MAX_ITEMS, MAX_MESSAGES
from flowmetal.vm import Limits

#: One value that leaves a process: an event of the log holds up to two of them, and some text.
_VALUE_MAX = MAX_ARGUMENT_BYTES


@dataclass(frozen=True, slots=True)
class Row:
    """A limit: `field` of vm.Limits or of EngineLimits; `most`: what a setting may say."""

    name: str
    field: str
    default: int
    most: int
    caught: bool
    doc: str


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Limits that the engine itself looks after."""

    mailbox: int = MAX_MESSAGES
    processes: int = 2_000_000
    children: int = 10_000
    descendants: int = 100_000
    starts: int = 1_000_000_000
    requests: int = MAX_ITEMS
    value_bytes: int = _VALUE_MAX
    attributes: int = 64
    attribute_bytes: int = MAX_ATTRIBUTE_BYTES
    compute: int = 300
    burst: int = 10_000_000


_vm, _engine = Limits(), EngineLimits()

#: In the order of the page.
TABLE: tuple[Row, ...] = (
    Row(
        "fuel",
        "fuel",
        _vm.fuel,
        1 << 60,
        False,
        "calls and loop turns of a process's life; what is short between two effects (under 20,000) does not count",
    ),
    Row(
        "compute",
        "compute",
        _engine.compute,
        1 << 30,
        False,
        "seconds of a processor that a process computes without an entry in its log",
    ),
    Row(
        "burst",
        "burst",
        _engine.burst,
        1 << 60,
        False,
        "entries that a process adds to its log without waiting for anything but the store; one more for each 4 KiB",
    ),
    Row("stack", "frames", _vm.frames, 1 << 30, False, "nested calls of one fiber"),
    Row(
        "heap",
        "heap_objects",
        _vm.heap_objects,
        1 << 30,
        False,
        "frames and objects that a process can reach, 256 characters of a string being one; counted now and then",
    ),
    Row("fibers", "fibers", _vm.fibers, 1 << 30, False, "fibers of a process"),
    Row("requests", "requests", _engine.requests, MAX_ITEMS, True, "requests of a process that are open at once"),
    Row("mailbox", "mailbox", _engine.mailbox, MAX_MESSAGES, True, "messages that wait in one mailbox"),
    Row("processes", "processes", _engine.processes, 1 << 40, True, "processes of the store that have not ended"),
    Row(
        "children",
        "children",
        _engine.children,
        1 << 40,
        True,
        "processes that one has spawned and that have not ended",
    ),
    Row(
        "descendants",
        "descendants",
        _engine.descendants,
        1 << 40,
        True,
        "processes that come from one that nobody spawned, at whatever distance, and have not ended",
    ),
    Row("starts", "starts", _engine.starts, 1 << 40, True, "processes that one spawns in its life"),
    Row("value", "value_bytes", _engine.value_bytes, _VALUE_MAX, True, "bytes of a value that leaves a process"),
    Row("attributes", "attributes", _engine.attributes, _engine.attributes, True, "attributes of a process"),
    Row("attribute-bytes", "attribute_bytes", _engine.attribute_bytes, MAX_ATTRIBUTE_BYTES, True, "their bytes"),
)


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """The limits of a program's processes: those of the machine, and those of the engine."""

    vm: Limits = field(default_factory=Limits)
    engine: EngineLimits = field(default_factory=EngineLimits)


#: By name.
BY_NAME = {row.name: row for row in TABLE}


def lowered(limits: ProgramLimits, given: Mapping[str, int]) -> ProgramLimits:
    """The limits of a process that was started with some of its own, which count where they are less."""
    vm: dict[str, Any] = {}
    engine: dict[str, Any] = {}
    for name, most in given.items():
        row = BY_NAME.get(name)
        if row is not None and most.__class__ is int and most > 0:
            side, found = (engine, limits.engine) if hasattr(limits.engine, row.field) else (vm, limits.vm)
            side[row.field] = min(most, getattr(found, row.field))
    return ProgramLimits(replace(limits.vm, **vm), replace(limits.engine, **engine))


@dataclass(frozen=True, slots=True)
class AllLimits:
    """Those of programs without any of their own, and those of programs by name."""

    usual: ProgramLimits = field(default_factory=ProgramLimits)
    programs: Mapping[str, ProgramLimits] = field(default_factory=dict)

    def of(self, program: str) -> ProgramLimits:
        """The limits of a program."""
        return self.programs.get(program, self.usual)


def limits_with(vm: Mapping[str, Any], engine: Mapping[str, Any]) -> ProgramLimits:
    """The limits with some fields that are not the usual."""
    return ProgramLimits(replace(Limits(), **vm), replace(EngineLimits(), **engine))


class Budgets:
    """Room that was found in a store, given out without looking again until it is used up.

    `read`: how much there is of something.  What others add meanwhile is not seen, so half of the room is given out
    at a time; the last of it is looked at each time.  What was given out and is not committed counts as well.
    """

    #: Things remembered.
    KEPT = 2_000

    def __init__(self, read: Callable[[int], int]) -> None:
        self._read = read
        self._left: dict[int, int] = {}
        self._given: dict[int, int] = {}  # and not committed yet, as far as is known

    def take(self, what: int, most: int) -> bool:
        """Whether there is room for one more; takes it."""
        left = self._left.get(what, 0)
        if left <= 0:
            room = most - self._read(what) - self._given.get(what, 0)
            if room <= 0:
                return False
            if len(self._left) >= self.KEPT:
                self._left.clear()
            left = (room + 1) // 2
        self._left[what] = left - 1
        self._given[what] = self._given.get(what, 0) + 1
        return True

    def committed(self) -> None:
        """Nothing that was given out is on its way."""
        if self._given:
            self._given.clear()

    def forget(self) -> None:
        """Looks again for everything."""
        self._left.clear()


class Rooms:
    """What turns of one interpreter may still add to a store: messages to a process, and processes."""

    def __init__(self, store: Store) -> None:
        self.mailboxes = Budgets(store.messages)
        self.processes = Budgets(lambda _: store.living())

    def committed(self) -> None:
        """Nothing that was given out is on its way."""
        self.mailboxes.committed()
        self.processes.committed()


def page() -> str:
    """The table of docs/limits.md."""
    lines = ["| limit | default | | caught |", "|---|---|---|---|"]
    lines += [
        f"| `{row.name}` | {row.default:,} | {row.doc} | {'`:limit`' if row.caught else 'not: `:flowmetal/limit`'} |"
        for row in TABLE
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())

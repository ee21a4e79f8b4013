"""The settings of an interpreter."""

from __future__ import annotations

import gc
import os
import secrets
import sys
from collections.abc import Callable

from flowmetal.dataclass import dataclass, field
from flowmetal.engine.draft import FUEL
from flowmetal.engine.limits import AllLimits, ProgramLimits
from flowmetal.engine.retention import Retention
from flowmetal.engine.trust import Trust
from flowmetal.vm import Limits

#: Objects made before Python looks for cycles among the new ones, unless it was told a larger number or none.  A batch
#: makes thousands that live until its commit, which Python's own number (700) has it look through again and again.
COLLECT_AFTER = 10_000

#: Looks at what is not quite new until everything is looked at, which takes a tenth of a second for each million of
#: objects, in which nobody gets a turn.  What Flowmetal makes has no cycles but those of programs (an atom in itself).
COLLECT_ALL_AFTER = 200


#: How long a thread that computes keeps Python's lock when another one wants it, unless it was told a shorter time: the
#: interpreter and whoever commits hand each other work, and Python's own 5 ms are several steps of a program.
SWITCH_SECONDS = 0.0005


def collect_later() -> None:
    """Has Python look for cycles less often, and let waiting threads go on sooner, in the whole process."""
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
    young, middle, old = gc.get_threshold()
    if 0 < young < COLLECT_AFTER:
        gc.set_threshold(COLLECT_AFTER, middle, max(old, COLLECT_ALL_AFTER))


def _default_name() -> str:
    return f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of an interpreter.

    `hot_processes`: how many waiting processes stay in memory, `hot_bytes`: and how large all together, as they are
    saved; `batch_turns`, `batch_seconds`: a commit is sent at that
    many turns, or that long after its first (longer where commits take long) if no other is under way; `lease_ms`:
    after this long without a sign of life others take over; `turn_seconds`: what a turn of a process that goes on
    without a wait should take (0: whatever its fuel lasts); `fallback_seconds`: how often the store is looked at
    without a hint; `retention`: what is removed in the background.
    """

    name: str = field(default_factory=_default_name)
    base_url: str = "http://127.0.0.1:8080"
    hot_processes: int = 10_000
    hot_bytes: int = 256 << 20
    batch_turns: int = 512
    batch_seconds: float = 0.002
    lease_ms: int = 15_000
    fallback_seconds: float = 1.0
    function_threads: int = 4
    fuel: int = FUEL
    turn_seconds: float = 0.001
    limits: Limits | None = None  # of all programs; None: as `program_limits` says
    program_limits: AllLimits = field(default_factory=AllLimits)
    retention: Retention = field(default_factory=Retention)
    trust: Trust = field(default_factory=Trust)  # whose signatures programs need to be run
    entropy: Callable[[int], bytes] = secrets.token_bytes

    def limits_of(self, program: str) -> ProgramLimits:
        """The limits of a program's processes."""
        found = self.program_limits.of(program)
        return found if self.limits is None else ProgramLimits(self.limits, found.engine)

"""Who gets a turn when, and for how long: what is short goes first, and nobody waits for what is long.

Three lines of processes.  First those that are in memory and go on, with an answer or a message: their turns are short,
and programs take turns, so that one with a thousand processes does not hold up one with a few.
Then those that have to be loaded or begun, for a bounded time while there are any of the first kind.  Last those that
were cut, because they compute, or log, without end: they get their turns one after the other when the others have been
committed, and each of their turns is made so short that whoever comes meanwhile hardly notices.

Where a turn is cut nobody can see from the inside (machine and log are the same), so time may decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from flowmetal.engine.config import Config
from flowmetal.engine.live import Live
from flowmetal.engine.turns import Outcome
from flowmetal.store.interface import InboxEvent, Turn
from flowmetal.store.operations import OPERATIONS

#: Batches of turns that may be on their way to the disk at once where another thread or process commits: one syncs
#: while the next is made.  Where this thread commits there is one at a time: making turns while another thread writes
#: the last ones costs more than it hides, since both need Python's lock.
BATCHES_IN_FLIGHT = 2

#: Where this thread commits, a batch is made for this many times as long as the last commit took, so that most of the
#: time is spent on turns; but not for longer than the maximum, which others have to wait for.
TURNS_OVER_COMMIT = 6
BATCH_SECONDS_MAX = 0.05

#: After a commit was left to another thread, it is tried here again after so long.
COMMIT_HERE_AGAIN_SECONDS = 0.05

#: Time for processes that were cut, between two batches of the others.
LATER_SECONDS = 0.001

#: Time for a batch when several programs have had processes to run of late: each waits for what the others commit.
SEVERAL_SECONDS = 0.002
SEVERAL_FOR_SECONDS = 1.0

#: Time in a batch for processes that are not in memory, if there are any that are; twice the time of those, if more
#: and there is one program only.
COLD_SECONDS = 0.001

#: If that is more, both are half as long as a commit of late, the second twice as long where there is one program only,
#: with a commit of this length at most: where the disk is slow, short batches would have everybody wait for commits.
COMMIT_SECONDS_MAX = 0.02

#: A process that goes on without a wait, and whose turn held everybody up for longer than this, rests before its next
#: one for this many times as long, if others had turns meanwhile: what cannot be cut (one large operation, a count of
#: the heap, a large commit) then takes a percent of the time.
LONG_SECONDS = 0.004
TOO_LONG_SECONDS = 0.03  # of one whose turns were not made shorter yet
SHORTENED = 0.3
REST = 120
REST_SECONDS_MAX = 60.0

#: What a turn adds to a commit, about.
USUAL_SECONDS = 0.00002

#: Bytes of a turn that make a commit take so long.
LARGE_BYTES = 1 << 20

#: Bytes of an entry that count as one more of a burst.
BURST_BYTES = 4096

#: Kinds of events by which the store answers; workers do with the same.
_BY_THE_STORE = frozenset({"answer", "error", "spawned"})

#: One that rests goes on when nobody else has had a turn for so long.
ALONE_SECONDS = 0.5

#: The share of a process that was just loaded or begun: how fast it is nobody knows yet.
FIRST_SHARE = 1 / 16

#: The least share of its fuel that a process gets.
SHARE_MIN = 1 / 128


def batch_seconds(config: Config, commits_here: bool, commit_seconds: float) -> float:
    """How long a batch is made."""
    if not commits_here:
        return config.batch_seconds
    return max(config.batch_seconds, min(TURNS_OVER_COMMIT * commit_seconds, BATCH_SECONDS_MAX))


def held_up(elapsed: float, since: float | None) -> float:
    """For how long a turn that took `elapsed` seconds held others up: what it computed, not what a busy machine did.

    `since`: what time.thread_time() was before it.  None: the process was loaded as well, which is not its fault.
    """
    if elapsed <= LONG_SECONDS:
        return elapsed
    return 0.0 if since is None else time.thread_time() - since


def adapt(live: Live | None, elapsed: float, wanted: float, held: float | None = None) -> None:
    """Has a process take less in a turn if the last one was too long, and more again if it was short.

    `held`: for how long it held others up, where that is not all of it.
    """
    if live is None or not wanted:
        return
    held = elapsed if held is None else held
    live.computed = live.computed + elapsed if live.slices else 0.0
    if held > (LONG_SECONDS if live.share < SHORTENED else TOO_LONG_SECONDS) and live.status == "ready":
        rest(live, held)
    if elapsed > wanted:
        live.share = max(SHARE_MIN, live.share * max(wanted / elapsed, 0.1))
    elif live.share < 1.0 and elapsed < wanted / 2:
        live.share = min(1.0, live.share * 1.5)


def count_seconds(live: Live, broken: bool, seconds: float) -> None:
    """Counts what a process computes without an entry in its log; beyond its limit the machine ends it.

    An interpreter that takes it over begins to count anew, from where its state was saved.
    """
    live.unbroken = 0.0 if broken else live.unbroken + seconds
    if live.process is not None and live.unbroken > live.limits.engine.compute:
        live.process.overdue = live.limits.engine.compute
        live.process.slice_left = min(live.process.slice_left, 1)  # what is slow would use up a slice in many seconds


def from_outside(live: Live, inbox: Sequence[InboxEvent]) -> bool:
    """Whether something has arrived that a process cannot make come by itself as fast as it likes.

    That is anything but what the store answers in the transaction that asks for it.  A message counts, whoever sent it.
    """
    for item in inbox:
        if item.key < 0 or item.kind not in _BY_THE_STORE:
            return True
        opened = live.open.get(item.number)
        if item.kind != "spawned" and opened is not None and opened.request.effect not in OPERATIONS:
            return True
    return False


def count_entries(live: Live, turn: Turn) -> None:
    """Counts what a process writes into its log without a wait; beyond its limit the next effect fails (performing.py).

    An interpreter that takes it over begins to count anew.
    """
    written = sum(len(event) + len(segment) for _, _, event, segment in turn.entries)
    live.burst += len(turn.entries) + written // BURST_BYTES


def rest(live: Live, elapsed: float) -> None:
    """Has a process rest that held everybody up."""
    live.rests_until = time.monotonic() + min(elapsed * REST, REST_SECONDS_MAX)


def rest_if_large(items: Sequence[tuple[Live, Outcome]], seconds: float) -> None:
    """Has those rest whose turns are most of a commit that took long."""
    if seconds <= LONG_SECONDS + len(items) * USUAL_SECONDS:
        return
    sizes = [(live, 0 if outcome.turn is None else _size(outcome.turn)) for live, outcome in items]
    whole = sum(size for _, size in sizes)
    for live, size in sizes:
        if size > LARGE_BYTES and size > whole // 4:
            rest(live, seconds)


def _size(turn: Turn) -> int:
    size = len(turn.checkpoint or b"") + len(turn.result or b"")
    for _, _, event, segment in turn.entries:
        size += len(event) + len(segment)
    return size


class Waiting:
    """Pids that are to have a turn, and whether there may be something in their inbox: one that has but an answer of
    this Python process is not looked up there.  First in, first out, in each of the three lines.
    """

    def __init__(self, hot: Mapping[int, Live]) -> None:
        self._hot = hot
        self._last = 0  # the last that had a turn before one that rests, and is not one of those
        self._last_at = 0.0  # when that was, by time.monotonic()
        self._first: dict[str, dict[int, bool]] = {}  # by program
        self._cold: dict[int, bool] = {}
        self._several_until = 0.0  # by time.monotonic(): programs have taken turns of late
        self.was_cut: dict[int, bool] = {}

    def __len__(self) -> int:
        return sum(map(len, self._first.values())) + len(self._cold)

    def __bool__(self) -> bool:
        return bool(self._first or self._cold or self.was_cut)

    def all(self) -> set[int]:
        """All of them."""
        return {*self._cold, *self.was_cut}.union(*self._first.values())

    def _line(self, pid: int) -> dict[int, bool]:
        live = self._hot.get(pid)
        name = "" if live is None else live.name
        line = self._first.get(name)
        if line is None:
            line = self._first[name] = {}
        return line

    def __setitem__(self, pid: int, look: bool) -> None:
        self._line(pid)[pid] = look

    def drop(self, pid: int) -> None:
        """Takes one out of the first."""
        for name, line in list(self._first.items()):
            if line.pop(pid, None) is not None and not line:
                del self._first[name]

    def setdefault(self, pid: int, look: bool) -> None:
        """Adds one that is not among the first."""
        self._line(pid).setdefault(pid, look)

    def found(self, pid: int) -> None:
        """Adds one that has a ready mark."""
        (self._line(pid) if pid in self._hot else self._cold)[pid] = True

    def is_cut(self, pid: int) -> bool:
        """Whether it was cut, or rests; then it will look for what has come."""
        if pid not in self.was_cut:
            return False
        self.was_cut[pid] = True
        return True

    def cut(self, pid: int, look: bool = True) -> None:
        """Adds one that was cut, or rests.  What arrives for a process that is ready already tells nobody."""
        self.was_cut[pid] = look or self.was_cut.get(pid, False)

    def seconds(self) -> float:
        """Until the next of those that were cut may go on; large where there is none."""
        now = time.monotonic()
        return min((self._rests_until(pid) - now for pid in self.was_cut), default=1e9)

    def _rests_until(self, pid: int) -> float:
        live = self._hot.get(pid)
        if live is None or self._last == pid:
            return 0.0
        return min(live.rests_until, self._last_at + ALONE_SECONDS)

    def _had_turn(self, pid: int, at: float) -> None:
        self._last = pid
        self._last_at = at

    def take(
        self, deadline: float, cut: bool, idle: Callable[[], bool], commit_seconds: float = 0.0
    ) -> Iterator[tuple[int, bool]]:
        """Those that are there now, one after the other, until the deadline: what is cut, or the others.

        `idle`: whether a batch can be sent off at once; while it cannot, it may as well grow.  `commit_seconds`: how
        long a commit takes, which all wait for that are in a batch.
        """
        if cut:
            now = time.monotonic()
            for pid in [pid for pid in self.was_cut if self._rests_until(pid) <= now]:
                self._had_turn(pid, now)
                yield pid, self.was_cut.pop(pid)
                now = time.monotonic()
                if now >= deadline:
                    return
            return
        cold = self._cold
        first, hot = self._first, self._hot
        any_first = bool(first)
        began = now = time.monotonic()
        if len(first) > 1:
            self._several_until = began + SEVERAL_FOR_SECONDS
        several = began < self._several_until
        commit_seconds = min(commit_seconds, COMMIT_SECONDS_MAX) * (0.5 if several else 2.0)
        if several:
            deadline = min(deadline, began + max(SEVERAL_SECONDS, commit_seconds))
        # The first of each program, then the second of each, and so on, until none is left.
        full = False
        while first and not full:
            for name in list(first):
                line = first[name]
                pid = next(iter(line))
                look = line.pop(pid)
                if not line:
                    del first[name]
                live = hot.get(pid)
                if live is not None and live.rests_until > began and self._rests_until(pid) > began:
                    self.cut(pid, look)
                    continue
                self._last, self._last_at = pid, now
                yield pid, look
                now = time.monotonic()
                if now >= deadline and idle():
                    full = True
                    break
        if cold:
            if any_first:
                wanted = max(COLD_SECONDS, commit_seconds, 0.0 if several else 2 * (now - began))
                deadline = min(deadline, now + wanted)
            for pid in list(cold):
                self._had_turn(pid, now)
                yield pid, cold.pop(pid)
                now = time.monotonic()
                if now >= deadline and idle():
                    return

"""The interpreter: claims partitions, takes turns with their processes, commits them, and wakes when there is more.

One thread does all of it; functions that answer effects in this Python process run in a small pool.  What must run is
always to be found in the store (ready marks, due timers, open requests); hints only save the waiting.  A process is in
at most one commit at a time, and what a turn asks of the world leaves only after its commit.

`step` is one round without waiting; `start` runs rounds in a thread until `stop`.  A simulation calls `step` itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import fairness
from flowmetal.engine.arrivals import CONTROL_KINDS
from flowmetal.engine.artifacts import Programs
from flowmetal.engine.claims import Claims, gained, lost
from flowmetal.engine.config import Config, collect_later
from flowmetal.engine.draft import Setting, call_of
from flowmetal.engine.effects import Surroundings
from flowmetal.engine.fairness import BATCHES_IN_FLIGHT, COMMIT_HERE_AGAIN_SECONDS, LATER_SECONDS, Waiting, from_outside
from flowmetal.engine.functions import Function, Functions
from flowmetal.engine.limits import ProgramLimits, Rooms, lowered
from flowmetal.engine.lines import error_of
from flowmetal.engine.live import INBOX_PAGE, Live, Loaded, exhausted, in_process, let_go, load
from flowmetal.engine.retention import Sweeper
from flowmetal.engine.signals import Signals
from flowmetal.engine.stopped import Stopped
from flowmetal.engine.trouble import Trouble
from flowmetal.engine.turns import Outcome, pause_turn, take_turn
from flowmetal.engine.watchdog import Watchdog
from flowmetal.store import failpoint
from flowmetal.store.errors import GIVEN_UP, StoreError
from flowmetal.store.interface import (
    FINAL_STATUSES,
    PARTITIONS,
    Fire,
    Hint,
    InboxEvent,
    ProcessRecord,
    Store,
)
from flowmetal.values import LanguageError

logger = logging.getLogger("flowmetal.engine")

#: Pids read from the ready marks at once.
READY_PAGE = 1024

#: While more are queued, nobody looks for further ones: each look reads over those that are queued already.
READY_LOW = 256

DAMAGED_PAGE = "S108"  # what LMDB says of a page that it read
DEATHS_MAX = 3  # a process in whose turns this many interpreters ended, one after the other, is paused
NO_ANSWER = "S110"  # the owner of the store says nothing: what was submitted may be applied later
#: What cannot be read, and so cannot be paused either, is looked at again after this long.
UNREADABLE_SECONDS = 60.0

#: While something is due later, the clock is looked at this often: one that is set forward tells nobody.
CLOCK_SECONDS = 0.25

#: Processes looked at in one round when requests of in-process functions are found again after a start.
RECOVER_PAGE = 500


def _nothing() -> None:
    """What is done by default."""


@dataclass(slots=True)
class _Sent:
    """A batch on its way: turns with their live processes, and what the store will say."""

    items: list[tuple[Live, Outcome]]
    future: Future[list[Any]]


class Interpreter:
    """Runs the processes of a store.

    `functions` answer effects inside this Python process: effect name -> function of a Call that returns a value of
    the language, or raises LanguageError.  `inline` ones are run by the interpreter's thread itself and must be quick.
    """

    def __init__(
        self,
        store: Store,
        config: Config | None = None,
        functions: Mapping[str, Function] | None = None,
        programs: Callable[[bytes], Loaded] | None = None,
    ) -> None:
        self.store = store
        self.config = config or Config()
        self.programs = programs or Programs(store, self.config.trust).get
        self._signals = Signals()
        self.functions = Functions(functions or {}, self.config.function_threads, self._signals.wake)
        self.turns = self.commits = 0  # taken and sent since the start, for figures
        self._rooms = Rooms(store)
        self._setting = self._make_setting()
        self._claims = Claims(store, self.config, self._signals.wake)
        self._trouble = Trouble()
        self._watchdog = Watchdog(store, self.config, self._signals.join_again)
        self._hot: OrderedDict[int, Live] = OrderedDict()
        self._queue = Waiting(self._hot)  # pids that are to have a turn
        self._flying: set[int] = set()  # pids in a commit
        self._stopped = Stopped(store, self._hot, self._flying, self._signals.wake)
        self._seen_flying = False  # whether a look found a process in a commit, whose mark that may take away
        self._again: dict[int, bool] = {}  # as _queue, of pids that became ready while they were in a commit
        self._unreadable: dict[int, float] = {}  # pid -> when to look at it again
        self._sent: deque[_Sent] = deque()
        self._commits_here = True  # whether the last batch was committed by this thread
        self._commit_seconds = 0.0  # how long that took
        self._commit_here_at = 0.0  # by time.monotonic(): when to try it again
        self._answers: dict[int, list[InboxEvent]] = {}
        self._firing: Future[list[Any]] | None = None
        self._next_due: int | None = None
        self._recover: deque[tuple[int, frozenset[int]]] = deque()  # (after pid, partitions) still to be looked through
        self._full_look_at = 0.0
        self._thread: threading.Thread | None = None
        self._unwatch: Callable[[], None] | None = None
        self.failure: StoreError | None = None  # why it has ended by itself
        self.on_failure: Callable[[], None] = _nothing  # called then, on its thread

    # ---- life

    def register(self, effect: str, function: Function, inline: bool = False) -> None:
        """Answers an effect with a function of this process.  To be called before `start`."""
        self.functions.functions[effect] = function
        if inline:
            self.functions.inline.add(effect)
        self._setting = self._make_setting()

    def start(self) -> None:
        """Starts the interpreter's thread."""
        collect_later()
        self._thread = threading.Thread(target=self._loop, name="flowmetal-interpreter", daemon=True)
        self._thread.start()
        self._watchdog.start(self._thread)
        Sweeper(self).start(self._thread)

    def stop(self, timeout: float = 10.0) -> bool:
        """Finishes the turns under way, gives the partitions back and ends the thread.  False if that took too long."""
        self._signals.stop()
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        self._close(time.monotonic() + timeout)
        return True

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions this interpreter may run now."""
        return frozenset(self._claims.epochs)

    def _loop(self) -> None:
        try:
            while not self._signals.stopping:
                try:
                    if not self.step():
                        self._signals.wait(self._patience)
                except StoreError as error:
                    self._in_trouble(error)
                    time.sleep(0.01)  # a store that is closed answers at once, for ever
                except Exception as error:  # a fault of ours must not end the thread that everything hangs on
                    logger.exception("a round of the interpreter went wrong")
                    self._in_trouble(error)
        finally:
            self._close(time.monotonic() + 8.0)

    def _close(self, deadline: float) -> None:
        for sent in list(self._sent):
            try:
                sent.future.result(max(0.0, deadline - time.monotonic()))
            except Exception as error:  # what did not commit is done again by whoever runs next
                logger.warning("a commit did not go through while stopping: %s", error)
        self.functions.close()
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        try:
            self._claims.leave(max(0.1, deadline - time.monotonic()))
        except Exception as error:  # the lease runs out by itself
            logger.warning("the partitions could not be given back: %s", error)

    def _patience(self) -> float:
        """Seconds until something is due without a hint."""
        seconds = self.config.fallback_seconds
        now = self.store.now()
        trouble = self._trouble.seconds
        renew_at = None if self._claims.joining else self._claims.renew_at  # an answer wakes, however late it comes
        if trouble > 0:
            return trouble if renew_at is None else max(0.0, min(trouble, (renew_at - now) / 1e9))
        for due in (self._next_due, self.functions.next_due, renew_at):
            if due is not None:
                seconds = min(seconds, (due - now) / 1e9)
        if self._next_due is not None:
            seconds = min(seconds, CLOCK_SECONDS)
        if self._recover and self._claims:
            seconds = 0.0
        if self._queue.was_cut and self._claims and not self._sent:  # the ends of a join and of a commit wake as well
            seconds = min(seconds, self._queue.seconds())
        return max(0.0, seconds)

    def _hinted(self, hints: frozenset[Hint]) -> None:
        self._signals.hinted(hints, self._claims.epochs)
        self._stopped.hinted(hints)

    # ---- one round

    def step(self) -> bool:
        """One round without waiting: True if anything was done."""
        if self._unwatch is None:
            self._unwatch = self.store.watch(self._hinted)
        progress = self._take_commits()
        now = self.store.now()
        progress |= self._keep_claim(now)
        progress |= self._take_answers()
        if self._trouble.seconds > 0:
            return progress
        progress |= self._fire(now)
        if not self._claims:
            return progress
        progress |= self._find_requests()
        progress |= self.functions.call_due(now, self._claims.holds)
        self._look_for_ready()
        for pid in self._stopped.take():
            self._drop(pid)
        return self._run_batch() or progress

    def look_now(self) -> None:
        """Makes the next round look at the store, hint or no hint; for those who move its clock."""
        self._full_look_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether commits or functions are under way, so that more will come without anything from outside."""
        return bool(self._sent or self._claims.joining or self._firing or self.functions.busy)

    def _in_trouble(self, error: Exception) -> float:
        """Leaves the store alone for a while; the seconds.  Ends where this process can never write it again."""
        if isinstance(error, StoreError) and error.code == GIVEN_UP and self.failure is None:
            logger.error("the interpreter ends: %s", error)
            self.failure = error
            self._signals.stop()
            self.on_failure()
        self._signals.ready = self._signals.timers = True
        return self._trouble.refused(error)

    # ---- claims

    def _keep_claim(self, now: int) -> bool:
        claims = self._claims
        if claims.joining:
            try:
                answer = claims.answer()
            except StoreError as error:
                claims.retry_in(self._in_trouble(error))
                return True
            if answer is not None:
                self._claimed(*answer)
            return answer is not None
        if not self._signals.claims and now < claims.renew_at:
            return False
        self._signals.claims = False
        claims.ask(now)
        return True

    def _claimed(self, before: dict[int, int], epochs: dict[int, int]) -> None:
        new = gained(before, epochs)
        if new:
            self._signals.ready = True
            if self.functions:
                self._recover.append((0, new))
        if new or len(before) != len(epochs):
            for pid in [pid for pid in self._hot if lost(before, epochs, pid)]:
                self._drop(pid)  # somebody else may have run it since

    def _drop(self, pid: int) -> None:
        self._hot.pop(pid, None)
        self._answers.pop(pid, None)

    # ---- commits

    def _take_commits(self) -> bool:
        progress = False
        while self._sent and self._sent[0].future.done():
            sent = self._sent.popleft()
            progress = True
            try:
                results = sent.future.result()
            except StoreError as error:
                self._refused(sent, error)
                continue
            self._trouble.accepted()
            now = self.store.now()
            for (live, outcome), kept in zip(sent.items, results, strict=True):
                self._committed(live, outcome, bool(kept), now)
        if progress and self._seen_flying:
            self._seen_flying = False
            self._signals.ready = True
        return progress

    def _committed(self, live: Live, outcome: Outcome, kept: bool, now: int) -> None:
        pid = live.pid
        self._flying.discard(pid)
        looked = self._again.pop(pid, None)
        if not kept:
            self._drop(pid)
            self._queue[pid] = True  # if it is still ours it is loaded, and its calls are made again
            self._signals.claims = True
            return
        if live.status in FINAL_STATUSES:
            self._drop(pid)
            return
        if failpoint.hook is not None:
            failpoint.hook("turn/committed")
        for call in outcome.calls:
            answer = self.functions.call(call, now)
            if answer is not None:
                self._answers.setdefault(pid, []).append(answer)
        if looked is None and outcome.more:
            self._queue.cut(pid)
        elif looked is not None:
            self._queue[pid] = looked
        elif pid in self._answers and live.status != "paused":
            self._queue.setdefault(pid, False)

    def _refused(self, sent: _Sent, error: StoreError) -> None:
        """A list of commands fails as a whole: each turn is tried alone, so that one bad turn stops nobody else."""
        pids = [live.pid for live, _ in sent.items]
        if len(sent.items) > 1 and (error.whose == "command" or error.is_damage):
            for live, outcome in sent.items:
                self._submit([(live, outcome)])
            return
        for pid in pids:
            self._flying.discard(pid)
            self._again.pop(pid, None)
            self._drop(pid)
        if error.code == "S208" and pids:
            self._rooms.mailboxes.forget()  # one filled up meanwhile, which the call that sends will find
            self._queue.cut(pids[0])
            return
        if error.whose == "command" and pids:
            self._queue[pids[0]] = True  # until it is paused: a read that fails here must not leave it waiting
            record = self.store.process(pids[0])
            if record is not None:
                self._pause(record, error)
            self._queue.drop(pids[0])
            return
        if error.is_damage and pids:
            self._cannot_read(pids[0], error)
            return
        for pid in pids:
            self._queue[pid] = True  # to be loaded, so that the calls whose answers were in those turns are made
        if error.code == NO_ANSWER:
            self._claims.doubt()
            self._signals.claims = True
        self._in_trouble(error)

    def _submit(self, items: list[tuple[Live, Outcome]]) -> None:
        self.commits += 1
        if failpoint.hook is not None:
            failpoint.hook("turn/prepared")
        here, began = not self._sent, time.monotonic()
        future = self.store.submit([outcome.turn for _, outcome in items if outcome.turn is not None], here=here)
        if here:
            ended = time.monotonic()
            self._commits_here = future.done()
            self._commit_seconds = ended - began
            self._commit_here_at = ended + COMMIT_HERE_AGAIN_SECONDS
            fairness.rest_if_large(items, self._commit_seconds)
        self._sent.append(_Sent(items, future))
        if not future.done():
            future.add_done_callback(lambda _: self._signals.wake())

    # ---- functions of this process

    def _take_answers(self) -> bool:
        taken = self.functions.take()
        for pid, answer in taken:
            if not self._claims.holds(pid):
                continue  # whoever has the partition now makes the call again
            self._answers.setdefault(pid, []).append(answer)
            if pid not in self._flying:
                self._queue.setdefault(pid, False)
        return bool(taken)

    def _find_requests(self) -> bool:
        """Has processes of newly claimed partitions loaded whose calls the last holder had under way; a page a round.

        Whoever loads a process makes its open calls.  The store lists those that have some, so that a start does not
        look at what is parked; those that are paused are loaded when they are resumed.
        """
        if not self._recover:
            return False
        after, partitions = self._recover[0]
        pids = self.store.calls(after, RECOVER_PAGE)
        self._recover.popleft()
        for pid in pids:
            if pid % PARTITIONS in partitions and not self._is_paused(pid):
                self._queue[pid] = True
        if len(pids) == RECOVER_PAGE:
            self._recover.append((pids[-1], partitions))
        return bool(pids)

    def _is_paused(self, pid: int) -> bool:
        try:
            record = self.store.process(pid)
        except StoreError as error:
            if not error.is_damage:
                raise
            return False  # a turn finds out what is the matter
        return record is None or record.status == "paused"

    # ---- timers and ready marks

    def _fire(self, now: int) -> bool:
        if self._firing is not None:
            if not self._firing.done():
                return False
            future, self._firing = self._firing, None
            self._signals.timers = True
            try:
                future.result()
            except StoreError as error:
                self._in_trouble(error)
                return True
            self._trouble.accepted()
        if self._signals.timers:
            self._signals.timers = False
            self._next_due = self.store.next_due()
        if self._next_due is None or self._next_due > now:
            return False
        self._next_due = None
        if failpoint.hook is not None:
            failpoint.hook("timers/due")
        self._firing = self.store.submit([Fire()])
        self._firing.add_done_callback(lambda _: self._signals.wake())
        return True

    def _look_for_ready(self) -> None:
        now = time.monotonic()
        if now >= self._full_look_at:
            self._full_look_at = now + self.config.fallback_seconds
            self._signals.ready = self._signals.timers = True
        if not self._signals.ready or len(self._queue) >= READY_LOW:
            return
        self._signals.ready = False
        for pid in [pid for pid, until in self._unreadable.items() if until <= now]:
            del self._unreadable[pid]
        pids = self.store.ready(self.partitions, READY_PAGE, self._queue.all() | self._unreadable.keys())
        for pid in pids:
            if pid in self._flying:
                self._seen_flying = True
            else:
                self._queue.found(pid)
        if len(pids) == READY_PAGE:
            self._signals.ready = True

    # ---- turns

    def _run_batch(self) -> bool:
        """Takes turns with the first processes of the queue and sends them off as one commit; then with some that were
        cut, as another."""
        worked = self._run_queue(fairness.batch_seconds(self.config, self._commits_here, self._commit_seconds), False)
        return (bool(self._queue.was_cut) and self._run_queue(LATER_SECONDS, True)) or worked

    def _run_queue(self, seconds: float, cut: bool) -> bool:
        """Takes turns for so long: with processes that were cut, or with the others."""
        now = time.monotonic()
        if not self._queue or len(self._sent) >= BATCHES_IN_FLIGHT:
            return False
        if self._sent and (self._commits_here or now >= self._commit_here_at):
            return False  # once it is through, the next one can be committed here
        if not self._sent:
            self._rooms.committed()
        items: list[tuple[Live, Outcome]] = []
        worked = False
        try:
            for pid, look in self._queue.take(
                now + seconds, cut, lambda: not self._sent or self._sent[-1].future.done()
            ):
                worked = True
                if pid in self._flying:
                    self._again[pid] = look or self._again.get(pid, False)
                    continue
                ran = self._try_one(pid, look)
                if ran is not None:
                    items.append(ran)
                    if len(items) >= self.config.batch_turns:
                        break
        finally:
            # Also where the store failed in between: these processes are ahead of it.
            if items:
                self._flying.update(live.pid for live, _ in items)
                self._submit(items)
        return worked

    def _try_one(self, pid: int, look: bool) -> tuple[Live, Outcome] | None:
        """_run_one; what cannot be read of one process must not stop the others."""
        began = time.monotonic()
        since = time.thread_time() if pid in self._hot else None
        self._watchdog.running = (pid, began)
        try:
            ran = self._run_one(pid, look)
            elapsed = time.monotonic() - began
            fairness.adapt(self._hot.get(pid), elapsed, self.config.turn_seconds, fairness.held_up(elapsed, since))
            return ran
        except StoreError as error:
            if not error.is_damage and error.code != DAMAGED_PAGE:
                self._queue[pid] = True
                raise
            self._cannot_read(pid, error)
            return None
        finally:
            self._watchdog.running = None

    def _cannot_read(self, pid: int, error: StoreError) -> None:
        """Leaves a process with a damaged record alone for a while, paused if that can be written."""
        logger.error("process %d cannot be read: %s", pid, error)
        self._drop(pid)
        self._unreadable[pid] = time.monotonic() + UNREADABLE_SECONDS
        try:
            record = self.store.process(pid)
            if record is not None:
                self._pause(record, error)
        except StoreError as problem:
            logger.debug("process %d cannot be paused: %s", pid, problem)

    def _run_one(self, pid: int, look: bool) -> tuple[Live, Outcome] | None:
        """One turn of one process; None where there is nothing to commit.  `look`: whether to look into its inbox."""
        epoch = self._claims.epoch(pid)
        if epoch is None:
            self._drop(pid)
            return None
        live = self._hot.get(pid)
        if live is None:
            record = self.store.process(pid)
            if record is None or record.status in FINAL_STATUSES:
                self._answers.pop(pid, None)
                return None
            if record.deaths >= DEATHS_MAX and record.status != "paused":
                self._pause(record, FlowmetalError("V303", pid=pid, deaths=record.deaths))
                return None
            try:
                live = load(self.store, record, self.programs, self._limits_of(record))
            except StoreError:
                raise
            except Exception as error:
                if not isinstance(error, (FlowmetalError, LanguageError)):
                    logger.exception("process %d cannot be loaded", pid)
                self._pause(record, error)
                return None
            live.share = fairness.FIRST_SHARE if self.config.turn_seconds else 1.0
            self._keep_hot(live)
            self._call_open(live)
            look = True
        else:
            self._hot.move_to_end(pid)
        # Read first: where that fails, the answers wait for the next turn.
        stored = self.store.inbox(pid, INBOX_PAGE, messages=live.receiver != 0) if look else []
        live.inbox_read = look and live.receiver != 0 and len(stored) < INBOX_PAGE
        inbox = self._answers.pop(pid, []) + stored
        computes, sequence, outside = live.slices > 0 or live.unbroken > 0, live.sequence, from_outside(live, inbox)
        began = time.thread_time() if computes else 0.0
        try:
            outcome = take_turn(live, inbox, epoch, self._setting)
        except Exception as error:
            # A fault of the engine or the machine, not of the program: the process stops where it was last saved.
            logger.exception("the turn of process %d went wrong", pid)
            self._drop(pid)
            record = self.store.process(pid)
            if record is not None:
                self._pause(record, error)
            return None
        self.turns += 1
        fairness.count_entries(live, outside, outcome.turn)
        if computes and self.config.turn_seconds:
            fairness.count_seconds(live, live.sequence != sequence, time.thread_time() - began)
        if outcome.left:
            self._answers[pid] = list(outcome.left)
        if outcome.turn is None:
            if outcome.more:
                self._queue.cut(pid)
            return None
        return live, outcome

    def _limits_of(self, record: ProcessRecord) -> ProgramLimits:
        """The limits of a process: those of its program, and those it was started with where they are less."""
        limits = self.config.limits_of(record.program)
        return lowered(limits, record.limits) if record.limits else limits

    def _call_open(self, live: Live) -> None:
        """Makes the calls of a process that was loaded: its open requests for functions of this interpreter.

        One that is under way is not made again, nor one whose answer is about to be handed over.
        """
        answered = {answer.number for answer in self._answers.get(live.pid, ())}
        for number, opened in live.open.items():
            request = opened.request
            if number not in answered and in_process(request) and not exhausted(request):
                if request.effect in self.functions:
                    call = call_of(request, request.attempt + 1, live.program.table)
                    answer = self.functions.call(call, self.store.now())
                    if answer is not None:
                        self._answers.setdefault(live.pid, []).append(answer)

    def _make_setting(self) -> Setting:
        config = self.config
        surroundings = Surroundings(self.store.id, self.store.now, config.entropy, config.base_url, self._rooms)
        work = config.turn_seconds * 1e6 or None
        return Setting(surroundings, frozenset(self.functions.functions), config.fuel, work=work)

    def _keep_hot(self, live: Live) -> None:
        hot = self._hot
        hot[live.pid] = live
        excess = len(hot) - self.config.hot_processes
        if excess <= 0:
            return
        gone: list[int] = []
        for pid, other in hot.items():
            # Work done since the last segment is in memory alone; those processes stay.
            if pid != live.pid and pid not in self._flying and pid not in self._answers and not other.slices:
                gone.append(pid)
                if len(gone) == excess:
                    break
        for pid in gone:
            let_go(hot.pop(pid))

    def _pause(self, record: ProcessRecord, problem: Exception) -> None:
        """Pauses a process that cannot be run, with what the matter is, for a person to look at."""
        epoch = self._claims.epoch(record.pid)
        if epoch is None:
            return
        inbox = self.store.inbox(record.pid, messages=False)
        kinds = {item.kind for item in inbox}
        if "decided" in kinds:
            self._unreadable[record.pid] = time.monotonic() + UNREADABLE_SECONDS  # it would have it run at once
            if record.status == "paused" and not kinds & (CONTROL_KINDS - {"decided"}):
                return
        turn = pause_turn(record, inbox, epoch, self.store.now(), error_of(problem))
        self.store.submit([turn]).add_done_callback(lambda _: self._signals.wake())

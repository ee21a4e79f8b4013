"""The interpreter: claims partitions, takes turns with their processes, commits them, and wakes when there is more.

One thread does all of it; functions that answer effects in this Python process run in a small pool.  What must run is
always to be found in the store (ready marks, due timers, open requests); hints only save the waiting.  A process is in
at most one commit at a time, and what a turn asks of the world leaves only after its commit.

`step` is one round without waiting; `start` runs rounds in a thread until `stop`.  A simulation calls `step` itself.

The way of a turn: a ready mark or an answer puts a pid into the queue (fairness.py), a round takes it from there, has
its process in memory (residents.py, live.py), takes the turn (turns.py; the usual one in quick.py), and sends it with
others as one batch (sending.py).  When that is durable, `_committed` makes the calls it asks for (functions.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from flowmetal.engine import fairness
from flowmetal.engine.claims import gained, lost
from flowmetal.engine.config import Config, collect_later
from flowmetal.engine.fairness import LATER_SECONDS, Waiting, from_outside
from flowmetal.engine.firing import Firing
from flowmetal.engine.functions import Function
from flowmetal.engine.live import INBOX_PAGE, Live, Loaded
from flowmetal.engine.recovering import Recovery
from flowmetal.engine.residents import Residents
from flowmetal.engine.retention import Sweeper
from flowmetal.engine.sending import Sending, Sent
from flowmetal.engine.stopped import Stopped
from flowmetal.engine.trouble import Trouble
from flowmetal.engine.turns import Outcome, take_turn
from flowmetal.engine.watchdog import Watchdog
from flowmetal.engine.woken import Woken
from flowmetal.store import failpoint
from flowmetal.store.errors import GIVEN_UP, StoreError
from flowmetal.store.interface import FINAL_STATUSES, PARTITIONS, Hint, Store

logger = logging.getLogger("flowmetal.engine")

#: Pids read from the ready marks at once.
READY_PAGE = 1024

#: While more are queued, nobody looks for further ones: each look reads over those that are queued already.
READY_LOW = 256

DAMAGED_PAGE = "S108"  # what LMDB says of a page that it read
NO_ANSWER = "S110"  # the owner of the store says nothing: what was submitted may be applied later
#: While something is due later, the clock is looked at this often: one that is set forward tells nobody.
CLOCK_SECONDS = 0.25


#: What a turn has taken of a processor may be counted with this much of the turns before it: to ask takes a call of the
#: system, which is as long as a hundredth of a short turn.
PROCESSOR_SECONDS = 0.0005


def _nothing() -> None:
    """What is done by default."""


class Interpreter(Residents):
    """Runs the processes of a store.

    `functions` answer effects inside this Python process: effect name -> function of a Call that returns a value of
    the language, or raises LanguageError.
    """

    def __init__(
        self,
        store: Store,
        config: Config | None = None,
        functions: Mapping[str, Function] | None = None,
        programs: Callable[[bytes], Loaded] | None = None,
    ) -> None:
        super().__init__(store, config or Config(), functions or {}, programs)
        self.turns = 0  # taken since the start, for figures
        self._trouble = Trouble()
        self._watchdog = Watchdog(store, self.config, self._signals.join_again)
        self._queue = Waiting(self._hot)  # pids that are to have a turn
        self._woken = Woken(self._hot, self._signals.wake)
        self._stopped = Stopped(store, self._hot, self._flying, self._signals.wake)
        self._seen_flying = False  # whether a look found a process in a commit, whose mark that may take away
        self._again: dict[int, bool] = {}  # as _queue, of pids that became ready while they were in a commit
        self._sending = Sending(store, self._signals.wake)
        self._firing = Firing(store, self._signals, self._trouble, self._in_trouble)
        self._recovery = Recovery(store)
        self._full_look_at = 0.0
        self._processor = (0.0, 0.0)  # when it was looked at, and time.thread_time() then
        self._short = min(self.config.turn_seconds, fairness.LONG_SECONDS)  # a turn of this length needs no thought
        self._thread: threading.Thread | None = None
        self._unwatch: Callable[[], None] | None = None
        self.failure: StoreError | None = None  # why it has ended by itself
        self.on_failure: Callable[[], None] = _nothing  # called then, on its thread

    # ---- life

    def start(self) -> None:
        """Starts the interpreter's thread."""
        collect_later()
        self._thread = threading.Thread(target=self._loop, name="flowmetal-interpreter", daemon=True)
        self._thread.start()
        self._watchdog.start(self._thread)
        Sweeper(self.store, self.config.retention, lambda: 0 in self.partitions).start(self._thread)

    def stop(self, timeout: float = 10.0) -> bool:
        """Finishes the turns under way, gives the partitions back and ends the thread.  False if that took too long."""
        self._signals.stop()
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        self._close(time.monotonic() + timeout)
        return True

    @property
    def commits(self) -> int:
        """Batches sent since the start, for figures."""
        return self._sending.commits

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
        for sent in list(self._sending.sent):
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
        for due in (self._firing.next_due, self.functions.next_due, renew_at):
            if due is not None:
                seconds = min(seconds, (due - now) / 1e9)
        if self._firing.next_due is not None:
            seconds = min(seconds, CLOCK_SECONDS)
        if self._recovery and self._claims:
            seconds = 0.0
        # The ends of a join and of a commit wake as well.
        if self._queue.was_cut and self._claims and not self._sending:
            seconds = min(seconds, self._queue.seconds())
        return max(0.0, seconds)

    def _hinted(self, hints: frozenset[Hint]) -> None:
        self._signals.hinted(hints, self._claims.epochs)
        self._stopped.hinted(hints)
        self._woken.hinted(hints)

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
        progress |= self._firing.fire(now)
        if not self._claims:
            return progress
        progress |= self._find_requests()
        progress |= self.functions.call_due(now, self._claims.holds)
        for pid in self._woken.take():
            if pid in self._flying:
                self._again[pid] = True
            elif pid in self._hot and not self._queue.is_cut(pid):
                self._queue.found(pid)
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
        return bool(self._sending or self._claims.joining or self._firing.busy or self.functions.busy)

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
                self._recovery.begin(new)
        if new or len(before) != len(epochs):
            for pid in [pid for pid in self._hot if lost(before, epochs, pid)]:
                self._drop(pid)  # somebody else may have run it since

    # ---- commits

    def _take_commits(self) -> bool:
        progress = False
        while (sent := self._sending.take()) is not None:
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

    def _refused(self, sent: Sent, error: StoreError) -> None:
        """A list of commands fails as a whole: each turn is tried alone, so that one bad turn stops nobody else."""
        pids = [live.pid for live, _ in sent.items]
        if len(sent.items) > 1 and (error.whose == "command" or error.is_damage):
            for live, outcome in sent.items:
                self._sending.send([(live, outcome)])
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
                self._pausing.pause(record, error)
            self._queue.drop(pids[0])
            return
        if error.is_damage and pids:
            self._drop(pids[0])
            self._pausing.cannot_read(pids[0], error)
            return
        for pid in pids:
            self._queue[pid] = True  # to be loaded, so that the calls whose answers were in those turns are made
        if error.code == NO_ANSWER:
            self._claims.doubt()
            self._signals.claims = True
        self._in_trouble(error)

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
        """Has processes loaded whose calls the last holder of their partitions had under way."""
        if not self._recovery:
            return False
        pids, progress = self._recovery.page()
        for pid in pids:
            self._queue[pid] = True
        return progress

    # ---- ready marks

    def _look_for_ready(self) -> None:
        now = time.monotonic()
        if now >= self._full_look_at:
            self._full_look_at = now + self.config.fallback_seconds
            self._signals.ready = self._signals.timers = True
        if not self._signals.ready or len(self._queue) >= READY_LOW:
            return
        self._signals.ready = False
        skipped = self._queue.all() | self._pausing.unreadable()
        pids = self.store.ready(self.partitions, READY_PAGE, skipped)
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
        worked = self._run_queue(self._sending.seconds(self.config), False)
        return (bool(self._queue.was_cut) and self._run_queue(LATER_SECONDS, True)) or worked

    def _run_queue(self, seconds: float, cut: bool) -> bool:
        """Takes turns for so long: with processes that were cut, or with the others."""
        now = time.monotonic()
        sending = self._sending
        if not self._queue or not sending.room(now):
            return False
        if not sending:
            self._rooms.committed()
        items: list[tuple[Live, Outcome]] = []
        worked = False
        try:
            for pid, look in self._queue.take(now + seconds, cut, lambda: sending.idle, sending.commit_seconds):
                worked = True
                if pid in self._flying:
                    self._again[pid] = look or self._again.get(pid, False)
                    continue
                ran = self._try_one(pid, look)
                if ran is not None:
                    # At once: it may stand in two lines, and what it has taken is still in the store's inbox.
                    self._flying.add(pid)
                    items.append(ran)
                    if len(items) >= self.config.batch_turns:
                        break
        finally:
            # Also where the store failed in between: these processes are ahead of it.
            if items:
                sending.send(items)
        return worked

    def _try_one(self, pid: int, look: bool) -> tuple[Live, Outcome] | None:
        """_run_one; what cannot be read of one process must not stop the others."""
        began = time.monotonic()
        known = pid in self._hot
        if began - self._processor[0] > PROCESSOR_SECONDS:
            self._processor = (began, time.thread_time())
        self._watchdog.running = (pid, began)
        try:
            ran = self._run_one(pid, look)
            elapsed = time.monotonic() - began
            live = self._hot.get(pid)
            if live is not None and (live.share < 1.0 or live.slices or live.computed or elapsed > self._short):
                held = fairness.held_up(elapsed, self._processor[1] if known else None)
                fairness.adapt(live, elapsed, self.config.turn_seconds, held)
            return ran
        except StoreError as error:
            if not error.is_damage and error.code != DAMAGED_PAGE:
                self._queue[pid] = True
                raise
            self._drop(pid)
            self._pausing.cannot_read(pid, error)
            return None
        finally:
            self._watchdog.running = None

    def _run_one(self, pid: int, look: bool) -> tuple[Live, Outcome] | None:
        """One turn of one process; None where there is nothing to commit.  `look`: whether to look into its inbox."""
        epoch = self._claims.epochs.get(pid % PARTITIONS)
        if epoch is None:
            self._drop(pid)
            return None
        live = self._hot.get(pid)
        if live is None:
            live = self._load(pid)
            if live is None:
                return None
            look = True
        else:
            self._hot.move_to_end(pid)
        # Read first: where that fails, the answers wait for the next turn.
        stored = self.store.inbox(pid, INBOX_PAGE, messages=live.receiver != 0) if look else []
        live.inbox_read = look and live.receiver != 0 and len(stored) < INBOX_PAGE
        inbox = self._answers.pop(pid, None) or []
        outside = bool(inbox)  # an answer of a function of this interpreter
        if stored:
            inbox = inbox + stored
            outside = outside or from_outside(live, stored)
        computes, sequence = live.slices > 0 or live.unbroken > 0, live.sequence
        began = time.thread_time() if computes else 0.0
        if outside:
            live.burst = 0
        try:
            outcome = take_turn(live, inbox, epoch, self._setting)
        except Exception as error:
            # A fault of the engine or the machine, not of the program: the process stops where it was last saved.
            logger.exception("the turn of process %d went wrong", pid)
            self._drop(pid)
            record = self.store.process(pid)
            if record is not None:
                self._pausing.pause(record, error)
            return None
        self.turns += 1
        if not outside and outcome.turn is not None:
            fairness.count_entries(live, outcome.turn)
        self._weigh(live)
        if computes and self.config.turn_seconds:
            fairness.count_seconds(live, live.sequence != sequence, time.thread_time() - began)
        if outcome.left:
            self._answers[pid] = list(outcome.left)
        if outcome.turn is None:
            if outcome.more:
                self._queue.cut(pid)
            return None
        return live, outcome

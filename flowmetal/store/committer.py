"""The committer: the one place that writes an LMDB store.

It takes everything that has been submitted since the last commit, applies it in order within one transaction, syncs it
once, and then answers.  That is done by a thread of its own, and while it syncs (LMDB lets go of the interpreter lock)
callers make and submit what becomes the next group.  A caller that has nothing else to do commits on its own thread
instead, where nobody does at the moment: two switches between threads less for a step.

Each caller's list of commands is one unit.  A unit that is refused before it wrote anything just gets its error.  One
that is refused after it wrote makes the whole group be applied again, each unit in a child transaction of its own,
so that this unit alone is taken back: units are rarely refused, and child transactions cost much.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.store import failpoint
from flowmetal.store.cache import Cache
from flowmetal.store.changes import Changes
from flowmetal.store.commands import apply_all
from flowmetal.store.errors import GIVEN_UP, StoreError
from flowmetal.store.interface import Command, Complete, Deliver, Hint, Operate, Post, PutArtifact, Start, Turn
from flowmetal.store.lmdb_engine import LmdbEngine, MapFull, TransactionFull
from flowmetal.store.lmdb_errors import PASSING, BadKey, LmdbError
from flowmetal.store.lmdb_options import SYNC_SECONDS
from flowmetal.store.lmdb_transaction import LmdbTransaction

_log = logging.getLogger(__name__)

#: Commits in a row that fail at a damaged page before this process gives up: those of others may need none, but where
#: all do, one that is damaged again and again is no owner.
MAX_DAMAGED_COMMITS = 100

#: Units in a group: a larger group makes each of its callers wait longer than it saves.
MAX_GROUP_UNITS = 4096
#: Units that may wait.
MAX_QUEUED_UNITS = 100_000
#: Bytes that the units which are not answered may hold before more is taken; one unit may be larger.
MAX_QUEUED_BYTES = 512 << 20


@dataclass(slots=True)
class Unit:
    """What is applied together or not at all.

    `run` applies it and returns what `done` gets, with the error that came instead, once it is durable.  Both are
    called on the committer's thread and must be short.  `size`: about how many bytes it holds; `measure` tells, where
    that is not known, which it need not be of what is committed at once.
    """

    run: Callable[[Changes], Any]
    done: Callable[[Any, StoreError | None], None]
    size: int = 0
    measure: Callable[[], int] | None = None
    is_answered: bool = False


def commands_unit(commands: Sequence[Command], done: Callable[[Any, StoreError | None], None]) -> Unit:
    """A unit that applies a list of commands."""
    return Unit(lambda changes: apply_all(changes, commands), done, measure=lambda: sum(map(_size, commands)))


def _size(command: Command) -> int:
    """About how many bytes a command holds; 0 for one that does not hold together, which will be refused."""
    try:
        if command.__class__ is Turn:
            size = len(command.checkpoint or b"") + len(command.result or b"")
            for _, _, event, segment in command.entries:
                size += len(event) + len(segment)
            for request in command.requests:
                size += len(request.payload) + len(request.options)
            for post in command.posts:
                size += len(post.data)
            for ask in command.asks:
                size += len(ask.payload) + (len(ask.start.arguments) if ask.start is not None else 0)
            return size
        if isinstance(command, (PutArtifact, Post, Complete, Deliver)):
            return len(command.data)
        if isinstance(command, Operate):
            return len(command.payload)
        return len(command.arguments) if isinstance(command, Start) else 0
    except (TypeError, ValueError, AttributeError):
        return 0


class _Spoiled(Exception):
    """A unit was refused after it had written."""


class Committer:
    """The thread that commits.  `on_hints` is called after each commit that changed something; `on_broken` once, where
    the disk has failed and this committer takes nothing any more, after its callers have been told."""

    def __init__(
        self,
        engine: LmdbEngine,
        now: Callable[[], int],
        alive: Callable[[str], bool],
        on_hints: Callable[[frozenset[Hint]], None],
        *,
        fault: Callable[[str], None] | None = None,
        on_broken: Callable[[], None] | None = None,
    ) -> None:
        self._engine = engine
        self._now = now
        self._alive = alive
        self._on_hints = on_hints
        self._fault = fault
        self._on_broken = on_broken
        self._broken: StoreError | None = None
        self._queue: deque[Unit] = deque()
        self._wakes: SimpleQueue[bool] = SimpleQueue()  # for the thread; False: the end
        self._lock = threading.Lock()
        self._committing = threading.Lock()  # held by the thread that takes units and commits them
        self._cache = Cache(engine.id)
        self._synced_commits = 0
        self._synced_at = 0.0
        self._closing = False
        self._damaged = 0
        self._committed: tuple[list[Unit], list[tuple[Any, StoreError | None]]] | None = None  # and not all answered
        self._bytes = 0  # of the units that are not answered
        self.commits = 0
        self.units = 0
        self._thread = threading.Thread(target=self._run, name="flowmetal-committer", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> StoreError | None:
        """What is said to everybody since the disk has failed."""
        return self._broken

    def submit(self, unit: Unit, *, again: bool = False, here: bool = False) -> None:
        """Queues a unit.  Its `done` is called at once, on this thread, where the store takes no more.

        `again`: it may have been applied by an owner that is gone, so that there is no refusing it for its size.
        `here`: commits it, with all that waits, on this thread, unless another one is committing.
        """
        error = None
        here = here and self._committing.acquire(blocking=False)
        try:
            if unit.measure is not None and not here:
                unit.size = unit.measure()
            with self._lock:
                if self._closing:
                    error = StoreError("S114", path=str(self._engine.path))
                elif self._broken is not None:
                    error = self._broken
                elif len(self._queue) >= MAX_QUEUED_UNITS and not again:
                    error = StoreError("S207", limit=MAX_QUEUED_UNITS)
                elif self._bytes >= MAX_QUEUED_BYTES and not again:
                    error = StoreError("S207", limit=f"{MAX_QUEUED_BYTES >> 20} MiB of")
                else:
                    self._bytes += unit.size
                    self._queue.append(unit)
                    if len(self._queue) == 1 and not here:
                        self._wakes.put(True)
            if here:
                self._commit_waiting()
        finally:
            if here:
                self._committing.release()
        if error is not None:
            unit.done(None, error)

    def close(self) -> None:
        """Commits what is queued and ends the thread."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._wakes.put(False)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    # ---- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._commit_until_closed()
        except BaseException as error:  # no memory even for an error: nobody may wait for what will not come
            self._break(StoreError(GIVEN_UP, path=str(self._engine.path), reason=f"{type(error).__name__}"))
            with self._lock:
                left = list(self._queue)
                self._queue.clear()
            assert self._broken is not None
            self._fail(left, self._broken)
            raise

    def _commit_until_closed(self) -> None:
        going_on = True
        patience = None if self._engine.is_synced else SYNC_SECONDS
        while going_on:
            try:
                going_on = self._wakes.get(timeout=patience)
            except Empty:
                pass
            with self._committing:
                self._commit_waiting()
                if patience is not None:
                    self._sync(at_once=not going_on)

    def _sync(self, *, at_once: bool) -> None:
        """Where commits are not synced, syncs them now and then.  The caller has the right to commit.

        Whatever a sync fails with, a full disk too, is the end: these commits are in the store already, and the disk
        may have dropped their pages, so that syncing again would say yes without having written them.
        """
        now = time.monotonic()
        if self.commits == self._synced_commits or self._broken is not None:
            return
        if at_once or now - self._synced_at >= SYNC_SECONDS:
            commits, self._synced_at = self.commits, now
            try:
                self._engine.sync()
            except LmdbError as error:
                _log.error("the last commits of the store at %s may not be on its disk: %s", self._engine.path, error)
                self._break(StoreError(GIVEN_UP, path=str(self._engine.path), reason=str(error)))
                return
            self._synced_commits = commits

    def _commit_waiting(self) -> None:
        """Commits until nothing waits.  The caller has the right to commit."""
        while True:
            group: list[Unit] = []
            with self._lock:
                while self._queue and len(group) < MAX_GROUP_UNITS:
                    group.append(self._queue.popleft())
            if not group:
                return
            try:
                self._commit(group)
            except MemoryError:
                self._answer_committed()
                self._fail(group, StoreError("S331", path=str(self._engine.path)))
            except Exception as error:  # a fault of ours: the callers must not wait for ever
                self._answer_committed()
                self._fail(group, StoreError("S307", reason=f"{type(error).__name__}: {error}"))
                _log.exception("the committer failed")

    def _commit(self, group: list[Unit]) -> None:
        if not group:
            return
        if self._broken is not None:
            self._fail(group, self._broken)
            return
        nested = False
        while True:
            try:
                outcomes, hints = self._attempt(group, nested)
                break
            except _Spoiled:
                nested = True
            except MapFull:
                try:
                    if self._engine.grow():
                        continue
                except StoreError as error:
                    self._fail(group, error)
                    return
                if not self._one_by_one(group):
                    limit = self._engine.options.map_limit
                    self._fail(group, StoreError("S302", path=str(self._engine.path), limit=limit))
                return
            except TransactionFull:
                if not self._one_by_one(group):
                    self._fail(group, StoreError("S206", reason="one list of commands changes too much at once"))
                return
            except LmdbError as error:
                failure = self._engine.write_error(error)
                if failure.code == "S108":
                    if self._one_by_one(group):  # only those who need the page are refused
                        return
                    self._damaged += 1
                    if self._damaged >= MAX_DAMAGED_COMMITS:
                        failure = StoreError(GIVEN_UP, path=str(self._engine.path), reason=str(error))
                if failure.code in PASSING or failure.code == "S108":
                    self._fail(group, failure)
                    return
                _log.error("the store at %s is broken: %s", self._engine.path, error)
                self._broken = failure
                self._fail(group, failure)
                self._break(failure)
                return
            except StoreError as error:  # before it has begun
                self._fail(group, error)
                return
        self._damaged = 0
        self.commits += 1
        self.units += len(group)
        for unit, outcome in zip(group, outcomes, strict=True):
            self._answer(unit, *outcome)
        self._committed = None
        if failpoint.hook is not None:
            failpoint.hook("commit/answered")
        if hints:
            try:
                self._on_hints(hints)
            except Exception:
                _log.exception("telling of a commit failed")

    def _attempt(self, group: list[Unit], nested: bool) -> tuple[list[tuple[Any, StoreError | None]], frozenset[Hint]]:
        """Applies a group and commits it.  Nothing fails that comes after the commit: whoever was told so would do
        again what is durable."""
        try:
            with self._engine.writing() as transaction:
                changes = Changes(transaction, self._now(), self._cache, self._alive, self._engine.check_room)
                apply = self._apply_nested if nested else self._apply
                if failpoint.hook is not None:
                    failpoint.hook("commit/begin")
                outcomes = [apply(unit, changes, transaction) for unit in group]
                if transaction.writes:
                    changes.flush()
                hints = frozenset(changes.hints)
                committed = group, outcomes
                if transaction.writes:
                    if self._fault is not None:
                        self._fault("before commit")
                    if failpoint.hook is not None:
                        failpoint.hook("commit/before")
                    transaction.commit()
                    self._committed = committed
                    if self._fault is not None:
                        self._fault("after commit")
                    if failpoint.hook is not None:
                        failpoint.hook("commit/after")
        except BaseException:
            self._cache.clear()
            raise
        try:
            self._cache.trim()
        except Exception:
            self._cache.clear()
        return outcomes, hints

    def _apply(self, unit: Unit, changes: Changes, transaction: LmdbTransaction) -> tuple[Any, StoreError | None]:
        writes = transaction.writes
        try:
            return self._run_unit(unit, changes), None
        except StoreError as error:
            if transaction.writes != writes:
                raise _Spoiled from error
            return None, error

    def _apply_nested(
        self, unit: Unit, changes: Changes, transaction: LmdbTransaction
    ) -> tuple[Any, StoreError | None]:
        child = transaction.child()
        changes.transaction = child
        try:
            results = self._run_unit(unit, changes)
            changes.flush()
            child.commit()
        except StoreError as error:
            child.abort()
            changes.forget()
            return None, error
        finally:
            changes.transaction = transaction
        transaction.writes += child.writes
        return results, None

    def _run_unit(self, unit: Unit, changes: Changes) -> Any:
        try:
            results = unit.run(changes)
            if failpoint.hook is not None:
                failpoint.hook("commit/unit")
            return results
        except BadKey as error:  # of this unit's keys, not of the store
            raise self._engine.error(error) from error
        except (StoreError, LmdbError):
            raise
        except MemoryError as error:
            raise StoreError("S331", path=str(self._engine.path)) from error
        except Exception as error:
            _log.exception("a command of the store failed")
            raise StoreError("S307", reason=f"{type(error).__name__}: {error}") from error

    def _one_by_one(self, group: list[Unit]) -> bool:
        """Commits each unit of a group alone, since one of them is too large; False for a group of one."""
        if len(group) == 1:
            return False
        for unit in group:
            self._commit([unit])
        return True

    def _break(self, failure: StoreError) -> None:
        """This committer takes nothing any more: see LmdbEngine.write_error."""
        self._broken = failure
        on_broken, self._on_broken = self._on_broken, None
        if on_broken is not None:
            try:
                on_broken()
            except Exception:
                _log.exception("giving up the store failed")

    def _answer_committed(self) -> None:
        """Answers those whose commit is durable, though something failed after it."""
        committed, self._committed = self._committed, None
        if committed is not None:
            for unit, outcome in zip(*committed, strict=True):
                self._answer(unit, *outcome)

    def _fail(self, group: list[Unit], error: StoreError) -> None:
        for unit in group:
            self._answer(unit, None, error)

    def _answer(self, unit: Unit, results: Any, error: StoreError | None) -> None:
        if unit.is_answered:  # a fault of ours fails a whole group, of which some may have been committed
            return
        unit.is_answered = True
        if unit.size:
            with self._lock:
                self._bytes -= unit.size
        try:
            unit.done(results, error)
        except Exception:
            _log.exception("answering a caller of the store failed")

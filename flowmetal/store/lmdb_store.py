"""LmdbStore: a store in a folder, shared by the processes of one machine.

Reads go to LMDB directly.  Writes go to the committer: that of this process if it owns the store, else that of the
owner, through a Link.  Which of the two it is, is found out at the first write or watch, and changes by itself when
an owner ends.  A process that only reads never becomes the owner.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from flowmetal.store import crashes, failpoint
from flowmetal.store.batches import StaleBatch, apply_batch
from flowmetal.store.changes import Changes
from flowmetal.store.clock import CLOCK_FILE, SteadyClock
from flowmetal.store.committer import Committer, Unit, commands_unit
from flowmetal.store.errors import GIVEN_UP, StoreError
from flowmetal.store.futures import make_future, settle
from flowmetal.store.interface import Command, Hint, Join, Leave
from flowmetal.store.link import Batch, Link
from flowmetal.store.lmdb_engine import LmdbEngine
from flowmetal.store.lmdb_files import BACKUP_FILE, remove_left_encrypting
from flowmetal.store.lmdb_options import LmdbOptions
from flowmetal.store.owner_lock import InterpreterLocks, OwnerInfo, OwnerLock, process_start_time
from flowmetal.store.resealing import seal_older
from flowmetal.store.server import OwnerServer, remove_left_socket
from flowmetal.store.store_reads import StoreReads
from flowmetal.store.transaction import ReadTransaction
from flowmetal.store.watchers import EVERYTHING, Watchers

#: How long a thread of this process may compute before one that waits for it gets its turn, at most; Python's own 5 ms
#: are ten commits.  The thread that commits gives way at every call of LMDB and of the socket, so beside a thread that
#: computes it would wait some 50 ms for a commit, and with it every process that is attached.
SWITCH_SECONDS = 0.0005


class LmdbStore(StoreReads):
    """One per folder and process; opening.py hands out handles.  Safe for threads.

    Results and hints come on threads of the store, which other callers wait for: what they call must be short and
    must not wait for a result itself.  `fault` is called at "before commit" and "after commit"; see failpoint.py.
    """

    def __init__(
        self,
        path: Path,
        options: LmdbOptions,
        clock: Callable[[], int],
        *,
        create: bool,
        fault: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self.url = f"lmdb://{path}"
        self.engine = LmdbEngine(path, options, create=create)
        self.id = self.engine.id
        self.origins = {}
        self._clock = clock
        self._is_steady = isinstance(clock, SteadyClock)
        if isinstance(clock, SteadyClock):
            clock.share(path / CLOCK_FILE)
        self._latest = 0
        self._fault = fault
        self._clock_lock = threading.Lock()
        self._role_lock = threading.RLock()
        self._owner_lock = OwnerLock(path)
        self._interpreters = InterpreterLocks(path)
        self._watchers = Watchers()
        self._committer: Committer | None = None
        self._server: OwnerServer | None = None
        self._link: Link | None = None
        self._closed = False
        self._forked = False
        self._owning = False  # a thread is in _own
        self._failed: StoreError | None = None  # the disk failed before this process could write
        _open_stores.add(self)

    def now(self) -> int:
        """The time in ns; never goes back, whatever the clock does.  Without a clock of a test it also goes on when the
        system's is set back: see SteadyClock."""
        if self._is_steady:
            return self._clock()
        with self._clock_lock:
            self._latest = max(self._latest, self._clock())
            return self._latest

    @property
    def role(self) -> str:
        """ "owner", "attached", or "reader" before the first write or watch."""
        return "owner" if self._committer is not None else "attached" if self._link is not None else "reader"

    # ---- writes --------------------------------------------------------------------------------------------------

    def submit(self, commands: Sequence[Command], here: bool = False) -> Future[list[Any]]:
        """The results once they are durable.  See Store."""
        future = make_future()
        try:
            for command in commands:
                if command.__class__ is Join:
                    self._interpreters.hold(command.interpreter)
                elif command.__class__ is Leave:
                    self._drop_when_left(future, command.interpreter)
            with self._role_lock:
                self._take_role()
                committer = self._committer
                if committer is None and self._link is not None:
                    self._link.submit(commands, future)
                elif committer is not None and not here:
                    committer.submit(commands_unit(tuple(commands), partial(settle, future)))
            if committer is not None and here:  # others may submit meanwhile
                committer.submit(commands_unit(tuple(commands), partial(settle, future)), here=True)
        except StoreError as error:
            settle(future, None, error)
        return future

    def watch(self, callback: Callable[[frozenset[Hint]], None]) -> Callable[[], None]:
        """Calls back with what commits changed, those of other processes too."""
        remove = self._watchers.add(callback)
        try:
            with self._role_lock:
                self._take_role()
                if self._link is not None:
                    self._link.watch()
        except StoreError:
            remove()
            raise
        return remove

    def close(self) -> None:
        """Commits what is outstanding and lets go of the store; another process may take it over."""
        if self._forked:
            return  # it is the parent's
        with self._role_lock:
            if self._closed:
                return
            self._closed = True
            link, self._link = self._link, None
        if link is not None:
            link.close()
        with self._role_lock:
            server, committer = self._server, self._committer
        if server is not None:
            server.stop_reading()
        if committer is not None:
            committer.close()
        if server is not None:
            server.close()
            with suppress(OSError):  # it is only a hint
                self._owner_lock.write_info(None)
        self._interpreters.release()
        self.engine.close()
        self._owner_lock.release()
        if isinstance(self._clock, SteadyClock):
            self._clock.close()
        _open_stores.discard(self)

    def _drop_when_left(self, future: Future[list[Any]], interpreter: str) -> None:
        joins = self._interpreters.joins(interpreter)

        def left(done: Future[list[Any]]) -> None:
            if done.exception() is None:
                self._interpreters.drop(interpreter, joins)

        future.add_done_callback(left)

    # ---- roles ---------------------------------------------------------------------------------------------------

    def _take_role(self) -> None:
        self._check_open()
        if self._committer is not None or self._link is not None:
            return
        if self._failed is not None:  # a second sync says yes, whatever the first has lost
            raise self._failed
        if sys.getswitchinterval() > SWITCH_SECONDS:
            sys.setswitchinterval(SWITCH_SECONDS)
        if self._owner_lock.try_acquire():
            self._own()
        else:
            try:
                self._link = Link(
                    self.path,
                    self.id,
                    lock=self._owner_lock,
                    durability=self.engine.options.durability,
                    on_hints=self._watchers.tell,
                    on_connected=lambda: self._watchers.tell(EVERYTHING),
                    on_owner=self._take_over,
                )
            except (OSError, RuntimeError) as error:  # no more sockets, or threads
                raise StoreError("S332", path=str(self.path), reason=str(error)) from error

    def _own(self) -> None:
        """Begins to commit.  The owner's lock is held."""
        if (self.path / BACKUP_FILE).exists():
            self._owner_lock.release()
            raise StoreError("S317", path=str(self.path))
        if self._failed is not None:
            self._owner_lock.release()
            raise self._failed
        if failpoint.hook is not None:
            failpoint.hook("owner/lock")
        last = self._owner_lock.read_info()
        if last is not None:
            remove_left_socket(last.socket)
        committer = server = None
        self._owning = True
        try:
            remove_left_encrypting(self.path)
            crashes.check(self.path, self._owner_lock)
            self.engine.become_writer()
            seal_older(self.engine)
            committer = Committer(
                self.engine, self.now, self._interpreters.alive, self._tell, fault=self._fault, on_broken=self._give_up
            )
            server = OwnerServer(self.id, committer, self.engine.check_readers)
            if failpoint.hook is not None:
                failpoint.hook("owner/socket")
            pid = os.getpid()
            durability = self.engine.options.durability
            self._owner_lock.write_info(OwnerInfo(pid, process_start_time(pid), server.path, durability))
        except BaseException as error:
            if isinstance(error, StoreError) and error.code == GIVEN_UP:
                self._failed = error
            if server is not None:
                server.stop_reading()
            if committer is not None:
                committer.close()
            if server is not None:
                server.close()
            self._owner_lock.release()
            self._owning = False
            if isinstance(error, (OSError, RuntimeError)):
                raise StoreError("S332", path=str(self.path), reason=str(error)) from error
            raise
        self._server, self._committer = server, committer
        self._owning = False
        if failpoint.hook is not None:
            failpoint.hook("owner/ready")
        if committer.broken is not None:  # meanwhile
            self._give_up()

    def _give_up(self) -> None:
        """The disk has failed: lets another process have the store, as if this one had died.

        Those that are attached are not told, so that they pass what they wait for on to the next owner.  This store
        goes on reading, and refuses to write until it is opened anew.
        """
        if self._owning:
            return  # who is at that will see it
        server, self._server = self._server, None
        if server is not None:
            server.stop_reading()
            server.close()
        try:
            self.engine.become_reader()
        finally:
            self._owner_lock.release()

    def _take_over(self, link: Link) -> None:
        """The link has the owner's lock: its batches go to a committer of our own, under the numbers they have.

        StoreError where this process cannot commit now: the lock is given back, and the link keeps its batches.
        """
        with self._role_lock:
            if self._closed:
                self._owner_lock.release()
                return
            if failpoint.hook is not None:
                failpoint.hook("takeover/begin")
            self._own()
            assert self._committer is not None
            if failpoint.hook is not None:
                failpoint.hook("takeover/owner")
            self._link = None
            pending, link.pending = link.pending, {}
            arrived = min(pending, default=1) - 1
            for number, batch in sorted(pending.items()):
                self._committer.submit(_batch_unit(link.client, number, arrived, batch), again=True)
        if failpoint.hook is not None:
            failpoint.hook("takeover/end")
        self._watchers.tell(EVERYTHING)

    def _tell(self, hints: frozenset[Hint]) -> None:
        server = self._server
        if server is not None:
            server.tell(hints)
        self._watchers.tell(hints)

    # ---- reads ---------------------------------------------------------------------------------------------------

    def _reading(self) -> AbstractContextManager[ReadTransaction]:
        self._check_open()
        return self.engine.reading()

    def _check_open(self) -> None:
        if self._forked:
            raise StoreError("S113", path=str(self.path))
        if self._closed:
            raise StoreError("S114", path=str(self.path))

    def _engine_stats(self) -> dict[str, Any]:
        committer = self._committer
        counts = {} if committer is None else {"commits": committer.commits, "units": committer.units}
        return {**self.engine.stats(), "role": self.role, **counts}

    def forget_after_fork(self) -> None:
        """In a child process: this store is the parent's."""
        self._forked = True
        self._owner_lock.forget()
        self._interpreters.forget()


def _batch_unit(client: bytes, number: int, arrived: int, batch: Batch) -> Unit:
    def run(changes: Changes) -> bytes | None:
        try:
            return apply_batch(changes, client, number, arrived, batch.wire)
        except StaleBatch:
            return None

    def done(results: bytes | None, error: StoreError | None) -> None:
        if error is not None:
            settle(batch.future, None, error)
        elif results is not None:
            batch.arrived(results)

    return Unit(run, done, len(batch.wire))


_open_stores: weakref.WeakSet[LmdbStore] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_open_stores):
        store.forget_after_fork()


def _at_exit() -> None:
    for store in list(_open_stores):
        with suppress(Exception):
            store.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)

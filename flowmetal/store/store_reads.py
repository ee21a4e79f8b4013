"""StoreReads: the reads of the Store interface, over the read transactions of an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from flowmetal.store import kept_reads, reads
from flowmetal.store.interface import InboxEvent, LogEntry, ProcessRecord, Request
from flowmetal.store.layout import META
from flowmetal.store.lives import LIVES, Lives, decode_lives
from flowmetal.store.query import Query
from flowmetal.store.transaction import ReadTransaction


class StoreReads(ABC):
    """The reads; a subclass gives `_reading`, each use of which is one committed state."""

    id: str
    origins: reads.Origins  # that were read; of one store, whose numbers are never given again

    @abstractmethod
    def _reading(self) -> AbstractContextManager[ReadTransaction]: ...

    @abstractmethod
    def now(self) -> int:
        """The time of the store in ns."""

    def process(self, pid: int) -> ProcessRecord | None:
        """The record of a process, or None."""
        with self._reading() as transaction:
            return reads.process(transaction, pid, self.origins)

    def process_by_id(self, id: str) -> ProcessRecord | None:
        """The record of the process that was started with this id, or None."""
        with self._reading() as transaction:
            return reads.process_by_id(transaction, id, self.origins)

    def processes(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        statuses: Iterable[str] = (),
        newest_first: bool = False,
        where: Query | None = None,
    ) -> list[ProcessRecord]:
        """Processes in order of pid, those beyond `after`; at most 10,000 at a time."""
        with self._reading() as transaction:
            return reads.processes(
                transaction, self.origins, after=after, limit=limit, statuses=statuses, newest_first=newest_first,
                where=where,
            )  # fmt: skip

    def result(self, pid: int) -> bytes | None:
        """The encoded result, or error, of a process that has ended."""
        with self._reading() as transaction:
            return reads.result(transaction, pid)

    def log(self, pid: int, start: int = 0, limit: int = 1000) -> list[LogEntry]:
        """Log entries from sequence `start` on, about `limit` of them, fewer where they are large (64 MiB).

        Never cut within a sequence: the next read goes on at the last sequence plus one.
        """
        with self._reading() as transaction:
            return reads.log(transaction, pid, start, limit)

    def checkpoint(self, pid: int, at: int | None = None) -> tuple[int, bytes] | None:
        """The newest checkpoint at or before `at`: (sequence, image), or None."""
        with self._reading() as transaction:
            return reads.checkpoint(transaction, pid, at)

    def inbox(self, pid: int, limit: int = 1000, messages: bool = True) -> list[InboxEvent]:
        """What has arrived for a process: control, answers and timers, messages; each in order of arrival."""
        with self._reading() as transaction:
            return reads.inbox(transaction, pid, limit, messages)

    def ready(self, partitions: Iterable[int], limit: int, leave_out: Container[int] = ()) -> list[int]:
        """Pids with something to do, the longest waiting first, but for those that are to be left out."""
        with self._reading() as transaction:
            return reads.ready(transaction, partitions, limit, leave_out)

    def next_due(self) -> int | None:
        """When the next Fire has something to do, or None: a timer, a lease, a schedule, what is to be forgotten."""
        with self._reading() as transaction:
            return reads.next_due(transaction, self.now())

    def open_requests(self, pid: int) -> list[Request]:
        """Requests of a process that are not over, by number."""
        with self._reading() as transaction:
            return reads.open_requests(transaction, pid, self.id)

    def ties(self, pid: int, limit: int = 100) -> list[tuple[str, str | int]]:
        """What a living process is tied to."""
        with self._reading() as transaction:
            return reads.ties(transaction, pid, limit)

    def calls(self, after: int = 0, limit: int = 1000) -> list[int]:
        """Pids beyond `after`, in order, of processes with open requests for functions of an interpreter."""
        with self._reading() as transaction:
            return reads.calls(transaction, after, limit)

    def queued(self, effects: Sequence[str]) -> bool:
        """Whether a Take of one of these effects would find something now."""
        with self._reading() as transaction:
            return reads.queued(transaction, effects)

    def token(self, token: str) -> str | None:
        """Whether a callback token is "open" or "over"; None where it is unknown."""
        with self._reading() as transaction:
            return reads.token(transaction, token)

    def artifact(self, hash: bytes) -> bytes | None:
        """An artifact by its content hash, or None."""
        with self._reading() as transaction:
            return reads.artifact(transaction, hash)

    def messages(self, pid: int) -> int:
        """How many messages wait in the mailbox of a process; 0 where there is none."""
        with self._reading() as transaction:
            return kept_reads.messages(transaction, pid)

    def messages_after(self, pid: int, after: int = 0, limit: int = 100) -> list[tuple[int, bytes]]:
        """Messages that wait in the mailbox of a process, beyond one of them."""
        with self._reading() as transaction:
            return kept_reads.messages_after(transaction, pid, after, limit)

    def living(self) -> int:
        """How many processes have not ended."""
        with self._reading() as transaction:
            return kept_reads.living(transaction)

    def artifacts(self) -> list[bytes]:
        """The hashes of all artifacts."""
        with self._reading() as transaction:
            return kept_reads.artifacts(transaction)

    def lives(self) -> Lives:
        """The lives that the store has begun by being restored."""
        with self._reading() as transaction:
            return decode_lives(transaction.get(META, LIVES))

    def last_pid(self) -> int:
        """The newest pid that was ever given."""
        with self._reading() as transaction:
            return reads.counter(transaction, "pid")

    def kept_from(self, pid: int) -> int:
        """The sequence from which on the log of a process is whole; 0: all of it."""
        with self._reading() as transaction:
            return kept_reads.kept_from(transaction, pid)

    def checkpoints(self, pid: int) -> list[int]:
        """The sequences of the checkpoints of a process."""
        with self._reading() as transaction:
            return kept_reads.checkpoints(transaction, pid)

    def leftovers(self, limit: int = 100) -> list[int]:
        """Pids of processes whose removal was begun and is to be finished."""
        with self._reading() as transaction:
            return kept_reads.leftovers(transaction, limit)

    def unreferenced_texts(self, pid: int) -> tuple[int, list[bytes]]:
        """The next sequence of a process, and the hashes of its texts that none of its records refers to."""
        with self._reading() as transaction:
            return kept_reads.unreferenced_texts(transaction, pid)

    def origins_in_use(self, after: int = 0, limit: int = 1000) -> tuple[int, set[int]]:
        """The origins of at most `limit` processes beyond pid `after`, and the last of those pids, 0 at the end."""
        with self._reading() as transaction:
            return kept_reads.origins_in_use(transaction, after, limit)

    def origins_known(self) -> dict[int, bytes]:
        """The number of each origin with the hash of the artifact it runs."""
        with self._reading() as transaction:
            return kept_reads.origins_known(transaction)

    def deployed(self, name: str | None = None) -> dict[str, bytes]:
        """Deployed names with the hashes of their artifacts, or the one of `name`."""
        with self._reading() as transaction:
            return reads.deployed(transaction, name)

    def grants(self, name: str) -> tuple[str, ...] | None:
        """What the processes of a deployed name may perform; None for all, and where nothing is deployed."""
        with self._reading() as transaction:
            return reads.grants(transaction, name)

    def stats(self) -> dict[str, Any]:
        """{"format", "engine", "id", "processes": by status, "entries": by key space, "interpreters": living, ...}."""
        with self._reading() as transaction:
            living = reads.interpreters(transaction, self.now())
            return {**reads.stats(transaction), "interpreters": living, **self._engine_stats()}

    @abstractmethod
    def _engine_stats(self) -> dict[str, Any]: ...

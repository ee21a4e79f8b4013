"""Ways to break the store and the engine on purpose: the simulation must find each.  For tests of the simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from flowmetal.dataclass import replace
from flowmetal.engine import arrivals, events, interpreter, live
from flowmetal.engine.lines import plain_error
from flowmetal.engine.turns import take_turn
from flowmetal.store import batches, claims, commands, lmdb_store, processes, row_changes, server
from flowmetal.store import timers as store_timers
from flowmetal.store.changes import Changes
from flowmetal.store.committer import Committer
from flowmetal.store.interface import Complete, Take, Turn
from flowmetal.store.layout import CLIENTS, u64
from flowmetal.store.queue_rows import QueueRow
from flowmetal.values import ErrorValue, encode_value
from flowmetal.vm import KIND_CANCELLED
from tests.simulation.disk import DiskTransaction, Undo, _take_back

Break = Callable[[ExitStack], None]


def _set(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    before = getattr(owner, name)
    setattr(owner, name, value)
    stack.callback(setattr, owner, name, before)


def _command(stack: ExitStack, kind: type, make: Callable[[Any], Any]) -> None:
    before = commands._APPLY[kind]
    commands._APPLY[kind] = make(before)
    stack.callback(commands._APPLY.__setitem__, kind, before)


def commit_dropped(stack: ExitStack) -> None:
    """Now and then a commit is acknowledged, and nothing of it is there."""
    count = [0]
    commit = DiskTransaction.commit

    def dropping(self: DiskTransaction) -> None:
        count[0] += 1
        if count[0] % 40 == 0 and self._parent is None:
            self._over = True
            undo: Undo = self._undo
            _take_back(undo)
            return
        commit(self)

    _set(stack, DiskTransaction, "commit", dropping)


def commit_torn(stack: ExitStack) -> None:
    """A commit that is taken back leaves its first write."""

    def torn(self: DiskTransaction) -> None:
        if not self._over:
            _take_back(self._undo[1:])
            self._undo.clear()

    _set(stack, DiskTransaction, "abort", torn)


def log_dropped(stack: ExitStack) -> None:
    """The log lacks what a turn wrote beside its first entry."""
    _set(stack, processes, "log_records", lambda pid, entries: original(pid, entries[:1]))


original = processes.log_records


def old_epoch_accepted(stack: ExitStack) -> None:
    """Turns are taken whatever their epoch."""

    def make(turn: Any) -> Any:
        def lax(changes: Changes, command: Turn) -> Any:
            return turn(changes, replace(command, epoch=changes.epoch_of(command.pid % 64)))

        return lax

    _command(stack, Turn, make)


def message_doubled(stack: ExitStack) -> None:
    """A message to another process is put into its inbox twice."""

    def make(turn: Any) -> Any:
        return lambda changes, command: turn(changes, replace(command, posts=(*command.posts, *command.posts)))

    _command(stack, Turn, make)


def messages_turned(stack: ExitStack) -> None:
    """The messages of one turn arrive the other way round."""

    def make(turn: Any) -> Any:
        return lambda changes, command: turn(changes, replace(command, posts=tuple(reversed(command.posts))))

    _command(stack, Turn, make)


def ready_mark_lost(stack: ExitStack) -> None:
    """A process whose turn left something in its inbox is not ready."""
    _set(stack, Changes, "wants_turn", lambda self, pid, row: False)


def hints_only(stack: ExitStack) -> None:
    """Ready marks are looked at only where a hint came."""
    look = interpreter.Interpreter._look_for_ready

    def never(self: interpreter.Interpreter) -> None:
        self._full_look_at = 1e18
        look(self)

    _set(stack, interpreter.Interpreter, "_look_for_ready", never)


def timer_early(stack: ExitStack) -> None:
    """Timers fire when they are due within a second."""

    def early(changes: Changes, limit: int) -> Any:
        now, changes.now = changes.now, changes.now + 1_000_000_000
        try:
            return due(changes, limit)
        finally:
            changes.now = now

    due = store_timers._due_timers
    _set(stack, store_timers, "_due_timers", early)
    _set(stack, lmdb_store.LmdbStore, "next_due", lambda self: max(1, (lmdb_next_due(self) or 1 << 62) - 900_000_000))


lmdb_next_due = lmdb_store.LmdbStore.next_due


def answer_lost(stack: ExitStack) -> None:
    """An answer is acknowledged, and the request goes back into its queue."""

    def make(complete: Any) -> Any:
        count = [0]

        def losing(changes: Changes, command: Complete) -> Any:
            count[0] += 1
            return True if count[0] % 2 == 0 else complete(changes, command)

        return losing

    _command(stack, Complete, make)


def key_changes(stack: ExitStack) -> None:
    """Each attempt has another idempotency key."""

    def make(take: Any) -> Any:
        def changing(changes: Changes, command: Take) -> Any:
            return [
                replace(one, idempotency_key=f"{one.idempotency_key}.{one.attempt}") for one in take(changes, command)
            ]

        return changing

    _command(stack, Take, make)


def effect_before_commit(stack: ExitStack) -> None:
    """In-process functions are called before the turn that asks for them is committed."""

    def hasty(alive: Any, inbox: Any, epoch: int, setting: Any) -> Any:
        outcome = take_turn(alive, inbox, epoch, setting)
        for call in outcome.calls:
            if call.effect in running:
                running[call.effect](call)
        return outcome

    running: dict[str, Any] = {}
    register = interpreter.Interpreter.register

    def noting(self: Any, effect: str, function: Any, inline: bool = False) -> None:
        running[effect] = function
        register(self, effect, function, inline)

    _set(stack, interpreter, "take_turn", hasty)
    _set(stack, interpreter.Interpreter, "register", noting)


def segment_lost(stack: ExitStack) -> None:
    """A process is restored without its last segment."""
    restore = live.restore

    def short(program: Any, table: Any, segments: Any, limits: Any) -> Any:
        return restore(program, table, segments[:-1] if len(segments) > 1 else segments, limits)

    _set(stack, live, "restore", short)


def batch_applied_again(stack: ExitStack) -> None:
    """A batch that is sent again is applied again."""
    apply = batches.apply_batch

    def again(changes: Changes, client: bytes, number: int, arrived: int, wire: bytes) -> bytes:
        changes.transaction.delete(CLIENTS, client + u64(number))
        return apply(changes, client, number, arrived, wire)

    _set(stack, server, "apply_batch", again)
    _set(stack, lmdb_store, "apply_batch", again)


def answered_before_synced(stack: ExitStack) -> None:
    """Callers get their results before the commit."""
    run = Committer._run_unit

    def early(self: Committer, unit: Any, changes: Changes) -> Any:
        results = run(self, unit, changes)
        unit.done(results, None)
        return results

    _set(stack, Committer, "_run_unit", early)


def timers_left(stack: ExitStack) -> None:
    """Timers of a request that is over stay."""
    _set(stack, Changes, "drop_timers", lambda self, pid, row, number: None)


def lease_ignored(stack: ExitStack) -> None:
    """A request whose worker vanished is never lost."""
    _set(stack, store_timers, "_lose", lambda changes, pid, number, attempt: None)


def dead_keep_partitions(stack: ExitStack) -> None:
    """Nobody takes what an interpreter that is gone had."""
    everybody = claims._living

    def forever(changes: Changes) -> set[str]:
        return everybody(changes) | {key.decode() for key, _ in changes.transaction.scan("interpreters")}

    _set(stack, claims, "_living", forever)


def cleanup_skipped(stack: ExitStack) -> None:
    """A process that is cancelled ends at once, without its `finally`."""

    def ended(draft: Any, process: Any, reason: Any, cause: Any) -> None:
        error = cause or ErrorValue(KIND_CANCELLED, "cancelled", None)
        draft.end("cancelled", events.Cancelled(draft.now, encode_value(plain_error(error))), error)

    _set(stack, arrivals, "_stop", ended)


def slots_given_twice(stack: ExitStack) -> None:
    """A queue counts one fewer than run in it."""
    encode = row_changes.encode_queue

    def fewer(row: QueueRow) -> bytes:
        row.running = max(0, row.running - 1)
        return encode(row)

    _set(stack, row_changes, "encode_queue", fewer)


BREAKS: dict[str, Break] = {
    one.__name__: one
    for one in (
        commit_dropped, commit_torn, log_dropped, old_epoch_accepted, message_doubled, messages_turned, ready_mark_lost,
        hints_only, timer_early, answer_lost, key_changes, effect_before_commit, segment_lost, batch_applied_again,
        answered_before_synced, timers_left, lease_ignored, dead_keep_partitions, cleanup_skipped, slots_given_twice,
    )
}  # fmt: skip


@contextmanager
def broken(name: str) -> Iterator[None]:
    """Breaks something while the body runs."""
    with ExitStack() as stack:
        BREAKS[name](stack)
        yield

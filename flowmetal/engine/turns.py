"""The turn: what an interpreter does to one process between two waits.

`take_turn` applies what has arrived, in order, runs the process until all its fibers wait, its fuel is used up or it
ends, and gives the one store command that makes all of it true.  It does no input or output of its own: the clock and
entropy come with `Setting`, the inbox is handed in, and nothing it decides has an effect before the command commits.

What an entry's segment holds: a step (an effect that left the program) has a segment with the state right after it.
What merely arrived (an answer, a timer) has none unless it is the last entry of its turn, since the next segment covers
it.  A turn therefore ends with everything in segments but what running on gives again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.engine import events
from flowmetal.engine.arrivals import CONTROL_KINDS, apply, linked_cause
from flowmetal.engine.draft import Call, Draft, Setting, bytes_of, checkpoint_due
from flowmetal.engine.effects import RECEIVE, Local
from flowmetal.engine.events import Event
from flowmetal.engine.lines import error_line, person_line, plain_error, waits_line
from flowmetal.engine.live import Live, let_go
from flowmetal.engine.messages import hand, looks
from flowmetal.engine.performing import perform
from flowmetal.engine.quick import answered
from flowmetal.store.interface import FINAL_STATUSES, InboxEvent, ProcessRecord, Turn
from flowmetal.values import ErrorValue, LanguageError, encode_value
from flowmetal.values.work import allow
from flowmetal.vm import KIND_CANCELLED, CancelRequest, Failed, Finished, Idle, OutOfFuel, Performed, Process
from flowmetal.vm.image import LONG_TEXT

#: Fuel slices without a step after which the state is saved within the entry, so that a long computation does not begin
#: again after a crash: some seconds of work, so that saving costs little of it.
CUT_SLICES = 200
#: And not before it has worked for so long, where that is measured: fast code has used up the slices in no time.
CUT_SECONDS = 1.0


@dataclass(slots=True)
class Outcome:
    """What came of a turn.  `turn` None: there is nothing to commit (the process was cut, or nothing was new)."""

    turn: Turn | None
    calls: Sequence[Call]
    more: bool  # it has more to do at once
    left: Sequence[InboxEvent] = ()  # events that are not in the store and wait in memory until it is resumed


def take_turn(live: Live, inbox: Sequence[InboxEvent], epoch: int, setting: Setting) -> Outcome:
    """Runs one turn of a live process.  The live process is ahead of the store until the turn has been committed."""
    allow(setting.work)
    try:
        if len(inbox) == 1 and inbox[0].key < 0:
            quick = answered(live, inbox[0], epoch, setting)
            if quick is not None:
                made, rest = quick
                if isinstance(made, Turn):
                    return Outcome(made, (rest,), False)
                return _outcome(made, epoch, _run(made, rest))
        return _take_turn(live, inbox, epoch, setting)
    finally:
        allow(None)


def _take_turn(live: Live, inbox: Sequence[InboxEvent], epoch: int, setting: Setting) -> Outcome:
    draft = Draft(live, setting)
    more = False
    if live.catching_up and live.status != "paused":
        more = _catch_up(draft)
    if inbox:
        _apply_all(draft, inbox)
    if live.process is not None and live.status != "paused" and live.status not in FINAL_STATUSES:
        more = _run(draft)
    outcome = _outcome(draft, epoch, more)
    if len(draft.taken) + len(draft.taken_answers) < len(inbox):
        outcome.left = [item for item in inbox if item.key < 0 and item not in draft.taken_answers]
    return outcome


def pause_turn(record: ProcessRecord, inbox: Sequence[InboxEvent], epoch: int, now: int, error: ErrorValue) -> Turn:
    """The turn that pauses a process which the engine itself cannot run.  One that was to be cancelled ends instead.

    What a person has decided on a request stays in the inbox, for when it can be run.
    """
    cancelled = any(item.kind in ("cancel", "linked") for item in inbox)
    data = encode_value(plain_error(error))
    event: Event = events.Cancelled(now, data) if cancelled else events.Paused(now, 0, data)
    return Turn(
        pid=record.pid,
        epoch=epoch,
        base_sequence=record.sequence,
        status="cancelled" if cancelled else "paused",
        entries=((record.sequence, 0, events.encode_event(event), b""),),
        next_sequence=record.sequence + 1,
        taken=tuple(item.key for item in inbox if item.kind in CONTROL_KINDS and item.kind != "decided"),
        result=data if cancelled else None,
        waits="" if cancelled else person_line(record.pid),
        error=error_line(error),
        receives=False,  # the turn that resumes it says
    )


def _catch_up(draft: Draft) -> bool:
    """Runs a restored process to where it was when it was last in memory, before anything new arrives."""
    live = draft.live
    live.catching_up = False
    read, live.inbox_read = live.inbox_read, False  # it is read, and comes after this
    more = _run(draft)
    live.inbox_read = read
    return more


def _apply_all(draft: Draft, inbox: Sequence[InboxEvent]) -> None:
    """Applies what has arrived, in order; while the process is paused only what may end the pause."""
    live = draft.live

    def go_on() -> None:
        if live.status == "paused":
            live.status = "ready"
            live.error = ""
            if live.catching_up:
                _catch_up(draft)

    rest = inbox
    while rest:
        skipped: list[InboxEvent] = []
        for item in rest:
            if live.status in FINAL_STATUSES:
                draft.take(item)
            elif live.status == "paused" and item.kind not in CONTROL_KINDS:
                skipped.append(item)
            elif item.kind == "message":
                draft.messages.append(item)
            else:
                draft.take(item)
                apply(draft, item, go_on)
        if len(skipped) == len(rest) or live.status == "paused":
            return
        rest = skipped
    if draft.messages and live.process is not None and not live.process.outbox and live.status not in FINAL_STATUSES:
        # With what else has come, so that whoever waits for this and that sees all of it.
        hand(draft)


def _run(draft: Draft, outcome: Any = None) -> bool:
    """Runs until the process waits (False), was cut (True) or has ended (False).

    `outcome`: why the machine stopped, where it has run already.
    """
    live, process = draft.live, draft.live.process
    assert process is not None
    fuel, entries_max = draft.setting.fuel, draft.setting.entries_max
    if live.share < 1.0:
        fuel, entries_max = max(1, int(fuel * live.share)), max(1, int(entries_max * live.share))
    run = draft.setting.run
    while True:
        if outcome is None:
            outcome = run(process, fuel)
        match outcome:
            case Performed():
                perform(draft, process, outcome)
                if live.status == "paused":  # a person is asked
                    return False
                quiet = not process.ready and not process.outbox and process.end is None and not process.cleaning
                if quiet and not draft.messages and outcome.effect != RECEIVE:
                    live.status = "waiting"  # what running on would find out, for nearly every step
                    return False
            case CancelRequest(number):
                draft.close(number)
                draft.entry(events.RequestCancelled(draft.now, number), draft.segment(process))
            case Idle():
                live.status = "waiting"
                if not hand(draft):
                    if looks(live):
                        live.status = "ready"
                        return True
                    return False
            case Finished(value):
                _finished(draft, value)
                return False
            case Failed(error):
                _failed(draft, error)
                return False
            case OutOfFuel():
                live.status = "ready"
                live.slices += 1
                return True
            case _:
                raise AssertionError(f"unknown outcome {outcome!r}")
        outcome = None
        fuel = max(1, process.fuel)
        if len(draft.entries) >= entries_max and not process.outbox:
            live.status = "ready"
            return True


def _finished(draft: Draft, value: Any) -> None:
    try:
        data = draft.encode(value)
    except LanguageError as error:
        _failed(draft, error.error)
        return
    if len(data) >= LONG_TEXT:
        draft.note_texts(value)
    draft.result = data
    draft.live.status = "done"
    draft.entry(events.Finished(draft.now, data))


def _failed(draft: Draft, error: ErrorValue) -> None:
    error = linked_cause(error) or error
    data = encode_value(plain_error(error))
    if error.kind is KIND_CANCELLED:
        draft.end("cancelled", events.Cancelled(draft.now, data), error)
    else:
        draft.end("failed", events.Failed(draft.now, data), error)


def _save_rest(draft: Draft, process: Process) -> None:
    """Puts into a segment what running again would not give: what came from outside, and long computations."""
    live = draft.live
    long = not live.computed or live.computed >= CUT_SECONDS
    cut = (long and live.slices * live.share >= (draft.setting.cut_slices or CUT_SLICES)) or (
        live.slices > 0 and (live.status == "waiting" or bool(draft.entries))
    )
    if draft.unsaved or cut:
        if draft.entries and not draft.entries[-1][3]:
            sequence, part, event, _ = draft.entries[-1]
            draft.entries[-1] = (sequence, part, event, draft.segment(process))
        elif draft.entries or live.checkpoint_sequence != live.sequence:
            live.part += 1
            draft.entries.append((live.sequence - 1, live.part, b"", draft.segment(process)))
        else:
            # A cut before the first entry after a checkpoint would stand before that checkpoint in the log.
            draft.write_checkpoint(process)
    if checkpoint_due(live):
        draft.write_checkpoint(process)


def _outcome(draft: Draft, epoch: int, more: bool) -> Outcome:
    live, process = draft.live, draft.live.process
    final = live.status in FINAL_STATUSES
    if process is not None and not final:
        _save_rest(draft, process)
    elif not final and live.status == "ready":
        live.status = "waiting"  # it was paused and resumed while its queue has not let it begin
    if final:
        live.open.clear()
        live.receives.clear()
        draft.requests.clear()
        draft.calls.clear()
        let_go(live)
    if not draft.entries and not draft.taken and draft.checkpoint is None and live.status == draft.status_before:
        return Outcome(None, (), more)
    closed, local = draft.closed, draft.used_local
    turn = Turn(
        live.pid,
        epoch,
        draft.base_sequence,
        live.status,
        tuple(draft.entries),
        live.sequence,
        tuple(draft.taken),
        tuple(draft.requests.values()),
        tuple(closed) if len(closed) < 2 else tuple(dict.fromkeys(closed)),
        waits=waits_line(live),
        error=live.error,
        receives=bool(live.receives),
        checkpoint=draft.checkpoint,
        result=draft.result,
        **_rare(draft, local, final)
        if draft.timers or draft.asks or draft.tokens or draft.texts or local is not None
        else {},
    )
    return Outcome(turn, draft.calls, more and not final)


def _rare(draft: Draft, local: Local | None, final: bool) -> dict[str, Any]:
    """The fields of a turn that most turns leave empty."""
    opened = draft.live.open
    found: dict[str, Any] = {}
    if draft.timers:
        found["timers"] = tuple(one for one in draft.timers if one.number in opened or not (one.number or final))
    if draft.asks:
        found["asks"] = tuple(draft.asks)
    if draft.tokens:
        found["tokens"] = tuple(pair for pair in draft.tokens if pair[1] in opened)
    if draft.texts:
        found["texts"] = bytes_of(draft.texts)
    if local is not None:
        draft.live.attributes = local.attributes
        found["posts"] = tuple(local.posts)
        found["attributes"] = local.attributes if local.annotated else None
    return found

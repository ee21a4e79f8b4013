"""The short way through a turn: a function of this interpreter has answered, and the program performs the next effect
that such a function answers.  Nearly every step of most programs is that.

It does what turns.py does in the general way, to the byte, without a draft and the passes over it.  As long as nothing
has changed that the general way would not change too, it can give the turn back to it; where the program does something
else than was hoped for, it gives what has come of it so far.
"""

from __future__ import annotations

from typing import Any

from flowmetal.engine import events
from flowmetal.engine.draft import (
    CHECKPOINT_BYTES_MIN,
    CHECKPOINT_SEGMENTS_MIN,
    NIL,
    Call,
    Draft,
    Setting,
    bytes_of,
    checkpoint_due,
    write_checkpoint,
)
from flowmetal.engine.effects import HELD, check_effect
from flowmetal.engine.events import ANSWERED, REQUESTED
from flowmetal.engine.lines import waits_line
from flowmetal.engine.live import Live, Open
from flowmetal.engine.policies import NO_POLICY
from flowmetal.packing import pack_small
from flowmetal.store.interface import InboxEvent, Request, Turn
from flowmetal.values import CodecError, LanguageError, decode_value, encode_value, secret_names
from flowmetal.values.wire import ONE_ATOM, lone_atom
from flowmetal.vm import Performed, settle
from flowmetal.vm.image import LONG_TEXT


def answered(
    live: Live, item: InboxEvent, epoch: int, setting: Setting
) -> tuple[Turn, Call] | tuple[Draft, Any] | None:
    """The turn and the call it asks for; or a draft with the answer in it, and why the machine stopped; or None, and
    nothing has been done.
    """
    number, data, process = item.number, item.data, live.process
    opened = live.open.get(number)
    if (
        opened is None
        or process is None
        or item.kind != "answer"
        or live.status != "waiting"
        or live.catching_up
        or opened.policy is not NO_POLICY
        or len(data) >= LONG_TEXT
    ):
        return None
    try:
        value = lone_atom(data) if data[:1] == ONE_ATOM else decode_value(data, live.program.table)
    except CodecError:
        return None
    if not settle(process, number, value):
        return None
    now = setting.surroundings.now()
    outcome = setting.run(process, setting.fuel)
    if outcome.__class__ is Performed:
        effect = outcome.effect
        if (
            effect in setting.functions
            and effect not in HELD
            and outcome.options is None
            and (live.grants is None or live.grants.free(effect))
            and not (process.ready or process.outbox or process.cleaning)
            and process.end is None
            and len(live.open) <= live.limits.engine.requests
        ):
            try:
                check_effect(effect)
                payload = encode_value(outcome.payload)
                if live.grants is not None:
                    live.grants.check_secrets(secret_names(payload))
                if len(payload) < LONG_TEXT:
                    segment = process.image.segment()
                    return _stepped(live, epoch, setting, number, data, outcome, payload, segment, now)
            except LanguageError:
                pass  # the general way finds it too, and makes it an error of the program
    draft = Draft(live, setting, now)
    draft.take(item)
    draft.close(number)
    draft.unsaved = True
    draft.encoded_entry(events.encode_answered(now, number, data))
    return draft, outcome


def _stepped(
    live: Live,
    epoch: int,
    setting: Setting,
    number: int,
    data: bytes,
    performed: Performed,
    payload: bytes,
    segment: bytes,
    now: int,
) -> tuple[Turn, Call]:
    pid, effect, following, process = live.pid, performed.effect, performed.number, live.process
    assert process is not None
    opened = live.open
    del opened[number]
    if live.receives:
        live.receives.pop(number, None)
    key = setting.surroundings.usual_key(pid, following)
    request = Request(pid, following, effect, payload, NIL, key, 0, 0, "held", "", 0, False, True)
    opened[following] = Open(request, NO_POLICY, 0)
    base = live.sequence
    live.sequence = base + 2
    live.part = 0
    live.segment_bytes += len(segment)
    live.segments += 1
    live.slices = 0
    turn = Turn(  # by position, which takes two thirds of the time
        pid,
        epoch,
        base,
        "waiting",
        (
            (base, 0, pack_small((ANSWERED, now, number, data)), b""),
            (base + 1, 0, pack_small((REQUESTED, now, following, effect, payload, "", "")), segment),
        ),
        base + 2,
        (),
        (request,),
        (number,),
        (),  # timers, tokens, posts, asks
        (),
        (),
        (),
        None,  # checkpoint, result
        None,
        f"{effect} #{following}" if len(opened) == 1 else waits_line(live),
        live.error,
        None,  # attributes
        bool(live.receives),
    )
    due = live.segments >= CHECKPOINT_SEGMENTS_MIN or live.segment_bytes > CHECKPOINT_BYTES_MIN
    if due or process.image.texts:
        if checkpoint_due(live):
            turn.checkpoint = write_checkpoint(live, process)
        turn.texts = bytes_of(process.image.take_texts())
    return turn, Call(pid, following, effect, performed.payload, None, key)

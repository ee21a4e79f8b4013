"""The mailbox of a process for people: how many messages wait in the store, and what some of them say.

Messages are read one at a time and only to a bounded size, since each may be as large as a value may be.
"""

from __future__ import annotations

from flowmetal.dataclass import dataclass, field
from flowmetal.engine.events import value_text
from flowmetal.store.interface import Store

#: Messages in a page, at most, and bytes of those that are printed in it.
MESSAGES_MAX = 1000
PRINTED_BYTES = 1 << 20

#: A message that is larger is only told the size of.
MESSAGE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Message:
    """One that waits: its number, which rises with arrival; its bytes as stored; what it says, cut where it is long."""

    number: int
    bytes: int
    text: str


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A page of a mailbox: how many wait in all, some of them in order of arrival, and the number of the last of these
    where there may be more after it."""

    waiting: int
    messages: list[Message] = field(default_factory=list)
    after: int | None = None


def mailbox(store: Store, pid: int, after: int = 0, limit: int = 100) -> Mailbox:
    """At most `limit` messages beyond number `after` that no turn has taken yet; fewer where they are large.

    What a program has taken and no `receive` of it wanted is in the program, not here.
    """
    found: list[Message] = []
    printed = 0
    last: int | None = after
    while len(found) < max(1, min(limit, MESSAGES_MAX)) and printed < PRINTED_BYTES:
        items = store.messages_after(pid, last or 0, 1)
        if not items:
            last = None
            break
        ((last, data),) = items
        size = len(data)
        printed += min(size, MESSAGE_BYTES)
        found.append(Message(last, size, value_text(data) if size <= MESSAGE_BYTES else f"<{size} bytes>"))
    return Mailbox(store.messages(pid), found, last)

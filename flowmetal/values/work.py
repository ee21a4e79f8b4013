"""Work: how much of what cannot be interrupted a turn may still do.

One operation on large values takes milliseconds, and fuel counts it as one.  Such operations are weighed before they
begin, in microseconds or about: when a turn has done its share, the next one is put off by TurnOver, for which the
machine ends the turn and begins the same instruction again in the next.  A turn can always do one, however large.  So
nothing hangs on the weights but when others get their turn; where nobody has set a share, nothing is put off.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar


class TurnOver(Exception):
    """The operation was not begun: it is for the next turn."""


#: What is left to the turn that runs on this thread; each has its own.
_left: ContextVar[float | None] = ContextVar("work left", default=None)


#: Sets the share, in microseconds, of the turn that begins on this thread; None: as much as it likes.
allow: Callable[[float | None], object] = _left.set


def weigh(microseconds: float) -> None:
    """Before an operation that takes about so long.  Raises TurnOver."""
    left = _left.get()
    if left is not None:
        if left <= 0:
            raise TurnOver
        _left.set(left - microseconds)

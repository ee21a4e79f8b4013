"""Keeps other processes of the same user out of this one's memory and environment, where the system lets it."""

from __future__ import annotations

import ctypes
import sys

#: Of prctl(2).
_PR_SET_DUMPABLE = 4


def shield() -> bool:
    """On Linux, makes /proc/PID/environ, /proc/PID/mem and a debugger's attach a matter of the superuser -> whether it
    did.  A command that the server runs is a process of the same user.

    There is no core dump of this process any more, and no profiler attaches to it.  What it starts is not changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        return bool(prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
    except (OSError, AttributeError, ValueError):  # another C library, or none
        return False

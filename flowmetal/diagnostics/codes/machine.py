"""Codes of the machine and its images: V001 to V999."""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    "V201": Entry(
        "not an image",
        "The saved state of this process cannot be read: {reason}.",
        "",
        "An image is checked value by value when it is loaded.  One that does not fit its program, or that was\n"
        "damaged, is refused whole; nothing of it is run.",
    ),
    "V301": Entry(
        "unreadable log",
        "The log of process {pid} cannot be read: {reason}.",
        "Look at it with `flowvm history {pid}`; the process can be started again from its arguments.",
        "A process begins with an event that names its function and arguments.  Where that event is missing or\n"
        "damaged, and no checkpoint stands in for it, the process cannot be run.",
    ),
    "V303": Entry(
        "ended its interpreters",
        "{deaths} interpreters in a row ended, or hung, in a turn of process {pid}.",
        "Look at what it does with `flowvm history {pid}`; `flowvm resume` lets it try again.",
        "A turn takes a fraction of a second.  Where one takes long, its interpreter notes the process in the store,\n"
        "and if it then ends without a word the next one knows what it was at.  So that one process cannot stop all\n"
        "interpreters, one after the other, it is paused.",
    ),
    "V302": Entry(
        "program not in the store",
        "The store has no program {hash}.",
        "Deploy it again with `flowvm deploy`; the process goes on then with `flowvm resume`.",
        "A process keeps the code it started with, under its content hash.  An artifact that a process needs is never\n"
        "removed by Flowmetal itself.",
    ),
}

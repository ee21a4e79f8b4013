"""Codes of the machine and its images: V001 to V999."""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    "V201": Entry(
        "not an image",
        "The saved state of this process cannot be read: {reason}.",
        "",
        "An image is checked value by value when it is loaded.  One that does not fit its program, or that was damaged, is\n"
        "refused whole; nothing of it is run.",
    ),
}

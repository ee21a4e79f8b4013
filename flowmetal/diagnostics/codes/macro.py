"""Codes of macro expansion: M001 to M999."""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    "M101": Entry(
        "macro failed",
        "The macro `{name}` threw an error of kind {kind}: {message}.",
        "",
        "Macros run while the module is compiled. This one threw an error about the forms it was given.",
    ),
    "M102": Entry(
        "endless expansion",
        "The macro `{name}` was expanded {limit} times and still gives a macro call.",
        "A macro that gives a call of itself needs a case in which it does not.",
        "",
    ),
    "M103": Entry(
        "wrong use of a macro",
        "The macro `{name}` does not take these forms.",
        "It is written `({name} ...)` with {parameters}.",
        "The number of forms after the macro's name fits none of its parameter lists.",
    ),
    "M104": Entry(
        "macro without a definition",
        "The macro `{name}` has no definition yet.",
        "Define it above this place, and without errors.",
        "A macro runs where it is called, so it is defined before.",
    ),
}

"""Codes of contracts: C001 to C999."""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    "C101": Entry(
        "not a contract",
        "`{contract}` is not a contract.",
        "A contract is a predicate, or a shape: `{{:id string?}}`, `[int?]`, `(maybe string?)`, `(enum :a :b)`.",
        "A contract stands after `:-` at a parameter, a result or a local, and is checked when the program runs.",
    ),
    "C102": Entry(
        "broken contract",
        "`{function}` is called with `{value}` for `{name}`, which is not `{contract}`.",
        "At {path} is `{part}`, which is not `{expected}`.",
        "The argument is written as a constant, so the compiler could check the contract.",
    ),
    "C103": Entry(
        "contract out of reach",
        "`{function}` needs `{contract}` for `{name}`, and this gives {found}.",
        "",
        "What an expression gives is known where its function has a contract for its result, or where it is\n"
        "arithmetic, a text or a collection. No value of this kind can keep the contract of the argument.",
    ),
}

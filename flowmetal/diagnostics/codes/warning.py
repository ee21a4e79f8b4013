"""Codes of warnings: W001 to W999.  The program compiles; a person may not have meant what is written."""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

_SILENCE = """

To keep it as it is, put `^:flowmetal/ignore` before the form."""

CODES: dict[str, Entry] = {
    "W101": Entry(
        "unused local",
        "`{name}` is not used.",
        "Remove it; if it has to be there, call it `_{name}`.",
        "A name bound by `let`, `loop`, `for`, a pattern and their kin is read nowhere. A name that begins with `_`\n"
        "says so itself, and is never reported." + _SILENCE,
    ),
    "W102": Entry(
        "unused parameter",
        "The parameter `{name}` is not used.",
        "If the function has to take it, call it `_{name}`.",
        "No body of the function reads this parameter. The parameters of handlers' clauses and the names of `catch`\n"
        "are not reported: their form asks for them." + _SILENCE,
    ),
    "W103": Entry(
        "unused private name",
        "`{name}` is private to this module and not used in it.",
        "Remove it, or make it public.",
        "Nobody outside of a module can use its private names, so one that the module does not use does nothing."
        + _SILENCE,
    ),
    "W104": Entry(
        "unused module",
        "`{name}` is required and not used.",
        "Remove it from the `ns` form.",
        "A module that is required without `:as` and `:refer` is not reported." + _SILENCE,
    ),
    "W105": Entry(
        "unused name of a module",
        "`{name}` of `{module}` is referred to and not used.",
        "Remove it from the `:refer` of the `ns` form.",
        "A name after `:refer` is visible without its module; this one is read nowhere." + _SILENCE,
    ),
    "W106": Entry(
        "name of the core",
        "`{name}` takes the place of the core's `{name}` in this module.",
        "Choose another name, or say that it is meant: `(:refer-core :exclude [{name}])` in the `ns` form.",
        "The module's own names go before those of the core, so the name now means this definition.\n"
        "Locals and parameters may be called like names of the core; that is not reported." + _SILENCE,
    ),
    "W107": Entry(
        "unreachable code",
        "This is never evaluated: the form before it throws.",
        "Remove it, or move it before the `throw`.",
        "What follows a `throw` in the same body cannot be reached." + _SILENCE,
    ),
    "W108": Entry(
        "constant test",
        "The test of this `{name}` is `{value}`, so it always goes one way.",
        "Leave the test out, or test something.",
        "A literal `nil`, `false` or `true` where a test is expected leaves a branch that never runs." + _SILENCE,
    ),
    "W109": Entry(
        "clause out of reach",
        "This clause comes after `{name}`, which always holds.",
        "Move it up, or remove it.",
        "`cond` takes the first clause whose test holds, and `:else` always does." + _SILENCE,
    ),
    "W110": Entry(
        "clause twice",
        "This `case` has the constant `{value}` twice.",
        "The first one is taken; remove or change the other.",
        "`case` takes the first clause with the value, so a second one is never reached." + _SILENCE,
    ),
    "W111": Entry(
        "unknown effect",
        "No effect is called `:{name}` here.",
        "Did you mean `:{suggestion}`?",
        "An effect may have any name, and whoever serves that name answers it. This one is neither defined by a\n"
        "`defeffect` nor answered by a `handle`, and it differs from one that is by a letter or two." + _SILENCE,
    ),
    "W112": Entry(
        "misplaced doc string",
        "This text stands after the parameters of `{name}`, where it documents nothing.",
        "Move it in front of the parameters.",
        "The documentation of a function stands between its name and its parameters. After them it is a value that\n"
        "is thrown away." + _SILENCE,
    ),
}

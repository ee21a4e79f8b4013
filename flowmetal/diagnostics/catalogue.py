"""The catalogue of codes: finds the entry of a code and fills its templates.

The words themselves are in codes/, one file a stage.  A missing fact or an unknown code never raises here: this runs
while an error is being reported, and a second error would hide the first.
"""

from __future__ import annotations

import string
import textwrap
from collections.abc import Mapping
from typing import Any

from flowmetal.diagnostics.codes import analysis, artifact, cli, contract, http, machine, macro, reader, store, warning
from flowmetal.diagnostics.entry import Entry

#: Stage letter -> the codes of that stage.  Codes are a letter and three digits and are never used again.
STAGES: Mapping[str, dict[str, Entry]] = {
    "R": reader.CODES,
    "A": analysis.CODES,
    "M": macro.CODES,
    "C": contract.CODES,
    "W": warning.CODES,
    "B": artifact.CODES,
    "V": machine.CODES,
    "S": store.CODES,
    "H": http.CODES,
    "U": cli.CODES,
}

STAGE_NAMES: Mapping[str, str] = {
    "R": "reader",
    "A": "analysis",
    "M": "macro",
    "C": "contract",
    "W": "warning",
    "B": "artifact",
    "V": "machine",
    "S": "store",
    "H": "http",
    "U": "command line",
}

_UNKNOWN = Entry("internal error", "An error was reported under a code that the catalogue does not have.")

#: A fact longer than this is cut where it is shown: facts can be values of programs, of any size.
FACT_CHARACTERS = 400

#: Columns of sentences, hints and explanations.
PARAGRAPH_COLUMNS = 84

_FORMATTER = string.Formatter()


def entry_of(code: str) -> Entry:
    """The entry of a code; a stand-in that says so where there is none."""
    return find_entry(code) or _UNKNOWN


def find_entry(code: str) -> Entry | None:
    """The entry of a code, or None."""
    return STAGES.get(code[:1], {}).get(code)


def all_codes() -> dict[str, Entry]:
    """Every code of every stage, in order of code."""
    merged = {code: entry for codes in STAGES.values() for code, entry in codes.items()}
    return dict(sorted(merged.items()))


def explain(code: str) -> str | None:
    """The page of a code as plain text (title, sentence, explanation), or None if there is no such code.

    The code may be written in lower case or in brackets.
    """
    code = code.strip().strip("[]").upper()
    entry = find_entry(code)
    if entry is None:
        return None
    blocks = [f"{code}: {entry.title} ({STAGE_NAMES[code[0]]})", fill(entry.text, _Dots())]
    blocks += [fill(entry.explanation, _Dots())] if entry.explanation else []
    return "\n\n".join(map(wrapped, blocks)) + "\n"


def wrapped(text: str) -> str:
    """Text broken into lines of PARAGRAPH_COLUMNS.

    Lines of one paragraph are joined first; a line that is indented stays as it is, and so does an empty one.
    """
    lines: list[str] = []
    paragraph: list[str] = []
    for line in [*text.strip("\n").split("\n"), ""]:
        if line and not line[0].isspace():
            paragraph.append(line)
            continue
        if paragraph:
            lines += textwrap.wrap(
                " ".join(paragraph), PARAGRAPH_COLUMNS, break_long_words=False, break_on_hyphens=False
            )
            paragraph = []
        lines.append(line)
    return "\n".join(lines[:-1])


def fields_of(template: str) -> list[str]:
    """Names of the facts a template uses, in order; ValueError if it is not a template of plain fields."""
    names = []
    for _, name, format_spec, conversion in _FORMATTER.parse(template):
        if name is None:
            continue
        if not name.isidentifier() or format_spec or conversion:
            raise ValueError(f"not a plain field: {{{name}}}")
        names.append(name)
    return names


def fill(template: str, facts: Mapping[str, Any]) -> str:
    """The template with the facts in it; "?" stands for a fact that is missing.

    A fact may be a sentence with a full stop of its own: one is enough.
    """
    parts: list[str] = []
    for text, name, _, _ in _FORMATTER.parse(template):
        stopped = text.startswith(".") and parts and parts[-1].endswith(".") and not parts[-1].endswith("..")
        parts.append(text[1:] if stopped else text)
        if name is not None:
            parts.append(_shown(facts[name]) if name in facts else "?")
    return "".join(parts)


def facts_of(code: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Those facts that the words of a code use, fit to be sent: numbers as they are, all else as it is shown."""
    entry = entry_of(code)
    hints = (entry.hint,) if isinstance(entry.hint, str) else entry.hint
    names = dict.fromkeys(name for template in (entry.text, *hints) for name in fields_of(template))
    return {
        name: facts[name] if facts[name] is None or isinstance(facts[name], int) else _shown(facts[name])
        for name in names
        if name in facts
    }


def fill_hint(hint: str | tuple[str, ...], facts: Mapping[str, Any]) -> str:
    """The first alternative that has all its facts, filled; "" if none has."""
    for template in (hint,) if isinstance(hint, str) else hint:
        if all(facts.get(name) not in (None, "") for name in fields_of(template)):
            return fill(template, facts)
    return ""


def _shown(fact: Any) -> str:
    text = ", ".join(map(str, fact)) if isinstance(fact, (list, tuple)) else str(fact)
    return text if len(text) <= FACT_CHARACTERS else text[: FACT_CHARACTERS - 1] + "…"


class _Dots(dict[str, Any]):
    """Facts for a page about no case in particular."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return "…"

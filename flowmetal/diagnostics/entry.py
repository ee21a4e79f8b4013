"""Entry: the words for one code of the catalogue."""

from __future__ import annotations

from flowmetal.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """What people read about one code.

    title        two or three words, lower case: "unknown name"
    text         one plain sentence, a template over the facts: "Nothing here is called `{name}`."
    hint         what can be done about it, a template, or several of which the first one that has all its facts is
                 shown; a hint with a fact that is missing, None or empty is left out: "Did you mean `{suggestion}`?"
    explanation  what `flowc explain CODE` shows below the title: one or more paragraphs, with an example

    Templates hold plain fields only (`{name}`); a brace of the language is written twice (`{{`).
    """

    title: str
    text: str
    hint: str | tuple[str, ...] = ""
    explanation: str = ""

"""Tokens of a text that the reader has accepted, nothing left out: joined, they are the text.

The expressions are those of the reader; only what follows from them differs, as white space and comments count here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from flowmetal.reading import tokens as expressions


class Kind(Enum):
    """What a token is to the layout."""

    SPACE = "space"
    COMMENT = "comment"
    LEAF = "leaf"  # a form by itself
    OPEN = "open"
    CLOSE = "close"
    PREFIX = "prefix"  # takes the form after it: quote, tag, discard
    META = "meta"  # takes two forms


_KINDS = {
    "leaf": Kind.LEAF,
    "space": Kind.SPACE,
    "open": Kind.OPEN,
    "close": Kind.CLOSE,
    "comment": Kind.COMMENT,
    "meta": Kind.META,
    "prefix": Kind.PREFIX,
    "rest": Kind.LEAF,
    "namespaced": Kind.OPEN,
    "tag": Kind.PREFIX,
}

# In the order in which the lexer tries them.
_TOKEN = re.compile(
    rf"(?P<leaf>{expressions.ATOM})"
    rf"|(?P<space>{expressions.SPACE})"
    r"|(?P<open>[(\[{]|\#\{|\#\()"
    r"|(?P<close>[)\]}])"
    rf"|(?P<comment>{expressions.COMMENT})"
    r"|(?P<meta>\#?\^)"
    r"|(?P<prefix>\#_|'|`|~@|~|@|\#')"
    rf"|(?P<rest>{expressions.STRING}|{expressions.CHARACTER}|{expressions.REGEX}|{expressions.SYMBOLIC})"
    rf"|(?P<namespaced>{expressions.NAMESPACED_MAP})"
    rf"|(?P<tag>{expressions.TAG})"
)


def all_tokens(text: str) -> Iterator[tuple[Kind, str]]:
    """Every token of a text, with its kind.  ValueError for a text that the reader does not accept."""
    position, end = 0, len(text)
    match = _TOKEN.match
    while position < end:
        found = match(text, position)
        if found is None or found.lastgroup is None:
            raise ValueError(f"no token at {position}")
        position = found.end()
        yield _KINDS[found.lastgroup], found[0]

"""The regular expressions of tokens, shared by the source reader (lexer.py) and the data reader (data.py).

Every repeat is possessive (`*+`), so that no input makes a match go back over what it has read: a token costs time
in proportion to its length, also where it turns out to have no end.
"""

from __future__ import annotations

#: What ends a name or a number: white space, brackets, and the marks that start something else.
_ENDS = r"\s,()\[\]{}\"@^`~;\\\x00-\x1f\x7f\ufeff"

#: A character inside a name, and one that can be its first.
INNER = rf"[^{_ENDS}]"
FIRST = rf"[^{_ENDS}#']"

#: Names, keywords, numbers and durations: told apart in atoms.py.
ATOM = rf"{FIRST}{INNER}*+"

#: A newline with the white space around it; a byte order mark counts as white space.
SPACE = r"[\s,\ufeff]++"

STRING = r"\"[^\"\\]*+(?:\\[\s\S][^\"\\]*+)*+\""
REGEX = rf"\#{STRING}"

#: A backslash, any character, and what hangs on to it: `\a`, `\newline`, `\(`, `\u03bb`.
CHARACTER = rf"\\\S{INNER}*+"

COMMENT = r"(?:;|\#!)[^\n]*+"
SYMBOLIC = rf"\#\#{INNER}*+"
NAMESPACED_MAP = rf"\#:{INNER}*+[\s,]*+\{{"
TAG = rf"\#[^{_ENDS}#'!?=<_:]{INNER}*+"

#: What `#` can be followed by that this language does not have, or not there.
BAD_DISPATCH = r"\#[\s\S]?"

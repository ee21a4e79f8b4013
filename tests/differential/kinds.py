"""The classes of errors: which kinds of ours an exception of Clojure may correspond to.

The table is read from above; the first row whose pattern begins an answer holds.  A kind that no row allows is a
disagreement, unless known.json says why.
"""

from __future__ import annotations

import re

#: Pattern of `Class message` -> kinds, and codes of the compiler, that mean the same.
ROWS: list[tuple[str, str]] = [
    ("ArityException", "arity A109"),
    ("ClassCastException .* cannot be cast to class clojure.lang.IFn", "type A107"),
    ("IllegalArgumentException Can't call nil", "type A107"),
    ("IllegalArgumentException No single method", "A109"),
    ("ClassCastException", "type"),
    ("NullPointerException", "type"),
    ("ArithmeticException", "arithmetic"),
    ("IndexOutOfBoundsException No group", "argument"),
    (r"(?:String|Array)?IndexOutOfBoundsException", "index"),
    # Java makes a decimal of the text of a float, and fails at its letters.
    (r"NumberFormatException (?:Infinite or NaN|Character [IN] is neither)", "arithmetic"),
    ("NumberFormatException", "argument read"),
    ("UnsupportedOperationException", "type"),
    ("IllegalStateException Can't pop empty", "index"),
    ("IllegalStateException Invalid reference state", "invalid-state"),
    (r"AssertionError Assert failed: \(not= tag parent\)", "hierarchy"),
    (r"AssertionError Assert failed: .*\b(?:tag|parent)\b", "argument"),
    ("AssertionError", "assertion A140"),
    (r"Exception .* (?:has|already has) .* as ancestor", "hierarchy"),
    ("StackOverflowError", "flowmetal/limit"),
    (r"Illegal\w*Format\w*Exception|IllegalFormatConversionException", "type argument"),
    (r"\w*Format\w*Exception", "argument"),
    ("PatternSyntaxException", "argument R"),
    ("IllegalArgumentException No method in multimethod", "no-method"),
    ("IllegalArgumentException Multiple methods in multimethod", "ambiguous-method"),
    ("IllegalArgumentException No implementation of method: :inst-ms", "type"),
    ("IllegalArgumentException No implementation of method", "no-implementation"),
    (
        r"IllegalArgumentException (?:No matching clause|No value supplied for key|assoc expects|Duplicate key"
        r"|hash-map expects|Can't specify more than|Illegal group reference|Vector arg to map conj must be a pair|character to be escaped)",
        "argument read R A",
    ),
    (r"IllegalArgumentException Value out of range for \w+: -?(?:Infinity|NaN)", "arithmetic"),
    ("IllegalArgumentException Invalid UUID string", "read R"),
    ("IllegalArgumentException Value out of range for", "argument"),
    ("IllegalArgumentException", "type"),
    (r"RuntimeException Unable to convert: class", "type"),
    ("RuntimeException Unable to resolve symbol", "A101"),
    (r"RuntimeException (?:EOF|Invalid|Unmatched|Map literal|Unsupported|No reader|Unreadable|No dispatch)", "read R"),
    ("RuntimeException", "argument read"),
    ("ExceptionInfo Call to .* did not conform to spec", "A R M"),
    ("ExceptionInfo", "error"),
    ("Exception", "argument"),
]

_ROWS = [(re.compile(pattern), kinds.split()) for pattern, kinds in ROWS]


def same_class(ours: str, clojure: str) -> bool:
    """Whether two answers that are errors (`!kind message`, `!Class message`) are errors of the same class."""
    kind = ours[1:].partition(" ")[0]
    for pattern, kinds in _ROWS:
        if pattern.match(clojure, 1):
            return any(kind == one or (len(one) == 1 and _CODE.fullmatch(kind) and kind[0] == one) for one in kinds)
    return False


_CODE = re.compile(r"[A-Z]\d{3}")

"""JSON texts to values and back.

Reading is safe against hostile texts: size, depth and digits are bounded before Python's parser sees them, and NaN and
infinities are refused.  Writing walks values with a stack of its own, so that depth is bounded by a number and not by
Python's stack.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.lazily import pattern
from flowmetal.values import Keyword, Map, Secret, Vector, fail, is_keyword_text, iterate, keyword, to_python
from flowmetal.vm.builtins.check import shown, string, wrong_type
from flowmetal.vm.builtins.predicates import MAPS, SEQUENCES, SETS
from flowmetal.vm.builtins.registry import builtin
from flowmetal.vm.builtins.strings import STRING_MAX

if TYPE_CHECKING:
    import json
else:
    json = lazily.module("json")

#: Nested arrays and objects.  Python's parser takes up to three frames of its stack for each, and how much of that
#: is left must not show; deeper data comes from a mistake or an attack.
DEPTH_MAX = 128
TOKENS_MAX = 1 << 20  # strings and brackets of one text: reading it cannot be interrupted
INTEGER_DIGITS_MAX = 4000  # Python's own bound against quadratic conversions is 4300

KEYS, STRINGS, KEYWORDS = keyword("keys"), keyword("string"), keyword("keyword")
PRETTY = keyword("pretty")

_BRACKETS = pattern(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def _depth(text: str) -> int:
    """How deep the brackets of a text nest, those inside strings left out."""
    depth = deepest = 0
    for number, token in enumerate(_BRACKETS.finditer(text)):
        if number > TOKENS_MAX:
            fail("limit", f"json/parse reads up to {TOKENS_MAX} strings and brackets")
        letter = text[token.start()]
        if letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > DEPTH_MAX:
                break
        elif letter in "]}":
            depth -= 1
    return deepest


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_DIGITS_MAX:
        raise ValueError(f"an integer of more than {INTEGER_DIGITS_MAX} digits")
    return int(digits)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits[:40]} is too large for a float")
    return value


@builtin(1000, "json-parse", 1, 2)
def parse(text: Any, options: Any = None) -> Any:
    """The value of a JSON text; a key that is the text of a keyword is one, unless the options say :keys :string."""
    keys = KEYWORDS
    if options is not None:
        if options.__class__ is not Map:
            wrong_type("json/parse", "a map of options", options)
        keys = options.get(KEYS, KEYWORDS)
        if keys not in (KEYWORDS, STRINGS):
            fail("argument", f"json/parse knows :keys :keyword and :keys :string, not {shown(keys)}")
    if len(string("json/parse", text)) > STRING_MAX:
        fail("limit", f"json/parse reads up to {STRING_MAX} characters")
    if _depth(text) > DEPTH_MAX:
        fail("limit", f"json/parse reads up to {DEPTH_MAX} nested arrays and objects")
    try:
        parsed = json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=_constant)
    except ValueError as problem:
        fail("json", f"not a JSON text: {problem}", Map.of([(keyword("text"), shown(text))]))
    return _value_of(parsed, keys is KEYWORDS)


def _key(name: str, keywords: bool) -> Any:
    return keyword(name) if keywords and is_keyword_text(name) else _scalar(name)


def _scalar(value: Any) -> Any:
    if value.__class__ is str and any("\ud800" <= letter <= "\udfff" for letter in value):
        fail("json", "a string with half of a surrogate pair is not text")
    return value


def _value_of(parsed: Any, keywords: bool) -> Any:
    """Python's dicts and lists as maps and vectors; the depth is bounded already."""
    if parsed.__class__ is dict:
        return Map.of([(_key(name, keywords), _value_of(value, keywords)) for name, value in parsed.items()])
    if parsed.__class__ is list:
        return Vector.of([_value_of(value, keywords) for value in parsed])
    return _scalar(parsed)


@builtin(1001, "json-write", 1, 2)
def write(value: Any, options: Any = None) -> str:
    """The JSON text of a value; functions, cells and promises have none.  With {:pretty true}: in lines."""
    pretty = options is not None and options.__class__ is Map and options.get(PRETTY) is True
    out: list[str] = []
    # One entry for each open array or object: its items, its closing bracket, whether it has written one.
    open_: list[list[Any]] = []
    current: Any = value
    while True:
        kind: type = current.__class__
        if kind in MAPS:
            out.append("{")
            open_.append([iter(list(current.items())), "}", False])
        elif kind in SEQUENCES or kind in SETS or kind is Vector:
            out.append("[")
            open_.append([iter(list(iterate(current))), "]", False])
        else:
            out.append(_text_of(current))
        if len(open_) > DEPTH_MAX:
            fail("limit", f"json/write writes up to {DEPTH_MAX} nested arrays and objects")
        found = False
        while open_ and not found:
            items, closing, written = open_[-1]
            item: Any = next(items, _END)
            if item is _END:
                open_.pop()
                if pretty and written:
                    out.append("\n" + "  " * len(open_))
                out.append(closing)
                continue
            if written:
                out.append("," if pretty else ", ")
            if pretty:
                out.append("\n" + "  " * len(open_))
            open_[-1][2] = found = True
            if closing == "}":
                out.append(json.dumps(_key_text(item[0]), ensure_ascii=False) + ": ")
                item = item[1]
            current = item
        if not open_ and not found:
            return "".join(out)


_END: Any = object()


def _key_text(key: Any) -> str:
    if key.__class__ is Keyword:
        return key.text
    if key.__class__ is str:
        return key
    if key.__class__ is Secret:
        fail("type", f"a secret is no key of JSON: {key.text}", key)
    made = to_python(Map.of(((key, None),)))
    return str(next(iter(made)))


def _text_of(value: Any) -> str:
    if value.__class__ is float and not math.isfinite(value):
        fail("argument", f"json/write cannot write {shown(value)}: JSON has no such number")
    if value.__class__ is Secret:
        fail("type", f"a secret has no JSON here; {value.text} goes into the :json of a request as it is", value)
    plain = to_python(value)
    if plain.__class__ is dict:
        return write(_value_of(plain, False))
    try:
        return json.dumps(plain, ensure_ascii=False)
    except ValueError:
        fail("limit", f"json/write writes integers of up to {INTEGER_DIGITS_MAX} digits")

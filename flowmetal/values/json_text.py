"""JSON text from outside: the one reader of it, for bodies, answers and arguments of commands.

It takes UTF-8 with finite numbers, no half surrogate pairs, nested at most DEPTH_MAX; all else is JsonError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from flowmetal import lazily
from flowmetal.values.base import Value
from flowmetal.values.convert import from_python
from flowmetal.values.errors import LanguageError

if TYPE_CHECKING:
    import json
else:
    json = lazily.module("json")


class JsonError(ValueError):
    """The text is not JSON that is taken; str() says why."""


def parse_json(text: bytes | str) -> Any:
    """JSON as plain Python, checked as a value of the language would be."""
    document = load_json(text)
    _converted(document)
    return document


def json_value(text: bytes | str) -> Value:
    """JSON as a value of the language."""
    return _converted(load_json(text))


def load_json(text: bytes | str) -> Any:
    """JSON as plain Python, which may be larger than a value of the language."""
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise JsonError("it is not UTF-8") from None
    except RecursionError:
        raise JsonError("it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise JsonError(_said(error)) from None
    except ValueError as error:
        # Of our own, or an integer of more digits than Python converts.
        own = error.__class__ is JsonError
        raise JsonError(str(error) if own else "it has an integer of too many digits") from None


#: What Python's parser says, in words that fit a sentence.
_WORDS = {
    "Expecting value": "a value is missing",
    "Expecting property name enclosed in double quotes": "a key in double quotes is missing",
    "Illegal trailing comma before end of object": "a comma stands before the end of an object",
    "Illegal trailing comma before end of array": "a comma stands before the end of an array",
    "Expecting ':' delimiter": "a `:` is missing",
    "Expecting ',' delimiter": "a `,` is missing",
    "Extra data": "there is more after the value",
    "Unterminated string starting at": "a string has no end that begins",
    "Invalid control character at": "a string has a control character",
}


def _said(error: json.JSONDecodeError) -> str:
    words = _WORDS.get(error.msg, "a string has an escape that is none" if "scape" in error.msg else "it is broken")
    return f"{words} at line {error.lineno}, column {error.colno}"


def _converted(document: Any) -> Value:
    try:
        return from_python(document)
    except LanguageError as error:
        raise JsonError(error.error.message) from None


def _no_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not a JSON number")

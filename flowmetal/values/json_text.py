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
    document = _loaded(text)
    _converted(document)
    return document


def json_value(text: bytes | str) -> Value:
    """JSON as a value of the language."""
    return _converted(_loaded(text))


def _loaded(text: bytes | str) -> Any:
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise JsonError("it is not UTF-8") from None
    except RecursionError:
        raise JsonError("it is nested too deep") from None
    except ValueError as error:
        raise JsonError(str(error)) from None


def _converted(document: Any) -> Value:
    try:
        return from_python(document)
    except LanguageError as error:
        raise JsonError(error.error.message) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")

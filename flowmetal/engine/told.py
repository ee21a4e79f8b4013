"""Values that somebody outside writes as text of the language: messages, arguments, answers by hand."""

from __future__ import annotations

from typing import Any

from flowmetal.diagnostics import FlowmetalError
from flowmetal.reading.data import read_data
from flowmetal.values import LanguageError, encode_value, secret_names


def value_of_text(text: str, what: str) -> tuple[Any, str]:
    """What a text reads as, and ""; or None, and why it is refused.

    A text may not make handles of secrets: who sends something would else decide what a program reads them from.
    """
    try:
        value = read_data(text, what)
        if secret_names(encode_value(value)):
            return None, "a text cannot make a handle of a secret"
    except LanguageError as error:
        return None, error.error.message
    except FlowmetalError as error:
        return None, str(error)
    return value, ""

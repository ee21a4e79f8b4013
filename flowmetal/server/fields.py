"""Reads the fields of a request's JSON document and query, with an error that names the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowmetal.connectors.http_callback.body import HttpError
from flowmetal.diagnostics import suggest


class Fields:
    """The fields of one document or query.  Every method raises HttpError 400 (H305) for a wrong one."""

    def __init__(self, document: Any, names: Iterable[str]) -> None:
        if not isinstance(document, Mapping):
            raise HttpError(400, "H305", field="body", expected="an object")
        names = list(names)
        for name in document:
            if name not in names:
                expected = (
                    "one of the fields " + ", ".join(names) if len(names) > 1 else " or ".join(["left out", *names])
                )
                raise HttpError(400, "H305", field=name, expected=expected, suggestion=suggest(name, names))
        self._document = document

    def has(self, name: str) -> bool:
        """Whether it is there."""
        return name in self._document

    def any(self, name: str) -> Any:
        """Any JSON value; None where it is not there."""
        return self._document.get(name)

    def text(self, name: str) -> str:
        """A string that is not empty."""
        value = self._document.get(name)
        if not isinstance(value, str) or not value:
            raise HttpError(400, "H305", field=name, expected="a string that is not empty")
        return value

    def text_or_none(self, name: str) -> str | None:
        """The same, or None where it is missing or null."""
        return None if self._document.get(name) is None else self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of one or more strings."""
        value = self._document.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            raise HttpError(400, "H305", field=name, expected="a list of strings")
        return tuple(value)

    def items(self, name: str) -> list[Any]:
        """A list; an empty one where it is missing."""
        value = self._document.get(name, [])
        if not isinstance(value, list):
            raise HttpError(400, "H305", field=name, expected="a list")
        return value

    def table(self, name: str) -> dict[str, Any]:
        """An object; an empty one where it is missing."""
        value = self._document.get(name, {})
        if not isinstance(value, dict):
            raise HttpError(400, "H305", field=name, expected="an object")
        return value

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """An integer from `low` to `high`, as a number or (in a query) as digits."""
        value = self._document.get(name, default)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if value.__class__ is not int or not low <= value <= high:
            raise HttpError(400, "H305", field=name, expected=f"an integer from {low} to {high}")
        return int(value)

    def seconds(self, name: str, high: float) -> float:
        """A number of seconds from 0; 0 where it is missing, `high` where it is more."""
        value = self._document.get(name, 0)
        try:
            seconds = float(value)
        except (TypeError, ValueError, OverflowError):
            seconds = -1.0
        if isinstance(value, bool) or not seconds >= 0:
            raise HttpError(400, "H305", field=name, expected="a number of seconds from 0")
        return min(seconds, high)

    def number(self, name: str, high: float) -> float:
        """A number from 0; 0 where it is missing."""
        value = self._document.get(name, 0)
        if value.__class__ not in (int, float) or not 0 <= value <= high:
            raise HttpError(400, "H305", field=name, expected=f"a number from 0 to {high:g}")
        return float(value)

    def flag(self, name: str) -> bool:
        """A query's "true" or "false"; false where it is missing."""
        value = self._document.get(name, "false")
        if value not in ("true", "false"):
            raise HttpError(400, "H305", field=name, expected="true or false")
        return bool(value == "true")

"""What is imported, or made, when it is first used: names of a package (PEP 562), modules, patterns.

Importing a package stays light, and a command pays only for what it does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__all__ = ["module", "names_of", "pattern"]


def names_of(
    package: dict[str, Any], where: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package: `package` is its `globals()`, `where` the module of each name.

    A name that is in neither is an AttributeError, as in any module.
    """

    def find(name: str) -> object:
        module = where.get(name)
        if module is None:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        found: object = getattr(importlib.import_module(module), name)
        package[name] = found
        return found

    return find, lambda: sorted(package["__all__"])


class _Late:
    """Stands for something that is made when something of it is asked for; what was asked for is kept."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.__dict__["_make"] = make

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__dict__["_make"](), name)
        self.__dict__[name] = found
        return found


def module(name: str) -> Any:
    """A module of a library, imported when something of it is first used."""
    return _Late(lambda: importlib.import_module(name))


if TYPE_CHECKING:
    from re import compile as pattern
else:

    def pattern(text, flags=0):
        """re.compile(text, flags), done when the pattern is first used, since it costs a tenth of a millisecond."""
        return _Late(lambda: importlib.import_module("re").compile(text, flags))

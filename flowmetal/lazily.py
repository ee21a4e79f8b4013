"""Names of a package that are imported when they are first used (PEP 562): importing the package stays light."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


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

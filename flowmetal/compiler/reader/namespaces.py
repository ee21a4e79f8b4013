"""The names of namespaces that a file knows: its own, and the aliases of its `ns` form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowmetal.diagnostics import suggest
from flowmetal.reading.bad import Bad
from flowmetal.values import Keyword, List, Symbol, Vector, keyword

_REQUIRE = keyword("require")
_AS = (keyword("as"), keyword("as-alias"))


class Namespaces:
    """What `::name` and `::alias/name` mean; changes where an `ns` form has been read."""

    def __init__(self, namespace: str | None, aliases: Mapping[str, str], file: str) -> None:
        self.declared = namespace
        self.aliases = dict(aliases)
        self._default = _stem(file) or "user"

    @property
    def current(self) -> str:
        """The namespace that names belong to: the one declared, else the file's name without its ending."""
        return self.declared or self._default

    def declare(self, form: List) -> None:
        """Takes up an `ns` form.  What is wrong with it is for the compiler to say."""
        name, *clauses = list(form)[1:]
        if name.__class__ is not Symbol:
            return
        self.declared = name.text
        for clause in clauses:
            if clause.__class__ is List and clause.count and clause.first is _REQUIRE:
                for required in list(clause)[1:]:
                    self._require(required)

    def keyword(self, alias: str | None, name: str, strict: bool) -> Keyword:
        """The keyword of `::name` or `::alias/name`; Bad R032."""
        return keyword(f"{self.namespace(alias, name, strict)}/{name}")

    def namespace(self, alias: str | None, name: str, strict: bool) -> str:
        """The namespace of an alias, or the current one; Bad R032 if there is none and `strict`, else the alias."""
        if alias is None:
            return self.current
        if alias in self.aliases:
            return self.aliases[alias]
        if strict:
            raise Bad("R032", alias=alias[:60], name=name[:60], suggestion=suggest(alias, self.aliases))
        return alias

    def _require(self, required: Any) -> None:
        if required.__class__ is not Vector:
            return
        name, *options = list(required) or [None]
        for key, value in zip(options[::2], options[1::2], strict=False):
            if name.__class__ is Symbol and key in _AS and value.__class__ is Symbol:
                self.aliases[value.text] = name.text


def _stem(file: str) -> str:
    """The name of a file without folders and ending."""
    name = file.rpartition("/")[2]
    return name.rpartition(".")[0] or name

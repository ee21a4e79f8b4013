"""What Clojure has and this language has not: names that are looked for, and what takes their place."""

from __future__ import annotations

from typing import Any

from flowmetal.compiler.shapes import is_list, items_of
from flowmetal.values import Symbol

_PROTOCOLS = "Use `defprotocol`."
_FIBERS = "Use `async`, and `await` its promise."
_ATOMS = "Use an `atom`: the fibers of a process share it, and switch only where they wait."
_NAMESPACE = "Write it into the `ns` form: `(:require [module :as alias])`."
_OUTSIDE = "Define an effect with `defeffect`, and let a worker do it."
_REDEFINED = "What a test replaces is an effect: answer it with a `handle` around the test."
_EXPANDED = "It can be asked at the prompt; a program is compiled before it runs."
_EVAL = "Programs are compiled as a whole; pass functions, or write a macro."

#: Name -> what to do instead.  Only looked at where a program has not defined the name itself.
ABSENT: dict[str, str] = {
    "definterface": _PROTOCOLS,
    **dict.fromkeys(("future", "future-call", "thread", "go", "go-loop", "chan"), _FIBERS),
    **dict.fromkeys(("agent", "send-off", "ref", "dosync", "alter", "commute", "ref-set", "ensure", "locking"), _ATOMS),
    "alter-var-root": _ATOMS,
    **dict.fromkeys(("with-redefs", "with-redefs-fn"), _REDEFINED),
    **dict.fromkeys(("macroexpand", "macroexpand-1", "macroexpand-all"), _EXPANDED),
    **dict.fromkeys(("require", "use", "import", "in-ns", "refer"), _NAMESPACE),
    **dict.fromkeys(("proxy", "gen-class", "new", ".", "..", "set!", "slurp", "spit", "read-line"), _OUTSIDE),
    **dict.fromkeys(("eval", "load", "load-file", "load-string", "resolve", "var"), _EVAL),
}


def names_made(items: list[Any]) -> list[str]:
    """The names that such a form was to define, so that their uses are not reported as well."""
    head = items[0].name
    if not head.startswith("def") or len(items) < 2 or items[1].__class__ is not Symbol:
        return []
    name = items[1].name
    if head == "definterface":
        methods = [items_of(item) for item in items[2:] if is_list(item)]
        return [name, *(method[0].name for method in methods if method and method[0].__class__ is Symbol)]
    return [name]

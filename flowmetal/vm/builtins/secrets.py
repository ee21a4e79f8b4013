"""Handles of secrets; nothing here has a secret's value, which only connectors read."""

from __future__ import annotations

from typing import Any

from flowmetal.values import Secret, fail, is_secret_name, secret_text
from flowmetal.vm.builtins.check import shown, wrong_type
from flowmetal.vm.builtins.registry import builtin


@builtin(2200, "secret", 1)
def secret(name: Any) -> Secret:
    """The handle of the secret with this name."""
    if name.__class__ is not str or not is_secret_name(name):
        fail("argument", f"a secret's name is a string of letters, digits, `_`, `.` and `-`, not {shown(name)}")
    return Secret.named(name)


@builtin(2201, "secret-text", 1, None)
def text_of(*parts: Any) -> Secret | str:
    """Strings and secrets in a row as one secret; a string where none of them is a secret."""
    for part in parts:
        if part.__class__ is not str and part.__class__ is not Secret:
            wrong_type("secret-text", "strings and secrets", part)
    try:
        made = secret_text(parts)
    except ValueError as problem:
        fail("limit", str(problem))
    return made if made.names else made.parts[0]


@builtin(2202, "secret?", 1)
def is_secret(value: Any) -> bool:
    """Whether the value is a handle of a secret, or a text with one in it."""
    return value.__class__ is Secret


@builtin(2203, "secret-name", 1)
def name_of(value: Any) -> str | None:
    """The name of the secret that the value is the handle of; nil for a text with one in it."""
    if value.__class__ is not Secret:
        wrong_type("secret-name", "a secret", value)
    return value.names[0] if value == Secret.named(value.names[0]) else None

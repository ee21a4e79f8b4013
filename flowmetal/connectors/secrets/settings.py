"""[secrets.NAME] of flowmetal.toml: where a secret comes from, and where it may go.

    [secrets.api]
    env = "API_TOKEN"                        # or file = "/run/secrets/api", or command = ["pass", "show", "api"]
    hosts = ["api.example.com"]              # http/request to these alone

The value itself never stands in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowmetal.connectors.config import bad, positive, read_table
from flowmetal.connectors.guard import BadRule, parse_rule
from flowmetal.connectors.secrets.redactor import SECRETS_MAX
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import is_secret_name

HTTP, SHELL = "http/request", "shell/run"

#: Effects whose connectors put values in place of handles.
EFFECTS = (HTTP, SHELL)

_SOURCES = ("env", "file", "command")


@dataclass(frozen=True, slots=True)
class SecretSettings:
    """[secrets.NAME].  One of `env`, `file` and `command` is set; times in seconds."""

    name: str
    env: str | None = None  # an environment variable of the server
    file: str | None = None  # a file; read again when it has changed
    command: tuple[str, ...] = ()  # what it prints; its arguments, no shell
    hosts: tuple[str, ...] = ()  # where requests may take it: "api.example.com", "*.example.com:8443"; all where empty
    effects: tuple[str, ...] = ()  # who may use it; http/request alone where it has hosts, else all of EFFECTS
    insecure: bool = False  # may go over http:// to other machines
    cache_seconds: float = 300.0  # how long what a command printed is kept
    timeout_seconds: float = 10.0  # how long a command may take

    @property
    def section(self) -> str:
        """Its name in messages."""
        return f"[secrets.{self.name}]"

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        if self.env is not None:
            return f"the variable {self.env}"
        return f"the file {self.file}" if self.file is not None else f"the command {self.command[0]}"

    @property
    def served(self) -> tuple[str, ...]:
        """The effects that may use it."""
        return self.effects or ((HTTP,) if self.hosts else EFFECTS)


def read_secrets(table: Any) -> dict[str, SecretSettings]:
    """The settings of every [secrets.NAME], by name.  FlowmetalError H201, H202, H535 or H540."""
    if not isinstance(table, Mapping):
        raise bad("secrets", "the file", table, "a table of tables, [secrets.NAME]")
    if len(table) > SECRETS_MAX:
        raise FlowmetalError("H540", count=len(table), limit=SECRETS_MAX)
    return {name: _read(name, entry) for name, entry in table.items()}


def _read(name: str, entry: Any) -> SecretSettings:
    section = f"[secrets.{name}]"
    if not is_secret_name(name):
        raise bad("NAME", section, name, "letters, digits, `-`, `_` and `.`, at most 100")
    if isinstance(entry, Mapping) and any(key in entry for key in ("value", "secret")):
        raise FlowmetalError("H535", section=section)  # before it is shown as an unknown setting
    settings = read_table(SecretSettings, entry, section, name=name)
    if sum(bool(getattr(settings, source)) for source in _SOURCES) != 1:
        raise FlowmetalError("H535", section=section)
    for host in settings.hosts:
        try:
            parse_rule(host)
        except BadRule:
            raise bad("hosts", section, host, 'a host, "*.suffix" or address, each with or without :port') from None
    for effect in settings.effects:
        if effect not in EFFECTS:
            raise bad("effects", section, effect, "of " + " and ".join(EFFECTS))
    positive(settings, section, "timeout_seconds")
    if settings.cache_seconds < 0:
        raise bad("cache_seconds", section, settings.cache_seconds, "0 or above")
    return settings

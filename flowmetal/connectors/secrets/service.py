"""The secrets of one server: values for connectors, and the redactor that takes them out of what comes back.

A value is read when a connector needs it: a variable each time, a file again when it has changed, a command again when
what it printed has been kept for its time.  Every value that was handed out is known to the redactor from then on, old
ones included.  In any thread.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flowmetal.connectors.guard import Rule, parse_rule
from flowmetal.connectors.secrets import sources
from flowmetal.connectors.secrets.redactor import VALUE_BYTES_MAX, VALUE_CHARACTERS_MIN, Redactor
from flowmetal.connectors.secrets.settings import SecretSettings
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError, suggest
from flowmetal.values import Secret

log = logging.getLogger("flowmetal.secrets")

#: How long a failed command is not run again.
FAILED_SECONDS = 5.0

MISSING, REFUSED = "secret/missing", "secret/refused"

_LOCAL = frozenset({"localhost", "::1"})


class SecretProblem(FlowmetalError):
    """A secret that cannot be used.  `kind` is the kind of the program's error."""

    def __init__(self, kind: str, code: str, /, **facts: Any) -> None:
        super().__init__(code, **facts)
        self.kind = kind


@dataclass(slots=True)
class _Kept:
    """What was read of one source, and until when it holds: a version of a file, a time of a command."""

    value: str | None
    problem: str
    version: tuple[int, ...] = ()
    until: float = 0.0


class Secrets:
    """Values by name.  `environment` is where variables are read, and what commands get."""

    def __init__(
        self,
        settings: Mapping[str, SecretSettings] | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        redactor: Redactor | None = None,
    ) -> None:
        self._settings = dict(settings or {})
        self._environment = os.environ if environment is None else environment
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._locks = {name: threading.Lock() for name in self._settings}
        self.redactor = Redactor() if redactor is None else redactor

    def know(self) -> None:
        """Reads what costs nothing to read, so that the redactor knows it before anything comes in.

        What is missing is said in the log now, rather than when a program needs it.
        """
        for settings in self._settings.values():
            if not settings.command:
                try:
                    self._value(settings)
                except SecretProblem as problem:
                    log.warning("%s: %s", problem.code, problem.diagnostic.text)

    def check(self, names: Iterable[str], effect: str) -> None:
        """SecretProblem for the first of `names` that is not in the settings, or not for this effect."""
        for name in names:
            settings = self._find(name)
            if effect not in settings.served:
                place = f"to {effect}"
                raise SecretProblem(REFUSED, "H533", name=name, where=place, section=settings.section, key="effects")

    def check_host(self, names: Iterable[str], scheme: str, host: str, port: int) -> None:
        """SecretProblem for the first of `names` that may not go to this host, or not in the clear."""
        host = host.lower().rstrip(".")
        for name in names:
            settings = self._find(name)
            rules = [parse_rule(text) for text in settings.hosts]
            if rules and not any(_leads(rule, host, port) for rule in rules):
                place = f"to {host}" if port in (80, 443) else f"to {host} port {port}"
                raise SecretProblem(REFUSED, "H533", name=name, where=place, section=settings.section, key="hosts")
            if scheme != "https" and not settings.insecure and not _is_local(host):
                raise SecretProblem(REFUSED, "H534", name=name, host=host, section=settings.section)

    def values(self, names: Iterable[str]) -> dict[str, str]:
        """The values; SecretProblem for the first that is missing.  May block for as long as a command takes."""
        return {name: self._value(self._find(name)) for name in names}

    def needs_command(self, names: Iterable[str]) -> bool:
        """Whether `values` may have to run something."""
        return any(name in self._settings and self._settings[name].command for name in names)

    def _find(self, name: str) -> SecretSettings:
        settings = self._settings.get(name)
        if settings is None:
            raise SecretProblem(MISSING, "H530", name=name, suggestion=suggest(name, self._settings))
        return settings

    def _value(self, settings: SecretSettings) -> str:
        with self._locks[settings.name]:  # of one secret at a time: a command is run once for all who wait
            kept = self._read(settings)
        if kept.value is None:
            facts = {"name": settings.name, "section": settings.section, "source": settings.source}
            raise SecretProblem(MISSING, "H531", problem=kept.problem, **facts)
        try:
            if len(kept.value) < VALUE_CHARACTERS_MIN or len(kept.value.encode()) > VALUE_BYTES_MAX:
                raise ValueError("the value is too short or too long")
            self.redactor.add(settings.name, kept.value)
        except ValueError:
            limits = {"least": VALUE_CHARACTERS_MIN, "most": VALUE_BYTES_MAX}
            raise SecretProblem(MISSING, "H532", name=settings.name, section=settings.section, **limits) from None
        return kept.value

    def _read(self, settings: SecretSettings) -> _Kept:
        kept = self._kept.get(settings.name)
        version: tuple[int, ...] = ()
        if settings.file is not None:
            version = sources.version_of(settings.file)
            if kept is not None and kept.value is not None and kept.version == version:
                return kept
        elif settings.command and kept is not None and self._clock() < kept.until:
            return kept
        value, problem, until = None, "", 0.0
        try:
            if settings.env is not None:
                value = sources.from_environment(self._environment, settings.env)
            elif settings.file is not None:
                value = sources.as_text(sources.from_file(settings.file))
            else:
                printed = sources.from_command(settings.command, self._environment, settings.timeout_seconds)
                value = sources.as_text(printed)
                until = self._clock() + settings.cache_seconds
        except sources.Unread as error:
            problem = str(error)
            until = self._clock() + FAILED_SECONDS
        made = self._kept[settings.name] = _Kept(value, problem, version, until)
        return made


def filled(value: Secret, values: Mapping[str, str], quote: Callable[[str], str] = str) -> str:
    """The text of a handle, with the values, each changed by `quote`, in their places."""
    return "".join(quote(values[part]) if index % 2 else part for index, part in enumerate(value.parts))


def _leads(rule: Rule, host: str, port: int) -> bool:
    """Whether a rule of `hosts` is of this host: by name, or the address itself as it is written in the URL."""
    if rule.names(host, port):
        return True
    try:
        return rule.contains(ipaddress.ip_address(host.strip("[]")), port)
    except ValueError:
        return False


def _is_local(host: str) -> bool:
    if host in _LOCAL:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

"""[shell] of flowmetal.toml: which commands programs may run, and where.  Without it they may run none.

[shell]
commands = ["git", "/usr/local/bin/report"]
directories = ["/srv/jobs"]
environment = ["PGPASSWORD"]
"""

from __future__ import annotations

import os
import re
from typing import Any

from flowmetal.connectors.config import MIB, bad, positive, read_table
from flowmetal.dataclass import dataclass, replace

#: The name of a variable.
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}\Z")

#: An entry of `commands` or `environment` for all of them.
ALL = "*"


@dataclass(frozen=True, slots=True)
class ShellSettings:
    """[shell].  Sizes in bytes, times in seconds."""

    commands: tuple[str, ...] = ()  # names looked up on the server's PATH, absolute paths, or "*" for all
    directories: tuple[str, ...] = ()  # where commands may run, and below; the first is the usual one
    variables: tuple[str, ...] = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")  # of the server's environment
    environment: tuple[str, ...] = ()  # variables that programs may set in :env, or "*" for all
    timeout_seconds: float = 60.0  # of a command that names no time
    max_bytes: int = MIB  # of each output, of a command that names no limit
    max_bytes_limit: int = 8 * MIB  # what a command may ask for at most
    concurrency: int = 8  # commands under way at once
    lease_seconds: float = 15.0  # after this long without a sign of life the outcome counts as unknown

    @property
    def all_allowed(self) -> bool:
        """Whether any command may run."""
        return ALL in self.commands

    def may_set(self, variable: str) -> bool:
        """Whether a program may set a variable."""
        return variable in self.environment or ALL in self.environment

    def narrowed(self) -> ShellSettings:
        """The same for a process that was granted some commands alone: what it may set says the list, never "*".

        Variables make many commands run others, and such a process may run no others.
        """
        return replace(self, environment=tuple(name for name in self.environment if name != ALL))


def read_shell(table: Any) -> ShellSettings:
    """The settings of [shell].  FlowmetalError H201 or H202."""
    settings = read_table(ShellSettings, table, "[shell]")
    for command in settings.commands:
        if command != ALL and not os.path.isabs(command) and ("/" in command or not command.strip()):
            raise bad("commands", "[shell]", command, 'names, absolute paths, or "*"')
    for variable in settings.environment:
        if variable != ALL and not VARIABLE.match(variable):
            raise bad("environment", "[shell]", variable, 'names of variables, or "*"')
    for directory in settings.directories:
        if not os.path.isabs(directory):
            raise bad("directories", "[shell]", directory, "absolute paths")
    positive(settings, "[shell]", "timeout_seconds", "max_bytes", "max_bytes_limit", "concurrency", "lease_seconds")
    return settings

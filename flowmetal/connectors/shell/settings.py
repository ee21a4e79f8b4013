"""[shell] of flowmetal.toml: which commands programs may run, and where.  Without it they may run none.

[shell]
commands = ["git", "/usr/local/bin/report"]
directories = ["/srv/jobs"]
"""

from __future__ import annotations

import os
from typing import Any

from flowmetal.connectors.config import MIB, bad, positive, read_table
from flowmetal.dataclass import dataclass

#: An entry of `commands` for all of them.
ALL = "*"


@dataclass(frozen=True, slots=True)
class ShellSettings:
    """[shell].  Sizes in bytes, times in seconds."""

    commands: tuple[str, ...] = ()  # names looked up on the server's PATH, absolute paths, or "*" for all
    directories: tuple[str, ...] = ()  # where commands may run, and below; the first is the usual one
    variables: tuple[str, ...] = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")  # of the server's environment
    timeout_seconds: float = 60.0  # of a command that names no time
    max_bytes: int = MIB  # of each output, of a command that names no limit
    max_bytes_limit: int = 8 * MIB  # what a command may ask for at most
    concurrency: int = 8  # commands under way at once
    lease_seconds: float = 15.0  # after this long without a sign of life the outcome counts as unknown

    @property
    def all_allowed(self) -> bool:
        """Whether any command may run."""
        return ALL in self.commands


def read_shell(table: Any) -> ShellSettings:
    """The settings of [shell].  FlowmetalError H201 or H202."""
    settings = read_table(ShellSettings, table, "[shell]")
    for command in settings.commands:
        if command != ALL and not os.path.isabs(command) and ("/" in command or not command.strip()):
            raise bad("commands", "[shell]", command, 'names, absolute paths, or "*"')
    for directory in settings.directories:
        if not os.path.isabs(directory):
            raise bad("directories", "[shell]", directory, "absolute paths")
    positive(settings, "[shell]", "timeout_seconds", "max_bytes", "max_bytes_limit", "concurrency", "lease_seconds")
    return settings

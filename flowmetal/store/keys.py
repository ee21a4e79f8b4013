"""Where the key of an encrypted store comes from: a file, an environment variable, or the output of a command.

A key is 32 bytes: as they are in a file, or as text, 64 hexadecimal digits or Base64.  It is fetched when a store that
is encrypted is opened, and not for others.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.dataclass import dataclass
from flowmetal.store.errors import StoreError

if TYPE_CHECKING:
    import base64
    import shlex
    import subprocess
else:  # few stores are encrypted
    base64, shlex, subprocess = (lazily.module(name) for name in ("base64", "shlex", "subprocess"))

KEY_BYTES = 32
#: A key file that is larger is none.
MAX_KEY_FILE_BYTES = 4096
#: What the mode of a key file may not allow.  Its group may read it: that is how secrets are given to containers.
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP
#: What a command that fetches a key may take; those that ask a key service over the network take a second or two.
COMMAND_SECONDS = 60.0

#: Where a key is looked for when no address and no settings name a source.
KEY_VARIABLE, FILE_VARIABLE, COMMAND_VARIABLE = (
    "FLOWMETAL_STORE_KEY",
    "FLOWMETAL_STORE_KEY_FILE",
    "FLOWMETAL_STORE_KEY_COMMAND",
)


@dataclass(frozen=True, slots=True)
class KeySource:
    """`kind` file, env or command; `value` a path, the name of a variable, or the words of a command.

    `asked`: whether somebody said that this store has this key, so that one without encryption is refused.
    """

    kind: str
    value: str | tuple[str, ...]
    asked: bool = True

    def __str__(self) -> str:
        if self.kind == "command":
            return f"the command `{self.value[0]}`"
        return f"the {'file' if self.kind == 'file' else 'variable'} {self.value}"

    def fetch(self) -> bytes:
        """The key; S311 where there is none."""
        key = self._fetch()
        for tell in told:
            tell(key)
        return key

    def _fetch(self) -> bytes:
        if self.kind == "file":
            data = self._read_file()
        elif self.kind == "env":
            text = os.environ.get(str(self.value))
            if text is None:
                raise self._wrong("it is not set")
            data = text.encode("utf-8", "surrogateescape")
        else:
            data = self._run()
        return self._parse(data)

    def _read_file(self) -> bytes:
        try:
            with Path(str(self.value)).open("rb") as file:
                found = os.fstat(file.fileno())
                if stat.S_ISREG(found.st_mode) and found.st_mode & _TOO_OPEN:
                    reason = f"others may read or write it (mode {stat.S_IMODE(found.st_mode):04o}; `chmod 600` it)"
                    raise self._wrong(reason)
                return file.read(MAX_KEY_FILE_BYTES)
        except (OSError, ValueError) as error:
            raise self._wrong(getattr(error, "strerror", None) or str(error)) from error

    def _run(self) -> bytes:
        try:
            ran = subprocess.run(
                list(self.value), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=COMMAND_SECONDS, check=False
            )
        except (OSError, ValueError) as error:
            raise self._wrong(getattr(error, "strerror", None) or str(error)) from error
        except subprocess.TimeoutExpired as error:
            raise self._wrong(f"it took longer than {COMMAND_SECONDS:.0f} s") from error
        if ran.returncode:
            raise self._wrong(f"it ended with {ran.returncode}")
        return ran.stdout[:MAX_KEY_FILE_BYTES]

    def _parse(self, data: bytes) -> bytes:
        if len(data) == KEY_BYTES:
            return data
        text = data.strip()
        try:
            if len(text) == 2 * KEY_BYTES:
                return bytes.fromhex(text.decode("ascii"))
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise self._wrong(f"it has no key of {KEY_BYTES} bytes")  # and not what it has, which may be one mistyped
        return key

    def _wrong(self, reason: str) -> StoreError:
        return StoreError("S311", source=str(self), reason=reason)


def key_setting(value: Any) -> KeySource | None:
    """The source of `[store] key`: {file = ...}, {env = ...} or {command = [...]}; None for what is none of them."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    ((kind, content),) = value.items()
    if kind in ("file", "env") and isinstance(content, str) and content and "\x00" not in content:
        return KeySource(kind, content)
    if kind == "command" and isinstance(content, list) and content and all(isinstance(one, str) for one in content):
        return KeySource(kind, tuple(content))
    return None


def from_environment(environment: Mapping[str, str]) -> KeySource | None:
    """The source that the environment names, or None."""
    if environment.get(FILE_VARIABLE):
        return KeySource("file", environment[FILE_VARIABLE], asked=False)
    if environment.get(KEY_VARIABLE):
        return KeySource("env", KEY_VARIABLE, asked=False)
    if environment.get(COMMAND_VARIABLE):
        try:
            words = tuple(shlex.split(environment[COMMAND_VARIABLE]))
        except ValueError as error:
            raise StoreError("S311", source=f"the variable {COMMAND_VARIABLE}", reason=str(error)) from error
        return KeySource("command", words, asked=False) if words else None
    return None


#: Told of every key that is fetched: a server takes keys out of what it lets in.
told: list[Callable[[bytes], object]] = []

#: Asked last; the commands put in what their settings file says.
fallbacks: list[Callable[[], KeySource | None]] = []


def find_source(given: KeySource | None) -> KeySource | None:
    """The source of a store's key: the one that was given, that of the environment, or that of the settings."""
    found = given or from_environment(os.environ)
    for fallback in () if found is not None else fallbacks:
        found = found or fallback()
    return found

"""Reads the payload of a shell/run effect into a command that may be run, or says what is wrong with it.

A payload is a vector of arguments, or a map with :command and more.  Nothing is ever handed to a shell: whoever wants
one writes ["sh" "-c" "..."], and the settings must allow `sh`.  Handles of secrets may stand for an argument but the
first, for a variable's value, and for the input; what is wrong is said with the handle.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flowmetal.connectors.commands import Command
from flowmetal.connectors.secrets import filled
from flowmetal.connectors.shell.settings import VARIABLE, ShellSettings
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import suggest
from flowmetal.values import Duration, Keyword, Map, Secret, Vector, keyword, print_string

#: Keys of a payload that is a map.
KEYS = ("command", "stdin", "env", "directory", "timeout", "as", "max-bytes")

#: Most arguments and variables, and the longest of them: what Linux takes.
ARGUMENTS_MAX = 4096
TEXT_BYTES_MAX = 128 * 1024 - 1
ALL_BYTES_MAX = 1 << 20

#: Longest time limit.
TIMEOUT_SECONDS_MAX = 86_400.0

#: Variables of a command: the request's key, and what everything that it started is known by.
KEY_VARIABLE, MARK_VARIABLE = "FLOWMETAL_IDEMPOTENCY_KEY", "FLOWMETAL_COMMAND"

_K_COMMAND = keyword("command")


class BadCommand(Exception):
    """A payload that cannot be run; str() says what is wrong, for the program's author."""


class NotAllowed(Exception):
    """A command or directory that the settings do not allow; str() says which."""


class NotFound(Exception):
    """There is no such command; str() says which."""


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """A command that may be run.  `read_as` is "text" or "bytes"."""

    command: Command
    read_as: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the connector adds: the server's environment, the request's key, the mark of its processes."""

    environment: Mapping[str, str]
    key: str
    mark: str


def read_command(
    payload: Any, settings: ShellSettings, around: Surroundings, secrets: Mapping[str, str]
) -> ShellCommand:
    """The command that a payload describes; `secrets` has a value for each name in it.

    Raises BadCommand, NotAllowed, NotFound.
    """
    given = _given(payload)
    arguments = _arguments(given.get("command"), secrets)
    variables = _variables(given.get("env"), settings, secrets)
    passed = {name: around.environment[name] for name in settings.variables if name in around.environment}
    environment = {**passed, **variables, KEY_VARIABLE: around.key, MARK_VARIABLE: around.mark}
    size = sum(len(text.encode()) + 1 for text in (*arguments, *environment, *environment.values()))
    if size > ALL_BYTES_MAX:
        raise BadCommand(f"arguments and variables have more than {ALL_BYTES_MAX} bytes")
    return ShellCommand(
        Command(
            arguments,
            environment,
            executable=_executable(arguments[0], settings, around.environment.get("PATH")),
            directory=_directory(given.get("directory"), settings),
            stdin=_stdin(given.get("stdin"), secrets),
            seconds=_timeout(given.get("timeout"), settings),
            max_bytes=_max_bytes(given.get("max-bytes"), settings),
            mark=f"{MARK_VARIABLE}={around.mark}",
        ),
        _read_as(given.get("as")),
    )


def shown_command(payload: Any) -> Any:
    """The name of a payload's command, for error data; nil where there is none."""
    vector = payload.get(_K_COMMAND) if isinstance(payload, Map) else payload
    name = vector.get(0) if vector.__class__ is Vector and len(vector) else None
    return name if isinstance(name, str) else None


def _given(payload: Any) -> dict[str, Any]:
    if payload.__class__ is Vector:
        return {"command": payload}
    if not isinstance(payload, Map):
        raise BadCommand(f"a command is a vector of arguments or a map with :command, not {_short(payload)}")
    given: dict[str, Any] = {}
    for key, value in payload.items():
        name = key.text if isinstance(key, Keyword) else None
        if name not in KEYS:
            near = suggest(name, KEYS) if name is not None else None
            hint = f"; did you mean :{near}?" if near else f"; known are {' '.join(':' + known for known in KEYS)}"
            raise BadCommand(f"{_short(key)} is not a key of a command{hint}")
        if value is not None:
            given[name] = value
    return given


def _arguments(value: Any, secrets: Mapping[str, str]) -> tuple[str, ...]:
    if value.__class__ is not Vector or not len(value):
        raise BadCommand(f":command must be a vector with the name of a command, not {_short(value)}")
    if len(value) > ARGUMENTS_MAX:
        raise BadCommand(f":command has more than {ARGUMENTS_MAX} arguments")
    if not isinstance(value.get(0), str) or not value.get(0):
        raise BadCommand(f"the name of a command is a string, not {_short(value.get(0))}")
    return tuple(_text(item, f"argument {number}", secrets) for number, item in enumerate(value))


def _text(value: Any, what: str, secrets: Mapping[str, str]) -> str:
    if value.__class__ is Secret:
        text = filled(value, secrets)
    elif isinstance(value, str):
        text = value
        if "#secret[" in text:
            raise BadCommand(f"{what} has the text of a handle in it; `secret-text` joins texts and secrets")
    elif value.__class__ in (int, float):
        text = print_string(value)
    else:
        raise BadCommand(f"{what} must be a string, a number or a secret, not {_short(value)}")
    if "\0" in text:
        raise BadCommand(f"{what} has a zero byte in it")
    if len(text.encode()) > TEXT_BYTES_MAX:
        raise BadCommand(f"{what} has more than {TEXT_BYTES_MAX} bytes; :stdin takes more")
    return text


def _variables(value: Any, settings: ShellSettings, secrets: Mapping[str, str]) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Map):
        raise BadCommand(f":env must be a map, not {_short(value)}")
    variables: dict[str, str] = {}
    for key, item in value.items():
        name = key.text if isinstance(key, Keyword) else key
        if not isinstance(name, str) or not VARIABLE.match(name):
            raise BadCommand(f"{_short(key)} is not the name of a variable")
        if name.startswith("FLOWMETAL_"):
            raise BadCommand(f"the variable {name} is set by the connector")
        if not settings.may_set(name):
            raise NotAllowed(f"the variable {name} may not be set; `environment` in [shell] says which may")
        if item is not None:
            variables[name] = _text(item, f"the variable {name}", secrets)
    if len(variables) > ARGUMENTS_MAX:
        raise BadCommand(f":env has more than {ARGUMENTS_MAX} variables")
    return variables


def _executable(name: str, settings: ShellSettings, path: str | None) -> str:
    """The file to run, found on the server's own PATH, whatever the program says of PATH."""
    if "/" in name and not os.path.isabs(name):
        raise BadCommand(f"a command is a name or an absolute path, not {_short(name)}")
    # Links are not followed: many names may be one file, which does by its name what it is asked for.
    found = os.path.normpath(name) if "/" in name else _looked_up(name, path)
    if not settings.all_allowed:
        allowed = {entry if "/" in entry else _looked_up(entry, path) for entry in settings.commands}
        if not (found in allowed or name in settings.commands):
            raise NotAllowed(f"{_short(name)} is not a command that `commands` in [shell] allows")
    if found is None or not os.path.isfile(found):
        raise NotFound(f"there is no command {_short(name)} here")
    return found


def _looked_up(name: str, path: str | None) -> str | None:
    """The first file of that name on PATH that can be run.

    Entries that are empty or relative are left out: what they mean depends on where the server was started, and who can
    write there could put a command in the place of another.
    """
    for folder in (path or os.defpath).split(os.pathsep):
        if os.path.isabs(folder):
            file = os.path.join(folder, name)
            if os.path.isfile(file) and os.access(file, os.X_OK):
                return file
    return None


def _directory(value: Any, settings: ShellSettings) -> str | None:
    if value is None:
        return settings.directories[0] if settings.directories else None
    if not isinstance(value, str) or not os.path.isabs(value) or "\0" in value:
        raise BadCommand(f":directory must be an absolute path, not {_short(value)}")
    real = os.path.realpath(value)
    if not any(_within(real, os.path.realpath(allowed)) for allowed in settings.directories):
        raise NotAllowed(f"{_short(value)} is in no directory that `directories` in [shell] allows")
    if not os.path.isdir(real):
        raise BadCommand(f"there is no directory {_short(value)}")
    return real


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _stdin(value: Any, secrets: Mapping[str, str]) -> bytes:
    if value is None:
        return b""
    if value.__class__ is Secret:
        return filled(value, secrets).encode()
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise BadCommand(f":stdin must be a string, bytes or a secret, not {_short(value)}")


def _timeout(value: Any, settings: ShellSettings) -> float:
    if value is None:
        return settings.timeout_seconds
    if not isinstance(value, Duration) or not 0 < value.ns <= TIMEOUT_SECONDS_MAX * 1e9:
        raise BadCommand(f":timeout must be a duration above 0 up to 24h, such as 30s, not {_short(value)}")
    return float(value.ns / 1e9)


def _max_bytes(value: Any, settings: ShellSettings) -> int:
    if value is None:
        return settings.max_bytes
    if value.__class__ is not int or not 1 <= value <= settings.max_bytes_limit:
        raise BadCommand(f":max-bytes must be an integer from 1 to {settings.max_bytes_limit}, not {_short(value)}")
    return int(value)


def _read_as(value: Any) -> str:
    if value is None:
        return "text"
    if isinstance(value, Keyword) and value.text in ("text", "bytes"):
        return str(value.text)
    raise BadCommand(f":as must be :text or :bytes, not {_short(value)}")


def _short(value: Any) -> str:
    return print_string(value, limit=80)

"""Reads secrets from the environment, from files and from commands: the one place that does, for handles of programs
and for the secrets of endpoints alike.

Nothing here keeps a value or shows one; what goes wrong is said of the source.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping, Sequence

from flowmetal.connectors.commands import Command, NotStarted, Overflow, execute

#: Bytes of a file or of what a command prints: more is not a secret.
SOURCE_BYTES_MAX = 64 * 1024


class Unread(Exception):
    """A source that gives nothing; str() says why, to stand behind its name: "is not set"."""


def from_environment(environment: Mapping[str, str], name: str) -> str:
    """The value of a variable, without blanks around it."""
    value = environment.get(name, "").strip()
    if not value:
        raise Unread("is empty" if name in environment else "is not set")
    return value


def from_file(path: str) -> bytes:
    """The bytes of a file."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold up everybody
    except (OSError, ValueError) as error:
        raise Unread(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise Unread("is not a file")
        data = os.read(opened, SOURCE_BYTES_MAX + 1)
    except OSError as error:
        raise Unread(f"cannot be read ({error.strerror})") from None
    finally:
        os.close(opened)
    if len(data) > SOURCE_BYTES_MAX:
        raise Unread(f"has more than {SOURCE_BYTES_MAX} bytes")
    if not data.strip():
        raise Unread("is empty")
    return data


def version_of(path: str) -> tuple[int, ...]:
    """What changes when the file does."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def from_command(arguments: Sequence[str], environment: Mapping[str, str], seconds: float) -> bytes:
    """What a command prints.  Blocks for `seconds` at most; not for a thread with an event loop."""
    command = Command(tuple(arguments), dict(environment), seconds=seconds, max_bytes=SOURCE_BYTES_MAX)
    try:
        ended = asyncio.run(execute(command))
    except NotStarted as error:
        raise Unread(f"cannot be run ({error})") from None
    except TimeoutError:
        raise Unread(f"did not end within {seconds:g} s") from None
    except Overflow:
        raise Unread(f"prints more than {SOURCE_BYTES_MAX} bytes") from None
    if ended.exit != 0:
        # What it wrote to its standard error is not shown: it may hold anything.
        raise Unread(
            f"ended with code {ended.exit}" if ended.signal is None else f"was killed by signal {ended.signal}"
        )
    if not ended.out.strip():
        raise Unread("prints nothing")
    return ended.out


def as_text(data: bytes) -> str:
    """A secret's bytes as text, without blanks around it.  Unread where they are not text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Unread("is not text in UTF-8") from None
    if "\0" in text:
        raise Unread("has a zero byte in it")
    return text.strip()

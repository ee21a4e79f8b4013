"""Runs commands: in a process group of their own, within limits, and without leaving anything running.

No shell, no inherited environment, no terminal.  A command is over when its first process ends; what it left behind
is killed then, as it is at the time limit and when the waiter is cancelled.  See orphans.py for what has hidden.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping

from flowmetal.connectors import orphans
from flowmetal.dataclass import dataclass, field

#: Time between asking a command to end (SIGTERM) and ending it (SIGKILL).
KILL_SECONDS = 1.0

#: How long output is awaited that a killed command's children may still hold open.
DRAIN_SECONDS = 1.0

#: Looks for what is left: one of them may have started another one while the first look went on.
SWEEPS_MAX = 5

#: How long a program may take to be loaded.
LOADED_SECONDS = 0.001

#: How long a process that was killed may take to be gone.
ADOPTED_SECONDS = 0.005

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What to run.  `arguments[0]` is its name; `executable` the file, where that is another one.

    `mark` is a variable of the environment by which everything that the command started is known.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    executable: str | None = None
    directory: str | None = None
    stdin: bytes = b""
    seconds: float = 60.0
    max_bytes: int = 1 << 20  # of each output
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: by itself with a code, or by a signal; and what it wrote."""

    exit: int | None
    signal: int | None
    out: bytes
    err: bytes


class NotStarted(Exception):
    """There is no such file, or it cannot be run; str() says why."""


class Late(TimeoutError):
    """It did not end in time, and was killed; with what it had written."""

    def __init__(self, out: bytes, err: bytes) -> None:
        super().__init__("the command did not end in time")
        self.out = out
        self.err = err


class Overflow(Exception):
    """It wrote more than it may, and was killed; with what it had written, which is a little more than allowed."""

    def __init__(self, out: bytes, err: bytes) -> None:
        super().__init__("the command wrote too much")
        self.out = out
        self.err = err


async def execute(command: Command) -> Ended:
    """Runs a command to its end.  Raises NotStarted, Late, Overflow."""
    loop = asyncio.get_running_loop()
    try:
        with orphans.starting() as started:
            transport, protocol = await loop.subprocess_exec(
                lambda: _Protocol(loop),
                *command.arguments,
                executable=command.executable,
                env=dict(command.environment),
                cwd=command.directory,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                close_fds=True,
            )
            pid = transport.get_pid()
            started(pid)
    except (OSError, ValueError) as error:
        raise NotStarted(getattr(error, "strerror", None) or str(error)) from None
    assert protocol.stdout is not None and protocol.stderr is not None
    outputs = [_Output(stream, command.max_bytes) for stream in (protocol.stdout, protocol.stderr)]
    writer = asyncio.ensure_future(_feed(protocol, command.stdin))
    try:
        late = False
        try:
            async with asyncio.timeout(command.seconds):
                await _until_over(protocol, outputs)
        except TimeoutError:
            late = True
        if late or any(output.full for output in outputs):
            await _end(pid, protocol, command.mark)
        else:
            orphans.over(pid)
            await asyncio.to_thread(sweep, pid, command.mark)
        await _drain(outputs)
        out, err = (bytes(output.data) for output in outputs)
        if late:
            raise Late(out, err)
        if any(output.full for output in outputs):
            raise Overflow(out, err)
        code = transport.get_returncode()
        assert code is not None
        return Ended(None, -code, out, err) if code < 0 else Ended(code, None, out, err)
    except asyncio.CancelledError:
        await _end(pid, protocol, command.mark)
        raise
    finally:
        if not protocol.over.is_set():
            _signal(pid, signal.SIGKILL)  # whatever was interrupted above, it does not go on
        writer.cancel()
        for output in outputs:
            output.task.cancel()
        await asyncio.gather(writer, *(output.task for output in outputs), return_exceptions=True)
        transport.close()
        orphans.over(pid)
        if protocol.over.is_set():
            orphans.forget(pid)


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells when the first process has ended.  asyncio's own wait() may also wait for those that hold its pipes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_CHUNK, loop=loop)
        self.over = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.over.set()


class _Output:
    """One output, read as it comes; a byte more than allowed is the end."""

    def __init__(self, stream: asyncio.StreamReader, limit: int) -> None:
        self.data = bytearray()
        self.full = False
        self._stream = stream
        self._limit = limit
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        while chunk := await self._stream.read(_CHUNK):
            self.data += chunk
            if len(self.data) > self._limit:
                self.full = True
                return


async def _feed(protocol: _Protocol, data: bytes) -> None:
    """Writes to the command, which need not read it."""
    stream = protocol.stdin
    assert stream is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for start in range(0, len(data), _CHUNK):
            stream.write(data[start : start + _CHUNK])
            await stream.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.close()


async def _until_over(protocol: _Protocol, outputs: list[_Output]) -> None:
    """Until the process has ended, or has written too much."""
    over = asyncio.ensure_future(protocol.over.wait())
    waits = {over, *(output.task for output in outputs)}
    try:
        while not over.done() and not any(output.full for output in outputs):
            _, waits = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.cancel()


async def _drain(outputs: list[_Output]) -> None:
    """What is still in the pipes; not for ever, as somebody else may hold them open."""
    await asyncio.wait([output.task for output in outputs], timeout=DRAIN_SECONDS)


async def _end(pid: int, protocol: _Protocol, mark: str | None) -> None:
    """Asks the group to end, then ends it, and what has left the group."""
    try:
        if not protocol.over.is_set():
            _signal(pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(protocol.over.wait(), KILL_SECONDS)
    finally:
        if not protocol.over.is_set():
            _signal(pid, signal.SIGKILL)
        orphans.over(pid)
        sweep(pid, mark)
    await protocol.over.wait()


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def sweep(session: int, mark: str | None) -> None:
    """Kills what is left of a session, every process of this user that has `mark` in its environment, and orphans.

    Reads /proc; on a system without it, what has left the group is not found.
    """
    for _ in range(SWEEPS_MAX):
        left = _left(session, mark)
        if not left:
            return
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if orphans.adopts():
            time.sleep(ADOPTED_SECONDS)  # until what was killed is gone, and its children are ours


def _left(session: int, mark: str | None) -> list[int]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    wanted = None if mark is None else b"\0" + mark.encode() + b"\0"
    own = os.getpid()
    found = []
    children = []
    for name in names:
        if not name.isdigit() or int(name) == own:
            continue
        with contextlib.suppress(OSError, IndexError, ValueError):
            with open(f"/proc/{name}/stat", "rb") as file:
                # Behind the name, which may hold anything: state, parent, group, session.
                fields = file.read().rpartition(b")")[2].split()
            over = fields[0] in (b"Z", b"X")
            if int(fields[1]) == own:
                children.append(orphans.Child(int(name), over, int(fields[3]), orphans.began_of(fields)))
            if over:
                continue
            if session and int(fields[3]) == session:
                found.append(int(name))
            elif wanted is not None:
                if wanted in b"\0" + _environment(name, is_user=int(fields[20]) > 0):
                    found.append(int(name))
    return list({*found, *orphans.to_kill(children)})


def _environment(pid: str, *, is_user: bool) -> bytes:
    """The environment of a process; one of a program that is just being loaded has none for a moment."""
    for last in (False, True) if is_user else (True,):
        with open(f"/proc/{pid}/environ", "rb") as file:
            data = file.read()
        if data or last:
            break
        time.sleep(LOADED_SECONDS)
    return data

"""The connector that performs shell/run: runs the command, and answers with its code and what it wrote.

What is an error: everything that kept the command from running to its end; and a code other than 0 where the request's
options carry :retry, as the engine retries errors.  Every other end is the answer.

A command that was under way when the server died goes on, or does not: nobody knows, and the program's :when-unknown
decides.  Where it is tried again, what is left of the attempt before is killed first.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from flowmetal.connectors.base import NOT_GRANTED, Connector, Failure, Result, Task
from flowmetal.connectors.commands import Ended, Late, NotStarted, Overflow, execute, sweep
from flowmetal.connectors.secrets import Secrets
from flowmetal.connectors.shell.command import (
    BadCommand,
    NotAllowed,
    NotFound,
    ShellCommand,
    Surroundings,
    read_command,
    shown_command,
)
from flowmetal.connectors.shell.settings import ShellSettings
from flowmetal.store import failpoint
from flowmetal.store.interface import Store
from flowmetal.values import Map, keyword

EFFECT = "shell/run"

#: Codes above this one are a shell's for a command that was ended by a signal.
SIGNALLED = 128

K_COMMAND, K_EXIT, K_SIGNAL, K_OUT, K_ERR = (keyword(name) for name in ("command", "exit", "signal", "out", "err"))


class ShellConnector(Connector):
    """Serves shell/run.  `environment` is the server's, of which commands get what the settings name."""

    EFFECT: ClassVar[str] = EFFECT
    BAD_REQUEST: ClassVar[str] = "shell/bad-command"
    BROKEN: ClassVar[str] = "shell/broken"

    def __init__(
        self,
        store: Store,
        settings: ShellSettings | None = None,
        *,
        secrets: Secrets | None = None,
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings if settings is not None else ShellSettings()
        super().__init__(
            store, secrets, name, concurrency=self._settings.concurrency, lease_seconds=self._settings.lease_seconds
        )
        self._environment = os.environ if environment is None else environment
        self._about = store.id

    def facts(self, payload: Any) -> Iterable[tuple[Any, Any]]:
        """The name of the command; its arguments may be long."""
        return ((K_COMMAND, shown_command(payload)),)

    async def perform(self, task: Task) -> Result:
        """Runs it.  Raises Failure, SecretProblem."""
        request = task.request
        around = Surroundings(
            self._environment, request.idempotency_key, f"{self._about}-{request.pid}-{request.number}"
        )
        settings = self._granted(task)
        values = await self.values(task)
        try:
            shell = await self.gate.run(
                lambda: read_command(task.payload, settings, around, values), len(request.payload)
            )
        except BadCommand as error:
            raise Failure("shell/bad-command", str(error)) from None
        except NotAllowed as error:
            raise Failure("shell/not-allowed", str(error)) from None
        except NotFound as error:
            raise Failure("shell/not-found", str(error)) from None
        if request.attempt > 1:
            await asyncio.to_thread(sweep, 0, shell.command.mark)
        if failpoint.hook is not None:
            failpoint.hook("command/run")
        ended = await self._run(shell)
        if failpoint.hook is not None:
            failpoint.hook("command/ended")
        return Result(lambda: self._answer(task, shell, ended), len(ended.out) + len(ended.err))

    def _granted(self, task: Task) -> ShellSettings:
        """The settings as far as the process was granted commands.  Raises Failure.

        The engine has looked at the name already; here it is held to what is run, and to its surroundings.
        """
        grants = self.grants_of(task.request.pid)
        if grants is None or grants.free(EFFECT):
            return self._settings
        name = shown_command(task.payload)
        if name is None or not grants.allows_command(name):
            raise Failure(NOT_GRANTED, f"shell/run of {name or 'no command'} is not granted to this program")
        return self._settings.narrowed()

    def _answer(self, task: Task, shell: ShellCommand, ended: Ended) -> Map:
        """{:exit :signal :out :err}.  Raises Failure."""
        out, err = ended.out, ended.err
        if ended.signal is not None or (ended.exit or 0) > SIGNALLED:
            out, err = self.secrets.redactor.cut(out), self.secrets.redactor.cut(err)
        facts = ((K_EXIT, ended.exit), (K_SIGNAL, ended.signal), *_written(shell, out, err))
        if task.retried and ended.exit != 0:
            how = f"ended with code {ended.exit}" if ended.exit is not None else f"was killed by signal {ended.signal}"
            raise Failure("shell/exit", f"the command {how}", facts)
        return Map.of(facts)

    async def _run(self, shell: ShellCommand) -> Ended:
        command = shell.command
        try:
            return await execute(command)
        except NotStarted as error:
            raise Failure("shell/not-found", f"the command cannot be run: {error}") from None
        except Late as late:
            message = f"the command did not end within {command.seconds:g} s, and was killed"
            cut = self.secrets.redactor.cut
            raise Failure("shell/timeout", message, _written(shell, cut(late.out), cut(late.err))) from None
        except Overflow:
            # What it wrote is not shown: cut off in the middle, a secret would not be known for one.
            message = f"the command wrote more than {command.max_bytes} bytes, and was killed"
            raise Failure("shell/too-large", message) from None


def _written(shell: ShellCommand, out: bytes, err: bytes) -> tuple[tuple[Any, Any], ...]:
    if shell.read_as == "bytes":
        return ((K_OUT, out), (K_ERR, err))
    return ((K_OUT, out.decode("utf-8", "replace")), (K_ERR, err.decode("utf-8", "replace")))

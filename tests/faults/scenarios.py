"""What is done to a store while calls of the system fail, and what must come of it.

A scenario runs in the traced process and says what it was told is durable, as the workloads of power cuts do, and also:

    {"refused": code}     an error of the store, which is one of the catalogue with a hint
    {"ended": code}       an operating system process ended since the store's disk had failed; the next one is started
    {"crashed": number}   one ended with a signal; the next one is started
    {"trouble": text}     what must not happen
    {"finished": true}    everything was done in the end
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

from flowmetal.diagnostics.codes.store import CODES
from flowmetal.engine import trouble
from flowmetal.engine.artifacts import deploy
from flowmetal.engine.config import Config
from flowmetal.engine.functions import Call
from flowmetal.engine.interpreter import Interpreter
from flowmetal.store import open_store
from flowmetal.store.errors import GIVEN_UP, StoreError
from flowmetal.store.interface import Command, Post, PutArtifact, Start, Store
from flowmetal.values import Vector, decode_value, encode_value
from tests.powercut.workloads import HASH, Say, act_result, program

ENDED = 3
#: Operating system processes that one run may use up.
PROCESSES_MAX = 8
#: How often one thing is tried.
TRIES = 400
#: For an answer of the store; none may take longer.
PATIENCE_SECONDS = 45.0
PAUSE_SECONDS = 0.002
PROCESSES, STEPS = 3, 3
POSTS = 12


class Ended(Exception):
    """The store's disk has failed: this process has to end."""


class Teller:
    """Says what happens."""

    def __init__(self, say: Say) -> None:
        self.say = say

    def trying(self, what: Callable[[], Any]) -> Any:
        """What `what` gives, tried until it does; Ended where the store says that it cannot any more."""
        for _ in range(TRIES):
            try:
                return what()
            except StoreError as error:
                self.refused(error)
            except MemoryError:
                pass  # of our own
            time.sleep(PAUSE_SECONDS)
        self.say(trouble=f"{what} does not get on")
        raise Ended

    def refused(self, error: StoreError) -> None:
        """An error of the store."""
        entry = CODES.get(error.code)
        if entry is None or not entry.hint or not str(error):
            self.say(trouble=f"{error.code} has no hint: {error}")
        self.say(refused=error.code)
        if error.code == GIVEN_UP:
            raise Ended

    def done(self, store: Store, *commands: Command) -> list[Any]:
        """The results of commands, tried until they are taken."""

        def submit() -> list[Any]:
            future: Future[list[Any]] = store.submit(list(commands))
            try:
                return future.result(PATIENCE_SECONDS)
            except FutureTimeout:
                self.say(trouble="the store gives no answer")
                raise Ended from None

        found: list[Any] = self.trying(submit)
        return found


def supervised(once: Callable[[Path, Teller], None]) -> Callable[[Path, Say], None]:
    """Runs `once` in an operating system process, and again in another one where the store's disk has failed."""

    def scenario(folder: Path, say: Say) -> None:
        trouble.TROUBLE_SECONDS = 0.005
        for _ in range(PROCESSES_MAX):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    once(folder, Teller(say))
                    code = 0
                except Ended:
                    code = ENDED
                except BaseException:
                    say(trouble=traceback.format_exc()[-900:])
                finally:
                    os._exit(code)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code == 0:
                say(finished=True)
                return
            if code < 0:
                say(crashed=-code)
                continue
            if code != ENDED:
                say(trouble=f"a process ended with {code}")
                return
            say(ended=code)

    return scenario


def post_once(folder: Path, teller: Teller) -> None:
    """Messages to a process, from where the last one has come to."""
    store: Store = teller.trying(lambda: open_store(folder / "store"))
    teller.done(store, PutArtifact(HASH, b"code" * 5000, "p"))
    pid = teller.done(store, Start("f", b"", name="p", id="posts"))[0][0]
    teller.say(started=["posts", pid])
    first = sum(event.kind == "message" for event in teller.trying(lambda: store.inbox(pid))) + 1
    for number in range(first, POSTS + 1):
        teller.done(store, Post(pid, "message", b"%d " % number + b"x" * 3000))
        teller.say(posted=[pid, number])
    store.close()


def serve_once(folder: Path, teller: Teller) -> None:
    """An interpreter, and processes that it runs."""
    store: Store = teller.trying(lambda: open_store(folder / "store"))
    hash = teller.trying(lambda: deploy(store, program(), "steps"))
    interpreter = Interpreter(store, Config(name=f"i{os.getpid()}", fallback_seconds=0.01))

    def act(call: Call) -> int:
        number, step = call.payload
        teller.say(act=[call.pid, number, step])
        return act_result(number, step)

    interpreter.register("probe/act", act, inline=True)
    interpreter.start()
    pids = []
    for number in range(PROCESSES):
        arguments = encode_value(Vector.of([number, 2 + number]))
        command = Start("main", arguments, artifact=hash, name="steps", id=f"run{number}")
        pid = teller.done(store, command)[0][0]
        teller.say(run=[f"run{number}", pid, number, 2 + number])
        pids.append(pid)
    give_up = time.monotonic() + PATIENCE_SECONDS
    for pid in pids:
        while (data := teller.trying(lambda pid=pid: store.result(pid))) is None:  # type: ignore[misc]
            if interpreter.failure is not None:
                interpreter.stop(5)
                teller.refused(interpreter.failure)
            if time.monotonic() > give_up:
                teller.say(trouble=f"process {pid} does not end: {store.process(pid)}")
                raise Ended
            time.sleep(PAUSE_SECONDS)
        teller.say(result=[pid, decode_value(data)])
    interpreter.stop()
    store.close()


def attached(folder: Path, say: Say) -> None:
    """One process owns the store, another one is attached: calls of their socket fail, or one of the two ends."""
    claims_ready, ready = os.pipe()
    finish, finished = os.pipe()
    owner = os.fork()
    if owner == 0:
        os.close(finished)
        code = 1
        try:
            store = open_store(folder / "store")
            Teller(say).done(store, PutArtifact(HASH, b"code", "p"))
            os.write(ready, b"x")
            os.read(finish, 1)
            store.close()
            code = 0
        except BaseException:
            say(trouble=traceback.format_exc()[-900:])
        finally:
            os._exit(code)
    os.close(finish)
    os.close(ready)
    os.read(claims_ready, 1)
    teller = Teller(say)
    try:
        store = teller.trying(lambda: open_store(folder / "store"))
        pid = teller.done(store, Start("f", b"", name="p", id="posts"))[0][0]
        say(started=["posts", pid])
        for number in range(1, POSTS + 1):
            teller.done(store, Post(pid, "message", b"%d " % number + b"x" * 3000))
            say(posted=[pid, number])
        store.close()
        say(finished=True)
    except Ended:
        say(ended=ENDED)
    os.close(finished)
    os.waitpid(owner, 0)


posting = supervised(post_once)
serving = supervised(serve_once)

SCENARIOS: dict[str, Callable[[Path, Say], None]] = {"posting": posting, "serving": serving, "attached": attached}

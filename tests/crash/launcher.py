"""Starts the processes of the crash tests: one that has imported everything, which forks each of them.

A fork is an operating system process like any other, with its own memory, sockets and locks; it dies of SIGKILL like
any other.  What it saves is half a second of imports for each of some hundred starts.

Orders are lines of JSON on standard input, answers lines on standard output:
    {"start": [script or command, arguments...], "folder", "environment", "log", "out"}  ->  pid
        `log` is for standard error, and for standard output where `out` is null; `file_bytes`, if given, is the
        largest size of a file that it may write, which fails as a full disk does
    {"poll": pid}  ->  null while it runs, else its exit code (negative: the signal that ended it)
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import signal
import sys
import traceback
from typing import Any

#: What the processes will need.  Nothing of it starts a thread or opens a file when it is imported.
import flowmetal.cli.flowc
import flowmetal.cli.flowvm
import flowmetal.cli.serving
import flowmetal.client.over_http
import flowmetal.client.worker


def child(order: dict[str, Any], inherited: int) -> None:
    """Becomes what was asked for."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    out = log
    if order["out"] is not None:
        out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 1)
    os.dup2(log, 2)
    if order["file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"], resource.RLIM_INFINITY))
    os.closerange(3, inherited)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    what, *arguments = order["start"]
    sys.argv = [what, *arguments]
    if what == "flowvm":
        flowmetal.cli.flowvm.main()
    elif what == "flowc":
        flowmetal.cli.flowc.main()
    else:
        runpy.run_path(what, run_name="__main__")


def start(order: dict[str, Any]) -> int:
    """Forks; the pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        child(order, 256)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test, which ends us
    started: set[int] = set()
    ended: dict[int, int] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if "start" in order:
            pid = start(order)
            started.add(pid)
            answer: int | None = pid
        else:
            pid = order["poll"]
            if pid not in ended:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    ended[pid] = os.waitstatus_to_exitcode(status)
            answer = ended.get(pid)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in started - set(ended):  # a test that failed or was cut off leaves nothing running
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()

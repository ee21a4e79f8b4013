"""A private PostgreSQL cluster for a run: made with the machine's own programs, all settings at their defaults.

It listens on 127.0.0.1 at a free port, and is stopped and removed at the end.  PostgreSQL does not run as root; a run
by root gives it to the user `postgres`, or `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

#: Where Debian keeps what it does not put on the path.
PLACES = "/usr/lib/postgresql/*/bin"
OWNERS = ("postgres", "nobody")


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, of the newest version there is."""
    found = [Path(path).resolve().parent for path in [shutil.which("pg_ctl")] if path]
    found += sorted(Path("/").glob(PLACES.lstrip("/")), key=lambda path: path.parent.name, reverse=True)
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Cluster:
    """A cluster that runs as long as the block does.  `url` is that of its first database, `pid` its postmaster."""

    def __init__(self, folder: Path) -> None:
        found = programs()
        if found is None:
            raise RuntimeError("PostgreSQL is not on this machine")
        self._programs = found
        self._owner = None
        if os.geteuid() == 0:
            self._owner = next(pwd.getpwnam(name) for name in OWNERS if _is_user(name))
        # The path of a socket is short, and the owner has to reach the folder.
        self._place = Path(tempfile.mkdtemp(prefix="flowmetal-pg-", dir=folder if self._owner is None else None))
        self.data = self._place / "data"
        self.port = free_port()
        self.pid = 0

    @property
    def url(self) -> str:
        return f"postgresql://bench@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Cluster:
        if self._owner is not None:
            os.chown(self._place, self._owner.pw_uid, self._owner.pw_gid)
        options = f"-p {self.port} -k {self._place} -c listen_addresses=127.0.0.1"
        self._run("initdb", "-D", str(self.data), "-A", "trust", "-U", "bench", "--no-locale", "-E", "UTF8")
        log = str(self._place / "log")
        self._run("pg_ctl", "-D", str(self.data), "-l", log, "-o", options, "-w", "start")
        self.pid = int((self.data / "postmaster.pid").read_text().split()[0])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self._place, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        owner = self._owner
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            user=owner.pw_uid if owner is not None else None,
            group=owner.pw_gid if owner is not None else None,
            extra_groups=[] if owner is not None else None,
            cwd=self._place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: {(done.stdout or '')[-300:]}")


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True

"""Where the things that Flowmetal is compared with are installed: environments under build/peers.

`make bench-peers`, or `python -m benchmarks.environments [NAME ...]`, makes them from the ordinary package indexes.
What cannot be installed is noted with the reason, and shown in the tables as not installed.  PostgreSQL is not
installed here: where its programs are on the machine, peers/postgres.py makes a cluster of its own with them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "peers"

#: Languages compared on pure code, by the module whose presence says that they are there.
LISPS = ("hy", "basilisp")

#: What goes into each environment: of Python, and of Node.
PACKAGES: dict[str, tuple[str, ...]] = {
    "lisps": LISPS,
    "dbos": ("dbos", "psycopg[binary]"),
    "restate": ("restate-sdk", "hypercorn"),
    "absurd": ("absurd-sdk", "absurdctl", "psycopg[binary]"),
}
NODE_PACKAGES: dict[str, tuple[str, ...]] = {
    "node": ("@restatedev/restate-server", "@restatedev/restate-sdk"),
}

#: The server of Restate, which its npm package brings for each kind of machine.
RESTATE_SERVER = "node_modules/@restatedev/restate-server-*/bin/restate-server"


def python_of(environment: str, module: str) -> Path | None:
    """The Python of an environment in which a module can be imported, or None."""
    python = HOME / environment / "bin" / "python"
    if not python.exists():
        return None
    found = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
    return python if found.returncode == 0 else None


def reasons() -> dict[str, str]:
    """Why an environment is not there, by its name, as the last attempt to make it noted."""
    notes = HOME / "reasons.json"
    found: dict[str, str] = json.loads(notes.read_text()) if notes.exists() else {}
    return found


def restate_server() -> Path | None:
    """The program that is Restate's server, or None."""
    return next(iter(sorted((HOME / "node").glob(RESTATE_SERVER))), None)


def make(environment: str) -> str:
    """Makes an environment; the reason why it could not be made, or ""."""
    folder = HOME / environment
    folder.mkdir(parents=True, exist_ok=True)
    if environment in NODE_PACKAGES:
        if shutil.which("npm") is None:
            return "there is no npm on this machine"
        commands = [["npm", "install", "--silent", "--prefix", str(folder), *NODE_PACKAGES[environment]]]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(folder)],
            [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *PACKAGES[environment]],
        ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
            return lines[-1][:300] if lines else f"{command[0]} ended with {done.returncode}"
    return ""


def main() -> None:
    noted = reasons()
    for environment in sys.argv[1:] or [*PACKAGES, *NODE_PACKAGES]:
        reason = make(environment)
        print(f"{environment}: {reason or 'installed'}", flush=True)
        noted.pop(environment, None)
        if reason:
            noted[environment] = reason
    (HOME / "reasons.json").write_text(json.dumps(noted, indent=1) + "\n")


if __name__ == "__main__":
    main()

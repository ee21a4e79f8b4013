"""Where the things that Flowmetal is compared with are installed: virtual environments under build/peers.

`python -m benchmarks.environments NAME ...` makes them (all without a name) from the ordinary package index.  What
cannot be installed is noted with the reason, and shown in the tables as not installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "peers"

#: Languages compared on pure code, by the module whose presence says that they are there.
LISPS = ("hy", "basilisp")

#: What goes into each environment.
PACKAGES: dict[str, tuple[str, ...]] = {
    "lisps": LISPS,
}


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


def make(environment: str) -> str:
    """Makes an environment; the reason why it could not be made, or ""."""
    folder = HOME / environment
    HOME.mkdir(parents=True, exist_ok=True)
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
    for environment in sys.argv[1:] or PACKAGES:
        reason = make(environment)
        print(f"{environment}: {reason or 'installed'}")
        noted.pop(environment, None)
        if reason:
            noted[environment] = reason
    HOME.mkdir(parents=True, exist_ok=True)
    (HOME / "reasons.json").write_text(json.dumps(noted, indent=1) + "\n")


if __name__ == "__main__":
    main()

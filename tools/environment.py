"""Makes the virtual environment .venv and installs the project into it: `python3 tools/environment.py [dev]`.

Works on a bare Debian, where `python3 -m venv` cannot install pip: then pip's own wheel is fetched from the package
index, checked against the index's hash, and run from the file.  Does nothing when .venv is newer than what it is made
of.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
INDEX = "https://pypi.org/simple/pip/"


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - what runs this may be any Python
        raise SystemExit(f"flowmetal needs Python 3.11 or later; this is {sys.version.split()[0]}")
    development = "dev" in sys.argv[1:]
    stamp = ENVIRONMENT / ("stamp-dev" if development else "stamp")
    newest = max(path.stat().st_mtime for path in sources())
    if stamp.exists() and stamp.stat().st_mtime >= newest:
        return
    print(f"environment: {ENVIRONMENT}", file=sys.stderr)
    pip = make_environment()
    target = f"{ROOT}[dev]" if development else str(ROOT)
    how = ["--editable"] if is_editable() else []  # whoever has installed it so goes on with the sources themselves
    run([*pip, "install", "--quiet", "--disable-pip-version-check", *how, target])
    stamp.touch()


def is_editable(environment: Path = ENVIRONMENT) -> bool:
    """Whether the project was installed there with `pip install -e`."""
    for about in environment.glob("lib/python*/site-packages/flowmetal-*.dist-info/direct_url.json"):
        if json.loads(about.read_text()).get("dir_info", {}).get("editable"):
            return True
    return False


def sources() -> list[Path]:
    """What an installed copy depends on."""
    return [
        ROOT / "pyproject.toml",
        *(ROOT / "flowmetal").rglob("*.py"),
        *(ROOT / "stdlib").rglob("*.fm"),
        *(ROOT / "tools").glob("*.py"),
    ]


def make_environment() -> list[str]:
    """The command that runs pip for .venv."""
    if not PYTHON.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], capture_output=True, check=False)
        if made.returncode != 0:
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            run([sys.executable, "-m", "venv", "--without-pip", str(ENVIRONMENT)])
    if subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        return [str(PYTHON), "-m", "pip"]
    return [str(PYTHON), str(fetch_pip() / "pip")]


def fetch_pip() -> Path:
    """pip's newest wheel for this Python, checked against the hash that the index gives."""
    request = urllib.request.Request(INDEX, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    newest = max((file for file in files if is_fit(file)), key=version)
    target = ENVIRONMENT / newest["filename"]
    with urllib.request.urlopen(newest["url"], timeout=60) as answer:
        data = answer.read()
    if hashlib.sha256(data).hexdigest() != newest["hashes"]["sha256"]:
        raise SystemExit("environment: the wheel of pip does not have the hash that the index gives")
    target.write_bytes(data)
    return target


def is_fit(file: dict[str, Any]) -> bool:
    """Whether a file of the index is the wheel of a release that runs on this Python."""
    if not re.fullmatch(r"pip-[0-9.]+-py3-none-any\.whl", file["filename"]) or file.get("yanked"):
        return False
    least = re.fullmatch(r">=3\.(\d+)", file.get("requires-python") or ">=3.0")
    return least is not None and sys.version_info >= (3, int(least[1]))


def version(file: dict[str, Any]) -> list[int]:
    """The version in the name of a wheel, as numbers."""
    return [int(part) for part in file["filename"].split("-")[1].split(".")]


def run(command: list[str]) -> None:
    if subprocess.run(command, check=False, env={**os.environ, "PIP_NO_INPUT": "1"}).returncode != 0:
        raise SystemExit(f"environment: failed: {' '.join(command)}")


if __name__ == "__main__":
    main()

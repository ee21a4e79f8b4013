"""What other processes of the same user see of the server, and what is taken out of what they send back."""

from __future__ import annotations

import base64
import inspect
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from driver import Driver

from flowmetal.connectors.secrets import Secrets
from flowmetal.server import HttpServer, read_config, shielding
from flowmetal.store import keys

LOOKS = r"""
import subprocess
look = ["sh", "-c", "tr '\\0' '\\n' </proc/$PPID/environ"]
before = subprocess.run(look, capture_output=True, text=True)
done = shield()
after = subprocess.run(look, capture_output=True, text=True)
own = subprocess.run(["sh", "-c", "tr '\\0' '\\n' </proc/$$/environ"], capture_output=True, text=True)
print("TOLD=4711" in before.stdout, done, "TOLD=4711" in after.stdout, "TOLD=4711" in own.stdout)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
def test_a_command_does_not_see_the_servers_environment() -> None:
    # The superuser sees everything, so it looks as somebody else, who may not reach this Python or its folders.
    more: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    source = inspect.getsource(shielding) + LOOKS
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            ran = subprocess.run(
                [python, "-I", "-c", source],
                env={"PATH": os.defpath, "TOLD": "4711"}, cwd="/", capture_output=True, text=True, timeout=60, check=False,
                **more,
            )  # fmt: skip
        except OSError:
            continue
        if "Fatal Python error" not in ran.stderr:
            assert ran.stdout == "True True False True\n", ran.stderr
            return
    pytest.skip("nobody but the superuser has a Python here")


def test_the_servers_own_secrets_are_known(caplog: pytest.LogCaptureFixture) -> None:
    config = read_config(
        {
            "serve": {"port": 0, "token_env": "T"},
            "endpoints": {
                "one": {"scheme": "github", "start": "a/b", "secret_env": ["E1", "E2"]},
                "short": {"scheme": "github", "start": "a/b", "secret_env": "E3"},
            },
        }
    )
    environment = {
        "T": "token-of-the-api",
        "E1": "first-of-the-endpoint",
        "E2": "second-of-the-endpoint",
        "E3": "short",
    }
    secrets = Secrets({}, environment)
    caplog.set_level(logging.WARNING)
    HttpServer(Driver().store, config, environment=environment, secrets=secrets).give_up()
    shown = secrets.redactor.text("token-of-the-api, first-of-the-endpoint, second-of-the-endpoint, short")
    assert shown == "#secret[flowmetal:token], #secret[endpoint:one], #secret[endpoint:one:2], short"
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("endpoint:short has fewer than 8 characters") and "short" not in warning[15:]


def test_who_asks_is_told_of_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes] = []
    monkeypatch.setattr(keys, "told", [told.append])
    key = bytes(range(32))
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(base64.b64encode(key))
    path.chmod(0o600)
    assert keys.KeySource("file", str(path)).fetch() == key
    assert told == [key]

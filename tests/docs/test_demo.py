"""The demo, interrupted: every process that it started ends, its folder is gone, and nobody sees a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from doc_blocks import ROOT

#: The demo with another story: a child that sleeps.
SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
sys.path.insert(0, "examples/deploy")
import demo
demo.PORTS = ()
def run(made):
    child = made.background(sys.executable, "-c", "import time; time.sleep(600)")
    print(child.pid, made.folder, flush=True)
    time.sleep(600)
demo.run = run
demo.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child, folder = process.stdout.readline().split()
        process.send_signal(number)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in errors
    assert not Path(folder).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)

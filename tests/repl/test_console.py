"""The prompt in a terminal, used as a person uses it: through a pseudo terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmetal.engine.session import incomplete

ROOT = Path(__file__).resolve().parent.parent.parent


def own_terminal() -> None:
    """Makes standard input the terminal that Ctrl-C comes from."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A `flowvm repl` in a terminal of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.master, slave = pty.openpty()
        environment = {
            **os.environ,
            "TERM": "dumb",
            "NO_COLOR": "1",
            "XDG_STATE_HOME": str(folder),
            "PYTHONPATH": str(ROOT),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flowmetal.cli.flowvm", "repl", *options],
            stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=folder, start_new_session=True,
            preexec_fn=own_terminal,  # noqa: PLW1509 (there are no threads yet)
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def until(self, wanted: str, seconds: float = 30) -> str:
        """What comes up to and with a text."""
        deadline = time.monotonic() + seconds
        while wanted not in self.text:
            left = deadline - time.monotonic()
            assert left > 0, f"no {wanted!r} in {self.text!r}"
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.text += os.read(self.master, 65536).decode("utf-8", "replace")
                except OSError:
                    raise AssertionError(f"the prompt ended: {self.text!r}") from None
        before, _, self.text = self.text.partition(wanted)
        return before + wanted

    def type(self, text: str) -> None:
        """Types a line, or with control characters whatever they do."""
        os.write(self.master, text.encode())

    def close(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    made.until("user=> ")
    yield made
    made.close()


def test_a_person_at_the_prompt(terminal: Terminal, tmp_path: Path) -> None:
    terminal.type("(defn twice\n")
    terminal.until(".. ")
    terminal.type('  "Two times."\n')
    terminal.until(".. ")
    terminal.type("  [x] (* 2 x))\n")
    terminal.until("user/twice")
    terminal.until("user=> ")
    terminal.type("(twice 21)\n")
    terminal.until("\r\n42")
    terminal.type("(shcedule 1)\n")
    assert "^^^^^^^^" in terminal.until("[A101]") + terminal.until("user=> ")
    terminal.type('(twice "a")\n')
    assert ":type" in terminal.until("at user/twice")
    terminal.until("user=> ")
    terminal.type("(doc twice)\n")
    terminal.until("Two times.")
    terminal.until("user=> ")
    terminal.type('(println "seen") (loop [] (recur))\n')
    terminal.until("\r\nseen")
    terminal.type("\x03")
    terminal.until("interrupted")
    terminal.until("user=> ")
    terminal.type("(twice 4)\n")
    terminal.until("\r\n8")
    terminal.until("user=> ")
    for _ in range(40):  # until the prompt is in the state that takes it
        terminal.type("\x04")
        try:
            terminal.process.wait(0.5)
            break
        except subprocess.TimeoutExpired:
            continue
    assert terminal.process.returncode == 0
    assert "(twice 21)" in (tmp_path / "flowmetal" / "history").read_text()


def test_a_person_answers_an_effect(terminal: Terminal) -> None:
    terminal.type("(inc (perform :shop/price {:item 1}))\n")
    terminal.until("shop/price {:item 1}")
    terminal.until("fail it> ")
    terminal.type("41\n")
    terminal.until("\r\n42")
    terminal.until("user=> ")
    terminal.type("(perform :shop/price 1)\n")
    terminal.until("fail it> ")
    terminal.type("! sold out\n")
    terminal.until("sold out")
    terminal.until(":flowmetal/denied sold out")
    terminal.until("user=> ")


def test_what_is_incomplete() -> None:
    assert [one for one in ("(", "(a [", '"a', '(str "a\nb', '#"x') if not incomplete(one)] == []
    assert [one for one in ("", "1", "(a)", ")", "(]", '"a"', "(a)) (") if incomplete(one)] == []


def test_lines_from_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flowmetal.cli.flowvm", "repl"], input="(+ 1\n2)\n(foo)\n*1\n", capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "3\n" in done.stdout and "[A101]" in done.stdout and done.stderr == ""


def test_only_the_loopback_address() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flowmetal.cli.flowvm", "nrepl", "--host", "0.0.0.0"], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0 and "[U124]" in done.stderr

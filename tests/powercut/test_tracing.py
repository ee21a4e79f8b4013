"""The tracer: what it sees, and what it can have happen.  Each case in a process of its own."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.tracing.ptrace import Answer, Call, Change, Fail, Pretend, Tracer, why_not
from tests.tracing.recorder import CALLS, Recorder, Rename, Said, Sync, Write

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("case", ["injecting", "recording", "killed"])
def test_tracing(case: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.powercut.test_tracing", case, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.stdout.startswith("skipped"):
        pytest.skip(done.stdout)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stdout + done.stderr


def injecting(folder: Path) -> None:
    """A call fails, is cut short, is made and said to have failed; those of other threads too."""
    answers: list[Answer] = [None, Fail(errno.ENOSPC), Change(2, 3), Pretend(errno.EIO)]
    path = folder / "file"

    def before(call: Call) -> Answer:
        return answers.pop(0) if call.name == "pwrite64" else None

    def work() -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        assert os.pwrite(file, b"abcdef", 0) == 6
        failed = []

        def write() -> None:
            try:
                os.pwrite(file, b"x", 0)
            except OSError as error:
                failed.append(error.errno)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert failed == [errno.ENOSPC]
        assert os.pwrite(file, b"123456", 6) == 3
        try:
            os.pwrite(file, b"z", 0)
        except OSError as error:
            assert error.errno == errno.EIO
            return
        raise AssertionError("it did not fail")

    assert Tracer(work, ["pwrite64"], before).run() == 0
    assert path.read_bytes() == b"zbcdef123" and not answers


def recording(folder: Path) -> None:
    """What a process and its child do to a folder; nothing of what it does elsewhere."""
    root = folder / "root"
    root.mkdir()
    recorder = Recorder(root, folder / "said")

    def work() -> None:
        said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT)
        (folder / "elsewhere").write_bytes(b"x")
        (root / "new").mkdir()
        file = os.open(root / "new" / "file", os.O_RDWR | os.O_CREAT)
        os.write(file, b"ab")
        os.writev(file, [b"c", b"de"])
        os.fsync(file)
        child = os.fork()
        if child == 0:
            os.pwrite(file, b"X", 1)
            os._exit(0)
        os.waitpid(child, 0)
        os.write(said, b"done\n")
        os.rename(root / "new", root / "named")
        os.unlink(root / "named" / "file")
        synced = os.open(root / "named" / "other", os.O_RDWR | os.O_CREAT | os.O_DSYNC)
        os.write(synced, b"y")

    assert Tracer(work, CALLS, recorder.before, recorder.after).run() == 0
    kinds = [type(event) for event in recorder.events]
    assert kinds == [Rename, Rename, Write, Write, Sync, Write, Said, Rename, Rename, Rename, Write], kinds
    writes = [event for event in recorder.events if isinstance(event, Write)]
    assert [(w.offset, w.data, w.durable) for w in writes] == [
        (0, b"ab", False), (2, b"cde", False), (1, b"X", False), (0, b"y", True),
    ]  # fmt: skip
    assert list(recorder.tree.entries["named"].entries) == ["other"]


def killed(folder: Path) -> None:
    """A write during which its process was killed is recorded as far as it is in the file."""
    root = folder / "root"
    root.mkdir()
    recorder = Recorder(root, folder / "said")

    def after(call: Call) -> None:
        raise AssertionError("it was killed before")

    def work() -> None:
        file = os.open(root / "file", os.O_RDWR | os.O_CREAT)
        os.pwrite(file, b"abc", 0)
        raise AssertionError("it goes on")

    def before(call: Call) -> Answer:
        answer = recorder.before(call)
        if call.name == "pwrite64":
            os.kill(call.thread, 9)
        return answer

    def after_all(call: Call) -> None:
        if call.name == "pwrite64":
            after(call)
        recorder.after(call)

    assert Tracer(work, CALLS, before, after_all, lost=recorder.lost).run() == -9
    written = (root / "file").read_bytes()
    assert [event.data for event in recorder.events if isinstance(event, Write)] in ([written], []), recorder.events


if __name__ == "__main__":
    reason = why_not()
    if reason:
        print("skipped:", reason)
        sys.exit()
    {"injecting": injecting, "recording": recording, "killed": killed}[sys.argv[1]](Path(sys.argv[2]))
    print("fine")

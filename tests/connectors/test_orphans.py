"""What commands leave behind is killed, whatever it hides from; and nothing else is."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")

#: In a process of its own, as it would adopt what other tests leave.
HEAD = """
import asyncio, os, subprocess, time
from flowmetal.connectors import orphans
from flowmetal.connectors.commands import Command, execute, sweep

def alive(text):
    text += f"{os.getpid():07}"
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                line = open(f"/proc/{name}/cmdline", "rb").read().replace(bytes(1), b" ").decode()
            except OSError:
                continue
            if line.startswith("sleep " + text):
                found.append(int(name))
    return found

def until(look):
    end = time.monotonic() + 20
    while not look():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)

def sh(script, mark="m", **more):
    mark = f"{os.getpid()}-{mark}"  # others run these tests at the same time
    path = {"PATH": os.environ["PATH"], "MARK": mark}
    return execute(Command(("sh", "-c", script), path, mark=f"MARK={mark}", **more))

# Of who started the server, before it adopted anything.
before = subprocess.Popen(["sleep", "41.1706"], start_new_session=True)
time.sleep(0.05)
assert orphans.adopt() and orphans.adopts()
"""

TAIL = """
assert before.poll() is None
before.kill()
"""

HIDES = 'N=$(printf %07d $PPID); env -i PATH=$PATH setsid sh -c "sleep {0}$N & sleep {0}$N" >/dev/null 2>&1 </dev/null & sleep 0.2; '


def run(body: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", HEAD + body + TAIL], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("end", ["exit 3", "kill -9 $$", "sleep 60"])
def test_what_has_hidden_is_killed(end: str) -> None:
    run(f"""
script = {HIDES.format("41.1701")!r} + {end!r}
async def main():
    try:
        ended = await sh(script, seconds=1.0)
        assert ended.exit == 3 or ended.signal == 9, ended
    except TimeoutError:
        assert "60" in script
asyncio.run(main())
until(lambda: not alive("41.1701"))
sweep(0, None)
zombies = [child for child in os.popen("ps -o stat= --ppid " + str(os.getpid())).read().split() if "Z" in child]
assert not zombies, zombies
""")


def test_what_a_command_that_runs_may_need_is_left_to_it() -> None:
    run(f"""
async def main():
    long = asyncio.ensure_future(sh({HIDES.format("41.1702")!r} + "sleep 4; exit 7", "long"))
    while len(alive("41.1702")) < 2:
        await asyncio.sleep(0.02)
    for number in range(5):
        assert (await sh(f"sleep 0.05; exit {{number}}", f"short{{number}}")).exit == number
        assert len(alive("41.1702")) == 2
    # One that begins later is over before: its own orphan waits for the command that may have made it.
    await sh({HIDES.format("41.1703")!r}, "later")
    assert (await long).exit == 7
asyncio.run(main())
until(lambda: not alive("41.1702") and not alive("41.1703"))
""")


def test_many_at_once_end_as_they_do() -> None:
    run(f"""
async def main():
    async def one(number):
        ended = await sh({HIDES.format("41.1704")!r} + f"echo {{number}}; exit {{number % 50}}", f"n{{number}}")
        assert (ended.exit, ended.out) == (number % 50, f"{{number}}\\n".encode()), ended
    for round in range(3):
        await asyncio.gather(*(one(number) for number in range(12)))
    own = subprocess.Popen(["sleep", "41.1705"])  # another child of the server, in its own session
    await sh("exit 0")
    assert own.poll() is None
    own.kill()
    assert own.wait() == -9
asyncio.run(main())
until(lambda: not alive("41.1704"))
""")


def test_without_adoption_nothing_is_looked_for() -> None:
    run("""
orphans._adopts = False
assert orphans.to_kill([orphans.Child(1, False, 1, 1)]) == []
""")

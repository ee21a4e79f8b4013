"""The image is the whole state: restored after every instruction, a program does the same to the byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowmetal.diagnostics import CompileFailed
from tests.vm import kit
from tests.vm.programs import PROGRAMS

GOLDEN = sorted((Path(__file__).parent.parent / "golden" / "programs").rglob("*.fm"))
#: Programs that take this much fuel or more are not restored after every instruction, but RESTORES times.
LONG = 400
RESTORES = 3


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_programs_come_to(name: str) -> None:
    source, expected = PROGRAMS[name]
    if expected is not None:
        assert kit.run(source).outcome == expected


@pytest.mark.parametrize("name", PROGRAMS)
def test_restored_after_every_instruction(name: str) -> None:
    same_everywhere(PROGRAMS[name][0])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden_programs_restored(path: Path) -> None:
    source = path.read_text()
    try:
        kit.artifact(source)
    except CompileFailed:
        return  # a program about compile-time errors
    same_everywhere(source)


def same_everywhere(source: str) -> None:
    """Value, effects, and the canonical image at each effect, undisturbed and restored."""
    plain = kit.run(source, images=True)
    if plain.fuel < LONG:
        disturbed = kit.run(source, images=True, restore_every=1)
    else:
        disturbed = kit.run(source, images=True, restore_every=1, fuel=plain.fuel // RESTORES + 1, stepping=False)
    assert disturbed.outcome == plain.outcome
    assert disturbed.log == plain.log
    assert disturbed.images == plain.images


def test_images_do_not_depend_on_the_hash_seed() -> None:
    script = (
        "import hashlib\n"
        "from tests.vm import kit\nfrom tests.vm.programs import PROGRAMS\n"
        "digest = hashlib.sha256()\n"
        "for name, (source, _) in PROGRAMS.items():\n"
        "    done = kit.run(source)\n"
        "    for segment in done.segments:\n        digest.update(segment)\n"
        "print(digest.hexdigest())\n"
    )
    seen = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
            cwd=Path(__file__).parent.parent.parent,
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout.strip())
    assert len(seen) == 1

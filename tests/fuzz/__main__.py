"""`python -m tests.fuzz TARGET... --seconds N --corpus DIR`: coverage-guided fuzzing with atheris.

Without targets: all of them, one after the other, each for its share of the seconds.  What is found new is kept under
the corpus (usually build/fuzz); `--keep` puts the smallest inputs that reach something of their own into
tests/fuzz/corpus, which the tests replay.  The last line has the figures; an input that breaks something is written
beside the corpus, and the line that repeats it is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.replay import CORPUS, SECONDS, bounded
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]

#: Bytes that are kept of each target, and megabytes that the process of one may have.
KEPT_BYTES = 38_000
RSS_MB = 1500
_DONE = re.compile(r"Done (\d+) runs")
_COVERED = re.compile(r"cov: (\d+)")


def main() -> int:
    """The exit code: 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="of " + ", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=600, help="for all of them together")
    parser.add_argument("--corpus", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="put the smallest new inputs into tests/fuzz/corpus")
    parser.add_argument("--input", type=Path, help="run one input and nothing else")
    given = parser.parse_args()
    names = given.targets or list(TARGETS)
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"there is no target {unknown[0]}; there are {', '.join(TARGETS)}")
    if given.input is not None:
        bounded(names[0], given.input.name, given.input.read_bytes())
        print(f"{names[0]}: nothing wrong with {given.input}")
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install 'flowmetal[fuzz]', in Python 3.11")
        return 2
    began = time.monotonic()
    runs = broken = 0
    parts = []
    for name in names:
        done, covered, found = fuzz(name, max(1, given.seconds // len(names)), given.corpus, given.seed)
        runs, broken = runs + done, broken + found
        parts.append(f"{name} {done:,} runs, coverage {covered:,}")
        print(parts[-1] + (f", {found} broken" if found else ""), flush=True)
        if given.keep and not found:
            keep(name, given.corpus)
    print(
        f"{runs:,} inputs over {len(names)} targets, {broken} broken (over {SECONDS:g} s or {RSS_MB} MB, or an exception that is "
        f"not documented); seed {given.seed}, {time.monotonic() - began:.0f} s"
    )
    return 1 if broken else 0


def fuzz(name: str, seconds: int, corpus: Path, seed: int) -> tuple[int, int, int]:
    """Fuzzes one target -> inputs run, places covered, inputs that broke something (libFuzzer ends at the first)."""
    folder, wrong = corpus / name, corpus / f"{name}-broken"
    folder.mkdir(parents=True, exist_ok=True)
    wrong.mkdir(exist_ok=True)
    for number, data in enumerate(TARGETS[name].seeds()):
        (folder / f"seed-{number}").write_bytes(data)
    words = corpus / f"{name}.words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in TARGETS[name].words))
    before = set(wrong.iterdir())
    command = [
        sys.executable, "-m", "tests.fuzz.driver", name, str(folder), *([str(CORPUS / name)] if (CORPUS / name).is_dir() else []),
        f"-max_total_time={seconds}", f"-seed={seed}", f"-rss_limit_mb={RSS_MB}", f"-timeout={SECONDS * 10:.0f}",
        f"-max_len={TARGETS[name].longest}", f"-artifact_prefix={wrong}/", "-print_final_stats=0",
        *([f"-dict={words}"] if TARGETS[name].words else []),
    ]  # fmt: skip
    # Through a shell: the peak of memory that libFuzzer looks at would begin with that of this process.
    command = ["sh", "-c", '"$@"; exit $?', "sh", *command]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    found = sorted(set(wrong.iterdir()) - before)
    done = [int(number) for number in _DONE.findall(said.stderr)]
    pulses = [int(number) for number in re.findall(r"^#(\d+)", said.stderr, re.MULTILINE)]
    covered = [int(number) for number in _COVERED.findall(said.stderr)]
    if said.returncode and not found:
        print(said.stderr[-3000:], file=sys.stderr)
        raise SystemExit(f"{name}: the fuzzer ended with {said.returncode}")
    for path in found:
        print(said.stdout[-1500:] + "\n" + "\n".join(said.stderr.splitlines()[-40:]), file=sys.stderr)
        print(f"python -m tests.fuzz {name} --input {path}")
    return max(done + pulses, default=0), max(covered, default=0), len(found)


def keep(name: str, corpus: Path) -> None:
    """Keeps the inputs that together reach what all do, the small ones first, as far as there is room."""
    target = CORPUS / name
    target.mkdir(parents=True, exist_ok=True)
    named = {path.name: path.read_bytes() for path in target.iterdir() if path.name.startswith("found-")}
    found = sorted({path.read_bytes() for folder in (corpus / name, target) for path in folder.iterdir()}, key=_order)
    seen: set[tuple[str, int, int]] = set()
    for data in (*TARGETS[name].seeds(), *named.values()):
        seen |= reached(name, data)
    for path in target.iterdir():
        path.unlink()
    room = KEPT_BYTES
    for data in found:
        new = reached(name, data) - seen if len(data) <= room else set()
        if new:
            seen |= new
            room -= len(data)
            named[hashlib.sha256(data).hexdigest()[:12]] = data
    for label, data in named.items():
        (target / label).write_bytes(data)


def reached(name: str, data: bytes) -> set[tuple[str, int, int]]:
    """The steps from line to line of Flowmetal that an input takes."""
    steps: set[tuple[str, int, int]] = set()
    lines: dict[int, int] = {}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        file = frame.f_code.co_filename
        if "flowmetal" not in file:
            return None
        if event == "line":
            steps.add((file, lines.get(id(frame), 0), frame.f_lineno))
            lines[id(frame)] = frame.f_lineno
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        TARGETS[name].run(data)
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    return steps


def _order(data: bytes) -> tuple[int, bytes]:
    return len(data), data


def _escaped(word: str) -> str:
    return "".join(
        c if c.isalnum() or c in " ./:=_-+#,~*[]" else "".join(f"\\x{b:02x}" for b in c.encode()) for c in word
    )


if __name__ == "__main__":
    sys.exit(main())

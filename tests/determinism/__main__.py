"""Every byte is the same everywhere: `python -m tests.determinism --programs 1000`.

Generated programs are compiled and run, with an image after every step, in processes with PYTHONHASHSEED 0 to 7 and in
every other Python that is found and has the packages; all must print the same hashes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

#: The programs that one process does before another one takes its place.
CHUNK = 100

#: What a process runs.
WORK = "tests.determinism.work"

#: What a Python must be able to import.
PACKAGES = "import sys, msgpack, ply, re2; assert sys.version_info >= (3, 11)"

#: Names under which other Pythons are looked for on the path, in $FLOWMETAL_PYTHONS and in build/pythons.
NAMES = ("python3.11", "python3.12", "python3.13", "python3.14")


def pythons(given: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """(version, path) of each further Python that can be used, each version once; and those that cannot, with ""."""
    seen = {_version(sys.executable)}
    listed = [*given, *os.environ.get("FLOWMETAL_PYTHONS", "").split(os.pathsep)]
    listed += [str(path) for path in sorted(Path("build/pythons").glob("*/bin/python"))]
    listed += [found for name in NAMES if (found := shutil.which(name)) is not None]
    for path in listed:
        version = _version(path) if path else ""
        if not version or version in seen:
            continue
        if subprocess.run([path, "-c", PACKAGES], capture_output=True, check=False).returncode == 0:
            seen.add(version)
            yield version, path


def _version(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"], capture_output=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def lines(python: str, hash_seed: int, first: int, count: int, module: str = WORK) -> list[str]:
    """What one process prints."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    command = [python, "-m", module, str(first), str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr.decode()[-2000:]}")
    return done.stdout.decode().splitlines()


def compare(
    first: int, count: int, places: Sequence[tuple[str, str, int]], module: str = WORK
) -> tuple[list[str], list[str]]:
    """What differs between places (name, path of a Python, hash seed), and what the first of them printed."""
    found: list[str] = []
    said = [lines(path, seed, first, count, module) for _, path, seed in places]
    for (name, _, seed), other in zip(places[1:], said[1:], strict=True):
        for one, two in zip(said[0], other, strict=True):
            if one != two:
                found.append(f"{name} with PYTHONHASHSEED={seed}: {two}; {places[0][0]} with {places[0][2]}: {one}")
    return found, said[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if all is the same."""
    parser = argparse.ArgumentParser(prog="python -m tests.determinism", description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first program")
    parser.add_argument("--hash-seeds", type=int, default=8, help="so many, from 0 on")
    parser.add_argument("--python", action="append", default=[], help="another Python; those found are used as well")
    asked = parser.parse_args(arguments)
    begun = time.monotonic()
    here = _version(sys.executable)
    places = [(here, sys.executable, seed) for seed in range(asked.hash_seeds)]
    others = list(pythons(asked.python))
    places += [(version, path, 0) for version, path in others]
    differences: list[str] = []
    steps = refused = 0
    for first in range(asked.seed, asked.seed + asked.programs, CHUNK):
        count = min(CHUNK, asked.seed + asked.programs - first)
        found, said = compare(first, count, places)
        differences += found
        steps += sum(int(line.split()[5]) for line in said if "refused" not in line)
        refused += sum("refused" in line for line in said)
        for difference in found[:5]:
            print(
                f"python -m tests.determinism --programs 1 --seed {difference.split(': ')[1].split()[0]}\n  {difference}"
            )
        if differences:
            break
    print(
        f"{asked.programs:,} programs ({refused} refused by the compiler, with the same words), {steps:,} images of steps, "
        f"artifacts and logs in {len(places)} places: Python {here} with PYTHONHASHSEED 0 to {asked.hash_seeds - 1}"
        f"{''.join(f', {version}' for version, _ in others)}; {len(differences)} differences; seed {asked.seed}, "
        f"{time.monotonic() - begun:.0f} s"
    )
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main())

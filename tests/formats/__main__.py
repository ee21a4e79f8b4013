"""`python -m tests.formats`: resumes every store of the corpus with today's code, and says what came of it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.formats.resume import EXPECTED, resume, unpack


def main() -> int:
    """Exit code 1 where a process did not return what it should."""
    argparse.ArgumentParser(prog="python -m tests.formats", description=__doc__).parse_args()
    began = time.monotonic()
    wrong = finished = stores = 0
    formats = set()
    with tempfile.TemporaryDirectory() as folder:
        for version in unpack(Path(folder)):
            stores += 1
            formats.add(json.loads((version / "facts.json").read_text())["format"])
            found = resume(version)
            for name, expected in EXPECTED.items():
                if found.get(name) == expected:
                    finished += 1
                else:
                    wrong += 1
                    print(f"{version.name} {name}: {found.get(name)} instead of {expected}")
    names = ", ".join(map(str, sorted(formats)))
    print(
        f"{stores} stores of formats {names}, {finished} processes finished, {wrong} did not, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Command: generates expressions from a seed, asks both sides, and prints how many agree.  Exits 1 on a disagreement.

Our side is `flowvm eval --jsonl`, Clojure's a JVM; both are processes of their own that get the same lines.

python -m tests.differential.run --seed 1 --count 20000 [--write disagreements.txt] [--only NAME,NAME]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.differential import oracle, ours
from tests.differential.compare import agree, settled
from tests.differential.generator import expressions, signatures


def main() -> int:
    """Runs the command."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--count", type=int, default=20000)
    arguments.add_argument("--only", default="", help="names of functions, with commas between")
    arguments.add_argument("--write", type=Path, help="a file for disagreements: expression, ours, Clojure's")
    asked = arguments.parse_args()
    if not oracle.available():
        print("Clojure is not installed (a JVM and the Debian package `clojure`, or CLOJURE_JAR)")
        return 2
    started = time.monotonic()
    made = expressions(asked.seed, asked.count, set(asked.only.split(",")) if asked.only else None)
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(oracle.ask, made)
        mine = ours.ask(made)
        answers = theirs.result()
    missing = sorted({name for name, _, _ in signatures()} - ours.names())
    swallowed: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    agreed = errors = 0
    different: list[tuple[str, str, str]] = []
    open_: list[tuple[str, str, str]] = []
    for expression, our, their in zip(made, mine, answers, strict=True):
        if agree(our, their):
            agreed += 1
            if our.startswith("!"):
                errors += 1
                kinds[our[1:].partition(" ")[0]] += 1
            continue
        open_.append((expression, our, their))
    for row, found in zip(open_, settled(open_, ours.ask), strict=True):
        if found is not None:
            swallowed[found.name] += 1
        else:
            different.append(row)
    if asked.write:
        lines = [
            f"{expression}\n    ours:    {our[:300]}\n    clojure: {their[:300]}\n"
            for expression, our, their in different
        ]
        asked.write.write_text("".join(lines), encoding="utf-8")
    for expression, our, their in different[:20]:
        print(f"{expression}\n    ours:    {our[:200]}\n    clojure: {their[:200]}")
    print(f"seed {asked.seed}: {len(made)} expressions in {time.monotonic() - started:.0f} s")
    print(
        f"agree {agreed} (of which errors of the same class on both sides {errors}), known {sum(swallowed.values())}, disagree {len(different)}"
    )
    for name, count in sorted(swallowed.items()):
        print(f"  known: {name} {count}")
    if missing:
        print(f"  named here by nobody: {' '.join(missing)}")
    print("  kinds of errors on both sides: " + ", ".join(f"{name} {count}" for name, count in kinds.most_common()))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

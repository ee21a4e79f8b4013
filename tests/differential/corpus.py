"""The corpus: expressions on which the two sides disagreed once, each with Clojure's answer, replayed without a JVM.

python -m tests.differential.corpus FILE    adds the expressions of a file, one a line, that agree now
"""

from __future__ import annotations

import sys
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus.txt")
ARROW = " ;=> "


def rows() -> list[tuple[str, str]]:
    """Expressions and Clojure's answers."""
    found = []
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(";"):
            expression, _, answer = line.rpartition(ARROW)
            found.append((expression, answer))
    return found


def main() -> None:
    """Adds expressions."""
    from tests.differential import oracle, ours
    from tests.differential.compare import agree

    known = {expression for expression, _ in rows()}
    asked = [line for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines() if line and line not in known]
    added = 0
    with CORPUS.open("a", encoding="utf-8") as corpus:
        for expression, our, their in zip(asked, ours.ask(asked), oracle.ask(asked), strict=True):
            if agree(our, their) and "\n" not in their and their.isprintable() and "#object" not in their:
                corpus.write(f"{expression}{ARROW}{their}\n")
                added += 1
    print(f"added {added} of {len(asked)}")


if __name__ == "__main__":
    main()

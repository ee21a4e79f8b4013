"""The corpus: expressions on which the two sides disagreed once, each with Clojure's answer, replayed without a JVM.

python -m tests.differential.corpus FILE    adds the expressions of a file, one a line, that agree now or are known differences
"""

from __future__ import annotations

import re
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
    from tests.differential.compare import agree, settled

    known = {expression for expression, _ in rows()}
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    asked = [line for line in dict.fromkeys(lines) if line and line not in known]
    answers = list(zip(asked, ours.ask(asked), oracle.ask(asked), strict=True))
    open_ = [row for row in answers if not agree(row[1], row[2])]
    meant = {row[0] for row, found in zip(open_, settled(open_, ours.ask), strict=True) if found is not None}
    added = 0
    with CORPUS.open("a", encoding="utf-8") as corpus:
        for expression, our, their in answers:
            if (agree(our, their) or expression in meant) and their.isprintable() and not _CHANGES.search(their):
                corpus.write(f"{expression}{ARROW}{their}\n")
                added += 1
            else:
                print(f"left out: {expression}")
    print(f"added {added} of {len(asked)}")


#: What is another text in each run of a JVM.
_CHANGES = re.compile(r"0x[0-9a-f]{5,}|@[0-9a-f]{5,}")


if __name__ == "__main__":
    main()

"""The page docs/clojure-names.md: every public name of five namespaces of Clojure 1.11, and what became of it here.

python -m tests.differential.names > docs/clojure-names.md
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.differential import ours

FOLDER = Path(__file__).parent
#: Names that are there without being a definition: special forms.
FORMS = frozenset({"fn", "let", "letfn", "loop", "defn", "defn-", "defmacro", "binding", "ns"})

HEAD = """# Clojure's names

Every public name of `clojure.core`, `clojure.string`, `clojure.set`, `clojure.walk` and `clojure.edn` (1.11), and what
became of it here. *Same* means the same arguments and results; the differential test calls most of these with generated
arguments. *Different* links to the reason. The page is made by `make docs`.
"""


def clojure_names() -> list[str]:
    """All names, those of other namespaces than core as `module/name`."""
    found = []
    for line in (FOLDER / "clojure-names.txt").read_text(encoding="utf-8").splitlines():
        namespace, _, name = line.partition("/")
        found.append(name if namespace == "clojure.core" else f"{namespace.partition('.')[2]}/{name}")
    return found


def table(file: str) -> Iterator[tuple[str, str]]:
    """Name and reason (or anchor), of one of the two tables."""
    for line in (FOLDER / file).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(";"):
            reason, _, names = line.partition(": ")
            for name in names.split():
                yield name, reason


def classified() -> dict[str, tuple[str, str]]:
    """Name -> ("same" | "different" | "left out" | "unclassified", anchor or reason)."""
    here = ours.names() | FORMS
    different, absent = dict(table("different.txt")), dict(table("left-out.txt"))
    found: dict[str, tuple[str, str]] = {}
    for name in clojure_names():
        if name in here:
            found[name] = ("different", different[name]) if name in different else ("same", "")
        else:
            found[name] = ("left out", absent[name]) if name in absent else ("unclassified", "")
    return found


def page() -> str:
    """The page."""
    rows = classified()
    count = {kind: sum(found == kind for found, _ in rows.values()) for kind in ("same", "different", "left out")}
    parts = [HEAD, f"Same: {count['same']}. Different: {count['different']}. Left out: {count['left out']}.\n"]
    parts.append("## Same\n\n" + _list([name for name, (kind, _) in rows.items() if kind == "same"]))
    parts.append("## Different\n")
    for anchor in dict.fromkeys(anchor for kind, anchor in rows.values() if kind == "different"):
        names = [name for name, found in rows.items() if found == ("different", anchor)]
        parts.append(f"[{anchor.replace('-', ' ')}](differences-from-clojure.md#{anchor}):\n\n" + _list(names))
    parts.append("## Left out\n")
    for reason in dict.fromkeys(reason for kind, reason in rows.values() if kind == "left out"):
        names = [name for name, found in rows.items() if found == ("left out", reason)]
        parts.append(f"{reason}:\n\n" + _list(names))
    return "\n".join(parts)


def _list(names: list[str]) -> str:
    lines, line = [], ""
    for name in names:
        word = f"`{name}`"
        if len(line) + len(word) > 110:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
    return "\n".join([*lines, line]) + "\n"


if __name__ == "__main__":
    print(page(), end="")

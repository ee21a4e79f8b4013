"""Numbers of builtins are permanent: what has shipped keeps its number, its name and at least its arities."""

from __future__ import annotations

from pathlib import Path

from flowmetal.vm.builtins import BUILTINS
from flowmetal.vm.builtins.registry import BLOCKS

LOCK = Path(__file__).parent.parent / "golden" / "builtins.lock"


def _line(number: int) -> str:
    info = BUILTINS[number]
    return f"{number} {info.name} {info.min_args} {'*' if info.max_args is None else info.max_args}"


def test_every_locked_builtin_is_as_it_was() -> None:
    """A failure here means that shipped artifacts would change their meaning: give a new builtin a new number."""
    locked = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert locked == [_line(int(line.split()[0])) for line in locked if int(line.split()[0]) in BUILTINS]


def test_every_builtin_is_locked() -> None:
    """A new builtin is added to the lock file; run this file to write it."""
    locked = {int(line.split()[0]) for line in LOCK.read_text().splitlines() if line and not line.startswith("#")}
    assert sorted(set(BUILTINS) - locked) == []


def test_every_builtin_stands_in_a_block_and_is_documented() -> None:
    starts = sorted(BLOCKS.values())
    for number, info in BUILTINS.items():
        assert any(start <= number < start + 100 for start in starts)
        assert info.doc.endswith("."), info.name
        assert info.max_args is None or info.min_args <= info.max_args


if __name__ == "__main__":
    LOCK.write_text(
        "# number name fewest-arguments most-arguments; a line never changes once it has shipped\n"
        + "\n".join(_line(number) for number in sorted(BUILTINS))
        + "\n",
        encoding="utf-8",
    )

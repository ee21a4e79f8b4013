"""The table of fail points is what stands in the code, and a process that kills itself at any of them loses nothing."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

from flowmetal.store.failpoint import POINTS
from tests.crash.grounds import GROUNDS
from tests.crash.points import campaign

FLOWMETAL = Path(__file__).resolve().parents[2] / "flowmetal"


def test_the_table_is_what_is_in_the_code() -> None:
    found = Counter(
        name
        for path in FLOWMETAL.rglob("*.py")
        for name in re.findall(r'failpoint\.hook\("([^"]+)"\)', path.read_text())
    )
    assert found == Counter(POINTS.keys()), "each point stands in the code once"
    for point in POINTS:
        assert sum(point.startswith(prefix) for prefix in GROUNDS) == 1, f"nothing in points.py comes to {point}"


def test_every_point_is_passed_and_nothing_is_lost(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    assert campaign(1, seed, tmp_path) == Counter(POINTS.keys())

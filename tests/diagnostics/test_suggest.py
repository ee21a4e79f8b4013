"""Closest names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.diagnostics import suggest, suggestions
from flowmetal.diagnostics.suggest import edit_distance

NAMES = ["schedule", "map", "mapv", "filter", "reduce", "string/join", "upper-case", "order-id", "nil?", "+", "-"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shcedule", "schedule"),
        ("scheduel", "schedule"),
        ("schedul", "schedule"),
        ("mpa", "map"),
        ("fliter", "filter"),
        ("uppercase", "upper-case"),
        ("UpperCase", "upper-case"),
        ("orderId", "order-id"),
        ("join", "string/join"),
        ("str/join", "string/join"),
        ("nil", "nil?"),
        ("completely-else", None),
        ("map", "mapv"),
        ("", None),
        ("x", None),
        ("x" * 100_000, None),
    ],
)
def test_suggestion(name: str, expected: str | None) -> None:
    assert suggest(name, NAMES) == expected


def test_order_does_not_depend_on_the_order_of_candidates() -> None:
    names = ["maps", "mapv", "mapk", "mapa"]
    assert suggestions("mapx", names) == suggestions("mapx", reversed(names)) == ["mapa", "mapk", "maps"]


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "ab", 1), ("abc", "abcd", 1), ("abc", "xyz", 3)],
)
def test_distance(left: str, right: str, distance: int) -> None:
    assert edit_distance(left, right, 9) == distance


@given(st.text(max_size=12), st.text(max_size=12))
def test_distance_is_symmetric_and_bounded(left: str, right: str) -> None:
    distance = edit_distance(left, right, 99)
    assert distance == edit_distance(right, left, 99)
    assert abs(len(left) - len(right)) <= distance <= max(len(left), len(right))
    assert edit_distance(left, right, 2) == min(distance, 3)

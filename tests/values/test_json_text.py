"""JSON from outside: one set of rules, and from_python's quick way equal to the one that explains."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.values import JsonError, LanguageError, encode_value, from_python, json_value, parse_json, to_python
from flowmetal.values.convert import FAST_DEPTH_MAX, _from_python

plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.just(object),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner) | st.tuples(inner),
    max_leaves=20,
)


def result(convert: Any, data: Any) -> Any:
    try:
        return encode_value(convert(data))
    except LanguageError as error:
        return error.error.kind, error.error.message


@given(plain_data)
def test_both_ways_give_the_same(data: Any) -> None:
    assert result(from_python, data) == result(_from_python, data)


@pytest.mark.parametrize("depth", [1, FAST_DEPTH_MAX, FAST_DEPTH_MAX + 1, 512, 513, 900])
def test_any_depth(depth: int) -> None:
    data: Any = 1
    for number in range(depth):
        data = [data] if number % 2 else {"a": data}
    assert result(from_python, data) == result(_from_python, data)


@pytest.mark.parametrize("document", [None, True, 1.5, "ü\U0001f600", {"a": [1, {"b c": []}]}, [{}] * 40, 10**300])
def test_what_is_taken(document: Any) -> None:
    for text in (json.dumps(document), json.dumps(document).encode(), json.dumps(document, ensure_ascii=False)):
        assert parse_json(text) == document == to_python(json_value(text))


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[1,]", "nul", "NaN", "[Infinity]", "-Infinity", "1e999", '"\\ud800"', '{"\\udc00": 1}', "[" * 600 + "]" * 600,
        "[" * 100_000, "9" * 5000, b"\xff\xfe", "\ufeff1",
    ],
)  # fmt: skip
def test_what_is_refused(text: Any) -> None:
    for read in (parse_json, json_value):
        with pytest.raises(JsonError):
            read(text)

"""The data reader as programs call it: hostile texts are errors of kind :read, and it keeps its pace."""

from __future__ import annotations

import time

import pytest

from flowmetal.reading.data import read_data
from flowmetal.values import LanguageError, List, Vector
from flowmetal.vm.builtins import BY_NAME

read = BY_NAME["read-data"].function


@pytest.mark.parametrize(
    "text", ["[1", ")", '"', "#inst 5", "{:a}", "a/b/c/d", "#unknown 1", "\ud800", "'x", "(" * 100_000]
)
def test_hostile_texts_are_errors(text: str) -> None:
    with pytest.raises(LanguageError) as caught:
        read(text, None)
    assert caught.value.error.kind.text == "read"
    assert str(caught.value.error.data)


def test_deep_nesting_is_a_value() -> None:
    found = read("(" * 100_000 + ")" * 100_000, None)
    assert found.__class__ is Vector
    assert next(iter(found)).__class__ is List


def test_nothing_is_nil() -> None:
    assert read(" ; a comment", None) is None


def test_a_megabyte_is_read_in_seconds() -> None:
    row = '{:id 12345 :name "a name" :tags [:x :y/z "t"] :price 12.50M :at #inst "2026-01-01T00:00:00Z"}\n'
    text = "[" + row * (1_000_000 // len(row)) + "]"
    started = time.process_time()
    read_data(text)
    assert time.process_time() - started < 5  # about one on an idle machine

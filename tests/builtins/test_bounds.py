"""One instruction is bounded: what builtins refuse before they have done the work, by what they count."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.values import LanguageError, Vector
from flowmetal.vm.builtins import json, strings
from flowmetal.vm.builtins.registry import BY_NAME

LONG = 1 << 100_000


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("str", [LONG] * 1000),
        ("string-join", [",", Vector.of([LONG] * 1000)]),
        ("str", ["x" * (1 << 20)] * 1000),
        ("json-parse", ["[" * 8_000_000]),
        ("json-parse", ["[" + "[]," * 2_000_000 + "1]"]),
        ("json-parse", ["[" + '"",' * 2_000_000 + "1]"]),
    ],
    ids=["digits", "joined digits", "text", "nested", "many arrays", "many strings"],
)
def test_what_is_too_much_work_is_refused_early(
    name: str, arguments: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    plain = strings.int_text
    monkeypatch.setattr(strings, "int_text", lambda value: made.append(1) or plain(value))
    monkeypatch.setattr(json.json, "loads", lambda *_, **__: pytest.fail("it is parsed"))
    with pytest.raises(LanguageError) as refused:
        BY_NAME[name].function(*arguments)
    assert refused.value.error.kind.text == "limit"
    assert len(made) * 30_000 <= strings.DIGITS_MAX + 30_000

"""Handles of secrets: equal by name, written and read back, found in encoded values, and made by nothing else."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.values import (
    Closure,
    CodecError,
    Map,
    Secret,
    Vector,
    decode_value,
    encode_value,
    from_python,
    hash_of,
    json_value,
    keyword,
    print_string,
    secret_names,
    secret_text,
    to_python,
)
from flowmetal.values.secrets import MARK, NAMES_MAX, TEXT_CHARACTERS_MAX, secret_data
from tests.values.strategies import SCALARS, SECRETS

API = Secret.named("api")
BEARER = secret_text(["Bearer ", API])


def _walk(value: Any) -> set[str]:
    if value.__class__ is Secret:
        return set(value.names)
    return set().union(*map(_walk, value)) if value.__class__ is Vector else set()


def test_equality_and_hash_are_by_name() -> None:
    assert Secret.named("api") == API
    assert hash_of(Secret.named("api")) == hash_of(API)
    assert Secret.named("mail") != API
    assert BEARER != API
    assert API != "#secret[api]"
    assert Map.of([(API, 1)]).get(Secret.named("api")) == 1


def test_texts() -> None:
    assert print_string(API) == "#secret[api]"
    assert print_string(BEARER) == '#secret-text "Bearer #secret[api]"'
    assert print_string(BEARER, readably=False) == "Bearer #secret[api]"
    assert to_python(Vector.of([API])) == ["#secret[api]"]


def test_texts_are_never_read_as_handles() -> None:
    assert json_value(b'{"a": "#secret[api]"}').get(keyword("a")).__class__ is str
    assert from_python(["#secret[api]"]).get(0).__class__ is str
    assert from_python(MARK).__class__ is bytes
    with pytest.raises(Exception, match="Secret"):
        from_python([API])


@given(SECRETS)
def test_written_and_read_back(secret: Secret) -> None:
    assert decode_value(encode_value(secret)) == secret


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4).map(Vector.of), max_leaves=20))
def test_the_names_in_an_encoded_value(value: Any) -> None:
    assert secret_names(encode_value(value)) == tuple(sorted(_walk(value)))


def test_a_text_with_the_mark_names_nothing() -> None:
    assert secret_names(encode_value(Vector.of([MARK, MARK.decode() + "api"]))) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MARK,
        MARK + b"\0\0\0",
        MARK + b"\0\0\0\0",
        MARK + b"\0\0\0\0" * 3,  # an empty name
        b"another" + secret_data(API)[len(MARK) :],
        secret_data(API) + b"\0",
        secret_data(API)[:-1],
        secret_data(API) + b"\0\0\0\0",  # a name without the text behind it
        secret_data(Secret(("", "no name", ""))),
        secret_data(Secret(("", "n" * 101, ""))),
        secret_data(Secret(("", "a") * (NAMES_MAX + 1) + ("",))),
        secret_data(Secret(("x" * (TEXT_CHARACTERS_MAX + 1), "a", ""))),
        MARK + b"\xff\xff\xff\xff" + b"a" * 20,
        MARK + b"\0\0\0\1\xff" + secret_data(API)[len(MARK) + 4 :],  # not UTF-8
    ],
)
def test_malformed_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_value(msgpack.packb([msgpack.ExtType(14, data)]))


def test_texts_are_bounded() -> None:
    with pytest.raises(ValueError, match="at most"):
        secret_text([API] * (NAMES_MAX + 1))
    with pytest.raises(ValueError, match="at most"):
        secret_text([API, "x" * (TEXT_CHARACTERS_MAX + 1)])


def test_a_closures_captures_are_found() -> None:
    class Modules:
        def index_of(self, function: Any) -> tuple[int, int]:
            return 0, 0

        def module_hash(self, index: int) -> bytes:
            return b"h" * 32

    data = encode_value(Vector.of([Closure(None, (BEARER,))]), Modules())  # type: ignore[arg-type]
    assert secret_names(data) == ("api",)

"""Any payload at all is either a request that can be sent or a BadRequest, and what can be sent is well-formed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.connectors.config import HttpSettings
from flowmetal.connectors.http_request.request import KEYS, METHODS, BadRequest, HttpRequest, read_request, shown_url
from flowmetal.values import Duration, Map, Vector, keyword

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["http://a.example/", "https://u:p@a.example:8/x?y#z", "GET", "post", "\r\n", "é"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.binary(max_size=8)
    | st.builds(keyword, st.sampled_from(["get", "post", "text", "json", "bytes", "a/b"]))
    | st.builds(Duration, st.integers(-(10**12), 10**14))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(Vector.of, st.lists(inner, max_size=3))
        | st.builds(lambda d: Map.of(list(d.items())), st.dictionaries(TEXTS, inner, max_size=3))
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(KEYS) | st.text(min_size=1, max_size=5)
PAYLOADS = VALUES | st.builds(
    lambda d: Map.of([(keyword("url"), "http://a.example/x"), *((keyword(name), value) for name, value in d.items())]),
    st.dictionaries(NAMES, VALUES, max_size=4),
)


@given(payload=PAYLOADS, key=TEXTS)
def test_any_payload(payload: Any, key: str) -> None:
    shown = shown_url(payload)
    assert shown is None or "u:p@" not in shown
    try:
        request = read_request(payload, HttpSettings(), key)
    except BadRequest as error:
        assert str(error)
        return
    assert isinstance(request, HttpRequest)
    assert request.method in METHODS
    assert request.url.scheme in ("http", "https")
    assert 0 < request.timeout_seconds <= 3600
    for name, text in request.headers:
        assert name.isascii() and text.isascii()
        assert not {"\r", "\n", "\0"} & set(name + text)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("example.com/x", 'must begin with http:// or https://; "example.com/x" does not'),
        ("/x", 'must begin with http:// or https://; "/x" does not'),
        ("ftp://example.com/x", "must begin with http:// or https://, not ftp:"),
    ],
)
def test_an_address_without_a_scheme(url: str, words: str) -> None:
    with pytest.raises(BadRequest) as raised:
        read_request(Map.of([(keyword("url"), url)]), HttpSettings(), "key")
    assert words in str(raised.value)

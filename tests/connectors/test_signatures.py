"""Signatures of web-hook senders: the senders' own vectors, mutations of them, and malformed headers."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.connectors.config import EndpointSettings
from flowmetal.connectors.http_callback.signatures import Accepted, BadSignature, verify

NOW = 1_700_000_000.0


def settings(scheme: str, **more: Any) -> EndpointSettings:
    return EndpointSettings("e", "a/b", scheme, **more)


def check(scheme: str, secret: bytes, headers: dict[str, str], body: bytes, now: float = NOW, **more: Any) -> Accepted:
    return verify(settings(scheme, **more), [secret], headers, body, now)


def hexed(secret: bytes, signed: bytes) -> str:
    return hmac.new(secret, signed, hashlib.sha256).hexdigest()


# ---- vectors that the senders publish --------------------------------------------------------------------------


def test_github_documented_vector() -> None:
    headers = {
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    }
    accepted = check("github", b"It's a Secret to Everybody", headers, b"Hello, World!")
    assert accepted.id == "72d3162e-cc78-11e3-81ab-4c9367dc0958"


def test_standard_webhooks_documented_vector() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    accepted = check("standard", secret, headers, b'{"test": 2432232314}', now=1614265330)
    assert accepted.id == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_slack_documented_vector() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    assert check("slack", b"8f742231b10e8888abcd99yyyzzz85a5", headers, body, now=1531420618).id is None


def test_stripe_form() -> None:
    body, time = b'{"id": "evt_1"}', int(NOW)
    good = hexed(b"whsec_stripe", f"{time}.".encode() + body)
    for header in (f"t={time},v1={good}", f"t={time},v0=old,v1=bad,v1={good}", f"t={time}, v1={good}"):
        assert check("stripe", b"whsec_stripe", {"stripe-signature": header}, body).signature


def test_generic_hmac_takes_header_names_and_prefix_from_the_settings() -> None:
    body, time = b"\xff\xfe raw", int(NOW)
    headers = {"x-sig": "v1=" + hexed(b"s", f"{time}.".encode() + body), "x-time": str(time), "x-id": "d-1"}
    names = {"signature_header": "x-sig", "timestamp_header": "x-time", "id_header": "x-id", "signature_prefix": "v1="}
    assert check("hmac", b"s", headers, body, **names).id == "d-1"
    del headers["x-time"]
    with pytest.raises(BadSignature):
        check("hmac", b"s", headers, body, **names)


def test_without_a_scheme_a_delivery_is_known_by_its_body() -> None:
    first, again, other = (check("none", b"", {}, body) for body in (b"a", b"a", b"b"))
    assert first.signature == again.signature != other.signature


# ---- every scheme ------------------------------------------------------------------------------------------------

SECRET = b"a secret"


def signed(scheme: str, body: bytes, time: int = int(NOW), secret: bytes = SECRET) -> dict[str, str]:
    """Headers of a delivery as its sender makes them."""
    if scheme == "github":
        return {"x-hub-signature-256": "sha256=" + hexed(secret, body), "x-github-delivery": "d"}
    if scheme == "standard":
        digest = hmac.new(secret, f"m.{time}.".encode() + body, hashlib.sha256).digest()
        signature = "v1," + base64.b64encode(digest).decode()
        return {"webhook-id": "m", "webhook-timestamp": str(time), "webhook-signature": signature}
    if scheme == "stripe":
        return {"stripe-signature": f"t={time},v1={hexed(secret, f'{time}.'.encode() + body)}"}
    if scheme == "slack":
        signature = "v0=" + hexed(secret, f"v0:{time}:".encode() + body)
        return {"x-slack-request-timestamp": str(time), "x-slack-signature": signature}
    return {"x-timestamp": str(time), "x-signature": hexed(secret, f"{time}.".encode() + body)}


SCHEMES = ("github", "standard", "stripe", "slack", "hmac")
TIMED = ("standard", "stripe", "slack", "hmac")


@pytest.mark.parametrize("scheme", SCHEMES)
@given(body=st.binary(max_size=200))
def test_what_was_signed_is_accepted_and_what_was_not_is_refused(scheme: str, body: bytes) -> None:
    headers = signed(scheme, body)
    assert check(scheme, SECRET, headers, body)
    for wrong in (body + b"x", body[:-1], b"other") if body else (b"x",):
        if wrong != body:
            with pytest.raises(BadSignature):
                check(scheme, SECRET, headers, wrong)
    with pytest.raises(BadSignature):
        check(scheme, b"other secret", headers, body)


@pytest.mark.parametrize("scheme", TIMED)
@pytest.mark.parametrize(("shift", "accepted"), [(0, True), (299, True), (-299, True), (301, False), (-301, False)])
def test_replay_window(scheme: str, shift: int, accepted: bool) -> None:
    headers = signed(scheme, b"body", int(NOW) + shift)
    if accepted:
        assert check(scheme, SECRET, headers, b"body")
    else:
        with pytest.raises(BadSignature):
            check(scheme, SECRET, headers, b"body")


@pytest.mark.parametrize("scheme", TIMED)
def test_the_time_is_signed(scheme: str) -> None:
    old = signed(scheme, b"body", int(NOW) - 5000)
    moved = {name: value.replace(str(int(NOW) - 5000), str(int(NOW))) for name, value in old.items()}
    with pytest.raises(BadSignature):
        check(scheme, SECRET, moved, b"body")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_rotation_takes_either_secret(scheme: str) -> None:
    headers = signed(scheme, b"body", secret=b"old")
    assert verify(settings(scheme), [b"new", b"old"], headers, b"body", NOW)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_missing_headers(scheme: str) -> None:
    for name in signed(scheme, b"body"):
        if name != "x-github-delivery":
            headers = signed(scheme, b"body")
            del headers[name]
            with pytest.raises(BadSignature):
                check(scheme, SECRET, headers, b"body")


ODD = [
    "",
    " ",
    ",",
    "=",
    "v1",
    "v1,",
    "v1=",
    "t=,v1=",
    "t=1,v1=é",
    "sha256=",
    "sha256=é",
    "v0=\xff",
    "v1," * 3000,
    "9" * 5000,
    "\x00",
]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("odd", ODD)
def test_malformed_headers_are_bad_signatures_and_nothing_else(scheme: str, odd: str) -> None:
    for name in signed(scheme, b"body"):
        if name != "x-github-delivery":
            with pytest.raises(BadSignature):
                check(scheme, SECRET, {**signed(scheme, b"body"), name: odd}, b"body")


@pytest.mark.parametrize("scheme", SCHEMES)
@given(
    headers=st.dictionaries(st.sampled_from(sorted({n for s in SCHEMES for n in signed(s, b"")})), st.text()),
    body=st.binary(),
)
def test_any_headers(scheme: str, headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(BadSignature):
        check(scheme, SECRET, headers, body)

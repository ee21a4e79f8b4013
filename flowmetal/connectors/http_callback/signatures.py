"""Signatures of web-hook senders, checked over the raw bytes: GitHub, Standard Webhooks, Stripe, Slack, generic HMAC.

Pure functions of headers, body, secrets and the time.  Whatever a sender writes gives Accepted or BadSignature,
never another exception, and digests are compared in constant time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence

from flowmetal.connectors.config import EndpointSettings
from flowmetal.dataclass import dataclass

#: A signature header longer than this is refused unread, as are more than so many signatures in one.
HEADER_CHARACTERS_MAX = 4096
SIGNATURES_MAX = 16

#: Characters of a time in seconds since 1970.
TIMESTAMP_DIGITS_MAX = 12


class BadSignature(Exception):
    """Missing, malformed, wrong or too old; str() says which, for the log only."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A delivery whose signature holds.  `id` is the sender's name for it where the headers give one, else None."""

    id: str | None
    signature: str  # hex digest that stands for the delivery where it has no id
    id_is_signed: bool = True  # False: a time is signed and the id is not, so the id alone tells no delivery


Headers = Mapping[str, str]  # lower-case names; several of one name joined by ","


def verify(settings: EndpointSettings, secrets: Sequence[bytes], headers: Headers, body: bytes, now: float) -> Accepted:
    """Checks one delivery.  `now` in seconds since 1970.  Raises BadSignature."""
    return _SCHEMES[settings.scheme](settings, secrets, headers, body, now)


def _github(
    settings: EndpointSettings, secrets: Sequence[bytes], headers: Headers, body: bytes, now: float
) -> Accepted:
    header = _header(headers, "x-hub-signature-256")
    if not header.startswith("sha256="):
        raise BadSignature("x-hub-signature-256 does not begin with sha256=")
    digest = _matched(secrets, body, [header[7:]], hex_digest)
    return Accepted(headers.get("x-github-delivery") or None, digest)


def _standard(
    settings: EndpointSettings, secrets: Sequence[bytes], headers: Headers, body: bytes, now: float
) -> Accepted:
    identifier = _header(headers, "webhook-id")
    timestamp = _fresh(_header(headers, "webhook-timestamp"), settings.tolerance_seconds, now)
    given = []
    for item in _header(headers, "webhook-signature").split(" "):
        version, comma, signature = item.partition(",")
        if comma and version == "v1":
            given.append(signature)
    signed = f"{identifier}.{timestamp}.".encode() + body
    digest = _matched([_standard_key(secret) for secret in secrets], signed, given, base64_digest)
    return Accepted(identifier, digest)


def _stripe(
    settings: EndpointSettings, secrets: Sequence[bytes], headers: Headers, body: bytes, now: float
) -> Accepted:
    time = ""
    given = []
    for item in _header(headers, "stripe-signature").split(","):
        key, _, value = item.strip().partition("=")
        if key == "t":
            time = value
        elif key == "v1":
            given.append(value)
    timestamp = _fresh(time, settings.tolerance_seconds, now)
    return Accepted(None, _matched(secrets, f"{timestamp}.".encode() + body, given, hex_digest))


def _slack(settings: EndpointSettings, secrets: Sequence[bytes], headers: Headers, body: bytes, now: float) -> Accepted:
    timestamp = _fresh(_header(headers, "x-slack-request-timestamp"), settings.tolerance_seconds, now)
    header = _header(headers, "x-slack-signature")
    if not header.startswith("v0="):
        raise BadSignature("x-slack-signature does not begin with v0=")
    return Accepted(None, _matched(secrets, f"v0:{timestamp}:".encode() + body, [header[3:]], hex_digest))


def _hmac(settings: EndpointSettings, secrets: Sequence[bytes], headers: Headers, body: bytes, now: float) -> Accepted:
    timestamp = _fresh(_header(headers, settings.timestamp_header), settings.tolerance_seconds, now)
    header = _header(headers, settings.signature_header)
    if not header.startswith(settings.signature_prefix):
        raise BadSignature(f"{settings.signature_header} does not begin with the prefix")
    given = [header[len(settings.signature_prefix) :]]
    digest = _matched(secrets, f"{timestamp}.".encode() + body, given, hex_digest)
    return Accepted(headers.get(settings.id_header) or None, digest, id_is_signed=False)


def _none(settings: EndpointSettings, secrets: Sequence[bytes], headers: Headers, body: bytes, now: float) -> Accepted:
    return Accepted(headers.get(settings.id_header) or None, hashlib.sha256(body).hexdigest())


_Scheme = Callable[[EndpointSettings, Sequence[bytes], Headers, bytes, float], Accepted]
_SCHEMES: Mapping[str, _Scheme] = {
    "github": _github,
    "standard": _standard,
    "stripe": _stripe,
    "slack": _slack,
    "hmac": _hmac,
    "none": _none,
}


def hex_digest(key: bytes, signed: bytes) -> str:
    """HMAC-SHA256 in hex."""
    return hmac.new(key, signed, hashlib.sha256).hexdigest()


def base64_digest(key: bytes, signed: bytes) -> str:
    """HMAC-SHA256 in base64."""
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii")


def _header(headers: Headers, name: str) -> str:
    value = headers.get(name)
    if not value:
        raise BadSignature(f"{name} is missing")
    if len(value) > HEADER_CHARACTERS_MAX or not value.isascii():
        raise BadSignature(f"{name} is malformed")
    return value


def _fresh(text: str, tolerance_seconds: int, now: float) -> str:
    """The timestamp, if it is one and is within the tolerance either way."""
    if not (text.isascii() and text.isdigit() and len(text) <= TIMESTAMP_DIGITS_MAX):
        raise BadSignature("the timestamp is missing or malformed")
    if abs(now - int(text)) > tolerance_seconds:
        raise BadSignature("the timestamp is too far from now")
    return text


def _matched(keys: Sequence[bytes], signed: bytes, given: Sequence[str], digest: Callable[[bytes, bytes], str]) -> str:
    """The digest that one of `given` equals, under one of `keys`; every pair is compared, whichever matches."""
    if not 0 < len(given) <= SIGNATURES_MAX:
        raise BadSignature("there is no signature, or there are too many")
    found = ""
    for key in keys:
        expected = digest(key, signed)
        for candidate in given:
            # As bytes: compare_digest takes text only if it is ASCII.
            if hmac.compare_digest(expected.encode("ascii"), candidate.encode("utf-8", "replace")):
                found = expected
    if not found:
        raise BadSignature("the signature is wrong")
    return hashlib.sha256(found.encode("ascii")).hexdigest()


def _standard_key(secret: bytes) -> bytes:
    """The key of a Standard Webhooks secret: base64 behind "whsec_"; other secrets are taken as they are."""
    if not secret.startswith(b"whsec_"):
        return secret
    try:
        return base64.b64decode(secret[6:] + b"=" * (-len(secret[6:]) % 4), validate=True)
    except binascii.Error:
        return secret

"""Bytes and their texts: UTF-8, base64, hexadecimal, percent-encoding, digests; and reading UUIDs."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import TYPE_CHECKING, Any

from flowmetal import lazily
from flowmetal.values import Vector, fail, iterate
from flowmetal.values.errors import shortly
from flowmetal.vm.builtins.check import integer, octets, shown, string, wrong_type
from flowmetal.vm.builtins.registry import builtin

if TYPE_CHECKING:
    import base64
    import binascii
    import hmac
    from urllib import parse as urls
else:
    base64 = lazily.module("base64")
    binascii = lazily.module("binascii")
    hmac = lazily.module("hmac")
    urls = lazily.module("urllib.parse")


def raw(who: str, value: Any) -> bytes:
    """Bytes as they are, a string as UTF-8."""
    if value.__class__ is str:
        return value.encode()
    if value.__class__ is bytes:
        return value
    wrong_type(who, "bytes or a string", value)


@builtin(1200, "bytes", 1)
def to_bytes(value: Any) -> bytes:
    """The UTF-8 bytes of a string, or the bytes of a collection of integers from 0 to 255."""
    if value.__class__ in (str, bytes):
        return raw("bytes", value)
    items = list(iterate(value))
    for item in items:
        if not 0 <= integer("bytes", item) <= 255:
            fail("argument", f"bytes needs integers from 0 to 255, not {shown(item)}")
    return bytes(items)


@builtin(1201, "bytes->string", 1)
def bytes_to_string(value: Any) -> str:
    """The string that bytes are the UTF-8 of."""
    try:
        return octets("bytes->string", value).decode()
    except UnicodeDecodeError as problem:
        fail("argument", f"bytes->string needs UTF-8; byte {problem.start} is not part of any")


@builtin(1202, "bytes->vector", 1)
def bytes_to_vector(value: Any) -> Vector:
    """The bytes as a vector of integers from 0 to 255."""
    return Vector.of(octets("bytes->vector", value))


@builtin(1203, "bytes-join", 0, None)
def join(*values: Any) -> bytes:
    """Bytes, one after the other."""
    return b"".join([octets("bytes-join", value) for value in values])


@builtin(1204, "bytes-slice", 2, 3)
def cut(value: Any, start: Any, end: Any = None) -> bytes:
    """The bytes from start up to end."""
    octets("bytes-slice", value)
    stop = len(value) if end is None else integer("bytes-slice", end)
    if not 0 <= integer("bytes-slice", start) <= stop <= len(value):
        fail("index", f"bytes-slice from {shortly(start)} to {shortly(stop)} is outside {len(value)} bytes")
    return value[start:stop]  # type: ignore[no-any-return]


@builtin(1205, "bytes-equal?", 2)
def equal(first: Any, second: Any) -> bool:
    """Whether two byte strings are equal; the time does not tell where they differ."""
    return hmac.compare_digest(raw("bytes-equal?", first), raw("bytes-equal?", second))


@builtin(1206, "base64-encode", 1)
def base64_encode(value: Any) -> str:
    """The base64 text of bytes, or of the UTF-8 of a string."""
    return base64.b64encode(raw("base64-encode", value)).decode("ascii")


@builtin(1207, "base64-decode", 1)
def base64_decode(value: Any) -> bytes:
    """The bytes of a base64 text; both alphabets are read, padding may be missing."""
    letters = string("base64-decode", value).replace("-", "+").replace("_", "/").rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9+/]*", letters) or len(letters) % 4 == 1:
        fail("argument", f"base64-decode cannot read {shown(value)}")
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except binascii.Error:
        fail("argument", f"base64-decode cannot read {shown(value)}")


@builtin(1208, "base64-url-encode", 1)
def base64_url_encode(value: Any) -> str:
    """The base64 text of bytes in the alphabet for URLs, without padding."""
    return base64.urlsafe_b64encode(raw("base64-url-encode", value)).decode("ascii").rstrip("=")


@builtin(1209, "hex-encode", 1)
def hex_encode(value: Any) -> str:
    """The hexadecimal text of bytes, or of the UTF-8 of a string."""
    return raw("hex-encode", value).hex()


@builtin(1210, "hex-decode", 1)
def hex_decode(value: Any) -> bytes:
    """The bytes of a hexadecimal text."""
    digits = string("hex-decode", value)
    if len(digits) % 2 or not re.fullmatch(r"[0-9a-fA-F]*", digits):
        fail("argument", f"hex-decode cannot read {shown(value)}")
    return bytes.fromhex(digits)


@builtin(1211, "sha256", 1)
def sha256(value: Any) -> bytes:
    """The SHA-256 digest of bytes, or of the UTF-8 of a string."""
    return hashlib.sha256(raw("sha256", value)).digest()


@builtin(1212, "hmac-sha256", 2)
def hmac_sha256(key: Any, message: Any) -> bytes:
    """The HMAC of a message under a key, with SHA-256."""
    return hmac.new(raw("hmac-sha256", key), raw("hmac-sha256", message), hashlib.sha256).digest()


@builtin(1213, "url-encode", 1)
def url_encode(value: Any) -> str:
    """The text with everything but letters, digits and -._~ percent-encoded."""
    return urls.quote(raw("url-encode", value), safe="")


@builtin(1214, "url-decode", 1)
def url_decode(value: Any) -> str:
    """The text with percent-encoded parts, and + for a blank, decoded."""
    try:
        return urls.unquote_plus(string("url-decode", value), errors="strict")
    except UnicodeDecodeError:
        fail("argument", f"url-decode needs the encoding of UTF-8, not {shown(value)}")


@builtin(1215, "parse-uuid", 1)
def parse_uuid(value: Any) -> uuid.UUID | None:
    """The UUID of its usual text, or nil if it is not one."""
    written = string("parse-uuid", value)
    # As Java's UUID.fromString: leading zeros may be missing.
    if not re.fullmatch(r"[0-9a-fA-F]{1,8}(-[0-9a-fA-F]{1,4}){3}-[0-9a-fA-F]{1,12}", written):
        return None
    parts = zip(written.split("-"), (8, 4, 4, 4, 12), strict=True)
    return uuid.UUID("".join(part.zfill(width) for part, width in parts))

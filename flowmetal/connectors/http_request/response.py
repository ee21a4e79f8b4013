"""Reads a response's body within its limit and turns a response into the value a program gets.

Bodies come from anywhere: nothing here trusts a length, an encoding or a charset that the other side names.
"""

from __future__ import annotations

import codecs
import email.utils
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

from flowmetal.values import Duration, JsonError, Map, json_value, keyword

#: Charsets a body is decoded with; any other is read as UTF-8.  (Python's list has names that are not charsets.)
# fmt: off
CHARSETS = frozenset((
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "ascii", "iso8859-1", "iso8859-2", "iso8859-5",
    "iso8859-7", "iso8859-9", "iso8859-15", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "koi8-r", "shift_jis",
    "euc_jp", "iso2022_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr",
))
# fmt: on

#: Packed bytes that are read beyond twice the limit for unpacked ones: members may be empty, without end.
PACKED_BYTES_MORE = 65_536

#: Longest Retry-After that is passed on.
RETRY_AFTER_SECONDS_MAX = 7 * 86400

K_STATUS, K_HEADERS, K_BODY, K_URL = keyword("status"), keyword("headers"), keyword("body"), keyword("url")


#: Takes values of secrets out of bytes.
Clean = Callable[[bytes], bytes]


class TooLarge(Exception):
    """The body has more bytes than the request allows; str() says so."""


class BadBody(Exception):
    """The body is not what its headers or the request's :as say; str() says why."""


async def read_body(response: httpx2.Response, limit: int) -> tuple[bytes, bool]:
    """The body, unpacked if it came as gzip or deflate, and whether it was.  TooLarge beyond `limit` bytes."""
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise TooLarge(f"the response has {length[:20]} bytes, and the limit is {limit}")
    encoding = response.headers.get("content-encoding", "").strip().lower()
    unpack = encoding in ("gzip", "x-gzip", "deflate")
    parts: list[bytes] = []
    size = 0
    async for part in _unpacked(response, limit) if unpack else response.aiter_raw():
        size += len(part)
        if size > limit:
            raise TooLarge(f"the response has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts), unpack


async def _unpacked(response: httpx2.Response, limit: int) -> AsyncIterator[bytes]:
    """Unpacks at most a little more than `limit`, however small the bytes that claim to be more.

    A body may be several gzip members one after the other (RFC 1952); the last has to be whole.
    """
    unpacker = None
    packed = 0
    try:
        async for part in response.aiter_raw():
            packed += len(part)
            if packed > 2 * limit + PACKED_BYTES_MORE:
                raise TooLarge(f"the response has more than {packed - len(part)} bytes, packed")
            while part:
                if unpacker is None or unpacker.eof:
                    unpacker = zlib.decompressobj(wbits=47)  # gzip or zlib, whichever the bytes are
                yield unpacker.decompress(part, limit + 1)
                part = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        if unpacker is not None and not unpacker.eof:
            # What it still holds comes before the end is looked for: a small piece of input may unpack to much.
            yield unpacker.flush()
    except zlib.error as error:
        raise BadBody(f"the response's body is damaged: {error}") from None
    if unpacker is not None and not unpacker.eof:
        raise BadBody("the response's body is damaged: its end is missing")


def response_value(response: httpx2.Response, body: bytes, unpacked: bool, read_as: str, clean: Clean) -> Map:
    """{:status :headers :body :url}.  BadBody where the body was to be read as JSON and is not.

    `clean` takes secrets out of bytes, before a charset, which the sender names, makes other texts of them.
    """
    return Map.of(
        [
            (K_STATUS, response.status_code),
            (K_HEADERS, headers_value(response, unpacked, clean)),
            (K_BODY, body_value(response, body, read_as, clean)),
            (K_URL, str(response.url.copy_with(username=None, password=None))),
        ]
    )


def headers_value(response: httpx2.Response, unpacked: bool, clean: Clean) -> Map:
    """Names in lower case; several of one name are joined by ", ", cookies by a line break."""
    merged: dict[str, str] = {}
    for raw_name, raw_value in response.headers.raw:
        name = clean(raw_name).decode("latin-1").lower()
        if unpacked and name in ("content-encoding", "content-length"):
            continue  # they describe the bytes that came, and the program gets others
        text = clean(raw_value).decode("latin-1")
        joint = "\n" if name == "set-cookie" else ", "
        merged[name] = merged[name] + joint + text if name in merged else text
    return Map.of(list(merged.items()))


def body_value(response: httpx2.Response, body: bytes, read_as: str, clean: Clean) -> Any:
    """The body as text, as a value read from JSON (nil where there is no body), or as bytes."""
    if read_as == "bytes":
        return clean(body)
    if read_as == "text":
        return clean(body).decode(_charset(response), errors="replace")
    # JSON is UTF-8 whatever its headers say, and its texts are looked at once they are read.
    if not body:
        return None
    try:
        return json_value(body)
    except JsonError as error:
        raise BadBody(f"the response's body is not JSON: {error}") from None


def retry_after(response: httpx2.Response, now_seconds: float) -> Duration | None:
    """The wait that a Retry-After header asks for (seconds or a date), or None."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:12])
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - now_seconds
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return Duration(int(min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX) * 1e9))


def _charset(response: httpx2.Response) -> str:
    try:
        name = codecs.lookup(response.charset_encoding or "utf-8").name
    except (LookupError, ValueError):
        return "utf-8"
    return name if name in CHARSETS else "utf-8"

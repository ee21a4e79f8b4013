"""Reads the payload of an http/request effect into a request that can be sent, or says what is wrong with it.

Payloads come from programs and are checked in full here: nothing later has to doubt a method, a header or a limit.
"""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2

from flowmetal.connectors.config import HttpSettings
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import suggest
from flowmetal.values import Duration, Keyword, LanguageError, Map, Vector, keyword, print_string, to_python

#: Keys of a payload.
KEYS = ("url", "method", "headers", "query", "body", "json", "form", "timeout", "redirects", "as", "max-bytes")

#: Methods that may change something at the other side, and therefore carry an Idempotency-Key.
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS = frozenset({"GET", "HEAD", "OPTIONS"}) | UNSAFE

#: Set by the connector, or a matter of the connection; a program may not.
RESERVED_HEADERS = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive")
) | {"proxy-authorization"}

#: Longest address, largest set of headers (characters), most redirects, longest deadline.
URL_CHARACTERS_MAX = 16_384
HEADER_CHARACTERS_MAX = 65_536
REDIRECTS_MAX = 20
TIMEOUT_SECONDS_MAX = 3600.0

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_SCHEMES = ("http", "https")


class BadRequest(Exception):
    """A payload that cannot be sent; str() says what is wrong, for the program's author."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request ready to be sent.  `read_as` is "text", "json" or "bytes"; times in seconds, sizes in bytes."""

    method: str
    url: httpx2.URL
    headers: tuple[tuple[str, str], ...]
    content: bytes
    timeout_seconds: float
    redirects: int
    read_as: str
    max_bytes: int


def read_request(payload: Any, settings: HttpSettings, idempotency_key: str) -> HttpRequest:
    """The request that a payload value describes.  Raises BadRequest."""
    if not isinstance(payload, Map):
        raise BadRequest(f"the request must be a map with :url, not {_short(payload)}")
    given = _given(payload)
    method = _method(given.get("method"))
    content, content_type = _content(given)
    headers = _headers(given.get("headers"))
    names = {name for name, _ in headers}
    if content_type is not None and "content-type" not in names:
        headers.append(("content-type", content_type))
    if "accept-encoding" not in names:
        headers.append(("accept-encoding", "gzip"))
    if method in UNSAFE and "idempotency-key" not in names and idempotency_key:
        headers.append(("idempotency-key", _header_text("idempotency-key", idempotency_key)))
    if content and method in ("GET", "HEAD"):
        raise BadRequest(f"a {method} request has no body")
    return HttpRequest(
        method=method,
        url=_url(given.get("url"), given.get("query")),
        headers=tuple(headers),
        content=content,
        timeout_seconds=_timeout(given.get("timeout"), settings),
        redirects=_integer(given, "redirects", 0, 0, REDIRECTS_MAX),
        read_as=_read_as(given.get("as")),
        max_bytes=_integer(given, "max-bytes", settings.max_bytes, 1, settings.max_bytes_limit),
    )


def shown_url(payload: Any) -> str | None:
    """The payload's address without user and password, for error data; None where there is none."""
    url = payload.get(keyword("url")) if isinstance(payload, Map) else None
    if not isinstance(url, str):
        return None
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@", r"\1", url[:URL_CHARACTERS_MAX])


def check_url(url: httpx2.URL) -> None:
    """BadRequest unless it is http or https and names a host; redirects are checked by it as well."""
    if not url.scheme:
        raise BadRequest(f":url must begin with http:// or https://; {_short(str(url))} does not")
    if url.scheme not in _SCHEMES:
        raise BadRequest(f":url must begin with http:// or https://, not {url.scheme}:")
    if not url.host:
        raise BadRequest(":url names no host")
    if url.port is not None and not 0 < url.port < 65536:
        raise BadRequest(f":url names port {url.port}, which does not exist")


def _given(payload: Map) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key, value in payload.items():
        name = key.text if isinstance(key, Keyword) else None
        if name not in KEYS:
            near = suggest(name, KEYS) if name is not None else None
            hint = f"; did you mean :{near}?" if near else f"; known are {' '.join(':' + known for known in KEYS)}"
            raise BadRequest(f"{_short(key)} is not a key of a request{hint}")
        if value is not None or name == "json":
            given[name] = value
    return given


def _url(url: Any, query: Any) -> httpx2.URL:
    if not isinstance(url, str):
        raise BadRequest(f":url must be a string, not {_short(url)}")
    if len(url) > URL_CHARACTERS_MAX:
        raise BadRequest(f":url has more than {URL_CHARACTERS_MAX} characters")
    if any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise BadRequest(":url has a space or a control character in it")
    try:
        parsed = httpx2.URL(url)
        check_url(parsed)
        if query is not None:
            parsed = parsed.copy_merge_params(_pairs(query, ":query"))
    except (httpx2.InvalidURL, ValueError, UnicodeError) as error:
        raise BadRequest(f":url cannot be read: {error}") from None
    return parsed


def _method(method: Any) -> str:
    if method is None:
        return "GET"
    text = (method.text if isinstance(method, Keyword) else method) if isinstance(method, (str, Keyword)) else None
    if text is None or text.upper() not in METHODS:
        raise BadRequest(f":method must be one of {' '.join(sorted(METHODS))}, not {_short(method)}")
    return str(text.upper())


def _headers(headers: Any) -> list[tuple[str, str]]:
    if headers is None:
        return []
    if not isinstance(headers, Map):
        raise BadRequest(f":headers must be a map, not {_short(headers)}")
    result: list[tuple[str, str]] = []
    for key, value in headers.items():
        name = (key.text if isinstance(key, Keyword) else key if isinstance(key, str) else "").lower()
        if not _TOKEN.match(name):
            raise BadRequest(f"{_short(key)} is not the name of a header")
        if name in RESERVED_HEADERS:
            raise BadRequest(f"the header {name} is set by the connector")
        for item in list(value) if isinstance(value, Vector) else [value]:
            if item is not None:
                result.append((name, _header_text(name, _text(item, f"the header {name}"))))
    if sum(len(name) + len(text) for name, text in result) > HEADER_CHARACTERS_MAX:
        raise BadRequest(f":headers have more than {HEADER_CHARACTERS_MAX} characters")
    return result


def _header_text(name: str, text: str) -> str:
    """The value, or BadRequest: a line break would begin another header, or another request."""
    if any(not (" " <= c <= "~" or c == "\t") for c in text):
        raise BadRequest(f"the header {name} has a character that headers cannot carry")
    return text.strip()


def _content(given: dict[str, Any]) -> tuple[bytes, str | None]:
    ways = [key for key in ("body", "json", "form") if key in given]
    if len(ways) > 1:
        raise BadRequest(f"a request has one of {' and '.join(':' + way for way in ways)}, not both")
    if not ways:
        return b"", None
    value = given[ways[0]]
    if ways[0] == "body":
        if isinstance(value, bytes):
            return value, "application/octet-stream"
        if isinstance(value, str):
            return value.encode(), "text/plain; charset=utf-8"
        raise BadRequest(f":body must be a string or bytes, not {_short(value)}; :json sends a value")
    if ways[0] == "form":
        return str(httpx2.QueryParams(_pairs(value, ":form"))).encode(), "application/x-www-form-urlencoded"
    try:
        text = json.dumps(to_python(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except LanguageError as error:
        raise BadRequest(f":json cannot be sent: {error.error.message}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRequest(f":json cannot be sent: {error}") from None
    return text.encode(), "application/json"


def _pairs(value: Any, what: str) -> list[tuple[str, str | int | float | bool | None]]:
    if not isinstance(value, Map):
        raise BadRequest(f"{what} must be a map, not {_short(value)}")
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for key, entry in value.items():
        name = _text(key, f"a name in {what}")
        for item in list(entry) if isinstance(entry, Vector) else [entry]:
            if item is not None:
                pairs.append((name, _text(item, f"{name} in {what}")))
    return pairs


def _text(value: Any, what: str) -> str:
    if isinstance(value, Keyword):
        return str(value.text)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return print_string(value)
    raise BadRequest(f"{what} must be a string, number, keyword or boolean, not {_short(value)}")


def _timeout(value: Any, settings: HttpSettings) -> float:
    if value is None:
        return settings.timeout_seconds
    if not isinstance(value, Duration) or not 0 < value.ns <= TIMEOUT_SECONDS_MAX * 1e9:
        raise BadRequest(f":timeout must be a duration above 0 up to 1h, such as 30s, not {_short(value)}")
    return float(value.ns / 1e9)


def _integer(given: dict[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = given.get(key, default)
    if value.__class__ is not int or not low <= value <= high:
        raise BadRequest(f":{key} must be an integer from {low} to {high}, not {_short(value)}")
    return int(value)


def _read_as(value: Any) -> str:
    if value is None:
        return "text"
    if isinstance(value, Keyword) and value.text in ("text", "json", "bytes"):
        return str(value.text)
    raise BadRequest(f":as must be :text, :json or :bytes, not {_short(value)}")


def _short(value: Any) -> str:
    return print_string(value, limit=80)

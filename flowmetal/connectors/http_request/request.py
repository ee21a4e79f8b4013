"""Reads the payload of an http/request effect into a request that can be sent, or says what is wrong with it.

Payloads come from programs and are checked in full here: nothing later has to doubt a method, a header or a limit.
Handles of secrets may stand for texts in it; `Filled` has their values.  What is wrong is said with the handle.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx2

from flowmetal.connectors.config import HttpSettings
from flowmetal.connectors.secrets import filled
from flowmetal.connectors.secrets.spellings import PATH_SAFE
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import suggest
from flowmetal.values import (
    Duration,
    Keyword,
    LanguageError,
    List,
    Map,
    Secret,
    Vector,
    encode_value,
    keyword,
    print_string,
    secret_names,
    to_python,
)

#: Keys of a payload.
KEYS = (
    "url", "method", "headers", "query", "body", "json", "form", "basic-auth", "timeout", "redirects", "as",
    "max-bytes",
)  # fmt: skip

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
_BEYOND_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]+/")

_K_URL = keyword("url")


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


class Filled:
    """Texts with the values of secrets in the places of their handles."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.any = bool(values)

    def text(self, value: Any) -> Any:
        """The text that a handle stands for; every other value as it is."""
        return filled(value, self._values) if value.__class__ is Secret else value

    def url(self, value: Any) -> Any:
        """The same for an address, in which values cannot end the path."""
        if value.__class__ is not Secret:
            return value
        return filled(value, self._values, lambda text: quote(text, safe=PATH_SAFE))

    def deep(self, value: Any) -> Any:
        """The value with every handle in it replaced, as JSON is to have it.  Raises BadRequest for a key."""
        kind = value.__class__
        if kind is Secret:
            return self.text(value)
        if kind is Vector:
            return Vector.of([self.deep(item) for item in value])
        if kind is List:
            return List.of([self.deep(item) for item in value])
        if isinstance(value, Map):
            if any(key.__class__ is Secret for key, _ in value.items()):
                raise BadRequest("a secret is no key of :json")
            return Map.of([(key, self.deep(item)) for key, item in value.items()])
        return value


def read_request(
    payload: Any, settings: HttpSettings, idempotency_key: str, secrets: Mapping[str, str] | None = None
) -> HttpRequest:
    """The request that a payload value describes; `secrets` has a value for each name in it.  Raises BadRequest."""
    fill = Filled(secrets or {})
    if not isinstance(payload, Map):
        raise BadRequest(f"the request must be a map with :url, not {_short(payload)}")
    given = _given(payload)
    method = _method(given.get("method"))
    content, content_type = _content(given, fill)
    headers = _headers(given.get("headers"), fill)
    names = {name for name, _ in headers}
    if "basic-auth" in given:
        if "authorization" in names:
            raise BadRequest("a request has :basic-auth or the header authorization, not both")
        headers.append(("authorization", _basic(given["basic-auth"], fill)))
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
        url=_url(given.get("url"), given.get("query"), fill),
        headers=tuple(headers),
        content=content,
        timeout_seconds=_timeout(given.get("timeout"), settings),
        redirects=_integer(given, "redirects", 0, 0, REDIRECTS_MAX),
        read_as=_read_as(given.get("as")),
        max_bytes=_integer(given, "max-bytes", settings.max_bytes, 1, settings.max_bytes_limit),
    )


def shown_url(payload: Any) -> str | None:
    """The payload's address without user and password, for error data; None where there is none."""
    url = payload.get(_K_URL) if isinstance(payload, Map) else None
    if url.__class__ is Secret:
        url = url.text
    if not isinstance(url, str):
        return None
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@", r"\1", url[:URL_CHARACTERS_MAX])


def goal_of(payload: Any) -> tuple[str, str, int]:
    """Scheme, host and port of the address in a payload, which no secret may decide.  Raises BadRequest."""
    url = payload.get(_K_URL) if isinstance(payload, Map) else None
    fixed = url.parts[0] if url.__class__ is Secret else url
    if not isinstance(fixed, str):
        raise BadRequest(f":url must be a string, not {_short(url)}")
    if url.__class__ is Secret and not _BEYOND_HOST.match(fixed):
        raise BadRequest(f"a secret in :url stands behind the host and a slash, not as in {_short(url)}")
    try:
        parsed = httpx2.URL(fixed[:URL_CHARACTERS_MAX])
        check_url(parsed)
    except (httpx2.InvalidURL, ValueError, UnicodeError) as error:
        raise BadRequest(f":url cannot be read: {error}") from None
    return origin(parsed)


def origin(url: httpx2.URL) -> tuple[str, str, int]:
    """Scheme, host and port of an address."""
    return url.scheme, url.host.lower().rstrip("."), url.port or (443 if url.scheme == "https" else 80)


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


def _url(given: Any, query: Any, fill: Filled) -> httpx2.URL:
    url = fill.url(given)
    if not isinstance(url, str):
        raise BadRequest(f":url must be a string, not {_short(given)}")
    if len(url) > URL_CHARACTERS_MAX:
        raise BadRequest(f":url has more than {URL_CHARACTERS_MAX} characters")
    if any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise BadRequest(":url has a space or a control character in it")
    try:
        parsed = httpx2.URL(url)
        check_url(parsed)
        if query is not None:
            parsed = parsed.copy_merge_params(_pairs(query, ":query", fill))
    except (httpx2.InvalidURL, ValueError, UnicodeError) as error:
        # What is said of an address may hold a part of it.
        said = "it is malformed" if given.__class__ is Secret else str(error)
        raise BadRequest(f":url cannot be read: {said}") from None
    return parsed


def _basic(value: Any, fill: Filled) -> str:
    user, password = (
        (fill.text(part) for part in value) if value.__class__ is Vector and len(value) == 2 else (None, None)
    )
    if not isinstance(user, str) or not isinstance(password, str):
        raise BadRequest(f":basic-auth must be a vector of user and password, not {_short(value)}")
    if ":" in user:
        raise BadRequest(":basic-auth names a user with a colon, which no user may have")
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def _method(method: Any) -> str:
    if method is None:
        return "GET"
    text = (method.text if isinstance(method, Keyword) else method) if isinstance(method, (str, Keyword)) else None
    if text is None or text.upper() not in METHODS:
        raise BadRequest(f":method must be one of {' '.join(sorted(METHODS))}, not {_short(method)}")
    return str(text.upper())


def _headers(headers: Any, fill: Filled) -> list[tuple[str, str]]:
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
                result.append((name, _header_text(name, _text(item, f"the header {name}", fill))))
    if sum(len(name) + len(text) for name, text in result) > HEADER_CHARACTERS_MAX:
        raise BadRequest(f":headers have more than {HEADER_CHARACTERS_MAX} characters")
    return result


def _header_text(name: str, text: str) -> str:
    """The value, or BadRequest: a line break would begin another header, or another request."""
    if "#secret[" in text:
        raise BadRequest(f"the header {name} has the text of a handle in it; `secret-text` joins texts and secrets")
    if any(not (" " <= c <= "~" or c == "\t") for c in text):
        raise BadRequest(f"the header {name} has a character that headers cannot carry")
    return text.strip()


def _content(given: dict[str, Any], fill: Filled) -> tuple[bytes, str | None]:
    ways = [key for key in ("body", "json", "form") if key in given]
    if len(ways) > 1:
        raise BadRequest(f"a request has one of {' and '.join(':' + way for way in ways)}, not both")
    if not ways:
        return b"", None
    value = given[ways[0]]
    if ways[0] == "body":
        value = fill.text(value)
        if isinstance(value, bytes):
            return value, "application/octet-stream"
        if isinstance(value, str):
            return value.encode(), "text/plain; charset=utf-8"
        raise BadRequest(f":body must be a string or bytes, not {_short(value)}; :json sends a value")
    if ways[0] == "form":
        return str(httpx2.QueryParams(_pairs(value, ":form", fill))).encode(), "application/x-www-form-urlencoded"
    value = fill.deep(value)
    if fill.any and secret_names(encode_value(value)):
        raise BadRequest("a secret in :json stands in vectors, lists and maps only")
    try:
        text = json.dumps(to_python(value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except LanguageError as error:
        raise BadRequest(f":json cannot be sent: {error.error.message}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRequest(f":json cannot be sent: {error}") from None
    return text.encode(), "application/json"


def _pairs(value: Any, what: str, fill: Filled) -> list[tuple[str, str | int | float | bool | None]]:
    if not isinstance(value, Map):
        raise BadRequest(f"{what} must be a map, not {_short(value)}")
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for key, entry in value.items():
        name = _text(key, f"a name in {what}", None)
        for item in list(entry) if isinstance(entry, Vector) else [entry]:
            if item is not None:
                pairs.append((name, _text(item, f"{name} in {what}", fill)))
    return pairs


def _text(value: Any, what: str, fill: Filled | None) -> str:
    if fill is not None and value.__class__ is Secret:
        return str(fill.text(value))
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

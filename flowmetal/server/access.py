"""Who may use the API: the bearer token, and the names this server answers to where there is none."""

from __future__ import annotations

import hashlib
import hmac

from starlette.requests import Request

from flowmetal.connectors.http_callback.body import HttpError, is_json
from flowmetal.server.config import LOOPBACK_NAMES


class Access:
    """Checks requests to /v1.  Only a hash of the token is kept."""

    def __init__(self, token: str | None, host: str) -> None:
        self._digest = None if token is None else _digest(token.encode())
        self._names = LOOPBACK_NAMES | {host.lower()}

    def check(self, request: Request) -> None:
        """HttpError 401 (H303) without the token; 403 (H308) for a strange Host where there is none."""
        if self._digest is None:
            # A web page may point a name of its own at this machine; its requests then carry that name.
            host = _host_name(request.headers.get("host", ""))
            if host not in self._names:
                raise HttpError(403, "H308", host=host[:100] or "nothing")
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        matches = hmac.compare_digest(_digest(given.strip().encode("latin-1", "replace")), self._digest)
        if scheme.lower() != "bearer" or not matches:
            raise HttpError(401, "H303")


def check_json(request: Request) -> None:
    """HttpError 415 (H306) unless the body is declared as JSON: other types need no leave to be sent by a web page."""
    if not is_json(request.headers.get("content-type", "")):
        raise HttpError(415, "H306")


def is_bare(request: Request) -> bool:
    """Whether a request without a body may come without a type: no web page sent it, as browsers say where they are."""
    given = request.headers
    return not any(name in given for name in ("content-type", "origin", "referer", "sec-fetch-site"))


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()

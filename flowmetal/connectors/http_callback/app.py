"""The connector for what comes in: callbacks, which answer a waiting process, and endpoints, which start one.

The order is the promise: check, commit, and only then a 2xx.  A sender that got one is never forgotten; one whose
delivery was not committed gets none and delivers again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowmetal.client.background import Gate
from flowmetal.client.errors import ClientError, NotFound
from flowmetal.client.exports import Exports
from flowmetal.connectors.config import CallbackSettings, EndpointSettings
from flowmetal.connectors.http_callback.body import (
    HttpError,
    error_response,
    is_json,
    json_value,
    read_body,
    store_status,
    text_or_bytes,
)
from flowmetal.connectors.http_callback.replays import ENDPOINT, SIGNATURE, known_replays
from flowmetal.connectors.http_callback.secrets import load_secrets
from flowmetal.connectors.http_callback.signatures import BadSignature, verify
from flowmetal.connectors.secrets import work
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError
from flowmetal.store import failpoint
from flowmetal.store.interface import Command, Deliver, Start, Store
from flowmetal.values import Keyword, Map, Vector, encode_value, keyword

log = logging.getLogger("flowmetal.http_callback")

#: A token that no process has.  What cannot be a token is looked up as this one, so that it takes the same way.
NO_TOKEN = "0" * 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}\Z")

#: Delivery ids up to this length are kept readable in the id of the process; longer or odd ones by their hash.
DELIVERY_CHARACTERS_MAX = 80
_DELIVERY = re.compile(r"[A-Za-z0-9._:@/+=-]+\Z")

#: Headers that a program does not get: they hold credentials, or tell of the connection only.
WITHHELD_HEADERS = frozenset(
    ("authorization", "cookie", "proxy-authorization", "connection", "keep-alive", "te", "transfer-encoding", "upgrade")
)

K_BODY = keyword("body")
K_ENDPOINT, K_DELIVERY, K_EVENT, K_HEADERS = (keyword(n) for n in ("endpoint", "delivery", "event", "headers"))
K_TYPE, K_ID, K_EVENT_ID = keyword("type"), keyword("id"), keyword("event_id")

#: Codes for a start that names what is not there, or that cannot be started with a delivery.
_NOT_STARTABLE = frozenset({"S202", "S203", "B014", "B016"})


@dataclass(frozen=True, slots=True)
class _Endpoint:
    settings: EndpointSettings
    secrets: tuple[bytes, ...]


class Callbacks:
    """The routes /callbacks/{token}, /endpoints/{name} and /health over one store.

    Secrets are read here, once (FlowmetalError H203).  `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        settings: CallbackSettings | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings if settings is not None else CallbackSettings()
        self._clock = clock
        self._gate = Gate()
        self._exports = Exports(store)
        environment = os.environ if environment is None else environment
        self._endpoints = {
            name: _Endpoint(endpoint, load_secrets(endpoint, environment))
            for name, endpoint in self._settings.endpoints.items()
        }
        # A time may be that far ahead as well as behind.
        windows = {
            n: 2.0 * e.settings.tolerance_seconds for n, e in self._endpoints.items() if e.settings.scheme == "hmac"
        }
        self._replays = known_replays(store, windows, clock())

    def secrets(self) -> Iterator[tuple[str, bytes]]:
        """The secrets of endpoints, each with a name for it."""
        for name, endpoint in self._endpoints.items():
            for number, secret in enumerate(endpoint.secrets, 1):
                yield f"endpoint:{name}" if number == 1 else f"endpoint:{name}:{number}", secret

    def not_startable(self) -> dict[str, str]:
        """What each endpoint that could start nothing now lacks, in words, by its name.  A deploy may bring it."""
        lacking: dict[str, str] = {}
        deployed = self._store.deployed() if self._endpoints else {}
        for name, endpoint in self._endpoints.items():
            program = _program(endpoint.settings)
            try:
                if program not in deployed:
                    raise NotFound("H511", name=program)
                self._exports.check(Start(endpoint.settings.start, b"", name=program), 1)
            except ClientError as error:
                lacking[name] = error.diagnostic.text
        return lacking

    def routes(self) -> list[Route]:
        """The routes, for an application that serves them beside others."""
        return [
            Route("/callbacks/{token}", guarded(self._callback), methods=["POST"]),
            Route("/endpoints/{name}", guarded(self._endpoint), methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ]

    def app(self) -> Starlette:
        """An application of these routes alone."""
        return Starlette(routes=self.routes())

    async def _callback(self, request: Request) -> Response:
        token = request.path_params["token"]
        body = await read_body(request, self._settings.max_body_bytes, self._settings.body_seconds)
        if not _TOKEN.match(token):
            token = NO_TOKEN
        # Nothing is worked out for a sender who knows no token.
        state = await asyncio.to_thread(self._store.token, token)
        if state is None:
            raise HttpError(404, "H401")
        if state == "over":
            return JSONResponse({"status": "duplicate"})
        content_type = request.headers.get("content-type", "")
        data = await self._gate.run(lambda: encode_value(_delivered(content_type, body)), len(body))
        outcome = await self._commit(Deliver(token, data))
        if outcome == "accepted":
            return JSONResponse({"status": "accepted"}, status_code=202)
        if outcome == "duplicate":
            return JSONResponse({"status": "duplicate"})
        raise HttpError(404, "H401")

    async def _endpoint(self, request: Request) -> Response:
        endpoint = self._endpoints.get(request.path_params["name"])
        if endpoint is None:
            raise HttpError(404, "H403")
        settings = endpoint.settings
        body = await read_body(request, settings.max_body_bytes, self._settings.body_seconds)
        headers = merged_headers(request)
        try:
            accepted = verify(settings, endpoint.secrets, headers, body, self._clock())
        except BadSignature as reason:
            log.warning("endpoint %s refused a delivery: %s", settings.name, reason)
            raise HttpError(401, "H402") from None
        value = await self._gate.run(lambda: _parsed(headers.get("content-type", ""), body), len(body))
        event = _event(settings, headers, value)
        if settings.events and event not in settings.events:
            return JSONResponse({"status": "ignored", "event": event}, status_code=202)
        delivery = accepted.id or _id_in_body(settings, value) or accepted.signature
        process_id = f"endpoint:{settings.name}:{_short(delivery)}"
        attributes = {ENDPOINT: settings.name}
        if not accepted.id_is_signed:
            process_id = self._replays[settings.name].first(accepted.signature, process_id, self._clock())
            attributes[SIGNATURE] = accepted.signature
        arguments = await self._gate.run(
            lambda: encode_value(_arguments(settings, delivery, event, headers, value)), len(body)
        )
        return await self._start(settings, process_id, arguments, attributes)

    async def _start(
        self, settings: EndpointSettings, process_id: str, arguments: bytes, attributes: dict[str, str]
    ) -> Response:
        command = Start(
            function=settings.start,
            arguments=arguments,
            name=_program(settings),
            id=process_id,
            attributes=attributes,
        )
        try:
            pid, created = await self._commit(await asyncio.to_thread(self._exports.check, command, 1))
        except FlowmetalError as error:
            # A redelivery has the same id and may differ in a header; what counts is that it was accepted before.
            known = await asyncio.to_thread(self._store.process_by_id, process_id)
            if known is None:
                if error.code in _NOT_STARTABLE:
                    raise HttpError(503, "H404", reason=error.diagnostic.text) from None
                raise
            pid, created = known.pid, False
        if created:
            return JSONResponse({"status": "started", "process": pid}, status_code=202)
        return JSONResponse({"status": "duplicate", "process": pid})

    async def _commit(self, command: Command) -> Any:
        if failpoint.hook is not None:
            failpoint.hook("callback/read")
        future = await self._gate.run(lambda: self._store.submit([command]), work(self._store, command))
        (result,) = await asyncio.wrap_future(future)
        if failpoint.hook is not None:
            failpoint.hook("callback/committed")
        return result


def guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A handler whose errors become envelopes: HttpError its status, a store's error store_status, all others 500."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except HttpError as error:
            return error_response(error, error.status)
        except FlowmetalError as error:
            status = store_status(error)
            if status >= 500:
                log.error("a request failed: %s", error)
            return error_response(error, status)
        except Exception:
            reference = os.urandom(6).hex()
            log.exception("a request failed, reference %s", reference)
            return error_response(FlowmetalError("H311", reference=reference), 500)

    return answer


async def health(request: Request) -> Response:
    """Answers that the server serves; it looks at nothing else, so that it stays fast under load."""
    return JSONResponse({"status": "ok"})


def merged_headers(request: Request) -> dict[str, str]:
    """Headers by lower-case name; several of one name joined by ","."""
    merged: dict[str, str] = {}
    for raw_name, raw_value in request.headers.raw:
        name, text = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        merged[name] = f"{merged[name]},{text}" if name in merged else text
    return merged


def _delivered(content_type: str, body: bytes) -> Any:
    """What a callback delivers: nil without a body, a value from JSON, else {:body text-or-bytes}."""
    if not body:
        return None
    return json_value(body) if is_json(content_type) else Map.of([(K_BODY, text_or_bytes(body))])


def _arguments(
    settings: EndpointSettings, delivery: str, event: str | None, headers: Mapping[str, str], value: Any
) -> Vector:
    """What an endpoint's program gets: one map."""
    given = [
        (K_ENDPOINT, settings.name),
        (K_DELIVERY, delivery),
        (K_EVENT, event),
        (K_HEADERS, Map.of([(n, v) for n, v in headers.items() if n not in WITHHELD_HEADERS])),
        (K_BODY, value),
    ]
    return Vector.of([Map.of(given)])


def _parsed(content_type: str, body: bytes) -> Any:
    """The body for an endpoint's program: a value from JSON where it says so and is, else text or bytes."""
    if is_json(content_type):
        try:
            return json_value(body)
        except HttpError:
            pass  # the signature holds, so this is what the sender meant; the program sees it as it came
    return text_or_bytes(body)


def _event(settings: EndpointSettings, headers: Mapping[str, str], value: Any) -> str | None:
    """The name of the event, from where each scheme has it."""
    if settings.scheme == "github":
        return headers.get("x-github-event")
    if settings.scheme in ("hmac", "none"):
        return headers.get(settings.event_header)
    if settings.scheme == "slack" and isinstance(value, Map) and isinstance(inner := value.get(K_EVENT), Map):
        return _text(inner.get(K_TYPE))
    return _text(value.get(K_TYPE)) if isinstance(value, Map) else None


def _program(settings: EndpointSettings) -> str:
    """The deployed name of what an endpoint starts."""
    return settings.program if settings.program is not None else settings.start.partition("/")[0]


def _id_in_body(settings: EndpointSettings, value: Any) -> str | None:
    """The sender's id of the delivery, for schemes that have it in the (signed) body."""
    key: Keyword | None = {"stripe": K_ID, "slack": K_EVENT_ID}.get(settings.scheme)
    return _text(value.get(key)) if key is not None and isinstance(value, Map) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _short(delivery: str) -> str:
    """The delivery id as it stands in a process's id: as it is, or by its hash where it is long or odd."""
    if len(delivery) <= DELIVERY_CHARACTERS_MAX and _DELIVERY.match(delivery):
        return delivery
    return "sha256-" + hashlib.sha256(delivery.encode("utf-8", "replace")).hexdigest()

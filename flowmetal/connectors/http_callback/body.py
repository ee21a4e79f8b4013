"""Reads request bodies within a limit and a deadline, and JSON into values.  The API uses it as well.

The limit is counted while the body arrives, so a chunked body, or one with a false length, is cut as soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from flowmetal import values
from flowmetal.diagnostics import FlowmetalError, catalogue

#: A sender's deadline for its whole body, in seconds.
BODY_SECONDS = 10.0


class HttpError(FlowmetalError):
    """An error that a caller over HTTP gets: a code with its facts, and the status."""

    def __init__(self, status: int, code: str, /, **facts: Any) -> None:
        super().__init__(code, **facts)
        self.status = status


async def read_body(request: Request, limit: int, seconds: float = BODY_SECONDS) -> bytes:
    """The raw body.  HttpError 413 (H302) beyond `limit` bytes, 408 (H307) after `seconds`, 400 (H301) if cut off."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise HttpError(413, "H302", limit=limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise HttpError(413, "H302", limit=limit)
                parts.append(part)
    except TimeoutError:
        raise HttpError(408, "H307", seconds=f"{seconds:g}") from None
    except ClientDisconnect:
        raise HttpError(400, "H301", reason="the connection broke before its end") from None
    return b"".join(parts)


def is_json(content_type: str) -> bool:
    """Whether a Content-Type says JSON: application/json, or anything ending in +json."""
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


def parse_json(body: bytes) -> Any:
    """JSON as plain Python.  HttpError 400 (H301) for what values.parse_json does not take."""
    try:
        return values.parse_json(body)
    except values.JsonError as error:
        raise HttpError(400, "H301", reason=str(error)) from None


def json_value(body: bytes) -> Any:
    """JSON as a value of the language.  HttpError 400 (H301)."""
    try:
        return values.json_value(body)
    except values.JsonError as error:
        raise HttpError(400, "H301", reason=str(error)) from None


def text_or_bytes(body: bytes) -> Any:
    """Text where the body is UTF-8, else bytes."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body


def store_status(error: FlowmetalError) -> int:
    """The status for an error of the store: 400 for what was asked (S2xx), 503 for what the store could not do."""
    return {"S201": 409, "S202": 404, "S203": 404, "S205": 413, "S207": 503, "S208": 503}.get(
        error.code, 400 if error.code.startswith("S2") else 503
    )


def error_response(error: FlowmetalError, status: int, **more: Any) -> JSONResponse:
    """The envelope {"error": {"code", "message", "hint", "facts"}}.  A body that was not read to its end ends the
    connection."""
    told = error.diagnostic
    facts = catalogue.facts_of(error.code, told.facts)
    shown = {"code": error.code, "message": told.text, "hint": told.hint or None, "facts": facts, **more}
    headers: Mapping[str, str] = {"connection": "close"} if status in (408, 413) else {}
    return JSONResponse({"error": shown}, status_code=status, headers=headers)

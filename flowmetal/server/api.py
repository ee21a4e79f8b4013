"""The HTTP API under /v1: processes, programs, and requests for workers of any language.

JSON in and out; an error is {"error": {"code", "message", "hint", "facts"}}.  Commands are answered once they are
durable.  This module translates between HTTP and the store interface and decides nothing else.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowmetal.client.background import Gate
from flowmetal.client.base import POSTED
from flowmetal.client.errors import ClientError, Conflict, NotFound, NotPlain, Refused
from flowmetal.client.exports import Exports
from flowmetal.client.hints import SLOW_POLL_SECONDS, Hints, in_loop
from flowmetal.client.info import info_of
from flowmetal.client.over_store import Deployer, start_error
from flowmetal.client.plain import (
    DELAY_SECONDS_MAX,
    Wanted,
    as_json,
    encoded,
    encoded_error,
    missing_code,
    outcome_of,
    plain,
    step_of,
)
from flowmetal.client.pruning import PRUNE_FIELDS
from flowmetal.client.serving import wait_first
from flowmetal.client.steering import NAMED_ACTIONS, ORDER_FIELDS, PIECE_MAX, order_of, piece
from flowmetal.client.where import Where, count, where_of
from flowmetal.connectors.http_callback.app import guarded
from flowmetal.connectors.http_callback.body import HttpError, error_response, parse_json, read_body
from flowmetal.connectors.secrets import plain as without_secrets
from flowmetal.connectors.secrets import work
from flowmetal.dataclass import replace
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.retention import Retention
from flowmetal.server.access import Access, check_json, is_bare
from flowmetal.server.config import ServeSettings
from flowmetal.server.fields import Fields
from flowmetal.server.upkeep import Upkeep
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import (
    FINAL_STATUSES,
    STATUSES,
    Command,
    Complete,
    Extend,
    Operate,
    Post,
    ProcessRecord,
    Store,
    Take,
)
from flowmetal.store.interface import Request as StoreRequest

#: Longest wait that a caller may ask for.
WAIT_SECONDS_MAX = 60.0

#: Most entries in one answer.
PAGE_MAX = 1000
TAKE_MAX = 100
LEASE_MS_MIN, LEASE_MS_MAX = 100, 3_600_000

NUMBER_MAX = (1 << 63) - 1

#: What a start says of the queue it is to wait in.
QUEUE_FIELDS = ("queue", "key", "priority", "delay", "dedup")

T = TypeVar("T")

Handler = Callable[[Request], Awaitable[Response]]


class Api:
    """The routes of the API over one store.  `deploy` checks and deploys artifacts; without it none is taken."""

    def __init__(
        self,
        store: Store,
        settings: ServeSettings,
        access: Access,
        deploy: Deployer | None = None,
        retention: Retention | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._access = access
        self._deployer = deploy
        self._hints = Hints(store)
        self._exports = Exports(store)
        self._gate = Gate()
        self._stopping = asyncio.Event()
        self.upkeep = Upkeep(store, retention or Retention())

    def routes(self) -> list[Route]:
        """The routes, behind the access check."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/v1/processes", self._start),
            ("GET", "/v1/processes", self._list),
            ("GET", "/v1/processes/count", self._count),
            ("POST", "/v1/processes/steer", self._steer),
            ("GET", "/v1/processes/{pid:int}", self._get),
            ("GET", "/v1/processes/{pid:int}/result", self._result),
            ("GET", "/v1/processes/{pid:int}/history", self._history),
            ("GET", "/v1/processes/{pid:int}/mailbox", self._mailbox),
            ("POST", "/v1/processes/{pid:int}/cancel", self._cancel),
            ("POST", "/v1/processes/{pid:int}/messages", self._message),
            ("POST", "/v1/processes/{pid:int}/events", self._event),
            ("POST", "/v1/operations/{name:path}", self._operate),
            ("GET", "/v1/programs", self._programs),
            ("PUT", "/v1/programs/{name}", self._deploy),
            ("POST", "/v1/prune", self._prune),
            ("GET", "/metrics", self.upkeep.metrics),
            ("POST", "/v1/requests/take", self._take),
            ("POST", "/v1/requests/{pid:int}/{number:int}/complete", self._complete),
            ("POST", "/v1/requests/{pid:int}/{number:int}/extend", self._extend),
        ]
        return [Route(path, guarded(self._checked(handler)), methods=[method]) for method, path, handler in table]

    def stop(self) -> None:
        """Ends the long-polls under way, so that the server can stop.  In the loop's thread only."""
        self._stopping.set()
        self.upkeep.stop()
        self._hints.close()

    def _checked(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            self._access.check(request)
            try:
                return await handler(request)
            except ClientError as error:
                return error_response(error, _status(error))

        return answer

    # ---- processes -------------------------------------------------------------------------------------------------

    async def _start(self, request: Request) -> Response:
        fields = await self._document(
            request, "program", "function", "args", "id", "attributes", "register", "limits", *QUEUE_FIELDS
        )
        arguments = fields.items("args")
        wanted = Wanted(
            fields.text("function"),
            arguments,
            program=fields.text_or_none("program"),
            id=fields.text_or_none("id"),
            attributes=fields.table("attributes"),
            queue=fields.text_or_none("queue"),
            key=fields.text_or_none("key"),
            priority=fields.integer("priority", -9, 9, 0),
            delay=fields.number("delay", DELAY_SECONDS_MAX),
            dedup=fields.text_or_none("dedup"),
            register=fields.text_or_none("register"),
            limits=fields.table("limits"),
        )
        command = await self._aside(request, wanted.command)
        command = await asyncio.to_thread(self._exports.check, command, len(arguments))
        try:
            pid, created = await self._commit(command)
        except FlowmetalError as error:
            raise await asyncio.to_thread(start_error, error, command, self._store) from None
        return JSONResponse({"pid": pid, "created": created}, status_code=201 if created else 200)

    async def _list(self, request: Request) -> Response:
        fields = Fields(request.query_params, ("after", "limit", "status", "newest_first", "id", "where"))
        id = fields.text_or_none("id")
        if id is not None:
            record = await asyncio.to_thread(self._store.process_by_id, id)
            found = [] if record is None else [record]
        else:
            statuses = tuple(s for s in str(fields.any("status") or "").split(",") if s)
            if not set(statuses) <= set(STATUSES):
                raise HttpError(400, "H305", field="status", expected="of " + ", ".join(STATUSES))
            after, limit = fields.integer("after", 0, NUMBER_MAX, 0), fields.integer("limit", 1, PAGE_MAX, 100)
            newest_first = fields.flag("newest_first")
            where = _where(fields)
            query = where.query(self._store.now())
            found = await asyncio.to_thread(
                lambda: self._store.processes(
                    after=after,
                    limit=limit,
                    statuses=statuses or where.statuses,
                    newest_first=newest_first,
                    where=query,
                )
            )
        return JSONResponse({"processes": [as_json(info_of(record)) for record in found]})

    async def _count(self, request: Request) -> Response:
        where = _where(Fields(request.query_params, ("where",)))
        return JSONResponse({"count": await asyncio.to_thread(count, self._store, where)})

    async def _steer(self, request: Request) -> Response:
        fields = await self._document(
            request, "action", "where", "value", "request", "kind", "message", "reason", "by", "latest", "id",
            "after", "limit", "dry_run", "name", "end",
        )  # fmt: skip
        document = {name: fields.any(name) for name in ORDER_FIELDS if fields.has(name)}
        order = await self._aside(request, lambda: order_of(without_secrets(self._store, document)))
        if not order.by and order.action in NAMED_ACTIONS:
            order = replace(order, by="somebody over HTTP")
        after, size = fields.integer("after", 0, NUMBER_MAX, 0), fields.integer("limit", 1, PIECE_MAX, 200)
        end, name = fields.integer("end", 0, NUMBER_MAX, 0), fields.any("name") or ""
        dry_run = fields.any("dry_run") or False
        if dry_run.__class__ is not bool:
            raise HttpError(400, "H305", field="dry_run", expected="true or false")
        if name.__class__ is not str:
            raise HttpError(400, "H305", field="name", expected="a string")
        report = await asyncio.to_thread(
            lambda: piece(self._store, order, after, size=size, dry_run=dry_run, name=name, end=end)
        )
        return JSONResponse(as_json(report))

    async def _get(self, request: Request) -> Response:
        return JSONResponse(as_json(info_of(await self._record(request))))

    async def _result(self, request: Request) -> Response:
        wait = Fields(request.query_params, ("wait",)).seconds("wait", WAIT_SECONDS_MAX)
        pid = _pid(request)

        async def ended() -> ProcessRecord | None:
            record = await self._record(request)
            return record if record.status in FINAL_STATUSES else None

        record = await self._wait_for([("process", pid)], ended, wait)
        if record is None:
            record = await self._record(request)
            return JSONResponse({"ended": False, "status": record.status, "waits": record.waits}, status_code=202)
        data = await asyncio.to_thread(self._store.result, pid)
        try:
            return await self._gate.run(
                lambda: JSONResponse({"ended": True, **as_json(outcome_of(record, data))}), len(data or b"")
            )
        except NotPlain as error:
            reason, printed = error.facts["reason"], error.facts.get("printed")
        except ValueError as problem:  # an integer of thousands of digits, say
            reason, printed = str(problem), None
        return error_response(FlowmetalError("H309", what="result", pid=pid, reason=reason), 422, printed=printed)

    async def _history(self, request: Request) -> Response:
        fields = Fields(request.query_params, ("start", "limit"))
        start, limit = fields.integer("start", 0, NUMBER_MAX, 0), fields.integer("limit", 1, PAGE_MAX, PAGE_MAX)
        pid = (await self._record(request)).pid
        steps = await asyncio.to_thread(lambda: [step_of(e) for e in self._store.log(pid, start, limit)])
        return JSONResponse({"steps": [as_json(step) for step in steps]})

    async def _mailbox(self, request: Request) -> Response:
        return await self.upkeep.mailbox((await self._record(request)).pid, request)

    async def _prune(self, request: Request) -> Response:
        fields = await self._document(request, *PRUNE_FIELDS)
        return await self.upkeep.prune({name: fields.any(name) for name in PRUNE_FIELDS if fields.has(name)})

    async def _cancel(self, request: Request) -> Response:
        fields = await self._document(request, "reason")
        return await self._post(request, "cancel", fields.text_or_none("reason"))

    async def _message(self, request: Request) -> Response:
        fields = await self._document(request, "value")
        return await self._post(request, "message", fields.any("value"))

    async def _event(self, request: Request) -> Response:
        fields = await self._document(request, "kind", "value", "number")
        kind = fields.text("kind")
        if kind not in POSTED:
            raise HttpError(400, "H305", field="kind", expected="one of " + ", ".join(POSTED))
        return await self._post(request, kind, fields.any("value"), fields.integer("number", 0, NUMBER_MAX, 0))

    async def _post(self, request: Request, kind: str, value: Any, number: int = 0) -> Response:
        record = await self._record(request)
        data = b""
        if kind in ("message", "cancel"):
            data = await self._aside(request, lambda: encoded(value, kind, edn=True))
        accepted = await self._commit(Post(record.pid, kind, data, number))
        return JSONResponse({"accepted": bool(accepted)}, status_code=202 if accepted else 200)

    # ---- operations ------------------------------------------------------------------------------------------------

    async def _operate(self, request: Request) -> Response:
        fields = await self._document(request, "payload")
        name = str(request.path_params["name"])
        payload = await self._aside(request, lambda: encoded(fields.any("payload"), "payload"))
        if name == "schedule/put":
            await asyncio.to_thread(self._exports.check_schedule, fields.any("payload"))
        try:
            data: bytes = await self._commit(Operate(name, payload))
        except StoreError as error:
            if error.whose != "command":
                raise
            return error_response(error, _status_of_operation(error))
        return await self._gate.run(lambda: JSONResponse({"value": plain(data, "answer")}), len(data))

    # ---- programs --------------------------------------------------------------------------------------------------

    async def _programs(self, request: Request) -> Response:
        deployed = await asyncio.to_thread(self._store.deployed)
        return JSONResponse({"programs": {name: digest.hex() for name, digest in sorted(deployed.items())}})

    async def _deploy(self, request: Request) -> Response:
        if self._deployer is None:
            raise HttpError(403, "H312")
        data = await read_body(request, self._settings.max_artifact_bytes, self._settings.body_seconds)
        name = request.path_params["name"]
        Fields(request.query_params, ("grant",))
        grants = request.query_params.getlist("grant") or None
        try:
            digest = await asyncio.to_thread(self._deployer, self._store, name, data, grants)
        except StoreError:
            raise
        except FlowmetalError as error:
            return error_response(error, 422)
        held = await asyncio.to_thread(self._store.grants, name)
        document = {"name": name, "hash": digest.hex(), "grants": None if held is None else list(held)}
        return JSONResponse(document, status_code=201)

    # ---- requests, for workers -------------------------------------------------------------------------------------

    async def _take(self, request: Request) -> Response:
        fields = await self._document(request, "effects", "worker", "limit", "lease_ms", "wait")
        effects = fields.texts("effects")
        command = Take(
            effects=effects,
            worker=fields.text("worker"),
            limit=fields.integer("limit", 1, TAKE_MAX, 1),
            lease_ms=fields.integer("lease_ms", LEASE_MS_MIN, LEASE_MS_MAX, 30_000),
        )
        wait = fields.seconds("wait", WAIT_SECONDS_MAX)

        async def taken() -> list[StoreRequest] | None:
            if self._stopping.is_set() or await request.is_disconnected():
                return None
            if not await asyncio.to_thread(self._store.queued, effects) or await request.is_disconnected():
                return None
            taken = await self._commit(command)
            if taken and await request.is_disconnected():
                await self._give_back(taken)
                return None
            return taken or None

        found = await self._wait_for([("request", effect) for effect in effects], taken, wait)
        offered = [await self._offer(item) for item in found or []]
        return JSONResponse({"requests": [item for item in offered if item is not None]})

    async def _give_back(self, taken: Sequence[StoreRequest]) -> None:
        """Lets the leases of requests end at once: their worker has gone, and nobody has begun with them."""
        commands = [Extend(item.pid, item.number, item.attempt, 1) for item in taken]
        await asyncio.wrap_future(self._store.submit(commands))

    async def _offer(self, item: StoreRequest) -> dict[str, Any] | None:
        """A request as JSON; one that has no such form is answered with an error instead, as no worker could."""
        try:
            payload, options = await self._gate.run(lambda: _plain_request(item), len(item.payload))
        except (NotPlain, ValueError) as error:
            reason = error.facts["reason"] if isinstance(error, NotPlain) else error
            data = encoded_error("worker/bad-payload", str(reason))
            await self._commit(Complete(item.pid, item.number, item.attempt, False, data))
            return None
        return {
            "pid": item.pid,
            "number": item.number,
            "attempt": item.attempt,
            "effect": item.effect,
            "payload": payload,
            "options": options,
            "idempotency_key": item.idempotency_key,
        }

    async def _complete(self, request: Request) -> Response:
        fields = await self._document(request, "attempt", "value", "error")
        if fields.has("value") == fields.has("error"):
            raise HttpError(400, "H305", field="value", expected="there, or `error`, and not both")
        ok = fields.has("value")
        data = await self._aside(request, lambda: encoded(fields.any("value"), "value") if ok else _error_data(fields))
        pid, number = _pid(request), request.path_params["number"]
        attempt = fields.integer("attempt", 0, NUMBER_MAX)
        accepted = await self._commit(Complete(pid, number, attempt, ok, data))
        return JSONResponse({"accepted": bool(accepted)})

    async def _extend(self, request: Request) -> Response:
        fields = await self._document(request, "attempt", "lease_ms")
        attempt = fields.integer("attempt", 0, NUMBER_MAX)
        lease_ms = fields.integer("lease_ms", LEASE_MS_MIN, LEASE_MS_MAX, 30_000)
        held = await self._commit(Extend(_pid(request), request.path_params["number"], attempt, lease_ms))
        return JSONResponse({"held": bool(held)})

    # ---- shared ----------------------------------------------------------------------------------------------------

    async def _document(self, request: Request, *names: str) -> Fields:
        """The request's JSON document; an empty body stands for an empty one."""
        body = await read_body(request, self._settings.max_body_bytes, self._settings.body_seconds)
        if body or not is_bare(request):
            check_json(request)
        request.state.size = len(body)
        return Fields(await self._gate.run(lambda: parse_json(body), len(body)) if body else {}, names)

    async def _aside(self, request: Request, function: Callable[[], T]) -> T:
        """What `function` makes of the request's document, in a thread if that was large."""
        return await self._gate.run(function, request.state.size)

    async def _record(self, request: Request) -> ProcessRecord:
        record = await asyncio.to_thread(self._store.process, _pid(request))
        if record is None:
            code = await asyncio.to_thread(missing_code, self._store, _pid(request))
            raise HttpError(404, code, pid=_pid(request))
        return record

    async def _commit(self, command: Command) -> Any:
        future = await self._gate.run(lambda: self._store.submit([command]), work(self._store, command))
        (result,) = await asyncio.wrap_future(future)
        return result

    async def _wait_for(self, hints: list[tuple[str, Any]], look: Callable[[], Awaitable[Any]], seconds: float) -> Any:
        """What `look` gives once that is not None; None after `seconds`, or when the server stops."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        woken = asyncio.Event()
        end = self._hints.listen(hints, in_loop(loop, woken.set))
        try:
            while True:
                woken.clear()
                found = await look()
                left = deadline - loop.time()
                if found is not None or left <= 0 or self._stopping.is_set():
                    return found
                await wait_first(woken, self._stopping, seconds=min(left, SLOW_POLL_SECONDS))
        finally:
            end()


def _where(fields: Fields) -> Where:
    """The filter of a query, a JSON object."""
    text = fields.text_or_none("where")
    if text is None:
        return Where()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise HttpError(400, "H305", field="where", expected="a JSON object") from None
    return where_of(document)


def _plain_request(item: StoreRequest) -> tuple[Any, Any]:
    """Payload and options; NotPlain or ValueError where they cannot be JSON."""
    payload = plain(item.payload, "payload")
    options = plain(item.options, "options") if item.options else None
    json.dumps([payload, options])
    return payload, options


def _error_data(fields: Fields) -> bytes:
    """The error of a worker's answer, encoded."""
    error = Fields(fields.table("error"), ("kind", "message", "data"))
    message = error.text_or_none("message") or ""
    return encoded_error(error.text_or_none("kind") or "worker/error", message, error.any("data"))


def _pid(request: Request) -> int:
    """The pid of the path; one that no process can have is not found."""
    pid: int = request.path_params["pid"]
    if pid > NUMBER_MAX or request.path_params.get("number", 0) > NUMBER_MAX:
        raise HttpError(404, "H504", pid=pid)
    return pid


#: The statuses of refused operations, by the code, or by the kind of the error that a program would get; others: 409.
_REFUSED = {
    "S202": 404, "S204": 400, "S205": 413, "S206": 400, "S210": 404, "S220": 404, "S221": 429, "S222": 400,
    "S225": 400, "S226": 400, "S227": 400, "S228": 404, "argument": 400, "type": 400, "limit": 429, "no-process": 404,
}  # fmt: skip


def _status_of_operation(error: StoreError) -> int:
    return _REFUSED.get(str(error.facts.get("kind")) if error.code == "S211" else error.code, 409)


def _status(error: ClientError) -> int:
    if error.code == "S221":
        return 429
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, Conflict):
        return 409
    return 400 if isinstance(error, (NotPlain, Refused)) else 500

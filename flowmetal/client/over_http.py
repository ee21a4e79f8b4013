"""The client over the HTTP API of a `flowvm serve`: the same methods and errors as over a store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2

from flowmetal import lazily
from flowmetal.client.answers import read_answer
from flowmetal.client.base import Client, Processes, Steps
from flowmetal.client.errors import NotPlain, Unreachable
from flowmetal.client.info import ProcessInfo
from flowmetal.client.plain import (
    Outcome,
    Wanted,
    check_page,
    check_pid,
    check_wait,
    encoded,
    plain,
)
from flowmetal.client.pruning import Pruning
from flowmetal.client.serving import Answer, Source
from flowmetal.client.shapes import OPERATIONS, Reply
from flowmetal.client.steering import Order, Report, document_of
from flowmetal.client.where import Where
from flowmetal.dataclass import replace
from flowmetal.engine.mailboxes import MESSAGES_MAX, Mailbox, Message
from flowmetal.store.interface import Request
from flowmetal.values import ErrorValue, LanguageError, decode_value, from_python, to_python

if TYPE_CHECKING:
    from flowmetal.engine import retention
    from flowmetal.engine.retention import Report as PruneReport
else:
    retention = lazily.module("flowmetal.engine.retention")

#: Longest wait that one call asks the server for; longer waits are several calls.
LONG_POLL_SECONDS = 50.0

#: How much longer a look for what is to be removed may take.
PRUNE_SECONDS = 600.0

#: How much longer counting may take.
COUNT_SECONDS = 60.0

#: How long a call may take beyond the wait it asks for.
CALL_SECONDS = 30.0


class HttpClient(Client):
    """See Client.  Raises Unreachable where the server is not there, NotAuthorized where it wants another token."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._http = httpx2.Client(**_settings(self.url, token))

    def _start(self, wanted: Wanted) -> int:
        wanted.command(with_arguments=False)  # raises for what no server takes
        arguments = enumerate(wanted.arguments, 1)
        document: dict[str, Any] = {
            "function": wanted.function,
            "args": [_sendable(argument, f"argument {number}") for number, argument in arguments],
        }
        for name in ("program", "id", "register"):
            if getattr(wanted, name) is not None:
                document[name] = getattr(wanted, name)
        if wanted.attributes is not None:
            document["attributes"] = _sendable(dict(wanted.attributes), "attributes")
        if wanted.limits:
            document["limits"] = dict(wanted.limits)
        if wanted.queue is not None:
            place = {name: getattr(wanted, name) for name in ("queue", "key", "priority", "delay", "dedup")}
            document |= {name: value for name, value in place.items() if value or name == "queue"}
        return self._call("POST", "/v1/processes", document).integer("pid")

    def outcome(self, pid: int, wait: float | None = None) -> tuple[Outcome | None, str]:
        """See Client."""
        check_pid(pid)
        wanted = check_wait(wait)
        deadline = None if wanted is None else time.monotonic() + wanted
        while True:
            left = LONG_POLL_SECONDS if deadline is None else max(0.0, deadline - time.monotonic())
            seconds = min(left, LONG_POLL_SECONDS)
            answer = self._call("GET", f"/v1/processes/{pid}/result?wait={seconds:.3f}", seconds=seconds, pid=pid)
            if answer.flag("ended"):
                return answer.outcome(), answer.text("status")
            if deadline is not None and time.monotonic() >= deadline:
                return None, answer.text("status")

    def get(self, pid: int) -> ProcessInfo:
        """See Client."""
        info: ProcessInfo = self._call("GET", f"/v1/processes/{check_pid(pid)}", pid=pid).made(ProcessInfo)
        return info

    def find(self, id: str) -> ProcessInfo | None:
        """See Client."""
        found = self._call("GET", f"/v1/processes?{httpx2.QueryParams({'id': id})}").rows("processes", ProcessInfo)
        return found[0] if found else None

    def list(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        statuses: Iterable[str] = (),
        newest_first: bool = False,
        where: Where | None = None,
    ) -> Processes:
        """See Client."""
        where = where or Where()
        asked = check_page(after, limit, statuses)
        query: dict[str, str | int | bool] = {
            "after": after,
            "limit": limit,
            "status": ",".join(asked or where.statuses),
            "newest_first": newest_first,
        }
        said = replace(where, statuses=())
        if not said.is_everything:
            query["where"] = json.dumps(_sendable(said.document(), "where"))
        return self._call("GET", f"/v1/processes?{httpx2.QueryParams(query)}").rows("processes", ProcessInfo)

    def history(self, pid: int, start: int = 0, limit: int = 1000) -> Steps:
        """See Client."""
        check_pid(pid)
        check_page(start, limit, ())
        return self._call("GET", f"/v1/processes/{pid}/history?start={start}&limit={limit}", pid=pid).steps(start)

    def mailbox(self, pid: int, *, after: int = 0, limit: int = 100) -> Mailbox:
        """See Client."""
        check_pid(pid)
        check_page(after, limit, ())
        answer = self._call(
            "GET", f"/v1/processes/{pid}/mailbox?after={after}&limit={min(limit, MESSAGES_MAX)}", pid=pid
        )
        return Mailbox(answer.integer("waiting"), answer.rows("messages", Message), answer.value("after", int | None))

    def _prune(self, wanted: Pruning) -> PruneReport:
        answer = self._call("POST", "/v1/prune", wanted.document(), seconds=PRUNE_SECONDS)
        report: PruneReport = answer.made(retention.Report)
        return report

    def post(self, pid: int, kind: str, value: Any, number: int = 0) -> bool:
        """See Client."""
        check_pid(pid)
        document = {"kind": kind, "value": _sendable(value, "message")} | ({"number": number} if number else {})
        return self._call("POST", f"/v1/processes/{pid}/events", document, pid=pid).flag("accepted")

    def operate(self, name: str, payload: Any = None) -> Any:
        """See Client."""
        document = {"payload": _sendable(payload, "payload")}
        answer = self._call("POST", f"/v1/operations/{quote(name, safe='/')}", document, of_store=True)
        return answer.value("value", OPERATIONS.get(name, Any))

    def count(self, where: Where | None = None) -> int:
        """See Client."""
        query = {"where": json.dumps(_sendable((where or Where()).document(), "where"))}
        path = f"/v1/processes/count?{httpx2.QueryParams(query)}"
        return self._call("GET", path, seconds=COUNT_SECONDS).integer("count")

    def _piece(self, order: Order, after: int, dry_run: bool, name: str, end: int) -> Report:
        document = document_of(order) | {"after": after, "dry_run": dry_run, "name": name, "end": end}
        answer = self._call("POST", "/v1/processes/steer", _sendable(document, "order"))
        return answer.report()

    def put_program(self, name: str, data: bytes, grants: Sequence[str] | None = None) -> str:
        """See Client."""
        # "none" says it where there are none, since without any the server decides.
        asked = "" if grants is None else "?" + "&".join(f"grant={quote(one, safe='')}" for one in grants or ("none",))
        return self._call("PUT", f"/v1/programs/{quote(name, safe='')}{asked}", data).text("hash")

    def programs(self) -> dict[str, str]:
        """See Client."""
        return self._call("GET", "/v1/programs").texts("programs")

    def source(self, effects: Sequence[str], worker: str, lease_ms: int) -> Source:
        """See Client."""
        return HttpSource(self.url, self._token, effects, worker, lease_ms)

    def close(self) -> None:
        """See Client."""
        self._http.close()

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        seconds: float = 0.0,
        pid: int | None = None,
        of_store: bool = False,
    ) -> Reply:
        try:
            response = self._http.request(method, path, timeout=seconds + CALL_SECONDS, **_sent(body))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable("H501", url=self.url, reason=str(error).rstrip(".") or type(error).__name__) from None
        return read_answer(response, self.url, pid, of_store)


class HttpSource:
    """Requests taken through a server, by long-poll.  Answers and errors cross as JSON."""

    def __init__(self, url: str, token: str | None, effects: Sequence[str], worker: str, lease_ms: int) -> None:
        self._url = url
        self._effects = list(effects)
        self._worker = worker
        self._lease_ms = lease_ms
        self._settings = _settings(url, token)
        self._http = httpx2.AsyncClient(**self._settings)
        self._keeping: httpx2.AsyncClient | None = None  # of the loop that extends

    async def take(self, limit: int, stopping: asyncio.Event) -> list[Request]:
        """See Source."""
        document = {
            "effects": self._effects,
            "worker": self._worker,
            "limit": limit,
            "lease_ms": self._lease_ms,
            "wait": LONG_POLL_SECONDS,
        }
        call = asyncio.ensure_future(self._call("/v1/requests/take", document, LONG_POLL_SECONDS + CALL_SECONDS))
        stop = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait([call, stop], return_when=asyncio.FIRST_COMPLETED)
            return [_request(item) for item in call.result().items("requests")] if call.done() else []
        finally:
            # Cut off at the stop: what the server may have taken in this moment is free again after its lease.
            call.cancel()
            stop.cancel()

    async def extend(self, requests: Sequence[Request]) -> list[bool]:
        """See Source."""
        if self._keeping is None:
            self._keeping = httpx2.AsyncClient(**self._settings)
        answers = await asyncio.gather(
            *(
                self._call(
                    f"/v1/requests/{request.pid}/{request.number}/extend",
                    {"attempt": request.attempt, "lease_ms": self._lease_ms},
                    self._lease_ms / 1000,  # a call that takes longer has lost the lease, and holds up the next one
                    self._keeping,
                )
                for request in requests
            )
        )
        return [answer.flag("held") for answer in answers]

    async def end_extending(self) -> None:
        """See Source."""
        if self._keeping is not None:
            await self._keeping.aclose()

    async def complete(self, request: Request, answer: Answer) -> bool:
        """See Source."""
        document: dict[str, Any] = {"attempt": request.attempt}
        if answer.ok:
            try:
                document["value"] = _sendable(plain(answer.data, "result"), "result")
            except NotPlain as problem:  # an integer of thousands of digits, say, which JSON readers refuse
                document["error"] = {"kind": "worker/bad-result", "message": str(problem.facts["reason"])}
        else:
            error = decode_value(answer.data)
            assert isinstance(error, ErrorValue)
            document["error"] = {"kind": error.kind.text, "message": error.message, "data": to_python(error.data)}
        path = f"/v1/requests/{request.pid}/{request.number}/complete"
        return (await self._call(path, document)).flag("accepted")

    async def close(self) -> None:
        """See Source."""
        await self._http.aclose()

    async def _call(
        self, path: str, document: Any, seconds: float = CALL_SECONDS, http: httpx2.AsyncClient | None = None
    ) -> Reply:
        try:
            response = await (http or self._http).post(path, timeout=seconds, **_sent(document))
        except httpx2.HTTPError as error:
            raise Unreachable("H501", url=self._url, reason=str(error).rstrip(".") or type(error).__name__) from None
        return read_answer(response, self._url, None)


def _settings(url: str, token: str | None) -> dict[str, Any]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return {"base_url": url, "headers": headers, "trust_env": False, "follow_redirects": False}


def _sent(body: Any) -> dict[str, Any]:
    if body is None:
        return {}
    if isinstance(body, bytes):
        return {"content": body, "headers": {"content-type": "application/octet-stream"}}
    text = json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")
    return {"content": text, "headers": {"content-type": "application/json"}}


def _sendable(data: Any, what: str) -> Any:
    """Plain data as JSON can carry it; NotPlain for what a program could hold but JSON cannot."""
    try:
        from_python(data)
        json.dumps(data, allow_nan=False).encode("utf-8")
    except LanguageError as error:
        raise NotPlain("H510", what=what, reason=error.error.message) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise NotPlain("H510", what=what, reason=str(error)) from None
    return data


def _request(item: Reply) -> Request:
    return Request(
        pid=item.integer("pid"),
        number=item.integer("number"),
        effect=item.text("effect"),
        payload=encoded(item.value("payload"), "payload"),
        options=encoded(item.value("options"), "options"),
        idempotency_key=item.text("idempotency_key"),
        attempt=item.integer("attempt"),
        state="taken",
    )

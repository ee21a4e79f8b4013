"""The client over the HTTP API of a `flowvm serve`: the same methods and errors as over a store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2

from flowmetal import lazily
from flowmetal.client.base import Client, Processes, Steps
from flowmetal.client.errors import (
    ClientError,
    Conflict,
    NotAuthorized,
    NotFound,
    NotPlain,
    Refused,
    Unreachable,
)
from flowmetal.client.info import ProcessInfo
from flowmetal.client.plain import (
    Outcome,
    Step,
    check_page,
    check_pid,
    check_wait,
    encoded,
    from_json,
    plain,
    queue_place,
    start_command,
)
from flowmetal.client.pruning import Pruning
from flowmetal.client.serving import Answer, Source
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

    def start(
        self,
        function: str,
        /,
        *arguments: Any,
        program: str | None = None,
        id: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        queue: str | None = None,
        key: str | None = None,
        priority: int = 0,
        delay: float = 0,
        dedup: str | None = None,
        register: str | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> int:
        """See Client."""
        place = queue_place(queue, key, priority, delay, dedup)
        start_command(function, (), program, id, attributes, place, register, limits)  # raises for what no server takes
        document: dict[str, Any] = {
            "function": function,
            "args": [_sendable(argument, f"argument {number}") for number, argument in enumerate(arguments, 1)],
        }
        document |= {} if program is None else {"program": program}
        document |= {} if id is None else {"id": id}
        document |= {} if register is None else {"register": register}
        document |= {} if attributes is None else {"attributes": _sendable(dict(attributes), "attributes")}
        document |= {"limits": dict(limits)} if limits else {}
        if queue is not None:
            named = {"queue": queue, "key": key, "priority": priority, "delay": delay, "dedup": dedup}
            document |= {name: value for name, value in named.items() if value or name == "queue"}
        return int(self._call("POST", "/v1/processes", document)["pid"])

    def outcome(self, pid: int, wait: float | None = None) -> tuple[Outcome | None, str]:
        """See Client."""
        check_pid(pid)
        wanted = check_wait(wait)
        deadline = None if wanted is None else time.monotonic() + wanted
        while True:
            left = LONG_POLL_SECONDS if deadline is None else max(0.0, deadline - time.monotonic())
            seconds = min(left, LONG_POLL_SECONDS)
            answer = self._call("GET", f"/v1/processes/{pid}/result?wait={seconds:.3f}", seconds=seconds, pid=pid)
            if answer["ended"]:
                return from_json(Outcome, answer), answer["status"]
            if deadline is not None and time.monotonic() >= deadline:
                return None, answer["status"]

    def get(self, pid: int) -> ProcessInfo:
        """See Client."""
        info: ProcessInfo = from_json(ProcessInfo, self._call("GET", f"/v1/processes/{check_pid(pid)}", pid=pid))
        return info

    def find(self, id: str) -> ProcessInfo | None:
        """See Client."""
        found = self._call("GET", f"/v1/processes?{httpx2.QueryParams({'id': id})}")["processes"]
        return from_json(ProcessInfo, found[0]) if found else None

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
        found = self._call("GET", f"/v1/processes?{httpx2.QueryParams(query)}")["processes"]
        return [from_json(ProcessInfo, info) for info in found]

    def history(self, pid: int, start: int = 0, limit: int = 1000) -> Steps:
        """See Client."""
        check_pid(pid)
        check_page(start, limit, ())
        steps = self._call("GET", f"/v1/processes/{pid}/history?start={start}&limit={limit}", pid=pid)["steps"]
        return [from_json(Step, step) for step in steps]

    def mailbox(self, pid: int, *, after: int = 0, limit: int = 100) -> Mailbox:
        """See Client."""
        check_pid(pid)
        check_page(after, limit, ())
        answer = self._call(
            "GET", f"/v1/processes/{pid}/mailbox?after={after}&limit={min(limit, MESSAGES_MAX)}", pid=pid
        )
        messages = [from_json(Message, message) for message in answer["messages"]]
        return Mailbox(answer["waiting"], messages, answer["after"])

    def _prune(self, wanted: Pruning) -> PruneReport:
        answer = self._call("POST", "/v1/prune", wanted.document(), seconds=PRUNE_SECONDS)
        report: PruneReport = from_json(retention.Report, answer)
        return report

    def post(self, pid: int, kind: str, value: Any, number: int = 0) -> bool:
        """See Client."""
        check_pid(pid)
        document = {"kind": kind, "value": _sendable(value, "message")} | ({"number": number} if number else {})
        return bool(self._call("POST", f"/v1/processes/{pid}/events", document, pid=pid)["accepted"])

    def operate(self, name: str, payload: Any = None) -> Any:
        """See Client."""
        document = {"payload": _sendable(payload, "payload")}
        return self._call("POST", f"/v1/operations/{quote(name, safe='/')}", document)["value"]

    def count(self, where: Where | None = None) -> int:
        """See Client."""
        query = {"where": json.dumps(_sendable((where or Where()).document(), "where"))}
        return int(
            self._call("GET", f"/v1/processes/count?{httpx2.QueryParams(query)}", seconds=COUNT_SECONDS)["count"]
        )

    def _piece(self, order: Order, after: int, dry_run: bool, name: str, end: int) -> Report:
        document = document_of(order) | {"after": after, "dry_run": dry_run, "name": name, "end": end}
        answer = self._call("POST", "/v1/processes/steer", _sendable(document, "order"))
        report: Report = from_json(Report, answer)
        return report

    def put_program(self, name: str, data: bytes, grants: Sequence[str] | None = None) -> str:
        """See Client."""
        # "none" says it where there are none, since without any the server decides.
        asked = "" if grants is None else "?" + "&".join(f"grant={quote(one, safe='')}" for one in grants or ("none",))
        return str(self._call("PUT", f"/v1/programs/{quote(name, safe='')}{asked}", data)["hash"])

    def programs(self) -> dict[str, str]:
        """See Client."""
        return dict(self._call("GET", "/v1/programs")["programs"])

    def source(self, effects: Sequence[str], worker: str, lease_ms: int) -> Source:
        """See Client."""
        return HttpSource(self.url, self._token, effects, worker, lease_ms)

    def close(self) -> None:
        """See Client."""
        self._http.close()

    def _call(
        self, method: str, path: str, body: Any = None, *, seconds: float = 0.0, pid: int | None = None
    ) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, timeout=seconds + CALL_SECONDS, **_sent(body))
        except httpx2.HTTPError as error:
            raise Unreachable("H501", url=self.url, reason=str(error).rstrip(".") or type(error).__name__) from None
        return read_answer(response, self.url, pid)


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
            return [_request(item) for item in call.result()["requests"]] if call.done() else []
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
        return [bool(answer["held"]) for answer in answers]

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
        return bool((await self._call(path, document))["accepted"])

    async def close(self) -> None:
        """See Source."""
        await self._http.aclose()

    async def _call(
        self, path: str, document: Any, seconds: float = CALL_SECONDS, http: httpx2.AsyncClient | None = None
    ) -> dict[str, Any]:
        try:
            response = await (http or self._http).post(path, timeout=seconds, **_sent(document))
        except httpx2.HTTPError as error:
            raise Unreachable("H501", url=self._url, reason=str(error) or type(error).__name__) from None
        return read_answer(response, self._url, None)


def read_answer(response: httpx2.Response, url: str, pid: int | None) -> dict[str, Any]:
    """The document of an answer, or the exception that its error stands for."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unreachable("H512", url=url, reason=f"status {response.status_code} without a JSON document")
    if response.is_success:
        return document
    raise _error(response.status_code, document.get("error"), url, pid)


def _error(status: int, error: Any, url: str, pid: int | None) -> ClientError:
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return Unreachable("H512", url=url, reason=f"status {status} without an error that says more")
    given = error.get("facts")
    facts: dict[str, Any] = given if isinstance(given, dict) else {}
    if status == 401:
        return NotAuthorized("H503", url=url)
    if status == 404 and error.get("code") in ("H511", "B014"):
        return NotFound(error["code"], **facts)
    if status == 404 and pid is not None and error.get("code") == "S308":
        return NotFound("S308", pid=pid)
    if status == 404 and pid is not None:
        return NotFound("H504", pid=pid)
    if status == 409 and error.get("code") == "H505":
        return Conflict("H505", **{"id": "", "pid": "?", "what": "start", **facts})
    if error.get("code") == "S220":
        return NotFound("S220", **facts)
    if error.get("code") in ("B016", "H555", "S221", "S222", "S223"):
        return Refused(error["code"], **facts)
    if error.get("code") == "H517":
        return Conflict("H517", **{"name": "", **facts})
    if error.get("code") == "H309":
        return NotPlain("H510", what=f"result of process {pid}", reason=error["message"], printed=error.get("printed"))
    code = error.get("code")
    message = error["message"] if not code else f"{error['message']} [{code}]"
    return Refused("H506", message=message, advice=error.get("hint") or "", status=status)


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


def _request(item: Mapping[str, Any]) -> Request:
    return Request(
        pid=int(item["pid"]),
        number=int(item["number"]),
        effect=str(item["effect"]),
        payload=encoded(item["payload"], "payload"),
        options=encoded(item.get("options"), "options"),
        idempotency_key=str(item["idempotency_key"]),
        attempt=int(item["attempt"]),
        state="taken",
    )

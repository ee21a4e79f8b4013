"""The targets: what reads bytes of others, each with some bytes to begin with.

A target takes any bytes and returns.  What its code may raise for them, it catches; whatever else comes out is a fault.
Answers are looked at as well: a status of 500 over HTTP is a fault, and so is source that is read to nothing at all.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import random
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from flowmetal import vm
from flowmetal.bytecode.fmc import HASH_BYTES
from flowmetal.compiler.reader import read_source
from flowmetal.connectors.config import EndpointSettings
from flowmetal.connectors.http_callback.signatures import BadSignature, verify
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.build import build_artifact
from flowmetal.engine.opening import open_artifact
from flowmetal.reading import read_all_data, read_data
from flowmetal.server import api, read_config
from flowmetal.server.running import HttpServer
from flowmetal.store import StoreError
from flowmetal.store.interface import Fire, Kill, Operate, Post, PutArtifact, Settle, Start, Take
from flowmetal.store.memory import MemoryStore
from flowmetal.store.wire_codec import decode_commands, encode_commands, frame, parse
from flowmetal.values import LanguageError, Vector, encode_value, from_python, print_string
from tests.vm import kit
from tests.vm.test_hostile_images import SOURCES, images, use

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """`run` takes bytes; `seeds` are some that go far; `words` are pieces that its inputs are made of."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    words: tuple[str, ...] = ()
    longest: int = 4096


# ---- source and data ---------------------------------------------------------------------------------------------


def reader(data: bytes) -> None:
    """Source: every error is a diagnostic; data: every error is one FlowmetalError."""
    result = read_source(data, "fuzz.fm")
    for form in result.forms:
        print_string(form, limit=2000)
    for diagnostic in result.diagnostics:
        assert diagnostic.text
    text = data.decode("utf-8", "replace")
    for read in (read_data, read_all_data):
        try:
            print_string(read(text), limit=2000)
        except FlowmetalError as error:
            assert error.diagnostic.text


def reader_seeds() -> list[bytes]:
    """Golden programs."""
    programs = sorted((ROOT / "tests" / "golden" / "programs").rglob("*.fm"))
    return [path.read_bytes()[:1500] for path in programs[::12]] + [
        b'#{1 2} #:a{:b 1} ^{:c 1} [##Inf 2r101 1/2 #"x" \\a #inst "x"]'
    ]


# ---- artifacts and images ----------------------------------------------------------------------------------------


def artifact(data: bytes) -> None:
    """An artifact, with a hash that fits, as whoever forges one would see to."""
    for one in (data, data[:-HASH_BYTES] + hashlib.sha256(data[:-HASH_BYTES]).digest()):
        try:
            open_artifact(one)
        except FlowmetalError as error:
            assert error.code[0] == "B", error


def artifact_seeds() -> list[bytes]:
    """Small programs, compiled."""
    sources = (
        "(defn main [] 1)",
        '(def c (atom [1 :a "b" 2.5 1/3]))\n(defn main [x & more] (try (swap! c conj x) (catch :limit e (count more))))',
        '(defeffect pay/it "Pays." [n :- int?] :- map?)\n(defn main [n] (handle (pay/it n) (pay/it [x resume] (resume {:n x}))))',
    )
    return [build_artifact({"fuzz.fm": "(ns fuzz)\n" + source}).data for source in sources]


def image(data: bytes) -> None:
    """An image of one of some programs; what can be restored is run for a little."""
    number, rest = (data[0] if data else 0) % len(SOURCES), data[1:]
    linked, table = kit.program(SOURCES[number])
    try:
        process = vm.restore(linked, table, [rest], kit.LIMITS)
    except FlowmetalError:
        return
    use(random.Random(1), process)
    try:
        process.image.checkpoint()
    except LanguageError:
        pass  # it holds what cannot be saved


def image_seeds() -> list[bytes]:
    """Checkpoints of programs that wait."""
    found = []
    for number in range(len(SOURCES)):
        found += [bytes([number]) + one[-1] for one in images(number)[:6:5]]
    return [one for one in found if len(one) < 3000]


# ---- HTTP --------------------------------------------------------------------------------------------------------

#: Endpoints, one of each scheme that needs no time, and a limit that short bodies reach.
CONFIG = {
    "serve": {"port": 0, "max_body_bytes": 3000},
    "endpoints": {
        name: {"start": "fuzz/main", "scheme": name, "secret_env": "SECRET"}
        | ({"insecure": True} if name == "none" else {})
        for name in ("github", "standard", "stripe", "slack", "hmac")
    },
}


class _Web:
    """The server's application, called without a socket; a new store after some hundred requests."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.server: HttpServer | None = None
        self.used = 0

    def app(self) -> Any:
        """The application."""
        if self.server is None or self.used > 300:
            store = MemoryStore()
            program = artifact_seeds()[0]
            digest = open_artifact(program).hash
            store.submit([PutArtifact(digest, program, "fuzz")]).result()
            store.submit([Start("fuzz/main", encode_value(Vector.of([])), name="fuzz", id="seven")]).result()
            store.submit([Operate("queue/define", encode_value(kit_map(name="mail", concurrency=1)))]).result()
            if self.server is not None:
                self.server._socket.close()
            self.server = HttpServer(store, read_config(CONFIG), deploy=None, environment={"SECRET": "secret"})
            self.used = 0
        self.used += 1
        return self.server.app


def kit_map(**named: Any) -> Any:
    """A map of the language."""
    return from_python(named)


_WEB: list[_Web] = []


def http(data: bytes) -> None:
    """A request as text: method, target, headers, an empty line, the body."""
    if not _WEB:
        _WEB.append(_Web())
        api.WAIT_SECONDS_MAX = 0.001  # type: ignore[misc]
        logging.getLogger("flowmetal").setLevel(logging.CRITICAL)
    head, _, body = data.partition(b"\n\n")
    lines = head.split(b"\n")
    method, _, target = lines[0].partition(b" ")
    path, _, query = target.partition(b"?")
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines[1:])]
    scope = {
        "type": "http", "http_version": "1.1", "method": method.decode("latin-1").upper(), "scheme": "http",
        "path": "/" + path.decode("utf-8", "replace").lstrip("/"), "raw_path": path, "query_string": query,
        "root_path": "", "headers": [(b"host", b"127.0.0.1"), *headers[:50]], "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 9), "asgi": {"version": "3.0"},
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if given:
            return given.pop(0)
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    web = _WEB[0]
    web.loop.run_until_complete(asyncio.wait_for(web.app()(scope, receive, send), 5))
    status = sent[0]["status"]
    assert status < 500 or status == 503, (status, sent[-1])
    answer = b"".join(message.get("body", b"") for message in sent[1:])
    if answer and any(name == b"content-type" and b"json" in value for name, value in sent[0]["headers"]):
        json.loads(answer)


def http_seeds() -> list[bytes]:
    """One request for each route, at least."""
    kind = "content-type: application/json"
    documents = (
        ("processes", {"function": "fuzz/main", "args": [1, {"a": [None]}], "id": "x", "attributes": {"a": 1}}),
        (
            "processes",
            {"function": "fuzz/main", "queue": "mail", "key": "a", "priority": 2, "delay": 1.5, "dedup": "d"},
        ),
        ("processes", {"function": "fuzz/main", "limits": {"fuel": 100}, "register": "me"}),
        ("processes/steer", {"action": "cancel", "where": {"program": "fuzz", "older": 1, "tree": 1}, "dry_run": True}),
        ("processes/steer", {"action": "fail", "where": {"pids": [1]}, "kind": "a/b", "message": "m", "request": 1}),
        ("processes/1/cancel", {"reason": "no"}),
        ("processes/1/messages", {"value": {"$inst": "2026-01-01T00:00:00Z"}}),
        ("processes/1/events", {"kind": "retry", "number": 1}),
        ("operations/kv/put", {"payload": ["k", {"a": 1}, {"expires": "PT5M"}]}),
        ("operations/kv/list", {"payload": ["", {"limit": 5}]}),
        (
            "operations/schedule/put",
            {"payload": {"name": "s", "cron": "*/5 0 L * 1-5", "program": "fuzz", "zone": "UTC"}},
        ),
        ("operations/schedule/next", {"payload": {"name": "s", "count": 2}}),
        ("operations/queue/define", {"payload": {"name": "q", "rate": "10/1m", "window": "5m"}}),
        ("operations/group/publish", {"payload": ["g", 1]}),
        ("operations/send", {"payload": ["me", 1]}),
        ("requests/take", {"effects": ["a"], "worker": "w", "limit": 2, "lease_ms": 500, "wait": 1}),
        ("requests/1/1/complete", {"attempt": 1, "error": {"kind": "a/b", "message": "m", "data": [1]}}),
        ("requests/1/1/extend", {"attempt": 1, "lease_ms": 500}),
    )
    made = [f"POST v1/{path}\n{kind}\n\n{json.dumps(document)}".encode() for path, document in documents]
    where = '{"error":"x","attribute_texts":["a=1"],"id_prefix":"s"}'
    gets = (
        "GET v1/processes?after=0&limit=5&status=done,ready&newest_first=true", f"GET v1/processes?where={where}",
        "GET v1/processes?id=seven", f"GET v1/processes/count?where={where}", "GET v1/processes/1",
        "GET v1/processes/1/result?wait=0", "GET v1/processes/1/history?start=0&limit=3", "GET v1/programs", "GET health",
        "PUT v1/programs/x\ncontent-type: application/octet-stream\n\nFMC", "POST callbacks/abcdefghijklmnopqrstuv\n\n1",
    )  # fmt: skip
    body = b'{"type": "push", "id": "evt_1"}'
    signed = hmac.new(b"secret", body, "sha256").hexdigest()
    hooks = [
        f"POST endpoints/github\nx-hub-signature-256: sha256={signed}\nx-github-event: push\n{kind}\n\n".encode()
        + body,
        f"POST endpoints/hmac\nx-signature: {signed}\nx-delivery-id: 7\n{kind}\n\n".encode() + body,
        f"POST endpoints/stripe\nstripe-signature: t=1,v1={signed}\n\n".encode() + body,
    ]
    return made + [text.encode() + (b"" if b"\n\n" in text.encode() else b"\n\n") for text in gets] + hooks


# ---- signatures --------------------------------------------------------------------------------------------------

NOW = 1_800_000_000.0
SCHEMES = ("github", "standard", "stripe", "slack", "hmac", "none")


def signatures(data: bytes) -> None:
    """Headers and a body for each scheme; a signature that holds must be one of a key."""
    head, _, body = data.partition(b"\n\n")
    headers = {}
    for line in head.decode("latin-1").split("\n"):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    for scheme in SCHEMES:
        settings = EndpointSettings("e", "a/b", scheme, insecure=scheme == "none")
        try:
            accepted = verify(settings, (b"secret", b"whsec_" + base64.b64encode(b"secret")), headers, body, NOW)
        except BadSignature as refused:
            assert str(refused)
        else:
            assert accepted.signature


def signature_seeds() -> list[bytes]:
    """A delivery that holds of each scheme, and some that nearly do."""
    body, time = b'{"type": "push"}', str(int(NOW))

    def hexed(text: bytes) -> str:
        return hmac.new(b"secret", text, "sha256").hexdigest()

    standard = base64.b64encode(hmac.new(b"secret", f"id.{time}.".encode() + body, "sha256").digest()).decode()
    heads = (
        f"x-hub-signature-256: sha256={hexed(body)}\nx-github-delivery: 1",
        f"webhook-id: id\nwebhook-timestamp: {time}\nwebhook-signature: v1,{standard} v1,AAAA v2,x",
        f"stripe-signature: t={time},v1={hexed(time.encode() + b'.' + body)},v0=aa",
        f"x-slack-request-timestamp: {time}\nx-slack-signature: v0={hexed(f'v0:{time}:'.encode() + body)}",
        f"x-signature: {hexed(body)}\nx-timestamp: {time}\nx-delivery-id: 5",
        "x-delivery-id: 5\nx-event: e",
    )
    return [head.encode() + b"\n\n" + body for head in heads]


# ---- settings ----------------------------------------------------------------------------------------------------


def config(data: bytes) -> None:
    """flowmetal.toml: what is no TOML is not ours; all else gives settings or a FlowmetalError."""
    try:
        document = tomllib.loads(data.decode("utf-8").replace("\r\n", "\n"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        return
    try:
        read_config(document)
    except FlowmetalError as error:
        assert error.diagnostic.text


def config_seeds() -> list[bytes]:
    """The tables there are."""
    return [
        text.encode()
        for text in (
            '[serve]\nhost = "127.0.0.1"\nport = 8700\npublic_url = "https://a.example"\ntoken_env = "T"\nbody_seconds = 1.5\n',
            '[http]\nallow = ["127.0.0.1:8701", "*.inner.example", "10.1.0.0/16", "[::1]:80"]\nonly_listed = true\n',
            '[endpoints.github]\nstart = "deploy/main"\nscheme = "github"\nsecret_env = ["G", "H"]\nevents = ["push"]\n',
            '[endpoints.x]\nstart = "a/b"\nscheme = "none"\ninsecure = true\nevent_header = "x-e"\n',
            '[queues.mail]\nconcurrency = 4\nrate = "100/1m"\nkey_rate = "5/1s"\nmax_waiting = 10\nwindow = "5m"\n',
            '[retention]\nolder_than = "30d"\nkeep = 3\nevery = "1h"\n[retention.programs.r]\nlog_keep = 5\nkeep_failed = true\n',
            "[limits]\nheap = 1_000_000\n[limits.programs.r]\nfuel = 5\nattribute_bytes = 7\n",
            '[schedules.n]\ncron = "0 3 * * mon-fri"\nzone = "Europe/Berlin"\nprogram = "p"\nargs = [1, {a = 2}]\njitter = "5s"\n',
            '[schedules.n]\nevery = "5m"\nat = 2026-01-01T00:00:00Z\nprogram = "p"\ncatch_up = "all"\noverlap = "queue"\n',
            '[interpreter]\nhot_processes = 5\nlease_seconds = 2.5\n[grants]\nx = ["http/request=a.example", "store"]\n',
            '[store]\nkey = "env:K"\n[secrets.a]\nenv = "A"\n[shell]\nallow = ["git"]\n[project]\nname = "x"\n',
        )
    ]


# ---- the socket of a store's owner -------------------------------------------------------------------------------


@cache
def _started() -> list[Any]:
    return [
        PutArtifact(b"h", b"program", "fuzz"),
        Start("fuzz/main", encode_value(Vector.of([])), name="fuzz", id="seven"),
        Operate("queue/define", encode_value(kit_map(name="mail", concurrency=1))),
    ]


def socket(data: bytes) -> None:
    """A message of a process that attaches; commands in it are done in a store of their own."""
    try:
        parse(data)
    except ValueError:
        pass
    try:
        commands = decode_commands(data)
    except StoreError as error:
        assert error.code == "S206"
        return
    store = MemoryStore()
    store.submit(_started()).result()
    try:
        store.submit(commands).result()
    except StoreError as error:
        assert str(error)
    for pid in range(1, store.last_pid() + 1)[:20]:
        try:
            store.process(pid)
            store.inbox(pid)
        except StoreError as error:
            raise AssertionError("a command was taken that makes a record nobody can read") from error


def socket_seeds() -> list[bytes]:
    """Commands of each kind that others send."""
    nil, vector = encode_value(None), encode_value(Vector.of([1]))
    lists: list[list[Any]] = [
        [Start("fuzz/main", vector, name="fuzz", id="x", attributes={"a": [1]}, limits={"fuel": 9})],
        [Start("fuzz/main", vector, name="fuzz", queue=("mail", "k", 1, 5, "d"), register="me")],
        [Post(1, "message", nil), Post(1, "cancel", nil), Post(1, "retry", b"", 3)],
        [Operate("kv/put", encode_value(Vector.of(["k", 1]))), Operate("kv/get", encode_value(Vector.of(["k"])))],
        [Operate("schedule/put", encode_value(kit_map(name="s", every="5m", program="fuzz")))],
        [Take(("a",), "w", 3, 1000), Fire(10)],
        [Kill(1, (b"e",), nil, "killed"), Settle(1, nil, 1, "")],
    ]
    return [encode_commands(one) for one in lists] + [frame(1, 3, "id", b"client", 7)[4:]]


TARGETS = {
    target.name: target
    for target in (
        Target(
            "reader",
            reader,
            reader_seeds,
            ("#{", "#_", "#?", "##NaN", "~@", "\\u00e9", "#inst", "#uuid", "::a/b", "0x", "1N", "5m", "|-"),
        ),
        Target("artifact", artifact, artifact_seeds, (), 16384),
        Target("image", image, image_seeds, ()),
        Target(
            "http",
            http,
            http_seeds,
            ("v1/", "processes", "where=", "content-type: application/json", "$inst", "payload", "null", "1e999"),
        ),
        Target("signatures", signatures, signature_seeds, ("sha256=", "v1,", "t=", "v0=", "whsec_")),
        Target(
            "config",
            config,
            config_seeds,
            ("[limits]", "[queues.x]", "programs", "= true", "inf", "nan", "1979-05-27", "[[a]]"),
        ),
        Target("socket", socket, socket_seeds),
    )
}

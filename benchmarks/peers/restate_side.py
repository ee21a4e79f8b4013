"""Restate as a side: `restate_side.py FOLDER python|typescript`, its server and one endpoint, started from here.

The variables RESTATE_SERVER and NODE_PACKAGES say where they are installed.  Default settings, on free ports of
127.0.0.1; workflows that wait are suspended after a second, so that they can be counted as parked.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from answering import Answer, folder_bytes, serve

FOLDER, LANGUAGE = sys.argv[1:3]
HERE = Path(__file__).resolve().parent
PORTS_FILE = Path(FOLDER) / "ports.json"


class Http:
    """A small client that keeps its connections."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __call__(self, method: str, path: str, body: Any = None, accept: str = "*/*") -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        kind = "content-type: application/json\r\n" if body is not None else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n{kind}content-length: {len(data)}\r\n\r\n"
        for again in (True, False):
            reader, writer = (
                self.free.pop() if self.free else await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
            )
            try:
                writer.write(head.encode() + data)
                top = (await reader.readuntil(b"\r\n\r\n")).decode()
                break
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                if not again:
                    raise
        answer = await self._body(reader, top.lower())
        self.free.append((reader, writer))
        if int(top.split(" ", 2)[1]) >= 300:
            raise RuntimeError(f"{path}: {top.split(' ', 2)[1]} {answer[:200]!r}")
        try:
            return json.loads(answer) if answer else None
        except ValueError:
            return answer

    async def _body(self, reader: asyncio.StreamReader, top: str) -> bytes:
        if "transfer-encoding: chunked" in top:
            data = b""
            while True:
                length = int((await reader.readline()).strip() or b"0", 16)
                data += await reader.readexactly(length)
                await reader.readline()
                if length == 0:
                    return data
        if "content-length:" in top:
            return await reader.readexactly(int(top.split("content-length:")[1].split("\r\n", maxsplit=1)[0]))
        return b""


def free_ports(count: int) -> list[int]:
    import socket

    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def begin() -> tuple[list[int], list[int]]:
    """Starts server and endpoint -> their pids; ports of ingress, administration, node and endpoint."""
    again = PORTS_FILE.exists()
    ports: list[int] = json.loads(PORTS_FILE.read_text()) if again else free_ports(4)
    PORTS_FILE.write_text(json.dumps(ports))
    ingress, admin, node, endpoint = ports
    environment = {
        **os.environ,
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_IP": "127.0.0.1",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_BIND_PORT": str(node),
        "RESTATE_INGRESS__BIND_PORT": str(ingress),
        "RESTATE_ADMIN__BIND_PORT": str(admin),
    }
    log = (Path(FOLDER) / "log").open("ab")
    server = subprocess.Popen(
        [os.environ["RESTATE_SERVER"], "--node-name", "n1", "--base-dir", f"{FOLDER}/data"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    if LANGUAGE == "python":
        hypercorn = str(Path(sys.executable).parent / "hypercorn")
        command = [hypercorn, "-b", f"127.0.0.1:{endpoint}", "restate_service:app"]
    else:
        command = ["node", str(HERE / "restate_service.mjs"), str(endpoint)]
    service = subprocess.Popen(command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    asyncio.run(ready(ports, register=not again))
    return [server.pid, service.pid], ports


async def ready(ports: list[int], register: bool) -> None:
    """Waits until an invocation is answered."""
    ingress, admin, _, endpoint = ports
    end = time.monotonic() + 60
    steps = ["healthy", "endpoint", *(["registered"] if register else []), "answers"]
    while steps:
        try:
            if steps[0] == "healthy":
                await Http(admin)("GET", "/health")
            elif steps[0] == "endpoint":
                _, writer = await asyncio.open_connection("127.0.0.1", endpoint)
                writer.close()
            elif steps[0] == "registered":
                await Http(admin)("POST", "/deployments", {"uri": f"http://127.0.0.1:{endpoint}"})
            else:
                await asyncio.wait_for(Http(ingress)("POST", "/Bench/chain", 1), 10)
            steps.pop(0)
        except (OSError, RuntimeError, asyncio.IncompleteReadError, TimeoutError):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)


async def invoke(http: Http, steps: int) -> None:
    if await http("POST", "/Bench/chain", steps) != steps:
        raise RuntimeError("a wrong result")


def chain(steps: int) -> Answer:
    began = time.perf_counter()
    asyncio.run(invoke(Http(INGRESS), steps))
    return {"wall": time.perf_counter() - began}


def fan(count: int, steps: int) -> Answer:
    async def all_of_them() -> None:
        http = Http(INGRESS)
        await asyncio.gather(*[invoke(http, steps) for _ in range(count)])

    began = time.perf_counter()
    asyncio.run(all_of_them())
    return {"wall": time.perf_counter() - began}


async def started(http: Http, key: str, steps: int) -> None:
    """Starts a workflow and waits until it waits."""
    await http("POST", f"/Held/{key}/run/send", steps)
    end = time.monotonic() + 300
    while await http("POST", f"/Held/{key}/at") != "waiting":
        if time.monotonic() > end:
            raise TimeoutError("a workflow does not wait")
        await asyncio.sleep(0.01)


def latency(count: int) -> Answer:
    async def all_of_them() -> list[float]:
        http, found = Http(INGRESS), []
        for _ in range(count):
            key = str(uuid.uuid4())
            await started(http, key, 0)
            result = asyncio.ensure_future(http("GET", f"/restate/workflow/Held/{key}/attach"))
            await asyncio.sleep(0.03)
            began = time.perf_counter()
            await http("POST", f"/Held/{key}/go", "x")
            if await result != "x0":
                raise RuntimeError("a wrong result")
            found.append((time.perf_counter() - began) * 1e3)
        return found

    return {"ms": asyncio.run(all_of_them())}


def park(count: int) -> Answer:
    keys = [str(uuid.uuid4()) for _ in range(count)]
    query = "select count(*) as n from sys_invocation where target_service_name = 'Held' and status = 'suspended'"

    async def suspended() -> int:
        rows = await Http(ADMIN)("POST", "/query", {"query": query}, accept="application/json")
        return int(rows["rows"][0]["n"])

    async def all_of_them() -> float:
        http, gate = Http(INGRESS), asyncio.Semaphore(64)
        before = await suspended()

        async def start(key: str) -> None:
            async with gate:
                await http("POST", f"/Held/{key}/run/send", 0)

        await asyncio.gather(*map(start, keys))
        accepted = time.perf_counter() - began
        end = time.monotonic() + 200
        while await suspended() < before + count and time.monotonic() < end:
            await asyncio.sleep(0.2)
        return accepted

    began = time.perf_counter()
    accepted = asyncio.run(all_of_them())
    return {"wall": time.perf_counter() - began, "accepted": accepted, "last": keys[-1]}


def hold(steps: int, key: str) -> Answer:
    asyncio.run(started(Http(INGRESS), key, steps))
    return {}


def wake(key: str) -> Answer:
    async def send() -> Any:
        http = Http(INGRESS)
        await http("POST", f"/Held/{key}/go", "go")
        return await http("GET", f"/restate/workflow/Held/{key}/attach")

    began = time.perf_counter()
    return {"result": asyncio.run(send()), "wall": time.perf_counter() - began}


def size() -> Answer:
    """Restate reserves its log in advance: its own counters say what it writes."""
    import urllib.request

    written = 0.0
    with urllib.request.urlopen(f"http://127.0.0.1:{NODE}/metrics", timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("restate_rocksdb_wal_bytes_total{"):
                written += float(line.split()[-1])
    return {"bytes": folder_bytes(f"{FOLDER}/data"), "log": int(written)}


if __name__ == "__main__":
    children, (INGRESS, ADMIN, NODE, _) = begin()
    serve(
        {"chain": chain, "fan": fan, "latency": latency, "park": park, "hold": hold, "wake": wake, "bytes": size},
        pids=[os.getpid(), *children],
    )

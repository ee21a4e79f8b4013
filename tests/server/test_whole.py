"""The parts together: a program with a request out and a callback in, run by the interpreter behind the server."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import httpx2
from driver import eventually

import flowmetal
from flowmetal.engine.artifacts import deployer
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.interpreter import Interpreter
from flowmetal.server import HttpServer, read_config, serve
from flowmetal.store import open_store

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "connectors"))

from fake_site import Site

PROGRAM = """
(ns deploy)

(defeffect notify/send "Tells somebody." [message])

(defn main [given]
  (let [waiting (http/callback)
        sent (http/post (str (:base given) "/hello") {:json {:answer-to (:url waiting)} :retry {:max 2 :backoff 10ms}})
        got (await (:promise waiting))]
    {:status (:status sent) :got got :told (notify/send {:got got})}))
"""


def test_a_program_waits_for_the_world(tmp_path: Path) -> None:
    built = build_artifact({"deploy.fm": PROGRAM})
    site = Site()
    store = open_store(f"lmdb://{tmp_path / 'store'}")
    config = read_config({"serve": {"port": 0}, "http": {"allow": ["127.0.0.1"]}})
    stop = threading.Event()
    results: list[object] = []

    def use(server: HttpServer) -> None:
        with flowmetal.connect(server.url) as client:
            client.deploy("deploy", built.data, ["http/request=127.0.0.1:*", "http/callback", "notify/*"])
            worker = flowmetal.Worker(server.url)
            worker.function("notify/send")(lambda payload, context: {"told": payload})
            worker.start()
            pid = client.start("deploy/main", {"base": site.url}, id="first")
            seen = eventually(lambda: site.seen)[0]
            url = json.loads(seen.body)["answer-to"]
            assert seen.headers["idempotency-key"]
            assert httpx2.post(url, json={"ok": 1}, trust_env=False, timeout=60).status_code == 202
            assert httpx2.post(url, json={"ok": 2}, trust_env=False, timeout=60).status_code == 200
            results.append(client.result(pid, wait=60))
            results.append([step.kind for step in client.history(pid)])
            worker.stop()

    def ready(server: HttpServer) -> None:
        def run() -> None:
            try:
                use(server)
            finally:
                stop.set()

        threading.Thread(target=run).start()

    serve(
        store,
        config,
        deploy=deployer({}),
        services=lambda server: [Interpreter(store, Config(base_url=server.base_url))],
        ready=ready,
        stop=stop,
    )
    store.close()
    site.close()
    result, kinds = results
    assert result == {"status": 200, "got": {"ok": 1}, "told": {"told": {"got": {"ok": 1}}}}
    assert isinstance(kinds, list)
    assert (kinds[0], kinds[-1]) == ("start", "done")

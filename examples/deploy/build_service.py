"""A build service for the example: slow, at times failing, and real: its own process, its own HTTP server.

    python build_service.py PORT JOURNAL

The first request to each path is answered 503.  A request with an Idempotency-Key that was seen before gets the
answer it got then, and changes nothing.  A build and an approval are answered later by POST to the callback URL of
the request, again and again until a 2xx.  The journal is a file with a line of JSON for everything that happened: the
demo and the tests read it.
"""

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BUILD_SECONDS = 6.0
APPROVAL_SECONDS = 1.5
ANSWER_SECONDS = 0.3
PATHS = ("/builds", "/approvals", "/deploys")


class Service:
    """What the service remembers."""

    def __init__(self, journal: Path, pace: float) -> None:
        self.journal = journal
        self.pace = pace  # all delays are multiplied by it
        self.lock = threading.Lock()
        self.failed_once: set[str] = set()
        self.answers: dict[str, dict[str, Any]] = {}  # by path and idempotency key

    def note(self, **fact: Any) -> None:
        """Adds a line to the journal."""
        with self.lock, self.journal.open("a") as file:
            file.write(json.dumps({"time": time.time(), **fact}) + "\n")

    def handle(self, path: str, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to a request."""
        time.sleep(ANSWER_SECONDS * self.pace)
        with self.lock:
            failing = path not in self.failed_once
            self.failed_once.add(path)
            known = self.answers.get(f"{path} {key}")
            if not failing and known is None:
                number = sum(1 for one in self.answers if one.startswith(path)) + 1
                known_now = self.answers[f"{path} {key}"] = {"id": f"{path.strip('/')[:-1]}-{number}"}
        if failing:
            self.note(kind="failed", path=path, key=key)
            return 503, {"error": "busy, come again"}
        if known is not None:
            self.note(kind="repeated", path=path, key=key)
            return 200, known
        self.note(kind="effect", path=path, key=key, id=known_now["id"], commit=body.get("commit"))
        if path == "/builds":
            report = {"status": "passed", "artifact": f"registry/app:{str(body.get('commit'))[:7]}"}
            self.later(BUILD_SECONDS, body["callback"], report)
        elif path == "/approvals":
            self.later(APPROVAL_SECONDS, body["callback"], {"approved": True, "by": "ada"})
        return 202, known_now

    def later(self, seconds: float, url: str, body: dict[str, Any]) -> None:
        """Calls back after a while, until it is accepted."""
        threading.Thread(target=self.call_back, args=(seconds * self.pace, url, body), daemon=True).start()

    def call_back(self, seconds: float, url: str, body: dict[str, Any]) -> None:
        time.sleep(seconds)
        data = json.dumps(body).encode()
        for attempt in range(1, 10_000):
            request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    self.note(kind="callback", body=body, attempt=attempt, status=answer.status)
                    return
            except urllib.error.HTTPError as problem:
                self.note(kind="callback-refused", body=body, attempt=attempt, status=problem.code)
                if problem.code == 404:
                    return
            except OSError:
                pass  # the interpreter is down: it will be back
            time.sleep(0.2)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    service: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if self.path in PATHS:
            status, answer = self.service.handle(self.path, self.headers.get("Idempotency-Key", ""), body)
        else:
            status, answer = 404, {"error": "no such path"}
        data = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # who asked has been killed meanwhile

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: the journal says it all."""


def main() -> None:
    port, journal = int(sys.argv[1]), Path(sys.argv[2])
    Handler.service = Service(journal, float(sys.argv[3]) if len(sys.argv) > 3 else 1.0)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()

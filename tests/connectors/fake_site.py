"""A web site with good and bad manners, for tests of the http/request connector.  It records what it was sent."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TLS = Path(__file__).resolve().parent / "tls"  # a certificate for site.inner, good for a hundred years


@dataclass
class Seen:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """Serves from construction until close().  With `tls`, as https under the name site.inner."""

    tls: bool = False
    seen: list[Seen] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_any(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length) if length else b""
                headers = {name.lower(): value for name, value in self.headers.items()}
                site.seen.append(Seen(self.command, parts.path, parts.query, headers, body))
                getattr(self, "at_" + parts.path.strip("/").split("/")[0].replace("-", "_"), self.at_missing)()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_any

            def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def at_missing(self) -> None:
                self.reply(404, b"nothing here")

            def at_hello(self) -> None:
                self.reply(
                    200, "grüß".encode(), content_type="text/plain; charset=utf-8", X_Thing="a", Set_Cookie="a=1"
                )

            def at_latin(self) -> None:
                self.reply(200, "grüß".encode("latin-1"), content_type="text/plain; charset=iso-8859-1")

            def at_odd_charset(self) -> None:
                self.reply(200, b"\\ud800 ok", content_type="text/plain; charset=unicode_escape")

            def at_json(self) -> None:
                self.reply(200, json.dumps({"n": 1, "a b": [True, None]}).encode(), content_type="application/json")

            def at_status(self) -> None:
                status = int(self.path.rsplit("/", 1)[1])
                more = {"retry_after": "7"} if status in (429, 503) else {}
                self.reply(status, b"" if status == 204 else b"said", **more)

            def at_large(self) -> None:
                self.reply(200, b"x" * 5000)

            def at_chunks(self) -> None:
                self.send_response(200)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                try:
                    for _ in range(100_000):
                        self.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
                except OSError:
                    self.close_connection = True

            def at_gzip(self) -> None:
                self.reply(200, gzip.compress(b"packed"), content_encoding="gzip", content_type="text/plain")

            def at_gzips(self) -> None:
                members = gzip.compress(b"packed") + gzip.compress(b"") + gzip.compress(b" twice")
                self.reply(200, members, content_encoding="gzip")

            def at_half_pair(self) -> None:
                self.reply(200, b'["\\ud800"]', content_type="application/json")

            def at_cut_gzip(self) -> None:
                self.reply(200, gzip.compress(b"packed" * 100)[:-10], content_encoding="gzip")

            def at_cut_gzips(self) -> None:
                self.reply(200, gzip.compress(b"packed") + gzip.compress(b"more")[:-1], content_encoding="gzip")

            def at_members(self) -> None:
                self.reply(200, gzip.compress(b"") * 50_000, content_encoding="gzip")

            def at_bomb(self) -> None:
                self.reply(200, gzip.compress(b"\0" * 50_000_000), content_encoding="gzip")

            def at_bad_gzip(self) -> None:
                self.reply(200, b"not gzip", content_encoding="gzip")

            def at_slow(self) -> None:
                site.release.wait(60)
                self.reply(200, b"late")

            def at_redirect(self) -> None:
                self.reply(302, location=self.path.split("?to=", 1)[1])

            def at_loop(self) -> None:
                self.reply(302, location="/loop")

            def at_garbage(self) -> None:
                self.wfile.write(b"this is not HTTP\r\n\r\n")
                self.close_connection = True

            def at_hang_up(self) -> None:
                self.close_connection = True

            def at_short(self) -> None:
                self.send_response(200)
                self.send_header("content-length", "100")
                self.end_headers()
                self.wfile.write(b"only this")
                self.close_connection = True

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that hang up are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "site.pem", TLS / "site.key")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

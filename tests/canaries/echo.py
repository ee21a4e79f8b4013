"""A server with the worst manners: it sends back whatever it was sent, in every spelling, in small pieces, in headers,
in redirects and in errors."""

from __future__ import annotations

import base64
import gzip
import html
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

#: Bytes of a piece of an answer; no secret fits into one.
PIECE = 7


def spelled(text: str) -> dict[str, str]:
    """A text in the spellings that it is sent back in."""
    raw = text.encode()
    made = {
        "plain": text,
        "url": quote(text, safe=""),
        "form": quote_plus(text),
        "twice": quote(quote(text, safe=""), safe=""),
        "json": json.dumps(text),
        "escapes": "".join(f"\\u{ord(letter):04x}" for letter in text),
        "html": html.escape(text),
        "hex": raw.hex(),
        "HEX": raw.hex(" ").upper(),
        "hexes": "".join(f"\\x{byte:02x}" for byte in raw),
        "octal": "".join(f"\\{byte:03o}" for byte in raw),
        "braces": "".join(f"\\u{{{ord(letter):x}}}" for letter in text),
        "line ends": text.replace("\n", "\r\n"),
        "old line ends": text.replace("\n", "\r"),
        "further in": text.replace("\n", "\n    "),
        "python": repr(raw),
        "shell": "".join(c if c.isalnum() or c.isspace() else "\\" + c for c in text),
        "small": text.lower(),
        "line ends 64": base64.b64encode(text.replace("\n", "\r\n").encode()).decode(),
    }
    for shift in range(3):
        before = b"ab:"[:shift]
        made[f"base64-{shift}"] = base64.b64encode(before + raw + b"z").decode()
        made[f"url64-{shift}"] = base64.urlsafe_b64encode(before + raw).decode().rstrip("=")
        made[f"lines64-{shift}"] = base64.encodebytes(before + raw * 3).decode()
    return made


class Handler(BaseHTTPRequestHandler):
    """The last part of the path's first word says how the answer goes."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path)
        how = path.path.strip("/").split("/")[0]
        texts = [unquote(self.path), unquote(path.query), body.decode("utf-8", "replace")]
        texts += list(self.headers.values())
        for value in self.headers.values():
            if value.startswith("Basic "):
                texts.append(base64.b64decode(value[6:]).decode())
        self.server.seen.extend([*texts, self.path])  # type: ignore[attr-defined]
        # Each text by itself, so that no two of them make a new spelling.
        answer: Any = [spelled(text) for text in texts]
        if how == "keys":
            answer = {text: {text: spelled(text)} for text in texts}
        data = json.dumps(answer, ensure_ascii=False).encode()
        if how == "text":
            data = "\n".join(piece for one in answer for piece in one.values()).encode()
        getattr(self, f"_{how}", self._chunks)(200, data)

    do_GET = do_POST

    def _chunks(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status, "said " + self.headers.get("authorization", ""))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("x-back", self.headers.get("authorization", ""))
        self.send_header("x-back", quote(self.headers.get("authorization", ""), safe=""))
        self.send_header("set-cookie", "t=" + self.headers.get("authorization", "").encode().hex())
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _error(self, status: int, data: bytes) -> None:
        self._chunks(500, data)

    def _gzip(self, status: int, data: bytes) -> None:
        self._chunks(200, gzip.compress(data), content_encoding="gzip")

    def _utf16(self, status: int, data: bytes) -> None:
        self._chunks(200, data.decode().encode("utf-16-le"), content_type="text/plain; charset=utf-16-le")

    def _named16(self, status: int, data: bytes) -> None:
        self._chunks(200, data, content_type="text/plain; charset=utf-16-le")

    def _named8(self, status: int, data: bytes) -> None:
        self._chunks(200, data.decode().encode("utf-16-be"), content_type="text/plain; charset=iso-8859-1")

    def _asgbk(self, status: int, data: bytes) -> None:
        self._chunks(200, b"\x81" + data, content_type="text/plain; charset=gbk")

    def _redirect(self, status: int, data: bytes) -> None:
        self._chunks(307, data, location="/chunks/" + self.path.split("/", 2)[2])

    def _elsewhere(self, status: int, data: bytes) -> None:
        host = f"http://localhost:{self.server.server_address[1]}/"  # another name of the same machine
        self._chunks(307, data, location=host + "chunks/" + self.path.split("/", 2)[2])

    def _broken(self, status: int, data: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(data) + 10))
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def _garbage(self, status: int, data: bytes) -> None:
        self.wfile.write(b"HTTP/9.9 " + self.headers.get("authorization", "").encode() + b"\r\nx" + data[:200])
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that hung up."""


class Echo:
    """Serves from construction until close(); `seen` has what it was sent."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.seen: list[str] = []
        self._server.seen = self.seen  # type: ignore[attr-defined]
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()

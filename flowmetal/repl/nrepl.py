"""NreplServer: sessions for editors, over the nREPL protocol, on the loopback address only.

Whoever reaches the port can run what they like, so it is bound to 127.0.0.1 and to nothing else.  A thread reads each
connection; a thread runs the forms of each session, one message after the other; `interrupt` ends what runs.  Sessions
share nothing.  Bytes that are no message end their connection.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flowmetal
from flowmetal.diagnostics import CompileFailed, FlowmetalError, render
from flowmetal.engine.prompt_process import KIND_INTERRUPTED, Outside
from flowmetal.engine.session import Bounds, Named, Session
from flowmetal.engine.traces import trace_text
from flowmetal.repl.bencode import BencodeError, read_message, write_message
from flowmetal.values import LanguageError, print_string

#: Connections, sessions, and messages of one session that wait, at once.
CONNECTIONS_MAX = 32
SESSIONS_MAX = 64
WAITING_MAX = 256

#: A client that does not read its answers for so long is let go.
SEND_SECONDS = 10.0

#: The file that tells editors the port.
PORT_FILE = ".nrepl-port"

OPS = (
    "clone", "close", "complete", "completions", "describe", "eldoc", "eval", "info", "interrupt", "load-file",
    "lookup", "ls-sessions", "stdin",
)  # fmt: skip

Message = dict[str, Any]


class _Connection:
    """One client."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._lock = threading.Lock()
        self._stream = link.makefile("rb")
        self.own: _Worker | None = None  # the session of messages that name none

    def read(self, count: int) -> bytes:
        """So many bytes, fewer at the end."""
        return self._stream.read(count)

    def answer(self, to: Message, **fields: Any) -> None:
        """Answers a message; a client that has gone is no error."""
        for name in ("id", "session"):
            if isinstance(to.get(name), str):
                fields.setdefault(name, to[name])
        with self._lock, contextlib.suppress(OSError):
            self.link.sendall(write_message(fields))

    def done(self, to: Message, *status: str, **fields: Any) -> None:
        """The last answer to a message."""
        self.answer(to, status=[*status, "done"], **fields)

    def close(self) -> None:
        """Ends the connection."""
        with contextlib.suppress(OSError):
            self.link.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, ValueError):  # another thread may be reading
            self._stream.close()
        self.link.close()


class _Worker:
    """A session and the thread that runs its forms."""

    def __init__(self, outside: Outside | None, bounds: Bounds) -> None:
        self.id = str(uuid.uuid4())
        self.session = Session(self._tell, bounds, outside)
        self.outside = outside
        self.running: str | None = None  # id of the message that runs
        self._current: tuple[_Connection, Message] | None = None
        self._waiting: queue.Queue[tuple[_Connection, Message] | None] = queue.Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._run, name="flowmetal-nrepl-session", daemon=True)
        self._thread.start()

    def put(self, connection: _Connection, message: Message) -> None:
        """Takes a message that evaluates."""
        try:
            self._waiting.put_nowait((connection, message))
        except queue.Full:
            connection.done(message, "error", "too-many-messages")

    def close(self) -> None:
        """Ends the session."""
        self.session.close()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)

    def _tell(self, line: str) -> None:
        if self._current is not None:
            connection, message = self._current
            connection.answer(message, out=line + "\n", session=self.id)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            self._current = item
            connection, message = item
            self.running = str(message.get("id"))
            try:
                self._evaluate(connection, message)
            except Exception as problem:  # a fault of ours must not end the session
                text = FlowmetalError("U900", problem=f"{type(problem).__name__}: {problem}"[:500])
                connection.answer(message, err=f"{text}\n", session=self.id)
                connection.done(message, "eval-error", session=self.id)
            finally:
                self._current = None
                self.running = None
        if self.outside is not None:
            self.outside.close()

    def _evaluate(self, connection: _Connection, message: Message) -> None:
        session = self.session
        loads = message.get("op") == "load-file"
        code = message.get("file" if loads else "code")
        if not isinstance(code, str):
            connection.done(message, "error", "no-code", session=self.id)
            return
        file = str(message.get("file-path") or message.get("file-name") or "file") if loads else None
        space = message.get("ns")
        if isinstance(space, str) and space and not session.enter(space):
            connection.done(message, "error", "namespace-not-found", session=self.id)
            return
        last: str | None = None
        try:
            for value in session.evaluate(code, file):
                last = session.printed(value)
                if not loads:
                    connection.answer(message, value=last, ns=session.namespace, session=self.id)
            if loads:
                connection.answer(message, value=last or "nil", ns=session.namespace, session=self.id)
        except CompileFailed as failed:
            text = "\n".join(render(one, session.sources) for one in failed.diagnostics)
            self._failed(connection, message, failed.diagnostics[0].code if failed.diagnostics else "A101", text)
            return
        except FlowmetalError as problem:
            self._failed(connection, message, problem.code, render(problem.diagnostic, session.sources))
            return
        except LanguageError as raised:
            error = raised.error
            if error.kind is KIND_INTERRUPTED:
                connection.done(message, "interrupted", session=self.id)
                return
            text = f"{print_string(error.kind)} {error.message}\n{trace_text(error)}\n"
            self._failed(connection, message, print_string(error.kind), text)
            return
        warnings = session.warnings
        if warnings:
            connection.answer(message, err="\n".join(render(one, session.sources) for one in warnings), session=self.id)
        connection.done(message, session=self.id, ns=session.namespace)

    def _failed(self, connection: _Connection, message: Message, kind: str, text: str) -> None:
        connection.answer(message, err=text, session=self.id)
        connection.answer(message, ex=kind, **{"root-ex": kind}, status=["eval-error"], session=self.id)
        connection.done(message, session=self.id, ns=self.session.namespace)


class NreplServer:
    """Serves nREPL on 127.0.0.1.  `outside` makes what performs the effects of one session."""

    def __init__(
        self,
        port: int,
        outside: Callable[[], Outside | None],
        bounds: Bounds | None = None,
        port_file: Path | None = None,
    ) -> None:
        self._outside = outside
        self._bounds = bounds or Bounds()
        self._workers: dict[str, _Worker] = {}
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()
        self._port_file = port_file
        try:
            self._listener = socket.create_server(("127.0.0.1", port), backlog=16)
        except (OSError, OverflowError) as problem:
            raise FlowmetalError("U123", port=port, problem=str(problem)) from None
        self.port: int = self._listener.getsockname()[1]
        if port_file is not None:
            port_file.write_text(str(self.port))
        self._thread = threading.Thread(target=self._accept, name="flowmetal-nrepl", daemon=True)

    def start(self) -> None:
        """Begins to accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Ends all connections and sessions."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections, workers = list(self._connections), list(self._workers.values())
        for connection in connections:
            connection.close()
        for worker in workers:
            worker.close()
        if self._port_file is not None:
            self._port_file.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            link.settimeout(None)
            # A reply is several small messages; the system would hold the second until the first is acknowledged.
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                full = len(self._connections) >= CONNECTIONS_MAX
            if full:
                link.close()
                continue
            connection = _Connection(link)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="flowmetal-nrepl-client", daemon=True).start()

    def _serve(self, connection: _Connection) -> None:
        try:
            while True:
                message = read_message(connection.read)
                if not isinstance(message, dict):
                    return
                try:
                    self._take(connection, message)
                except Exception as problem:  # a fault of ours must not end the connection
                    text = FlowmetalError("U900", problem=f"{type(problem).__name__}: {problem}"[:500])
                    connection.done(message, "error", err=f"{text}\n")
        except (BencodeError, EOFError, OSError, ValueError):
            return
        finally:
            with self._lock:
                self._connections.discard(connection)
            if connection.own is not None:
                self._forget(connection.own)
            connection.close()

    # ---- operations -----------------------------------------------------------------------------------------------

    def _take(self, connection: _Connection, message: Message) -> None:
        op = message.get("op")
        if op == "describe":
            versions = {"flowmetal": {"version-string": flowmetal.__version__}, "nrepl": {"version-string": "1.0.0"}}
            connection.done(message, ops={one: {} for one in OPS}, versions=versions, aux={})
        elif op == "clone":
            made = self._new()
            if made is None:
                connection.done(message, "error", "too-many-sessions")
            else:
                connection.done(message, **{"new-session": made.id})
        elif op == "ls-sessions":
            with self._lock:
                connection.done(message, sessions=list(self._workers))
        elif op not in OPS:
            connection.done(message, "error", "unknown-op")
        else:
            worker = self._worker(connection, message)
            if worker is None:
                connection.done(message, "error", "unknown-session")
            else:
                self._with_session(connection, message, worker)

    def _with_session(self, connection: _Connection, message: Message, worker: _Worker) -> None:
        op = message["op"]
        if op in ("eval", "load-file"):
            worker.put(connection, message)
        elif op == "close":
            self._forget(worker)
            connection.done(message, "session-closed")
        elif op == "interrupt":
            wanted = message.get("interrupt-id")
            if worker.running is None:
                connection.done(message, "session-idle")
            elif isinstance(wanted, str) and wanted != worker.running:
                connection.done(message, "error", "interrupt-id-mismatch")
            else:
                worker.session.interrupt()
                connection.done(message)
        elif op in ("complete", "completions"):
            prefix = message.get("prefix", message.get("symbol", ""))
            names = worker.session.complete(prefix) if isinstance(prefix, str) else []
            found = [{"candidate": one.name, "type": one.kind, "ns": one.module} for one in names]
            connection.done(message, completions=found)
        elif op in ("info", "lookup", "eldoc"):
            self._look_up(connection, message, worker)
        else:
            connection.done(message)

    def _look_up(self, connection: _Connection, message: Message, worker: _Worker) -> None:
        symbol = next((message[one] for one in ("sym", "symbol") if isinstance(message.get(one), str)), "")
        found = worker.session.describe(symbol) if symbol else None
        if message["op"] == "eldoc":
            if found is None or not found.parameters:
                connection.done(message, "no-eldoc")
                return
            lists = [text.strip("[]").split() for text in found.parameters]
            connection.done(
                message, eldoc=lists, name=found.name, ns=found.module, docstring=found.doc, type="function"
            )
        elif message["op"] == "lookup":
            connection.done(message, info={} if found is None else _info(found))
        elif found is None:
            connection.done(message, "no-info")
        else:
            connection.done(message, **_info(found))

    def _worker(self, connection: _Connection, message: Message) -> _Worker | None:
        name = message.get("session")
        if name is None:
            if connection.own is None:
                connection.own = self._new()
            return connection.own
        with self._lock:
            return self._workers.get(name) if isinstance(name, str) else None

    def _new(self) -> _Worker | None:
        with self._lock:
            if len(self._workers) >= SESSIONS_MAX:
                return None
            worker = _Worker(self._outside(), self._bounds)
            self._workers[worker.id] = worker
            return worker

    def _forget(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.pop(worker.id, None)
        worker.close()


def _info(found: Named) -> Message:
    info: Message = {
        "name": found.name,
        "ns": found.module,
        "doc": found.doc,
        "arglists-str": "\n".join(found.parameters),
    }
    if found.kind == "macro":
        info["macro"] = "true"
    if found.kind == "special form":
        info["special-form"] = "true"
    if found.line:
        info.update(file=found.file, line=found.line, column=found.column)
    return info

"""`flowvm repl` and `flowvm nrepl`: a prompt in the terminal, and sessions for editors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowmetal.cli import common
from flowmetal.cli.options import Debug
from flowmetal.diagnostics import FlowmetalError

if TYPE_CHECKING:
    from flowmetal.engine.session import Session
    from flowmetal.repl.nrepl import NreplServer

StoreOption = Annotated[str | None, typer.Option("--store", "-s", help="A store folder for effects; default: memory.")]

#: Characters of a line that does not come from a terminal: what has no line end may have no end.
LINE_CHARACTERS_MAX = 4 << 20

#: Lines of history that are kept for the next prompt.
HISTORY_LINES = 10_000

WELCOME = 'Flowmetal {version}. Ctrl-D ends; (doc name), (source name), (apropos "text") tell about names.\n'


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("repl")(repl)
    app.command("nrepl")(nrepl)


def repl(
    store: StoreOption = None,
    nrepl_port: Annotated[str | None, typer.Option("--nrepl-port", help="Serve editors on this port too.")] = None,
    debug: Debug = False,
) -> None:
    """Reads forms from the terminal, evaluates them and prints what comes of them."""
    import flowmetal
    from flowmetal.cli.prompt_services import open_outside
    from flowmetal.repl.console import Console

    server = _nrepl_server(nrepl_port, store) if nrepl_port is not None else None
    read_line = line_reader(lambda: console.session)
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    console = Console(read_line, _write, color)
    outside = open_outside(_checked(store), console.ask_person)
    console.serve(outside)
    _write(WELCOME.format(version=flowmetal.__version__))
    try:
        if server is not None:
            server.start()
            _write(f"nREPL at port {server.port}.\n")
        console.run()
    finally:
        outside.close()
        if server is not None:
            server.stop()


def nrepl(
    port: Annotated[str, typer.Option(help="Port on the loopback address; 0: any free one.")] = "0",
    host: Annotated[str, typer.Option(help="Only the loopback address is accepted.")] = "127.0.0.1",
    store: StoreOption = None,
    debug: Debug = False,
) -> None:
    """Serves sessions for editors over nREPL, on the loopback address, until SIGTERM or Ctrl-C."""
    import threading

    from flowmetal.client.background import signals

    if host not in ("127.0.0.1", "localhost"):
        common.usage("U124", host=host)
    stop = threading.Event()
    with signals(lambda number, frame: stop.set()):
        server = _nrepl_server(port, store)
        server.start()
        _write(f"nREPL server started on port {server.port} on host 127.0.0.1 - nrepl://127.0.0.1:{server.port}\n")
        try:
            while not stop.wait(0.2):
                pass
        finally:
            server.stop()


def _nrepl_server(port: str, store: str | None) -> NreplServer:
    from flowmetal.cli.prompt_services import open_outside
    from flowmetal.repl.nrepl import PORT_FILE, NreplServer

    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        common.usage("U103", what="the port", found=port[:80], expected="a number from 0 to 65535")
    folder = _checked(store)
    return NreplServer(int(port), lambda: open_outside(folder), port_file=Path(PORT_FILE))


def _checked(store: str | None) -> str | None:
    if store is not None and store.startswith(("http://", "https://")):
        common.usage("U109", url=store)
    return store


def _write(text: str) -> None:
    sys.stdout.write(text.encode("utf-8", "replace").decode())
    sys.stdout.flush()


# ---- lines ---------------------------------------------------------------------------------------------------------


def line_reader(session: Callable[[], Session]) -> Callable[[str], str]:
    """What reads a line: prompt_toolkit where it is installed and there is a terminal, else readline."""
    if not sys.stdin.isatty():
        return _plain_line
    history = _history_file()
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import Completer, Completion
        from prompt_toolkit.history import FileHistory, InMemoryHistory
    except ImportError:
        return _readline(session, history)

    class Names(Completer):  # type: ignore[misc, unused-ignore]
        """Completes the name before the cursor."""

        def get_completions(self, document: Any, event: Any) -> Any:
            """See prompt_toolkit."""
            word = name_before(document.text_before_cursor)
            for one in session().complete(word) if word else ():
                yield Completion(one.name, -len(word), display_meta=one.kind)

    kept = FileHistory(str(history)) if history is not None else InMemoryHistory()
    lines: Any = PromptSession(history=kept, completer=Names(), complete_while_typing=False)
    return lambda prompt: str(lines.prompt(prompt))


def name_before(text: str) -> str:
    """The name that ends where the cursor stands."""
    start = len(text)
    while start and not (text[start - 1].isspace() or text[start - 1] in "()[]{}\"'`~@^#,;"):
        start -= 1
    return text[start:]


def _plain_line(prompt: str) -> str:
    _write(prompt)
    line = sys.stdin.readline(LINE_CHARACTERS_MAX + 1)
    if not line:
        raise EOFError
    if len(line) > LINE_CHARACTERS_MAX:
        raise FlowmetalError("U112", path="a line of standard input", limit=LINE_CHARACTERS_MAX)
    return line.rstrip("\n")


def _readline(session: Callable[[], Session], history: Path | None) -> Callable[[str], str]:
    try:
        import readline
    except ImportError:
        return input
    import atexit
    import contextlib

    def completer(text: str, state: int) -> str | None:
        names = [one.name for one in session().complete(text)] if text else []
        return names[state] if state < len(names) else None

    readline.set_completer(completer)
    readline.set_completer_delims(" \t\n()[]{}\"'`~@^#,;")
    readline.parse_and_bind("tab: complete")
    if history is not None:
        kept = str(history)
        readline.set_history_length(HISTORY_LINES)
        with contextlib.suppress(OSError):
            readline.read_history_file(kept)

        def save() -> None:
            with contextlib.suppress(OSError):
                readline.write_history_file(kept)

        atexit.register(save)
    return input


def _history_file() -> Path | None:
    base = os.environ.get("XDG_STATE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".local" / "state") / "flowmetal"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder / "history"

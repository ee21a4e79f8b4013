"""What `flowvm serve` does: opens the store, joins interpreter, connectors and server, and runs until it is told to
stop."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from flowmetal.cli.settings import read_settings
from flowmetal.client.background import signals
from flowmetal.connectors import orphans
from flowmetal.connectors.config import bad
from flowmetal.connectors.secrets import Redactor, Secrets
from flowmetal.dataclass import replace
from flowmetal.engine.artifacts import deployer, grant_deployed
from flowmetal.engine.config import Config
from flowmetal.engine.grants import grants_line
from flowmetal.engine.interpreter import Interpreter
from flowmetal.server import HttpServer, ServerConfig, serve
from flowmetal.server.running import EXIT_SECONDS, STOP_SECONDS, exit_within
from flowmetal.server.schedule_settings import put_schedules
from flowmetal.server.shielding import shield
from flowmetal.store import crashes, keys, open_store
from flowmetal.store.addresses import parse_address
from flowmetal.store.interface import Operate, Store
from flowmetal.values import encode_value

log = logging.getLogger("flowmetal")


def serve_store(url: str, config: Path | None, host: str | None, port: int | None, *, with_http: bool) -> int:
    """Serves until SIGTERM or SIGINT, which are heeded from the beginning; the exit code."""
    redactor = log_to_stderr()
    keys.told.append(lambda key: redactor.add_own("store:key", key))
    shield()
    orphans.adopt()
    stop = threading.Event()
    interpreters: list[Interpreter] = []

    def running(one: Interpreter, server: HttpServer | None = None) -> Interpreter:
        one.on_failure = stop.set
        interpreters.append(one)
        if server is not None:
            server.measure(lambda: {"turns_total": one.turns, "interpreter_commits_total": one.commits})
        return one

    with signals(lambda number, frame: stop.set()):
        settings = _settings(config, host, port)
        secrets = Secrets(settings.secrets, redactor=redactor)
        folder = None if url == "memory:" else parse_address(url)[0]
        if folder is not None:
            crashes.check(folder)
            crashes.watch(folder)
        store = open_store(url, key=settings.store.key, to_write=True)
        if folder is not None:
            crashes.watch(folder)  # where there was no store before
        try:
            durability = store.stats().get("durability", "in memory")
            tell = log.info if durability == "every-commit" else log.warning
            tell("store %s, durability: %s", store.url, durability)
            put_schedules(store, settings.schedules)
            define_queues(store, settings)
            for name in grant_deployed(store, settings.grants):
                log.info("%s is granted what the settings say: %s", name, grants_line(settings.grants[name]))
            if stop.is_set():
                pass  # told to while the store was opened
            elif with_http:
                serve(
                    store,
                    settings,
                    deploy=deployer(settings.grants, settings.trust),
                    secrets=secrets,
                    services=lambda server: [running(interpreter(store, server.base_url, settings), server)],
                    ready=announce,
                    stop=stop,
                    ends_process=True,
                )
            else:
                run_interpreter(running(interpreter(store, settings.base_url(), settings)), stop)
        finally:
            store.close()
    for one in interpreters:
        if one.failure is not None:  # the disk has failed
            raise one.failure
    log.info("stopped")
    return 0


def log_to_stderr() -> Redactor:
    """Writes the log to standard error, without any value of a secret that the redactor knows."""
    redactor = Redactor()

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return redactor.text(super().format(record))

    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return redactor


def _settings(config: Path | None, host: str | None, port: int | None) -> ServerConfig:
    settings = read_settings(config)
    changes: dict[str, object] = {}
    if host is not None:
        changes["host"] = host
    if port is not None:
        if not 0 <= port < 65536:
            raise bad("port", "the command line", port, "from 0 to 65535")
        changes["port"] = port
    return replace(settings, serve=replace(settings.serve, **changes))  # type: ignore[arg-type]


def define_queues(store: Store, settings: ServerConfig) -> None:
    """Defines the queues of the settings; others that are in the store stay as they are."""
    commands = [
        Operate("queue/define", encode_value(queue.definition(name))) for name, queue in settings.queues.items()
    ]
    if commands:
        store.submit(commands).result()


def interpreter(store: Store, base_url: str, settings: ServerConfig) -> Interpreter:
    """An interpreter whose callback URLs begin with `base_url`."""
    own = settings.interpreter
    config = Config(
        base_url=base_url,
        retention=settings.retention,
        program_limits=settings.limits,
        hot_processes=own.hot_processes,
        hot_bytes=own.hot_bytes,
        lease_ms=round(own.lease_seconds * 1000),
        function_threads=own.function_threads,
        trust=settings.trust,
    )
    return Interpreter(store, config)


def announce(server: HttpServer) -> None:
    """Says that everything runs."""
    log.info("flowvm serves at %s; callbacks arrive at %s", server.url, server.base_url)


def run_interpreter(running: Interpreter, stop: threading.Event) -> None:
    """An interpreter alone, until `stop` is set."""
    running.start()
    log.info("flowvm runs processes of %s", running.store.url)
    while not stop.wait(0.5):  # in pieces, so that a signal's handler runs between two of them
        pass
    exit_within(EXIT_SECONDS)
    running.stop(STOP_SECONDS)

"""The settings of `flowvm serve`, from flowmetal.toml.

    [serve]
    host = "127.0.0.1"
    port = 8080
    public_url = "https://flow.example.com"   # where callbacks arrive, if something stands in front
    token_env = "FLOWMETAL_TOKEN"             # the environment variable with the API's bearer token

    [http]
    allow = ["127.0.0.1:9000", "*.inner.example"]

    [endpoints.github]
    start = "deploy/main"
    scheme = "github"
    secret_env = "GITHUB_SECRET"
    events = ["push"]

    [queues.mail]
    concurrency = 4
    rate = "100/1m"

    [store]
    key = {file = "/etc/flowmetal/store.key"}   # or {env = "NAME"}, {command = ["kms", "get", "flowmetal"]}

    [secrets.api]
    env = "API_TOKEN"
    hosts = ["api.example.com"]

    [shell]
    commands = ["git"]

    [grants]
    deploy = ["http/request=api.github.com", "store"]

Secrets never stand in the file.  What is not known is refused.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flowmetal.connectors.config import (
    MIB,
    CallbackSettings,
    EndpointSettings,
    HttpSettings,
    QueueSettings,
    bad,
    known,
    positive,
    read_endpoints,
    read_http,
    read_queues,
    read_table,
)
from flowmetal.connectors.secrets import SecretSettings, read_secrets
from flowmetal.connectors.secrets.sources import Unread, from_environment
from flowmetal.connectors.shell import ShellSettings, read_shell
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.files import read_file
from flowmetal.engine.limits import AllLimits
from flowmetal.engine.retention import Retention
from flowmetal.engine.trust import Trust, read_trust
from flowmetal.server.grant_settings import read_grant_settings
from flowmetal.server.limit_settings import read_limits
from flowmetal.server.retention_settings import read_retention
from flowmetal.server.schedule_settings import read_schedules
from flowmetal.store.keys import KeySource, key_setting

#: Tables of flowmetal.toml that belong to others.
OTHER_SECTIONS = ("project", "dependencies")

#: The longest lease: a day.
LEASE_SECONDS_MAX = 86_400

#: Hosts that the machine itself reaches alone.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """[serve].  Sizes in bytes, times in seconds."""

    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str | None = None  # where callbacks arrive; by default the address it listens on
    token_env: str | None = None  # environment variable with the bearer token
    max_body_bytes: int = MIB  # of callbacks and of the API's documents
    max_artifact_bytes: int = 64 * MIB
    body_seconds: float = 10.0  # a sender's deadline for its whole body
    stop_seconds: float = 5.0  # what a stop waits for answers under way


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """[store]."""

    key: KeySource | None = None  # where the key of an encrypted store comes from


@dataclass(frozen=True, slots=True)
class InterpreterSettings:
    """[interpreter]."""

    hot_processes: int = 10_000  # waiting processes that stay in memory
    hot_bytes: int = 256 * MIB  # and their bytes as saved, all together
    lease_seconds: float = 15.0  # after so long without a sign of life others take over
    function_threads: int = 4  # for what Python functions of this process answer


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """All of it."""

    serve: ServeSettings = field(default_factory=ServeSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    endpoints: Mapping[str, EndpointSettings] = field(default_factory=dict)
    schedules: Mapping[str, bytes] = field(default_factory=dict)  # encoded payloads of `schedule/put`
    retention: Retention = field(default_factory=Retention)
    limits: AllLimits = field(default_factory=AllLimits)
    interpreter: InterpreterSettings = field(default_factory=InterpreterSettings)
    queues: Mapping[str, QueueSettings] = field(default_factory=dict)
    store: StoreSettings = field(default_factory=StoreSettings)
    secrets: Mapping[str, SecretSettings] = field(default_factory=dict)
    shell: ShellSettings = field(default_factory=ShellSettings)
    grants: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)  # by deployed name; None: all
    trust: Trust = field(default_factory=Trust)

    @property
    def callbacks(self) -> CallbackSettings:
        """The settings of what comes in."""
        return CallbackSettings(self.serve.max_body_bytes, self.serve.body_seconds, self.endpoints)

    def base_url(self, port: int | None = None) -> str:
        """The address in callback URLs, without a slash at its end.  `port` replaces a configured port 0."""
        if self.serve.public_url is not None:
            return self.serve.public_url.rstrip("/")
        return address_url(self.serve.host, port or self.serve.port)

    def token(self, environment: Mapping[str, str]) -> str | None:
        """The API's token.  H203 where its variable is not set, H103 where an open address has none."""
        name = self.serve.token_env
        if name is not None:
            try:
                return from_environment(environment, name)
            except Unread as error:
                source = f"the variable {name}"
                raise FlowmetalError("H203", section="[serve]", source=source, problem=str(error)) from None
        if not is_loopback(self.serve.host):
            raise FlowmetalError("H103", host=self.serve.host)
        return None


def read_config(document: Mapping[str, Any], others: Iterable[str] = OTHER_SECTIONS, folder: str = "") -> ServerConfig:
    """The settings in a parsed flowmetal.toml.  `others`: tables that are not looked at; `folder`: where paths begin.

    FlowmetalError H201 (not known), H202 (wrong), H204 (endpoint without signatures).
    """
    ours = ("serve", "http", "endpoints", "queues", "retention", "limits", "schedules", "store", "secrets", "shell",
            "grants", "interpreter", "trust")  # fmt: skip
    known(document, (*ours, *others), "flowmetal.toml")
    serve = read_table(ServeSettings, document.get("serve", {}), "[serve]")
    if not 0 <= serve.port < 65536:
        raise bad("port", "[serve]", serve.port, "from 0 to 65535")
    if serve.public_url is not None and not serve.public_url.startswith(("http://", "https://")):
        raise bad("public_url", "[serve]", serve.public_url, "an address that begins with http:// or https://")
    positive(serve, "[serve]", "max_body_bytes", "max_artifact_bytes", "body_seconds", "stop_seconds")
    interpreter = read_table(InterpreterSettings, document.get("interpreter", {}), "[interpreter]")
    positive(interpreter, "[interpreter]", "hot_processes", "hot_bytes", "lease_seconds", "function_threads")
    if not 1 <= interpreter.lease_seconds <= LEASE_SECONDS_MAX:
        raise bad("lease_seconds", "[interpreter]", interpreter.lease_seconds, f"from 1 to {LEASE_SECONDS_MAX}")
    return ServerConfig(
        interpreter=interpreter,
        serve=serve,
        http=read_http(document.get("http", {})),
        endpoints=read_endpoints(document.get("endpoints", {})),
        schedules=read_schedules(document.get("schedules", {})),
        retention=read_retention(document.get("retention", {})),
        limits=read_limits(document.get("limits", {})),
        queues=read_queues(document.get("queues", {})),
        store=read_store(document.get("store", {})),
        secrets=read_secrets(document.get("secrets", {})),
        shell=read_shell(document.get("shell", {})),
        grants=read_grant_settings(document.get("grants", {})),
        trust=read_trust(document.get("trust", {}), folder),
    )


def read_store(table: Any) -> StoreSettings:
    """[store]; FlowmetalError H201, H202."""
    if not isinstance(table, Mapping):
        raise bad("store", "flowmetal.toml", table, "a table")
    known(table, ("key",), "[store]")
    if "key" not in table:
        return StoreSettings()
    source = key_setting(table["key"])
    if source is None:
        raise bad("key", "[store]", table["key"], "{file = PATH}, {env = NAME} or {command = [WORD, ...]}")
    return StoreSettings(source)


def load_config(path: str | Path, others: Iterable[str] = OTHER_SECTIONS) -> ServerConfig:
    """read_config() for a file; FlowmetalError H205 where it cannot be read or is not TOML."""
    try:
        document = tomllib.loads(read_file(path).decode("utf-8").replace("\r\n", "\n"))
    except FlowmetalError as error:
        reason = str(error.facts.get("problem") or error.diagnostic.text)
        raise FlowmetalError("H205", path=str(path), reason=reason) from None
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number of thousands of digits
        raise FlowmetalError("H205", path=str(path), reason=str(error) or "it is nested too deep") from None
    try:
        return read_config(document, others, os.path.dirname(path))
    except FlowmetalError as error:
        if "section" not in error.facts:
            raise
        section = error.facts["section"]
        where = str(path) if section in ("flowmetal.toml", "the file") else f"{section} of {path}"
        raise FlowmetalError(error.code, **{**error.facts, "section": where}) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`.  A name other than localhost counts as open."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_url(host: str, port: int) -> str:
    """http://host:port, with brackets around an IPv6 address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

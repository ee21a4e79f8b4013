"""Settings of the connectors, read from tables of flowmetal.toml.

`read_table` is the one reader of such tables: it refuses what it does not know and names what is near.
Nothing here reads the environment or files; secrets are fetched by http_callback/secrets.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from flowmetal.connectors.guard import BadRule, parse_rule
from flowmetal.diagnostics import FlowmetalError, suggest
from flowmetal.store.errors import StoreError
from flowmetal.store.operations.queues import read_definition
from flowmetal.values import Map, keyword

MIB = 1024 * 1024

#: Signature schemes of endpoints.
SCHEMES = ("github", "standard", "stripe", "slack", "hmac", "none")

_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
_FUNCTION = re.compile(r"[^\s/]+/[^\s]+\Z")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """[http]: requests out.  Sizes in bytes, times in seconds."""

    allow: tuple[str, ...] = ()  # what programs may reach beyond public addresses: "127.0.0.1:8080", "*.inner.example"
    only_listed: bool = False  # nothing but `allow` may be reached
    timeout_seconds: float = 30.0  # total deadline of an attempt that names none
    max_bytes: int = 10 * MIB  # largest response body for a request that names no limit
    max_bytes_limit: int = 16 * MIB  # what a request may ask for at most; text may grow threefold when decoded
    concurrency: int = 64  # requests under way at once; two large bodies are decoded at once, whatever this is
    lease_seconds: float = 15.0  # after this long without a sign of life another connector may try again


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """[endpoints.NAME]: a named URL whose signed deliveries each start a process."""

    name: str
    start: str  # "module/function"
    scheme: str
    program: str | None = None  # deployed name; the module of `start` where there is none
    secret_env: tuple[str, ...] = ()  # environment variables; several while a secret is rotated
    secret_file: str | None = None  # a file with one secret a line
    events: tuple[str, ...] = ()  # events that start something; all where empty
    tolerance_seconds: int = 300  # replay window of schemes that sign a time
    max_body_bytes: int = MIB
    insecure: bool = False  # scheme "none" needs it
    signature_header: str = "x-signature"  # these five are for scheme "hmac"
    timestamp_header: str = "x-timestamp"
    id_header: str = "x-delivery-id"  # also for "none"
    event_header: str = "x-event"  # also for "none"
    signature_prefix: str = ""

    @property
    def section(self) -> str:
        """Its name in messages."""
        return f"[endpoints.{self.name}]"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """[queues.NAME]: a queue of starts, defined when a server begins.  None: not limited, or as usual."""

    concurrency: int | None = None  # processes that run at once
    rate: str | None = None  # "100/1m": processes that begin within a time
    key_concurrency: int | None = None  # the same of each key
    key_rate: str | None = None
    max_waiting: int | None = None  # processes that may wait
    window: str | None = None  # for how long a dedup key holds
    paused_keeps_slot: bool = True  # whether a paused process keeps its slot

    def definition(self, name: str) -> Map:
        """The payload of the operation that defines it."""
        given = {"name": name, **{one.name: getattr(self, one.name) for one in fields(self)}}
        return Map.of((keyword(key.replace("_", "-")), value) for key, value in given.items() if value is not None)


@dataclass(frozen=True, slots=True)
class CallbackSettings:
    """Limits of what comes in.  Sizes in bytes, times in seconds."""

    max_body_bytes: int = MIB
    body_seconds: float = 10.0  # a sender's deadline for its whole body
    endpoints: Mapping[str, EndpointSettings] = field(default_factory=dict)


def read_http(table: Any) -> HttpSettings:
    """The settings of [http].  FlowmetalError H201 or H202 where something is wrong."""
    settings = read_table(HttpSettings, table, "[http]")
    for entry in settings.allow:
        try:
            parse_rule(entry)
        except BadRule:
            expected = 'a host, "*.suffix", address or network, each with or without :port'
            raise bad("allow", "[http]", entry, expected) from None
    positive(settings, "[http]", "timeout_seconds", "max_bytes", "max_bytes_limit", "concurrency", "lease_seconds")
    return settings


def read_endpoints(table: Any) -> dict[str, EndpointSettings]:
    """The settings of every [endpoints.NAME], by name.  FlowmetalError H201, H202 or H204."""
    if not isinstance(table, Mapping):
        raise bad("endpoints", "the file", table, "a table of tables, [endpoints.NAME]")
    return {name: _read_endpoint(name, entry) for name, entry in table.items()}


def read_queues(table: Any) -> dict[str, QueueSettings]:
    """The settings of every [queues.NAME], by name.  FlowmetalError H201 or H202."""
    if not isinstance(table, Mapping):
        raise bad("queues", "the file", table, "a table of tables, [queues.NAME]")
    found = {}
    for name, entry in table.items():
        section = f"[queues.{name}]"
        found[name] = settings = read_table(QueueSettings, entry, section)
        try:
            read_definition(settings.definition(name))
        except StoreError as error:
            facts = error.facts
            key = str(facts["what"]).removeprefix("the period of ").removeprefix("the ").replace("-", "_")
            expected = facts.get("expected") or f"1 to {facts.get('limit')} bytes of printable text"
            raise FlowmetalError("H202", key=key, section=section, found=facts["found"], expected=expected) from None
    return found


def _read_endpoint(name: str, table: Any) -> EndpointSettings:
    section = f"[endpoints.{name}]"
    if not _NAME.match(name):
        raise bad("NAME", section, name, "letters, digits, `-`, `_` and `.`, at most 100")
    endpoint = read_table(EndpointSettings, table, section, name=name)
    if endpoint.scheme not in SCHEMES:
        raise bad("scheme", section, endpoint.scheme, "one of " + ", ".join(SCHEMES))
    if not _FUNCTION.match(endpoint.start):
        raise bad("start", section, endpoint.start, '"module/function"')
    for key in ("signature_header", "timestamp_header", "id_header", "event_header"):
        if not _HEADER.match(getattr(endpoint, key)):
            raise bad(key, section, getattr(endpoint, key), "a header name in lower case")
    positive(endpoint, section, "tolerance_seconds", "max_body_bytes")
    if endpoint.scheme == "none":
        if not endpoint.insecure:
            raise FlowmetalError("H204", section=section, start=endpoint.start)
    elif not endpoint.secret_env and endpoint.secret_file is None:
        raise bad("secret_env", section, None, "set (or `secret_file`), as the scheme signs with a secret")
    return endpoint


# ---- the reader of tables --------------------------------------------------------------------------------------


def read_table(make: Callable[..., T], table: Any, section: str, **given: Any) -> T:
    """A settings dataclass from a table: unknown keys and wrong types are H201 and H202, missing ones H202.

    `given` are fields that do not come from the table.  Types are read from the annotations: str, int, float, bool,
    str | None, int | None, and tuple[str, ...] (a list; for a key of ONE_OR_MORE also a string).
    """
    if not isinstance(table, Mapping):
        raise bad(section.strip("[]"), "the file", table, "a table")
    described = {f.name: f for f in fields(make) if f.name not in given}  # type: ignore[arg-type]
    known(table, described, section)
    values = {key: _typed(key, section, value, str(described[key].type)) for key, value in table.items()}
    for key, described_field in described.items():
        if key not in values and described_field.default is MISSING and described_field.default_factory is MISSING:
            raise bad(key, section, None, "set")
    return make(**given, **values)


def known(table: Mapping[str, Any], names: Iterable[str], section: str) -> None:
    """H201 for the first key of `table` that is not one of `names`."""
    names = list(names)
    for key in table:
        if key not in names:
            near = suggest(key, names)
            raise FlowmetalError("H201", key=key, section=section, known=", ".join(names), suggestion=near)


def bad(key: str, section: str, found: Any, expected: str) -> FlowmetalError:
    """The error for a setting of a wrong type or value."""
    shown = "missing" if found is None else repr(found)
    return FlowmetalError("H202", key=key, section=section, found=shown, expected=expected)


def positive(settings: Any, section: str, *keys: str) -> None:
    """H202 for the first of `keys` that is not above zero."""
    for key in keys:
        if not getattr(settings, key) > 0:
            raise bad(key, section, getattr(settings, key), "above zero")


#: Lists of strings of which one may be written as a string.  Elsewhere a string is a mistake: `command = "echo hi"`
#: would be a command of that name.
ONE_OR_MORE = frozenset({"secret_env"})

_WORDS = {
    "str": "a string",
    "str | None": "a string",
    "int": "a whole number",
    "int | None": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def _typed(key: str, section: str, value: Any, annotation: str) -> Any:
    if annotation.startswith("tuple[str"):
        items = [value] if isinstance(value, str) and key in ONE_OR_MORE else value
        if isinstance(items, (list, tuple)) and all(isinstance(item, str) for item in items):
            return tuple(items)
        raise bad(key, section, value, "a list of strings")
    kind = value.__class__
    fits = {
        "str": kind is str,
        "str | None": kind is str,
        "int": kind is int,
        "int | None": kind is int,
        "float": kind in (int, float) and abs(value) < 1e12,
        "bool": kind is bool,
    }
    if not fits[annotation]:
        raise bad(key, section, value, _WORDS[annotation])
    return float(value) if annotation == "float" else value

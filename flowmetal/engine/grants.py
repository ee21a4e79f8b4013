"""Grants: which effects a process may perform, and how far each of them goes.

A grant is a text as it is typed: `http/request=api.example.com`, `store`, `billing/*`.  A process has a tuple of them,
or None for all; the store keeps them with what the process runs.  What stays within a process (the time, `log`, `sleep`
...) needs no grant.  An effect is looked at where it leaves the program (performing.py), whatever its name was computed
from, and before anything of it is committed; what a handler of the program answers never comes here.

What may be reached over HTTP is read here in the strictest way, since others read addresses in ways of their own: with
a narrowed grant an address that is not plain is refused, and the connector looks again at what it connects to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import ErrorValue, Keyword, LanguageError, Map, Secret, Vector, keyword

#: Effects that stay within the process, or are only told or waited for.
ALWAYS = frozenset(
    {
        "now", "random", "uuid", "log", "progress", "annotate!", "self", "sleep", "receive", "http/callback-url",
        "flowmetal/attempts", "flowmetal/more-time", "flowmetal/person", "flowmetal/finally",
    }
)  # fmt: skip

#: A name for several effects: what reaches other processes and what the store keeps for all of them.
BUNDLES = {"store": ("spawn", "send", "process/*", "group/*", "kv/*", "queue/*", "schedule/*")}

ALL, NONE, LOCAL, SECRET = "all", "none", "local", "secret"

#: Effects that a grant may narrow, and by what.
NARROWED = {
    "http/request": "hosts",
    "shell/run": "commands",
    SECRET: "names",
    "schedule/put": "programs",
    "kv/*": "prefixes", "kv/get": "prefixes", "kv/put": "prefixes", "kv/delete": "prefixes",
    "kv/compare-and-set": "prefixes", "kv/list": "prefixes",
}  # fmt: skip

#: Grants of one process, and characters of one: they are kept once for all processes that have the same.
GRANTS_MAX = 256
CHARACTERS_MAX = 2000

#: Effects of which the answer is remembered, and characters of their names.
FOUND_MAX, FOUND_CHARACTERS_MAX = 1000, 200

KIND_NOT_GRANTED = keyword("flowmetal/not-granted")
_EFFECT, _GRANT, _URL, _METHOD = (keyword(name) for name in ("effect", "grant", "url", "method"))
_COMMAND, _PROGRAM = keyword("command"), keyword("program")

_NAME = re.compile(r"[^\s=,\x00-\x20\x7f]{1,200}\Z")
_HOST = re.compile(
    r"(?:(?P<methods>[A-Z]+(?:\+[A-Z]+)*)@)?"
    r"(?P<host>\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>\d{1,5}|\*))?(?P<path>/[!-+\--~]*)?\Z"
)
#: An address that everybody reads alike: no user, no backslash, nothing but ASCII before the path.
_URL_FORM = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>\d{1,5}))?(?P<path>/[!-~]*|[?#][!-~]*|)\Z",
    re.IGNORECASE,
)
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_PORTS = {"http": 80, "https": 443}
#: What a server, or something before it, may take for a step up or for a separator: dots at the beginning of a step,
#: what is encoded that need not be, or twice, or in a longer way than UTF-8 allows; blanks beside a dot or slash, and
#: other characters that some leave out.
_STEPS = re.compile(
    r"(?:^|/)\.(?:\.|/|$)|\\|;|//|%2e|%2f|%5c|%25|%3b|%[01][0-9a-f]|%7f|%c[01]|%20(?=[/.]|$)|(?<=[/.])%20",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where http/request may go.  `methods` empty: all; `port` 0: the one that is usual, -1: any; `path`: a prefix."""

    methods: frozenset[str]
    host: str
    port: int
    path: str

    def holds(self, method: str, scheme: str, host: str, port: int | None, path: str) -> bool:
        """Whether a request goes there; host in lower case, path with its slash."""
        if self.methods and method not in self.methods:
            return False
        if self.host.startswith("*."):
            if not host.endswith(self.host[1:]):
                return False
        elif self.host not in ("*", host):
            return False
        usual = _PORTS.get(scheme)
        real = usual if port is None else port
        if self.port >= 0 and real != (self.port or usual):
            return False
        if not self.path:
            return True
        prefix = self.path
        if _STEPS.search(path):
            return False
        return path == prefix or path.startswith(prefix if prefix.endswith("/") else prefix + "/")


class Grants:
    """What a set of grants allows.  Immutable but for a memory of effects that were asked for."""

    __slots__ = ("_found", "_patterns", "_rules", "texts")

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)
        self._rules: dict[str, list[Any]] = {}
        self._patterns: list[tuple[str, Any]] = []
        self._found: dict[str, Any] = {}
        for text in self.texts:
            effect, narrowing = _parsed(text)
            for name in BUNDLES.get(effect, (effect,)):
                if name == ALL:
                    self._patterns.append(("", None))
                elif name.endswith("*"):
                    self._patterns.append((name[:-1], narrowing))
                else:
                    self._rules.setdefault(name, []).append(narrowing)

    def narrowing(self, effect: str) -> Any:
        """None where an effect is not granted, True where it is without bounds, else a tuple of what it is narrowed to:
        `Place`s for http/request, texts for others."""
        found = self._found.get(effect, self)
        if found is self:
            found = self._narrowing(effect)
            if len(self._found) < FOUND_MAX and len(effect) <= FOUND_CHARACTERS_MAX:  # names may be computed
                self._found[effect] = found
        return found

    def free(self, effect: str) -> bool:
        """Whether an effect may be performed with any payload that holds no secret."""
        return effect in ALWAYS or self.narrowing(effect) is True

    def _narrowing(self, effect: str) -> Any:
        given = list(self._rules.get(effect, ()))
        given += [narrowing for prefix, narrowing in self._patterns if effect.startswith(prefix) and effect != prefix]
        if not given:
            return None
        if None in given:
            return True
        return tuple(dict.fromkeys(item for items in given for item in items))

    def check(self, effect: str, payload: Any) -> None:
        """Raises LanguageError :flowmetal/not-granted unless an effect may be performed with this payload."""
        if effect in ALWAYS:
            return
        narrowing = self.narrowing(effect)
        if narrowing is True:
            return
        reader = _READERS.get(effect)
        if reader is None:
            if narrowing is None:
                raise refusal(effect, effect, effect, ())
            return
        reader(narrowing, effect, payload)

    def check_secrets(self, names: Iterable[str]) -> None:
        """Raises LanguageError :flowmetal/not-granted unless secrets of these names may be used."""
        for name in names:
            if not self.allows_secret(name):
                raise refusal(SECRET, f"the secret {name}", f"{SECRET}={name}", ())

    def allows_secret(self, name: str) -> bool:
        """Whether a secret may be used."""
        narrowing = self.narrowing(SECRET)
        return narrowing is True or (narrowing is not None and any(_fits(name, pattern) for pattern in narrowing))

    def allows_command(self, command: str) -> bool:
        """Whether shell/run may run a command, which is the first word as it is given."""
        narrowing = self.narrowing("shell/run")
        return narrowing is True or (narrowing is not None and command in narrowing)

    def allows_url(self, method: str, scheme: str, host: str, port: int | None, path: str) -> bool:
        """Whether http/request may go there, for who follows redirects; the host as it is connected to."""
        narrowing = self.narrowing("http/request")
        if narrowing is True or narrowing is None:
            return narrowing is True
        return any(place.holds(method, scheme, host.lower(), port, path or "/") for place in narrowing)


def refusal(effect: str, what: str, grant: str, facts: Iterable[tuple[Keyword, Any]]) -> LanguageError:
    """The error of an effect that is not granted: its text ends with the grant to add."""
    message = f"{what} is not granted to this program; what would grant it is --grant {_quoted(grant)}"
    data = Map.of([(_EFFECT, keyword(effect)), (_GRANT, grant), *facts])
    return LanguageError(ErrorValue(KIND_NOT_GRANTED, message[:1000], data))


def _quoted(grant: str) -> str:
    return f"'{grant}'" if re.search(r"[^A-Za-z0-9_./:=,@+-]", grant) else grant


# ---- narrowing, by effect ----------------------------------------------------------------------------------------


def _check_request(narrowing: Any, effect: str, payload: Any) -> None:
    given = payload if payload.__class__ is Map else Map.of([])
    url, method = given.get(_URL), given.get(_METHOD)
    verb = method.text if method.__class__ is Keyword else method
    verb = verb.upper() if verb.__class__ is str else "GET"
    if url.__class__ is Secret:
        url = url.parts[0]  # a secret stands behind the host; what it makes of the path the connector sees
    found = _URL_FORM.match(url) if url.__class__ is str else None
    if found is None:
        raise refusal(effect, f"{effect} to an address that is not plain", effect, ())
    host, port, path = found["host"].lower(), found["port"], re.split("[?#]", found["path"])[0] or "/"
    scheme = found["scheme"].lower()
    number = None if port is None else int(port)
    if narrowing is not None and any(place.holds(verb, scheme, host, number, path) for place in narrowing):
        return
    at = host if number in (None, _PORTS[scheme]) else f"{host}:{number}"
    # Where the place is granted, its methods or paths do not fit: the hint names what was wanted.
    near = narrowing is not None and any(
        place.holds("", scheme, host, number, "") or place.host == host for place in narrowing
    )
    grant = f"{effect}={verb}@{at}{path}" if near else f"{effect}={at}"
    if not _is_grant(grant):  # no grant holds a path with steps in it; the whole effect does not look at paths
        grant = effect
    raise refusal(effect, f"{effect} ({verb}) to {at}", grant, [(_URL, f"{scheme}://{at}{path}"[:500])])


def _check_command(narrowing: Any, effect: str, payload: Any) -> None:
    command = payload.get(_COMMAND) if payload.__class__ is Map else payload
    if command.__class__ is Vector:
        first = command.get(0) if len(command) else None
        if narrowing is not None and first.__class__ is str and first in narrowing:
            return
        grant = f"{effect}={first}" if first.__class__ is str and _NAME.match(first) else effect
        raise refusal(effect, f"{effect} of {first if first.__class__ is str else 'no command'}", grant, ())
    # A line for a shell may run anything.
    raise refusal(effect, f"{effect} of a line for a shell", effect, ())


def _check_key(narrowing: Any, effect: str, payload: Any) -> None:
    key = payload.get(0) if payload.__class__ is Vector and len(payload) else None
    text = key.text if key.__class__ is Keyword else key
    if text.__class__ is not str:
        text = ""
    if narrowing is not None and any(text.startswith(prefix) for prefix in narrowing):
        return
    if narrowing is None:
        raise refusal(effect, effect, effect, ())
    raise refusal(effect, f"{effect} of the key {text[:80]}", f"{effect}={text}" if _NAME.match(text) else effect, ())


def _check_schedule(narrowing: Any, effect: str, payload: Any) -> None:
    """With a narrowed grant a schedule says which program it starts."""
    value = payload.get(_PROGRAM) if payload.__class__ is Map else None
    program = value.text if value.__class__ is Keyword else value
    if program.__class__ is not str or not _NAME.match(program):
        raise refusal(effect, f"{effect} without :program" if narrowing else effect, effect, ())
    if narrowing is None or program not in narrowing:
        raise refusal(effect, f"{effect} of the program {program}", f"{effect}={program}", ())


_READERS: dict[str, Callable[[Any, str, Any], None]] = {
    "http/request": _check_request,
    "shell/run": _check_command,
    "schedule/put": _check_schedule,
    **dict.fromkeys(("kv/get", "kv/put", "kv/delete", "kv/compare-and-set", "kv/list"), _check_key),
}


# ---- reading -----------------------------------------------------------------------------------------------------


def read_grants(given: Iterable[str]) -> tuple[str, ...] | None:
    """Grants as they are kept, from texts as they are typed: sorted, each once; None for all.

    FlowmetalError U200 for what is no grant, U201 for an effect that cannot be narrowed, U202 for too many, U203
    for one text where a list of them belongs.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):  # letters would be taken for grants
        raise FlowmetalError("U203", grant=str(given)[:80])
    texts = list(given)
    if len(texts) > GRANTS_MAX:
        raise FlowmetalError("U202", count=len(texts), limit=GRANTS_MAX)
    found: dict[str, None] = {}
    for text in texts:
        if text.__class__ is not str or len(text) > CHARACTERS_MAX:
            raise FlowmetalError("U200", grant=str(text)[:80])
        text = text.strip()
        if text not in (NONE, LOCAL):
            _parsed(text)
            found[text] = None
    if ALL in found:
        return None
    return tuple(sorted(found))


def _parsed(text: str) -> tuple[str, tuple[Any, ...] | None]:
    """An effect or pattern, and what it is narrowed to."""
    effect, sign, rest = text.partition("=")
    if not _NAME.match(effect) or "*" in effect[:-1] or (effect.endswith("*") and not effect.endswith("/*")):
        raise FlowmetalError("U200", grant=text[:80])
    if not sign:
        return effect, None
    kind = NARROWED.get(effect)
    if kind is None:
        raise FlowmetalError("U201", effect=effect[:80], known=", ".join(NARROWED))
    items = rest.split(",")
    if kind == "hosts":
        return effect, tuple(_place(text, item.strip()) for item in items)
    if not all(_NAME.match(item) for item in items):
        raise FlowmetalError("U200", grant=text[:80])
    return effect, tuple(items)


def _is_grant(text: str) -> bool:
    """Whether a grant that is to be suggested is one."""
    try:
        _parsed(text)
    except FlowmetalError:
        return False
    return len(text) <= CHARACTERS_MAX


def _place(text: str, item: str) -> Place:
    methods, at, rest = item.rpartition("@")
    host, slash, path = rest.partition("/")
    found = _HOST.match(f"{methods.upper()}{at}{host.lower()}{slash}{path}")
    if found is None or (found["port"] not in (None, "*") and not 0 < int(found["port"]) < 65536):
        raise FlowmetalError("U200", grant=text[:80])
    if _STEPS.search(found["path"] or ""):
        raise FlowmetalError("U200", grant=text[:80])
    wanted = frozenset(found["methods"].split("+")) if found["methods"] else frozenset()
    if not wanted <= _METHODS:
        raise FlowmetalError("U200", grant=text[:80])
    port = -1 if found["port"] == "*" else int(found["port"] or 0)
    return Place(wanted, found["host"], port, found["path"] or "")


def _fits(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


@lru_cache(1024)
def granted(texts: tuple[str, ...] | None) -> Grants | None:
    """The grants of a process as the store has them; None where it has all.

    What cannot be read, since a newer release wrote it, grants nothing.
    """
    if texts is None:
        return None
    readable = []
    for text in texts:
        try:
            _parsed(text)
        except FlowmetalError:
            continue
        readable.append(text)
    return Grants(readable)


def named_grants(effects: Iterable[str]) -> tuple[str, ...]:
    """The grants that effects need, each whole: what a person's own program gets where nothing is said.

    An effect whose name would be read as more than itself is granted only where somebody says so.
    """
    return tuple(sorted({effect for effect in effects if effect not in ALWAYS and not _means_more(effect)}))


def _means_more(effect: str) -> bool:
    return effect in (ALL, NONE, SECRET, *BUNDLES) or "=" in effect or "*" in effect


def grants_line(texts: tuple[str, ...] | None) -> str:
    """Grants for people: "all", "none", or the grants with spaces between them."""
    if texts is None:
        return ALL
    return " ".join(map(_quoted, texts)) or NONE

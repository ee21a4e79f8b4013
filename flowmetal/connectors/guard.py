"""Which addresses a program may connect to: the guard against requests into the inner network.

A name is resolved once, every address it gives is checked, and the connection goes to a checked address; so neither
odd spellings of an address nor a name that changes between check and connect get past it.  This module decides;
http_request/transport.py stands at the socket.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from flowmetal.dataclass import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

#: Lookups that may be under way at once; a resolver that hangs must not stop the others.
LOOKUP_THREADS = 16


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


#: Inner networks.  A name on the allow list may lead here.
INNER = _networks(
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "100.64.0.0/10", "::1/128", "fc00::/7"
)

#: Never by name, only where the allow list has the address itself: metadata services, what is not one machine, and
#: what wraps another address (so that the check would see the wrapping only).
CLOSED = _networks(
    "0.0.0.0/8",
    "100.100.100.200/32",  # metadata, Alibaba
    "168.63.129.16/32",  # the platform's own address, Azure; global by the registry
    "169.254.0.0/16",  # link-local; metadata at AWS, Azure, Google, ...
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::/96",  # IPv4-compatible
    "::ffff:0:0/96",  # IPv4-mapped
    "64:ff9b::/96",  # NAT64; global by the registry
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",  # Teredo, ORCHID, benchmarks
    "2001:db8::/32",
    "2002::/16",  # 6to4; global by the registry
    "3fff::/20",
    "5f00::/16",
    "fd00:ec2::254/128",  # metadata, AWS
    "fd20:ce::254/128",  # metadata, Google
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)
_LOOPBACK6 = ipaddress.ip_address("::1")


class Blocked(Exception):
    """A connection that the guard does not allow; str() says why, in words for the program's author."""


class BadRule(ValueError):
    """An entry of the allow list that cannot be read."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An entry of the allow list: a network, or a name or "*.suffix"; port None means any."""

    network: Network | None
    name: str
    port: int | None

    def names(self, host: str, port: int) -> bool:
        """Whether it allows `host` by name."""
        if self.network is not None or self.port not in (None, port):
            return False
        if self.name.startswith("*."):
            return host.endswith(self.name[1:]) and len(host) > len(self.name) - 1
        return host == self.name

    def contains(self, address: Address, port: int) -> bool:
        """Whether it allows `address` itself."""
        return (
            self.network is not None
            and self.port in (None, port)
            and self.network.version == address.version
            and address in self.network
        )


def parse_rule(text: str) -> Rule:
    """Reads "host", "host:8080", "*.inner.example", "10.0.0.0/8", "127.0.0.1:8080", "[::1]:8080"; else BadRule."""
    rest, port = text.strip().lower(), None
    if rest.startswith("["):
        body, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise BadRule(text)
        rest, port_text = body, tail[1:]
    elif rest.count(":") == 1:
        rest, _, port_text = rest.partition(":")
    else:
        port_text = ""
    if port_text:
        if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536):
            raise BadRule(text)
        port = int(port_text)
    try:
        return Rule(ipaddress.ip_network(rest), "", port)
    except ValueError:
        pass
    rest = rest.rstrip(".")
    bare = rest[2:] if rest.startswith("*.") else rest
    legal = bare and all(c.isalnum() or c in "-_." for c in bare)
    if not legal or ".." in bare or bare.replace(".", "").isdigit():
        raise BadRule(text)
    return Rule(None, rest, port)


async def system_resolver(host: str, port: int) -> list[str]:
    """Every address of `host` by the operating system, in its order of preference; OSError if it has none."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(
        _lookup_threads(), lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


_threads: ThreadPoolExecutor | None = None


def _lookup_threads() -> ThreadPoolExecutor:
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")
    return _threads


class Guard:
    """Decides what may be connected to.

    `allow` opens inner addresses (see parse_rule); with `only_listed` nothing else may be reached at all.  A name
    on the list may lead to inner networks, but to metadata services and the like only an address entry leads.
    """

    def __init__(
        self, allow: Iterable[str] = (), *, only_listed: bool = False, resolve: Resolver = system_resolver
    ) -> None:
        self._rules = tuple(parse_rule(text) for text in allow)
        self._only_listed = only_listed
        self._resolve = resolve

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of `host` that may be connected to.  Blocked if any is not; OSError if there is none."""
        name = host.lower().rstrip(".")
        found = await self._resolve(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        named = any(rule.names(name, port) for rule in self._rules)
        checked = []
        for text in found:
            try:
                address = ipaddress.ip_address(text.partition("%")[0])
            except ValueError:
                raise Blocked(f"{host} resolves to something that is not an address") from None
            reason = self._reason(address, port, named)
            if reason is not None:
                # One bad address of several is enough: a name that mixes both is how the check is probed.
                raise Blocked(f"{host} port {port} may not be reached: {address} {reason}")
            checked.append(text)
        return checked

    def _reason(self, address: Address, port: int, named: bool) -> str | None:
        if any(rule.contains(address, port) for rule in self._rules):
            return None
        if address != _LOOPBACK6 and _within(address, CLOSED):
            return "is a reserved address"
        if named:
            return None
        if self._only_listed:
            return "is not on the allow list"
        if _within(address, INNER):
            return "is an inner address that is not on the allow list"
        return None if address.is_global else "is not a public address"


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(network.version == address.version and address in network for network in networks)

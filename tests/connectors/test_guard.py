"""The guard: which addresses may be reached, in which spellings, and what the allow list opens."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from flowmetal.connectors.guard import BadRule, Blocked, Guard, parse_rule, system_resolver

_DENIED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.1.2.3 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.170
192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::2 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
::ffff:8.8.8.8 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1
2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::1 3fff::1
5f00::1 fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fe80::1 fe80::1%lo febf::1 fec0::1 ff02::1 ff05::2
"""
DENIED = _DENIED.split()

_PUBLIC = """
1.1.1.1 8.8.8.8 93.184.215.14 172.15.0.1 172.32.0.1 100.128.0.1 2606:4700:4700::1111 2a00:1450::1
"""
PUBLIC = _PUBLIC.split()

#: Spellings that the system's resolver takes for an inner address.
_SPELLINGS = """
127.0.0.1 127.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 0 localhost 127.0.0.1. 10.1 0xa9fea9fe
"""
SPELLINGS = _SPELLINGS.split()


def to(*addresses: str) -> Guard:
    return guard(addresses)


def guard(addresses: Sequence[str], allow: Sequence[str] = (), only_listed: bool = False) -> Guard:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return Guard(allow, only_listed=only_listed, resolve=resolve)


def reach(guard: Guard, host: str = "name.example", port: int = 80) -> list[str]:
    return asyncio.run(guard.addresses(host, port))


@pytest.mark.parametrize("address", DENIED)
def test_inner_and_reserved_addresses_are_blocked(address: str) -> None:
    with pytest.raises(Blocked):
        reach(to(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    assert reach(to(address)) == [address]


@pytest.mark.parametrize("address", DENIED)
def test_one_bad_address_among_good_ones_is_enough(address: str) -> None:
    with pytest.raises(Blocked):
        reach(to("1.1.1.1", address))


@pytest.mark.parametrize("host", SPELLINGS)
def test_spellings_of_inner_addresses_are_blocked(host: str) -> None:
    try:
        socket.getaddrinfo(host, 80)
    except OSError:
        pytest.skip("the resolver does not take this spelling")
    with pytest.raises(Blocked):
        reach(Guard(), host)


def test_a_name_without_addresses_is_an_error() -> None:
    with pytest.raises(OSError):
        reach(to())


def test_the_system_resolver_gives_each_address_once() -> None:
    assert asyncio.run(system_resolver("127.0.0.1", 80)) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("allow", "host", "port", "address", "reached"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1", True),
        ("127.0.0.1:8080", "127.0.0.1", 8081, "127.0.0.1", False),
        ("127.0.0.1", "anything.example", 99, "127.0.0.1", True),
        ("10.0.0.0/8", "db.example", 5432, "10.1.2.3", True),
        ("10.0.0.0/8", "db.example", 5432, "192.168.0.1", False),
        ("[::1]:8080", "::1", 8080, "::1", True),
        ("::1", "::1", 8080, "::1", True),
        ("fd00::/8", "a.example", 80, "fd12::1", True),
        ("db.inner", "db.inner", 80, "10.0.0.5", True),
        ("db.inner", "DB.Inner.", 80, "10.0.0.5", True),
        ("db.inner:81", "db.inner", 80, "10.0.0.5", False),
        ("*.inner", "a.b.inner", 80, "192.168.3.4", True),
        ("*.inner", "inner", 80, "192.168.3.4", False),
        ("*.inner", "evilinner", 80, "192.168.3.4", False),
        ("localhost", "localhost", 80, "127.0.0.1", True),
        # A name opens inner networks; metadata services only an address opens.
        ("db.inner", "db.inner", 80, "169.254.169.254", False),
        ("db.inner", "db.inner", 80, "::ffff:10.0.0.5", False),
        ("db.inner", "db.inner", 80, "168.63.129.16", False),
        ("169.254.169.254", "x.example", 80, "169.254.169.254", True),
    ],
)
def test_allow_list(allow: str, host: str, port: int, address: str, reached: bool) -> None:
    made = guard([address], [allow])
    if reached:
        assert reach(made, host, port) == [address]
    else:
        with pytest.raises(Blocked):
            reach(made, host, port)


def test_only_listed_closes_public_addresses() -> None:
    with pytest.raises(Blocked, match="not on the allow list"):
        reach(guard(["1.1.1.1"], ["api.example"], only_listed=True), "other.example")
    assert reach(guard(["1.1.1.1"], ["api.example"], only_listed=True), "api.example") == ["1.1.1.1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*.",
        "a b",
        "host:0",
        "host:65536",
        "host:x",
        "[::1",
        "[::1]x",
        "10.0.0.0/99",
        "a..b",
        "1.2.3",
        "http://x",
    ],
)
def test_bad_rules_are_refused(text: str) -> None:
    with pytest.raises(BadRule):
        parse_rule(text)

"""Ways to alter a signed artifact, drawn from a seed, and whether each is refused."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flowmetal.bytecode.layout import HASH_BYTES
from flowmetal.bytecode.signatures import content_end, signatures_of, with_signatures
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.build import build_artifact
from flowmetal.engine.trust import Trust, public_bytes, sign

SOURCES = (
    '(ns pay (:require http)) (defn main [n] (http/post "https://pay.example/" {:json {:amount n}}))',
    '(ns pay (:require http)) (defn main [n] (http/post "https://evil.example/" {:json {:amount n}}))',
)


@dataclass(frozen=True)
class Bench:
    """Two artifacts, each signed by a trusted key, the second not by the first's; and a key that nobody trusts."""

    signed: bytes
    twice: bytes  # the same, signed by a stranger besides
    other: bytes
    stranger: Any
    trust: Trust


def key(number: int) -> Any:
    """A private key that is the same each time."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"key %d" % number).digest())


def bench() -> Bench:
    """What is altered."""
    first, second = (build_artifact({"pay.fm": source}).data for source in SOURCES)
    trust = Trust(True, {public_bytes(key(1).public_key()): "release"})
    return Bench(sign(first, key(1)), sign(sign(first, key(1)), key(2)), sign(second, key(2)), key(2), trust)


def _place(chance: random.Random, data: bytes) -> int:
    """A place in it; the signatures are a small part, and come up as often as the rest."""
    end = content_end(data)
    return (
        chance.randrange(end, len(data)) if end < len(data) and chance.random() < 0.5 else chance.randrange(len(data))
    )


def _flip(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    at = _place(chance, data)
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _byte(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    at = _place(chance, data)
    return data[:at] + chance.randbytes(1) + data[at + 1 :]


def _cut(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    return data[: _place(chance, data)]


def _insert(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    at = _place(chance, data)
    return data[:at] + chance.randbytes(chance.choice((1, 2, 10, 96))) + data[at:]


def _delete(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    at = _place(chance, data)
    return data[:at] + data[at + chance.choice((1, 2, 8, 32, 64, 96, 106)) :]


def _append(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    return data + chance.choice((b"\0", data[-10:], data[content_end(data) :], chance.randbytes(7)))


def _copy(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    """A piece of it over another piece."""
    size, source, target = chance.randrange(1, 200), _place(chance, data), _place(chance, data)
    piece = data[source : source + size]
    return data[:target] + piece + data[target + len(piece) :]


def _rehash(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    """Changed code under a hash that is made anew, with the signatures of before."""
    end = content_end(data)
    body = bytearray(data[: end - HASH_BYTES])
    at = chance.randrange(12, len(body))
    body[at] ^= 1 << chance.randrange(8)
    return bytes(body) + hashlib.sha256(body).digest() + data[end:]


def _strip(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    return data[: content_end(data)]


def _strange(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    """Signed by a key that nobody trusts, and by no other."""
    return sign(data[: content_end(data)], key(chance.randrange(3, 10)))


def _moved(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    """The signatures behind another artifact, and a true one of a stranger with them."""
    content = bench.other[: content_end(bench.other)]
    found = signatures_of(data) + (signatures_of(bench.other) if chance.random() < 0.5 else [])
    return with_signatures(content, found)


def _claimed(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    """The stranger's signature under the name of the trusted key, or the trusted one's under the stranger's."""
    trusted = next(iter(bench.trust.keys))
    content = data[: content_end(data)]
    strange = dict(signatures_of(sign(content, bench.stranger)))[public_bytes(bench.stranger.public_key())]
    if chance.random() < 0.5:
        return with_signatures(content, [(trusted, strange)])
    true = dict(signatures_of(data))[trusted]
    return with_signatures(content, [(public_bytes(bench.stranger.public_key()), true), (trusted, strange)])


def _order(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    """Signatures twice, or in another order."""
    end = content_end(data)
    block = data[end:-10]
    entries = [block[at : at + 96] for at in range(0, len(block), 96)]
    entries = entries[::-1] if len(entries) > 1 and chance.random() < 0.5 else [*entries, entries[0]]
    return data[:end] + b"".join(entries) + len(entries).to_bytes(2, "big") + data[-8:]


def _count(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    return data[:-10] + chance.choice((0, 2, 3, 17, 255, 65535)).to_bytes(2, "big") + data[-8:]


def _malleable(chance: random.Random, data: bytes, bench: Bench) -> bytes:
    """The scalar of a signature with the order of the group added, which a careless check takes as the same."""
    order = 2**252 + 27742317777372353535851937790883648493
    (signer, signature), *rest = signatures_of(data)
    scalar = (int.from_bytes(signature[32:], "little") + order) % 2**256
    return with_signatures(data, [(signer, signature[:32] + scalar.to_bytes(32, "little")), *rest])


WAYS: tuple[Callable[[random.Random, bytes, Bench], bytes], ...] = (
    _flip, _flip, _flip, _byte, _cut, _insert, _delete, _append, _copy, _rehash, _rehash, _strip, _strange, _moved,
    _claimed, _order, _count, _malleable,
)  # fmt: skip


def alteration(seed: int, number: int, bench: Bench) -> tuple[str, bytes] | None:
    """The name of a way and what it makes; None where that is what was there before."""
    chance = random.Random(seed * 1_000_003 + number)
    data = bench.twice if chance.random() < 0.3 else bench.signed
    way = chance.choice(WAYS)
    altered = way(chance, data, bench)
    return None if altered in (bench.signed, bench.twice) else (way.__name__.strip("_"), altered)


def accepted(altered: bytes, check: Callable[[bytes], Any]) -> bool:
    """Whether an altered artifact is taken; what is no FlowmetalError is a fault and goes on."""
    try:
        check(altered)
    except FlowmetalError:
        return False
    return True


def campaign(count: int, seed: int, check: Callable[[bytes], Any] | None = None) -> tuple[int, int, list[str]]:
    """(alterations, refused, lines of those that were taken) of `count` tries."""
    found = bench()
    used = check or found.trust.check
    tried = refused = 0
    taken: list[str] = []
    for number in range(count):
        made = alteration(seed, number, found)
        if made is None:
            continue
        tried += 1
        if accepted(made[1], used):
            taken.append(f"{made[0]} was taken: python -m tests.signatures --seed {seed} --only {number}")
        else:
            refused += 1
    return tried, refused, taken

"""No secret is on any surface, whatever programs do with it and however it comes back; and the scanner finds those that
are."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.canaries.campaign import campaign
from tests.canaries.scanner import PLAIN_PIECE, Scanner, spellings

VALUE = "h0Nv9sTq/+&=%WkLm2xYz\"'\\ 8dRfGj5c"


@pytest.mark.parametrize("name", [name for name, _ in spellings(VALUE)])
def test_the_scanner_finds_every_spelling(name: str) -> None:
    scanner = Scanner({"a": VALUE})
    spelled = dict(spellings(VALUE))[name]
    assert scanner.scan("page", b"before " + spelled + b" after")


def test_the_scanner_finds_pieces_and_lines() -> None:
    scanner = Scanner({"a": VALUE})
    assert scanner.scan("page", b"x" + VALUE[3 : 3 + PLAIN_PIECE].encode() + b"x")
    assert scanner.scan("page", base64.encodebytes(b"xy" + VALUE.encode() * 3))
    assert scanner.scan("page", VALUE.encode().hex(" ").encode())
    assert scanner.scan("page", base64.b64encode(b"ab" + VALUE[4:24].encode() + b"cd"))
    assert not scanner.scan("page", VALUE[:9].encode() + b" and " + VALUE[9:18].encode() + b"#secret[a]")


def test_no_secret_is_on_a_surface(tmp_path: Path) -> None:
    figures = campaign(tmp_path, seed=1, whole=False)
    assert figures.hits == []
    assert figures.sent == figures.canaries, "a canary was not used at all"
    assert figures.planted, "the scanner does not find what is there"
    assert figures.surfaces > 50
    assert figures.own == 2, "no program came back over HTTP"

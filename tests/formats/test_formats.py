"""Every format there was goes on under today's code; what is newer, or older than any that is known, is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import lmdb
import pytest

from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.layout import FORMAT_VERSION
from flowmetal.diagnostics import FlowmetalError
from flowmetal.store import StoreError, open_store
from flowmetal.store.codec import encode_about
from flowmetal.store.layout import FORMAT
from flowmetal.store.lmdb_files import ENGINE
from tests.formats.resume import EXPECTED, FIRST_LAYOUT, resume, unpack

VERSIONS = ("1097111", "1556590", "737925e", "7ee7f8b", "ddf6d10")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    assert [one.name for one in unpack(folder)] == list(VERSIONS)
    return folder


@pytest.mark.parametrize("version", VERSIONS)
def test_the_processes_of_a_version_finish(corpus: Path, version: str) -> None:
    assert resume(corpus / version) == EXPECTED


def refusal(path: Path) -> StoreError:
    with pytest.raises(StoreError) as caught:
        open_store(path)
    return caught.value


def test_the_first_layout_of_format_2_is_refused(corpus: Path) -> None:
    path = corpus / FIRST_LAYOUT / "store"
    before = (path / "data.mdb").read_bytes()
    error = refusal(path)
    assert error.code == "S103" and "2, as it was laid out at first" in str(error)
    assert (path / "data.mdb").read_bytes() == before


@pytest.mark.parametrize("about", [encode_about(FORMAT + 1, ENGINE, "id", 1), b"\x93\x63\xa1x\x01"])
def test_a_newer_store_is_refused(tmp_path: Path, about: bytes) -> None:
    path = tmp_path / "store"
    open_store(path).close()
    environment = lmdb.open(str(path), max_dbs=100, map_size=1 << 24, lib_version=0)
    with environment.begin(write=True) as transaction:
        transaction.put(b"about", about, db=environment.open_db(b"meta", transaction, create=False))
    environment.close()
    before = (path / "data.mdb").read_bytes()
    error = refusal(path)
    newer = "99" if about[1] == 0x63 else str(FORMAT + 1)
    assert error.code == "S103"
    assert f"has format {newer}; this version of Flowmetal reads format {FORMAT}" in str(error)
    assert (path / "data.mdb").read_bytes() == before


def test_a_newer_artifact_is_refused(corpus: Path) -> None:
    data = (corpus / VERSIONS[0] / "old.fmc").read_bytes()
    assert decode_artifact(data).name == "old"
    for place, code in ((4, "B002"), (6, "B003")):
        newer = bytearray(data[:-32])
        assert newer[place : place + 2] in (b"\x01\x00", b"\x00\x01"), newer[:10]
        newer[place : place + 2] = b"\x63\x63"
        with pytest.raises(FlowmetalError) as caught:
            decode_artifact(bytes(newer) + hashlib.sha256(newer).digest())
        assert caught.value.code == code and str(FORMAT_VERSION) in str(caught.value)

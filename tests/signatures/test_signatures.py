"""Signed artifacts: what the signature holds, who may bring one in, and 2,000 alterations, each refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.signatures import content_end, merged, signatures_of, with_signatures
from flowmetal.cli import flowc, flowvm
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.artifacts import Programs, deploy, deployer
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.simulate import Simulation
from flowmetal.engine.trust import Trust, key_text, public_bytes, read_private, read_public, read_trust, sign
from flowmetal.store.interface import PutArtifact, Start
from flowmetal.store.memory import MemoryStore
from flowmetal.values import Vector, encode_value
from tests.signatures.alter import bench, campaign, key

PLAIN = build_artifact({"pay.fm": "(ns pay) (defn main [] 7)"}).data
SIGNED = sign(PLAIN, key(1))
STRANGE = sign(PLAIN, key(2))
TRUST = Trust(True, {public_bytes(key(1).public_key()): "release"})
REQUIRED = "-- NOT SIGNED BY A TRUSTED KEY"


# ---- alterations -------------------------------------------------------------------------------------------------


def test_what_is_altered_is_refused() -> None:
    tried, refused, taken = campaign(2_000, seed=7)
    assert (taken, refused) == ([], tried)
    assert tried > 1_900


@pytest.mark.parametrize("careless", ["looks at the content alone", "believes the names of keys"])
def test_a_careless_check_is_found_out(careless: str) -> None:
    """The campaign can fail: checks that leave something out take what they should not."""

    def content(data: bytes) -> None:
        decode_artifact(data)

    def names(data: bytes) -> None:
        decode_artifact(data)
        if not any(signer in bench_keys for signer, _ in signatures_of(data)):
            raise FlowmetalError("B512", signers="")

    bench_keys = bench().trust.keys
    check: Callable[[bytes], Any] = content if careless.startswith("looks") else names
    _, _, taken = campaign(300, seed=1, check=check)
    assert taken


# ---- what a signature is -----------------------------------------------------------------------------------------


def test_a_signature_changes_no_hash_and_no_build() -> None:
    assert decode_artifact(SIGNED).hash == decode_artifact(PLAIN).hash
    assert SIGNED[: content_end(SIGNED)] == PLAIN
    assert sign(PLAIN, key(1)) == SIGNED  # Ed25519 draws no random numbers
    both = sign(SIGNED, key(2))
    assert both == sign(STRANGE, key(1)) == merged(SIGNED, STRANGE)
    assert len(signatures_of(both)) == 2
    assert with_signatures(both, []) == PLAIN


def test_too_many_signatures_are_refused() -> None:
    data = PLAIN
    for number in range(16):
        data = sign(data, key(number))
    with pytest.raises(FlowmetalError, match="at most 16"):
        sign(data, key(16))


def test_an_untrue_signature_of_a_copy_is_not_taken_over() -> None:
    """Where nothing is said of trust anybody may deploy what is signed untruly; the true one takes its place."""
    untrue = with_signatures(PLAIN, [(public_bytes(key(3).public_key()), b"\1" * 64)])
    store = MemoryStore()
    hash = deploy(store, untrue, "pay")
    deploy(store, SIGNED, "pay", trust=TRUST)
    kept = store.artifact(hash)
    assert kept == SIGNED and TRUST.check(kept)
    deploy(store, STRANGE, "pay")
    deploy(store, PLAIN, "pay")
    assert store.artifact(hash) == sign(SIGNED, key(2))


# ---- ways in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "taken"), [(SIGNED, True), (sign(SIGNED, key(2)), True), (PLAIN, False), (STRANGE, False)]
)
def test_deploying(data: bytes, taken: bool) -> None:
    for put in (
        lambda: deploy(MemoryStore(), data, "pay", trust=TRUST),
        lambda: deployer({}, TRUST)(MemoryStore(), "pay", data, None),
        lambda: deployer({"pay": ()}, TRUST)(MemoryStore(), "pay", data, ["all"]),
    ):
        if taken:
            put()
            continue
        with pytest.raises(FlowmetalError) as problem:
            put()
        assert problem.value.code == "B512"


@pytest.mark.parametrize("how", ["a program put into the store", "another artifact under a signed one's hash"])
def test_what_comes_by_the_store_is_not_run(how: str) -> None:
    """Whoever can write the store goes round every check but that of the interpreter."""
    world = Simulation(config=Config(trust=TRUST))
    hash = decode_artifact(PLAIN).hash
    if how.startswith("a program"):
        deploy(world.store, PLAIN)
    else:
        other = sign(build_artifact({"pay.fm": "(ns pay) (defn main [] 8)"}).data, key(1))
        world.store.submit([PutArtifact(hash, other, "pay")]).result()
    pid = world.store.submit([Start("pay/main", encode_value(Vector.of([])), artifact=hash)]).result()[0][0]
    world.run(pid, until=world.clock.now + 10**9)
    record = world.store.process(pid)
    assert record is not None
    assert (record.status, world.store.result(pid)) == ("paused", None)


def test_signing_later_lets_a_paused_process_go_on() -> None:
    world = Simulation(config=Config(trust=TRUST))
    pid = world.start(world.deploy(PLAIN), "pay/main")
    world.run(pid, until=world.clock.now + 10**9)
    world.deploy(SIGNED)  # the same hash, and now with a signature
    world.deploy(PLAIN)  # which another copy without it does not take away
    world.post(pid, "resume")
    world.run(pid)
    assert world.outcome(pid).value == 7


def test_without_settings_nothing_is_asked() -> None:
    store = MemoryStore()
    hash = deploy(store, STRANGE)
    assert Programs(store).get(hash)
    assert Trust().check(PLAIN) == ()


def test_keys_without_a_requirement_refuse_what_is_untrue() -> None:
    trust = Trust(False, TRUST.keys)
    assert trust.check(PLAIN) == ()
    (signer, signature), *_ = signatures_of(SIGNED)
    forged = with_signatures(PLAIN, [(signer, signature[:-1] + b"\0")])
    with pytest.raises(FlowmetalError) as problem:
        trust.check(forged)
    assert problem.value.code == "B511"


# ---- settings ----------------------------------------------------------------------------------------------------


def test_grants_of_a_key() -> None:
    source = '(ns pay (:require http)) (defn main [] (http/get "https://a.example/"))'
    data = build_artifact({"pay.fm": source}).data
    texts = [key_text(public_bytes(key(number).public_key())) for number in (1, 2, 3)]
    trust = read_trust({"keys": texts, "grants": {texts[0]: ["named"], texts[1]: ["store"], texts[2]: ["all"]}})
    for numbers, grants in (
        ((), ()),
        ((1,), ("http/request",)),
        ((2,), ("store",)),
        ((1, 2), ("http/request", "store")),
        ((3,), None),
        ((4,), ()),
    ):
        signed = data
        for number in numbers:
            signed = sign(signed, key(number))
        store = MemoryStore()
        deployer({}, trust)(store, "pay", signed, None)
        assert store.grants("pay") == grants


@pytest.mark.parametrize(
    ("table", "code"),
    [
        (1, "H202"),
        ({"sign": True}, "H201"),
        ({"require_signed": 1}, "H202"),
        ({"require_signed": True}, "H202"),
        ({"keys": "a"}, "H202"),
        ({"keys": ["ed25519:AAAA"]}, "B513"),
        ({"keys": ["ed25519:" + "!" * 44]}, "B513"),
        ({"keys": ["nothing.pub"]}, "B513"),
        ({"keys": [], "grants": {"a": []}}, "H202"),
        ({"keys": ["ed25519:" + "A" * 43 + "="], "grants": {"ed25519:" + "A" * 43 + "=": ["http*"]}}, "H202"),
    ],
)
def test_wrong_settings(table: Any, code: str) -> None:
    with pytest.raises(FlowmetalError) as problem:
        read_trust(table)
    assert problem.value.code == code


# ---- commands ----------------------------------------------------------------------------------------------------


class Desk:
    """A folder with commands; `code` of the last one, and what it printed."""

    def __init__(self, folder: Path, capsys: Any) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *command: str) -> tuple[int, str]:
        app = flowc.app if command[0] == "flowc" else flowvm.app
        from flowmetal.cli.parameters import run_app

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", list(command))
            with pytest.raises(SystemExit) as ended:
                run_app(app)
        captured = self._capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err


@pytest.fixture
def desk(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pay.fmc").write_bytes(PLAIN)
    (tmp_path / "pay.fm").write_text("(ns pay) (defn main [] 7)")
    yield Desk(tmp_path, capsys)


def test_keys_and_signatures_on_the_command_line(desk: Desk) -> None:
    assert desk("flowc", "keygen", "release")[0] == 0
    assert (desk.folder / "release.key").stat().st_mode & 0o777 == 0o600
    assert "U181" in desk("flowc", "keygen", "release")[1]
    assert "B512" in desk("flowc", "verify", "pay.fmc", "--key", "release.pub")[1]
    code, out = desk("flowc", "sign", "pay.fmc", "--key", "release.key", "--json")
    assert (code, len(json.loads(out)["signatures"])) == (0, 1)
    assert desk("flowc", "verify", "pay.fmc", "--key", "release.pub")[0] == 0
    assert desk("flowc", "verify", "pay.fmc", "--key", json.loads(out)["signatures"][0])[0] == 0
    os.chmod("release.key", 0o644)
    assert "B513" in desk("flowc", "sign", "pay.fmc", "--key", "release.key")[1]
    data = bytearray((desk.folder / "pay.fmc").read_bytes())
    data[-30] ^= 1
    (desk.folder / "pay.fmc").write_bytes(data)
    assert "B511" in desk("flowc", "verify", "pay.fmc", "--key", "release.pub")[1]


def test_commands_where_signatures_are_required(desk: Desk) -> None:
    desk("flowc", "keygen", "release")
    (desk.folder / "flowmetal.toml").write_text('[trust]\nrequire_signed = true\nkeys = ["release.pub"]\n')
    assert "B512" in desk("flowvm", "run", "pay.fmc")[1]
    assert "B512" in desk("flowvm", "deploy", "pay.fmc", "--store", "store", "--grant", "all")[1]
    assert "B512" in desk("flowvm", "deploy", "pay.fm", "--store", "store")[1]
    assert desk("flowvm", "run", "pay.fm")[0] == 0  # what a person has written runs before it is anybody's artifact
    desk("flowc", "sign", "pay.fmc", "--key", "release.key")
    assert desk("flowvm", "run", "pay.fmc") == (0, "7\n")
    assert desk("flowvm", "deploy", "pay.fmc", "--store", "store")[0] == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_keys_of_openssl(tmp_path: Path) -> None:
    private, public = tmp_path / "o.key", tmp_path / "o.pub"
    made = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("this openssl has no Ed25519")
    os.chmod(private, 0o600)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    trusted = read_public(str(public))
    assert Trust(True, {trusted: "o"}).check(sign(PLAIN, read_private(str(private)))) == (trusted,)


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_files_that_hold_no_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "k"
    path.write_text(text)
    os.chmod(path, 0o600)
    for read in (read_private, read_public):
        with pytest.raises(FlowmetalError) as problem:
            read(str(path))
        assert problem.value.code == "B513"

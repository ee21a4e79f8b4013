"""`flowc keygen`, `flowc sign`, `flowc verify`: keys, and signatures of artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowmetal.cli import common
from flowmetal.cli.options import Debug, Json
from flowmetal.cli.reading import read_bytes
from flowmetal.cli.writing import write_artifact

Artifact = Annotated[Path, typer.Argument(help="An artifact, .fmc.")]


def keygen(
    path: Annotated[Path, typer.Argument(help="Where: PATH.key gets the private key, PATH.pub the public one.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Makes a pair of keys for signing artifacts (Ed25519, PEM)."""
    from flowmetal.engine.trust import key_text, make_key

    text = key_text(make_key(str(path)))
    document = {"private": f"{path}.key", "public": f"{path}.pub", "key": text}
    common.emit(document, as_json, lambda: f"{path}.key  keep it secret\n{path}.pub  {text}")


def sign(
    artifact: Artifact,
    key: Annotated[Path, typer.Option("--key", "-k", help="The private key: PEM, PKCS 8, readable by you alone.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to; default: the same file.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Signs an artifact; its hash stays the same, and signatures that it has stay too."""
    from flowmetal.bytecode.signatures import signatures_of
    from flowmetal.engine.opening import read_artifact
    from flowmetal.engine.trust import checked_signers, key_text, read_private, sign

    built = read_artifact(read_bytes(artifact))
    checked_signers(built.data)  # nobody signs what is damaged
    private = read_private(str(key))
    data = sign(built.data, private)
    target = output if output is not None else artifact
    write_artifact(target, data)
    keys = [key_text(one) for one, _ in signatures_of(data)]
    document = {"artifact": str(target), "hash": built.hash.hex(), "signatures": keys}
    common.emit(document, as_json, lambda: "\n".join([f"{target}  {built.hash.hex()[:16]}", *keys]))


def verify(
    artifact: Artifact,
    key: Annotated[list[str], typer.Option("--key", "-k", help="A public key: a PEM file, or ed25519:BASE64; repeat.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Checks an artifact and that one of these keys has signed it; B511 or B512 where not."""
    from flowmetal.engine.opening import read_artifact
    from flowmetal.engine.trust import Trust, key_text, read_public

    built = read_artifact(read_bytes(artifact))
    trust = Trust(True, {read_public(one): one for one in key})
    signers = [key_text(one) for one in trust.check(built.data)]
    document = {"artifact": str(artifact), "hash": built.hash.hex(), "signed_by": signers}
    common.emit(document, as_json, lambda: f"{artifact}  {built.hash.hex()[:16]}  signed by {', '.join(signers)}")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(keygen)
    app.command()(sign)
    app.command()(verify)

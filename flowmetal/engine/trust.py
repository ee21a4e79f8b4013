"""Trust: whose signatures count, whether an artifact must have one, and what one is granted for it.

    [trust]
    require_signed = true
    keys = ["keys/release.pub", "ed25519:V2hvIHJlYWRzIHRoaXMgaXMgdmVyeSBjdXJpb3VzIQ=="]

    [trust.grants]
    "keys/release.pub" = ["named"]

An artifact is checked wherever it comes in, and once more where an interpreter loads it, since whoever can write a
store need not come by those ways.  The package `cryptography` is loaded when a key is used, and not before.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from typing import Any

from flowmetal import lazily
from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.signatures import (
    KEY_BYTES,
    content_hash_of,
    message_of,
    signatures_of,
    with_signatures,
)
from flowmetal.dataclass import dataclass, field, fields
from flowmetal.diagnostics import FlowmetalError, suggest
from flowmetal.engine.files import read_file
from flowmetal.engine.grants import read_grants

_keys: Any = lazily.module("cryptography.hazmat.primitives.asymmetric.ed25519")
_serialization: Any = lazily.module("cryptography.hazmat.primitives.serialization")
_exceptions: Any = lazily.module("cryptography.exceptions")

#: What a key that is written as text begins with.
TEXT = "ed25519:"

#: The grant of what an artifact names, for those of a key.
NAMED = "named"

#: A key file is some hundred bytes.
KEY_FILE_BYTES_MAX = 64 << 10


@dataclass(frozen=True, slots=True)
class Trust:
    """[trust].  `keys`: public keys, each with how the settings name it; `grants` what one's artifacts get, by key."""

    require_signed: bool = False
    keys: Mapping[bytes, str] = field(default_factory=dict)
    grants: Mapping[bytes, tuple[str, ...] | None] = field(default_factory=dict)

    def check(self, data: bytes) -> tuple[bytes, ...]:
        """The trusted keys that have signed an artifact; none where nothing is said of trust.

        FlowmetalError B001 to B006 for what is no artifact, B510, B511 for signatures that are damaged or untrue, B512
        where one is required and missing.
        """
        if not self.require_signed and not self.keys:
            return ()
        decode_artifact(data)
        signers = checked_signers(data)
        trusted = tuple(key for key in signers if key in self.keys)
        if self.require_signed and not trusted:
            raise FlowmetalError("B512", signers=", ".join(map(key_text, signers)) or "nobody")
        return trusted

    def granted_for(self, signers: tuple[bytes, ...], named: tuple[str, ...]) -> tuple[str, ...] | None:
        """What an artifact gets for its signatures, where nothing else is said; `named`: what it names."""
        found: list[str] = []
        for key in signers:
            grants = self.grants.get(key, ())
            if grants is None:
                return None
            found += [text for text in grants if text != NAMED]
            if NAMED in grants:
                found += named
        return read_grants(dict.fromkeys(found))


def checked_signers(data: bytes) -> tuple[bytes, ...]:
    """The keys that have signed an artifact, every one of its signatures being true.  B004, B510, B511."""
    found = signatures_of(data)
    if not found:
        return ()
    message = message_of(content_hash_of(data))
    for key, signature in found:
        if not _is_true(key, signature, message):
            raise FlowmetalError("B511", key=key_text(key))
    return tuple(key for key, _ in found)


def true_signatures(data: bytes | None) -> bytes | None:
    """A copy of an artifact as it is kept, with those of its signatures alone that are true: whoever wrote the others
    must not keep an artifact from being loaded that others have signed.  All, where the package is not installed.
    """
    if data is None:
        return None
    try:
        found = signatures_of(data)
        message = message_of(content_hash_of(data)) if found else b""
        return with_signatures(data, [(key, text) for key, text in found if _is_true(key, text, message)])
    except FlowmetalError as error:
        return data if error.code == "B514" else None


def _is_true(key: bytes, signature: bytes, message: bytes) -> bool:
    need_cryptography()
    try:
        _keys.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (ValueError, _exceptions.InvalidSignature):
        return False
    return True


def sign(data: bytes, private_key: Any) -> bytes:
    """An artifact with one more signature."""
    public = public_bytes(private_key.public_key())
    signature = private_key.sign(message_of(content_hash_of(data)))
    return with_signatures(data, [*signatures_of(data), (public, signature)])


# ---- keys --------------------------------------------------------------------------------------------------------


def need_cryptography() -> None:
    """B514 where the package `cryptography` is not installed."""
    try:
        _keys.Ed25519PublicKey  # noqa: B018
    except ImportError:
        raise FlowmetalError("B514") from None


def public_bytes(key: Any) -> bytes:
    """The 32 bytes of a public key."""
    found: bytes = key.public_bytes(_serialization.Encoding.Raw, _serialization.PublicFormat.Raw)
    return found


def key_text(key: bytes) -> str:
    """A public key as text, as settings take it."""
    return TEXT + base64.b64encode(key).decode()


def read_public(given: str, folder: str = "") -> bytes:
    """A public key: `ed25519:` and base64, or the path of a PEM file.  B513."""
    if given.startswith(TEXT):
        try:
            found = base64.b64decode(given[len(TEXT) :], validate=True)
        except (binascii.Error, ValueError):
            found = b""
        if len(found) != KEY_BYTES:
            raise FlowmetalError("B513", path=given, problem="it has not the 32 bytes of an Ed25519 key")
        return found
    need_cryptography()
    data = _key_file(os.path.join(folder, given))
    try:
        key = _serialization.load_pem_public_key(data)
    except ValueError:
        raise FlowmetalError("B513", path=given, problem="it holds no public key in PEM form") from None
    except Exception as error:  # of kinds of keys that the package does not know
        raise FlowmetalError("B513", path=given, problem=str(error) or type(error).__name__) from None
    if not isinstance(key, _keys.Ed25519PublicKey):
        raise FlowmetalError("B513", path=given, problem="it is no Ed25519 key")
    return public_bytes(key)


def read_private(path: str) -> Any:
    """A private key in PKCS 8, PEM form.  B513, also where others than the owner may read the file."""
    need_cryptography()
    data = _key_file(path)
    if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
        raise FlowmetalError("B513", path=path, problem="others may read it; `chmod 600` keeps it to its owner")
    try:
        key = _serialization.load_pem_private_key(data, None)
    except TypeError:
        raise FlowmetalError("B513", path=path, problem="it is encrypted; decrypt it, or sign elsewhere") from None
    except Exception as error:
        raise FlowmetalError(
            "B513", path=path, problem=f"it holds no private key in PEM form ({error})"[:200]
        ) from None
    if not isinstance(key, _keys.Ed25519PrivateKey):
        raise FlowmetalError("B513", path=path, problem="it is no Ed25519 key")
    return key


def _key_file(path: str) -> bytes:
    try:
        return read_file(path, KEY_FILE_BYTES_MAX)
    except FlowmetalError as error:
        raise FlowmetalError("B513", path=path, problem=error.diagnostic.text) from None


def make_key(path: str) -> bytes:
    """Writes a new private key to `path`.key, for its owner alone, and the public one to `path`.pub; the public one.

    U181 where one of them is there, U108 where they cannot be written.
    """
    need_cryptography()
    private = _keys.Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        _serialization.Encoding.PEM, _serialization.PrivateFormat.PKCS8, _serialization.NoEncryption()
    )
    public = private.public_key()
    shown = public.public_bytes(_serialization.Encoding.PEM, _serialization.PublicFormat.SubjectPublicKeyInfo)
    for name, mode, data in ((f"{path}.key", 0o600, pem), (f"{path}.pub", 0o644, shown)):
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError:
            raise FlowmetalError("U181", path=name) from None
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else str(problem)
            raise FlowmetalError("U108", path=name, problem=reason) from None
        with open(descriptor, "wb") as file:
            file.write(data)
    return public_bytes(public)


# ---- settings ----------------------------------------------------------------------------------------------------


def read_trust(table: Any, folder: str = "") -> Trust:
    """The settings of [trust]; paths of keys are taken from `folder`.  H201, H202, B513."""
    if not isinstance(table, Mapping):
        raise _bad("trust", "the file", table, "a table")
    names = [one.name for one in fields(Trust)]
    for name in table:
        if name not in names:
            near = suggest(name, names)
            raise FlowmetalError("H201", key=name, section="[trust]", suggestion=near, known=", ".join(names))
    required, given = table.get("require_signed", False), table.get("keys", [])
    if required.__class__ is not bool:
        raise _bad("require_signed", "[trust]", required, "true or false")
    if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
        raise _bad("keys", "[trust]", given, "a list of paths and of texts that begin with ed25519:")
    by_name = {one: read_public(one, folder) for one in given}
    granted = table.get("grants", {})
    if not isinstance(granted, Mapping):
        raise _bad("grants", "[trust]", granted, "a table of lists, KEY = [GRANT, ...]")
    grants: dict[bytes, tuple[str, ...] | None] = {}
    for name, texts in granted.items():
        if name not in by_name:
            raise _bad(name, "[trust.grants]", name, "one of the keys of [trust]")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise _bad(name, "[trust.grants]", texts, f'a list of grants, or ["{NAMED}"]')
        try:
            grants[by_name[name]] = read_grants(texts)
        except FlowmetalError as error:
            raise _bad(name, "[trust.grants]", texts, f"a list of grants; {error.diagnostic.text}") from None
    if required and not by_name:
        raise _bad("keys", "[trust]", given, "at least one key, where require_signed is true")
    return Trust(required, {key: name for name, key in by_name.items()}, grants)


def _bad(key: str, section: str, found: Any, expected: str) -> FlowmetalError:
    return FlowmetalError("H202", key=key, section=section, found=repr(found), expected=expected)

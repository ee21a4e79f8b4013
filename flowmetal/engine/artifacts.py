"""Programs out of a store and into it.

An artifact holds the modules of its author and names those of the standard library by hash.  Deploying puts the library
into the store as well, with a pointer under the hash of each of its modules, so that an upgrade of the package changes
nothing for a process that waits: it finds the very modules it was built against.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.link import link
from flowmetal.bytecode.program import Module
from flowmetal.bytecode.signatures import content_hash_of, merged
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.grants import named_grants, read_grants
from flowmetal.engine.library import Library, open_library, standard_library
from flowmetal.engine.live import Loaded, loaded
from flowmetal.engine.opening import open_artifact
from flowmetal.engine.secret_sites import secret_grants
from flowmetal.engine.trust import Trust, true_signatures
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Command, PutArtifact, Store
from flowmetal.vm.builtins.registry import builtin_arity

#: What a pointer to a library's bundle begins with; the content hash of the bundle follows.
POINTER = b"FML\x00"

#: Programs and libraries kept in memory.
PROGRAMS_MAX = 256
LIBRARIES_MAX = 16

#: Puts an artifact into a store under a name, with grants where some are given -> its content hash.
Deployer = Callable[[Store, str, bytes, Sequence[str] | None], bytes]


class Programs:
    """The programs of a store, linked and kept.  Safe for threads."""

    def __init__(self, store: Store, trust: Trust | None = None) -> None:
        self._store = store
        self._trust = trust or Trust()
        self._lock = threading.Lock()
        self._programs: OrderedDict[bytes, Loaded] = OrderedDict()
        self._libraries: OrderedDict[bytes, Library] = OrderedDict()

    def get(self, hash: bytes) -> Loaded:
        """The program with a content hash.

        Raises FlowmetalError: V302 where the store does not have it, B0xx where it or a library cannot be read, B51x
        where it is not signed as it must be.
        """
        with self._lock:
            found = self._programs.get(hash)
            if found is not None:
                self._programs.move_to_end(hash)
                return found
            data = self._store.artifact(hash)
            if data is None:
                raise FlowmetalError("V302", hash=hash.hex())
            if self._trust.require_signed:
                self._trust.check(data)
                if content_hash_of(data) != hash:
                    raise FlowmetalError("B004")
            program = loaded(link(decode_artifact(data, builtin_arity), self._library_module))
            self._programs[hash] = program
            if len(self._programs) > PROGRAMS_MAX:
                self._programs.popitem(last=False)
            return program

    def _library_module(self, name: str, hash: bytes) -> Module | None:
        """A library module: the store's, or that of this installation where it is the same one."""
        own = standard_library().modules.get(name)
        if own is not None and own.hash == hash:
            return own
        pointer = self._store.artifact(hash)
        if pointer is None or not pointer.startswith(POINTER):
            return None
        return self._library(pointer[len(POINTER) :]).modules.get(name)

    def _library(self, hash: bytes) -> Library:
        found = self._libraries.get(hash)
        if found is None:
            data = self._store.artifact(hash)
            if data is None:
                raise FlowmetalError("V302", hash=hash.hex())
            found = self._libraries[hash] = open_library(data)
            if len(self._libraries) > LIBRARIES_MAX:
                self._libraries.popitem(last=False)
        return found


def deploy(
    store: Store,
    data: bytes,
    name: str | None = None,
    grants: Sequence[str] | None = None,
    trust: Trust | None = None,
) -> bytes:
    """Verifies an artifact and puts it into a store with the library it needs -> its content hash.

    Durable when it returns.  `name` is what it is deployed as, by default the name of its main module; `grants` what
    processes of the name may perform (grants.py), None for all; `trust` whose signatures it needs.  Raises
    FlowmetalError, StoreError.
    """
    grants = None if grants is None else read_grants(grants)
    if trust is not None:
        trust.check(data)
    artifact = open_artifact(data)
    data = merged(data, true_signatures(_kept(store, artifact.hash)))
    store.submit([*_library_commands(), PutArtifact(artifact.hash, data, name or artifact.name, grants)]).result()
    return artifact.hash


def keep_library(store: Store) -> bytes:
    """Puts the standard library into a store, under no name -> its content hash, to start its functions by."""
    store.submit(_library_commands()).result()
    return standard_library().hash


def _library_commands() -> list[Command]:
    library = standard_library()
    hashes = [module.hash for module in library.modules.values() if module.hash is not None]
    return [
        PutArtifact(library.hash, library.data),
        *(PutArtifact(hash, POINTER + library.hash) for hash in hashes),
    ]


def _kept(store: Store, hash: bytes) -> bytes | None:
    """What the store has of an artifact; None also where that is damaged, since deploying it writes it anew."""
    try:
        return store.artifact(hash)
    except StoreError as error:
        if not error.is_damage:
            raise
        return None


def deployer(configured: Mapping[str, tuple[str, ...] | None] | None = None, trust: Trust | None = None) -> Deployer:
    """`deploy` as the HTTP server wants it: without grants, those of the settings, of its signer, or none."""

    def put(store: Store, name: str, data: bytes, grants: Sequence[str] | None = None) -> bytes:
        if grants is not None:
            grants = read_grants(grants)
        elif configured is not None and name in configured:
            grants = configured[name]
        else:
            grants = granted_by_signers(data, trust)
        return deploy(store, data, name, grants, trust)

    return put


def granted_by_signers(data: bytes, trust: Trust | None) -> tuple[str, ...] | None:
    """What an artifact gets for who has signed it; nothing without trust."""
    signers = () if trust is None else trust.check(data)
    if trust is None or not signers:
        return ()
    artifact = decode_artifact(data)
    return trust.granted_for(signers, named_grants([*artifact.effects(), *secret_grants(artifact)]))


def grant_deployed(store: Store, configured: Mapping[str, tuple[str, ...] | None]) -> list[str]:
    """Gives deployed names the grants of the settings; the names that had others.

    What is deployed under a name meanwhile stays, with what it was granted.
    """
    changed: list[str] = []
    for name, grants in configured.items():
        hash = store.deployed(name).get(name)
        if hash is None or store.grants(name) == grants:
            continue
        data = store.artifact(hash)
        if data is not None:
            store.submit([PutArtifact(hash, data, name, grants, over=hash)]).result()
            changed.append(name)
    return changed

"""Grants as the store keeps them: texts that it does not look into, of deployed names and of what processes run."""

from __future__ import annotations

from collections.abc import Sequence

from flowmetal.store.codec import unpack, unreadable
from flowmetal.store.errors import StoreError
from flowmetal.store.layout import DEPLOYED, META
from flowmetal.store.transaction import ReadTransaction

#: Grants stand in META under this and the deployed name.
GRANTS = b"grants:"
ALL = "all"  # the grant of everything

#: Older prompts deployed the standard library under this name, with all granted, and left it so.
OLD_PROMPT = b"flowmetal.prompt"

#: Grants of one start or deployment, and their characters in all.
MAX_GRANTS = 256
MAX_GRANT_CHARACTERS = 64_000


def checked_grants(grants: Sequence[str]) -> tuple[str, ...] | None:
    """Grants of a command as they are kept, None for all; S206 for what are none."""
    if not isinstance(grants, (tuple, list)) or not all(text.__class__ is str for text in grants):
        raise StoreError("S206", reason="grants are texts")
    if len(grants) > MAX_GRANTS or sum(map(len, grants)) > MAX_GRANT_CHARACTERS:
        raise StoreError("S206", reason=f"at most {MAX_GRANTS} grants of {MAX_GRANT_CHARACTERS} characters in all")
    return None if ALL in grants else tuple(sorted(set(grants)))


def granted_to(transaction: ReadTransaction, name: bytes) -> tuple[str, ...] | None:
    """What the processes of a deployed name may perform; None for all.

    Every deployed name has a record, also one that is granted all: where it is lost, nothing is granted.
    """
    if name == OLD_PROMPT:
        return ()
    data = transaction.get(META, GRANTS + name)
    if data is None:
        return None if transaction.get(DEPLOYED, name) is None else ()
    found = unpack(META, data)
    if found is None:
        return None
    if not isinstance(found, list) or not all(text.__class__ is str for text in found):
        raise unreadable(META, TypeError("no grants"))
    return tuple(found)

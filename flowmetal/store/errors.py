"""StoreError, the one exception of the store, and the checks of names and sizes that raise it."""

from __future__ import annotations

from flowmetal.diagnostics import FlowmetalError
from flowmetal.store.limits import MAX_IMAGE_BYTES, MAX_NAME_BYTES, MAX_VALUE_BYTES

__all__ = ("MAX_IMAGE_BYTES", "MAX_NAME_BYTES", "MAX_VALUE_BYTES", "StoreError", "check_name", "check_size")

#: Codes that are about the commands themselves: submitting the same again would be refused again.  All others are about
#: the store and its surroundings (a full queue, a full disk, an owner that is gone) and may pass.
_ABOUT_COMMANDS = frozenset(
    {
        "S201",
        "S202",
        "S203",
        "S204",
        "S205",
        "S206",
        "S208",
        "S210",
        "S211",
        "S220",
        "S221",
        "S222",
        "S223",
        "S225",
        "S226",
        "S227",
        "S228",
        "S229",
    }
)


#: Codes that are about one record, or a page of some: others can be read.
_DAMAGE = frozenset({"S306", "S310"})

#: The code of a store that this process no longer writes, since its disk has failed, until it is opened anew.
GIVEN_UP = "S330"


class StoreError(FlowmetalError):
    """A store refused or failed; `code` is one of the S codes of the catalogue, `facts` say what and where."""

    @property
    def whose(self) -> str:
        """Whose matter it is: "command" (the same commands would be refused again) or "store" (it may pass)."""
        return "command" if self.code in _ABOUT_COMMANDS else "store"

    @property
    def is_damage(self) -> bool:
        """Whether a record is damaged: whoever needs it cannot go on, and all others can."""
        return self.code in _DAMAGE


def check_name(what: str, name: str) -> bytes:
    """The UTF-8 of a name that is fit to be part of a key; S204 for others."""
    if isinstance(name, str) and name and name.isprintable():
        try:
            data = name.encode()
        except UnicodeEncodeError:
            data = b""
        if 0 < len(data) <= MAX_NAME_BYTES:
            return data
    raise StoreError("S204", what=what, limit=MAX_NAME_BYTES, found=repr(name)[:80])


def check_size(what: str, data: bytes, limit: int = MAX_VALUE_BYTES) -> None:
    """S205 where `data` is larger than `limit` bytes."""
    if len(data) > limit:
        raise StoreError("S205", what=what, size=len(data), limit=limit)

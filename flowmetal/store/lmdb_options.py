"""The settings of an LMDB store: its map, and what a power failure may cost."""

from __future__ import annotations

from flowmetal.dataclass import dataclass
from flowmetal.store.keys import KeySource

#: The map is address space, not disk or memory; this much is asked for at first.
MAP_SIZE = 64 << 30
#: Where so much address space is not allowed (a limit of the process), less will do at first.
SMALLEST_MAP_SIZE = 64 << 20
#: No limit but the disk.
DEFAULT_MAP_LIMIT = 1 << 46

#: What a power failure may cost, by the name that says it, the safest first: what LMDB is opened with.  A process that
#: is killed costs nothing in any of them, since the system has what was written.
#:
#: Without the sync of its head, the last commit may be undone; the store stays whole.  Without any, the system writes
#: the pages in an order of its own, so that after a power failure the newest head may speak of pages that were never
#: written: LMDB gives no way to lose the last seconds alone.
DURABILITIES: dict[str, dict[str, bool]] = {
    "every-commit": {},
    "lose-last-commit-on-power-loss": {"metasync": False},
    "lose-store-on-power-loss": {"sync": False},
}
DEFAULT_DURABILITY = "every-commit"
#: How often what is not synced at each commit is synced.
SYNC_SECONDS = 1.0


def is_weaker(durability: str, than: str) -> bool:
    """Whether a power failure may cost more with one setting than with another."""
    order = list(DURABILITIES)
    return order.index(durability) > order.index(than)


@dataclass(frozen=True, slots=True)
class LmdbOptions:
    """Settings of a store: `map_size` to begin with and `map_limit` in bytes; `allow_network` file systems; what a
    power failure may cost; where the key of an encrypted store comes from, and whether one that is not encrypted is
    taken although a key is named, for who is about to encrypt it."""

    durability: str = DEFAULT_DURABILITY
    map_size: int = MAP_SIZE
    map_limit: int = DEFAULT_MAP_LIMIT
    allow_network: bool = False
    key: KeySource | None = None
    takes_plain: bool = False

"""The event store: what every part of Flowmetal that keeps or reads state talks to.

`open_store` opens one; interface.py says what it can do, layout.py how it is laid out.  Names are imported when they
are first used: a store in memory does without LMDB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowmetal.lazily import names_of

if TYPE_CHECKING:
    from flowmetal.store.errors import StoreError
    from flowmetal.store.interface import Store
    from flowmetal.store.opening import open_store

__all__ = ["Store", "StoreError", "open_store"]

_WHERE = {
    "Store": "flowmetal.store.interface",
    "StoreError": "flowmetal.store.errors",
    "open_store": "flowmetal.store.opening",
}


__getattr__, __dir__ = names_of(globals(), _WHERE)

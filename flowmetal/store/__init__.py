"""The event store: what every part of Flowmetal that keeps or reads state talks to.

`open_store` opens one; interface.py says what it can do, layout.py how it is laid out.
"""

from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Store
from flowmetal.store.opening import open_store

__all__ = ["Store", "StoreError", "open_store"]

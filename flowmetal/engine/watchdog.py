"""The watchdog: notes in the store, from a thread of its own, which process is in a turn for too long.

A turn that never comes back may be one that ends the interpreter; whoever finds the interpreter dead then knows in
whose turn it was.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from flowmetal.engine.config import Config
from flowmetal.store.interface import Join, Store

logger = logging.getLogger("flowmetal.engine")

#: A turn that takes longer than this is noted in the store, as one that may end the interpreter.
LONG_TURN_SECONDS = 2.0


class Watchdog:
    """Watches the turns of one interpreter.  `over` is called, from its thread, when a turn that was noted has ended:
    the interpreter is to join again, which takes the note back.
    """

    def __init__(self, store: Store, config: Config, over: Callable[[], None]) -> None:
        self.running: tuple[int, float] | None = (
            None  # the pid whose turn it is, and since when; set by the interpreter
        )
        self._store = store
        self._config = config
        self._over = over

    def start(self, thread: threading.Thread) -> None:
        """Watches until the interpreter's thread ends."""
        threading.Thread(target=self._watch, args=(thread,), name="flowmetal-watchdog", daemon=True).start()

    def _watch(self, thread: threading.Thread) -> None:
        noted: tuple[int, float] | None = None
        while thread.is_alive():
            running = self.running
            if running is not None and running is not noted and time.monotonic() - running[1] > LONG_TURN_SECONDS:
                noted = running
                logger.warning("a turn of process %d takes long", running[0])
                self._store.submit([Join(self._config.name, self._config.lease_ms, running[0])])
            elif noted is not None and running is not noted:
                noted = None
                self._over()
            thread.join(LONG_TURN_SECONDS / 4)

"""Trouble: a store that refuses (a full disk) is left alone for a while, longer each time, until it accepts again."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("flowmetal.engine")

#: After a store refused, nothing is tried for this long; twice as long after each further refusal, up to the maximum,
#: and at once when something was accepted again.
TROUBLE_SECONDS = 0.5
TROUBLE_SECONDS_MAX = 10.0


class Trouble:
    """What an interpreter knows of its store's refusals."""

    def __init__(self) -> None:
        self.until = 0.0  # by time.monotonic(): when to try again; 0 where there is no trouble
        self._refusals = 0  # since the store last accepted something

    @property
    def seconds(self) -> float:
        """How long the store is still to be left alone; 0 or less: it is not."""
        return self.until - time.monotonic() if self.until else 0.0

    def refused(self, error: Exception) -> float:
        """Notes a refusal; the seconds that nothing is to be tried."""
        seconds = min(TROUBLE_SECONDS * 2.0 ** min(self._refusals, 16), TROUBLE_SECONDS_MAX)
        # The first of a row is told, and then the row goes on in silence until it is over.
        logger.log(logging.DEBUG if self._refusals else logging.ERROR, "the store refused: %s", error)
        self._refusals += 1
        self.until = time.monotonic() + seconds
        return seconds

    def accepted(self) -> None:
        """Notes that the store took something."""
        if self._refusals:
            logger.warning("the store accepts again, after %d refusals", self._refusals)
            self._refusals = 0
            self.until = 0.0

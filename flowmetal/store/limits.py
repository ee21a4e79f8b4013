"""The limits of what a store keeps, in one place: the store refuses what is beyond them, and whoever makes commands
(the engine, for one) checks them before, so that a program meets them as an error at its own call."""

from __future__ import annotations

from typing import Final

#: Names are parts of keys, and LMDB's keys have at most 511 bytes.
MAX_NAME_BYTES: Final = 200
#: One event, segment, payload, result or argument vector; a larger one would hold up everybody's commit.
MAX_VALUE_BYTES: Final = 64 << 20
#: One event of a log: a value, and what is said about it.
MAX_EVENT_BYTES: Final = MAX_VALUE_BYTES + (64 << 10)
#: Arguments of a process together: as much as a program may pass on in one value (engine/limits.py).
MAX_ARGUMENT_BYTES: Final = MAX_VALUE_BYTES // 2 - (64 << 10)
#: One checkpoint or artifact.
MAX_IMAGE_BYTES: Final = 512 << 20
#: Attributes of one process, encoded.
MAX_ATTRIBUTE_BYTES: Final = 64 << 10
#: The latest time there is, in nanoseconds since 1970: in the year 2262.
MAX_TIME: Final = (1 << 63) - 1
#: Characters of a line for people in the record of a process; a longer one is cut.
MAX_LINE: Final = 1000
#: `not_before` of a held request that waits for a person, its retries used up.
NEVER: Final = MAX_TIME
#: Messages that wait in the inbox of one process.
MAX_MESSAGES: Final = 10_000
#: Items in one answer of a read: no read holds a state of the store for long.
MAX_ITEMS: Final = 10_000
#: A key of the key-value table, and a value of it: the bytes of a value that leaves a process, with room for an event.
MAX_KV_KEY_BYTES: Final = 400
MAX_KV_VALUE_BYTES: Final = 16 << 20
#: Names that one process has, groups that it is in, processes that it is linked to.
MAX_PROCESS_NAMES: Final = 100
MAX_GROUPS: Final = 100
MAX_LINKS: Final = 1000
#: Monitors that one process has on others, and others on it; processes that end with it.
MAX_MONITORS: Final = 10_000
MAX_CHILDREN_ON_LEASH: Final = 10_000
#: Members of one group: a message to it is one commit, in which each of them gets a copy, of so many bytes together.
MAX_GROUP_MEMBERS: Final = 10_000
MAX_PUBLISH_BYTES: Final = 64 << 20
#: Runs of a schedule that have not ended, where they were forced to begin beside each other.
MAX_FORCED_RUNS: Final = 100

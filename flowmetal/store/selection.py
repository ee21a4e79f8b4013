"""Selecting processes by a query, fast where few of very many fit.

No index is kept for it: a step would pay for one that changes with it, and looking over the bytes of 100,000 records
without reading them takes some hundredths of a second.  Processes are looked at in windows of pids.  Of each window the
sets of pids are found that may fit one part of the query, by bytes that every fitting record has; what is in all sets
is read and compared.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Any

from flowmetal import packing
from flowmetal.store.codec import LIVE, STATUS_CODES
from flowmetal.store.interface import ProcessRecord
from flowmetal.store.layout import (
    ATTRIBUTES,
    IDS,
    MAX_NUMBER,
    ORIGINS,
    PID_BYTES,
    PROCESSES,
    QUEUES,
    READY,
    STATES,
    STATUSES,
    pid_key,
    read_pid,
    status_key,
)
from flowmetal.store.query import Query
from flowmetal.store.queue_rows import decode_queue
from flowmetal.store.rows import Origin, decode_born, decode_origin
from flowmetal.store.transaction import ReadTransaction

#: Pids of a window, at first and at most: it grows while little is found.
_WINDOW, _WINDOW_MAX = 256, 1 << 15
#: With so few left, they are read at once; and with so few of a window, in which a look at a record's bytes costs a
#: twentieth of reading it.
_FEW, _FEW_OF = 64, 20

#: Where the time of the start stands in a value of PROCESSES, by the first byte of the origin before it, and as many
#: bytes as it has at most.  Packed numbers are ordered as their bytes are.
_LENGTHS = {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9}
_TIME_AT = [slice(1 + _LENGTHS.get(first, 1), 10 + _LENGTHS.get(first, 1)) for first in range(256)]

_pack = packing.pack

#: What the record of a process has that was started in a queue, and what changes in its line.
_QUEUED: bytes = _pack("queue")
_ROOT: bytes = _pack("root")
_NO_DIGITS = str.maketrans("", "", "0123456789~-:.")

#: Of the items of a window, the keys of those that may fit.
_Sieve = Callable[[list[tuple[bytes, bytes]]], set[bytes]]


def select(
    transaction: ReadTransaction,
    query: Query,
    read: Callable[[int], ProcessRecord | None],
    *,
    after: int,
    limit: int,
    statuses: frozenset[str],
    newest_first: bool,
) -> list[ProcessRecord]:
    """At most `limit` processes that fit, by pid, those beyond `after` in the order of the answer.

    `read` gives the record of a pid.
    """
    found: list[ProcessRecord] = []
    if limit <= 0:
        return found
    tree = None if query.tree is None else _Tree(query.tree, read)
    for pid in _candidates(transaction, query, after, statuses, newest_first):
        record = read(pid)
        if (
            record is not None
            and (not statuses or record.status in statuses)
            and fits(query, record)
            and (tree is None or tree.has(record))
        ):
            found.append(record)
            if len(found) == limit:
                break
    return found


class _Tree:
    """A process and all that come from it.  Whoever spawns is older than what it spawns."""

    def __init__(self, top: int, read: Callable[[int], ProcessRecord | None]) -> None:
        self._top, self._read = top, read
        self._known = {top: True}

    def has(self, record: ProcessRecord) -> bool:
        """Whether a process belongs to it."""
        known, below = self._known, [record.pid]
        parent = record.parent
        if record.root == self._top:  # at whatever distance, and whatever was removed in between
            return True
        while record.pid not in known and parent is not None and parent not in known and parent > self._top:
            below.append(parent)
            above = self._read(parent)
            parent = None if above is None else above.parent
        found = known.get(record.pid, parent is not None and known.get(parent, False))
        known.update(dict.fromkeys(below, found))
        return found


def fits(query: Query, record: ProcessRecord) -> bool:
    """Whether a process fits, but for its program, which its record does not tell, and its tree."""
    return (
        (query.pids is None or record.pid in query.pids)
        and (query.function is None or record.function == query.function)
        and (query.parent is None or record.parent == query.parent)
        and (query.id_prefix is None or (record.id is not None and record.id.startswith(query.id_prefix)))
        and (query.started_before is None or record.created_at < query.started_before)
        and (query.started_after is None or record.created_at > query.started_after)
        and (query.waits is None or query.waits in record.waits)
        and (query.error is None or query.error in record.error)
        and (not query.attributes or query.takes_attributes(record.attributes))
    )


def _candidates(
    transaction: ReadTransaction, query: Query, after: int, statuses: frozenset[str], newest_first: bool
) -> Iterator[int]:
    """Pids in order, of all processes that fit and of some others."""
    found = _known(transaction, query, statuses)
    known = None if found is None else sorted(found)
    if known is not None:
        if after > 0 and newest_first:
            known = known[: bisect_left(known, pid_key(min(after, MAX_NUMBER)))]
        elif after > 0:
            known = known[bisect_right(known, pid_key(min(after, MAX_NUMBER))) :]
        if len(known) <= _FEW:
            pids = [read_pid(key) for key in (reversed(known) if newest_first else known)]
            yield from pids if _runs(transaction, query) is None else _of_runs(transaction, query, pids)
            return
    runs = _runs(transaction, query)
    if runs == []:
        return
    groups = {STATUS_CODES[status] for status in statuses}
    if LIVE in groups:  # most are: it would leave out little
        groups = set()
    sieves = _sieves(transaction, query)
    size = _WINDOW
    position = _first(transaction, after, newest_first)
    while position:
        low = max(1, position - size + 1) if newest_first else position
        high = position if newest_first else min(MAX_NUMBER, position + size - 1)
        keys: set[bytes] | None = None
        if known is not None:
            keys = set(known[bisect_left(known, pid_key(low)) : bisect_right(known, pid_key(high))])
        if groups:
            keys = _cut(keys, {key[1:] for group in groups for key in _keys(transaction, STATUSES, group, low, high)})
        for space, sieve in sieves:
            if keys is not None and not keys:
                break
            if keys is not None and len(keys) < max(_FEW, size // _FEW_OF) and not (space == PROCESSES and runs):
                continue  # what is left is read anyway
            keys = _cut(keys, sieve(_items(transaction, space, low, high)))
        if keys is None:
            keys = {key for key, _ in _items(transaction, PROCESSES, low, high)}
        yield from sorted((read_pid(key) for key in keys), reverse=newest_first)
        size = min(2 * size, _WINDOW_MAX)
        if newest_first:
            position = _first(transaction, low, newest_first) if low > 1 else 0
        else:
            position = _first(transaction, high, newest_first) if high < MAX_NUMBER else 0


def _cut(keys: set[bytes] | None, others: set[bytes]) -> set[bytes]:
    return others if keys is None else keys & others


def _first(transaction: ReadTransaction, after: int, newest_first: bool) -> int:
    """The first pid there is beyond `after`, or 0."""
    if newest_first:
        start = pid_key(min(after, MAX_NUMBER) - 1 if after > 0 else MAX_NUMBER)
    else:
        start = pid_key(min(max(0, after) + 1, MAX_NUMBER))
    items = transaction.scan(PROCESSES, start=start, limit=1, reverse=newest_first, values=False)
    pid = read_pid(items[0][0]) if items else 0
    return 0 if not newest_first and pid <= after else pid


def _items(transaction: ReadTransaction, space: str, low: int, high: int) -> list[tuple[bytes, bytes]]:
    """The items of a space whose keys are pids, from one pid to another."""
    # Of a damaged one nobody knows whether it fits: it is left out.
    return transaction.scan(space, start=pid_key(low), stop=pid_key(high) + b"\x00", damaged=[])


def _keys(transaction: ReadTransaction, space: str, group: int, low: int, high: int) -> list[bytes]:
    start, stop = status_key(group, low), status_key(group, high) + b"\x00"
    return [key for key, _ in transaction.scan(space, start=start, stop=stop, values=False)]


# ---- what is known of a query before any record is looked at -------------------------------------------------------


def _known(transaction: ReadTransaction, query: Query, statuses: frozenset[str]) -> set[bytes] | None:
    """Keys of the pids that an index names, where one does."""
    keys: set[bytes] | None = None
    if query.pids is not None:
        keys = {pid_key(pid) for pid in query.pids if 0 < pid <= MAX_NUMBER}
    if query.id_prefix:
        prefix = query.id_prefix.encode("utf-8", "surrogatepass")
        keys = _cut(
            keys, {value for _, value in transaction.scan(IDS, prefix, damaged=[])} if len(prefix) < 500 else set()
        )
    if statuses == {"ready"}:  # there may be very many that wait
        keys = _cut(keys, {value for _, value in transaction.scan(READY, damaged=[])})
    return keys


def _runs(transaction: ReadTransaction, query: Query) -> list[bytes] | None:
    """How the packed origins begin that fit; None where the query says nothing of what is run."""
    if query.program is None and query.function is None:
        return None
    found = []
    for key, value in transaction.scan(ORIGINS):
        if len(key) == PID_BYTES and _runs_it(query, decode_origin(value)):
            found.append(_pack(read_pid(key)))
    return found


def _runs_it(query: Query, origin: Origin) -> bool:
    _, function, name, _ = origin
    program = function.partition("/")[0] if name is None else name
    return query.program in (None, program) and query.function in (None, function)


def _of_runs(transaction: ReadTransaction, query: Query, pids: list[int]) -> Iterator[int]:
    begins = tuple(_runs(transaction, query) or ())
    for pid in pids:
        value = transaction.get(PROCESSES, pid_key(pid))
        if value is not None and value.startswith(begins, 1):
            yield pid


def _sieves(transaction: ReadTransaction, query: Query) -> list[tuple[str, _Sieve]]:
    """What leaves out most records of a space by their bytes; PROCESSES come first, whose sieve may be exact."""
    sieves: list[tuple[str, _Sieve]] = []
    begins = _runs(transaction, query)
    if begins is not None:
        sieves.append((PROCESSES, _beginning(tuple(begins))))
    if query.started_before is not None or query.started_after is not None:
        sieves.append((PROCESSES, _between(query.started_after, query.started_before)))
    if query.parent is not None:
        # Behind the parent stands the digest: 32 bytes, or none without an id.
        parent = _pack(query.parent) if 0 <= query.parent <= MAX_NUMBER else b"\xc1"
        sieves.append((PROCESSES, _matching(re.compile(re.escape(parent) + rb"\xc4[\x00\x20]", re.DOTALL))))
    if query.tree is not None:
        # Itself, and what has the same root: behind the name stands the number.
        root = _root_of(transaction, query.tree)
        sieves.append((PROCESSES, _of_tree(pid_key(query.tree) if _is_key(query.tree) else b"", _ROOT + _pack(root))))
    for name, values in query.attributes:
        needles = [needle for needle in (_attribute(name, value) for value in values) if needle]
        sieves.append((ATTRIBUTES, _holding(needles)))
    if query.waits:
        needles = [query.waits.encode("utf-8", "surrogatepass")]
        if _may_name_queue(transaction, query.waits):
            needles.append(_QUEUED)
        sieves.append((STATES, _holding(needles)))
    if query.error:
        sieves.append((STATES, _holding([query.error.encode("utf-8", "surrogatepass")])))
    return sieves


def _may_name_queue(transaction: ReadTransaction, text: str) -> bool:
    """Whether a text may stand in the line of a process that waits in a queue, which is made when it is read.

    What is in a line is in it without its digits, too.
    """
    rest = text.translate(_NO_DIGITS)
    for key, value in transaction.scan(QUEUES, stop=b" "):  # names come behind the numbers
        name = decode_queue(read_pid(key), value).name
        lines = (f"queue {name}, place ", f"queue {name}, not before TZ")
        if any(rest in line.translate(_NO_DIGITS) for line in lines):
            return True
    return False


def _is_key(pid: int) -> bool:
    return 0 < pid <= MAX_NUMBER


def _root_of(transaction: ReadTransaction, pid: int) -> int:
    data = transaction.get(PROCESSES, pid_key(pid)) if _is_key(pid) else None
    root: int = pid if data is None else decode_born(data).more.get("root", pid)
    return root


def _of_tree(top: bytes, needle: bytes) -> _Sieve:
    return lambda items: {key for key, value in items if needle in value or key == top}


def _attribute(name: str, value: Any) -> bytes:
    """Bytes that the attributes have where one is this; empty where none can."""
    try:
        key: bytes = _pack(name)
        # The order of a map's keys makes no difference, and of lists that hold some it is not known.
        return key if isinstance(value, dict | list | tuple) else key + _pack(value)
    except (TypeError, ValueError, OverflowError):
        return b""


def _beginning(begins: tuple[bytes, ...]) -> _Sieve:
    return lambda items: {key for key, value in items if value.startswith(begins, 1)}


def _matching(pattern: re.Pattern[bytes]) -> _Sieve:
    search = pattern.search
    return lambda items: {key for key, value in items if search(value)}


def _holding(needles: list[bytes]) -> _Sieve:
    def sieve(items: list[tuple[bytes, bytes]]) -> set[bytes]:
        found: set[bytes] = set()
        for needle in needles:
            found.update([key for key, value in items if needle in value])
        return found

    return sieve


def _between(after: int | None, before: int | None) -> _Sieve:
    low: bytes = _pack(max(0, after or 0))
    high: bytes = b"\xd0" if before is None else _pack(max(0, min(before, (1 << 64) - 1)))
    at = _TIME_AT
    return lambda items: {key for key, value in items if low <= value[at[value[1]]] < high}

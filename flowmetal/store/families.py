"""Families: how many processes one has spawned that live, and how many live in its tree.

A *tree* is a process that nobody spawned, its root, with all that were spawned by it or by others of the tree.  Each
spawned process keeps the number of its root from its start on; the counts stand in the rows of parent and root, where
a limit is compared in the transaction that spawns, so that it is exact.  A root stays in the store as long as something
of its tree lives, so no tree loses its count.
"""

from __future__ import annotations

import logging

from flowmetal.store.bonds import limit_error
from flowmetal.store.changes import Changes
from flowmetal.store.errors import StoreError
from flowmetal.store.rows import Family, ProcessRow

_log = logging.getLogger(__name__)


def check_family(changes: Changes, parent: int, root: int, most: tuple[int, int, int]) -> None:
    """LanguageError :limit where a process may spawn no more.  `most`: living children, those of the tree, starts."""
    family = _of(changes.load_process(parent))
    tree = family if root == parent else _of(_whole(changes, root))
    if family.children >= most[0]:
        text = f"process {parent} has {most[0]} children that have not ended, which is the limit"
        raise limit_error(text, "children", most[0])
    if tree.descendants >= most[1]:
        text = f"{most[1]} processes that come from process {root} have not ended, which is the limit"
        raise limit_error(text, "descendants", most[1])
    if family.starts >= most[2]:
        raise limit_error(f"process {parent} has spawned {most[2]} processes, which is the limit", "starts", most[2])


def enter_family(changes: Changes, parent: int, root: int) -> None:
    """Counts a process that was spawned."""
    row = _whole(changes, parent)
    if row is not None:
        family = _touched(changes, parent, row)
        family.children += 1
        family.starts += 1
    top = _whole(changes, root)
    if top is not None:
        _touched(changes, root, top).descendants += 1


def leave_family(changes: Changes, pid: int) -> None:
    """Counts the end of a process, if it was spawned."""
    born = changes.born(pid)
    if born is None or born.parent is None or "root" not in born.more:
        return
    root = born.more["root"]
    row = _whole(changes, born.parent)
    if row is not None and row.family is not None:
        _touched(changes, born.parent, row).children -= 1
    top = _whole(changes, root)
    if top is not None and top.family is not None:
        _touched(changes, root, top).descendants -= 1


def _whole(changes: Changes, pid: int) -> ProcessRow | None:
    """The row of a relative; None also where it is damaged, which must not keep another process from its end, or from
    spawning: what a damaged root would count is then not counted."""
    try:
        return changes.load_process(pid)
    except StoreError as error:
        if not error.is_damage:
            raise
        _log.error("process %d is not counted with: %s", pid, error)
        return None


def has_descendants(row: ProcessRow) -> bool:
    """Whether something of the tree lives whose root this is."""
    return row.family is not None and row.family.descendants > 0


def _of(row: ProcessRow | None) -> Family:
    return Family() if row is None or row.family is None else row.family


def _touched(changes: Changes, pid: int, row: ProcessRow) -> Family:
    changes.touch(pid, row)
    if row.family is None:
        row.family = Family()
    return row.family

"""What the errors of LMDB mean for a store."""

from __future__ import annotations

import errno
from pathlib import Path

import lmdb

from flowmetal.store.errors import GIVEN_UP, StoreError
from flowmetal.store.lmdb_files import disk_is_full
from flowmetal.store.lmdb_options import LmdbOptions

#: Read transactions at the same time, of all processes.
MAX_READERS = 1022
#: Keys of LMDB.
MAX_KEY_BYTES = 511

#: Codes of failed commits after which the next one may succeed: no space, no memory.
PASSING = frozenset({"S301", "S331"})

#: What commits may fail with, and what a put fails with whose key is not fit, for those who may not import lmdb.
LmdbError = lmdb.Error
BadKey = lmdb.BadValsizeError

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DAMAGE = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
    lmdb.BadDbiError,
    lmdb.CursorFullError,
)


def commit_error(path: Path, error: lmdb.Error, options: LmdbOptions) -> StoreError:
    """The StoreError for a commit that failed.

    A full disk is over some time, and so is a want of memory; a damaged page hurts those who need it.  After any
    other failed write or sync the disk is in a state that nobody knows: asking it to sync again would say yes
    without having written.  LMDB calls a write that was cut short an I/O error, and a disk that gets full cuts one
    short first; and it gives a sync that found no space the same name as a write.  So whether the disk is full has
    to be looked at.
    """
    code = getattr(error, "code", 0)
    failure = store_error(path, error, options)
    if code == errno.EIO or failure.code == "S301":
        if disk_is_full(path):
            reason = "a write was cut short" if code == errno.EIO else str(error)
            return StoreError("S301", path=str(path), reason=reason)
    elif failure.code in PASSING or failure.code == "S108":
        return failure
    return StoreError(GIVEN_UP, path=str(path), reason=str(error))


def read_error(path: Path, error: lmdb.Error, options: LmdbOptions) -> StoreError:
    """The StoreError for an error of LMDB while something was read: what it has no other name for is damage."""
    found = store_error(path, error, options)
    return StoreError("S108", path=str(path), reason=str(error)) if found.code == "S303" else found


def store_error(folder: Path, error: lmdb.Error, options: LmdbOptions) -> StoreError:
    """The StoreError for an error of LMDB."""
    path, reason = str(folder), str(error)
    if isinstance(error, lmdb.PanicError):
        return StoreError(GIVEN_UP, path=path, reason=reason)
    if isinstance(error, lmdb.MemoryError) or getattr(error, "code", 0) == errno.ENOMEM:
        return StoreError("S331", path=path)
    if isinstance(error, _DAMAGE):
        return StoreError("S108", path=path, reason=reason)
    if isinstance(error, (lmdb.MapFullError,)):
        return StoreError("S302", path=path, limit=options.map_limit)
    if isinstance(error, lmdb.ReadersFullError):
        return StoreError("S115", path=path, limit=MAX_READERS)
    if isinstance(error, lmdb.DiskError) or getattr(error, "code", 0) in _FULL_DISK:
        return StoreError("S301", path=path, reason=reason)
    if isinstance(error, lmdb.ReadonlyError) or getattr(error, "code", 0) in (errno.EACCES, errno.EPERM):
        return StoreError("S107", path=path, reason=reason)
    if isinstance(error, lmdb.BadValsizeError):
        return StoreError("S206", reason=f"a key is empty or longer than {MAX_KEY_BYTES} bytes")
    return StoreError("S303", path=path, reason=reason)

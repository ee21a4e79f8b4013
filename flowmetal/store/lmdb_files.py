"""The folder of an LMDB store: making one that is whole or not there, and refusing what is none, before LMDB maps it.

A mapped file that is shorter than its pages say kills the process that reads it, so the file's heads are checked by
reading them first.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import resource
import shutil
import struct
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import lmdb
from lmdb import verify as lmdb_verify

from flowmetal.store.codec import decode_about, encode_about
from flowmetal.store.errors import StoreError
from flowmetal.store.layout import FORMAT, META, OLDEST_FORMAT, SPACE_NAMES

_log = logging.getLogger(__name__)

ENGINE = "lmdb 0.9"
#: The engine of py-lmdb to use: 0.9, whose file format has been the same for ten years.
LIB_VERSION = 0
DATA_FILE = "data.mdb"
LOCK_FILE = "lock.mdb"
INTERPRETERS_FOLDER = "interpreters"
#: Says of a folder that it is a backup, which is read and not written.
BACKUP_FILE = "backup.json"

#: File systems whose locks or mapped files are not those of one machine.
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "gpfs"}
    | {"9p", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.ceph", "fuse.juicefs"}
    | {"fuse.gcsfuse", "fuse.rclone"}
)

#: How a folder within a store begins in which its encrypted file is made.
ENCRYPTING = ".encrypting-"

#: Folders left by a process that was killed while it made a store are removed after this time.
STALE_CREATION_SECONDS = 3600

#: A disk with less free space than this is taken for full when a write to it was cut short.
NEARLY_NO_SPACE = 16 << 20
PROBE_BYTES = NEARLY_NO_SPACE

#: Damaged pages that are listed.
MAX_PAGE_FINDINGS = 100

_MAGIC = 0xBEEFC0DE
_DATA_VERSION = 1
_HEAD = struct.Struct("=QHHHHIIQQ")  # page number, pad, flags, lower, upper; magic, version, address, map size
_FREE_DB_OFFSET = _HEAD.size  # an MDB_db, whose first field is the page size
_LAST_PAGE_OFFSET = _FREE_DB_OFFSET + 2 * 48
_META_BYTES = _LAST_PAGE_OFFSET + 16
_P_META = 0x08


def other_user(folder: Path) -> int | None:
    """Another process that has a store open: its pid, 0 where the system does not tell; None where there is none.

    Only while this process has it closed: closing a file takes all locks of a process on it away, those of LMDB too.
    """
    try:
        with (folder / LOCK_FILE).open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)  # LMDB shares a lock on the first byte
            except OSError:
                if sys.platform != "linux":
                    return 0
                asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
                kind, _, _, _, pid = struct.unpack("hhqqi", fcntl.fcntl(file, fcntl.F_GETLK, asked))
                return max(0, pid) if kind != fcntl.F_UNLCK else 0
    except FileNotFoundError:
        pass
    return None


def prepare_folder(path: Path, *, create: bool, allow_network: bool) -> None:
    """Makes sure that `path` is the folder of a store that may be opened, making one if `create`; S1xx otherwise."""
    try:
        if path.exists():
            if not path.is_dir():
                raise StoreError("S106", path=str(path))
            has_store = (path / DATA_FILE).exists()
            is_empty = not has_store and not any(path.iterdir())
        else:
            has_store, is_empty = False, True
            for parent in path.parents:
                if parent.exists():
                    if not parent.is_dir():
                        raise StoreError("S106", path=str(parent))
                    break
        if not has_store:
            if not is_empty:
                raise StoreError("S102" if create else "S101", path=str(path))
            if not create:
                raise StoreError("S101", path=str(path))
        if not allow_network:
            _refuse_network(path)
        if not has_store:
            make_store(path)
    except OSError as error:
        raise open_error(path, error) from error


def open_error(path: Path, error: OSError) -> StoreError:
    """The error for what the operating system said when a store was opened or made."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError("S107", path=str(error.filename or path), reason=reason)
    if error.errno == errno.ENOTDIR:
        return StoreError("S106", path=str(path))
    return StoreError("S111", path=str(path), reason=reason)


def make_store(path: Path) -> None:
    """Makes a store: in a temporary folder next to its place, synced, then renamed, so that no half of one is ever
    seen.  Where another process was first, its store stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # All of them, before there is a store: whoever made one of these folders may have been killed before it was synced.
    for parent in path.parents:
        sync_folder(parent)
    _remove_stale_creations(path)
    temporary = path.parent / f".{path.name}.making-{uuid.uuid4().hex[:12]}"
    temporary.mkdir(mode=0o700)
    try:
        (temporary / INTERPRETERS_FOLDER).mkdir(mode=0o700)
        environment = lmdb.open(
            str(temporary), map_size=16 << 20, max_dbs=len(SPACE_NAMES), mode=0o600, lib_version=LIB_VERSION
        )
        try:
            with environment.begin(write=True) as transaction:  # all in one, since each would be synced
                handles = {name: environment.open_db(name.encode(), transaction) for name in SPACE_NAMES}
                about = encode_about(FORMAT, ENGINE, uuid.uuid4().hex, time.time_ns())
                transaction.put(b"about", about, db=handles[META])
        finally:
            environment.close()
        (temporary / LOCK_FILE).unlink(missing_ok=True)
        sync(temporary / DATA_FILE)
        sync(temporary)
        try:
            os.rename(temporary, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not (path / DATA_FILE).exists():
                raise
        sync_folder(path.parent)
    except lmdb.Error as error:
        raise StoreError("S111", path=str(path), reason=str(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_stale_creations(path: Path) -> None:
    for leftover in path.parent.glob(f".{path.name}.making-*"):
        try:
            if time.time() - leftover.stat().st_mtime > STALE_CREATION_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
        except OSError:
            continue


def remove_left_encrypting(path: Path) -> None:
    """Removes what an `encrypt` that was killed has left.  Only under the owner's lock: nobody is encrypting then."""
    for leftover in path.glob(ENCRYPTING + "*"):
        shutil.rmtree(leftover, ignore_errors=True)
        if leftover.exists():
            _log.warning("%s, left by an `encrypt` that was killed, cannot be removed", leftover)


def sync(path: Path) -> None:
    """Has the system write a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Syncs the entries of a folder, where this process may and the file system can."""
    try:
        sync(path)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EROFS):
            raise


def _refuse_network(path: Path) -> None:
    kind = file_system_of(path)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError("S105", path=str(path), kind=kind)


def file_system_of(path: Path) -> str:
    """The type of the file system that `path` is, or will be, on; "" where the system does not tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    target = str(path.resolve())
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        columns = fields.split(" ")
        if len(columns) < 5 or not rest:
            continue
        place = columns[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        # Of several mounts on one place the last one counts.
        if (target == place or target.startswith(place.rstrip("/") + "/")) and len(place) >= best:
            best, kind = len(place), rest.split(" ", 1)[0]
    return kind


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def disk_is_full(folder: Path) -> bool:
    """Whether the data file can hardly grow: for want of space or quota, or by a limit on the size of files."""
    probe = folder / f"probe-{os.getpid()}"
    try:
        space = os.statvfs(folder)
        if space.f_bavail * space.f_frsize < NEARLY_NO_SPACE:
            return True
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY and (folder / DATA_FILE).stat().st_size + NEARLY_NO_SPACE > limit:
            return True
        with open(probe, "wb", buffering=0, opener=_for_the_owner) as file:
            written = file.write(bytes(PROBE_BYTES))
            os.fsync(file.fileno())
        return written < PROBE_BYTES
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def check_data_file(folder: Path) -> None:
    """S108 where the heads of the data file are not those of a store, or it is shorter than they say."""
    path = folder / DATA_FILE
    reason = ""
    # The owner may write a head while it is read here, so what looks wrong is looked at again.
    for attempt in range(3):
        if attempt:
            time.sleep(0.01)
        reason = _wrong_with(path)
        if not reason:
            return
    raise StoreError("S108", path=str(folder), reason=reason)


def _wrong_with(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        head = os.pread(file.fileno(), _META_BYTES, 0)
        if len(head) < _META_BYTES:
            return "the file is too short"
        first, why = _read_meta(head)
        if why:
            return why
        page_size = struct.unpack_from("=I", head, _FREE_DB_OFFSET)[0]
        if not 256 <= page_size <= 1 << 16 or page_size & (page_size - 1):
            return "the page size is not one"
        second, why = _read_meta(os.pread(file.fileno(), _META_BYTES, page_size))
        if why:
            return why
        last_page = max(first, second)[1]
        size = os.fstat(file.fileno()).st_size
    if size < (last_page + 1) * page_size:
        # Free pages at the end need not be there: only a walk over the file can tell.
        try:
            if lmdb_verify.verify(  # type: ignore[no-untyped-call]
                str(path.parent)
            ):
                return f"the file has {size} bytes where {(last_page + 1) * page_size} are needed"
        except (lmdb_verify.VerifyError, OSError) as error:
            return str(error)
    return ""


def page_damage(folder: Path) -> list[str]:
    """What is wrong with the pages of a store that nobody writes.  A walk in Python, which no page can end."""
    try:
        check_data_file(folder)
        found = lmdb_verify.verify(  # type: ignore[no-untyped-call]
            str(folder)
        )
    except (StoreError, lmdb_verify.VerifyError, OSError) as error:
        return [str(error)]
    return [str(one) for one in found][:MAX_PAGE_FINDINGS]


def _read_meta(data: bytes) -> tuple[tuple[int, int], str]:
    """((transaction, last page), what is wrong)."""
    if len(data) < _META_BYTES:
        return (0, 0), "the file is too short"
    _, _, flags, _, _, magic, version, _, _ = _HEAD.unpack_from(data)
    if magic != _MAGIC or not flags & _P_META:
        return (0, 0), "it is not an LMDB file"
    if version != _DATA_VERSION:
        return (0, 0), f"its LMDB data version is {version}, not {_DATA_VERSION}"
    last_page, transaction = struct.unpack_from("=QQ", data, _LAST_PAGE_OFFSET)
    return (transaction, last_page), ""


def check_about(folder: Path, about: bytes | None) -> tuple[int, str, int]:
    """(format, store id, made at) from the record `about`; S103 and S104 for stores of another format or engine."""
    if about is None:
        raise StoreError("S108", path=str(folder), reason="the record of its format is missing")
    try:
        format_number, engine, store_id, made_at = decode_about(about)
    except StoreError as error:
        raise StoreError("S108", path=str(folder), reason="the record of its format is not readable") from error
    if not OLDEST_FORMAT <= format_number <= FORMAT:
        raise StoreError("S103", path=str(folder), found=format_number, expected=FORMAT)
    if engine != ENGINE:
        raise StoreError("S104", path=str(folder), found=engine, expected=ENGINE)
    return format_number, store_id, made_at

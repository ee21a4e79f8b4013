"""A share of the power cuts (`make powercut` does more), and that the checker sees what is lost."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracing.disk import Disk
from tests.tracing.recorder import Event, Inode, Rename, Resize, Sync, Write

ROOT = Path(__file__).resolve().parents[2]
NOT_TRACED = 3


def powercut(*arguments: str) -> tuple[int, str]:
    """In a process of its own: it forks, and waits for all its children."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.powercut", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == NOT_TRACED:
        pytest.skip(done.stdout.strip())
    return done.returncode, done.stdout + done.stderr


def test_power_cuts() -> None:
    code, said = powercut("--images", "330", "--seed", "7")
    assert code == 0 and "330 images" in said and " 0 wrong" in said, said


def test_the_checker_sees_what_is_lost() -> None:
    """As if syncs did nothing, and with a durability that says what it may lose."""
    for arguments in (("--only", "batches", "--ignore-syncs"), ("--only", "unsafe")):
        code, said = powercut("--images", "40", "--seed", "1", *arguments)
        assert code == 1 and "wrong: " in said and "again: python -m tests.powercut" in said, said


# ---- the disk ------------------------------------------------------------------------------------------------------


def images(events: list[Event], root: Inode, tries: int = 200, **options: bool) -> list[dict[str, bytes | None]]:
    """All that a disk could hold after the events, as far as chance finds it."""
    disk = Disk(root, {root: {}}, **options)
    for event in events:
        disk.advance(event)
    chance = random.Random(1)
    found: list[dict[str, bytes | None]] = []
    for number in range(tries):
        image = disk.image(("none", "all", "some", "torn")[number % 4], chance)
        if image not in found:
            found.append(image)
    return found


def test_what_is_synced_is_there() -> None:
    root, file = Inode(True), Inode(False)
    events: list[Event] = [Rename(((root, "a", file),)), Write(file, 0, b"x" * 1024), Sync(file, 2), Sync(root, 3)]
    assert images(events, root) == [{"a": b"x" * 1024}]
    assert {} in images(events[:3], root)  # its entry is not synced
    assert len(images(events, root, ignore_syncs=True)) > 3


def test_sectors_of_what_is_not_synced() -> None:
    root, file = Inode(True), Inode(False, b"." * 1536)
    disk = Disk(root, {root: {"a": file}})
    disk.advance(Write(file, 256, b"x" * 1000))
    chance = random.Random(1)
    found = {disk._file(file, "torn", chance) for _ in range(200)}
    parts = {(content[256:512], content[512:1024], content[1024:1256]) for content in found}
    assert len(parts) == 8  # each of the three sectors is whole or not there
    assert all(set(part) in ({120}, {46}) for content in parts for part in content)
    assert all(content[:256] == b"." * 256 and content[1256:] == b"." * 280 for content in found)


def test_a_write_that_is_synced_by_itself_may_come_before_older_ones() -> None:
    root, file = Inode(True), Inode(False, b"....")
    disk = Disk(root, {root: {"a": file}})
    disk.advance(Write(file, 0, b"ab"))
    disk.advance(Write(file, 1, b"BC", durable=True))
    assert {disk._file(file, "some", random.Random(seed)) for seed in range(20)} == {b".BC.", b"aBC."}


def test_what_a_failed_sync_was_to_cover_may_be_lost_whatever_is_synced_later() -> None:
    root, file = Inode(True), Inode(False)
    disk = Disk(root, {root: {"a": file}})
    for event in (Write(file, 0, b"a"), Sync(file, 1, failed=True), Write(file, 1, b"b"), Sync(file, 3)):
        disk.advance(event)
    assert {disk._file(file, "none", random.Random(1)), disk._file(file, "all", random.Random(1))} == {b"\0b", b"ab"}


def test_a_sync_covers_what_was_done_before_it_began() -> None:
    root, file = Inode(True), Inode(False)
    disk = Disk(root, {root: {"a": file}})
    disk.advance(Write(file, 0, b"a"))
    disk.advance(Write(file, 1, b"b"))
    disk.advance(Sync(file, 1))
    disk.advance(Resize(file, 1))
    assert disk._file(file, "none", random.Random(1)) == b"a"
    assert disk.unsynced == 2


def test_a_rename_is_there_or_not() -> None:
    root, folder, file = Inode(True), Inode(True), Inode(False, b"x")
    events: list[Event] = [
        Rename(((root, "old", folder),)),
        Rename(((folder, "file", file),)),
        Sync(folder, 2),
        Sync(root, 3),
    ]
    events.append(Rename(((root, "old", None), (root, "new", folder))))
    found = [sorted(image) for image in images(events, root)]
    assert sorted(found) == [["new", "new/file"], ["old", "old/file"]]

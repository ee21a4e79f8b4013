"""What is read of the operating system: processor seconds and memory of process trees, and how busy the machine is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return text.rpartition(")")[2].split()  # the name before it may hold anything


def tree(pids: Iterable[int]) -> set[int]:
    """Processes, and what they have started."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            fields = _stat(int(name))
            if fields is not None:
                children.setdefault(int(fields[1]), []).append(int(name))
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, ())
    return found


def processor_seconds(pids: Iterable[int]) -> float:
    """Seconds of a processor that process trees have used, ended children included."""
    total = 0
    for pid in tree(pids):
        fields = _stat(pid)
        if fields is not None:
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def memory_bytes(pids: Iterable[int]) -> int:
    """Memory of process trees; what several share is counted once."""
    total = 0
    for pid in tree(pids):
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total


def busy_seconds() -> float:
    """Seconds of all processors that were not idle since the machine started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, hard, soft, _steal = fields
    return (user + nice + system + hard + soft) / TICKS

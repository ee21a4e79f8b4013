"""What differs between processors in tracing: where registers are, how system calls are numbered."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from dataclasses import dataclass

#: Where the arguments of a call are, in the words that PTRACE_GETREGSET gives; the number of the call and its result.
_X86_ARGUMENTS = (14, 13, 12, 7, 9, 8)  # rdi rsi rdx r10 r8 r9
_X86_NUMBER, _X86_RESULT, _X86_WORDS = 15, 10, 27
_ARM_ARGUMENTS = (0, 1, 2, 3, 4, 5)
_ARM_NUMBER, _ARM_RESULT, _ARM_WORDS = 8, 0, 34

#: name -> (x86-64, aarch64); None where there is none.
NUMBERS: dict[str, tuple[int | None, int]] = {
    "open": (2, -1), "openat": (257, 56), "creat": (85, -1),
    "write": (1, 64), "writev": (20, 66), "pwrite64": (18, 68), "pwritev": (296, 70), "pwritev2": (328, 287),
    "ftruncate": (77, 46), "truncate": (76, 45), "fallocate": (285, 47),
    "fsync": (74, 82), "fdatasync": (75, 83), "msync": (26, 227), "sync_file_range": (277, 84),
    "sync": (162, 81), "syncfs": (306, 267),
    "rename": (82, -1), "renameat": (264, 38), "renameat2": (316, 276),
    "mkdir": (83, -1), "mkdirat": (258, 34), "rmdir": (84, -1), "unlink": (87, -1), "unlinkat": (263, 35),
    "link": (86, -1), "linkat": (265, 37), "symlink": (88, -1), "symlinkat": (266, 36),
    "copy_file_range": (326, 285), "sendfile": (40, 71), "splice": (275, 76),
    "mmap": (9, 222), "mremap": (25, 216), "brk": (12, 214),
    "socket": (41, 198), "socketpair": (53, 199), "bind": (49, 200), "listen": (50, 201), "accept4": (288, 242),
    "accept": (43, 202), "connect": (42, 203), "sendto": (44, 206), "recvfrom": (45, 207),
    "epoll_create1": (291, 20), "epoll_wait": (232, -1), "epoll_pwait": (281, 22), "epoll_ctl": (233, 21),
    "flock": (73, 32), "fcntl": (72, 25), "pread64": (17, 67), "read": (0, 63), "getrandom": (318, 278),
    "statfs": (137, 43), "fstatfs": (138, 44), "clone": (56, 220), "clone3": (435, 435),
}  # fmt: skip


@dataclass(frozen=True)
class Cpu:
    """`audit`: what seccomp calls it.  `set_number`: whether the number of a call is a register among the others."""

    name: str
    audit: int
    words: int
    arguments: tuple[int, ...]
    number: int
    result: int
    set_number: bool
    numbers: dict[str, int]

    @property
    def names(self) -> dict[int, str]:
        return {number: name for name, number in self.numbers.items()}


def this_cpu() -> Cpu | None:
    """The processor of this machine; None for one that is not known here."""
    machine = platform.machine()
    if ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    if machine == "x86_64":
        numbers = {name: pair[0] for name, pair in NUMBERS.items() if pair[0] is not None}
        return Cpu(machine, 0xC000003E, _X86_WORDS, _X86_ARGUMENTS, _X86_NUMBER, _X86_RESULT, True, numbers)
    if machine == "aarch64":
        numbers = {name: pair[1] for name, pair in NUMBERS.items() if pair[1] >= 0}
        return Cpu(machine, 0xC00000B7, _ARM_WORDS, _ARM_ARGUMENTS, _ARM_NUMBER, _ARM_RESULT, False, numbers)
    return None


Word = ctypes.c_uint64
Condition = Callable[[], list[tuple[int, int, int, int]]]


class Iovec(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

"""Tracing of system calls with ptrace and seccomp through ctypes, without strace or a compiler.

A `Tracer` forks a child that does some work, follows its threads and children, and is called at the calls it asked for:
before each, where it may have the call fail, be cut short or go through, and after it.  Other calls run at full speed,
since a seccomp filter picks out those that are asked for.

The process that traces must have no other children: it waits for all of them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.tracing.cpu import Iovec, Word, this_cpu

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong)
_IOVECS = (ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong)
for _move in (_libc.process_vm_readv, _libc.process_vm_writev):
    _move.argtypes = _IOVECS
    _move.restype = ctypes.c_ssize_t

_TRACEME, _CONT, _SYSCALL, _SETOPTIONS = 0, 7, 24, 0x4200
_GETREGSET, _SETREGSET = 0x4204, 0x4205
_NT_PRSTATUS, _NT_ARM_SYSTEM_CALL = 1, 0x404
#: SYSGOOD, FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000
_EVENT_SECCOMP = 7
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_WALL = 0x40000000
_PROT_WRITE, _MAP_SHARED = 2, 1


class TracingError(Exception):
    """This system does not let itself be traced, or not as expected."""


@dataclass
class Call:
    """One system call of a thread.  `result` is known after it."""

    thread: int
    name: str
    arguments: list[int]
    result: int = 0
    #: What the one who is called before keeps for the call after it.
    kept: object = None
    _words: ctypes.Array[ctypes.c_uint64] | None = field(default=None, repr=False)

    def signed(self, index: int) -> int:
        """An argument that is an int of C."""
        value = self.arguments[index] & 0xFFFFFFFF
        return value - (1 << 32) if value >> 31 else value

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of the traced process."""
        if size == 0:
            return b""
        buffer = ctypes.create_string_buffer(size)
        here, there = Iovec(ctypes.addressof(buffer), size), Iovec(address, size)
        done = _libc.process_vm_readv(self.thread, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
        if done < 0:
            raise TracingError(f"process_vm_readv: {os.strerror(ctypes.get_errno())}")
        return buffer.raw[:done]

    def text(self, address: int) -> str:
        """A text of C at an address."""
        found = b""
        while b"\0" not in found:
            # Never over the end of a page: the next one may not be there.
            found += self.memory(address + len(found), 4096 - (address + len(found)) % 4096)
        return os.fsdecode(found.partition(b"\0")[0])

    def vector(self, address: int, count: int) -> list[tuple[int, int]]:
        """The (address, size) of an array of iovec."""
        return list(struct.iter_unpack("=QQ", self.memory(address, 16 * count)))

    def write_memory(self, address: int, data: bytes) -> None:
        """Changes bytes of the traced process."""
        buffer = ctypes.create_string_buffer(data, len(data))
        here, there = Iovec(ctypes.addressof(buffer), len(data)), Iovec(address, len(data))
        if _libc.process_vm_writev(self.thread, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) != len(data):
            raise TracingError(f"process_vm_writev: {os.strerror(ctypes.get_errno())}")


@dataclass(frozen=True)
class Fail:
    """The call is not made, and fails with this error."""

    code: int


@dataclass(frozen=True)
class Change:
    """The call is made with another argument."""

    index: int
    value: int


@dataclass(frozen=True)
class Pretend:
    """The call is made, and then said to have failed."""

    code: int


Answer = Fail | Change | Pretend | None


def instructions(names: Iterable[str]) -> bytes:
    """The filter: these calls stop, of mmap only those of a shared writable map unless "mmap" itself is given as
    "mmap-all"; all others run on."""
    cpu = this_cpu()
    assert cpu is not None
    load = lambda offset: (0x20, 0, 0, offset)  # noqa: E731
    code: list[tuple[int, int, int, int]] = [load(4), (0x15, 1, 0, cpu.audit), (0x06, 0, 0, _ALLOW), load(0)]
    for name in sorted(set(names)):
        if name == "mmap":
            # number, then prot (argument 2), then flags (argument 3); each jumps over the rest where it does not hold
            code += [(0x15, 0, 6, cpu.numbers["mmap"]), load(16 + 8 * 2), (0x45, 0, 3, _PROT_WRITE)]
            code += [load(16 + 8 * 3), (0x45, 0, 1, _MAP_SHARED), (0x06, 0, 0, _TRACE), (0x06, 0, 0, _ALLOW)]
            continue
        number = cpu.numbers.get(name.removesuffix("-all"))
        if number is not None:
            code += [(0x15, 0, 1, number), (0x06, 0, 0, _TRACE)]
    code.append((0x06, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *one) for one in code)


def install_filter(names: Iterable[str]) -> None:
    """Has this process, and what it starts, stop for its tracer at these calls."""
    code = instructions(names)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(program, len(program))
    if _libc.prctl(_NO_NEW_PRIVILEGES, 1, None, 0, 0) or _libc.prctl(
        _SET_SECCOMP, _FILTER, ctypes.addressof(holder), 0, 0
    ):
        raise TracingError(f"seccomp: {os.strerror(ctypes.get_errno())}")


class Tracer:
    """Runs `work` in a child.  `before` is called at the entry of each of the calls in `names`; what it returns is
    done to it.  `after` is called once the result is there, unless there is no `after`; `lost` for a call in which the
    thread was killed, so that nobody knows whether it was made."""

    def __init__(
        self,
        work: Callable[[], None],
        names: Iterable[str],
        before: Callable[[Call], Answer],
        after: Callable[[Call], None] | None = None,
        *,
        lost: Callable[[Call], None] | None = None,
        address_space: int | None = None,
    ) -> None:
        cpu = this_cpu()
        if cpu is None:
            raise TracingError("this processor is not known")
        self._cpu = cpu
        self._names = cpu.names
        self._before = before
        self._after = after
        self._lost = lost
        self._inside: dict[int, tuple[Call, int | None]] = {}
        self._seen: set[int] = set()
        self.stops = 0
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                if _libc.ptrace(_TRACEME, 0, None, None):
                    os._exit(99)
                os.kill(os.getpid(), signal.SIGSTOP)
                install_filter(names)
                if address_space is not None:
                    resource.setrlimit(resource.RLIMIT_AS, (address_space, resource.RLIM_INFINITY))
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status) or self._ask(_SETOPTIONS, self.pid, 0, _OPTIONS):
            if os.WIFSTOPPED(status):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, _WALL)
            raise TracingError("ptrace is not permitted here")
        self._seen.add(self.pid)
        self._go(self.pid)

    def run(self) -> int:
        """Until the child and all that it started have ended: the exit code of the first, negative for a signal."""
        code = 0
        while True:
            try:
                thread, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                return code
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                call, _ = self._inside.pop(thread, (None, None))
                if call is not None and self._lost is not None:
                    self._lost(call)
                self._seen.discard(thread)
                if thread == self.pid:
                    code = os.waitstatus_to_exitcode(status)
                continue
            try:
                self._stopped(thread, os.WSTOPSIG(status), status >> 16)
            except BaseException:
                self.kill()
                raise

    def kill(self) -> None:
        """Ends all that is traced."""
        for thread in [*self._seen, self.pid]:
            try:
                os.kill(thread, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _stopped(self, thread: int, number: int, event: int) -> None:
        if event == _EVENT_SECCOMP:
            self.stops += 1
            self._entered(thread)
        elif number == signal.SIGTRAP | 0x80:
            self._left(thread)
        elif event:
            self._go(thread)
        elif number == signal.SIGSTOP and thread not in self._seen:
            self._seen.add(thread)  # a new thread or process begins with it
            self._go(thread)
        else:
            self._go(thread, number)

    def _entered(self, thread: int) -> None:
        words = self._registers(thread)
        if words is None:
            return
        cpu = self._cpu
        name = self._names.get(words[cpu.number], "?")
        call = Call(thread, name, [words[index] for index in cpu.arguments], _words=words)
        answer = self._before(call)
        pretend = None
        if isinstance(answer, Fail):
            self._skip(thread, words, answer.code)
            call.result = -answer.code
            if self._after is not None:
                self._after(call)
            self._go(thread)
            return
        if isinstance(answer, Change):
            words[cpu.arguments[answer.index]] = answer.value
            call.arguments[answer.index] = answer.value
            self._set(thread, words)
        elif isinstance(answer, Pretend):
            pretend = answer.code
        if self._after is None and pretend is None:
            self._go(thread)
        else:
            self._inside[thread] = (call, pretend)
            self._ask(_SYSCALL, thread, 0, 0)

    def _left(self, thread: int) -> None:
        call, pretend = self._inside.pop(thread)
        words = self._registers(thread)
        if words is None:
            return
        result = words[self._cpu.result]
        call.result = result - (1 << 64) if result >> 63 else result
        if pretend is not None:
            words[self._cpu.result] = (1 << 64) - pretend
            self._set(thread, words)
            call.kept = ("pretended", call.kept)
        if self._after is not None:
            self._after(call)
        self._go(thread)

    def _skip(self, thread: int, words: ctypes.Array[ctypes.c_uint64], code: int) -> None:
        """Has the call not be made and return an error."""
        words[self._cpu.result] = (1 << 64) - code
        if self._cpu.set_number:
            words[self._cpu.number] = (1 << 64) - 1
            self._set(thread, words)
            return
        self._set(thread, words)
        none = ctypes.c_int(-1)
        vector = Iovec(ctypes.addressof(none), 4)
        self._ask(_SETREGSET, thread, _NT_ARM_SYSTEM_CALL, ctypes.addressof(vector))

    def _registers(self, thread: int) -> ctypes.Array[ctypes.c_uint64] | None:
        words = (Word * self._cpu.words)()
        vector = Iovec(ctypes.addressof(words), ctypes.sizeof(words))
        if self._ask(_GETREGSET, thread, _NT_PRSTATUS, ctypes.addressof(vector)):
            return None  # it was killed at this moment
        return words

    def _set(self, thread: int, words: ctypes.Array[ctypes.c_uint64]) -> None:
        vector = Iovec(ctypes.addressof(words), ctypes.sizeof(words))
        self._ask(_SETREGSET, thread, _NT_PRSTATUS, ctypes.addressof(vector))

    def _go(self, thread: int, number: int = 0) -> None:
        self._ask(_CONT, thread, 0, number)

    @staticmethod
    def _ask(request: int, thread: int, address: int, data: int) -> int:
        """0, or the error."""
        if _libc.ptrace(request, thread, address, data) == -1:
            code = ctypes.get_errno()
            if code != errno.ESRCH:  # it is gone: waitpid will say so
                raise TracingError(f"ptrace {request:#x}: {os.strerror(code)}")
            return code
        return 0


def why_not() -> str:
    """Why nothing can be traced here; "" where it can be."""
    seen: list[str] = []

    def before(call: Call) -> Answer:
        seen.append(call.name)
        return Fail(errno.EIO)

    def work() -> None:
        reading, _ = os.pipe()
        try:
            os.fsync(reading)
        except OSError as error:
            os._exit(42 if error.errno == errno.EIO else 1)

    try:
        code = Tracer(work, ["fsync"], before).run()
    except (TracingError, OSError) as error:
        return str(error)
    return "" if (code, seen) == (42, ["fsync"]) else f"a call could not be made to fail ({code}, {seen})"

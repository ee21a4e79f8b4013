"""Programs for the engine's tests, in the assembler so that they need no compiler, and short ways to run them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from flowmetal.bytecode.assemble import assemble_all
from flowmetal.bytecode.program import Function, Global, Module, Program, Reference
from flowmetal.engine.events import kind_of
from flowmetal.engine.live import Loaded, loaded
from flowmetal.engine.simulate import Ran, Simulation
from flowmetal.store.interface import PutArtifact
from flowmetal.values import Closure, Duration, Map, keyword

SECOND = 1_000_000_000


def seconds(number: float) -> Duration:
    return Duration(int(number * SECOND))


def k(name: str) -> Any:
    return keyword(name)


def m(**pairs: Any) -> Map:
    return Map.of([(k(name.replace("_", "-")), value) for name, value in pairs.items()])


class Scripts:
    """Assembled programs by hash: what an interpreter loads programs from."""

    def __init__(self) -> None:
        self.programs: dict[bytes, Loaded] = {}

    def add(self, text: str, constants: Sequence[Any] = ()) -> bytes:
        """A program of the bodies in `text`; its hash.

        A body `.code "t/name"` is the function of a global `name`; g0 is the first of them that is not main.
        """
        module = Module("t", file="t.fm")
        module.constants = list(constants)
        for index, code in enumerate(assemble_all(text)):
            code.index = index
            code.module = module
            module.codes.append(code)
            function = Function(code.name, (index,), index=index, module=module)
            module.functions.append(function)
            name = code.name.partition("/")[2]
            module.globals[name] = Global(name, Closure(function, ()))
            if name != "main":
                module.references.append(Reference("t", name))
        hash = sha256(text.encode() + repr(constants).encode()).digest()
        module.hash = hash
        self.programs[hash] = loaded(Program({"t": module}, "t", hash))
        return hash

    def __call__(self, hash: bytes) -> Loaded:
        return self.programs[hash]


class World(Simulation):
    """A simulation of one assembled program."""

    def __init__(self, text: str, constants: Sequence[Any] = (), **options: Any) -> None:
        self.scripts = Scripts()
        super().__init__(programs=self.scripts, **options)
        self.hash = self.scripts.add(text, constants)
        self.store.submit([PutArtifact(self.hash, b"assembled", "t")]).result()

    def begin(self, *arguments: Any, function: str = "t/main", id: str | None = None) -> int:
        return self.start(self.hash, function, arguments, id)

    def status(self, pid: int) -> str:
        record = self.store.process(pid)
        assert record is not None
        return record.status


def kinds(ran: Ran) -> list[str]:
    return [kind_of(event) for event in ran.log]


#: Performs constant 0 with payload 0, 1, 2 ... and options constant 1; returns the last answer.
CHAIN = """
.code "t/main"
.parameters 1
.registers 6
  constant r1 k0
  constant r2 k1
  integer r3 0
again:
  loop
  less r4 r3 r0
  jump_if_false r4 out
  perform r5 r1 r3 r2
  add_integer r3 r3 1
  jump_back again
out:
  return r5
"""

#: Performs constant 0 with constant 1 and options constant 2; returns the answer.
ONCE = """
.code "t/main"
.registers 4
  constant r0 k0
  constant r1 k1
  constant r2 k2
  perform r3 r0 r1 r2
  return r3
"""

#: The same; an error becomes the value that is returned.
CAUGHT = """
.code "t/main"
.registers 4
.try catch from to out r3
  constant r0 k0
  constant r1 k1
  constant r2 k2
from:
  perform r3 r0 r1 r2
to:
  return r3
out:
  return r3
"""

"""What a process begins with: the call of its start event, and the start that a program asks for with `spawn`.

The arguments of a start are an encoded vector.  The vector of a spawned process carries metadata besides: who asked for
it (the trace of the spawner, which the traces of the child go on with), and the function, where it is no plain
function of a module that its name would find again.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.link import ProgramTable
from flowmetal.bytecode.program import Program
from flowmetal.dataclass import dataclass
from flowmetal.engine.queueing import place_of
from flowmetal.store.interface import Start
from flowmetal.store.limits import MAX_NAME_BYTES
from flowmetal.values import (
    EMPTY_MAP,
    Closure,
    Map,
    Vector,
    decode_value,
    encode_value,
    fail,
    keyword,
    meta_of,
    with_meta,
)

_FUNCTION, _SPAWNED_BY = keyword("function"), keyword("spawned-by")


@dataclass(frozen=True, slots=True)
class Begin:
    """The first call of a process.  `spawned_by`: the trace of its spawner, or None."""

    closure: Closure
    arguments: list[Any]
    spawned_by: Vector | None


def find_function(program: Program, name: str) -> Closure:
    """The function a process runs: "deploy/main", or "main" in the artifact's main module.  LanguageError :unbound."""
    module, slash, function = name.rpartition("/")
    found = program.lookup(module if slash else program.main, function)
    if found is None or found.value.__class__ is not Closure:
        fail("unbound", f"the program has no function {name}")
        raise AssertionError
    closure: Closure = found.value
    return closure


def begin_of(program: Program, table: ProgramTable, function: str, data: bytes) -> Begin:
    """The call of a start event.

    Raises LanguageError for a missing function or arguments that are no vector, CodecError for bytes that are no value.
    """
    values = decode_value(data, table)
    if values.__class__ is not Vector:
        fail("type", "the arguments of a process are a vector")
    about = meta_of(values)
    closure = spawned_by = None
    if about.__class__ is Map:
        closure, spawned_by = about.get(_FUNCTION), about.get(_SPAWNED_BY)
    if closure.__class__ is not Closure:
        closure = find_function(program, function)
    return Begin(closure, list(values), spawned_by if spawned_by.__class__ is Vector else None)


def child_of(program: Program, table: ProgramTable, artifact: bytes, payload: Any, trace: Vector, now: int) -> Start:
    """The start of a child: it runs the same artifact, and may wait in a queue that options behind function and
    arguments name.

    LanguageError :argument for what is no function with a vector of arguments, or where one of them cannot leave its
    process.
    """
    if payload.__class__ is not Vector or len(payload) not in (2, 3) or payload.get(0).__class__ is not Closure:
        fail("argument", "spawn takes a function and its arguments")
    function, arguments = payload.get(0), payload.get(1)
    if arguments.__class__ is not Vector:
        fail("argument", "the arguments of spawn are a vector")
    options = payload.get(2) if len(payload) == 3 else EMPTY_MAP
    if options.__class__ is not Map:
        fail("argument", "the options of a start are a map")
    name = function.function.name
    module, _, short = name.rpartition("/")
    found = program.lookup(module, short)
    about = {_SPAWNED_BY: trace}
    if found is None or found.value is not function:
        about[_FUNCTION] = function
    data = encode_value(with_meta(Vector.of(list(arguments)), Map.of(about.items())), table)
    # The name of a function within functions may be longer than the store takes; it is for people only then.
    shown = name.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore") if _FUNCTION in about else name
    return Start(shown or "fn", data, artifact, queue=place_of(options, now))

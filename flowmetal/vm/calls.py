"""Calls of what is no closure, and the values and bodies that instructions look up."""

from __future__ import annotations

from itertools import islice
from typing import Any

from flowmetal.bytecode.heap import instantiate
from flowmetal.bytecode.program import UNBOUND
from flowmetal.values import (
    BuiltinFn,
    Closure,
    ErrorValue,
    Keyword,
    Resumption,
    Set,
    SortedSet,
    Symbol,
    Vector,
    fail,
    print_string,
    sequences,
)
from flowmetal.vm import handlers
from flowmetal.vm.builtins.lean import direct
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.frames import Mode, entry_frame
from flowmetal.vm.load import RunCode, find_global
from flowmetal.vm.state import Fiber, Process, Region

#: Arguments that `apply` hands over at most: a sequence can be longer than memory.
APPLY_MAX = 1 << 20


def call_value(process: Process, fiber: Fiber, function: Any, arguments: list[Any]) -> tuple[int, Any]:
    """Calls something that is not a closure: gives (mode, value).  LanguageError where it cannot be called."""
    cls = function.__class__
    if cls is Closure:
        fiber.frames.append(entry_frame(function, arguments))
        return Mode.ENTER, None
    count = len(arguments)
    if cls is BuiltinFn:
        info = BUILTINS.get(function.number)
        if info is None:
            fail("unbound", f"there is no builtin {function.number} here")
            raise AssertionError
        if not info.accepts(count):
            fail("arity", f"{info.name} does not take {count} arguments")
        if info.context:
            return Mode.DELIVER, info.function(process, *arguments)
        if count == 1:
            function.one = direct(info, 1)
        elif count == 2:
            function.two = direct(info, 2)
        return Mode.DELIVER, info.function(*arguments)
    if cls is Resumption:
        return handlers.resume(process, fiber, function, arguments)
    if cls is Keyword or cls is Symbol:
        if not 1 <= count <= 2:
            fail("arity", f"{print_string(function)} as a function takes 1 or 2 arguments, got {count}")
        return Mode.DELIVER, sequences.get(arguments[0], function, arguments[1] if count == 2 else None)
    if cls is Vector:
        if count != 1:
            fail("arity", f"a vector as a function takes 1 argument, got {count}")
        return Mode.DELIVER, sequences.nth(function, arguments[0])
    if sequences.is_lookup(function):
        if function.__class__ is Set or function.__class__ is SortedSet:
            if count != 1:
                fail("arity", f"a set as a function takes 1 argument, got {count}")
        elif not 1 <= count <= 2:
            fail("arity", f"a map as a function takes 1 or 2 arguments, got {count}")
        return Mode.DELIVER, sequences.get(function, arguments[0], arguments[1] if count == 2 else None)
    fail("type", f"{print_string(function, limit=80)} is not a function")
    raise AssertionError


def global_value(process: Process, code: RunCode, index: int) -> tuple[Any, bool]:
    """The value a reference names in this process, and whether it may be kept in the instruction."""
    module = code.code.module
    assert module is not None
    found = find_global(process.program, module, index)
    reference = module.references[index]
    if found.mutable:
        key = (reference.module, reference.name)
        if key not in process.globals:
            # All of them at once, so that what two of them share stays shared whichever is touched first.
            process.globals.update(instantiate(process.program))
        value = process.globals.get(key, UNBOUND)
    else:
        value = found.value
    if value is UNBOUND:
        fail("unbound", f"{reference.module}/{reference.name} is declared but not defined yet")
    if found.mutable:
        return value, False
    owner = process.program.modules.get(reference.module)
    settled = module.hash is not None and owner is not None and owner.hash is not None
    return value, settled


def dynamic_value(process: Process, fiber: Fiber, code: RunCode, index: int) -> Any:
    """The innermost binding of a dynamic name, or its global's value."""
    module = code.code.module
    assert module is not None
    reference = module.references[index]
    name = Symbol(reference.module, reference.name)
    for position in reversed(fiber.regions):
        frame = fiber.frames[position]
        if frame[1] == Region.BIND and frame[2].contains(name):
            return frame[2].get(name)
    return global_value(process, code, index)[0]


def apply_arguments(sequence: Any) -> list[Any]:
    """The arguments of an `apply`."""
    arguments = list(islice(sequences.iterate(sequence), APPLY_MAX + 1))
    if len(arguments) > APPLY_MAX:
        fail("limit", f"a function is called with more than {APPLY_MAX} arguments")
    return arguments


def check_error(value: Any) -> ErrorValue:
    """The value as an error; LanguageError :type."""
    if value.__class__ is ErrorValue:
        error: ErrorValue = value
        return error
    fail("type", f"only an error can be thrown, not {print_string(value, limit=80)}")
    raise AssertionError

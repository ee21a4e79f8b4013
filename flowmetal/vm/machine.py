"""The frames engine: the loop that runs instructions.

A fiber's frames are plain data (state.py); the running frame's code, registers and position are locals of the loop
and are pushed back as a frame whenever control leaves it.  No Python frame ever stands between two frames of a
program, so depth is bounded by a quota and not by Python's stack.  The loop dispatches through a tree of comparisons
on the opcode's number, which was the fastest of the shapes measured; numbers stand as literals with their mnemonic
beside them, since a name would cost a global look-up each.

Two numbers above 127 are the loop's own, for instructions it has replaced after their first run: 128 loads a value that
was looked up, 129 and 130 call a function that was looked up (130 in place of the frame).
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.heap import instantiate
from flowmetal.bytecode.program import UNBOUND
from flowmetal.values import (
    BuiltinFn,
    Closure,
    ErrorValue,
    Keyword,
    LanguageError,
    Map,
    NeedsRealize,
    Resumption,
    Set,
    Symbol,
    Vector,
    equal,
    fail,
    numbers,
    print_string,
    sequences,
)
from flowmetal.vm import control, quota
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.control import Mode
from flowmetal.vm.load import RunCode, find_global, run_function
from flowmetal.vm.state import (
    ENTER,
    KIND_CANCELLED,
    KIND_LIMIT,
    Fiber,
    Frame,
    Idle,
    Outcome,
    OutOfFuel,
    Process,
    Region,
    Resume,
)

#: Fuel between two looks at the quotas of stack and heap, so that the loop itself never counts them.
SLICE = 20_000
#: Integers beyond this size go through numbers.py, which bounds them.
SMALL = 1 << 256


def run(process: Process, fuel: int | None = None) -> Outcome:
    """Runs a process until something outside it is needed; see the outcomes in state.py.

    `fuel` bounds the calls and loop turns; the default is the process's own limit.
    """
    process.fuel = process.limits.fuel_per_turn if fuel is None else fuel
    while True:
        if process.outbox:
            return process.outbox.popleft()
        if process.end is not None:
            return process.end
        if not process.ready:
            return Idle()
        fiber = process.fibers.get(process.ready.popleft())
        if fiber is not None and not _run_fiber(process, fiber):
            return OutOfFuel()


def call_value(process: Process, fiber: Fiber, function: Any, arguments: list[Any]) -> tuple[int, Any]:
    """Calls something that is not a closure: gives (mode, value).  LanguageError where it cannot be called."""
    cls = function.__class__
    if cls is Closure:
        fiber.frames.append(control.entry_frame(function, arguments))
        return Mode.ENTER, None
    count = len(arguments)
    if cls is BuiltinFn:
        info = BUILTINS[function.number]
        if count < info.min_args or (info.max_args is not None and count > info.max_args):
            fail("arity", f"{info.name} does not take {count} arguments")
        return Mode.DELIVER, info.function(process, *arguments) if info.context else info.function(*arguments)
    if cls is Resumption:
        return control.resume(process, fiber, function, arguments)
    if cls is Keyword or cls is Symbol:
        if not 1 <= count <= 2:
            fail("arity", f"{print_string(function)} as a function takes 1 or 2 arguments, got {count}")
        return Mode.DELIVER, sequences.get(arguments[0], function, arguments[1] if count == 2 else None)
    if cls is Vector:
        if count != 1:
            fail("arity", f"a vector as a function takes 1 argument, got {count}")
        return Mode.DELIVER, sequences.nth(function, arguments[0])
    if sequences.is_lookup(function):
        if not 1 <= count <= 2:
            fail("arity", f"a collection as a function takes 1 or 2 arguments, got {count}")
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
        return process.globals[key], False
    value = found.value
    if value is UNBOUND:
        fail("unbound", f"{reference.module}/{reference.name} is declared but not defined yet")
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


def _check_quotas(process: Process, fiber: Fiber) -> None:
    """Raises the limit error of a fiber that has outgrown its stack or a process that has outgrown its heap."""
    if len(fiber.frames) > process.limits.frames:
        raise LanguageError(ErrorValue(KIND_LIMIT, f"more than {process.limits.frames} nested calls", None))
    if quota.heap_exceeded(process):
        raise LanguageError(ErrorValue(KIND_LIMIT, f"more than {process.limits.heap_objects} heap objects", None))


def _cut(process: Process, fiber: Fiber, frame: Frame, fuel: int) -> bool:
    """The fuel is used up: the fiber is left at its instruction and is the next to run."""
    fiber.frames.append(frame)
    fiber.cut = True
    process.ready.appendleft(fiber.id)
    process.fuel = fuel
    return False


def _run_fiber(process: Process, fiber: Fiber) -> bool:
    """Runs one fiber until it suspends or ends.  False: the fuel is used up and it is the next to run."""
    frames = fiber.frames
    stepping = process.stepping
    skip_step = True  # the instruction a stepped run begins with is run, the next one stops it
    kind, value = fiber.resume
    fiber.resume = ENTER
    fiber.wait = None
    fiber.changed = True
    code: Any = None
    registers: Any = []
    instructions: Any = ()
    pc = 0
    slice_end = max(process.fuel - SLICE, 0)
    fuel = process.fuel
    mode = Mode.ENTER
    raised: ErrorValue | None = None
    if kind == Resume.VALUE:
        mode = Mode.DELIVER
    elif kind == Resume.ERROR:
        raised = value
    elif fiber.cancelled is not None and fiber.cut and not control.shielded(fiber, None, -1):
        raised = fiber.cancelled  # where fuel ran out is a suspension point, else an endless loop could not be stopped
    fiber.cut = False
    while True:
        try:
            if raised is not None:
                error, raised = raised, None
                raise LanguageError(error)
            while True:
                # Every way into a frame comes through here: deliver `value` downwards, or enter the frame on top.
                if mode == Mode.DELIVER:
                    code = None
                    while frames and frames[-1][0] is None:
                        mode, value = control.leave_region(process, fiber, value)
                        if mode != Mode.DELIVER:
                            break
                    if mode == Mode.DELIVER:
                        if not frames:
                            mode = control.finish(process, fiber, value)
                        else:
                            code, registers, pc, destination = frames.pop()
                            if destination >= 0:
                                registers[destination] = value
                            instructions = code.instructions
                elif mode == Mode.ENTER:
                    code, registers, pc, _ = frames.pop()
                    instructions = code.instructions
                if mode == Mode.STOP:
                    process.fuel = fuel
                    return True
                if code is None:
                    continue
                mode = Mode.ENTER
                while True:
                    if stepping:
                        if not skip_step:
                            frames.append((code, registers, pc, -1))
                            process.ready.appendleft(fiber.id)
                            process.fuel = fuel
                            return False
                        skip_step = False
                    op, a, b, c, d = instructions[pc]
                    pc += 1
                    if op < 30:
                        if op < 20:
                            if op == 6:  # move
                                registers[a] = registers[b]
                            elif op == 5 or op == 4:  # constant
                                registers[a] = b
                            elif op == 1:  # nil
                                registers[a] = None
                            elif op == 9:  # closure
                                count, getter = c
                                if count == 0:
                                    registers[a] = Closure(b, ())
                                elif count == 1:
                                    registers[a] = Closure(b, (getter(registers),))
                                else:
                                    registers[a] = Closure(b, getter(registers))
                            elif op == 7:  # global
                                value, settled = global_value(process, code, b)
                                if settled:
                                    instructions[pc - 1] = (128, a, value, None, None)
                                registers[a] = value
                            elif op == 2:  # true
                                registers[a] = True
                            elif op == 3:  # false
                                registers[a] = False
                            elif op == 8:  # dynamic
                                registers[a] = dynamic_value(process, fiber, code, b)
                            else:  # 10 sibling
                                registers[a] = Closure(c, registers[b].captures)
                            continue
                        if op == 21:  # jump_if_false
                            value = registers[a]
                            if value is None or value is False:
                                pc = b
                            continue
                        if op == 20:  # jump
                            pc = a
                            continue
                        if op == 26:  # return
                            value = registers[a]
                            if frames:
                                frame = frames[-1]
                                code = frame[0]
                                if code is not None:
                                    frames.pop()
                                    _, registers, pc, destination = frame
                                    if destination >= 0:
                                        registers[destination] = value
                                    instructions = code.instructions
                                    continue
                            mode = Mode.DELIVER
                            break
                        if op == 25:  # jump_back
                            fuel -= 1
                            if fuel < slice_end:
                                if fuel < 0:
                                    return _cut(process, fiber, (code, registers, pc - 1, -1), fuel)
                                slice_end = max(fuel - SLICE, 0)
                                frames.append((code, registers, pc - 1, -1))
                                _check_quotas(process, fiber)
                                frames.pop()
                            pc = a
                            continue
                        if op == 22:  # jump_if_true
                            value = registers[a]
                            if value is not None and value is not False:
                                pc = b
                            continue
                        if op == 23:  # jump_if_not_nil
                            if registers[a] is not None:
                                pc = b
                            continue
                        continue  # 24 loop
                    if op < 40:
                        if op == 36:  # builtin
                            count, getter = c
                            if b.context:
                                if count == 1:
                                    registers[a] = b.function(process, getter(registers))
                                elif count == 0:
                                    registers[a] = b.function(process)
                                else:
                                    registers[a] = b.function(process, *getter(registers))
                            elif count == 1:
                                registers[a] = b.function(getter(registers))
                            elif count == 0:
                                registers[a] = b.function()
                            else:
                                registers[a] = b.function(*getter(registers))
                            continue
                        # Calls.  Fuel first: a frame that is cut here runs the same instruction again.
                        fuel -= 1
                        if fuel < slice_end:
                            if fuel < 0:
                                return _cut(process, fiber, (code, registers, pc - 1, -1), fuel)
                            slice_end = max(fuel - SLICE, 0)
                            frames.append((code, registers, pc - 1, -1))
                            _check_quotas(process, fiber)
                            frames.pop()
                        if op == 30:  # call
                            function = registers[b]
                            count, getter = c
                            tail = False
                        elif op == 32 or op == 33:  # call_global, tail_call_global
                            tail = op == 33
                            index = a if tail else b
                            count, getter = b if tail else c
                            function, settled = global_value(process, code, index)
                            if settled:
                                instructions[pc - 1] = (
                                    (130, function, b, None, None) if tail else (129, a, function, c, None)
                                )
                        elif op == 31:  # tail_call
                            function = registers[a]
                            count, getter = b
                            tail = True
                        else:  # 34 apply, 35 tail_apply
                            tail = op == 35
                            function = registers[a if tail else b]
                            arguments = list(sequences.iterate(registers[b if tail else c]))
                            count = -1
                        if count == 1:
                            arguments = [getter(registers)]
                        elif count > 1:
                            arguments = list(getter(registers))
                        elif count == 0:
                            arguments = []
                    elif op < 60:
                        if op < 50:
                            if op == 40:  # add
                                x, y = registers[b], registers[c]
                                if x.__class__ is int and y.__class__ is int and -SMALL < x < SMALL:
                                    registers[a] = x + y
                                else:
                                    registers[a] = numbers.add(x, y)
                            elif op == 43:  # add_integer
                                x = registers[b]
                                registers[a] = x + c if x.__class__ is int else numbers.add(x, c)
                            elif op == 44:  # less
                                x, y = registers[b], registers[c]
                                if x.__class__ is int and y.__class__ is int:
                                    registers[a] = x < y
                                else:
                                    registers[a] = numbers.less(x, y)
                            elif op == 46:  # equal
                                registers[a] = equal(registers[b], registers[c])
                            elif op == 41:  # subtract
                                x, y = registers[b], registers[c]
                                if x.__class__ is int and y.__class__ is int and -SMALL < x < SMALL:
                                    registers[a] = x - y
                                else:
                                    registers[a] = numbers.subtract(x, y)
                            elif op == 42:  # multiply
                                x, y = registers[b], registers[c]
                                if (
                                    x.__class__ is int
                                    and y.__class__ is int
                                    and -SMALL < x < SMALL
                                    and -SMALL < y < SMALL
                                ):
                                    registers[a] = x * y
                                else:
                                    registers[a] = numbers.multiply(x, y)
                            elif op == 45:  # less_equal
                                x, y = registers[b], registers[c]
                                if x.__class__ is int and y.__class__ is int:
                                    registers[a] = x <= y
                                else:
                                    registers[a] = numbers.less_equal(x, y)
                            else:  # 47 not
                                value = registers[b]
                                registers[a] = value is None or value is False
                            continue
                        count, getter = b
                        items = () if count == 0 else (getter(registers),) if count == 1 else getter(registers)
                        if op == 50:  # vector
                            registers[a] = Vector.of(items)
                        elif op == 51:  # map
                            registers[a] = Map.of(zip(items[::2], items[1::2], strict=True))
                        else:  # 52 set
                            registers[a] = Set.of(items)
                        continue
                    elif op < 128:
                        if op == 70:  # perform
                            control.check_cancelled(fiber, code, pc - 1)
                            mode, value = control.perform(
                                process, fiber, (code, registers, pc, a), registers[b], registers[c], registers[d], True
                            )
                            break
                        if op == 74:  # await
                            control.check_cancelled(fiber, code, pc - 1)
                            promise = control.check_promise(registers[b])
                            settled, value = control.await_promise(
                                process, fiber, (code, registers, pc - 1, -1), promise
                            )
                            if settled:
                                registers[a] = value
                                continue
                            mode = Mode.STOP
                            break
                        if op == 72:  # region
                            data = registers[c]
                            if b == Region.SCOPE:
                                data = control.new_scope(process, fiber)
                            elif b in (Region.HANDLE, Region.BIND) and data.__class__ is not Map:
                                fail("type", "a region of handlers or bindings takes a map")
                            call = control.entry_frame(_check_closure(registers[d]), [])
                            frames.append((code, registers, pc, a))
                            control.push_region(fiber, b, data)
                            frames.append(call)
                            break
                        if op == 60:  # throw
                            raise LanguageError(_check_error(registers[a]))
                        if op == 61:  # end_finally
                            value = registers[a]
                            if value is not None:
                                raise LanguageError(value)
                            continue
                        if op == 71:  # request
                            control.check_cancelled(fiber, code, pc - 1)
                            mode, value = control.perform(
                                process,
                                fiber,
                                (code, registers, pc, a),
                                registers[b],
                                registers[c],
                                registers[d],
                                False,
                            )
                            break
                        if op == 73:  # async
                            registers[a] = control.start_fiber(process, fiber, registers[b], [])
                            continue
                        if op == 75:  # await_any
                            control.check_cancelled(fiber, code, pc - 1)
                            index = control.await_any(process, fiber, (code, registers, pc - 1, -1), registers[b])
                            if index >= 0:
                                registers[a] = index
                                continue
                            mode = Mode.STOP
                            break
                        # 76 cancel
                        control.cancel_promise(
                            process,
                            control.check_promise(registers[b]),
                            ErrorValue(KIND_CANCELLED, "cancelled by the program", None),
                        )
                        registers[a] = None
                        if process.outbox:  # what is to be cancelled outside is told before the program goes on
                            frames.append((code, registers, pc, a))
                            fiber.resume = (Resume.VALUE, None)
                            process.ready.appendleft(fiber.id)
                            mode = Mode.STOP
                            break
                        continue
                    elif op == 128:
                        registers[a] = b
                        continue
                    else:  # 129, 130: a call of a global that was looked up
                        fuel -= 1
                        if fuel < slice_end:
                            if fuel < 0:
                                return _cut(process, fiber, (code, registers, pc - 1, -1), fuel)
                            slice_end = max(fuel - SLICE, 0)
                            frames.append((code, registers, pc - 1, -1))
                            _check_quotas(process, fiber)
                            frames.pop()
                        if op == 129:
                            function = b
                            count, getter = c
                            tail = False
                        else:
                            function = a
                            count, getter = b
                            tail = True
                        if count == 1:
                            arguments = [getter(registers)]
                        elif count == 0:
                            arguments = []
                        else:
                            arguments = list(getter(registers))
                    # A call of `function` with `arguments`, from the branches above.
                    if function.__class__ is Closure:
                        ready = function.function.ready
                        if ready is None:
                            ready = run_function(function.function)
                        body = ready.fixed.get(len(arguments))
                        if body is None:
                            body = ready.select(len(arguments))
                            arguments = control.call_registers(body, function, arguments)
                        else:
                            if function.captures:
                                arguments += function.captures
                            if body.takes_self:
                                arguments.append(function)
                            arguments += body.padding
                        if not tail:
                            frames.append((code, registers, pc, a))
                        code = body
                        registers = arguments
                        instructions = body.instructions
                        pc = 0
                        continue
                    if not tail:
                        if function.__class__ is not Resumption:
                            mode, value = call_value(process, fiber, function, arguments)
                            registers[a] = value
                            mode = Mode.ENTER
                            continue
                        frame = (code, registers, pc, a)
                        frames.append(frame)
                        try:
                            mode, value = call_value(process, fiber, function, arguments)
                        except LanguageError:
                            frames.pop()
                            raise
                        break
                    mode, value = call_value(process, fiber, function, arguments)
                    break
        except NeedsRealize as need:
            frame = (code, registers, pc - 1, -1)
            try:
                mode = control.realize(process, fiber, frame, need.seq, need.whole)
            except LanguageError as problem:
                raised = problem.error
            except NeedsRealize as inner:
                mode = control.realize(process, fiber, frame, inner.seq, False)
        except LanguageError as problem:
            try:
                error = control.with_trace(fiber, code, pc - 1, problem.error)
                mode, code, registers, pc = control.unwind(process, fiber, code, registers, pc - 1, error)
            except LanguageError as other:  # leaving a scope can raise in its own right
                raised, code = other.error, None
                continue
            if mode == Mode.DELIVER:
                value, code = code, None
            elif mode == Mode.ENTER:
                # `unwind` gave a position inside a frame that is off the stack: put it back for the entry above.
                frames.append((code, registers, pc, -1))


def _check_closure(value: Any) -> Closure:
    if value.__class__ is not Closure:
        fail("type", f"a function of no arguments is needed here, not {print_string(value, limit=80)}")
    closure: Closure = value
    return closure


def _check_error(value: Any) -> ErrorValue:
    if value.__class__ is ErrorValue:
        error: ErrorValue = value
        return error
    fail("type", f"only an error can be thrown, not {print_string(value, limit=80)}")
    raise AssertionError

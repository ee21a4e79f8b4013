"""The frames engine: the loop that runs instructions.

A fiber's frames are plain data (state.py); the running frame's code, registers and position are locals of the loop
and are pushed back as a frame whenever control leaves it.  No Python frame ever stands between two frames of a
program, so depth is bounded by a quota and not by Python's stack.  The loop dispatches through a tree of comparisons
on the opcode's number, which was the fastest of the shapes measured; numbers stand as literals with their mnemonic
beside them, since a name would cost a global look-up each.

Instructions that look up a global are replaced after their first run: 5 (`constant`) loads the value that was found,
and CALL_KNOWN calls the body that was found.  Such numbers, which are in no artifact, are listed in load.py.
"""

from __future__ import annotations

from typing import Any

from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import (
    Closure,
    ErrorValue,
    LanguageError,
    LazySeq,
    Map,
    NeedsRealize,
    Resumption,
    Set,
    Vector,
    equal,
    fail,
    numbers,
)
from flowmetal.vm import fibers, handlers, unwinding
from flowmetal.vm.calls import apply_arguments, call_value, check_error, dynamic_value, global_value, known_call
from flowmetal.vm.faults import fault, with_trace
from flowmetal.vm.frames import Mode, call_registers, check_closure, entry_frame, push_region
from flowmetal.vm.load import plain, run_function
from flowmetal.vm.quota import check_quotas
from flowmetal.vm.state import (
    ENTER,
    KIND_CANCELLED,
    SLICE,
    Failed,
    Fiber,
    Frame,
    Idle,
    Outcome,
    OutOfFuel,
    Process,
    Region,
    Resume,
)

#: Integers beyond this size go through numbers.py, which bounds them.
SMALL = 1 << 256


def run(process: Process, fuel: int | None = None) -> Outcome:
    """Runs a process until something outside it is needed; see the outcomes in state.py.

    `fuel` bounds the calls and loop turns; the default is the process's own limit.  Nothing but FlowmetalError leaves
    it: that the process's own artifact is damaged.
    """
    process.fuel = process.limits.fuel_per_turn if fuel is None else fuel
    while True:
        if process.outbox:
            outcome: Outcome = process.outbox.popleft()
            break
        if process.end is not None:
            outcome = process.end
            break
        if not process.ready:
            outcome = Idle()
            break
        fiber = process.fibers[process.ready.popleft()]
        process.running = fiber.id
        try:
            if not _run_fiber(process, fiber):
                return OutOfFuel()
        except FlowmetalError:
            raise
        except Exception as problem:  # not the program's: what the machine goes by is in disorder
            process.end = Failed(fault(problem))
        finally:
            process.running = 0
    process.slice_left = SLICE  # a slice begins with each step, so what a step does hangs on nothing before it
    return outcome


def _pause(process: Process, fiber: Fiber, frame: Frame | None, fuel: int) -> int:
    """Fuel has come to the end of a slice, or to its own end.  `frame`: the running one, at its instruction.

    Gives the fuel at which to come here next, or -1 when there is none left: the fiber then stands at its instruction,
    which will take its fuel again, and is the next to run.  Raises the limit errors of quota.py.
    """
    if fuel < 0:
        if frame is not None:
            fiber.frames.append(frame)
        process.ready.appendleft(fiber.id)
        process.slice_left = fuel + 1 - process.slice_end
        process.fuel = 0
        return -1
    process.slices += 1
    process.slice_end = fuel - SLICE
    check_quotas(process, fiber, frame)
    return max(process.slice_end, 0)


class _Stepper:
    """The instructions of a frame while a process is stepped: the second one that is asked for stops the loop."""

    __slots__ = ("_instructions", "_used")

    def __init__(self) -> None:
        self._instructions: list[tuple[Any, ...]] = []
        self._used = False

    def over(self, instructions: list[tuple[Any, ...]]) -> _Stepper:
        """Itself, for the instructions of another frame."""
        self._instructions = instructions
        return self

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        if self._used:
            raise _Stopped
        self._used = True
        return plain(self._instructions[index])

    def __setitem__(self, index: int, instruction: tuple[Any, ...]) -> None:
        self._instructions[index] = instruction


class _Stopped(Exception):
    """A stepped process has come to its next instruction."""


def _run_fiber(process: Process, fiber: Fiber) -> bool:
    """Runs one fiber until it suspends or ends.  False: the fuel is used up and it is the next to run."""
    frames = fiber.frames
    stepper = _Stepper() if process.stepping else None
    process.mark(fiber)
    kind, value = fiber.resume
    fiber.resume = ENTER
    code: Any = None
    registers: Any = []
    instructions: Any = ()
    pc = 0
    op = 0
    fuel = process.fuel
    process.slice_end = fuel - process.slice_left
    floor = max(process.slice_end, 0)  # the fuel below which there is something to look at
    mode = Mode.DELIVER if kind == Resume.VALUE else Mode.ENTER
    raised: ErrorValue | None = value if kind == Resume.ERROR else None
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
                        if value.__class__ is LazySeq and frames[-1][1] == Region.REALIZE:
                            # The body of a lazy sequence gave another one, and so on: that takes fuel as a loop does.
                            fuel -= 1
                            if fuel < floor:
                                floor = _pause(process, fiber, None, fuel)
                                if floor < 0:
                                    fiber.resume = (Resume.VALUE, value)
                                    return False
                        mode, value = unwinding.leave_region(process, fiber, value)
                        if mode != Mode.DELIVER:
                            break
                    if mode == Mode.DELIVER:
                        if not frames:
                            mode = fibers.finish(process, fiber, value)
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
                    process.slice_left = fuel - process.slice_end
                    return True
                if code is None:
                    continue
                mode = Mode.ENTER
                if stepper is not None:
                    instructions = stepper.over(instructions)
                while True:
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
                                    instructions[pc - 1] = (5, a, value, None, None)
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
                        if op == 27:  # BUILTIN_ONE
                            registers[a] = b(registers[c])
                            continue
                        if op == 28:  # BUILTIN_TWO
                            registers[a] = b(registers[c], registers[d])
                            continue
                        if op == 20:  # jump
                            pc = a
                            continue
                        if op == 26:  # return
                            value = registers[a]
                            frame = frames.pop()  # there is one: every fiber stands on a scope
                            code = frame[0]
                            if code is None:
                                frames.append(frame)
                                mode = Mode.DELIVER
                                break
                            _, registers, pc, destination = frame
                            if destination >= 0:
                                registers[destination] = value
                            instructions = code.instructions
                            if stepper is not None:
                                instructions = stepper.over(instructions)
                            continue
                        if op == 25:  # jump_back
                            fuel -= 1
                            if fuel < floor:
                                floor = _pause(process, fiber, (code, registers, pc - 1, -1), fuel)
                                if floor < 0:
                                    return False
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
                        if fuel < floor:
                            floor = _pause(process, fiber, (code, registers, pc - 1, -1), fuel)
                            if floor < 0:
                                return False
                        if op >= 37:  # CALL_KNOWN, TAIL_CALL_KNOWN
                            if op == 37:
                                frames.append((code, registers, pc, a))
                            registers = [*c(registers), *d]
                            code = b
                            instructions = b.instructions
                            pc = 0
                            if stepper is not None:
                                instructions = stepper.over(instructions)
                            continue
                        if op == 30:  # call
                            function = registers[b]
                            count, getter = c
                            tail = False
                        elif op == 32 or op == 33:  # call_global, tail_call_global
                            tail = op == 33
                            count, getter = b if tail else c
                            function, settled = global_value(process, code, a if tail else b)
                            if settled:
                                stored = code.code.instructions[pc - 1][-1]
                                known = known_call(-1 if tail else a, function, stored)
                                if known is not None:
                                    instructions[pc - 1] = known
                        elif op == 31:  # tail_call
                            function = registers[a]
                            count, getter = b
                            tail = True
                        else:  # 34 apply, 35 tail_apply
                            tail = op == 35
                            function = registers[a if tail else b]
                            arguments = apply_arguments(registers[b if tail else c])
                            count = -1
                        if count == 1:
                            arguments = [getter(registers)]
                        elif count > 1:
                            arguments = list(getter(registers))
                        elif count == 0:
                            arguments = []
                    elif op < 50:
                        x, y = registers[b], c
                        if op < 44:
                            if op == 43:  # add_integer
                                if x.__class__ is int and -SMALL < x < SMALL:
                                    registers[a] = x + y
                                else:
                                    registers[a] = numbers.add(x, y)
                                continue
                            y = registers[c]
                            if op == 40:  # add
                                if x.__class__ is int and y.__class__ is int and -SMALL < (value := x + y) < SMALL:
                                    registers[a] = value
                                else:
                                    registers[a] = numbers.add(x, y)
                            elif op == 41:  # subtract
                                if x.__class__ is int and y.__class__ is int and -SMALL < (value := x - y) < SMALL:
                                    registers[a] = value
                                else:
                                    registers[a] = numbers.subtract(x, y)
                            elif (  # 42 multiply
                                x.__class__ is int and y.__class__ is int and -SMALL < x < SMALL and -SMALL < y < SMALL
                            ):
                                registers[a] = x * y
                            else:
                                registers[a] = numbers.multiply(x, y)
                            continue
                        if op == 47:  # not
                            registers[a] = x is None or x is False
                            continue
                        y = registers[c]
                        if op == 48 or op == 44:  # LESS_JUMP, less
                            if x.__class__ is int and y.__class__ is int:
                                value = x < y
                            else:
                                value = numbers.less(x, y)
                        elif op == 49 or op == 46:  # EQUAL_JUMP, equal
                            if x.__class__ is int and y.__class__ is int:
                                value = x == y
                            else:
                                value = equal(x, y)
                        elif x.__class__ is int and y.__class__ is int:  # 45 less_equal
                            value = x <= y
                        else:
                            value = numbers.less_equal(x, y)
                        registers[a] = value
                        if op >= 48:
                            pc = pc + 1 if value else d
                        continue
                    elif op < 60:
                        count, getter = b
                        items = () if count == 0 else (getter(registers),) if count == 1 else getter(registers)
                        if op == 50:  # vector
                            registers[a] = Vector.of(items)
                        elif op == 51:  # map
                            registers[a] = Map.of(zip(items[::2], items[1::2], strict=True))
                        else:  # 52 set
                            registers[a] = Set.of(items)
                        continue
                    else:
                        if op == 60:  # throw
                            raise LanguageError(check_error(registers[a]))
                        if op == 61:  # end_finally
                            value = registers[a]
                            if value is not None:
                                raise LanguageError(value)
                            continue
                        # The others take fuel as calls do: each can be all there is to a loop.
                        fuel -= 1
                        if fuel < floor:
                            floor = _pause(process, fiber, (code, registers, pc - 1, -1), fuel)
                            if floor < 0:
                                return False
                        if op == 70 or op == 71:  # perform, request
                            fibers.check_cancelled(fiber, code, pc - 1)
                            frame = (code, registers, pc, a)
                            mode, value = handlers.perform(
                                process, fiber, frame, registers[b], registers[c], registers[d], op == 70
                            )
                            break
                        if op == 74:  # await
                            fibers.check_cancelled(fiber, code, pc - 1)
                            promise = fibers.check_promise(registers[b])
                            frame = (code, registers, pc - 1, -1)
                            settled, value = fibers.await_promise(process, fiber, frame, promise)
                            if settled:
                                registers[a] = value
                                continue
                            mode = Mode.STOP
                            break
                        if op == 72:  # region
                            data = registers[c]
                            if b in (Region.HANDLE, Region.BIND) and data.__class__ is not Map:
                                fail("type", "a region of handlers or bindings takes a map")
                            call = entry_frame(check_closure(registers[d], "the body of a region"), [])
                            if b == Region.SCOPE:
                                data = fibers.new_scope(process, fiber)
                            frames.append((code, registers, pc, a))
                            push_region(fiber, b, data)
                            frames.append(call)
                            break
                        if op == 73:  # async
                            registers[a] = fibers.start_fiber(process, fiber, registers[b], [])
                            continue
                        if op == 75:  # await_any
                            fibers.check_cancelled(fiber, code, pc - 1)
                            index = fibers.await_any(process, fiber, (code, registers, pc - 1, -1), registers[b])
                            if index >= 0:
                                registers[a] = index
                                continue
                            mode = Mode.STOP
                            break
                        # 76 cancel
                        promise = fibers.check_promise(registers[b])
                        reason = ErrorValue(KIND_CANCELLED, "cancelled by the program", None)
                        fibers.cancel_promise(process, promise, reason)
                        registers[a] = None
                        if process.outbox:  # what is to be cancelled outside is told before the program goes on
                            frames.append((code, registers, pc, a))
                            fiber.resume = (Resume.VALUE, None)
                            process.ready.appendleft(fiber.id)
                            mode = Mode.STOP
                            break
                        continue
                    # A call of `function` with `arguments`, from the branches above.
                    if function.__class__ is Closure:
                        ready = function.function.ready
                        if ready is None:
                            ready = run_function(function.function)
                        body = ready.fixed.get(len(arguments))
                        if body is None:
                            body = ready.select(len(arguments))
                            arguments = call_registers(body, function, arguments)
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
                        if stepper is not None:
                            instructions = stepper.over(instructions)
                        continue
                    if tail:
                        mode, value = call_value(process, fiber, function, arguments)
                        break
                    if function.__class__ is not Resumption:
                        _, registers[a] = call_value(process, fiber, function, arguments)
                        continue
                    frames.append((code, registers, pc, a))
                    try:
                        mode, value = call_value(process, fiber, function, arguments)
                    except LanguageError:
                        frames.pop()
                        raise
                    break
        except NeedsRealize as need:
            frame = (code, registers, pc - 1, -1)
            try:
                if op < 70 and not 30 <= op < 36:  # the others have taken fuel already
                    fuel -= 1
                    if fuel < floor:
                        floor = _pause(process, fiber, frame, fuel)
                        if floor < 0:
                            return False
                mode = unwinding.realize(process, fiber, frame, need.seq, need.whole)
            except LanguageError as problem:
                raised = problem.error
        except LanguageError as problem:
            floor = max(process.slice_end, 0)
            try:
                error = with_trace(fiber, code, pc - 1, problem.error)
                mode, value = unwinding.unwind(process, fiber, code, registers, pc - 1, error)
            except LanguageError as other:  # leaving a scope can raise in its own right
                raised, code = other.error, None
        except _Stopped:
            frames.append((code, registers, pc, -1))
            process.ready.appendleft(fiber.id)
            process.fuel = fuel
            process.slice_left = fuel - process.slice_end
            return False
        except FlowmetalError:
            raise
        except Exception as problem:
            raised = fault(problem)

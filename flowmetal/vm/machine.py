"""The frames engine: the loop that runs instructions.

A fiber's frames are plain data (state.py); the running frame's code, registers and position are locals of the loop
and are pushed back as a frame whenever control leaves it.  No Python frame ever stands between two frames of a
program, so depth is bounded by a quota and not by Python's stack.  The loop dispatches through a tree of comparisons
on the opcode's number, which was the fastest of the shapes measured; numbers stand as literals with their name
beside them (instructions.py), since a name would cost a global look-up each.

Instructions that look up a global are replaced, in place, after their first run: CONSTANT loads the value that was
found, and CALL_KNOWN calls the body that was found.
"""

from __future__ import annotations

from typing import Any

from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import (
    BuiltinFn,
    Closure,
    ErrorValue,
    LanguageError,
    LazySeq,
    List,
    Map,
    NeedsProgram,
    NeedsRealize,
    Reduced,
    Resumption,
    Set,
    Vector,
    equal,
    numbers,
)
from flowmetal.values.work import TurnOver
from flowmetal.vm import fibers, lifting, redirection, unwinding
from flowmetal.vm.calls import apply_arguments, call_value, check_error, dynamic_value, global_value
from flowmetal.vm.faults import fault, with_trace
from flowmetal.vm.frames import Mode, entry_frame
from flowmetal.vm.performing import run_effect
from flowmetal.vm.predecode import stopped
from flowmetal.vm.quota import end_turn, pause
from flowmetal.vm.state import ENTER, Fiber, Process, Region, Resume

#: Integers beyond this size go through numbers.py, which bounds them.
SMALL = 1 << 256


def run_fiber(process: Process, fiber: Fiber) -> bool:
    """Runs one fiber until it suspends or ends.  False: its fuel, or a step, is over; it is the next to run."""
    frames = fiber.frames
    stepping = process.stepping
    stepped = False
    lifts = process.limits.lifting and not stepping
    if not fiber.changed:
        process.mark(fiber)
    kind, value = fiber.resume
    fiber.resume = ENTER
    code: Any = None
    registers: Any = []
    following: Any = None  # the instruction to be run next; behind a call or effect the index of the one behind
    running: Any = None  # the instruction that is run
    pc = 0
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
                                floor = pause(process, fiber, None, [], 0, fuel)
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
                elif mode == Mode.ENTER:
                    code, registers, pc, _ = frames.pop()
                if mode == Mode.STOP:
                    process.fuel = fuel
                    process.slice_left = fuel - process.slice_end
                    return True
                if code is None:
                    continue
                mode = Mode.ENTER
                if not stepping:
                    following = code.instructions[pc]
                else:
                    following = stopped(pc) if stepped else code.single(pc)
                    stepped = True
                while True:
                    op, a, b, c, d, following = running = following
                    if op < 26:
                        if op < 12:
                            if op == 0:  # LESS_CONSTANT_JUMP
                                x = registers[a]
                                if x.__class__ is int:
                                    if x < b:
                                        continue
                                    following = d
                                elif not numbers.less(x, b):
                                    following = d
                            elif op == 1:  # LESS_JUMP
                                x = registers[a]
                                y = registers[b]
                                if x.__class__ is int and y.__class__ is int:
                                    if x < y:
                                        continue
                                    following = d
                                elif not numbers.less(x, y):
                                    following = d
                            elif op == 2:  # EQUAL_CONSTANT_JUMP
                                x = registers[a]
                                if x.__class__ is int:
                                    if x == b:
                                        continue
                                    following = d
                                elif not equal(x, b):
                                    following = d
                            elif op == 7:  # BUILTIN_ONE_JUMP
                                value = b(registers[c])
                                if value is False or value is None:
                                    following = d
                            elif op == 6:  # JUMP_IF_FALSE
                                value = registers[a]
                                if value is False or value is None:
                                    following = d
                            elif op == 3:  # EQUAL_JUMP
                                x = registers[a]
                                y = registers[b]
                                if x.__class__ is int and y.__class__ is int:
                                    if x == y:
                                        continue
                                    following = d
                                elif not equal(x, y):
                                    following = d
                            elif op == 8:  # BUILTIN_TWO_JUMP
                                value = a(registers[b], registers[c])
                                if value is False or value is None:
                                    following = d
                            elif op == 4:  # LESS_EQUAL_JUMP
                                x = registers[a]
                                y = registers[b]
                                if x.__class__ is int and y.__class__ is int:
                                    if x <= y:
                                        continue
                                    following = d
                                elif not numbers.less_equal(x, y):
                                    following = d
                            elif op == 11:  # REDUCED_JUMP
                                if registers[a].__class__ is not Reduced:
                                    following = d
                            elif op == 5:  # ZERO_JUMP
                                x = registers[a]
                                if x.__class__ is int:
                                    if x:
                                        following = d
                                elif not b(x):
                                    following = d
                            elif op == 9:  # JUMP_IF_TRUE
                                value = registers[a]
                                if value is not None and value is not False:
                                    following = d
                            elif registers[a] is not None:  # 10 JUMP_IF_NOT_NIL
                                following = d
                            continue
                        if op < 19:
                            if op == 12:  # ADD_INTEGER
                                x = registers[b]
                                if x.__class__ is int:
                                    value = x + c
                                    if -0x20000000 < value < 0x20000000 or -SMALL < value < SMALL:
                                        registers[a] = value
                                        continue
                                registers[a] = numbers.add(x, c)
                            elif op == 17:  # MOVE
                                registers[a] = registers[b]
                            elif op == 13:  # ADD
                                x = registers[b]
                                y = registers[c]
                                if x.__class__ is int and y.__class__ is int:
                                    value = x + y
                                    if -0x20000000 < value < 0x20000000 or -SMALL < value < SMALL:
                                        registers[a] = value
                                        continue
                                registers[a] = numbers.add(x, y)
                            elif op == 15:  # MULTIPLY
                                x = registers[b]
                                y = registers[c]
                                if x.__class__ is int and y.__class__ is int:
                                    value = x * y
                                    if -0x20000000 < value < 0x20000000 or -SMALL < value < SMALL:
                                        registers[a] = value
                                        continue
                                registers[a] = numbers.multiply(x, y)
                            elif op == 16:  # MODULO
                                x = registers[b]
                                y = registers[c]
                                if x.__class__ is int and y.__class__ is int and y:
                                    registers[a] = x % y
                                else:
                                    registers[a] = numbers.modulo(x, y)
                            elif op == 18:  # CONSTANT
                                registers[a] = b
                            else:  # 14 SUBTRACT
                                x = registers[b]
                                y = registers[c]
                                if x.__class__ is int and y.__class__ is int:
                                    value = x - y
                                    if -0x20000000 < value < 0x20000000 or -SMALL < value < SMALL:
                                        registers[a] = value
                                        continue
                                registers[a] = numbers.subtract(x, y)
                            continue
                        if op == 22:  # BUILTIN_TWO
                            registers[a] = b(registers[c], registers[d])
                        elif op == 21:  # BUILTIN_ONE
                            registers[a] = b(registers[c])
                        elif op == 19:  # NTH
                            x = registers[b]
                            y = registers[c]
                            if x.__class__ is Vector and y.__class__ is int and y >= 0:
                                node = x.root
                                if node is None:
                                    if y < len(x.tail):
                                        registers[a] = x.tail[y]
                                        continue
                                elif y < node.size:
                                    shift = node.shift
                                    while shift:
                                        node = node.children[y >> shift & 31]
                                        shift -= 5
                                    registers[a] = node.children[y & 31]
                                    continue
                            registers[a] = d(x, y)
                        elif op == 20:  # GET_CONSTANT
                            x = registers[b]
                            if x.__class__ is Map and x.table is not None:
                                registers[a] = x.table.get(c)
                            else:
                                registers[a] = d(x, c)
                        elif op == 25:  # CONS
                            x = registers[c]
                            if x.__class__ is List:
                                registers[a] = List(registers[b], x)
                            else:
                                registers[a] = d(registers[b], x)
                        elif op == 23:  # BUILTIN_THREE
                            x, y, z = c
                            registers[a] = b(registers[x], registers[y], registers[z])
                        else:  # 24 BUILTIN_MANY
                            registers[a] = b(*c(registers))
                        continue
                    if op < 50:
                        if op >= 42:
                            if op == 42:  # RETURN
                                value = registers[a]
                            elif op == 43:  # ADD_RETURN
                                x = registers[b]
                                y = registers[c]
                                if x.__class__ is not int or y.__class__ is not int:
                                    value = numbers.add(x, y)
                                else:
                                    value = x + y
                                    if not (-0x20000000 < value < 0x20000000 or -SMALL < value < SMALL):
                                        value = numbers.add(x, y)
                            elif op == 45:  # BUILTIN_ONE_RETURN
                                value = b(registers[c])
                            elif op == 46:  # BUILTIN_TWO_RETURN
                                value = b(registers[c], registers[d])
                            else:  # 44 MULTIPLY_RETURN
                                x = registers[b]
                                y = registers[c]
                                if x.__class__ is not int or y.__class__ is not int:
                                    value = numbers.multiply(x, y)
                                else:
                                    value = x * y
                                    if not (-0x20000000 < value < 0x20000000 or -SMALL < value < SMALL):
                                        value = numbers.multiply(x, y)
                            frame = frames.pop()  # there is one: every fiber stands on a scope
                            code = frame[0]
                            if code is None:
                                frames.append(frame)
                                mode = Mode.DELIVER
                                break
                            _, registers, pc, destination = frame
                            if destination >= 0:
                                registers[destination] = value
                            following = code.instructions[pc]
                            continue
                        if op < 36:
                            if op == 26:  # MAP_CONSTANT
                                registers[a] = Map(dict(zip(b, c(registers), strict=True)))
                            elif op == 34:  # MAP
                                items = b(registers)
                                registers[a] = Map.of(zip(items[::2], items[1::2], strict=True))
                            elif op == 33:  # VECTOR
                                registers[a] = Vector.of(b(registers))
                            elif op == 35:  # SET
                                registers[a] = Set.of(b(registers))
                            elif op == 27:  # BUILTIN_NONE
                                registers[a] = b()
                            elif op == 28:  # BUILTIN_CONTEXT
                                registers[a] = b(process, *c(registers))
                            elif op == 32:  # NOT
                                value = registers[b]
                                registers[a] = value is None or value is False
                            else:
                                x = registers[b]
                                y = registers[c]
                                if op == 29:  # LESS
                                    registers[a] = numbers.less(x, y)
                                elif op == 30:  # LESS_EQUAL
                                    registers[a] = numbers.less_equal(x, y)
                                else:  # 31 EQUAL
                                    registers[a] = equal(x, y)
                            continue
                        if op == 37:  # CLOSURE_ONE
                            registers[a] = Closure(b, (registers[c],))
                        elif op == 38:  # CLOSURE
                            registers[a] = Closure(b, c(registers))
                        elif op == 36:  # CLOSURE_NONE
                            registers[a] = Closure(b)
                        elif op == 40:  # GLOBAL
                            value, settled = global_value(process, code, b)
                            registers[a] = value
                            if settled and not stepping:
                                running[:3] = [18, a, value]  # CONSTANT
                        elif op == 39:  # SIBLING
                            registers[a] = Closure(c, registers[b].captures)
                        else:  # 41 DYNAMIC
                            registers[a] = dynamic_value(process, fiber, code, b)
                        continue
                    if op < 60:
                        fuel -= 1
                        if op == 50:  # JUMP_BACK
                            if fuel < floor:
                                floor = pause(process, fiber, code, registers, d, fuel)
                                if floor < 0:
                                    return False
                        else:
                            if op == 51:  # MOVE_JUMP_BACK
                                registers[b] = registers[c]
                            else:  # 52 ADD_INTEGER_JUMP_BACK, 53 ADD_INTEGER_MOVE_JUMP_BACK
                                y, z, value = c
                                x = registers[y]
                                if x.__class__ is not int or not -0x20000000 < x < 0x20000000:
                                    fuel += 1  # the jump takes it when it is run by itself
                                    registers[b] = numbers.add(x, z)
                                    continue
                                registers[b] = x + z
                                if op == 53:
                                    x, y = value
                                    registers[x] = registers[y]
                            if fuel < floor:
                                running = code.instructions[d]
                                floor = pause(process, fiber, code, registers, d, fuel)
                                if floor < 0:
                                    return False
                        if lifts:
                            heat = code.heat = code.heat - 1
                            if heat < 0:
                                done, mode, value = lifting.enter_loop(process, code, d, registers, fuel, floor)
                                if done:
                                    fuel, floor = process.fuel, max(process.slice_end, 0)
                                    break
                        following = a
                        continue
                    if op < 80:
                        # Calls.  Fuel first: a frame that is cut here runs the same instruction again.
                        fuel -= 1
                        if fuel < floor and op != 61:
                            floor = pause(process, fiber, code, registers, following - 1, fuel)
                            if floor < 0:
                                return False
                        if op < 70:
                            if op < 64:
                                if op == 61:  # ADD_INTEGER_CALL_KNOWN
                                    x, y, z = c
                                    x = registers[x]
                                    if x.__class__ is not int or not -0x20000000 < x < 0x20000000:
                                        fuel += 1  # the call takes it when it is run by itself
                                        registers[z] = numbers.add(x, y)
                                        following = code.instructions[following - 1]
                                        continue
                                    if fuel < floor:
                                        registers[z] = x + y
                                        running = code.instructions[following - 1]
                                        floor = pause(process, fiber, code, registers, following - 1, fuel)
                                        if floor < 0:
                                            return False
                                    frames.append((code, registers, following, a))
                                    registers = [x + y, *d]
                                else:
                                    frames.append((code, registers, following, a))
                                    if op == 60:  # CALL_KNOWN_ONE
                                        registers = [registers[c], *d]
                                    elif op == 62:  # CALL_KNOWN_TWO
                                        x, y = c
                                        registers = [registers[x], registers[y], *d]
                                    else:  # 63 CALL_KNOWN
                                        registers = [*c(registers), *d]
                            elif op == 65:  # TAIL_CALL_KNOWN_TWO
                                x, y = c
                                registers = [registers[x], registers[y], *d]
                            elif op == 64:  # TAIL_CALL_KNOWN_ONE
                                registers = [registers[c], *d]
                            else:  # 66 TAIL_CALL_KNOWN
                                registers = [*c(registers), *d]
                            code = b
                        else:
                            called = None
                            if op < 74:
                                function = registers[b]
                                if op == 70 or op == 72:  # CALL_ONE, TAIL_CALL_ONE
                                    x = registers[c]
                                    if function.__class__ is Closure:
                                        ready = function.function.ready
                                        if ready is not None and ready.one is not None:
                                            if op == 70:
                                                frames.append((code, registers, following, a))
                                            code = called = ready.one
                                            if code.takes_self:
                                                registers = [x, *function.captures, function, *code.padding]
                                            elif function.captures:
                                                registers = [x, *function.captures, *code.padding]
                                            else:
                                                registers = [x, *code.padding]
                                    elif function.__class__ is BuiltinFn and op == 70:
                                        builtin = function.one
                                        if builtin is not None:
                                            registers[a] = builtin(x)
                                            following = code.instructions[following]
                                            continue
                                    if called is None:
                                        arguments = [x]
                                else:  # 71 CALL_TWO, 73 TAIL_CALL_TWO
                                    x = registers[c]
                                    y = registers[d]
                                    if function.__class__ is Closure:
                                        ready = function.function.ready
                                        if ready is not None and ready.two is not None:
                                            if op == 71:
                                                frames.append((code, registers, following, a))
                                            code = called = ready.two
                                            if code.takes_self:
                                                registers = [x, y, *function.captures, function, *code.padding]
                                            elif function.captures:
                                                registers = [x, y, *function.captures, *code.padding]
                                            else:
                                                registers = [x, y, *code.padding]
                                    elif function.__class__ is BuiltinFn and op == 71:
                                        builtin = function.two
                                        if builtin is not None:
                                            registers[a] = builtin(x, y)
                                            following = code.instructions[following]
                                            continue
                                    if called is None:
                                        arguments = [x, y]
                            elif op < 76:  # 74 CALL, 75 TAIL_CALL
                                function = registers[b]
                                arguments = [*c(registers)]
                            elif op < 78:  # 76 CALL_GLOBAL, 77 TAIL_CALL_GLOBAL
                                function, settled = global_value(process, code, b)
                                arguments = [*c(registers)]
                                if settled and not stepping:
                                    code.link(following - 1, function)
                            else:  # 78 APPLY, 79 TAIL_APPLY
                                function = registers[b]
                                arguments = apply_arguments(registers[c])
                            # A call of `function` with `arguments`; a tail call has no register for its result.
                            if called is not None:
                                pass
                            elif function.__class__ is Closure:
                                call = entry_frame(function, arguments)
                                if a >= 0:
                                    frames.append((code, registers, following, a))
                                if stepping:
                                    frames.append(call)
                                    break
                                code, registers, _, _ = call
                            elif a < 0:
                                mode, value = call_value(process, fiber, function, arguments)
                                break
                            elif function.__class__ is not Resumption:
                                _, registers[a] = call_value(process, fiber, function, arguments)
                                following = code.instructions[following] if not stepping else stopped(following)
                                continue
                            else:
                                frames.append((code, registers, following, a))
                                try:
                                    mode, value = call_value(process, fiber, function, arguments)
                                except LanguageError:
                                    frames.pop()
                                    raise
                                break
                        # The body that is called begins; `registers` are its own.
                        if lifts:
                            heat = code.heat = code.heat - 1
                            if heat < 0:
                                done, mode, value = lifting.enter(process, code, registers, fuel, floor)
                                if done:
                                    fuel, floor = process.fuel, max(process.slice_end, 0)
                                    break
                        following = code.entry
                        continue
                    if op < 90:
                        if op == 80:  # THROW
                            raise LanguageError(check_error(registers[a]))
                        if registers[a] is not None:  # 81 END_FINALLY
                            raise LanguageError(check_error(registers[a]))
                        continue
                    if op < 100:
                        # The others take fuel as calls do: each can be all there is to a loop.
                        fuel -= 1
                        if fuel < floor:
                            floor = pause(process, fiber, code, registers, following - 1, fuel)
                            if floor < 0:
                                return False
                        mode, value = run_effect(process, fiber, code, registers, running)
                        if mode != Mode.ON:
                            break
                        mode = Mode.ENTER
                        following = code.instructions[following] if not stepping else stopped(following)
                        continue
                    if op == 101:  # STEP_RETURN
                        value = registers[a]
                        mode = Mode.DELIVER
                        break
                    # 100 STOPPED
                    frames.append((code, registers, a, -1))
                    process.ready.appendleft(fiber.id)
                    process.fuel = fuel
                    process.slice_left = fuel - process.slice_end
                    return False
        except NeedsRealize as need:
            index = code.places[id(running)]
            frame = (code, code.settle(registers, index), index, -1)
            try:
                if running[0] < 60 or op == 81:  # the others have taken fuel already
                    fuel -= 1
                    if fuel < floor:
                        floor = pause(process, fiber, code, registers, index, fuel)
                        if floor < 0:
                            return False
                mode = unwinding.realize(process, fiber, frame, need)
            except LanguageError as problem:
                raised = problem.error
        except TurnOver:
            # The same instruction is the next turn's first; what fuel it has taken it takes again.
            index = code.places[id(running)]
            frame = (code, code.settle(registers, index), index, -1)
            try:
                end_turn(process, fiber, frame, fuel + (running[0] >= 60 and op != 81) - process.slice_end)
                return False
            except LanguageError as problem:
                raised = problem.error
        except NeedsProgram as need:
            index = code.places[id(running)]
            try:
                mode = redirection.redirect(process, fiber, code, code.settle(registers, index), index, need)
            except LanguageError as problem:
                raised = problem.error
        except LanguageError as problem:
            floor = max(process.slice_end, 0)
            index = code.places[id(running)] if code is not None else -1
            try:
                error = with_trace(fiber, code, index, problem.error)
                mode, value = unwinding.unwind(process, fiber, code, registers, index, error)
            except LanguageError as other:  # leaving a scope can raise in its own right
                raised, code = other.error, None
        except FlowmetalError:
            raise
        except Exception as problem:
            raised = fault(problem)

"""The numbers of the instructions that the loop runs.

They are made from stored ones when a code is first called (predecode.py, fusing.py); no artifact and no image has them.
Several forms of one stored instruction differ in what is known beforehand; a fused form does the work of two.  The loop
in machine.py has these numbers as literals, each with its name beside it, and tests/vm/test_predecode.py holds the two
together.  What runs often stands early, and what the loop tells apart by one comparison stands together.
"""

from __future__ import annotations

# Comparisons and the jump by their result; jumps.
LESS_CONSTANT_JUMP, LESS_JUMP, EQUAL_CONSTANT_JUMP, EQUAL_JUMP, LESS_EQUAL_JUMP, ZERO_JUMP = 0, 1, 2, 3, 4, 5
JUMP_IF_FALSE, BUILTIN_ONE_JUMP, BUILTIN_TWO_JUMP, JUMP_IF_TRUE, JUMP_IF_NOT_NIL, REDUCED_JUMP = 6, 7, 8, 9, 10, 11
# What computes.
ADD_INTEGER, ADD, SUBTRACT, MULTIPLY, MODULO, MOVE, CONSTANT = 12, 13, 14, 15, 16, 17, 18
NTH, GET_CONSTANT, BUILTIN_ONE, BUILTIN_TWO, BUILTIN_THREE, BUILTIN_MANY, CONS = 19, 20, 21, 22, 23, 24, 25
# What computes and is rarer.
MAP_CONSTANT, BUILTIN_NONE, BUILTIN_CONTEXT, LESS, LESS_EQUAL, EQUAL, NOT = 26, 27, 28, 29, 30, 31, 32
VECTOR, MAP, SET, CLOSURE_NONE, CLOSURE_ONE, CLOSURE, SIBLING, GLOBAL, DYNAMIC = 33, 34, 35, 36, 37, 38, 39, 40, 41
# What ends a frame.
RETURN, ADD_RETURN, MULTIPLY_RETURN, BUILTIN_ONE_RETURN, BUILTIN_TWO_RETURN = 42, 43, 44, 45, 46
# What goes back in a loop.
JUMP_BACK, MOVE_JUMP_BACK, ADD_INTEGER_JUMP_BACK, ADD_INTEGER_MOVE_JUMP_BACK = 50, 51, 52, 53
# Calls of a body that was looked up.
CALL_KNOWN_ONE, ADD_INTEGER_CALL_KNOWN, CALL_KNOWN_TWO, CALL_KNOWN = 60, 61, 62, 63
TAIL_CALL_KNOWN_ONE, TAIL_CALL_KNOWN_TWO, TAIL_CALL_KNOWN = 64, 65, 66
# Calls of whatever it is.
CALL_ONE, CALL_TWO, TAIL_CALL_ONE, TAIL_CALL_TWO = 70, 71, 72, 73
CALL, TAIL_CALL, CALL_GLOBAL, TAIL_CALL_GLOBAL, APPLY, TAIL_APPLY = 74, 75, 76, 77, 78, 79
# Errors.
THROW, END_FINALLY = 80, 81
# What leaves the loop: `perform` and its kin have their stored number and this.
EFFECTS = 20
# While a process is stepped: the end of a step, and a return that looks at nothing.
STOPPED, STEP_RETURN = 100, 101

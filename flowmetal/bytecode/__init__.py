"""Programs as data: the opcode table, code in memory, .fmc files, the verifier, and text forms of all of it.

Knows values and diagnostics only.  The compiler makes what is here, the machine runs it; neither is known here.
"""

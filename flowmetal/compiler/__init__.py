"""The compiler: source text to a module of bytecode.

It is pure: no clock, file, socket, thread or random number; macros run through an evaluator that is handed in.
"""

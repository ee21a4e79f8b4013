"""The emitter: core nodes to register code.

assembly.py holds one body while it grows (registers, labels, spans, tables), body.py emits nodes into it, branching.py
the nodes that jump, function.py makes the function around the bodies.
"""

from flowmetal.compiler.emit.function import emit_function

__all__ = ["emit_function"]

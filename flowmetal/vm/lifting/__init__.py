"""Lifted code: bytecode translated to Python functions, which run instead of frames and can be taken over by them.

`enter` and `enter_loop` are what the loop of the machine calls; see docs/decisions/0020.
"""

from __future__ import annotations

from flowmetal.vm.lifting.entering import MISSED, TAKEN, VALUE, enter, enter_loop

__all__ = ["MISSED", "TAKEN", "VALUE", "enter", "enter_loop"]

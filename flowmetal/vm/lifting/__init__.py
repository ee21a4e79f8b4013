"""Lifted code: bytecode translated to Python functions, which run instead of frames and can be taken over by them.

`enter` and `enter_loop` are what the loop of the machine calls, imported when the first body is hot, since short
programs have none.  See docs/decisions/0020.
"""

from __future__ import annotations

from typing import Any

from flowmetal.lazily import names_of

__all__ = ["enter", "enter_loop"]

enter: Any
enter_loop: Any

__getattr__, __dir__ = names_of(
    globals(),
    {"enter": "flowmetal.vm.lifting.entering", "enter_loop": "flowmetal.vm.lifting.entering"},
)

"""The way from the loop into lifted code, which is imported when the first body is hot: short programs have none."""

from __future__ import annotations

from typing import Any

#: What `enter` and `enter_loop` give: how it went, see lifting/entering.py.
VALUE, MISSED, TAKEN = 0, 1, 2


def enter(*arguments: Any) -> tuple[int, Any]:
    """Runs a call in lifted code; see lifting/entering.py."""
    _import()
    return enter(*arguments)


def enter_loop(*arguments: Any) -> tuple[int, Any]:
    """Goes on in lifted code from the head of a loop; see lifting/entering.py."""
    _import()
    return enter_loop(*arguments)


def _import() -> None:
    from flowmetal.vm import lifting

    globals().update(enter=lifting.enter, enter_loop=lifting.enter_loop)

"""How many arguments functions take, and the error where a call has another number of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from flowmetal.values import fail


def wrong_count(name: str, fixed: Iterable[int], least: int | None, count: int) -> NoReturn:
    """The :arity error of a function with bodies for `fixed` numbers of arguments, and for `least` or more, if any."""
    counts = [str(number) for number in sorted(fixed)]
    if least is not None:
        counts.append(f"{least} or more")
    wanted = " or ".join(counts)
    fail("arity", f"{name} takes {wanted} argument{'' if wanted == '1' else 's'}, got {count}")

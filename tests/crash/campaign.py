"""What campaigns have in common: stores one after the other on several lines, figures that add up, one command."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.crash.forks import Acknowledged, Forked, fork, killed_at_end, outcome_file

#: Does what is left to be done on the store of a number: (number, how much) -> the figures of that store.
OneStore = Callable[[int, int], Counter[str]]


def counted(facts: Mapping[str, Any]) -> dict[str, int]:
    """The figures among what a look has found; AssertionError where it has found anything wrong."""
    if facts["wrong"]:
        raise AssertionError("\n".join(facts["wrong"]))
    return {name: count for name, count in facts.items() if name != "wrong"}


def stores(
    one: OneStore, what: str, wanted: int, first: int, step: int, tell: Callable[[Counter[str]], None] | None = None
) -> dict[str, int]:
    """One store after the other, which have the numbers first, first + step ..., until so much is done of `what`."""
    total: Counter[str] = Counter()
    while total[what] < wanted:
        total.update(one(first + step * total["stores"], wanted - total[what]))
        total["stores"] += 1
        if tell is not None:
            tell(total)
    return dict(total)


def in_lines(one: OneStore, what: str, wanted: int, folder: Path, jobs: int, **more: Any) -> Counter[str]:
    """`stores` in so many operating system processes at a time, a share of it in each."""
    return together(
        [
            partial(stores, one, what, wanted * (job + 1) // jobs - wanted * job // jobs, job, jobs, **more)
            for job in range(jobs)
        ],
        folder,
    )


def together(works: Iterable[Callable[[], dict[str, int]]], folder: Path) -> Counter[str]:
    """The sum of what some works give that are done at the same time; AssertionError where one of them fails."""
    drivers = [fork(work, folder / f"driver{number}") for number, work in enumerate(works)]
    total: Counter[str] = Counter()
    with killed_at_end(drivers):
        for driver in drivers:
            if driver.wait() != 0:
                raise AssertionError(driver.tail())
            total.update(json.loads(outcome_file(driver.log, driver.pid).read_text()))
    return total


def until_grown(file: Acknowledged, children: Iterable[Forked], seconds: float) -> None:
    """Waits until something more is in a file; AssertionError where one of those who write it ends."""
    children = list(children)
    size, give_up = file.size(), time.monotonic() + seconds
    while file.size() == size:
        for one in children:
            one.check_alive()
        if time.monotonic() > give_up:
            raise AssertionError(f"nothing came for {seconds:g} s\n{children[0].tail()}")
        time.sleep(0.0005)


def command(
    module: str,
    text: str,
    option: str,
    usual: int,
    campaign: Callable[[int, int, Path, int], str],
    arguments: Sequence[str] | None,
    jobs: int = 0,
) -> int:
    """The command of a campaign: `python -m MODULE --OPTION usual --seed 1`, with the figures that it gives.

    `jobs`: stores at a time where nothing is said; 0: it has no say in that.
    """
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument(f"--{option}", dest="much", type=int, default=usual)
    parser.add_argument("--seed", type=int, default=1)
    if jobs:
        parser.add_argument("--jobs", type=int, default=jobs, help="stores at a time")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"flowmetal-{module.rpartition('.')[2]}-"))
    try:
        said = campaign(given.much, given.seed, folder, given.jobs if jobs else 0)
    except AssertionError as failed:
        print(f"{failed}\nkept: {folder}")
        print(f"FAILED: python -m {module} --{option} {given.much} --seed {given.seed}")
        return 1
    shutil.rmtree(folder)
    print(f"{said}; seed {given.seed}, {time.monotonic() - began:.0f} s")
    return 0

"""The deploy example under kill -9: at every commit in turn, before and after it, and at random moments.

Whatever is killed, and when: the right result, a log without gaps or doubles, and every outside effect once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from tests.crash.site import Run, Site, until

BEFORE, AFTER = "FLOWMETAL_KILL_BEFORE_COMMIT", "FLOWMETAL_KILL_AFTER_COMMIT"
#: Runs at the same time.
SLOTS = 3
COMMITS_MAX = 200
RANDOM_KILLS = 200
KILLS_A_RUN = 5
#: How long after a start an interpreter is killed at the latest: a run's duration.
RUN_TAKES_SECONDS = 1.6


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Site]]:
    """One for each run at the same time."""
    folder = tmp_path_factory.mktemp("crash")
    with ThreadPoolExecutor(SLOTS) as pool:
        made = list(pool.map(lambda number: Site(folder / f"site{number}"), range(SLOTS)))
    yield made
    for site in made:
        site.close()


def side_by_side(sites: list[Site], work: Callable[[Site], object]) -> None:
    """`work` at every site at once; the first failure is raised."""
    with ThreadPoolExecutor(len(sites)) as pool:
        for future in [pool.submit(work, site) for site in sites]:
            future.result()


def killed_at(site: Site, point: str, number: int, who: str = "interpreter") -> int:
    """One run in which `who`, the owner of the store, is killed at a commit, and started again -> how often it was."""
    at = "server" if who == "interpreter" else "store"
    with Run(site, f"{who}-{point.split('_')[2]}-{number}".lower(), at) as run:
        if who == "interpreter":
            run.start_all(**{point: str(number)})
        else:
            run.start("worker", **{point: str(number)})
            until("the worker owns the store", lambda: run.owner() == "worker" or run.children["worker"].poll())
            run.revive()
            run.start("service")
            run.start("interpreter")
            run.start_sender()
        run.until_done()
        run.revive()
        run.check()
    return run.kills[who]


def every_commit(sites: list[Site], point: str, who: str) -> int:
    """A run for each commit, until one ends before it comes to its commit -> how many were killed."""
    numbers: SimpleQueue[int] = SimpleQueue()
    for number in range(1, COMMITS_MAX):
        numbers.put(number)
    killed: list[int] = []
    spared: list[int] = []

    def work(site: Site) -> None:
        while not spared:
            number = numbers.get()
            (killed if killed_at(site, point, number, who) else spared).append(number)

    began = time.monotonic()
    side_by_side(sites, work)
    print(f"{who} killed {point}: {len(killed)} runs and kills, commits 1 to {max(killed)}, "
          f"{time.monotonic() - began:.0f} s")  # fmt: skip
    return len(killed)


@pytest.mark.parametrize("point", [AFTER, BEFORE])
def test_one_interpreter_after_the_other_is_killed(sites: list[Site], point: str) -> None:
    """One run through a chain of interpreters, each of which dies at one of its commits, a different one each time
    (a request whose server always dies at the same point comes to rest after its retries, as it should)."""
    numbers = [6, 9, 12, 8, 11, 7, 10]
    with Run(sites[0], f"chain-{point.split('_')[2]}".lower(), "server") as run:

        def start(name: str) -> None:
            number = numbers.pop(0) if name == "interpreter" and numbers else 0
            run.start(name, **({point: str(number)} if number else {}))

        start("interpreter")
        run.start("service")
        run.start("worker")
        run.start_sender()
        run.until_done(start)
        run.check()
    assert run.kills["interpreter"] >= 3, run.kills


def test_some_commits_of_each_kind(sites: list[Site]) -> None:
    """A few commits out of all, others each time."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    jobs: SimpleQueue[tuple[str, int, str] | None] = SimpleQueue()
    for who, point in (("interpreter", AFTER), ("interpreter", BEFORE), ("worker", AFTER)):
        jobs.put((point, chance.randrange(1, 50), who))
    for _ in sites:
        jobs.put(None)

    def work(site: Site) -> None:
        while (job := jobs.get()) is not None:
            killed_at(site, *job)

    side_by_side(sites, work)


@pytest.mark.crash
@pytest.mark.parametrize("who", ["interpreter", "worker"])
@pytest.mark.parametrize("point", [AFTER, BEFORE])
def test_every_commit_in_turn(sites: list[Site], point: str, who: str) -> None:
    assert every_commit(sites, point, who) >= 30


@pytest.mark.crash
def test_random_moments(sites: list[Site]) -> None:
    """SIGKILL at moments spread over the whole run, start-up included; the store changes its owner on the way."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    jobs: SimpleQueue[int] = SimpleQueue()
    for number in range(10_000):
        jobs.put(number)
    runs: list[Run] = []
    began = time.monotonic()

    def count(name: str) -> int:
        return sum(run.kills[name] for run in runs)

    def work(site: Site) -> None:
        while count("interpreter") < RANDOM_KILLS:
            number = jobs.get()
            runs.append(killed_at_random(site, number, random.Random(f"{seed} {number}")))

    side_by_side(sites, work)
    print(f"random: seed {seed}, {len(runs)} runs, {count('interpreter')} kills of the interpreter, "
          f"{count('worker')} of the worker, {time.monotonic() - began:.0f} s")  # fmt: skip


def killed_at_random(site: Site, number: int, chance: random.Random) -> Run:
    """One run with some kills; in every third run of the worker too."""
    with Run(site, f"random-{number}", ("store", "server")[number % 2]) as run:
        run.start_all()
        with run.open() as store:
            for _ in range(KILLS_A_RUN):
                moment = time.monotonic() + chance.uniform(0, RUN_TAKES_SECONDS)
                while time.monotonic() < moment and not run.over(store):
                    time.sleep(0.005)
                if run.over(store):
                    break
                for name in ("interpreter", "worker")[: 2 if number % 3 == 0 and chance.random() < 0.5 else 1]:
                    run.kill(name)
                    if chance.random() < 0.5:
                        time.sleep(chance.uniform(0, 0.2))
                    run.start(name)
        run.until_done()
        run.check()
    return run

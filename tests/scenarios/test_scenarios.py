"""Every scenario comes to the same however it is disturbed: result, log as bytes, and effects outside."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import count

import pytest

from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import turns
from flowmetal.engine.draft import Draft
from flowmetal.engine.interpreter import Interpreter
from flowmetal.values import LanguageError
from tests.scenarios import outside
from tests.scenarios.__main__ import main
from tests.scenarios.data import Scenario, named, scenarios
from tests.scenarios.outside import Service
from tests.scenarios.page import PAGE, page
from tests.scenarios.ways import Seen, Way, all_ways, compare, line, run, some_ways, unmet


def check(scenario: Scenario, ways: Iterator[Way], whole: Seen) -> None:
    for way in ways:
        seen = run(scenario, way)
        found = compare(scenario, way, whole, seen)
        assert not found, f"{found[0]}\nto repeat it:\n  {line(scenario, way)}"


@pytest.mark.parametrize("scenario", scenarios(), ids=str)
def test_scenario(scenario: Scenario) -> None:
    whole = run(scenario)
    found = unmet(scenario, whole)
    assert not found, f"{found}\nto repeat it:\n  {line(scenario, Way())}"
    check(scenario, some_ways(whole), whole)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", scenarios(), ids=str)
def test_scenario_in_all_ways(scenario: Scenario) -> None:
    whole = run(scenario)
    check(scenario, all_ways(whole), whole)


def test_there_are_many_and_each_says_whose_promise_it_shows() -> None:
    assert len(scenarios()) >= 120
    for scenario in scenarios():
        assert scenario.shows.endswith(".") and scenario.promised, scenario.name
        expected = (scenario.result, scenario.error, scenario.log, scenario.effects)
        assert scenario.status != "done" or any(expected), scenario.name


@pytest.mark.parametrize(
    "way",
    [Way(), Way(kill=3), Way(kill_every=2, forget=True), Way(kill_call=2), Way(cut=5, interpreters=2)],
    ids=str,
)
def test_the_line_of_a_run_repeats_it(way: Way, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = named("a step done by a function of the interpreter")
    words = shlex.split(line(scenario, way))
    assert words[:3] == ["python", "-m", "tests.scenarios"]
    assert main(words[3:]) == 0
    seen = run(scenario, way)
    assert f"{seen.commits} commits, {seen.crashes} deaths" in capsys.readouterr().out


def test_a_message_that_comes_while_a_receive_is_given_up_is_not_lost() -> None:
    """The turn was cut between looking at the request and withdrawing it."""
    scenario = named("a lease is over")
    whole = run(scenario)
    check(scenario, iter([Way(cut=3)]), whole)


def test_the_page_is_current() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "run `make docs`"


#: What is broken in the engine, and a scenario that has to notice.
BROKEN = {
    "no key stays the same": "a worker vanishes after it had its effect",
    "what came is not saved": "a finished step is not done again",
    "an open request is forgotten": "a step done by a function of the interpreter",
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_harness_notices_an_engine_that_is_broken(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = named(BROKEN[what])
    whole = run(scenario)
    assert not unmet(scenario, whole)
    if what == "no key stays the same":
        fresh = count()
        work = Service.work
        monkeypatch.setattr(Service, "work", lambda self, key, *rest: work(self, f"{key}-{next(fresh)}", *rest))
        assert unmet(scenario, run(scenario))
        return
    monkeypatch.setattr(outside, "ROUNDS_MAX", 500)
    if what == "what came is not saved":
        monkeypatch.setattr(turns, "_save_rest", lambda draft, process: None)
        monkeypatch.setattr(Draft, "segment", lambda self, process: b"")
    else:
        monkeypatch.setattr(Interpreter, "_call_open", lambda self, live: None)
    assert any(_differs(scenario, way, whole) for way in all_ways(whole))


def _differs(scenario: Scenario, way: Way, whole: Seen) -> bool:
    try:
        return bool(compare(scenario, way, whole, run(scenario, way)))
    except (FlowmetalError, LanguageError, outside.Runaway):
        return True

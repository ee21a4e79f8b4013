"""Runs one test in a world of its own and says what came of it, in texts: nothing of the program gets out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.draft import FUEL as TURN_FUEL
from flowmetal.engine.events import LocalDone, value_text
from flowmetal.engine.live import load
from flowmetal.engine.starting import marked_spawned
from flowmetal.engine.testing.chaos import Chaos
from flowmetal.engine.testing.suite import LIBRARY, RUN, Suite, Test
from flowmetal.engine.testing.world import DELIVER, FUEL, NEXT, REPLY, Stopped, TestWorld
from flowmetal.store.interface import Request, Start
from flowmetal.values import ErrorValue, Map, Vector, encode_value, keyword, print_string
from flowmetal.vm import Process, run
from flowmetal.vm.faults import with_trace

#: Lines of a trace that are told, and lines of the log.
TRACE_MAX = 10
LOG_MAX = 10

#: Characters of an error's message and data.
TEXT_MAX = 2_000

#: Requests named where a test waits for ever.
WAITS_MAX = 5

_NOWHERE = keyword("flowmetal/nowhere")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error: its kind or code, what it says, where it came from, innermost place first."""

    kind: str  # ":type", or a code, "V330"
    message: str
    data: str = ""
    hint: str = ""
    trace: tuple[str, ...] = ()  # "shop.orders/total src/orders.fm:12"


@dataclass(frozen=True, slots=True)
class Report:
    """What one check found: "fail" (it does not hold) or "error" (something was thrown)."""

    type: str
    place: str = ""  # "tests/orders.fm:12"
    contexts: tuple[str, ...] = ()
    message: str = ""
    expected: str = ""
    actual: str = ""
    differences: tuple[tuple[str, str | None, str | None], ...] = ()  # path, left, right
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a test.  `seed`: of the schedule that it ran under; None where it ran plainly."""

    test: Test
    seed: int | None
    passed: int  # checks that hold
    failed: int
    errors: int
    reports: tuple[Report, ...]
    log: tuple[str, ...] = ()  # the last lines it logged
    steps: int = 0
    crashes: int = 0
    virtual_ns: int = 0  # how far its clock went

    @property
    def ok(self) -> bool:
        """Whether all of it held."""
        return not self.failed and not self.errors


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a test under all its schedules: the first run that failed, else the first."""

    result: Result
    plain: bool  # it was run without chaos before, and passed if another run failed
    schedules: int  # that it was run under

    @property
    def ok(self) -> bool:
        """Whether it passed under all of them."""
        return self.result.ok


def judge(suite: Suite, test: Test, seeds: Iterable[int] = (), plain: bool = True, fuel: int = FUEL) -> Verdict:
    """Runs a test plainly, and under the schedules of some seeds up to the first under which it fails."""
    first = run_test(suite, test, None, fuel) if plain else None
    if first is not None and not first.ok:
        return Verdict(first, plain, 0)
    schedules = 0
    for seed in seeds:
        result = run_test(suite, test, seed, fuel)
        schedules += 1
        first = first or result
        if not result.ok:
            return Verdict(result, plain, schedules)
    assert first is not None, "a test is run plainly or under some schedule"
    return Verdict(first, plain, schedules)


def run_test(suite: Suite, test: Test, seed: int | None = None, fuel: int = FUEL) -> Result:
    """Runs a test once: plainly, or under the schedule of a seed."""
    chaos = Chaos(seed, test.name) if seed is not None else None
    world = TestWorld(suite.program, chaos, fuel)
    table = suite.program.table
    arguments = encode_value(marked_spawned(Vector.of([test.function, Vector.of(test.fixtures)])), table)
    start = Start(function=RUN, arguments=arguments, artifact=suite.program.program.hash)
    pid: int = world.store.submit([start]).result()[0][0]
    began = world.clock()
    stopped: Stopped | None = None
    try:
        world.run(pid)
    except Stopped as caught:
        stopped = caught
    ran = world.outcome(pid)
    found = ran.value if ran.status == "done" else None
    problem: Problem | None = None
    if stopped is not None:
        problem = _stopped(suite, world, pid, stopped)
    elif ran.error is not None:
        problem = _error(suite, ran.error)
    elif ran.status == "paused":
        record = world.store.process(pid)
        reason = record.error if record is not None else ""
        problem = _catalogued(suite, FlowmetalError("V334", reason=reason), _process(world, pid), None)
    elif ran.status != "done":
        problem = _waits(suite, world, pid)
    if not isinstance(found, Map):
        found = _partial(stopped.process if stopped is not None else None) or _partial(_process(world, pid))
    reports = [_report(suite, entry) for entry in found.get(keyword("reports"), ())] if found is not None else []
    if problem is not None:
        reports.append(Report("error", problem=problem))
    log = [_line(event) for event in ran.log if isinstance(event, LocalDone) and event.effect == "log"]
    return Result(
        test=test,
        seed=seed,
        passed=_count(found, "passed"),
        failed=_count(found, "failed"),
        errors=_count(found, "errors") + (problem is not None),
        reports=tuple(reports),
        log=tuple(log[-LOG_MAX:]),
        steps=len(ran.log),
        crashes=world.crashes,
        virtual_ns=world.clock() - began,
    )


def _count(found: Map | None, name: str) -> int:
    value = found.get(keyword(name)) if found is not None else 0
    return value if value.__class__ is int else 0


def _line(event: LocalDone) -> str:
    return value_text(event.payload)


def _process(world: TestWorld, pid: int) -> Process | None:
    """The process of a test that has not ended, brought to its wait."""
    record = world.store.process(pid)
    if record is None or not record.sequence or record.status in ("done", "failed", "cancelled"):
        return None
    try:
        live = load(world.store, record, world.programs or world.interpreter.programs)
    except FlowmetalError:
        return None
    if live.process is not None and record.status == "waiting":
        run(live.process, TURN_FUEL)
    return live.process


def _partial(process: Process | None) -> Map | None:
    """What a test has found that did not come to its end."""
    cell = process.globals.get((LIBRARY, "results")) if process is not None else None
    found = getattr(cell, "value", None)
    return found if isinstance(found, Map) else None


# ---- reports -----------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    return value if value.__class__ is str else "" if value is None else print_string(value, limit=TEXT_MAX)


def _get(entry: Any, name: str) -> Any:
    return entry.get(keyword(name)) if isinstance(entry, Map) else None


def _report(suite: Suite, entry: Any) -> Report:
    """A report as the module `test` made it."""
    site = _get(entry, "site")
    place = _get(site, "place")
    differences = tuple(
        (_text(_get(one, "path")), _maybe(_get(one, "left")), _maybe(_get(one, "right")))
        for one in _get(entry, "diff") or ()
    )
    error = _get(entry, "error")
    problem = None
    if error is not None:
        problem = Problem(
            _text(_get(error, "kind")),
            _text(_get(error, "message")),
            _text(_get(error, "data")),
            trace=_trace(suite, _get(error, "trace")),
        )
    return Report(
        type="fail" if _get(entry, "type") is keyword("fail") else "error",
        place=f"{place.get(0)}:{place.get(1)}" if isinstance(place, Vector) else "",
        contexts=tuple(_text(context) for context in _get(entry, "contexts") or ()),
        message=_text(_get(entry, "message")),
        expected=_text(_get(site, "form")),
        actual=_text(_get(entry, "actual")),
        differences=differences,
        problem=problem,
    )


def _maybe(value: Any) -> str | None:
    return None if value is None else _text(value)


def _error(suite: Suite, error: ErrorValue) -> Problem:
    data = "" if error.data is None else print_string(error.data, limit=TEXT_MAX)
    return Problem(f":{error.kind.text}", error.message[:TEXT_MAX], data, trace=_trace(suite, error.trace))


def _trace(suite: Suite, trace: Any) -> tuple[str, ...]:
    """The lines of a trace that are in the project: what the library does in between says nothing to a reader."""
    lines = []
    for row in trace if isinstance(trace, Vector) else ():
        function, file, line = _get(row, "function"), _get(row, "file"), _get(row, "line")
        if function.__class__ is str and function.partition("/")[0] not in suite.library:
            lines.append(f"{function} {file}:{line}" if file is not None else function)
    return tuple(lines[:TRACE_MAX])


# ---- what ends a test from outside ---------------------------------------------------------------------------------


def _stopped(suite: Suite, world: TestWorld, pid: int, stopped: Stopped) -> Problem:
    where = stopped.request.pid if stopped.request is not None else pid
    process = stopped.process if stopped.process is not None else _process(world, where)
    return _catalogued(suite, stopped.problem, process, stopped.request)


def _waits(suite: Suite, world: TestWorld, pid: int) -> Problem:
    own = {NEXT, REPLY, DELIVER}
    open = [request for request in world.store.open_requests(pid) if request.effect not in own]
    named = ", ".join(f":{request.effect}" for request in open[:WAITS_MAX])
    more = f" and {len(open) - WAITS_MAX} more" if len(open) > WAITS_MAX else ""
    waits = f"{named}{more}" if open else "a promise that nobody keeps"
    problem = FlowmetalError("V331", waits=waits)
    return _catalogued(suite, problem, _process(world, pid), open[0] if open else None)


def _catalogued(suite: Suite, problem: FlowmetalError, process: Process | None, request: Request | None) -> Problem:
    """A problem of the catalogue, at the place of the fiber that it is about."""
    diagnostic = problem.diagnostic
    return Problem(diagnostic.code, diagnostic.text, hint=diagnostic.hint, trace=_where(suite, process, request))


def _where(suite: Suite, process: Process | None, request: Request | None) -> tuple[str, ...]:
    """The frames of the fiber that waits for a request, or is about to run."""
    if process is None:
        return ()
    number = process.request_waits.get(request.number) if request is not None else None
    if number is None:
        number = process.ready[0] if process.ready else min(process.fibers, default=None)
    fiber = process.fibers.get(number) if number is not None else None
    if fiber is None:
        return ()
    return _trace(suite, with_trace(fiber, None, 0, ErrorValue(_NOWHERE, "", None)).trace)

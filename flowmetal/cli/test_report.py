"""What came of tests, for people, as a JSON document and as JUnit XML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

from flowmetal.dataclass import dataclass
from flowmetal.diagnostics.excerpt import clean
from flowmetal.engine.testing import Problem, Report, Result, Verdict

_RED, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours, on a terminal."""

    on: bool

    def bad(self, text: str) -> str:
        """What went wrong."""
        return f"{_RED}{_BOLD}{text}{_PLAIN}" if self.on else text

    def good(self, text: str) -> str:
        """What went well."""
        return f"{_GREEN}{text}{_PLAIN}" if self.on else text


@dataclass(frozen=True, slots=True)
class Timed:
    """A verdict, and how long it took to come to."""

    verdict: Verdict
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """All that was run.  `chosen`: tests that were to be run; `chaos`: schedules of each; `seed`: of the only one."""

    verdicts: tuple[Timed, ...]
    chosen: int
    seconds: float
    chaos: int
    seed: int | None

    @property
    def ok(self) -> bool:
        """Whether every test passed."""
        return all(timed.verdict.ok for timed in self.verdicts)


# ---- for people --------------------------------------------------------------------------------------------------


def verdict_text(verdict: Verdict, repeat: str, paint: Paint, verbose: bool) -> str:
    """A test that failed, in full; one that passed in a line if `verbose`, else ""."""
    result = verdict.result
    place = f"  {result.test.place.file}:{result.test.place.line}" if result.test.place is not None else ""
    if verdict.ok:
        if not verbose:
            return ""
        took = f", {_time_text(result.virtual_ns)} of virtual time" if result.virtual_ns else ""
        under = f", {_count(verdict.schedules, 'schedule')}" if verdict.schedules else ""
        told = f"{_count(result.passed, 'check')}{took}{under}"
        return f"{paint.good('ok')}    {clean(result.test.name)}{clean(place)}  {told}"
    lines = [f"{paint.bad(_outcome(result).upper().ljust(5))} {clean(result.test.name)}{clean(place)}"]
    for report in result.reports:
        lines += ["", *(f"  {clean(line)}" for line in _report_lines(report))]
    untold = result.failed + result.errors - len(result.reports)
    if untold > 0:
        lines += ["", f"  and {untold} more"]
    if result.log:
        lines += ["", "  the last it logged:", *(f"    {clean(line)}" for line in result.log)]
    if result.seed is not None:
        again = "" if not verdict.plain else "; it passes without chaos"
        lines += ["", f"  under the schedule of seed {result.seed}{again}; to repeat it:"]
        lines += [f"    {clean(repeat)} --seed {result.seed}"]
    return "\n".join([*lines, ""])


def _report_lines(report: Report) -> Iterator[str]:
    where = f"{report.place}  " if report.place else ""
    contexts = " > ".join(report.contexts)
    if where or contexts:
        yield f"{where}{contexts}".rstrip()
    if report.message:
        yield from report.message.split("\n")
    if report.expected:
        yield from _labelled("expected: ", report.expected)
    if report.actual:
        yield from _labelled("actual:   ", report.actual)
    for path, left, right in report.differences:
        at = f"at {path}: " if path != "[]" else ""
        if right is None:
            yield f"  {at}only on the left: {left}"
        elif left is None:
            yield f"  {at}only on the right: {right}"
        else:
            yield f"  {at}{left} on the left, {right} on the right"
    if report.problem is not None:
        yield from _problem_lines(report.problem)


def _labelled(label: str, text: str) -> Iterator[str]:
    first, *more = text.split("\n")
    yield label + first
    for line in more:
        yield " " * len(label) + line


def _problem_lines(problem: Problem) -> Iterator[str]:
    kind = problem.kind if problem.kind.startswith(":") else f"[{problem.kind}]"
    yield from _labelled(f"{kind} ", problem.message)
    if problem.data:
        yield from _labelled("  data: ", problem.data)
    for place in problem.trace:
        yield f"  at {place}"
    if problem.hint:
        yield problem.hint


def summary(run: Run, paint: Paint) -> str:
    """The last line: how many, what of them, how long."""
    results = [timed.verdict for timed in run.verdicts]
    passed = sum(verdict.ok for verdict in results)
    checks = sum(verdict.result.passed + verdict.result.failed for verdict in results)
    parts = [f"{passed} passed"]
    if passed < len(results):
        parts.append(f"{len(results) - passed} failed")
    if len(results) < run.chosen:
        parts.append(f"{run.chosen - len(results)} not run")
    under = ""
    if run.seed is not None:
        under = f" under the schedule of seed {run.seed}"
    elif run.chaos:
        under = f" under {_count(run.chaos, 'schedule')}"
    counted = paint.good(", ".join(parts)) if run.ok else paint.bad(", ".join(parts))
    return f"{_count(run.chosen, 'test')}{under}: {counted}; {_count(checks, 'check')}; {run.seconds:.2f} s"


def _time_text(nanoseconds: int) -> str:
    """A length of time by its two largest units: "2d 20m", "7s", "250ms"."""
    left = nanoseconds // 1_000_000
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2]) or "0ms"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _outcome(result: Result) -> str:
    return "ok" if result.ok else "fail" if result.failed else "error"


# ---- for programs ------------------------------------------------------------------------------------------------


def document(run: Run) -> dict[str, Any]:
    """The document of --json."""
    return {
        "ok": run.ok,
        "tests": [_test_document(timed) for timed in run.verdicts],
        "summary": {
            "tests": run.chosen,
            "passed": sum(timed.verdict.ok for timed in run.verdicts),
            "failed": sum(not timed.verdict.ok for timed in run.verdicts),
            "not_run": run.chosen - len(run.verdicts),
            "schedules": run.chaos,
            "seed": run.seed,
            "seconds": round(run.seconds, 3),
        },
    }


def _test_document(timed: Timed) -> dict[str, Any]:
    result = timed.verdict.result
    place = result.test.place
    return {
        "name": result.test.name,
        "file": place.file if place is not None else None,
        "line": place.line if place is not None else None,
        "outcome": _outcome(result),
        "checks": result.passed + result.failed,
        "seed": result.seed,
        "schedules": timed.verdict.schedules,
        "virtual_ns": result.virtual_ns,
        "steps": result.steps,
        "reports": [_report_document(report) for report in result.reports],
        "log": list(result.log),
        "seconds": round(timed.seconds, 3),
    }


def _report_document(report: Report) -> dict[str, Any]:
    return {
        "type": report.type,
        "place": report.place or None,
        "contexts": list(report.contexts),
        "message": report.message or None,
        "expected": report.expected or None,
        "actual": report.actual or None,
        "differences": [{"path": path, "left": left, "right": right} for path, left, right in report.differences],
        "error": _problem_document(report.problem),
    }


def _problem_document(problem: Problem | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    return {
        "kind": problem.kind,
        "message": problem.message,
        "data": problem.data or None,
        "hint": problem.hint or None,
        "trace": list(problem.trace),
    }


def junit(run: Run) -> bytes:
    """The run as JUnit XML, as CI servers read it: a suite for each module."""
    root = ElementTree.Element("testsuites", name="flowc test", time=f"{run.seconds:.3f}")
    for module, timed in groupby(run.verdicts, key=lambda timed: timed.verdict.result.test.name.rpartition("/")[0]):
        _suite(root, module, list(timed))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return data + b"\n"


def _suite(root: ElementTree.Element, module: str, timed: list[Timed]) -> None:
    results = [one.verdict.result for one in timed]
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=_xml(module),
        tests=str(len(timed)),
        failures=str(sum(_outcome(result) == "fail" for result in results)),
        errors=str(sum(_outcome(result) == "error" for result in results)),
        time=f"{sum(one.seconds for one in timed):.3f}",
    )
    for one, result in zip(timed, results, strict=True):
        name = result.test.name.rpartition("/")[2]
        case = ElementTree.SubElement(
            suite, "testcase", classname=_xml(module), name=_xml(name), time=f"{one.seconds:.3f}"
        )
        for report in result.reports:
            tag = "failure" if report.type == "fail" else "error"
            lines = list(_report_lines(report))
            found = ElementTree.SubElement(case, tag, message=_xml(_title(report, lines)))
            found.text = _xml("\n".join(lines))


def _title(report: Report, lines: Iterable[str]) -> str:
    if report.problem is not None:
        return f"{report.problem.kind} {report.problem.message}"[:300]
    return (report.message or report.expected or next(iter(lines), ""))[:300]


def _xml(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return clean(text)

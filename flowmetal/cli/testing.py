"""`flowc test`: runs the tests of a program.  Parses, calls, renders; test_report.py has the renderings."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowmetal.cli import common
from flowmetal.cli.options import Debug, Json

if TYPE_CHECKING:
    from flowmetal.engine.testing import Suite, Test

#: Schedules of one run: a night's worth.
CHAOS_MAX = 100_000
SEED_MAX = (1 << 63) - 1
FUEL_MIN, FUEL_MAX = 1_000, 10_000_000_000

Paths = Annotated[
    list[Path] | None, typer.Argument(help="Source files (.fm), or folders of them; default: the project.")
]


def test(
    paths: Paths = None,
    filter: Annotated[str | None, typer.Option(help="Only tests in whose full name this regex is found.")] = None,
    chaos: Annotated[str, typer.Option(metavar="INTEGER", help="Run each test under so many schedules as well.")] = "0",
    seed: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Run each test under the schedule of this seed only.")
    ] = None,
    fuel: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Calls and loop turns of one test; default 10000000.")
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop after the first test that fails.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write a report for CI servers, as JUnit XML.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name the tests that pass as well.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Runs tests (deftest), with virtual time; exit code 1 if one fails."""
    from flowmetal.cli import test_report
    from flowmetal.engine.testing import judge
    from flowmetal.engine.testing.world import FUEL

    began = time.monotonic()
    given = paths or []
    schedules = common.number("--chaos", chaos, 0, CHAOS_MAX)
    chosen = None if seed is None else common.number("--seed", seed, 0, SEED_MAX)
    calls = None if fuel is None else common.number("--fuel", fuel, FUEL_MIN, FUEL_MAX)
    suite = _suite(given)
    tests = _chosen(suite, filter, given)
    seeds = range(1, schedules + 1) if chosen is None else (chosen,)
    painted = not as_json and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    paint = test_report.Paint(painted)
    verdicts = []
    for one in tests:
        started = time.monotonic()
        verdict = judge(suite, one, seeds, plain=chosen is None, fuel=calls or FUEL)
        timed = test_report.Timed(verdict, time.monotonic() - started)
        verdicts.append(timed)
        if not as_json:
            text = test_report.verdict_text(verdict, _repeat(given, one.name, calls), paint, verbose)
            if text:
                typer.echo(text)
        if fail_fast and not verdict.ok:
            break
    elapsed = time.monotonic() - began
    run = test_report.Run(tuple(verdicts), len(tests), elapsed, schedules if chosen is None else 0, chosen)
    if junit is not None:
        try:
            junit.write_bytes(test_report.junit(run))
        except OSError as problem:
            common.usage("U108", path=str(junit), problem=problem.strerror or str(problem))
    common.emit(test_report.document(run), as_json, lambda: test_report.summary(run, paint))
    if not run.ok:
        raise typer.Exit(common.FAILED)


def _suite(paths: list[Path]) -> Suite:
    """The tests of the project that the paths are in, or of the sources that they are."""
    from flowmetal.cli import projects
    from flowmetal.cli.reading import read_sources
    from flowmetal.diagnostics import CompileFailed
    from flowmetal.engine.manifest import find_manifest
    from flowmetal.engine.project import open_project
    from flowmetal.engine.testing import build_suite

    manifest = projects.manifest_of(paths)
    if manifest is not None:
        paths = []
    else:
        manifest = find_manifest(Path.cwd())
    if manifest is not None:
        project = open_project(manifest)
        files = {**project.sources, **project.tests}
        only = _within(paths, project.root, files) if paths else set(files)
        if only:
            try:
                return build_suite(project.inputs(with_tests=True), only, project.cache())
            except CompileFailed as failed:
                texts = {name: data.decode("utf-8", "replace") for name, data in files.items()}
                common.show_diagnostics(failed.diagnostics, texts)
                raise typer.Exit(common.FAILED) from None
    return build_suite(read_sources(paths))


def _within(paths: list[Path], root: Path, files: Iterable[str]) -> set[str]:
    """The files of a project that paths name, themselves or by a folder; none if a path names none of them."""
    found: set[str] = set()
    for path in paths:
        full = path.resolve()
        named = {file for file in files if (root / file).resolve().is_relative_to(full)}
        if not named:
            return set()
        found |= named
    return found


def _chosen(suite: Suite, filter: str | None, paths: list[Path]) -> list[Test]:
    """The tests whose names a filter finds; none at all is an error."""
    tests = list(suite.tests)
    where = f"in {', '.join(map(str, paths)) or 'this project'}"
    if filter is not None:
        from flowmetal.values.regex import BadPattern, compile_pattern

        try:
            pattern = compile_pattern(filter)
        except BadPattern as problem:
            common.usage("U103", what="--filter", found=filter[:200], expected=f"a regex ({problem.reason})")
        tests = [one for one in tests if pattern.search(one.name)]
        where += f" that --filter {filter[:200]} finds"
    if not tests:
        common.usage("U140", where=where)
    return tests


def _repeat(paths: list[Path], name: str, fuel: int | None) -> str:
    """The command that runs one test again, but for its seed."""
    words = ["flowc", "test", *map(str, paths), "--filter", f"^{re.escape(name)}$"]
    if fuel is not None:
        words += ["--fuel", str(fuel)]
    return shlex.join(words)

"""What `flowc` does with a project: finds it, builds it, checks it, makes a new one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import typer

from flowmetal.cli import common
from flowmetal.cli.writing import write_artifact
from flowmetal.engine.manifest import FILE, Manifest, find_manifest, read_manifest
from flowmetal.engine.opening import Built

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}\Z")


def manifest_of(paths: list[Path] | None) -> Manifest | None:
    """The project that arguments mean: none at all, that around the current folder; one folder, its own if it has one.

    U180 where there are no arguments and no project.
    """
    if not paths:
        here = Path.cwd()
        found = find_manifest(here)
        if found is None:
            common.usage("U180", path=str(here))
        return found
    if len(paths) == 1 and (paths[0] / FILE).is_file():
        return read_manifest(paths[0] / FILE)
    return None


def build(
    manifest: Manifest,
    output: Path | None,
    name: str | None,
    strip: bool,
    bundle: bool,
    cached: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Builds a project and says what came of it."""
    from flowmetal.diagnostics import CompileFailed
    from flowmetal.engine.project import build_project, open_project

    project = open_project(manifest)
    try:
        built, compiled = build_project(project, name, strip, bundle, cached)
    except CompileFailed as failed:
        _failed(failed, project.sources)
    if strict and built.warnings:
        common.show_diagnostics(built.warnings, _texts(project.sources))
        raise typer.Exit(common.FAILED)
    common.show_warnings(built.warnings, _texts(project.sources))
    target = output if output is not None else _shown(project.output(built.name))
    write_artifact(target, built.data, folders=output is None)
    document = {
        "artifact": str(target),
        "name": built.name,
        "project": manifest.name,
        "version": manifest.version,
        "hash": built.hash.hex(),
        "bytes": len(built.data),
        "modules": len(compiled.modules),
        "compiled": len(compiled.modules) - compiled.kept,
        **common.warnings_json(built.warnings),
    }
    common.emit(
        document,
        as_json,
        lambda: (
            f"{target}  {len(built.data)} bytes  {built.hash.hex()[:16]}  "
            f"{document['compiled']} of {len(compiled.modules)} modules compiled"
        ),
    )


def check(manifest: Manifest, strict: bool, as_json: bool) -> None:
    """Says what is wrong with the sources and the tests of a project."""
    from flowmetal.diagnostics import CompileFailed
    from flowmetal.engine.incremental import compile_modules
    from flowmetal.engine.project import open_project

    project = open_project(manifest)
    files = {**project.sources, **project.tests}
    try:
        compile_modules(project.inputs(), project.cache())  # on its own, for what only tests could supply
        compiled = compile_modules(project.inputs(with_tests=True), project.cache())
    except CompileFailed as failed:
        _failed(failed, files)
    if compiled.warnings or as_json:
        common.show_diagnostics(compiled.warnings, _texts(files))
    if strict and compiled.warnings:
        raise typer.Exit(common.FAILED)
    if not as_json:
        typer.echo(f"{len(files)} checked, no errors")


def compile_project(manifest: Manifest) -> Built:
    """The program of a project, to run or deploy it."""
    from flowmetal.diagnostics import CompileFailed
    from flowmetal.engine.project import build_project, open_project

    project = open_project(manifest)
    try:
        return build_project(project)[0]
    except CompileFailed as failed:
        _failed(failed, project.sources)


def new(name: str) -> list[Path]:
    """Makes a project in a folder of its name; the folder and the files in it.  U181, U182, U108."""
    if not _NAME.match(name):
        common.usage("U182", name=name[:100])
    folder = Path(name)
    if folder.exists() or folder.is_symlink():
        common.usage("U181", path=str(folder))
    made = [folder]
    for path, text in _FILES.items():
        file = folder / path.replace("NAME", name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("NAME", name))
        except OSError as problem:
            common.usage("U108", path=str(file), problem=problem.strerror or str(problem))
        made.append(file)
    return made


def _failed(failed: Exception, files: dict[str, bytes]) -> NoReturn:
    diagnostics = getattr(failed, "diagnostics", ())
    common.show_diagnostics(diagnostics, _texts(files))
    raise typer.Exit(common.FAILED)


def _texts(files: dict[str, bytes]) -> dict[str, str]:
    return {name: data.decode("utf-8", "replace") for name, data in files.items()}


def _shown(path: Path) -> Path:
    """A path as people write it from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


_FILES = {
    FILE: """\
[project]
name = "NAME"
version = "0.1.0"
main = "NAME.main"
""",
    "src/NAME/main.fm": """\
(ns NAME.main
  "What NAME does.")

(defn greeting
  "A friendly line for somebody."
  [name :- string?] :- string?
  (str "Hello, " name "!"))

(defn main
  "Runs when nothing else is asked for."
  []
  (greeting "world"))
""",
    "test/NAME/main-test.fm": """\
(ns NAME.main-test
  (:require [NAME.main :as main]
            [test :refer :all]))

(deftest greets
  (is (= "Hello, you!" (main/greeting "you"))))
""",
    "README.md": """\
# NAME

    flowc check                          # is anything wrong?
    flowc test                           # runs the tests
    flowc build                          # makes build/NAME.main.fmc
    flowvm run build/NAME.main.fmc       # runs it once, in memory

Sources are in `src`, tests in `test`: src/NAME/main.fm holds the module `NAME.main`.
""",
    ".gitignore": "build/\n",
}

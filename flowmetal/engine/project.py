"""Projects: folders with a flowmetal.toml.  Finds their sources, and builds them with what the last build has kept.

A module's name follows from its path below a folder of sources: src/shop/orders.fm holds `shop.orders`.  In a project
without a folder `src` that does not say where its sources are, every .fm file is one, and modules are called as they
say.  Names of files in traces and messages are relative to the project, so that it builds to the same bytes anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.link import link
from flowmetal.bytecode.program import Module
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import FlowmetalError, suggest
from flowmetal.engine.build import pack
from flowmetal.engine.files import read_file
from flowmetal.engine.incremental import Compiled, Inputs, compile_modules
from flowmetal.engine.library import standard_library
from flowmetal.engine.manifest import Manifest, find_manifest, read_manifest
from flowmetal.engine.module_cache import ModuleCache
from flowmetal.engine.opening import Built
from flowmetal.vm.builtins.registry import builtin_arity

__all__ = ["Manifest", "Project", "build_project", "find_manifest", "open_project", "read_manifest"]

#: Folders that no sources are looked for in.
BUILD_FOLDER = "build"

#: Where what a build finds out is kept.
CACHE_FOLDER = "build/cache"

#: Source files of a project; a program has at most 4096 modules.
FILES_MAX = 4096

#: Bytes of all sources of a project; they are held in memory.
SOURCE_BYTES_MAX = 256 << 20

#: Modules that a message lists.
LISTED_MAX = 10


@dataclass(frozen=True, slots=True)
class Project:
    """A project with the texts of its files, by path relative to it.

    strict  the names of modules must follow from their places
    """

    manifest: Manifest
    sources: dict[str, bytes]
    tests: dict[str, bytes]
    strict: bool

    @property
    def root(self) -> Path:
        """Its folder."""
        return self.manifest.root

    def expected(self, with_tests: bool) -> dict[str, str]:
        """The module that each file must hold."""
        if not self.strict:
            return {}
        manifest = self.manifest
        found = _expected(self.sources, manifest.source or ("src",))
        return {**found, **_expected(self.tests, manifest.test)} if with_tests else found

    def inputs(self, with_tests: bool = False) -> Inputs:
        """What is to be compiled; the tests too, if so wanted."""
        others = {}
        if not with_tests:
            for file, name in _expected(self.tests, self.manifest.test).items():
                others[name] = f"it is in {file}, a folder of tests"
        sources = {**self.sources, **self.tests} if with_tests else self.sources
        return Inputs(sources, self.libraries(), self.expected(with_tests), others)

    def libraries(self) -> dict[str, Module]:
        """The modules of the artifacts that it depends on.  FlowmetalError U178."""
        found: dict[str, Module] = {}
        for name, path in self.manifest.dependencies.items():
            for module in _dependency(self.manifest, name, path):
                other = found.setdefault(module.name, module)
                if other is not module and other.hash != module.hash:
                    problem = f"its module {module.name} is in another dependency as well, in another version"
                    raise FlowmetalError("U178", name=name, path=path, problem=problem)
        return found

    def cache(self) -> ModuleCache:
        """What builds have kept."""
        return ModuleCache(self.root / CACHE_FOLDER)

    def output(self, main: str) -> Path:
        """The file it is built to."""
        return self.root / (self.manifest.output or f"{BUILD_FOLDER}/{main}.fmc")


def open_project(manifest: Manifest) -> Project:
    """Reads the files of a project.  FlowmetalError U174 (no such folder), U175 (nothing in it), U177 (too much)."""
    root = manifest.root
    strict = manifest.source is not None or (root / "src").is_dir()
    folders = manifest.source or (("src",) if strict else (".",))
    for folder in folders:
        if not os.path.isdir(root / folder):  # False for a name that no system has, too
            raise FlowmetalError("U174", path=str(root / folder), key="source")
    tests = [*manifest.test]
    budget = _Budget()
    texts = _read(root, tests, (), budget)
    sources = _read(root, folders, (BUILD_FOLDER, *tests), budget)
    if not sources:
        raise FlowmetalError("U175", path=str(root), folders=", ".join(folders))
    return Project(manifest, sources, texts, strict)


def build_project(
    project: Project, main: str | None = None, strip: bool = False, bundle: bool = False, cached: bool = True
) -> tuple[Built, Compiled]:
    """Compiles a project to its artifact.  Raises CompileFailed, FlowmetalError U176 (main), U178 (dependencies)."""
    inputs = project.inputs()
    compiled = compile_modules(inputs, project.cache() if cached else None)
    name = main or main_module(project, compiled.modules)
    if all(module.name != name for module in compiled.modules):
        names = [module.name for module in compiled.modules]
        raise FlowmetalError("U176", name=name, known=_listed(names), suggestion=suggest(name, names))
    # All modules of a dependency: one that nothing names may still add to an open table.
    libraries = [module for _, module in sorted(inputs.libraries.items())]
    return pack(compiled, name, strip, bundle, libraries), compiled


def main_module(project: Project, modules: list[Module]) -> str:
    """The module the artifact is named after: that of flowmetal.toml; else the one called as the project, or `main` or
    `core` below it, or `main`; else the only one that no other requires.  FlowmetalError U179 where that is none."""
    if project.manifest.main is not None:
        return project.manifest.main
    names = [module.name for module in modules]
    name = project.manifest.name
    for candidate in (name, f"{name}.main", f"{name}.core", "main"):
        if candidate in names:
            return candidate
    required = {other for module in modules for other in module.requires}
    roots = [one for one in names if one not in required]
    if len(roots) != 1:
        raise FlowmetalError("U179", path=str(project.manifest.file), known=_listed(roots or names))
    return roots[0]


class _Budget:
    """What may still be read."""

    def __init__(self) -> None:
        self.files = FILES_MAX
        self.bytes = SOURCE_BYTES_MAX

    def take(self, path: Path) -> bytes:
        try:
            data = path.read_bytes()
        except OSError as problem:
            raise FlowmetalError("U101", path=str(path), problem=problem.strerror or str(problem)) from None
        self.files -= 1
        self.bytes -= len(data)
        if self.files < 0:
            raise FlowmetalError("U177", what="source files", limit=FILES_MAX)
        if self.bytes < 0:
            raise FlowmetalError("U177", what="bytes of source", limit=SOURCE_BYTES_MAX)
        return data


def _read(root: Path, folders: Iterable[str], without: Iterable[str], budget: _Budget) -> dict[str, bytes]:
    """The .fm files in folders, by path relative to the root, in order; each once."""
    left_out = {root / one for one in without}
    found: dict[str, bytes] = {}
    for folder in folders:
        for path in _files(root / folder, left_out):
            name = path.relative_to(root).as_posix()
            if name not in found:
                found[name] = budget.take(path)
    return dict(sorted(found.items()))


def _files(folder: Path, left_out: set[Path]) -> Iterator[Path]:
    """The .fm files below a folder.  Hidden files and folders are none of the project's, links to folders lead out."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = sorted(current.iterdir())
        except OSError:
            continue
        for path in entries:
            if path.name.startswith(".") or path in left_out:
                continue
            if path.is_dir():
                if not path.is_symlink():
                    waiting.append(path)
            elif path.suffix == ".fm" and path.is_file():
                yield path


def _expected(files: Iterable[str], folders: Iterable[str]) -> dict[str, str]:
    """The module that each file must hold; of nested folders of sources the inner one counts."""
    found = {}
    inner = sorted(folders, key=lambda folder: -len(PurePosixPath(folder).parts))
    for file in files:
        path = PurePosixPath(file)
        for folder in inner:
            if folder == "." or path.is_relative_to(folder):
                found[file] = ".".join(path.relative_to(folder).with_suffix("").parts)
                break
    return found


def _reason(problem: FlowmetalError) -> str:
    """Why a file cannot be used, as a part of a sentence that has named the file already."""
    facts = problem.facts
    if problem.code in ("U101", "U118"):
        return str(facts["problem"])
    if problem.code == "U111":
        return f"it is {facts['kind']}, and not a file"
    return problem.diagnostic.text.rstrip(".")


def _dependency(manifest: Manifest, name: str, path: str) -> list[Module]:
    """The modules of an artifact, linked with the standard library."""
    file = manifest.root / path
    try:
        artifact = decode_artifact(read_file(file), builtin_arity)
        own = standard_library().modules
        for module in artifact.modules.values():
            for required, hash in module.requires.items():
                known = artifact.modules.get(required) or own.get(required)
                if known is None or known.hash != hash:
                    problem = f"it was built against another {required}; build it again"
                    raise FlowmetalError("U178", name=name, path=path, problem=problem)
        link(artifact, lambda required, hash: own.get(required))
    except FlowmetalError as problem:
        if problem.code == "U178":
            raise
        raise FlowmetalError("U178", name=name, path=path, problem=_reason(problem)) from None
    return [module for other, module in artifact.modules.items() if other not in own]


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED_MAX
    return ", ".join(sorted(names)[:LISTED_MAX]) + (f" and {more} more" if more > 0 else "")

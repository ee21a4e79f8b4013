"""The house rules that a machine can check: who imports whom, sizes, generated pages, words that may not appear."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flowmetal"
MODULES = sorted(PACKAGE.rglob("*.py"))

#: What each package may import of the others, besides itself.
ALLOWED: dict[str, set[str]] = {
    "values": set(),
    "diagnostics": {"values"},
    "bytecode": {"values", "diagnostics"},
    "reading": {"values", "diagnostics"},
    "timetable": {"values", "diagnostics"},
    "compiler": {"values", "diagnostics", "bytecode", "reading"},
    "vm": {"values", "diagnostics", "bytecode", "reading"},
    "store": {"values", "diagnostics", "bytecode", "timetable"},
    "engine": {"values", "diagnostics", "bytecode", "reading", "compiler", "vm", "store"},
    "inspect": {"values", "diagnostics", "bytecode", "compiler", "vm", "store", "engine"},
    "connectors": {"values", "diagnostics", "bytecode", "store", "engine", "inspect", "client"},
    "server": {"values", "diagnostics", "bytecode", "store", "engine", "inspect", "connectors", "client"},
    "repl": {"values", "diagnostics", "bytecode", "store", "engine"},
    "client": {"values", "diagnostics", "bytecode", "store", "engine", "inspect"},
    "cli": set(),  # filled below
}
ALLOWED["cli"] = set(ALLOWED) - {"cli"}

#: Files beside the packages, which import nothing of ours and may be imported by all.
BESIDE = {"dataclass", "lazily", "packing"}

#: Where a library may be imported.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "ply": ("flowmetal/compiler/reader/",),
    "lmdb": ("flowmetal/store/lmdb",),
    "typer": ("flowmetal/cli/",),
    "msgpack": ("flowmetal/packing.py", "flowmetal/values/", "flowmetal/bytecode/", "flowmetal/vm/image.py", "flowmetal/store/", "flowmetal/engine/events.py"),
    "httpx2": ("flowmetal/connectors/", "flowmetal/client/"),
    "starlette": ("flowmetal/connectors/", "flowmetal/server/"),
    "uvicorn": ("flowmetal/server/",),
    # Its classes cost a third of the time that a small program takes: flowmetal/dataclass.py makes them when needed.
    "dataclasses": ("flowmetal/dataclass.py", "flowmetal/client/plain.py", "flowmetal/connectors/config.py", "flowmetal/cli/",
                    "flowmetal/inspect/views.py", "flowmetal/store/owner_lock.py"),
}  # fmt: skip

#: What the pure packages may not touch.
IMPURE = {
    "time",
    "random",
    "secrets",
    "socket",
    "threading",
    "os",
    "subprocess",
    "asyncio",
    "tempfile",
    "shutil",
    "pathlib",
}
LINES_MAX = 650


@cache
def imports(path: Path) -> list[tuple[str, bool]]:
    """Names of imported modules, and whether the import stands inside a function."""
    tree = ast.parse(path.read_text())
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, id(node) in inside))
    return found


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_go_down_only(path: Path) -> None:
    parts = path.relative_to(PACKAGE).parts
    package = parts[0] if len(parts) > 1 else ""
    for name, _ in imports(path):
        first, _, rest = name.partition(".")
        if first == "flowmetal" and package:
            target = rest.split(".")[0]
            assert not target or target in ALLOWED[package] | BESIDE | {package}, f"{package} imports {name}"
        if first in ONLY_IN:
            assert relative(path).startswith(ONLY_IN[first]), f"{first} is imported here"
        if package in ("compiler", "vm", "values", "bytecode"):
            assert first not in IMPURE, f"{package} is pure and imports {first}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_stand_at_the_top(path: Path) -> None:
    if relative(path).startswith("flowmetal/cli/"):
        return  # start-up time: a command imports what it needs
    assert [name for name, inside in imports(path) if inside] == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_what_it_is_and_fits(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert text.count("\n") <= LINES_MAX
    for word in ("TODO", "FIXME", "XXX", "NotImplementedError", "import pickle", "import marshal"):
        assert word not in text


@pytest.mark.parametrize("page", ["bytecode", "store"])
def test_generated_pages_are_current(page: str) -> None:
    made = subprocess.run(
        [sys.executable, "-m", f"flowmetal.{page}.document"], capture_output=True, text=True, check=True
    )
    assert made.stdout == (ROOT / "docs" / f"{page}.md").read_text(), "run `make docs`"


@pytest.mark.parametrize("command", ["flowc", "flowvm"])
def test_help_starts_without_heavy_imports(command: str) -> None:
    code = (
        "import sys\nsys.argv = [sys.argv[1], '--help']\n"
        f"from flowmetal.cli.{command} import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'httpx2', 'starlette', 'uvicorn', 'lmdb', 'ply', 'msgpack', 'pydantic', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "asked", [("flowc", "check", "hello.fm"), ("flowvm", "eval", "-e", "1"), ("flowvm", "run", "hello.fm")]
)
def test_small_commands_start_without_heavy_imports(asked: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "hello.fm").write_text("(ns hello)\n(defn main [] 1)")
    code = (
        "import os, sys\n"
        "heavy = {'lmdb', 'asyncio', 'httpx2', 'typer', 'starlette', 'uvicorn', 'subprocess', 'tempfile', 'dataclasses',\n"
        "  'flowmetal.engine.interpreter', 'flowmetal.diagnostics.catalogue', 'flowmetal.cli.projects', 're2'}\n"
        "os._exit = lambda code: sys.exit(code or ' '.join(heavy & set(sys.modules)) or 0)\n"
        "from flowmetal.cli import start\n"
        "getattr(start, sys.argv.pop(1))()\n"
    )
    for _ in range(2):  # the first one may have to compile the library, and to keep it
        done = subprocess.run(
            [sys.executable, "-c", code, *asked], cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", ["an artifact", "a source that was run before"])
def test_running_loads_the_machine_alone(what: str, tmp_path: Path) -> None:
    source = tmp_path / "hello.fm"
    source.write_text('(ns hello)\n(defn main [] (log "hi") "hello")')
    artifact = tmp_path / "hello.fmc"
    flowc = [sys.executable, "-m", "flowmetal.cli.flowc", "build", str(source), "-o", str(artifact)]
    subprocess.run(flowc, check=True, capture_output=True)
    code = (
        "import os, sys\nsys.argv = ['flowvm', 'run', sys.argv[1]]\n"
        "heavy = {'ply', 'ply.yacc', 'flowmetal.compiler', 'lmdb', 'pydantic', 'asyncio', 'httpx2', 'typer', 'starlette',\n"
        "  'uvicorn', 'socket', 'ssl', 're2', 'json', 'logging', 'threading', 'concurrent', 'dataclasses', 'inspect',\n"
        "  'pathlib', 'tempfile', 'subprocess', 'traceback', 'textwrap', 'random', 'base64', 'urllib', 'argparse',\n"
        "  'flowmetal.reading', 'flowmetal.store', 'flowmetal.engine.interpreter', 'flowmetal.engine.events',\n"
        "  'flowmetal.diagnostics.catalogue', 'flowmetal.diagnostics.rendering', 'importlib.metadata'}\n"
        "before = set(sys.modules)\n"
        "os._exit = lambda code: sys.exit(code or ' '.join(heavy & (set(sys.modules) - before)) or 0)\n"
        "from flowmetal.cli.start import flowvm\n"
        "flowvm()\n"
    )
    program = artifact
    if what != "an artifact":
        program = source
        subprocess.run(
            [sys.executable, "-m", "flowmetal.cli.flowvm", "run", str(source)], check=True, capture_output=True
        )
    done = subprocess.run([sys.executable, "-c", code, str(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '"hello"\n', "hi\n")

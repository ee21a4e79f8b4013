"""The golden diagnostics: what people and programs see of the sources in golden/.

`CODE.fm`, or `CODE-what.fm`, is a source that gives the code; lines `;;; file: NAME` divide it into several files.
CODE.txt is all that is rendered, CODE.json the same for programs.  `python tests/diagnostics/golden_diagnostics.py`
writes them anew; read what `git diff` shows then.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from flowmetal.compiler import compile_project
from flowmetal.diagnostics import CompileFailed, Diagnostic, render, to_json
from flowmetal.engine.library import standard_library
from flowmetal.engine.stdlib import Evaluate
from flowmetal.vm.builtins import BUILTINS

FOLDER = Path(__file__).resolve().parent / "golden"
PATHS = sorted(FOLDER.glob("*.fm"))

_FILE = re.compile(r"^;;; file: (\S+)\n", re.MULTILINE)


def sources_of(path: Path) -> dict[str, str]:
    """The files that a golden source stands for."""
    text = path.read_bytes().decode()
    parts = _FILE.split(text)
    if len(parts) == 1:
        return {"orders.fm": text}
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def diagnostics_of(sources: dict[str, str]) -> list[Diagnostic]:
    """Errors, or warnings where there are none."""
    try:
        modules = compile_project(sources, standard_library().modules, Evaluate(), BUILTINS)
    except CompileFailed as failed:
        return list(failed.diagnostics)
    return [one for module in modules for one in module.warnings]


def documents(path: Path) -> tuple[str, str]:
    """What the golden files of a source have to hold: the text, and the JSON."""
    sources = sources_of(path)
    found = diagnostics_of(sources)
    text = "\n".join(render(one, sources) for one in found)
    return text, json.dumps([to_json(one) for one in found], indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for source in PATHS:
        shown, data = documents(source)
        source.with_suffix(".txt").write_bytes(shown.encode())
        source.with_suffix(".json").write_bytes(data.encode())

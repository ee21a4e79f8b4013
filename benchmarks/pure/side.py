"""One side of a comparison: runs `run` of a program of one language as often as it is asked.

`side.py LANGUAGE FILE` loads the program, then answers each line of standard input, an integer `n`, with one line of
JSON: the seconds of a processor and of the clock that `run(n)` took, and its result.  It is run by the Python that has
the language installed, so it imports nothing but that language.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Run = Callable[[int], Any]

#: More than any of these programs uses; a limit only keeps a mistake from running for ever.
FUEL = 1 << 40


def python(path: Path) -> Run:
    """A program of Python, run by CPython."""
    specification = importlib.util.spec_from_file_location("program", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    run: Run = module.run
    return run


def hy(path: Path) -> Run:
    """A program of Hy, which becomes Python's own syntax tree."""
    importlib.import_module("hy")
    return _imported(path)


def basilisp(path: Path) -> Run:
    """A program of Basilisp."""
    importlib.import_module("basilisp.main").init()
    return _imported(path)


def _imported(path: Path) -> Run:
    """`run` of a module that an import hook of the language loads; alone in a folder, so that no other is taken."""
    folder = Path(tempfile.mkdtemp(prefix="flowmetal-bench-"))
    try:
        shutil.copy(path, folder)
        sys.path.insert(0, str(folder))
        run: Run = importlib.import_module(path.stem).run
        return run
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def frames(path: Path) -> Run:
    """A program of Flowmetal, run by the frames engine alone."""
    return _flowmetal(path, lifting=False)


def lifted(path: Path) -> Run:
    """A program of Flowmetal, run as a process runs it: in lifted code where it is hot."""
    return _flowmetal(path, lifting=True)


def _flowmetal(path: Path, lifting: bool) -> Run:
    from flowmetal.engine.artifacts import Programs, deploy
    from flowmetal.engine.build import build_artifact
    from flowmetal.engine.config import collect_later
    from flowmetal.engine.starting import find_function
    from flowmetal.store.memory import MemoryStore
    from flowmetal.vm import Finished, Limits, new_process, start
    from flowmetal.vm import run as run_machine

    collect_later()  # as every interpreter does
    store = MemoryStore()
    loaded = Programs(store).get(deploy(store, build_artifact({path.name: path.read_text()}).data))
    function = find_function(loaded.program, "run")

    def run(n: int) -> Any:
        process = new_process(loaded.program, loaded.table, Limits(lifting=lifting))
        start(process, function, [n])
        outcome = run_machine(process, FUEL)
        if not isinstance(outcome, Finished):
            raise RuntimeError(f"{path.name} ended as {outcome}")
        return outcome.value

    return run


LANGUAGES: dict[str, Callable[[Path], Run]] = {
    "python": python,
    "hy": hy,
    "basilisp": basilisp,
    "frames": frames,
    "lifted": lifted,
}


def plain(value: Any) -> Any:
    """A result as JSON has it: all these programs give integers, texts and sequences of them."""
    if value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"a result that cannot be compared: {value!r}")


def main() -> None:
    language, file = sys.argv[1:]
    run = LANGUAGES[language](Path(file))
    print(json.dumps({"ready": language}), flush=True)
    for line in sys.stdin:
        n = int(line)
        wall, processor = time.perf_counter(), time.process_time()
        result = run(n)
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        print(json.dumps({"cpu": processor, "wall": wall, "result": plain(result)}), flush=True)


if __name__ == "__main__":
    main()

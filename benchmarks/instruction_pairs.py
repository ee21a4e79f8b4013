"""Counts which instructions run after which: `python benchmarks/instruction_pairs.py [FILE.fm ...] [--top N]`.

The machine is stepped, so what is counted are the instructions as they are stored, one by one, whatever the loop runs
in their place.  A pair is counted when both belong to one code and the second is what ran next in that frame's code.
The functions named `run-...` or `main` without arguments are run; without files the golden programs are.
The fused forms in flowmetal/vm/fusing.py were chosen from this table.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from flowmetal import vm
from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.link import ProgramTable, link
from flowmetal.bytecode.opcodes import BY_NUMBER, Op
from flowmetal.diagnostics import CompileFailed
from flowmetal.engine.build import build_artifact
from flowmetal.engine.library import standard_library
from flowmetal.values import LanguageError
from flowmetal.vm.builtins.registry import BUILTINS

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "programs"
#: Instructions of one function that are counted at most, so that a program without an end ends.
STEPS_MAX = 200_000


def count_file(path: Path, singles: Counter[str], pairs: Counter[tuple[str, str]]) -> None:
    """Adds what the functions of one file run to the counts.  A file that does not compile counts for nothing."""
    library = standard_library()
    try:
        data = build_artifact({path.name: path.read_text()}).data
    except CompileFailed:
        return
    program = link(decode_artifact(data), lambda name, hash: library.modules.get(name))
    module = program.modules[program.main]
    for name in module.globals:
        if name == "main" or name.startswith("run-"):
            _count_function(program, module.globals[name].value, singles, pairs)


def _count_function(program: object, function: object, singles: Counter[str], pairs: Counter[tuple[str, str]]) -> None:
    process = vm.new_process(program, ProgramTable(program))  # type: ignore[arg-type]
    try:
        vm.start(process, function, [])
    except LanguageError:
        return  # one that takes arguments
    before: tuple[object, str] | None = None
    for _ in range(STEPS_MAX):
        if process.ready:
            frames = process.fibers[process.ready[0]].frames
            code, pc = (frames[-1][0], frames[-1][2]) if frames and len(frames[-1]) == 4 else (None, 0)
            if code is not None and frames[-1][3] < 0:
                name = _name(code.code.instructions[pc])
                singles[name] += 1
                if before is not None and before[0] is code:
                    pairs[before[1], name] += 1
                before = (code, name)
        process.stepping = True
        outcome = vm.run(process)
        if isinstance(outcome, vm.Performed):
            vm.settle(process, outcome.number, None)
        elif isinstance(outcome, vm.Finished | vm.Failed | vm.Idle):
            return


def _name(instruction: tuple[object, ...]) -> str:
    opcode = BY_NUMBER[instruction[0]]  # type: ignore[index]
    if opcode.number == Op.builtin:
        return f"builtin {BUILTINS[instruction[2]].name} {len(instruction[3])}"  # type: ignore[index,arg-type]
    return opcode.name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--top", type=int, default=40)
    options = parser.parse_args()
    singles: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for path in options.files or sorted(GOLDEN.rglob("*.fm")):
        count_file(path, singles, pairs)
    total = singles.total()
    print(f"{total} instructions")
    for name, count in singles.most_common(options.top):
        print(f"{100 * count / total:6.2f} %  {name}")
    print("pairs")
    for (first, second), count in pairs.most_common(options.top):
        print(f"{100 * count / total:6.2f} %  {first} -> {second}")


if __name__ == "__main__":
    main()

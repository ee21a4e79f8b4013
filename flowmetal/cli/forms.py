"""Evaluating forms and printing what comes of them: the work of `flowvm eval`, without its arguments."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from flowmetal.cli import common
from flowmetal.dataclass import dataclass

if TYPE_CHECKING:
    from flowmetal.engine.session import Bounds
    from flowmetal.values import ErrorValue

#: Objects that a form may hold, and characters of a printed value, where nothing else is said.
HEAP_DEFAULT = 8_000_000
CHARACTERS_DEFAULT = 1 << 26

#: Bytes of memory of `--jsonl`.
MEMORY_MAX = 3 << 30

#: Bytes of one line of --jsonl, and characters of what one program prints.
LINE_BYTES_MAX = 1 << 20
OUT_CHARACTERS_MAX = 1 << 18
#: Bytes of a line that is too long which are passed over to find its end; beyond them the input is no list of lines.
SKIPPED_BYTES_MAX = 64 << 20


def free_bounds(fuel: int = 0, heap: int = HEAP_DEFAULT) -> Bounds:
    """What a person's own forms may use; 0 fuel: any number of calls and loop turns."""
    from flowmetal.engine.session import Bounds

    return Bounds(fuel or 1 << 62, heap, characters=CHARACTERS_DEFAULT)


def evaluate_file(file: str, bounds: Bounds) -> int:
    """Evaluates the forms of a file, or of standard input for `-`."""
    return evaluate_text(_read(file), "<stdin>" if file == "-" else file, bounds)


def _read(file: str) -> bytes:
    from flowmetal.cli.reading import STANDARD_INPUT, read_bytes, read_standard_input

    return read_standard_input() if file == STANDARD_INPUT else read_bytes(file)


def evaluate_text(text: str | bytes, file: str, bounds: Bounds) -> int:
    """Evaluates forms; what they print goes to standard output as it happens, before the value of the last one."""
    from flowmetal.cli.prompt_services import open_outside
    from flowmetal.diagnostics import CompileFailed
    from flowmetal.engine.session import Session
    from flowmetal.values import LanguageError

    if isinstance(text, bytes):
        try:
            decoded = text.decode()
        except UnicodeDecodeError:
            from flowmetal.compiler.reader import read_source

            # The reader says which byte is none of a text.
            common.show_diagnostics(read_source(text, file).diagnostics, {file: text.decode("utf-8", "replace")})
            return common.FAILED
    else:
        decoded = text
    outside = open_outside()
    session = Session(_write, bounds, outside)
    try:
        value = session.last(decoded, file)
        shown = session.printed(value)
    except CompileFailed as failed:
        common.show_diagnostics(failed.diagnostics, {file: decoded})
        return common.FAILED
    except LanguageError as problem:
        show_error(problem.error)
        return common.INTERRUPTED if problem.error.kind.text == "flowmetal/interrupted" else common.FAILED
    finally:
        outside.close()
    common.show_warnings(session.warnings, {file: decoded})
    _write(shown)
    return common.OK


def _write(line: str) -> None:
    sys.stdout.write(line.encode("utf-8", "replace").decode() + "\n")
    sys.stdout.flush()


def show_error(error: ErrorValue) -> None:
    """An error that nothing caught, with its trace, to standard error."""
    from flowmetal.diagnostics import FlowmetalError
    from flowmetal.engine.traces import trace_text
    from flowmetal.values import print_string

    problem = FlowmetalError("U120", kind=print_string(error.kind), message=error.message)
    common.report(problem)
    trace = trace_text(error)
    if trace and "--json" not in sys.argv:
        sys.stderr.write("\n" + trace + "\n")


# ---- a program a line ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Out:
    """What one program prints, up to a limit."""

    lines: list[str]
    left: int = OUT_CHARACTERS_MAX

    def add(self, line: str) -> None:
        """Takes a line."""
        if self.left > 0:
            self.lines.append(line[: self.left])
            self.left -= len(line) + 1


def limit_memory() -> None:
    """Bounds the memory of this process: a single builtin may make more of a value than the count of objects sees."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_MAX if hard == resource.RLIM_INFINITY else min(hard, MEMORY_MAX)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def evaluate_lines(source: BinaryIO, to: BinaryIO, bounds: Bounds) -> int:
    """Answers each line of `source` with one line; nothing in a line ends it or reaches another one."""
    while True:
        line = source.readline(LINE_BYTES_MAX + 1)
        if not line:
            return common.OK
        too_long = len(line) > LINE_BYTES_MAX
        skipped = 0
        while too_long and line and not line.endswith(b"\n") and skipped < SKIPPED_BYTES_MAX:
            line = source.readline(LINE_BYTES_MAX + 1)
            skipped += len(line)
        out = _Out([])
        answer = _refused(f"it has more than {LINE_BYTES_MAX} bytes") if too_long else _answer(line, bounds, out)
        if out.lines:
            answer["out"] = "\n".join(out.lines) + "\n"
        to.write(json.dumps(answer).encode() + b"\n")
        to.flush()
        if skipped >= SKIPPED_BYTES_MAX:
            return common.FAILED  # what comes has no lines


def _answer(line: bytes, bounds: Bounds, out: _Out) -> dict[str, Any]:
    from flowmetal.diagnostics import CompileFailed, FlowmetalError
    from flowmetal.engine.session import Session
    from flowmetal.values import JsonError, LanguageError
    from flowmetal.values.json_text import load_json

    try:
        document = load_json(line.strip())
    except JsonError as problem:
        return _refused(str(problem))
    text = document.get("src") if isinstance(document, dict) else None
    if not isinstance(text, str):
        return _refused("there is no text under `src`")
    try:
        session = Session(out.add, bounds)
        return {"value": session.printed(session.last(text, "line"))}
    except CompileFailed as failed:
        first = next((one for one in failed.diagnostics if one.level == "error"), failed.diagnostics[0])
        return _error(first.code, str(first.text))
    except LanguageError as problem:
        return _error(f":{problem.error.kind.text}", str(problem.error.message))
    except FlowmetalError as problem:
        return _error(problem.code, problem.diagnostic.text)
    except (Exception, RecursionError, MemoryError) as problem:
        return _error("U900", f"{type(problem).__name__}: {problem}"[:500])


def _refused(problem: str) -> dict[str, Any]:
    from flowmetal.diagnostics import FlowmetalError

    refused = FlowmetalError("U121", problem=problem)
    return _error(refused.code, refused.diagnostic.text)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}

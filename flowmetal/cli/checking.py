"""Checking source files and artifacts: the work of `flowc check` outside projects, without its arguments."""

from __future__ import annotations

from flowmetal.cli import common
from flowmetal.cli.reading import read_bytes, read_sources


def check_files(paths: list[str], strict: bool, as_json: bool) -> int:
    """Says what is wrong with sources and artifacts; the exit code.  With `strict` warnings fail as errors do."""
    from flowmetal.diagnostics import CompileFailed, FlowmetalError
    from flowmetal.engine.build import build_artifact, verify_file

    rest = []
    for path in paths:
        if path.endswith(".fmc"):
            verify_file(read_bytes(path))
        else:
            rest.append(path)
    found = []
    unread: list[FlowmetalError] = []
    if rest:
        sources = read_sources(rest, unread)
        try:
            found = list(build_artifact(sources).warnings) if sources else []
        except CompileFailed as failed:
            found = list(failed.diagnostics)
    if len(unread) == 1 and not found:
        raise unread[0]
    found = [*(problem.diagnostic for problem in unread), *found]
    if found or as_json:
        common.show_diagnostics(found)
    if unread:
        return common.exit_code(unread[0].code)
    if any(strict or one.level == "error" for one in found):
        return common.FAILED
    if not as_json:
        common.say(f"{len(paths)} checked, no errors")
    return common.OK

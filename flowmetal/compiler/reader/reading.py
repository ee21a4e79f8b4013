"""read_source: a file's text to forms, diagnostics and comments.

First the text goes through lexer and grammar in one pass.  Only if its brackets do not match, or a form is missing, it
is read a second time with all tokens at hand, so that they can be repaired and every error is found.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Mapping
from typing import Any

from flowmetal.compiler.reader.brackets import repaired
from flowmetal.compiler.reader.grammar import parse
from flowmetal.compiler.reader.lexer import made_token, new_lexer
from flowmetal.compiler.reader.namespaces import Namespaces
from flowmetal.compiler.reader.source import ReadingEnds, Restart, Source
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import Diagnostic, Label, Span
from flowmetal.reading.bad import Bad

#: Characters of one file: reading takes about 300 bytes of memory for each.
SOURCE_CHARACTERS = 4_000_000

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What a file holds.

    forms        the top-level forms; placeholders (is_placeholder) are in those that could not be read whole
    spans        their spans, also those of numbers and strings
    diagnostics  what is wrong, in order of place; none: every form is as written
    comments     (span, text with its `;`), in order
    text         the source as text, to show excerpts of
    namespace    what the `ns` form says, or what was given; None if neither
    """

    forms: tuple[Any, ...]
    spans: tuple[Span, ...]
    diagnostics: tuple[Diagnostic, ...]
    comments: tuple[tuple[Span, str], ...]
    text: str
    namespace: str | None


def read_source(
    text: str | bytes, file: str, namespace: str | None = None, aliases: Mapping[str, str] | None = None
) -> ReadResult:
    """Reads a whole file; never raises, whatever is in it.

    `file` is the name its spans carry.  `namespace` and `aliases` (alias -> namespace) are what `::name` and
    `::alias/name` mean before an `ns` form says otherwise; without a namespace it is the file's name without ending.
    """
    decoded, problems = decoded_source(text, file)
    if len(decoded) > SOURCE_CHARACTERS:
        facts = {"size": len(decoded), "limit": SOURCE_CHARACTERS}
        return ReadResult((), (), (Diagnostic("R072", Span(file, 1, 1, 1, 1), facts),), (), decoded, namespace)
    source = Source(decoded, file, Namespaces(namespace, aliases or {}, file), repairing=False)
    # Nothing that reading makes is cyclic garbage, and the collector would walk the growing tree of forms again and
    # again, for half of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        try:
            _read(source)
        except Restart:
            source.lexer = None
            source = Source(decoded, file, Namespaces(namespace, aliases or {}, file), repairing=True)
            _read_repaired(source)
    except ReadingEnds:
        pass
    finally:
        # Lexer and source know each other; the forms should not have to wait for the garbage collector.
        source.lexer = None
        if collecting:
            gc.enable()
    items = source.top or []
    diagnostics = sorted(problems + source.diagnostics, key=_order)
    spans = tuple(source.place(form, span) for form, span in zip(items[::2], items[1::2], strict=True))
    return ReadResult(
        tuple(items[::2]), spans, tuple(diagnostics), tuple(source.comments), decoded, source.namespaces.declared
    )


def decoded_source(text: str | bytes, file: str) -> tuple[str, list[Diagnostic]]:
    """The text of a file, with U+FFFD for what is not text, and the diagnostic for the first such place."""
    if isinstance(text, bytes):
        try:
            return text.decode(), []
        except UnicodeDecodeError as error:
            before = text[: error.start].decode()
            facts = {"byte": error.start, "value": f"{text[error.start]:02X}"}
            return text.decode(errors="replace"), [Diagnostic("R070", _place_after(before, file), facts)]
    try:
        text.encode()
    except UnicodeEncodeError as error:
        facts = {"digits": f"{ord(text[error.start]):04X}"}
        return _SURROGATE.sub("\ufffd", text), [Diagnostic("R071", _place_after(text[: error.start], file), facts)]
    return text, []


def _read(source: Source) -> None:
    """One pass, each token read when the parser asks for it; Restart if the tokens need repair."""
    source.lexer = new_lexer(source, source.text, source.file)

    def restart(token: Any, parser: Any) -> Any:
        raise Restart

    parse(source, source.lexer.token, restart)
    source.ended_well()


def _read_repaired(source: Source) -> None:
    """All tokens first, then the repair of brackets, then the parser; a missing form is put in on the way."""
    source.lexer = new_lexer(source, source.text, source.file)
    tokens = list(iter(source.lexer.token, None))

    def report(bad: Bad, span: Span, labels: tuple[Label, ...]) -> None:
        source.report(bad, span, labels)

    queue = repaired(tokens, source.file, report, source.ends_in_string)
    queue.reverse()

    def next_token() -> Any:
        return queue.pop() if queue else None

    last: list[Any] = [queue]  # the token that came instead of a form at the last error; at first none that can come

    def missing(token: Any, parser: Any) -> Any:
        # The token is given again after the stand-in.  It may be in the way of many marks; the innermost is reported.
        pair = source.missing(parser, report=token is not last[0])
        last[0] = token
        if token is not None:
            queue.append(token)
        return made_token("ATOM", pair)

    parse(source, next_token, missing)
    source.ended_well()


def _place_after(text: str, file: str) -> Span:
    line = text.count("\n") + 1
    column = len(text) - text.rfind("\n")
    return Span(file, line, column, line, column + 1)


def _order(diagnostic: Diagnostic) -> tuple[int, int, int]:
    span = diagnostic.span
    assert span is not None, "the reader reports nothing without a place"
    # "Too many errors" is the last word.
    return (diagnostic.code == "R073", span.line, span.column)

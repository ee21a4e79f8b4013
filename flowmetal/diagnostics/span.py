"""Span: a place in source text."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Where a form stands.  Lines and columns count from 1, columns in code points; the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

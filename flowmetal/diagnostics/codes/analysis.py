"""Codes of the compiler's analysis: A001 to A999."""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {}

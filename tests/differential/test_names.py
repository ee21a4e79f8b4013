"""docs/clojure-names.md: every name of Clojure is classified, and what is called there is there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.differential import ours
from tests.differential.names import FORMS, classified, clojure_names, page, table

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_nothing_is_unclassified() -> None:
    rows = classified()
    assert len(rows) == len(clojure_names()) > 700
    assert [name for name, (kind, _) in rows.items() if kind == "unclassified"] == []


def test_the_page_names_all_and_what_it_calls_the_same_is_there() -> None:
    text = (DOCS / "clojure-names.md").read_text(encoding="utf-8")
    there, _, absent = text.partition("## Left out\n")
    there = there[there.index("## Same") :]
    named = re.findall(r"`([^` ]+)`", there)
    assert sorted(set(named) - ours.names() - FORMS) == []
    outside = re.findall(r"`([^` ]+)`", absent)
    assert sorted(set(clojure_names()) - set(named) - set(outside)) == []
    assert "## Left out" in page()


def test_anchors_are_there() -> None:
    text = (DOCS / "differences-from-clojure.md").read_text(encoding="utf-8")
    anchors = set(re.findall(r'<a id="([^"]+)"', text))
    anchors |= {"-".join(re.findall(r"\w+", head.lower())) for head in re.findall(r"^## (.*)$", text, re.MULTILINE)}
    assert sorted({anchor for _, anchor in table("different.txt")} - anchors) == []

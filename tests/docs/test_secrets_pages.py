"""docs/secrets.md and docs/shell.md against the settings, the keys and the kinds of error."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import Any

import pytest
from doc_blocks import DOCS, ROOT

from flowmetal.connectors.secrets import SecretSettings
from flowmetal.connectors.secrets.redactor import VALUE_BYTES_MAX, VALUE_CHARACTERS_MIN
from flowmetal.connectors.secrets.settings import EFFECTS
from flowmetal.connectors.shell import ShellSettings
from flowmetal.connectors.shell.command import KEY_VARIABLE, KEYS

SECRETS = (DOCS / "secrets.md").read_text(encoding="utf-8")
SHELL = (DOCS / "shell.md").read_text(encoding="utf-8")


def cells(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table behind a heading of columns."""
    rows = text[text.index(heading) :].partition("\n\n")[0].split("\n")[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize(("text", "settings"), [(SECRETS, SecretSettings), (SHELL, ShellSettings)])
def test_settings(text: str, settings: Any) -> None:
    expected = {}
    for field in fields(settings):
        value = field.default
        if value is MISSING:
            continue
        empty = {(): "`[]`", None: "none", False: "`false`"}
        shown = " ".join(f"`{item}`" for item in value) if isinstance(value, tuple) else f"`{value}`"
        expected[f"`{field.name}`"] = empty.get(value, shown)
    assert {row[0]: row[1] for row in cells(text, "| key | default | meaning |")} == expected


def test_what_the_page_says_of_secrets() -> None:
    assert [re.findall(r"`([\w/]+)`", row[0])[0] for row in cells(SECRETS, "| effect | places |")] == list(EFFECTS)
    assert f"at least {VALUE_CHARACTERS_MIN} characters and at most {VALUE_BYTES_MAX} bytes" in SECRETS


def test_keys_of_a_command() -> None:
    assert [row[0] for row in cells(SHELL, "| key | meaning | without it |")] == [f"`:{key}`" for key in KEYS]
    assert KEY_VARIABLE in SHELL


def test_kinds_of_error() -> None:
    files = [*(ROOT / "flowmetal" / "connectors" / "shell").glob("*.py"), ROOT / "stdlib" / "shell.fm"]
    raised = set(re.findall(r'["(: ](shell/[\w-]+)["\s]', "\n".join(path.read_text() for path in files)))
    described = {row[0].strip("`:") for row in cells(SHELL, "| kind | when |")}
    assert described == raised - {"shell/run", "shell/output", "shell/ok"}

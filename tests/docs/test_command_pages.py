"""docs/cli.md against the commands themselves: every command, option, exit code, variable and setting, and no other."""

from __future__ import annotations

import configparser
import re
import shlex
from dataclasses import MISSING, Field, fields
from typing import Any

import pytest
import typer
import typer.main
from doc_blocks import DOCS, ROOT, Block, of_language

from flowmetal.cli import common, flowc, flowvm
from flowmetal.connectors.config import SCHEMES, EndpointSettings, HttpSettings
from flowmetal.server.config import ServeSettings
from flowmetal.server.retention_settings import RetentionSettings

PAGE = DOCS / "cli.md"
TEXT = PAGE.read_text(encoding="utf-8")
APPS = {"flowc": flowc.app, "flowvm": flowvm.app}
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
CONSOLE = [block for page in PAGES for block in of_language(page, "console")]

#: Programs in console blocks that are not ours.
OTHERS = {"make", "curl", "python", "pip", "git", "kill", "cat", "sudo", "cd", "source"}


def commands(app: typer.Typer) -> dict[str, Any]:
    """The commands of an app by name, as typer sees them."""
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def options(command: Any) -> set[str]:
    """The options of a command, hidden ones left out."""
    return {
        name
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden
        for name in parameter.opts
    }


def section(heading: str) -> str:
    """The text under a heading, up to the next of the same level or above."""
    level = heading.index(" ")
    match = re.search(rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{level}}} |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert match is not None, f"no heading {heading}"
    return match[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, headers left out."""
    lines = [line for line in text.split("\n") if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [
        row
        for row, after in zip(cells, [*cells[1:], []], strict=False)
        if not set(row[0]) <= set("-") and not (after and set(after[0]) <= set("-"))
    ]


ALL = [(program, name) for program, app in APPS.items() for name in commands(app)]


@pytest.mark.parametrize(("program", "name"), ALL, ids=lambda part: part)
def test_options_of_a_command(program: str, name: str) -> None:
    found = {
        option for row in rows(section(f"### {program} {name}")) for option in re.findall(r"`(--?[\w-]+)`", row[0])
    }
    assert found == options(commands(APPS[program])[name])


def test_every_heading_is_a_command() -> None:
    headings = re.findall(r"^### (flowc|flowvm) (\S+)$", TEXT, re.MULTILINE)
    assert sorted(headings) == sorted(ALL)


def test_exit_codes() -> None:
    listed = [int(row[0]) for row in rows(section("## Exit codes"))]
    assert listed == [*range(common.PROGRAM_FAILED + 1), common.INTERRUPTED, common.TERMINATED]


def test_statuses_of_ps() -> None:
    from flowmetal.store.interface import STATUSES

    row = next(row for row in rows(section("### flowvm ps")) if row[0] == "`--status`")
    assert re.findall(r"`(\w+)`", row[1]) == list(STATUSES)


def test_variables() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "flowmetal").rglob("*.py"))
    for row in rows(section("## Environment")):
        assert f'"{row[0].strip("`")}"' in source


@pytest.mark.parametrize(
    ("heading", "settings"),
    [
        ("### [serve]", ServeSettings),
        ("### [http]", HttpSettings),
        ("### [retention]", RetentionSettings),
        ("### [endpoints.NAME]", EndpointSettings),
    ],
)
def test_settings(heading: str, settings: Any) -> None:
    described = {row[0].strip("`"): row[1] for row in rows(section(heading))}
    expected = {field.name: default_text(field) for field in fields(settings) if field.name != "name"}
    assert described == expected


def default_text(field: Field[Any]) -> str:
    """A default as the page writes it, in TOML."""
    value = field.default
    if value is MISSING:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    return "`[]`" if value == () else f"`{value}`"


def test_schemes() -> None:
    row = next(row for row in rows(section("### [endpoints.NAME]")) if row[0] == "`scheme`")
    assert re.findall(r"`(\w+)`", row[2]) == list(SCHEMES)


def test_unit_file_can_be_read() -> None:
    (block,) = of_language(PAGE, "ini")
    unit = configparser.ConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    words = shlex.split(unit["Service"]["ExecStart"])
    check_command(words)


@pytest.mark.parametrize("block", CONSOLE, ids=str)
def test_console_block(block: Block) -> None:
    for line in block.text.split("\n"):
        if line.startswith("$ "):
            for part in re.split(r" (?:&&|\|) ", re.sub(r"\s#\s.*", "", line[2:])):
                check_command(shlex.split(part.rstrip(" &")))


def check_command(words: list[str]) -> None:
    """Whether a command line names a command of ours with options that it has."""
    while words and (re.fullmatch(r"\w+=.*", words[0]) or words[0] == "sudo" or words[0] == "-u"):
        words = words[2:] if words[0] == "-u" else words[1:]
    program = words[0].rpartition("/")[2]
    if program not in APPS:
        assert program in OTHERS or program.startswith("python"), f"nobody knows {program}"
        if program == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            assert set(words[1:]) <= set(targets)
        return
    known = commands(APPS[program])
    if words[1].startswith("-"):
        assert words[1] in ("--help", "-h", "--version")
        return
    assert words[1] in known, f"{program} has no command {words[1]}"
    given = {word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)}
    assert given <= options(known[words[1]]) | {"--help", "-h"}

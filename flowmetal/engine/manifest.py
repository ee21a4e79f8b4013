"""flowmetal.toml, as far as it describes a project: what it is called, where its sources are, what it is built to.

    [project]
    name = "shop"                 # required
    version = "1.2.0"
    description = "Orders and what becomes of them"
    main = "shop.main"            # the module the artifact is named after; by default found, see project.py
    source = ["src"]              # folders of sources
    test = ["test"]               # folders of tests
    output = "build/shop.fmc"     # by default build/MAIN.fmc

    [dependencies]
    prices = { path = "lib/prices.fmc" }

Other tables of the file (`[serve]`, `[http]`, ...) belong to `flowvm serve`.  Whatever is wrong in these two is an
error with the line it stands on; nothing that is not known is passed over.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import FlowmetalError, Span, suggest

#: The file that makes a folder a project, if it has a table [project].
FILE = "flowmetal.toml"

#: Bytes of the file.
BYTES_MAX = 1 << 20

#: Entries of a list in it.
LIST_MAX = 100

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}\Z")
_VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){0,3}([-+.]?[A-Za-z0-9][A-Za-z0-9.+-]{0,60})?\Z")
_MODULE = re.compile(r"[^\s/()\[\]{}\"';`~@^\\,]{1,200}\Z")

_PROJECT_KEYS = ("name", "version", "description", "main", "source", "test", "output")

#: What people write who know another tool's file.
_ELSEWHERE = {
    "src": "source",
    "sources": "source",
    "source-paths": "source",
    "tests": "test",
    "test-paths": "test",
    "entry": "main",
    "artifact": "output",
    "target": "output",
    "title": "name",
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What flowmetal.toml says of a project.  Paths are relative to `root`, the folder it is in.

    `source` is None where the file does not say.
    """

    root: Path
    name: str
    version: str | None = None
    description: str | None = None
    main: str | None = None
    source: tuple[str, ...] | None = None
    test: tuple[str, ...] = ("test",)
    output: str | None = None
    dependencies: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The file itself."""
        return self.root / FILE


def read_manifest(path: Path) -> Manifest | None:
    """What a flowmetal.toml says of a project; None where it has no table [project], and so is none.

    FlowmetalError U170 (unreadable), U171 (not known), U172 (wrong value), U173 (not given).
    """
    text = _text(path)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as problem:  # no TOML, or a number of thousands of digits
        reason = str(problem) or "it is nested too deep"
        found = re.search(r"at line (\d+), column (\d+)", reason)
        line, column = (int(found[1]), int(found[2])) if found else (1, 1)
        reason = re.sub(r"\s*\(at [^)]*\)", "", reason)
        span = Span(str(path), line, column, line, column + 1)
        raise FlowmetalError("U170", span, path=str(path), problem=reason) from None
    if "project" not in document:
        return None
    return _Reader(path, text).read(document)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            raise FlowmetalError("U170", path=str(path), problem=f"it is larger than {BYTES_MAX} bytes")
        return data.decode("utf-8").replace("\r\n", "\n")
    except OSError as problem:
        raise FlowmetalError("U170", path=str(path), problem=problem.strerror or str(problem)) from None
    except UnicodeDecodeError as problem:
        raise FlowmetalError("U170", path=str(path), problem=f"it is not UTF-8 at byte {problem.start}") from None


class _Reader:
    """Reads the two tables, and knows where in the text a key stands."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.split("\n")

    def read(self, document: dict[str, Any]) -> Manifest:
        table = document["project"]
        if table.__class__ is not dict:
            self._wrong("", "project", table, "a table: write `[project]` on a line of its own")
        self._known("project", table, _PROJECT_KEYS)
        if "name" not in table:
            raise FlowmetalError("U173", self._place("project", None), path=str(self._path), key="name")
        name = self._text("project", table, "name")
        if name is None or not _NAME.match(name):
            self._wrong("project", "name", table["name"], "letters, digits, `-` and `_`, and begins with a letter")
        version = self._text("project", table, "version")
        if version is not None and not _VERSION.match(version):
            self._wrong("project", "version", version, 'a version like "1.2.0"')
        main = self._text("project", table, "main")
        if main is not None and not _MODULE.match(main):
            self._wrong("project", "main", main, 'the name of a module, like "shop.main"')
        output = self._text("project", table, "output")
        if output is not None:
            self._inside("project", "output", output)
            if not output.endswith(".fmc"):
                self._wrong("project", "output", output, "a file that ends in .fmc")
        test = self._folders(table, "test")
        return Manifest(
            self._path.parent,
            name,
            version,
            self._text("project", table, "description"),
            main,
            self._folders(table, "source"),
            ("test",) if test is None else test,
            output,
            self._dependencies(document.get("dependencies", {})),
        )

    def _dependencies(self, table: Any) -> dict[str, str]:
        if table.__class__ is not dict:
            self._wrong("", "dependencies", table, "a table: write `[dependencies]` on a line of its own")
        if len(table) > LIST_MAX:
            self._wrong("", "dependencies", table, f"a table of at most {LIST_MAX} entries")
        found: dict[str, str] = {}
        for name, value in table.items():
            path = value.get("path") if value.__class__ is dict else value
            if value.__class__ is dict:
                self._known(f"dependencies.{name}", value, ("path",))
            if path.__class__ is not str or not path or "\0" in path:
                self._wrong("dependencies", name, value, 'the path of an artifact, like { path = "lib/prices.fmc" }')
            found[name] = path
        return found

    def _folders(self, table: dict[str, Any], key: str) -> tuple[str, ...] | None:
        value = table.get(key)
        if value is None:
            return None
        values = [value] if value.__class__ is str else value
        expected = f'a list of folders, like ["{"src" if key == "source" else "test"}"]'
        if values.__class__ is not list or any(one.__class__ is not str or not one for one in values):
            self._wrong("project", key, value, expected)
        if len(values) > LIST_MAX or (key == "source" and not values):
            self._wrong("project", key, value, f"a list of 1 to {LIST_MAX} folders")
        for one in values:
            self._inside("project", key, one)
        return tuple(dict.fromkeys(str(PurePosixPath(one)) for one in values))

    def _text(self, section: str, table: dict[str, Any], key: str) -> str | None:
        value = table.get(key)
        if value is not None and (value.__class__ is not str or not value.strip() or "\0" in value):
            self._wrong(section, key, value, "text in quotes")
        return value

    def _inside(self, section: str, key: str, value: str) -> None:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or "\0" in value or "\\" in value:
            self._wrong(section, key, value, "a path inside the project, relative to its folder, with `/`")

    def _known(self, section: str, table: dict[str, Any], keys: Iterable[str]) -> None:
        for key in table:
            if key not in keys:
                meant = _ELSEWHERE.get(key.lower()) if section == "project" else None
                suggestion = meant or suggest(key, keys)
                known = ", ".join(keys)
                place = self._place(section, key)
                raise FlowmetalError("U171", place, key=key, section=section, known=known, suggestion=suggestion)

    def _wrong(self, section: str, key: str, value: Any, expected: str) -> NoReturn:
        shown = _shown(value)
        where = f"[{section}]" if section else "the file"
        raise FlowmetalError(
            "U172", self._place(section, key), key=key, section=where, value=shown, expected=expected
        )  # fmt: skip

    def _place(self, section: str, key: str | None) -> Span | None:
        """The line of a key in a section, as well as it can be found without a parser that keeps places."""
        inside = not section
        parents = [f"{part}." for part in section.split(".")] if section else [""]
        for number, line in enumerate(self._lines, 1):
            stripped = line.strip()
            header = re.match(r"\[\s*([^\]]*?)\s*\]", stripped)
            if header and not stripped.startswith("[["):
                title = re.sub(r"[\s\"']", "", header[1])
                inside = title == section
                if title == (section if key is None else f"{section}.{key}".lstrip(".")):
                    return self._span(number, line, stripped)
                continue
            if key is None:
                continue
            written = re.match(r"\s*(?:[\"']?([^\"'=]*?)[\"']?)\s*=", line)
            name = re.sub(r"[\s\"']", "", written[1]) if written else ""
            wanted = {key} if inside else {f"{section}.{key}".lstrip(".")}
            if name in wanted or (inside and name.startswith(f"{key}.")):
                return self._span(number, line, stripped)
            # The tables of dependencies are mostly written inline: `prices = {path = "..."}`.
            if (
                parents[0] == "dependencies."
                and section != "dependencies"
                and re.match(rf"\s*[\"']?{re.escape(section.partition('.')[2])}[\"']?\s*=", line)
            ):
                return self._span(number, line, stripped)
        return Span(str(self._path), 1, 1, 1, 2) if key is not None or section else None

    def _span(self, number: int, line: str, stripped: str) -> Span:
        start = len(line) - len(line.lstrip()) + 1
        return Span(str(self._path), number, start, number, start + max(1, len(stripped)))


def _shown(value: Any) -> str:
    """A value as the file writes it, cut short."""
    if value is True or value is False:
        return str(value).lower()
    if value.__class__ is str:
        text = f'"{value}"'
    elif value.__class__ in (list, dict):
        text = "a list" if value.__class__ is list else "a table"
    else:
        text = str(value)
    return text if len(text) <= 100 else text[:97] + "..."


def find_manifest(start: Path) -> Manifest | None:
    """The project that a folder is in: its own flowmetal.toml with a [project], or that of the nearest folder above."""
    for folder in (start, *start.parents):
        path = folder / FILE
        if path.is_file():
            found = read_manifest(path)
            if found is not None:
                return found
    return None

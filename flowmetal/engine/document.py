"""Writes docs/stdlib: a page for each module of the library.  `python -m flowmetal.engine.document docs/stdlib`.

Signatures and sentences come from the compiled modules, examples from the comments directly above a definition:

    ;; (abs -3) => 3
    ;; (abs "a") => !type
    (def abs "The absolute value of a number." %abs)

`=> !kind` stands for an error of that kind.  A line without an arrow that begins with `(` is a definition that those
below it need.  A test runs every example.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from flowmetal.bytecode.program import Global, Module
from flowmetal.compiler.names import CORE, is_core
from flowmetal.compiler.reader import read_source
from flowmetal.compiler.shapes import is_list, items_of
from flowmetal.dataclass import dataclass
from flowmetal.engine.library import standard_library
from flowmetal.engine.source_tree import source_texts
from flowmetal.values import Closure, Symbol

_ARROW = " => "


@dataclass(frozen=True, slots=True)
class Example:
    """An expression and what it gives as it prints, or `error`, the kind of its error; a definition has neither."""

    expression: str
    value: str = ""
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return f"{self.expression} ;; error: :{self.error}"
        return f"{self.expression} ;; => {self.value}" if self.value else self.expression


@dataclass(frozen=True, slots=True)
class Entry:
    """A public name of the library, with what its page says of it."""

    module: str
    name: str
    kind: str  # "function", "macro", "effect", "value"
    signatures: tuple[str, ...]
    doc: str
    effects: tuple[str, ...]
    examples: tuple[Example, ...]


def library_entries() -> dict[str, list[Entry]]:
    """The public names of every module, in the order of their definitions, by module."""
    written = _written_examples()
    return {
        name: [_entry(module, found, written.get((name, found.name), ())) for found in _public(module)]
        for name, module in sorted(standard_library().modules.items())
    }


def pages() -> dict[str, str]:
    """The text of each page of docs/stdlib, by file name."""
    entries = library_entries()
    core = [name for name in entries if is_core(name)]
    others = [name for name in entries if not is_core(name)]
    found = {"README.md": _index(entries, core, others), "core.md": _core_page(entries, core)}
    for name in others:
        found[f"{name}.md"] = _page(name, entries[name])
    return found


def _public(module: Module) -> list[Global]:
    return [found for found in module.globals.values() if not found.private and "__" not in found.name]


def _written_examples() -> dict[tuple[str, str], tuple[Example, ...]]:
    """The examples in the sources, by module and name."""
    found = {}
    for file, text in source_texts().items():
        read = read_source(text, file)
        comments = {span.line: comment for span, comment in read.comments}
        module = ""
        for form, span in zip(read.forms, read.spans, strict=True):
            items = items_of(form) if is_list(form) else []
            if len(items) < 2 or items[0].__class__ is not Symbol or items[1].__class__ is not Symbol:
                continue
            if items[0].name == "ns":
                module = items[1].name
            elif items[0].name.startswith("def"):
                above = list(_above(comments, span.line))
                if above:
                    name = str(items[1]).removeprefix(f"{module}/")  # an effect's name has that of its module
                    found[module, name] = tuple(above)
    return found


def _above(comments: dict[int, str], line: int) -> Iterator[Example]:
    """The examples in the comment lines directly above a line."""
    start = line
    while start - 1 in comments:
        start -= 1
    for number in range(start, line):
        expression, arrow, value = comments[number].lstrip("; ").rstrip().rpartition(_ARROW)
        if arrow:
            yield Example(expression, error=value[1:]) if value.startswith("!") else Example(expression, value)
        elif value.startswith("("):
            yield Example(value)


def _entry(module: Module, found: Global, examples: tuple[Example, ...]) -> Entry:
    effects = found.value.function.effects if found.value.__class__ is Closure else ()
    if found.effect is not None:
        kind, effects = "effect", (found.effect,)
    elif found.macro:
        kind, effects = "macro", ()
    else:
        kind = "function" if found.parameters or examples else "value"
    doc = " ".join((found.doc or "").split())
    return Entry(module.name, found.name, kind, found.parameters, doc, tuple(effects), examples)


# ---- pages -------------------------------------------------------------------------------------------------------


def _index(entries: dict[str, list[Entry]], core: list[str], others: list[str]) -> str:
    lines = [
        "# The standard library",
        "",
        "Generated by `make docs` from the sources in `stdlib/`; do not edit. The examples are run by a test.",
        "",
        "The names of the [core](core.md) are there in every module. The other modules are required:",
        "`(ns my.program (:require [string :as s]))`.",
        "",
    ]
    for name in others:
        lines.append(f"- [{name}]({name}.md): {_sentence(name)}")
    lines += ["", "## All names", ""]
    for name in [*core, *others]:
        page = "core.md" if is_core(name) else f"{name}.md"
        title = _title(name) if is_core(name) else f"`{name}`"
        names = " ".join(f"[`{entry.name}`]({page}#{anchor(entry)})" for entry in entries[name])
        if names:
            lines += [f"**{title}.** {names}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _core_page(entries: dict[str, list[Entry]], core: list[str]) -> str:
    lines = ["# Core", "", "Generated by `make docs`; do not edit. These names are there in every module.", ""]
    for name in core:
        if entries[name]:
            lines += [f"## {_title(name)}", "", _sentence(name), ""]
            for entry in entries[name]:
                lines += _lines(entry)
    return "\n".join(lines).rstrip() + "\n"


def _page(name: str, entries: list[Entry]) -> str:
    lines = [f"# {name}", "", "Generated by `make docs`; do not edit.", "", _sentence(name), ""]
    lines += ["```clojure", f"(ns my.program (:require [{name}]))", "```", ""]
    for entry in entries:
        lines += _lines(entry)
    return "\n".join(lines).rstrip() + "\n"


def anchor(entry: Entry) -> str:
    """The anchor of an entry's place on its page: names differ in more than what a heading's own anchor keeps."""
    text = "".join(one if one.isalnum() or one == "-" else f"_{ord(one):x}" for one in entry.name)
    return f"{entry.module.rpartition('.')[2]}.{text}"


def _lines(entry: Entry) -> list[str]:
    prefix = "" if is_core(entry.module) else entry.module + "/"
    about = entry.kind + (f"; performs {', '.join(f'`{one}`' for one in entry.effects)}" if entry.effects else "")
    lines = [f'<a id="{anchor(entry)}"></a>', "", f"### `{prefix}{entry.name}`", ""]
    if entry.signatures:
        lines.append(" ".join(f"`({prefix}{_call(entry.name, one)})`" for one in entry.signatures) + "  ")
    lines += [f"*{about}*", "", entry.doc, ""]
    if entry.examples:
        lines += ["```clojure", *map(str, entry.examples), "```", ""]
    return lines


def _call(name: str, signature: str) -> str:
    inner = signature.removeprefix("[").removesuffix("]")
    return f"{name} {inner}" if inner else name


def _title(module: str) -> str:
    if module == CORE:
        return "Basics"
    return module.removeprefix(CORE + ".").replace("-", " ").capitalize()


def _sentence(module: str) -> str:
    """What a module's `ns` form says of it."""
    for text in source_texts().values():
        for form in read_source(text, module).forms[:1]:
            items = items_of(form)
            if str(items[1]) == module and len(items) > 2 and items[2].__class__ is str:
                return " ".join(items[2].split())
    return ""


def main() -> None:
    """Writes the pages into a folder; pages of modules that are gone are removed."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""`flowc`: compiles programs, checks them, shows what is in an artifact."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowmetal.cli import common, effects, formatting, signing, testing
from flowmetal.cli.options import Debug, Json
from flowmetal.cli.parameters import run_app
from flowmetal.cli.reading import read_bytes, read_sources
from flowmetal.cli.writing import write_artifact

if TYPE_CHECKING:
    from flowmetal.diagnostics import Entry

#: Codes that are named where one is not known.
SUGGESTED_MAX = 5

app = typer.Typer(
    name="flowc",
    help="Compiles Flowmetal programs.  Example: flowc build deploy.fm",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=common.print_version)
    ] = False,
    debug: Debug = False,
) -> None:
    """Compiles Flowmetal programs.  Example: flowc build deploy.fm"""


Sources = Annotated[
    list[Path] | None, typer.Argument(help="Source files (.fm), or folders; default: the project this folder is in.")
]
Strict = Annotated[bool, typer.Option("--warnings-as-errors", "-W", help="Fail where there are warnings.")]


@app.command()
def build(
    sources: Sources = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The artifact; default: NAME.fmc here, or what the project says."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The main module; default: the one that no other requires.")] = None,
    strip: Annotated[bool, typer.Option("--strip", help="Leave source text and places out.")] = False,
    bundle: Annotated[bool, typer.Option("--bundle", help="Put the standard library in as well.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compile all of a project again.")] = False,
    strict: Strict = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compiles sources, or a project, to one artifact, .fmc."""
    from flowmetal.cli import projects

    manifest = projects.manifest_of(sources)
    if manifest is not None:
        projects.build(manifest, output, name, strip, bundle, not no_cache, strict, as_json)
        return
    from flowmetal.engine.build import build_artifact

    built = build_artifact(read_sources(sources or []), main=name, strip=strip, bundle=bundle)
    if strict and built.warnings:
        common.show_diagnostics(built.warnings)
        raise typer.Exit(common.FAILED)
    common.show_warnings(built.warnings)
    target = output if output is not None else Path(f"{built.name}.fmc")
    write_artifact(target, built.data)
    document = {"artifact": str(target), "name": built.name, "hash": built.hash.hex(), "bytes": len(built.data)}
    document |= common.warnings_json(built.warnings)
    common.emit(document, as_json, lambda: f"{target}  {len(built.data)} bytes  {built.hash.hex()[:16]}")


@app.command()
def check(sources: Sources = None, strict: Strict = False, as_json: Json = False, debug: Debug = False) -> None:
    """Says what is wrong with sources, or checks an artifact; writes nothing."""
    from flowmetal.cli import projects
    from flowmetal.cli.checking import check_files

    manifest = projects.manifest_of(sources)
    if manifest is not None:
        projects.check(manifest, strict, as_json)
        return
    code = check_files([str(path) for path in sources or []], strict, as_json)
    if code != common.OK:
        raise typer.Exit(code)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What the project is called, and the folder it is made in.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Makes a project: flowmetal.toml, a first program, a test."""
    from flowmetal.cli import projects

    made = projects.new(name)
    common.emit(
        {"project": str(made[0]), "files": [str(path) for path in made[1:]]},
        as_json,
        lambda: "\n".join(
            [*(str(path) for path in made[1:]), "", f"cd {name} && flowc build && flowvm run build/{name}.main.fmc"]
        ),
    )


@app.command()
def disasm(
    artifact: Annotated[Path, typer.Argument(help="An artifact (.fmc) or a source file (.fm).")],
    function: Annotated[str | None, typer.Argument(help="Only this function.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Shows the manifest and the instructions of an artifact."""
    from flowmetal.engine.build import build_artifact, describe_artifact

    data = read_bytes(artifact)
    if artifact.suffix == ".fm":
        data = build_artifact({str(artifact): data}).data
    described = describe_artifact(data, function)
    common.emit(described.document, as_json, lambda: described.text)


@app.command()
def explain(
    code: Annotated[str | None, typer.Argument(help="A code, as in [A101]; without it all are listed.")] = None,
    debug: Debug = False,
) -> None:
    """Explains a code of an error message, or lists the codes."""
    from flowmetal.diagnostics import all_codes
    from flowmetal.diagnostics import explain as explain_code

    codes = all_codes()
    if code is None:
        typer.echo("\n".join(f"{known}  {entry.title}" for known, entry in sorted(codes.items())))
        return
    page = explain_code(code)
    if page is None:
        near = _near_codes(code.strip("[]"), codes)
        likely = f", perhaps {', '.join(near)}" if near else ""
        common.usage("U103", what="the code", found=code, expected=f"one that `flowc explain` lists{likely}")
    typer.echo(page)


def _near_codes(wanted: str, codes: dict[str, Entry]) -> list[str]:
    """The codes that somebody may have meant: by the code, or by words of the title."""
    from flowmetal.diagnostics import suggestions

    if re.fullmatch(r"[A-Za-z]?\d+", wanted):
        letter = wanted[0].upper()
        return suggestions(wanted.upper(), codes) or [known for known in sorted(codes) if known[0] == letter][:3]
    words = set(wanted.lower().split())
    titles = {known: entry.title.lower() for known, entry in sorted(codes.items())}
    found = [known for known, title in titles.items() if words & set(title.split())]
    if not found:
        near = set(suggestions(wanted.lower(), {word for title in titles.values() for word in title.split()}))
        found = [known for known, title in titles.items() if near & set(title.split())]
    return [f"{known} ({titles[known]})" for known in found[:SUGGESTED_MAX]]


app.command()(testing.test)
app.command()(formatting.fmt)


effects.register(app)
signing.register(app)


def main() -> None:
    """The command `flowc`."""
    # A compilation makes much that stays; looking for what does not would take a tenth of it.
    gc.set_threshold(50_000, 20, 20)
    run_app(app)


if __name__ == "__main__":
    main()

"""`flowc effects`: what a program may perform, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowmetal.cli import common
from flowmetal.cli.options import Debug, Json
from flowmetal.cli.reading import read_program

if TYPE_CHECKING:
    from flowmetal.engine.performs import Place


def effects(
    program: Annotated[Path, typer.Argument(help="An artifact (.fmc), a source file (.fm), or a folder of them.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Also effects that need no grant, as log and sleep.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Lists what a program may perform and where, from its code; what it would need to be granted."""
    from flowmetal.bytecode.link import link
    from flowmetal.engine.grants import ALWAYS
    from flowmetal.engine.library import standard_library
    from flowmetal.engine.opening import library_module, open_artifact
    from flowmetal.engine.performs import places_of
    from flowmetal.engine.secret_sites import secret_grants

    built = read_program(program)
    artifact = open_artifact(built.data)
    places = places_of(artifact, link(artifact, library_module), standard_library().modules.values())
    by_effect: dict[str, list[Place]] = {}
    computed: list[Place] = []
    for place in places:
        if place.effect is None:
            computed.append(place)
        elif everything or place.effect not in ALWAYS:
            by_effect.setdefault(place.effect, []).append(place)
    secrets = secret_grants(artifact)
    document: dict[str, Any] = {
        "name": built.name,
        "hash": built.hash.hex(),
        "effects": {effect: [place.to_json() for place in found] for effect, found in by_effect.items()},
        "secrets": secrets,
        "computed": [place.to_json() for place in computed],
    }
    common.emit(document, as_json, lambda: _text(by_effect, computed, secrets))


def _text(by_effect: dict[str, list[Place]], computed: list[Place], secrets: list[str]) -> str:
    lines: list[str] = []
    for effect, places in by_effect.items():
        lines += [effect, *map(_line, places)]
    if computed:
        lines += ["effects whose names are computed, which may be any", *map(_line, computed)]
    lines += ["secrets whose names are computed, which may be any" if one == "secret" else one for one in secrets]
    return "\n".join(lines) or "nothing that needs a grant"


def _line(place: Place) -> str:
    where = f"{place.span}  " if place.span is not None else ""
    return f"  {where}{place.function}" + (f", through {place.through}" if place.through is not None else "")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(effects)

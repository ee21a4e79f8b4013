"""What commands grant: as they are told, or else what the person's own source names, and nothing to other artifacts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowmetal.cli import common
from flowmetal.engine.grants import ALWAYS, SECRET, Grants, grants_line, named_grants, read_grants

if TYPE_CHECKING:
    from pathlib import Path

    from flowmetal.bytecode.fmc import Artifact
    from flowmetal.engine.opening import Built
    from flowmetal.engine.trust import Trust

#: Effects that are named where a program gets none of them.
NAMED_MAX = 12


def of_run(built: Built, artifact: Artifact, grants: list[str] | None) -> tuple[str, ...] | None:
    """The grants of `flowvm run`; they are shown where the program can reach anything outside itself."""
    named = _named(artifact)
    held = _held(built, named, grants, trust_here())
    if named or held:
        common.say(line(held) + _missing(named, held), error=True)
    _tell_needless(artifact, grants, held)
    return held


def of_deployed(built: Built, name: str, grants: list[str] | None, config: Path | None) -> tuple[str, ...] | None:
    """The grants of `flowvm deploy`: those that are given, of the settings, or as for a run."""
    from flowmetal.bytecode.fmc import decode_artifact
    from flowmetal.cli.settings import read_settings

    settings = read_settings(config)
    if grants is None and name in settings.grants:
        settings.trust.check(built.data)
        return settings.grants[name]

    artifact = decode_artifact(built.data)
    named = _named(artifact)
    settings.trust.check(built.data)  # a source as well, since no interpreter would run it
    held = _held(built, named, grants, settings.trust)
    if not built.own and grants is None and named:
        common.say(line(held) + _missing(named, held), error=True)
    _tell_needless(artifact, grants, held)
    return held


def _named(artifact: Artifact) -> list[str]:
    """The effects that an artifact names, and its secrets as grants of them."""
    from flowmetal.engine.secret_sites import secret_grants

    return [*(effect for effect in artifact.effects() if effect not in ALWAYS), *secret_grants(artifact)]


def line(grants: tuple[str, ...] | None) -> str:
    """Grants as they are shown."""
    return f"grants: {grants_line(grants)}"


def _held(built: Built, named: list[str], grants: list[str] | None, trust: Trust | None) -> tuple[str, ...] | None:
    signers = trust.check(built.data) if trust is not None and not built.own else ()
    if grants is not None:
        return read_grants(grants)
    if built.own:
        return named_grants(named)
    return trust.granted_for(signers, named_grants(named)) if trust is not None and signers else ()


def trust_here() -> Trust | None:
    """What ./flowmetal.toml says of trust; None where there is none, which costs nothing to find out."""
    if not os.path.exists("flowmetal.toml"):
        return None
    from flowmetal.cli.settings import read_settings

    return read_settings(None).trust


def _missing(named: list[str], held: tuple[str, ...] | None) -> str:
    """What is said where an artifact gets nothing of what it names."""
    if held is None or held or not named:
        return ""
    more = f" and {len(named) - NAMED_MAX} more" if len(named) > NAMED_MAX else ""
    return f"; it names {', '.join(named[:NAMED_MAX])}{more} (grant with --grant EFFECT)"


def _tell_needless(artifact: Artifact, grants: list[str] | None, held: tuple[str, ...] | None) -> None:
    """Notes each grant of the command line that nothing in the artifact can use: it may be mistyped."""
    if grants is None or not held:
        return
    listed = list(artifact.effects())
    needless = [text for text in held if not any(Grants((text,)).narrowing(effect) is not None for effect in listed)]
    if not needless:
        return
    # Only now, since a run that has what it needs looks at no code.
    from flowmetal.diagnostics.suggest import suggestions
    from flowmetal.engine.secret_sites import secret_grants

    secrets = secret_grants(artifact)
    names = [text.partition("=")[2] for text in secrets]
    of_secrets = [text for text in needless if _of_secrets(text) and not any(map(Grants((text,)).allows_secret, names))]
    others = [text for text in needless if not _of_secrets(text)]
    if secrets == [SECRET]:  # a name that is computed
        of_secrets = []
    if others and _computes(artifact):
        others = []
    known = [name for name in (*named_grants(listed), *secrets) if name.isprintable()]
    for text in (*others, *of_secrets):
        near = suggestions(text if _of_secrets(text) else text.partition("=")[0], known)
        more = f"; near it: {', '.join(near)}" if near else ""
        common.say(f"note: --grant {grants_line((text,))} is not needed: nothing of it is performed{more}", error=True)


def _of_secrets(text: str) -> bool:
    return text.partition("=")[0] == SECRET


def _computes(artifact: Artifact) -> bool:
    """Whether an artifact computes names of effects, which may then be any."""
    from flowmetal.bytecode.link import link
    from flowmetal.engine.library import standard_library
    from flowmetal.engine.opening import library_module
    from flowmetal.engine.performs import places_of

    places = places_of(artifact, link(artifact, library_module), standard_library().modules.values())
    return any(place.effect is None for place in places)

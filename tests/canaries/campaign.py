"""One round of canaries: uses them everywhere, looks everywhere, searches everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.canaries.scanner import Hit, Scanner
from tests.canaries.site import CanarySite

#: How the echo answers, what the program reads it as, and how many redirects it follows.
WEB = (
    ("chunks", "json", 0),
    ("chunks", "bytes", 0),
    ("text", "text", 0),
    ("keys", "json", 0),
    ("error", "text", 0),
    ("gzip", "json", 0),
    ("utf16", "text", 0),
    ("utf16", "bytes", 0),
    ("redirect", "text", 0),
    ("redirect", "json", 3),
    ("elsewhere", "text", 3),
    ("broken", "text", 0),
    ("garbage", "text", 0),
)


@dataclass
class Figures:
    """What a round saw."""

    canaries: int
    sent: int  # canaries that did arrive somewhere in the clear, so that they could have come back
    hits: list[Hit]
    planted: int  # surfaces on which a text that is no secret was found
    surfaces: int
    bytes: int
    processes: int
    answers: list[str] = field(default_factory=list)


def campaign(folder: Path, seed: int, whole: bool = True) -> Figures:
    """Runs one round in an empty folder."""
    site = CanarySite(folder, seed)
    site.start()
    try:
        base = site.echo.url
        web = [site.begin("web", base, how, read_as, hops) for how, read_as, hops in WEB]
        ended = [
            *web,
            site.begin("others", base),
            site.begin("commands"),
            site.begin("refused", base),
            site.begin("fails", base),
            site.begin("command-fails"),
            site.begin("exhausted", base),
        ]
        held, planted = site.begin("holds", base), site.begin("keep-text", site.planted)
        foreign = site.begin("foreign")
        taken = site.http("/v1/requests/take", {"effects": ["foreign/call"], "worker": "w", "wait": 30})["requests"]
        about = {"attempt": taken[0]["attempt"], "value": taken[0]["payload"]}
        site.http(f"/v1/requests/{foreign}/{taken[0]['number']}/complete", about)
        site.wait([held, planted], "waiting")
        site.look([held, planted], whole)
        for pid in (held, planted):
            site.flowvm("send", str(pid), '{"type": "go"}')
        site.wait([*ended, foreign, held, planted])
        everything = [held, *ended, foreign, planted]
        site.look(everything, whole)
        site.flowvm("backup", str(site.store), str(folder / "backup"))
        for arguments in (("effects", "canary.fmc"), ("disasm", "canary.fmc")):
            site.flowc(*arguments)
    finally:
        site.stop()
    surfaces = list(site.surfaces())
    secrets, text = Scanner(site.canaries), Scanner({"planted": site.planted})
    hits = [hit for name, data in surfaces for hit in secrets.scan(name, data)]
    found = {name for name, data in surfaces if text.scan(name, data)}
    arrived = {hit.canary for hit in secrets.scan("the echo", "\n".join(site.echo.seen).encode())}
    return Figures(
        # One may go nowhere; and a command's own is seen by the command alone.
        canaries=len(site.canaries) - 1,
        sent=len(arrived - {"elsewhere"}),
        hits=hits,
        planted=len(found),
        surfaces=len(surfaces),
        bytes=sum(len(data) for _, data in surfaces),
        processes=len(everything),
    )

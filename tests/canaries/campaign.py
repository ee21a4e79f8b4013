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
    ("named16", "text", 0),
    ("named16", "bytes", 0),
    ("named8", "text", 0),
    ("asgbk", "text", 0),
)

#: Commands that end before all is written: by a signal, at their time, or by a shell that says so.  Each writes a
#: beginning of a value in some spelling.
CUT = tuple(
    f"{write} | tr -d '\\n' | cut -c1-{length} | tr -d '\\n'; {end}"
    for write, length in (
        ("printf '%s' \"$A\"", 21),
        ("printf '%s' \"$A\" | base64 -w 0", 31),
        ("printf 'x%s' \"$A\" | base64 -w 0", 30),
        ("printf '%s' \"$B\" | od -An -tx1", 50),
        ("printf '%s' \"$1\" | sed 's/$/\\\\r\\\\n/'", 30),
    )
    for end in ("kill -9 $$", "exit 143", "sleep 9")
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
    own: int  # processes that programs had started over HTTP
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
            site.begin("posts"),
            site.begin("refused", base),
            site.begin("fails", base),
            site.begin("command-fails"),
            site.begin("exhausted", base),
        ]
        cut = [site.begin("cut", script) for script in (CUT if whole else CUT[::4])]
        held, planted = site.begin("holds", base), site.begin("keep-text", site.planted)
        foreign = site.begin("foreign")
        taken = site.http("/v1/requests/take", {"effects": ["foreign/call"], "worker": "w", "wait": 30})["requests"]
        about = {"attempt": taken[0]["attempt"], "value": taken[0]["payload"]}
        site.http(f"/v1/requests/{foreign}/{taken[0]['number']}/complete", about)
        site.wait([held, planted], "waiting")
        site.look([held, planted], whole)
        for pid in (held, planted):
            site.flowvm("send", str(pid), '{"type": "go"}')
        site.wait([*ended, *cut, foreign, held, planted])
        own = site.listed() - {held, *ended, *cut, foreign, planted}
        site.wait(sorted(own))
        everything = [held, *ended, foreign, planted, *sorted(own)]
        site.look(everything, whole)
        site.look(cut, whole=False)
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
        processes=len(everything) + len(cut),
        own=len(own),
    )

"""One target under atheris, in a process of its own, which libFuzzer ends: `python -m tests.fuzz.driver TARGET ARGS`."""

from __future__ import annotations

import sys

import atheris

#: The packages of which each target is told what its inputs reach.  All of them would take half a minute to prepare.
REACHED = {
    "reader": ["flowmetal.reading", "flowmetal.compiler.reader"],
    "artifact": ["flowmetal.bytecode", "flowmetal.values.decoder", "flowmetal.values.wire"],
    "image": ["flowmetal.vm.restore", "flowmetal.vm.image", "flowmetal.values.decoder", "flowmetal.values.wire"],
    "http": ["flowmetal.server", "flowmetal.client", "flowmetal.connectors.http_callback", "flowmetal.store.operations",
             "flowmetal.timetable", "flowmetal.values.json_text", "flowmetal.values.convert"],
    "signatures": ["flowmetal.connectors.http_callback"],
    "config": ["flowmetal.server", "flowmetal.connectors", "flowmetal.timetable", "flowmetal.engine.grants"],
    "socket": ["flowmetal.store"],
}  # fmt: skip

with atheris.instrument_imports(include=REACHED[sys.argv[1]]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Gives libFuzzer the rest of the command line."""
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

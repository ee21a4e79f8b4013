"""Options that many commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from flowmetal.cli.opening import STORE_VARIABLE

StoreOption = Annotated[
    str,
    typer.Option("--store", "-s", envvar=STORE_VARIABLE, help="A folder, or the URL of a `flowvm serve`."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show Python tracebacks of internal errors.", hidden=True)]

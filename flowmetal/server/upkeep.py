"""Handlers of the API for those who keep a store in order: what waits in mailboxes, retention, figures for a monitor.

Nothing here is needed to run programs.  Retention is asked for piece by piece, one at a time, as each piece reads
much.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from flowmetal.client.plain import as_json
from flowmetal.client.pruning import prune_piece, pruning_of, retention_for
from flowmetal.engine.mailboxes import MESSAGES_MAX, mailbox
from flowmetal.engine.retention import Retention
from flowmetal.server.fields import Fields
from flowmetal.store.interface import Store

#: What one request for retention takes, about, once it has removed something.
PIECE_SECONDS = 2.0

NUMBER_MAX = (1 << 62) - 2

#: Key spaces whose entries are figures, and what the figure is called.
SPACES = {"inbox": "inbox_events", "requests": "open_requests", "due": "timers", "log": "log_entries"}

#: Figures of this process, by name, from whoever has some.
Figures = Callable[[], Mapping[str, float]]


class Upkeep:
    """Handlers over one store.  `usual`: what is pruned by where a request does not say it."""

    def __init__(self, store: Store, usual: Retention) -> None:
        self._store = store
        self._usual = usual
        self._pruning = asyncio.Lock()
        self._stopping = threading.Event()
        self.figures: list[Figures] = []

    def stop(self) -> None:
        """Ends what is under way."""
        self._stopping.set()

    async def mailbox(self, pid: int, request: Request) -> Response:
        """A page of the messages that wait for a process."""
        fields = Fields(request.query_params, ("after", "limit"))
        after, limit = fields.integer("after", 0, NUMBER_MAX, 0), fields.integer("limit", 1, MESSAGES_MAX, 100)
        return JSONResponse(as_json(await asyncio.to_thread(mailbox, self._store, pid, after, limit)))

    async def prune(self, document: Mapping[str, Any]) -> Response:
        """A piece of a sweep, or what it would remove."""
        wanted = pruning_of(document)
        by = retention_for(wanted, self._usual)
        async with self._pruning:
            report = await asyncio.to_thread(prune_piece, self._store, by, wanted, PIECE_SECONDS, self._stopping.is_set)
        return JSONResponse(as_json(report))

    async def metrics(self, request: Request) -> Response:
        """Figures of the store and of this process, as Prometheus reads them."""
        Fields(request.query_params, ())
        text = await asyncio.to_thread(self._text)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    def _text(self) -> str:
        store = self._store
        stats = store.stats()
        lines = ["# TYPE flowmetal_processes gauge"]
        lines += [f'flowmetal_processes{{status="{name}"}} {count}' for name, count in stats["processes"].items()]
        figures: dict[str, float] = {
            name: stats["entries"][space] for space, name in SPACES.items() if space in stats["entries"]
        }
        figures |= {f"store_{name}": stats[name] for name in ("file_bytes", "map_limit") if name in stats}
        figures |= {f"store_{name}_total": stats[name] for name in ("commits", "units") if name in stats}
        figures["interpreters"] = stats.get("interpreters", 0)
        due = store.next_due()
        figures["overdue_seconds"] = 0.0 if due is None else max(0.0, (store.now() - due) / 1e9)
        for more in self.figures:
            figures |= more()
        for name, value in figures.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# TYPE flowmetal_{name} {kind}", f"flowmetal_{name} {value:.10g}"]
        return "\n".join(lines) + "\n"

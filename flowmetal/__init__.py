"""Flowmetal: a durable Lisp virtual machine.

The public face.  Names are imported when they are first used, so that `import flowmetal` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowmetal.lazily import names_of

if TYPE_CHECKING:
    from flowmetal.client.base import Client
    from flowmetal.client.connecting import connect
    from flowmetal.client.worker import Context, Worker, WorkerError
    from flowmetal.diagnostics.errors import FlowmetalError

__all__ = ["Client", "Context", "FlowmetalError", "Worker", "WorkerError", "__version__", "connect"]

__version__ = "0.1.0"

_WHERE = {
    "Client": "flowmetal.client.base",
    "Context": "flowmetal.client.worker",
    "FlowmetalError": "flowmetal.diagnostics.errors",
    "Worker": "flowmetal.client.worker",
    "WorkerError": "flowmetal.client.worker",
    "connect": "flowmetal.client.connecting",
}


__getattr__, __dir__ = names_of(globals(), _WHERE)

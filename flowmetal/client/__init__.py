"""What Python programs import: connect(), Client, Worker and the exceptions (drawn in errors.py).

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowmetal.lazily import names_of

if TYPE_CHECKING:
    from flowmetal.client.base import Client
    from flowmetal.client.connecting import connect
    from flowmetal.client.errors import (
        BadAddress,
        ClientError,
        Conflict,
        NotAuthorized,
        NotFinished,
        NotFound,
        NotPlain,
        ProcessCancelled,
        ProcessFailed,
        Refused,
        Unreachable,
    )
    from flowmetal.client.info import ProcessInfo
    from flowmetal.client.plain import Outcome, Step
    from flowmetal.client.steering import Report
    from flowmetal.client.where import Where
    from flowmetal.client.worker import Context, Worker, WorkerError

__all__ = [
    "BadAddress",
    "Client",
    "ClientError",
    "Conflict",
    "Context",
    "NotAuthorized",
    "NotFinished",
    "NotFound",
    "NotPlain",
    "Outcome",
    "ProcessCancelled",
    "ProcessFailed",
    "ProcessInfo",
    "Refused",
    "Report",
    "Step",
    "Unreachable",
    "Where",
    "Worker",
    "WorkerError",
    "connect",
]

_WHERE = {
    "BadAddress": "flowmetal.client.errors",
    "Client": "flowmetal.client.base",
    "ClientError": "flowmetal.client.errors",
    "Conflict": "flowmetal.client.errors",
    "Context": "flowmetal.client.worker",
    "NotAuthorized": "flowmetal.client.errors",
    "NotFinished": "flowmetal.client.errors",
    "NotFound": "flowmetal.client.errors",
    "NotPlain": "flowmetal.client.errors",
    "Outcome": "flowmetal.client.plain",
    "ProcessCancelled": "flowmetal.client.errors",
    "ProcessFailed": "flowmetal.client.errors",
    "ProcessInfo": "flowmetal.client.info",
    "Refused": "flowmetal.client.errors",
    "Report": "flowmetal.client.steering",
    "Step": "flowmetal.client.plain",
    "Unreachable": "flowmetal.client.errors",
    "Where": "flowmetal.client.where",
    "Worker": "flowmetal.client.worker",
    "WorkerError": "flowmetal.client.worker",
    "connect": "flowmetal.client.connecting",
}


__getattr__, __dir__ = names_of(globals(), _WHERE)

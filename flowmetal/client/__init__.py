"""What Python programs import: connect(), Client, Worker and the exceptions (drawn in errors.py)."""

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
from flowmetal.client.plain import Outcome, ProcessInfo, Step
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
    "Step",
    "Unreachable",
    "Worker",
    "WorkerError",
    "connect",
]

"""What a client raises.

    FlowmetalError
      StoreError              the store refused or failed
      ClientError
        BadAddress            connect() was given something that is not an address
        Unreachable           the server cannot be reached, or its answer is not understood
        NotAuthorized         the server refused the token
        NotFound              no such process, program or function
        Conflict              the id belongs to a process that was started otherwise
        NotPlain              a value that cannot cross, to the program or from it
        Refused               the request was refused for another reason, which the error says
        NotFinished           the process goes on after the time to wait (also a TimeoutError)
        ProcessFailed         the process failed: .pid .kind .message .data
        ProcessCancelled      the process was cancelled: .pid

Each has a code of the catalogue; `flowc explain CODE` says more.
"""

from __future__ import annotations

from typing import Any

from flowmetal.diagnostics import FlowmetalError


class ClientError(FlowmetalError):
    """Base of what a client raises by itself."""


class BadAddress(ClientError):
    """connect() was given something that is not an address (H502)."""


class Unreachable(ClientError):
    """The server cannot be reached (H501), or its answer is not understood (H512)."""


class NotAuthorized(ClientError):
    """The server refused the token (H503)."""


class NotFound(ClientError):
    """No such process (H504), program (H511), or function in the program (B014)."""


class Conflict(ClientError):
    """The id belongs to a process that was started otherwise (H505)."""


class NotPlain(ClientError):
    """A value that cannot cross between Python and a program (H510)."""


class Refused(ClientError):
    """The server or store refused the request (H506, H513), or a start with a wrong number of arguments (B016)."""


class NotFinished(ClientError, TimeoutError):
    """The process goes on after the time to wait (H507)."""


class ProcessFailed(ClientError):
    """The process failed (H508).  `kind` is the error's kind ("http/timeout"), `data` plain Python."""

    def __init__(self, pid: int, kind: str, message: str, data: Any = None) -> None:
        super().__init__("H508", pid=pid, kind=kind, message=message)
        self.pid = pid
        self.kind = kind
        self.message = message
        self.data = data


class ProcessCancelled(ClientError):
    """The process was cancelled (H509).  `reason` is what was given for it, plain Python."""

    def __init__(self, pid: int, reason: Any = None) -> None:
        super().__init__("H509", pid=pid, reason=reason)
        self.pid = pid
        self.reason = reason

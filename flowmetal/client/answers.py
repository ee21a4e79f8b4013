"""What a server answered: the document of a success, or the exception that its error stands for.

An error of a code that this side knows, with all the facts that its words use, is raised as it would be over a store:
the same class, the same code, the same words.  Any other is Refused (H506) in the words of the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowmetal.client.errors import Conflict, NotAuthorized, NotFound, NotPlain, Refused, Unreachable
from flowmetal.client.shapes import Reply, document_of
from flowmetal.diagnostics import FlowmetalError
from flowmetal.diagnostics.catalogue import facts_of, fields_of, find_entry
from flowmetal.store.errors import StoreError

if TYPE_CHECKING:
    import httpx2

#: The classes of errors that a client raises by itself; others of the store are StoreError, all else is Refused.
CLASSES: dict[str, type[FlowmetalError]] = {
    "B014": NotFound, "H504": NotFound, "H511": NotFound, "S308": NotFound,
    "H505": Conflict, "H517": Conflict,
    "B016": Refused, "H513": Refused, "H515": Refused, "H516": Refused, "H555": Refused,
    "H510": NotPlain,
}  # fmt: skip

#: Of a start, which a client over a store raises as these.
_OF_STARTS: dict[str, type[FlowmetalError]] = {"S220": NotFound, "S221": Refused, "S222": Refused}


def read_answer(response: httpx2.Response, url: str, pid: int | None, of_store: bool = False) -> Reply:
    """The document of an answer, or the exception that its error stands for.

    `pid`: the process that was asked about.  `of_store`: the store itself was asked, so that its errors are its own.
    """
    document = document_of(response.content)
    if document is None:
        raise Unreachable("H512", url=url, reason=f"status {response.status_code} without a JSON document")
    if response.is_success:
        return Reply(document, url)
    raise _error(response.status_code, document.get("error"), url, pid, of_store)


def _error(status: int, error: Any, url: str, pid: int | None, of_store: bool) -> FlowmetalError:
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return Unreachable("H512", url=url, reason=f"status {status} without an error that says more")
    if status == 401:
        return NotAuthorized("H503", url=url)
    code, given = error.get("code"), error.get("facts")
    code = code if isinstance(code, str) else ""
    if status == 404 and pid is not None and code not in ("H511", "B014"):
        return NotFound("S308" if code == "S308" else "H504", pid=pid)
    if code == "H309":
        return NotPlain("H510", what=f"result of process {pid}", reason=error["message"], printed=error.get("printed"))
    known = _known(code, given if isinstance(given, dict) else {}, of_store)
    if known is not None:
        return known
    message = error["message"] if not code else f"{error['message']} [{code}]"
    advice = error.get("hint")
    return Refused("H506", message=message, advice=advice if isinstance(advice, str) else "", status=status)


def _known(code: str, given: dict[str, Any], of_store: bool) -> FlowmetalError | None:
    """The error as a client over a store raises it; None where it is not one of those, or not told whole."""
    entry = find_entry(code)
    if entry is None or not (code in CLASSES or code[0] in "BSU"):
        return None
    facts = facts_of(code, given)
    if any(name not in facts for name in fields_of(entry.text)):
        return None
    if code in CLASSES:
        return CLASSES[code](code, **facts)
    if code[0] != "S":
        return Refused(code, **facts)
    return StoreError(code, **facts) if of_store else _OF_STARTS.get(code, StoreError)(code, **facts)

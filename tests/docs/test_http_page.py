"""docs/http.md against the routes, the request connector, and the signature schemes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from doc_blocks import DOCS, ROOT, of_language

from flowmetal.client.base import POSTED
from flowmetal.connectors.config import SCHEMES, read_endpoints
from flowmetal.connectors.http_callback import Callbacks
from flowmetal.connectors.http_callback.signatures import verify
from flowmetal.connectors.http_request.request import KEYS, METHODS
from flowmetal.server.access import Access
from flowmetal.server.api import Api
from flowmetal.server.config import ServeSettings
from flowmetal.store.memory import MemoryStore

TEXT = (DOCS / "http.md").read_text(encoding="utf-8")


def test_routes() -> None:
    store = MemoryStore()
    api = Api(store, ServeSettings(), Access(None, "127.0.0.1"))
    routes: set[tuple[str, str]] = set()
    for route in api.routes():
        path = re.sub(r"\{(\w+)(:int|:path)?\}", lambda match: match[1].upper(), route.path)
        routes.update((method, path) for method in (route.methods or set()) - {"HEAD"})
    described = re.findall(r"^\| `(GET|POST|PUT) (/(?:v1/)?\S+)` \|", TEXT, re.MULTILINE)
    assert sorted(described) == sorted(routes)
    for other in Callbacks(store).routes():
        assert f"`{re.sub(r'{(.*)}', lambda match: match[1].upper(), other.path)}`" in TEXT
    store.close()


def test_kinds_of_events() -> None:
    row = next(line for line in TEXT.split("\n") if line.startswith("| `POST /v1/processes/PID/events`"))
    assert f"(`{'`, `'.join(POSTED)}`)" in row


def test_keys_of_a_request() -> None:
    table = TEXT[TEXT.index("| key | meaning |") : TEXT.index("The answer is `{:status")]
    assert sorted(re.findall(r"^\| `:([\w-]+)`", table, re.MULTILINE)) == sorted(KEYS)
    row = next(line for line in table.split("\n") if line.startswith("| `:method`"))
    assert {word.upper() for word in re.findall(r"`:(\w+)`", row.split("|")[2])} == METHODS


def test_kinds_of_error() -> None:
    folder = ROOT / "flowmetal" / "connectors" / "http_request"
    source = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    raised = set(re.findall(r'(?:\bFailure\(\s*|BROKEN: ClassVar\[str\] = )"(http/[\w-]+)"', source))
    described = re.findall(r"^\| `:(http/[\w-]+)` \|", TEXT, re.MULTILINE)
    assert sorted(described) == sorted(raised)


def test_schemes() -> None:
    table = TEXT[TEXT.index("| scheme | signed |") : TEXT.index("For `github`, what a sender does")]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(SCHEMES)


def test_signing_example() -> None:
    (block,) = of_language(DOCS / "http.md", "python")
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), names)
    endpoint = read_endpoints({"g": {"start": "a/b", "scheme": "github", "secret_env": "S"}})["g"]
    headers = {name.lower(): text for name, text in names["headers"].items()}
    assert verify(endpoint, (b"the secret",), headers, names["body"], 0.0).id == "1"


def test_json_blocks_are_json() -> None:
    for page in sorted(Path(DOCS).glob("*.md")):
        for block in of_language(page, "json"):
            json.loads(block.text)

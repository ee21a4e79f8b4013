"""Addresses of stores: `lmdb:///path?setting=value`, or a plain path."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from flowmetal.store.errors import StoreError
from flowmetal.store.keys import KeySource
from flowmetal.store.lmdb_options import DURABILITIES, LmdbOptions

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def parse_address(url_or_path: str | Path) -> tuple[Path, LmdbOptions]:
    """The absolute folder and the settings of an `lmdb:` address or a path; S109 for others."""
    text = str(url_or_path)
    refusal = StoreError("S109", url=text)
    if not text or "\x00" in text:
        raise refusal
    if isinstance(url_or_path, Path) or not text.startswith("lmdb:"):
        if not isinstance(url_or_path, Path) and _SCHEME.match(text):
            raise refusal  # of something else, mistyped more likely than a folder of such a name
        return Path(os.path.abspath(text)), LmdbOptions()
    parts = urlsplit(text)
    if parts.netloc or parts.fragment or not parts.path or (text.startswith("lmdb://") and not parts.path[0] == "/"):
        raise refusal
    settings: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "map_limit" and value.isdecimal() and 1 << 20 <= int(value) <= 1 << 46:
            settings["map_limit"] = int(value)
        elif name == "durability" and value in DURABILITIES:
            settings["durability"] = value
        elif name in ("key_file", "key_env") and value and "\x00" not in value and "key" not in settings:
            settings["key"] = KeySource(name.removeprefix("key_"), value)
        elif name == "network" and value == "allow":
            settings["allow_network"] = True
        else:
            raise refusal
    return Path(os.path.abspath(unquote(parts.path))), LmdbOptions(**settings)

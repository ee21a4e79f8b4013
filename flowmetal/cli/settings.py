"""Finds the settings file that a command uses.

What reads settings is loaded when they are read: `flowvm ps` asks for them where
there are some for stores, and not else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flowmetal.store import keys

if TYPE_CHECKING:
    from flowmetal.server.config import ServerConfig


def read_settings(path: Path | None) -> ServerConfig:
    """The settings of `path`, or of ./flowmetal.toml where there is one."""
    from flowmetal.server.config import ServerConfig, load_config

    if path is not None:
        return load_config(path)
    default = Path("flowmetal.toml")
    return load_config(default) if default.exists() else ServerConfig()


def use_settings_key() -> None:
    """Has the key of an encrypted store looked for in ./flowmetal.toml where nothing else says where it is."""
    if settings_key not in keys.fallbacks:
        keys.fallbacks.append(settings_key)


def settings_key() -> keys.KeySource | None:
    """[store] key of ./flowmetal.toml.  What reads all settings is not loaded for a file that has no table `store`."""
    default = Path("flowmetal.toml")
    try:
        if not default.exists() or b"store" not in default.read_bytes():
            return None
    except OSError:
        pass  # the reader of settings says what is wrong
    return read_settings(None).store.key

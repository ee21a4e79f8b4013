"""Finds the settings file that a command uses."""

from __future__ import annotations

from pathlib import Path

from flowmetal.server.config import ServerConfig, load_config


def read_settings(path: Path | None) -> ServerConfig:
    """The settings of `path`, or of ./flowmetal.toml where there is one."""
    if path is not None:
        return load_config(path)
    default = Path("flowmetal.toml")
    return load_config(default) if default.exists() else ServerConfig()

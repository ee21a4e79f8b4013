"""Fetches the secrets of endpoints from the environment or a file, once, before anything is served."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flowmetal.connectors.config import EndpointSettings
from flowmetal.diagnostics import FlowmetalError

#: Secrets of one endpoint: more than two are a rotation that was never finished.
SECRETS_MAX = 8


def load_secrets(settings: EndpointSettings, environment: Mapping[str, str]) -> tuple[bytes, ...]:
    """The endpoint's secrets, the newest first.  FlowmetalError H203 where one is missing or empty."""
    if settings.scheme == "none":
        return ()
    secrets: list[bytes] = []
    for name in settings.secret_env:
        secret = environment.get(name, "").strip()
        if not secret:
            problem = "is empty" if name in environment else "is not set"
            raise FlowmetalError("H203", section=settings.section, source=f"the variable {name}", problem=problem)
        secrets.append(secret.encode())
    if settings.secret_file is not None:
        secrets += _from_file(settings, settings.secret_file)
    return tuple(secrets[:SECRETS_MAX])


def _from_file(settings: EndpointSettings, path: str) -> list[bytes]:
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise FlowmetalError("H203", section=settings.section, source=f"the file {path}", problem=problem) from None
    secrets = [line.strip() for line in lines if line.strip()]
    if not secrets:
        raise FlowmetalError("H203", section=settings.section, source=f"the file {path}", problem="is empty")
    return secrets

"""The secrets of endpoints, read once, before anything is served; from where is up to connectors/secrets/sources.py."""

from __future__ import annotations

from collections.abc import Mapping

from flowmetal.connectors.config import EndpointSettings
from flowmetal.connectors.secrets.sources import Unread, from_environment, from_file
from flowmetal.diagnostics import FlowmetalError

#: Secrets of one endpoint: more than two are a rotation that was never finished.
SECRETS_MAX = 8


def load_secrets(settings: EndpointSettings, environment: Mapping[str, str]) -> tuple[bytes, ...]:
    """The endpoint's secrets, the newest first.  FlowmetalError H203 where one is missing or empty."""
    if settings.scheme == "none":
        return ()
    secrets: list[bytes] = []
    source = ""
    try:
        for name in settings.secret_env:
            source = f"the variable {name}"
            secrets.append(from_environment(environment, name).encode())
        if settings.secret_file is not None:
            source = f"the file {settings.secret_file}"
            secrets += [line.strip() for line in from_file(settings.secret_file).splitlines() if line.strip()]
    except Unread as problem:
        raise FlowmetalError("H203", section=settings.section, source=source, problem=str(problem)) from None
    return tuple(secrets[:SECRETS_MAX])

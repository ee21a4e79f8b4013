"""Secrets: where values are read from, who may use them, and taking them out of whatever comes back."""

from flowmetal.connectors.secrets.inlet import Inlet, inlet, plain, work
from flowmetal.connectors.secrets.redactor import Redactor
from flowmetal.connectors.secrets.service import SecretProblem, Secrets, filled
from flowmetal.connectors.secrets.settings import SecretSettings, read_secrets

__all__ = [
    "Inlet",
    "Redactor",
    "SecretProblem",
    "SecretSettings",
    "Secrets",
    "filled",
    "inlet",
    "plain",
    "read_secrets",
    "work",
]

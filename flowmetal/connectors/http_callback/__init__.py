"""HTTP in: callbacks that answer a waiting process, and signed endpoints that start one."""

from flowmetal.connectors.http_callback.app import Callbacks

__all__ = ["Callbacks"]

"""The HTTP server: the API under /v1, callbacks and endpoints, and the runner that serves them."""

from flowmetal.server.config import ServerConfig, load_config, read_config
from flowmetal.server.running import HttpServer, serve

__all__ = ["HttpServer", "ServerConfig", "load_config", "read_config", "serve"]

"""http/request: sends the HTTP requests of processes, behind a guard against requests into the inner network."""

from flowmetal.connectors.http_request.connector import EFFECT, HttpRequestConnector

__all__ = ["EFFECT", "HttpRequestConnector"]

"""Looking at processes: their state now or at a past step, and their history, as data for the CLI, the API and the UI."""

from flowmetal.inspect.history import HistoryLine, history
from flowmetal.inspect.state import FiberView, FrameView, Inspection, RequestView, inspect_process

__all__ = [
    "FiberView",
    "FrameView",
    "HistoryLine",
    "Inspection",
    "RequestView",
    "history",
    "inspect_process",
]

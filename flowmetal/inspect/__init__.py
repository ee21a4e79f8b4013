"""Looking at processes: their state now or at a past step, and their history, as data for CLI, API and UI."""

from flowmetal.inspect.history import History, HistoryLine, history
from flowmetal.inspect.state import inspect_process
from flowmetal.inspect.views import FiberView, FrameView, Inspection, RequestView

__all__ = [
    "FiberView",
    "FrameView",
    "History",
    "HistoryLine",
    "Inspection",
    "RequestView",
    "history",
    "inspect_process",
]

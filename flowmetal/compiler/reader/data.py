"""read_data, for those who know the reader by the compiler; the reader of data is flowmetal.reading."""

from __future__ import annotations

from flowmetal.reading.data import read_all_data, read_data

__all__ = ["read_all_data", "read_data"]

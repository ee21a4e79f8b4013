"""Data as text to values: tokens, literals, and `read_data`.  The compiler's reader of source is made of them too.

Pure, without ply and without places in values; what is wrong is a `Bad` inside, and a FlowmetalError outside.
"""

from flowmetal.reading.data import read_all_data, read_data

__all__ = ["read_all_data", "read_data"]

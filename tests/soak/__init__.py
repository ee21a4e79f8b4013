"""Soak: a mixed load for a long time, with kills; see line.py for what runs, and figures.py for what is asked of it."""

"""Hostile artifacts and images: changed by the million, refused or run to an end.  `python -m tests.hostile`."""

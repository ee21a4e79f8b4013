"""Flips bits of stores, in records and in the file, and sees whether each is found.  `make scrub`."""

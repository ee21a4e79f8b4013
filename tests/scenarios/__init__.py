"""Scenarios: named programs with what the outside does to them, as data, run by one harness in several ways.

groups/*.toml hold the scenarios, data.py reads them, outside.py is the world they run in, ways.py runs one in one way and
says what came of it, page.py writes docs/scenarios.md.  `python -m tests.scenarios --help` runs them by hand.
"""

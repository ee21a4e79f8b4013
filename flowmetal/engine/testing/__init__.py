"""Tests in the language: what `flowc test` finds, the closed world each test runs in, and what came of it.

suite.py builds modules and finds their tests, world.py is the world of one test, chaos.py what happens to it under one
seed, runner.py runs a test in it.  Nothing here writes: the command line does.
"""

from flowmetal.engine.testing.runner import Problem, Report, Result, Verdict, judge, run_test
from flowmetal.engine.testing.suite import Suite, Test, build_suite

__all__ = ["Problem", "Report", "Result", "Suite", "Test", "Verdict", "build_suite", "judge", "run_test"]

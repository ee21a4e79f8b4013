"""Tests of flowmetal/bytecode."""

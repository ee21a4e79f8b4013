"""The commands `flowc` and `flowvm`: parse arguments, call, render; nothing else.

Imports of the rest of the package stand inside the commands, so that `--help` and completion start fast.
"""

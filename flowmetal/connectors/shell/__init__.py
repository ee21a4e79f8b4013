"""shell/run: runs commands of this machine, which the settings allow, for processes."""

from flowmetal.connectors.shell.connector import EFFECT, ShellConnector
from flowmetal.connectors.shell.settings import ShellSettings, read_shell

__all__ = ["EFFECT", "ShellConnector", "ShellSettings", "read_shell"]

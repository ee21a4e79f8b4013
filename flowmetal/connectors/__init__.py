"""Connectors perform effects for processes.  Each is an ordinary client of the store interface, in its own folder."""

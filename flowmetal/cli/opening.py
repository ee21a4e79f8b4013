"""The store that a command is about, by folder or URL, and the process that it names."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from flowmetal.cli import common

if TYPE_CHECKING:
    from flowmetal.client.base import Client
    from flowmetal.store.interface import Store

DEFAULT_STORE = "./flowmetal-store"
STORE_VARIABLE = "FLOWMETAL_STORE"


def open_client(store: str, *, create: bool = False) -> Client:
    """A client of a store folder or a server.  A mistyped path is S101, except where a store is `create`d."""
    from flowmetal.cli.settings import use_settings_key
    from flowmetal.client import connect

    if not is_url(store):
        use_settings_key()
    return connect(store, create=create)


def is_url(store: str) -> bool:
    """Whether a store is the URL of a server."""
    return store.startswith(("http://", "https://"))


def open_folder(store: str, *, to_write: bool = False) -> AbstractContextManager[Store]:
    """The store itself, for what the HTTP API does not offer; closed at the end of a `with`.  `to_write`: S317 for a
    backup, also where nothing is to be written in the end."""
    from contextlib import closing

    from flowmetal.cli.settings import use_settings_key
    from flowmetal.store import open_store

    if is_url(store):
        common.usage("U109", url=store)
    use_settings_key()
    return closing(open_store(store, create=False, to_write=to_write))


def find_pid(client: Client, text: str) -> int:
    """The number of a process named by number or id, or else by the name that it is registered as."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    found = client.find(text)
    if found is not None:
        return found.pid
    pid = _registered(client, text)
    if pid is None:
        common.usage("U104", pid=text, store=client.url)
    return pid


def _registered(client: Client, text: str) -> int | None:
    """The process that has a name; None also for what can be no name, and where a store is only read."""
    from flowmetal.store.errors import StoreError

    try:
        pid = client.operate("process/whereis", [text])
    except StoreError:
        return None
    return pid if pid.__class__ is int else None


def find_in_store(store: Store, text: str) -> int:
    """The number of a process named as for find_pid, in an open store; S308 for one that was removed."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        found = store.process(int(text))
    else:
        found = store.process_by_id(text)
        if found is None:
            from flowmetal.client import connect

            with connect(store) as client:
                pid = _registered(client, text)
            found = None if pid is None else store.process(pid)
    if found is None:
        if text.isascii() and text.isdigit() and 0 < int(text) <= store.last_pid():
            common.usage("S308", pid=int(text))
        common.usage("U104", pid=text, store=store.url)
    return found.pid

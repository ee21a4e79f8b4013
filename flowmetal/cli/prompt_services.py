"""What serves the effects that leave a session: connectors and a store, loaded when the first effect needs them."""

from __future__ import annotations

from typing import Any


class LazyOutside:
    """Implements the engine's Outside; nothing is imported before the first effect."""

    def __init__(self, store: str | None = None, person: Any = None) -> None:
        self._folder = store
        self._person = person
        self._outside: Any = None
        self._services: Any = None

    def ask(self, number: int, effect: str, payload: Any, options: Any) -> None:
        """See flowmetal.engine.prompt_process."""
        if self._outside is None:
            from flowmetal.cli.running import ALL, Services
            from flowmetal.cli.settings import read_settings
            from flowmetal.engine.prompt_store import StoreOutside

            self._services = Services((ALL,))  # what is typed is the person's own
            self._outside = StoreOutside(self._open, self._services.serve, self._person, read_settings(None).trust)
        self._outside.ask(number, effect, payload, options)

    def _open(self) -> Any:
        if self._folder is None:
            from flowmetal.store.memory import MemoryStore

            return MemoryStore()
        from flowmetal.cli.settings import use_settings_key
        from flowmetal.store import open_store

        use_settings_key()
        return open_store(self._folder)

    def wait(self, seconds: float) -> Any:
        """See flowmetal.engine.prompt_process."""
        return self._outside.wait(seconds)

    def forget(self, number: int) -> None:
        """See flowmetal.engine.prompt_process."""
        if self._outside is not None:
            self._outside.forget(number)

    def close(self) -> None:
        """Stops what was started."""
        if self._services is not None:
            self._services.stop()
        if self._outside is not None:
            self._outside.close()


def open_outside(store: str | None = None, person: Any = None) -> LazyOutside:
    """What serves effects over a store folder, by default over memory."""
    return LazyOutside(store, person)

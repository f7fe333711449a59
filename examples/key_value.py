"""Objects that behave: a remote store is used like a dictionary, a transaction with ``with``.

python examples/key_value.py
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import beside

import netobj


class Store:
    """Special methods are open to clients, unless the settings say otherwise."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._items: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._items[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._items))

    @netobj.exposed
    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Nobody else has one meanwhile, and an error undoes what was done."""
        with self._lock:
            before = dict(self._items)
            try:
                yield
            except BaseException:
                self._items = before
                raise


class StoreService(netobj.Service):
    """Gives every client the one store."""

    def __init__(self) -> None:
        self._store = Store()

    @netobj.exposed
    def store(self) -> Store:
        return self._store


def serve() -> None:
    # What clients do wrong is theirs to know, and not for the server's log.
    quiet = {"log_exceptions": False}
    server = netobj.ThreadedServer(StoreService(), hostname="localhost", protocol_config=quiet)
    print(server.port, flush=True)
    server.start()


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    with beside.server(__file__) as port, netobj.connect("localhost", port) as conn:
        store = conn.root.store()
        with store.transaction():
            store["apples"] = 3
            store["pears"] = 5
        try:
            with store.transaction():
                store["apples"] = 0
                store["plums"] = 1 // 0
        except ZeroDivisionError:
            print("undone")
        print(len(store), sorted(store), store["apples"], "plums" in store)
        try:
            store["plums"]
        except KeyError as error:
            print("no", error)


if __name__ == "__main__":
    main()

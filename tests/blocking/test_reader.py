"""What a thread does that reads a connection; most of it is tested through whole connections."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import netobj

Pair = tuple[netobj.Connection, netobj.Connection]


def test_what_the_peer_drops_dies_while_the_server_waits_for_its_next_call(
    pair: Callable[..., Pair], in_thread: Callable[..., threading.Thread]
) -> None:
    died = threading.Event()

    class Thing:
        def __del__(self) -> None:
            died.set()

    class Maker(netobj.Service):
        def exposed_make(self) -> Any:
            return Thing()

    here, there = pair(there=Maker)
    in_thread(there.serve_all)
    thing = here.root.make()
    del thing
    assert died.wait(10)
    here.close()

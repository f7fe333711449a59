"""Two connections in one process, joined by a socket pair, and waiting without guessing times."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import netobj
from netobj.blocking.streams import SocketStream

Pair = tuple[netobj.Connection, netobj.Connection]


@pytest.fixture
def pair() -> Iterator[Callable[..., Pair]]:
    """``pair(here, there, config, other_config)``: two open connections, closed at the end."""
    opened: list[netobj.Connection] = []

    def make(
        here: Any = netobj.VoidService,
        there: Any = netobj.SlaveService,
        config: dict[str, Any] | None = None,
        other_config: dict[str, Any] | None = None,
    ) -> Pair:
        one, other = socket.socketpair()
        first = netobj.connect_stream(SocketStream(one), here, config or {})
        opened.append(first)
        second = netobj.connect_stream(SocketStream(other), there, other_config or {})
        opened.append(second)
        return first, second

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds; fails after 10 seconds."""

    def wait(condition: Callable[[], object]) -> None:
        end = time.monotonic() + 10
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < end, "the condition did not come to hold"
            pause.wait(0.002)

    return wait


@pytest.fixture
def in_thread() -> Iterator[Callable[..., threading.Thread]]:
    """Start a function in a thread that is joined when the test ends."""
    threads: list[threading.Thread] = []

    def start(function: Callable[..., object], *args: Any) -> threading.Thread:
        thread = threading.Thread(target=function, args=args, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()

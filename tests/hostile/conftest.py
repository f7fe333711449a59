"""Servers of every kind that lives in the process of the test, and peers on bare sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rawpeer import RawPeer
from slow import Busy

import netobj
from patience import wait_until

KINDS = [
    netobj.ThreadedServer,
    netobj.ThreadPoolServer,
    netobj.AsyncServer,
    pytest.param(
        netobj.ForkingServer,
        marks=pytest.mark.skipif(
            not hasattr(netobj.ForkingServer, "accept"), reason="there is no fork"
        ),
    ),
]


@pytest.fixture
def service() -> Iterator[Busy]:
    service = Busy()
    yield service
    service.go_on.set()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def serve(kind: Any, service: Busy) -> Iterator[Callable[..., int]]:
    """``serve(setting=...)``: the port of a server of that kind."""
    servers: list[Any] = []

    def start(**config: Any) -> int:
        server = kind(service, hostname="localhost", protocol_config=config)
        port: int = server.port
        servers.append(server)
        server.__enter__()
        wait_until(lambda: kind is not netobj.AsyncServer or server._running is not None)
        return port

    yield start
    service.go_on.set()
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def peer() -> Iterator[Callable[..., RawPeer]]:
    """``peer(port)``: a peer on a bare socket."""
    peers: list[RawPeer] = []

    def connect(port: int, greets: bool = True) -> RawPeer:
        peers.append(RawPeer(port, greets))
        return peers[-1]

    yield connect
    for one in peers:
        one.close()

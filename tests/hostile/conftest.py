"""Victims of every kind, servers and clients, and hostile peers at the other end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from attacker import VICTIMS, Attacker, CoreSocket, hostile_server, victim
from rawpeer import RawPeer
from slow import ELSEWHERE, Busy

import netobj
from netobj.core.config import Config
from patience import HANG, wait_until
from skins import AioClient, Background, BlockingClient, Client

KINDS: list[Any] = [
    netobj.ThreadedServer,
    netobj.ThreadPoolServer,
    netobj.AsyncServer,
    *(
        pytest.param(
            kind, marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
        )
        for kind in ELSEWHERE
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


@pytest.fixture(scope="session")
def loop() -> Iterator[Background]:
    """The event loop of all victims that have one."""
    background = Background("the victims' loop")
    yield background
    background.close()


Attack = Callable[..., Attacker]


@pytest.fixture(params=VICTIMS)
def attack(request: pytest.FixtureRequest, loop: Background) -> Iterator[Attack]:
    """``attack(service, config)``: a hostile peer of a victim, of each kind in turn."""
    with ExitStack() as stack:
        yield lambda service, config=None: stack.enter_context(
            victim(request.param, loop, service, config)
        )


@pytest.fixture
def core() -> Attack:
    """The same, of a victim without a front-end: for long tables."""

    def make(service: Any, config: dict[str, Any] | None = None) -> Attacker:
        settings = {"log_exceptions": False, **(config or {})}
        return Attacker(CoreSocket(service(), Config().merge(settings)))  # type: ignore[arg-type]

    return make


Lure = Callable[..., Client]


@pytest.fixture(params=["blocking", "aio"])
def lure(request: pytest.FixtureRequest, loop: Background) -> Iterator[Lure]:
    """``lure(answer)``: a client of either skin, connected to a server that answers as it likes."""
    threads: list[threading.Thread] = []
    with ExitStack() as stack:

        def make(answer: Callable[..., object] | None = None, **more: Any) -> Client:
            attacker, connection = stack.enter_context(
                hostile_server(request.param, loop, answer=answer, **more)
            )
            thread = threading.Thread(target=attacker.serve_all, daemon=True)
            thread.start()
            threads.append(thread)
            kind = AioClient if request.param == "aio" else BlockingClient
            client = kind(connection, loop)
            client.attacker = attacker  # type: ignore[attr-defined]
            return client

        yield make
    for thread in threads:
        thread.join(HANG)

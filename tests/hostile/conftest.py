"""Victims of every kind, and a hostile peer at the other end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from attacker import VICTIMS, Attacker, CoreSocket, hostile_server, victim

from netobj.core.config import Config
from patience import HANG
from skins import AioClient, Background, BlockingClient, Client


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

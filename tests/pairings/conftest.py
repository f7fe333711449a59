"""The four pairings of skins, as fixtures."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pairings import Background, Pair, Pairing

SKINS = ("blocking", "aio")
PAIRINGS = [(client, server) for client in SKINS for server in SKINS]


@pytest.fixture(scope="session")
def loops() -> Iterator[tuple[Background, Background]]:
    """One event loop for all clients, and one for all servers."""
    gc.freeze()  # what the whole test run has imported is not looked through for each test
    here, there = Background("the clients' loop"), Background("the servers' loop")
    yield here, there
    here.close()
    there.close()
    gc.unfreeze()


@pytest.fixture(params=PAIRINGS, ids="-".join)
def pairing(
    request: pytest.FixtureRequest, loops: tuple[Background, Background]
) -> Iterator[Pairing]:
    """Makes pairs of the two skins in turn; at the end nothing may be left in their tables."""
    client, server = request.param
    made = Pairing(client, server, *loops)
    yield made
    try:
        made.check()
    finally:
        made.close()


@pytest.fixture
def pair(pairing: Pairing, request: pytest.FixtureRequest) -> Pair:
    """A client of the test module's ``SERVICE``."""
    return pairing.join(request.module.SERVICE)

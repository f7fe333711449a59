"""Both event loops; and garbage collection that looks at no more than it has to."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator

import pytest
from looped import LOOPS


@pytest.fixture(autouse=True, scope="session")
def _frozen() -> Iterator[None]:
    """What the whole test run has imported is not looked through for each test."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=LOOPS)
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes a loop, of each kind in turn."""
    return LOOPS[request.param]

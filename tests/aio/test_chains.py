from __future__ import annotations

from typing import Any

import pytest

from netobj.aio import chains
from netobj.aio.threads import ThreadWaiter


@pytest.fixture
def waiter() -> ThreadWaiter:
    return ThreadWaiter("link", (0, None, None), 0.0)


def test_coming_and_going(waiter: ThreadWaiter) -> None:
    other = ThreadWaiter("link", (0, None, None), 0.0)
    chains.enter(-1, waiter)
    chains.enter(-1, other)
    assert chains.waiting[-1] == [waiter, other]
    chains.leave(-1, waiter)  # not the innermost: two threads may wait in a chain
    assert chains.waiting[-1] == [other]
    chains.leave(-1, other)
    assert -1 not in chains.waiting


def test_the_innermost_waiter_that_did_not_ask(waiter: ThreadWaiter) -> None:
    other = ThreadWaiter("other link", (0, None, None), 0.0)
    waiter.seq, other.seq = 1, 2
    other.thread = -1

    def found(link: Any, seq: int, same: bool) -> Any:
        return chains.find_waiter(-1, link, seq, same)

    assert found("link", 3, True) is None
    chains.enter(-1, waiter)
    chains.enter(-1, other)
    try:
        assert found("link", 3, True) is other
        assert found("link", 2, True) is waiter  # the other end of the other's connection asks
        assert found("link", 2, False) is other  # it is of another process, which counts itself
        assert found("other link", 2, True) is other
        other.thread = waiter.thread  # which waits for this very request
        assert found("link", 2, True) is None
        other.done = True  # its thread is about to leave
        assert found("link", 3, True) is waiter
    finally:
        chains.leave(-1, waiter)
        chains.leave(-1, other)

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from netobj.blocking import waker
from netobj.blocking.waker import PairWaker

KINDS = [PairWaker, waker.Waker]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[[], Any]:
    kind: Callable[[], Any] = request.param
    return kind


@pytest.fixture
def one(make: Callable[[], Any]) -> Iterator[Any]:
    made = make()
    yield made
    made.close()


def readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_it_is_readable_from_wake_to_clear(one: Any) -> None:
    assert not readable(one.fd)
    one.wake()
    one.wake()
    assert readable(one.fd)
    one.clear()
    assert not readable(one.fd)
    one.clear()  # does not wait


def test_waking_never_waits_however_often(one: Any) -> None:
    for _ in range(10_000):
        one.wake()
    assert readable(one.fd)
    one.clear()
    assert not readable(one.fd)


def test_closing_gives_the_descriptors_back(make: Callable[[], Any]) -> None:
    before = set(os.listdir("/proc/self/fd"))
    made = make()
    made.close()
    made.close()
    assert set(os.listdir("/proc/self/fd")) == before
    made.wake()  # does no harm
    made.clear()


def test_the_best_kind_of_the_platform_is_chosen() -> None:
    assert (waker.Waker is waker.EventWaker) == hasattr(os, "eventfd")

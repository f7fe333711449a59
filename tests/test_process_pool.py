"""What goes to a worker process, and what comes back."""

from __future__ import annotations

import math
import operator
import os
import threading
from concurrent.futures import Future
from typing import Any, NamedTuple

import pytest

import netobj
from netobj import process_pool, process_worker
from netobj.core.exposure import Exposure, Run
from netobj.core.outcomes import Ruled
from netobj.errors import CallCancelled, WorkerCrashed
from netobj.process_pool import close_pool, come_to, run_in_process


class Service(netobj.Service):
    """Has one process."""

    PROCESSES = 1

    def exposed_own(self) -> str:
        return "own"


class Point(NamedTuple):
    """Travels by value."""

    x: int


@pytest.fixture(autouse=True)
def closed() -> Any:
    yield
    close_pool(Service)
    close_pool(Service)  # twice does no harm


def call(function: Any, *args: Any) -> Any:
    ruled = Ruled(Exposure(run=Run.PROCESS), function, args, {}, lambda value: value)
    return come_to(ruled, run_in_process(ruled, Service), Service)


def test_values_go_there_and_come_back() -> None:
    value = {"a": [1, (2.5, None)], b"b": {3}, "c": frozenset((4,)), "d": bytearray(b"e")}
    assert call(operator.itemgetter("a"), value) == [1, (2.5, None)]
    assert call(os.getpid) != os.getpid()


def test_what_it_raises_comes_back() -> None:
    with pytest.raises(ZeroDivisionError):
        call(divmod, 1, 0)


@pytest.mark.parametrize(
    "value",
    [threading.Lock(), object(), [object()], {1: object()}, (object(),), len, Service()],
    ids=lambda value: type(value).__name__,
)
def test_nothing_but_values_goes_there(value: Any) -> None:
    with pytest.raises(TypeError, match=r"runs in another process, where .* cannot go"):
        call(repr, value)


def test_a_list_in_itself_is_none() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError):
        call(repr, endless)


def test_a_function_has_to_be_one_that_can_be_imported() -> None:
    with pytest.raises(TypeError, match="a function that can be imported"):
        call(lambda: 1)


def test_a_crash_fails_the_call_and_the_next_works() -> None:
    with pytest.raises(WorkerCrashed, match="a worker process of Service ended while it ran"):
        call(os._exit, 1)
    assert call(math.factorial, 5) == 120


def test_what_was_not_begun_when_the_pool_closed_was_cancelled() -> None:
    future: Future[bytes] = Future()
    future.cancel()
    ruled = Ruled(Exposure(run=Run.PROCESS), len, (), {}, lambda value: value)
    with pytest.raises(CallCancelled, match="len: the service's processes were closed"):
        come_to(ruled, future, Service)


def test_a_pool_that_was_closed_is_made_anew() -> None:
    assert call(len, "abc") == 3
    process_pool._pools[Service].shutdown()
    assert call(len, "abcd") == 4


# The worker's own function, run here.


def answer(*packed: Any) -> tuple[bool, Any]:
    import pickle

    found: tuple[bool, Any] = pickle.loads(process_worker.work(pickle.dumps(packed)))
    return found


class Awkward(Exception):
    """Can be pickled, and not built again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("awkward")


def raises_awkwardly() -> None:
    raise Awkward(1, 2)


def returns_lock() -> Any:
    return threading.Lock()


def test_what_a_worker_answers() -> None:
    assert answer(len, ("abc",), {}) == (True, 3)
    returned, error = answer(divmod, (1, 0), {})
    assert not returned
    assert isinstance(error, ZeroDivisionError)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (raises_awkwardly, "raised Awkward: awkward in a worker process cannot be pickled"),
        (returns_lock, "what returns_lock returned in a worker process cannot be pickled"),
    ],
)
def test_what_cannot_come_back_says_so(function: Any, text: str) -> None:
    returned, error = answer(function, (), {})
    assert not returned
    assert type(error) is TypeError
    assert text in str(error)

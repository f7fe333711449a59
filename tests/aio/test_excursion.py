"""A task that waits for a thread, and a thread that waits for the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest
from looped import joined, run

import netobj
from netobj.aio import excursion
from netobj.errors import CallCancelled
from patience import HANG


def through(call: Any, next: Callable[[Any], Any]) -> Any:
    return next(call)


def test_what_is_below_a_thread_is_cancelled_though_the_thread_has_only_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop may run the task before the thread that has asked for it knows of it."""
    begin = asyncio.run_coroutine_threadsafe

    def begin_late(work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Future[Any]:
        future = begin(work, loop)
        assert told.wait(HANG)
        return future

    async def below(_call: object) -> None:
        started.set()
        try:
            await asyncio.sleep(HANG)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def main() -> None:
        task = asyncio.create_task(excursion.in_thread(through, object(), below))
        await started.wait()
        task.cancel()
        for _ in range(10):  # turns in which it comes to the task
            await asyncio.sleep(0)
        told.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cancelled.is_set()

    told, started, cancelled = threading.Event(), asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(excursion.asyncio, "run_coroutine_threadsafe", begin_late)
    run(main())


class Asked:
    cancelled = True


def test_a_call_that_is_cancelled_before_it_comes_to_the_loop_does_nothing_there() -> None:
    done = []

    async def work() -> None:
        done.append(1)

    async def main() -> None:
        async with joined(netobj.Service()) as pair:
            dispatcher = pair.conn.dispatcher
            request: Any = Asked()
            with pytest.raises(CallCancelled):
                await dispatcher.work_for(request, work())
            request.cancelled = False
            await dispatcher.work_for(request, work())

    run(main())
    assert done == [1]

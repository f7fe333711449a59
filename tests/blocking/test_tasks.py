from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import netobj
from netobj.blocking.tasks import TaskRun
from netobj.core.events import Request


def made(deadline: float | None = None) -> Request:
    request = Request(1, None, None, 0, None, None, (), False)
    request.deadline = deadline
    return request


class Work:
    """What a task does: notes how it ends."""

    def __init__(self, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.body = body
        self.error: BaseException | None = None
        self.done = asyncio.Event()

    async def __call__(self, run: TaskRun) -> None:
        try:
            run.begin()
            await self.body()
        except BaseException as exc:
            self.error = run.error_for(exc)
        run.answered()
        self.done.set()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def nothing() -> None:
    pass


async def outcome(
    request: Request,
    act: Callable[[TaskRun], object],
    body: Callable[[], Coroutine[Any, Any, None]] = for_ever,
    begun: bool = True,
) -> BaseException | None:
    run = request.run = TaskRun(asyncio.get_running_loop(), request)
    work = Work(body)
    run.start(work)
    if begun:
        while request.where is None:
            await asyncio.sleep(0)
    act(run)
    await asyncio.wait_for(work.done.wait(), 20)
    return work.error


def test_a_task_runs_and_has_a_name() -> None:
    request = made()
    assert asyncio.run(outcome(request, lambda _: None, nothing)) is None
    assert str(request.where).startswith("task 'Task-")


@pytest.mark.parametrize("begun", [True, False])
def test_cancelled(begun: bool) -> None:
    error = asyncio.run(outcome(made(), TaskRun.cancel, begun=begun))
    assert type(error) is netobj.CallCancelled
    assert ("while it ran" if begun else "before it started") in str(error)


def test_a_request_that_is_cancelled_already() -> None:
    request = made()
    request.cancelled = True
    error = asyncio.run(outcome(request, lambda _: None, begun=False))
    assert type(error) is netobj.CallCancelled


def test_only_the_first_cancellation_counts() -> None:
    cleaned: list[bool] = []

    async def cleaning() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(True)

    def act(run: TaskRun) -> None:
        run.cancel()
        run.cancel()

    assert type(asyncio.run(outcome(made(), act, cleaning))) is netobj.CallCancelled
    assert cleaned == [True]


def test_the_deadline() -> None:
    request = made(time.monotonic() + 0.01)
    error = asyncio.run(outcome(request, lambda _: None))
    assert type(error) is netobj.AsyncResultTimeout


def test_a_deadline_that_is_not_reached() -> None:
    async def main() -> None:
        request = made(time.monotonic() + 1000)
        assert await outcome(request, lambda _: None, nothing) is None
        assert request.run._timer is None

    asyncio.run(main())


def test_a_conversation_goes_on_when_the_other_side_takes_no_more() -> None:
    async def main() -> None:
        request = made()

        def act(run: TaskRun) -> None:
            run.conversing = True
            run.refuse()
            run.conversing = False

        task = asyncio.ensure_future(outcome(request, act))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not task.done()
        request.run.refuse()
        assert type(await task) is netobj.CallCancelled

    asyncio.run(main())


def test_other_errors_are_what_they_are() -> None:
    async def fail() -> None:
        raise LookupError("mine")

    assert type(asyncio.run(outcome(made(), lambda _: None, fail, begun=False))) is LookupError

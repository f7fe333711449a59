"""Where tasks wait, and how they go on: at once, in their own context, or with an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

import pytest
from looped import joined, run

import netobj
from netobj.aio.waiter import Waiter

NewLoop = Callable[[], asyncio.AbstractEventLoop]
_color: ContextVar[str] = ContextVar("color", default="none")


class Echo(netobj.Service):
    @netobj.exposed
    async def echo(self, value: int) -> int:
        return value


async def _wait(waiter: Waiter, log: list[str]) -> str:
    _color.set("red")
    try:
        await waiter
    except BaseException as exc:
        log.append(type(exc).__name__)
        raise
    log.append("goes on")
    return _color.get()


async def _begun(waiter: Waiter, log: list[str]) -> asyncio.Task[str]:
    task = asyncio.ensure_future(_wait(waiter, log))
    await asyncio.sleep(0)
    assert waiter.task is task
    return task


def test_a_task_goes_on_at_once_and_in_its_own_context(new_loop: NewLoop) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiter, log = Waiter(loop), list[str]()
        task = await _begun(waiter, log)
        seen: list[bool] = []

        def resume() -> None:
            waiter.resume()
            waiter.resume()
            seen.append(log == ["goes on"])

        loop.call_soon(resume)
        assert await task == "red"
        assert seen == [True]
        assert waiter.done()
        assert waiter.task is None
        assert _color.get() == "none"

    run(main(), new_loop)


def test_a_task_goes_on_in_the_next_turn_where_another_one_runs(new_loop: NewLoop) -> None:
    async def main() -> None:
        waiter, log = Waiter(asyncio.get_running_loop()), list[str]()
        task = await _begun(waiter, log)
        waiter.wake()
        waiter.wake(LookupError("too late"))
        assert not log
        assert await task == "red"

    run(main(), new_loop)


def test_an_error_is_raised_in_the_task(new_loop: NewLoop) -> None:
    async def main() -> None:
        waiter, log = Waiter(asyncio.get_running_loop()), list[str]()
        task = await _begun(waiter, log)
        waiter.wake(LookupError("nothing there"))
        with pytest.raises(LookupError, match="nothing there"):
            await task

    run(main(), new_loop)


def test_a_task_is_cancelled_while_it_waits_and_when_it_is_about_to_go_on(
    new_loop: NewLoop,
) -> None:
    async def main() -> None:
        for wake in (False, True):
            waiter, log = Waiter(asyncio.get_running_loop()), list[str]()
            task = await _begun(waiter, log)
            if wake:
                waiter.wake()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert log == ["CancelledError"]
            waiter.resume()  # nobody is there any more

    run(main(), new_loop)


def test_a_cancelled_task_learns_why() -> None:
    async def main() -> None:
        waiter, log = Waiter(asyncio.get_running_loop()), list[str]()
        task = await _begun(waiter, log)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        del task
        assert not caught.value.args or caught.value.args == ("enough",)

    run(main())


def test_an_answer_goes_on_with_a_task_that_cancels_another(new_loop: NewLoop) -> None:
    """The answers of both have come in one piece."""

    async def main() -> None:
        async with joined(Echo) as pair:
            tasks: list[asyncio.Task[int]] = []

            async def call(value: int) -> int:
                result: int = await pair.root.echo(value)
                tasks[1 - value].cancel()
                return result

            tasks += [asyncio.create_task(call(value)) for value in range(2)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert sorted(map(str, results)) == ["", "0"] or sorted(map(str, results)) == ["", "1"]
            tasks.clear()
            assert await pair.root.echo(2) == 2

    run(main(), new_loop)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_task_may_end_the_loop(kind: type[BaseException], new_loop: NewLoop) -> None:
    """It goes on while something arrives; the connection has no part in it."""
    ends: list[object] = []

    async def main() -> None:
        async with joined(Echo, clean=False) as pair:

            async def leave() -> None:
                await pair.root.echo(1)
                raise kind("enough")

            task = asyncio.ensure_future(leave())
            try:
                await asyncio.sleep(10)
            finally:
                ends.append(pair.conn.closed)
                assert isinstance(task.exception(), kind)

    loop = new_loop()
    try:
        work = loop.create_task(main())
        with pytest.raises(kind, match="enough"):
            loop.run_until_complete(work)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(work)
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    assert ends == [False]

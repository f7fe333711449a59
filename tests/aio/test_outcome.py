"""Waiting, giving up, and what becomes of an answer that nobody waits for any more."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from looped import awaiting, counted, joined, run, until

import netobj

NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Slow(netobj.Service):
    def __init__(self) -> None:
        self.log: list[str] = []
        self.items: list[int] = []
        self.go = threading.Event()
        self.opened = asyncio.Event()
        self.calls: list[netobj.Call] = []

    @netobj.exposed
    async def wait(self, name: str = "wait") -> str:
        self.log.append(f"{name} begins")
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.log.append(f"{name} is cancelled")
            raise
        finally:
            self.log.append(f"{name} ends")
        return name

    @netobj.exposed
    async def stubborn(self) -> Any:
        """Ends with an answer although it is cancelled."""
        self.log.append("begins")
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.log.append("is cancelled")
        return [1, 2]

    @netobj.exposed(stream=True)
    async def stubborn_stream(self) -> Any:
        self.log.append("begins")
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.log.append("is cancelled")
        return counted(self.items, 100_000)

    @netobj.exposed
    def plain(self) -> str:
        call = netobj.current_call()
        self.calls.append(call)
        while not call.cancelled:
            assert not self.go.wait(0.001)
        try:
            call.check()
        except BaseException as exc:
            self.log.append(type(exc).__name__)
            raise
        return "never"

    @netobj.exposed
    def block(self) -> None:
        self.log.append("block")
        assert self.go.wait(20)

    @netobj.exposed
    def never(self) -> None:
        self.log.append("never")

    @netobj.exposed
    async def relayed(self, function: Any) -> Any:
        return await function()

    @netobj.exposed
    async def left(self) -> float | None:
        return netobj.current_call().time_left

    @netobj.exposed
    async def left_at(self, function: Any) -> Any:
        return await function()


def test_cancelling_a_task_cancels_the_one_over_there(new_loop: NewLoop) -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            task = awaiting(pair.root.wait())
            await until(lambda: slow.log)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: slow.log[-1] == "wait ends")
            assert slow.log[1] == "wait is cancelled"
            del task

    run(main(), new_loop)


async def _in_vain(root: Any, way: str) -> None:
    if way == "wait_for":
        await asyncio.wait_for(root.wait(), 0.02)
    elif way == "deadline":
        with netobj.deadline(0.02):
            await root.wait()
    elif way == "timeout":
        async with asyncio.timeout(0.02):
            await root.wait()
    else:
        await root.wait()


@pytest.mark.parametrize("way", ["wait_for", "deadline", "timeout", "setting"])
def test_the_ways_to_run_out_of_time(way: str, new_loop: NewLoop) -> None:
    if way == "timeout" and not hasattr(asyncio, "timeout"):
        pytest.skip("asyncio.timeout came with Python 3.11")

    async def main() -> None:
        slow = Slow()
        config = {"sync_request_timeout": 0.02} if way == "setting" else {}
        async with joined(slow, config=config) as pair:
            with pytest.raises((TimeoutError, asyncio.TimeoutError)):
                await _in_vain(pair.root, way)
            await until(lambda: slow.log == [] or slow.log[-1] == "wait ends")

    run(main(), new_loop)


def test_a_cancel_that_comes_with_its_request() -> None:
    """The task over there has not taken its first step yet."""

    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            for name in ("wait", "stubborn_stream", "plain"):
                node = getattr(pair.root, name)()
                tasks = [awaiting(node) for _ in range(2)]
                await asyncio.sleep(0)  # it is sent
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                await pair.is_clean()
            slow.log.clear()
            del tasks, task, node

    run(main())


def test_one_of_two_tasks_that_wait_is_cancelled() -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            node = pair.root.wait()
            one, other = (awaiting(node) for _ in range(2))
            await until(lambda: slow.log)
            one.cancel()
            with pytest.raises(asyncio.CancelledError):
                await one
            await pair.conn.ping()
            assert slow.log == ["wait begins"]
            slow.opened.set()
            assert await other == await node == "wait"
            del node, one, other

    run(main())


def test_one_of_two_tasks_has_a_deadline() -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            node = pair.root.wait()
            patient = awaiting(node)
            await until(lambda: slow.log)
            with netobj.deadline(0.01), pytest.raises(netobj.AsyncResultTimeout):
                await node
            await pair.conn.ping()
            slow.opened.set()
            assert await patient == "wait"
            del node, patient

    run(main())


def test_a_node_that_was_cancelled_stays_so() -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            node = pair.root.wait()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(node, 0.01)
            for _ in range(2):
                with pytest.raises(netobj.CallCancelled, match="nobody waited"):
                    await node
            with pytest.raises(netobj.CallCancelled):
                await node.upper()
            del node

    run(main())


def test_cancelling_a_chain_cancels_what_it_is_built_upon() -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            for built in (
                lambda: pair.root.wait("base").upper(),
                lambda: pair.root.left_at(pair.root.wait("argument")),
            ):
                slow.log.clear()
                task = awaiting(built())
                await until(lambda: slow.log)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                del task
                await until(lambda: slow.log[-1].endswith("ends"))
                await pair.is_clean()

    run(main())


def test_a_plain_function_is_told() -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            task = awaiting(pair.root.plain())
            await until(lambda: slow.calls)
            assert not slow.calls[0].cancelled
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: slow.log)
            assert slow.log == ["CallCancelled"]
            with netobj.deadline(0.05), pytest.raises(TimeoutError):
                await pair.root.plain()
            await until(lambda: len(slow.log) == 2)
            assert slow.log[1] in ("AsyncResultTimeout", "CallCancelled")
            del task
            slow.calls.clear()

    run(main())


def test_what_has_not_started_never_starts() -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow, workers=1) as pair:
            block = awaiting(pair.root.block())
            await until(lambda: slow.log)
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(pair.root.never(), 0.01)
            with netobj.deadline(0.01), pytest.raises(TimeoutError):
                await pair.root.never()
            slow.go.set()
            await block
            await pair.is_clean()
            assert slow.log == ["block"]
            del block

    run(main())


@pytest.mark.parametrize("name", ["stubborn", "stubborn_stream"])
def test_what_a_late_answer_brings_is_let_go(name: str) -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            task = awaiting(getattr(pair.root, name)())
            await until(lambda: slow.log)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: slow.log[-1] == "is cancelled")
            if name == "stubborn_stream":
                await until(lambda: slow.items == [] or slow.items[-1] == -1)
            await pair.is_clean()
            del task

    run(main())


def test_the_end_of_the_connection_cancels_what_runs(new_loop: NewLoop) -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow, clean=False) as pair:
            waiting = awaiting(pair.root.wait())
            plain = awaiting(pair.root.plain())
            await until(lambda: slow.log and slow.calls)
            pair.conn.transport.abort()
            for task in (waiting, plain):
                with pytest.raises(netobj.ConnectionLost):
                    await task
            await until(lambda: len(slow.log) == 4)
            assert sorted(slow.log[1:]) == ["CallCancelled", "wait ends", "wait is cancelled"]
            with pytest.raises(EOFError):
                await pair.root.wait()
            del waiting, plain, task

    run(main(), new_loop)


def test_a_deadline_travels_and_is_inherited() -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            assert await pair.root.left() is None
            with netobj.deadline(100):
                left = await pair.root.left()
                assert left is not None
                assert 0 < left <= 100

                async def inherits() -> float | None:
                    with netobj.deadline(1000):
                        return await pair.root.left()  # type: ignore[no-any-return]

                inherited = await pair.root.relayed(inherits)
                assert 0 < inherited <= left
            with pytest.raises(TimeoutError, match="before the call was sent"), netobj.deadline(0):
                await pair.root.left()

    run(main())


def test_many_calls_cancelled_at_random_moments_leave_nothing() -> None:
    class Mixed(netobj.Service):
        @netobj.exposed
        async def soon(self, number: int) -> int:
            for _ in range(number % 7):
                await asyncio.sleep(0)
            return number

        @netobj.exposed
        def plain(self, number: int) -> int:
            return number

        @netobj.exposed(stream=True)
        def stream(self, number: int) -> Iterator[int]:
            yield from range(number)

        @netobj.exposed(stream=True)
        async def astream(self, number: int) -> AsyncIterator[int]:
            for n in range(number):
                yield n
                await asyncio.sleep(0)

    async def consume(node: Any) -> int:
        return len([item async for item in node])

    async def main() -> None:
        async with joined(Mixed()) as pair:
            root = pair.root
            for turn in range(2):
                tasks = []
                for n in range(50):
                    tasks += [
                        awaiting(root.soon(n)),
                        awaiting(root.plain(n)),
                        asyncio.create_task(consume(root.stream(n))),
                        asyncio.create_task(consume(root.astream(n))),
                    ]
                for n, task in enumerate(tasks):
                    if n % 5 == 0:
                        await asyncio.sleep(0)
                    if (n + turn) % 3:
                        task.cancel()
                for n, result in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
                    assert result == n // 4 or isinstance(result, asyncio.CancelledError), result
                del tasks, task, result
            await pair.is_clean()

    run(main())


def test_waiting_names_the_task() -> None:
    async def main() -> None:
        slow = Slow()
        async with joined(slow) as pair:
            task = awaiting(pair.root.wait(), name="the caller")
            await until(lambda: slow.log)
            (outcome,) = pair.conn.session.pending.values()
            assert outcome.where == "task 'the caller'"
            assert outcome.since <= time.monotonic()
            slow.opened.set()
            await task
            assert outcome.where == "no task"
            del task, outcome
            gc.collect()

    run(main())

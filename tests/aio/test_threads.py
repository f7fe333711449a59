"""Plain methods of an asyncio server: they use blocking proxies, in worker threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from looped import awaiting, joined, run, until

import netobj
from netobj.aio.threads import ThreadWaiter

# What is logged keeps its traceback, and that the frames with what we look for in the tables.
QUIET = {"log_exceptions": False}


class Thing:
    def __init__(self) -> None:
        self.exposed_number = 3
        self.exposed_other = [1, 2, 3]
        self.log: list[str] = []

    def __enter__(self) -> str:
        self.log.append("enter")
        return "inside"

    def __exit__(self, kind: Any, exc: Any, traceback: Any) -> bool:
        self.log.append(f"exit {kind.__name__}")
        return True

    def __len__(self) -> int:
        return 5

    def __getitem__(self, key: Any) -> Any:
        return key

    def __add__(self, other: int) -> int:
        return 10 + other

    @netobj.exposed
    def double(self, value: int) -> int:
        return 2 * value

    @netobj.exposed
    async def double_late(self, value: int) -> int:
        await asyncio.sleep(0)
        return 2 * value


class Plain(netobj.Service):
    def __init__(self) -> None:
        self.go = threading.Event()
        self.entered = threading.Event()
        self.kept: Any = None

    @netobj.exposed
    def run(self, code: str, thing: Any, *more: Any, **named: Any) -> Any:
        return eval(code, {"thing": thing, "more": more, "named": named, "netobj": netobj})

    @netobj.exposed
    def enter(self, thing: Any) -> Any:
        with thing as value:
            raise LookupError(value)
        return "swallowed"

    @netobj.exposed
    def ask(self, function: Any, seconds: float) -> Any:
        with netobj.deadline(seconds):
            return function()

    @netobj.exposed
    def from_thread(self, function: Any) -> Any:
        """A thread of the service's own may use what it was given."""
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(function(2)))
        thread.start()
        thread.join()
        return found[0]

    @netobj.exposed
    def keep(self, thing: Any) -> None:
        self.kept = thing

    @netobj.exposed
    async def use(self) -> Any:
        return self.kept.double(1)

    @netobj.exposed
    def wait_for(self, function: Any) -> Any:
        self.entered.set()
        return function()

    @netobj.exposed(stream=True)
    def doubled(self, function: Any) -> Iterator[Any]:
        for item in range(40):
            yield function(item)

    @netobj.exposed
    def total(self, *functions: Any) -> int:
        return sum(item for function in functions for item in function())


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("thing.number", 3),
        ("thing.double(4)", 8),
        ("thing.double_late(4)", 8),
        ("[item for item in thing.other]", [1, 2, 3]),
        ("len(thing)", 5),
        ("thing['key']", "key"),
        ("thing[thing] is thing", True),
        ("thing + 1", 11),
        ("thing == thing and hash(thing) == hash(thing)", True),
        ("more[0].double(3)", 6),
        ("named['x'].double(3)", 6),
        ("more[1][0].double(3)", 6),
        ("isinstance(thing, netobj.Netref)", True),
        ("bool(thing)", True),
        ("type(netobj.current_call().where)", None),
    ],
)
def test_plain_methods_use_blocking_proxies(code: str, result: Any) -> None:
    async def main() -> None:
        thing = Thing()
        async with joined(Plain()) as pair:
            got = await pair.root.run(code, thing, thing, (thing,), x=thing)
            if result is not None:
                assert (await netobj.aio.copy_of(got)) == result
            assert await pair.root.run("thing", thing) is thing
            assert await pair.root.run("(thing, [thing])[0]", thing) is thing
            del got

    run(main())


def test_plain_methods_use_context_managers() -> None:
    async def main() -> None:
        thing = Thing()
        async with joined(Plain()) as pair:
            assert await pair.root.enter(thing) == "swallowed"
            assert thing.log == ["enter", "exit LookupError"]

    run(main())


def test_a_deadline_in_a_thread() -> None:
    async def main() -> None:
        begun, cancelled = asyncio.Event(), asyncio.Event()

        async def function() -> None:
            begun.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with joined(Plain(), server_config=QUIET) as pair:
            seconds = 0.02
            while not begun.is_set():  # or it was cancelled before
                with pytest.raises(netobj.AsyncResultTimeout):
                    await pair.root.ask(function, seconds)
                seconds *= 2
            await cancelled.wait()

    run(main())


def test_a_thread_of_the_services_own() -> None:
    async def main() -> None:
        async with joined(Plain()) as pair:
            assert await pair.root.from_thread(Thing().double) == 4

    run(main())


def test_a_proxy_of_a_thread_refuses_the_loop() -> None:
    async def main() -> None:
        plain = Plain()
        async with joined(plain, server_config=QUIET) as pair:
            await pair.root.keep(Thing())
            with pytest.raises(RuntimeError, match="on the event loop"):
                await pair.root.use()
            plain.kept = None

    run(main())


def test_the_end_of_the_connection_wakes_a_thread_that_waits() -> None:
    async def main() -> None:
        plain = Plain()

        async def never() -> None:
            await asyncio.sleep(20)

        async with joined(plain, clean=False) as pair:
            task = awaiting(pair.root.wait_for(never))
            await until(plain.entered.is_set)
            await until(lambda: pair.there.session.pending)
            pair.there.transport.abort()
            with pytest.raises(netobj.ConnectionLost):
                await task
            await until(lambda: not netobj.aio.chains.waiting)

    run(main())


def test_a_generator_in_a_thread_calls_back() -> None:
    async def main() -> None:
        async with joined(Plain()) as pair:
            got = [item async for item in pair.root.doubled(Thing().double)]
            assert got == [2 * n for n in range(40)]

    run(main())


def test_streams_in_threads() -> None:
    async def main() -> None:
        @netobj.exposed(stream=True)
        def plain() -> Iterator[int]:
            yield from range(100)

        @netobj.exposed(stream=True)
        async def task() -> AsyncIterator[int]:
            for number in range(100):
                yield number

        async with joined(Plain()) as pair:
            assert await pair.root.total(plain, task) == 2 * sum(range(100))

    run(main())


class _Dispatcher:
    """Notes where requests run."""

    def __init__(self, on_run: Callable[[], None] = lambda: None) -> None:
        self.here: list[Any] = []
        self.elsewhere: list[Any] = []
        self._on_run = on_run

    def run_in_thread(self, request: Any) -> None:
        self.here.append(request)
        self._on_run()

    def run_elsewhere(self, request: Any) -> None:
        self.elsewhere.append(request)


class _Link:
    session = None


def test_a_request_that_comes_when_the_thread_leaves_is_not_lost() -> None:
    waiter = ThreadWaiter(_Link(), (0, None, None), 0.0)
    dispatcher = _Dispatcher()
    with waiter.in_chain() as chain:
        assert netobj.aio.chains.waiting[chain] == [waiter]
        waiter.assign(dispatcher, "while it waits")
        waiter.complete(True, 5, False)
        waiter.assign(dispatcher, "at the same moment")
        assert waiter.wait(None) == 5
    waiter.assign(dispatcher, "after that")
    assert chain not in netobj.aio.chains.waiting
    assert dispatcher.here == []
    assert dispatcher.elsewhere == ["while it waits", "at the same moment", "after that"]


def test_a_thread_runs_what_it_is_given_until_its_answer_comes() -> None:
    waiter = ThreadWaiter(_Link(), (0, None, None), 0.0)
    dispatcher = _Dispatcher(lambda: waiter.complete(True, 5, False))
    waiter.assign(dispatcher, 1)
    assert waiter.wait(None) == 5
    assert dispatcher.here == [1]

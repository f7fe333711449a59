"""What the peer calls: where it runs, in which order, its streams and two-way streams."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from looped import awaiting, counted, joined, run, until

import netobj
from netobj import aio

NewLoop = Callable[[], asyncio.AbstractEventLoop]

marked: contextvars.ContextVar[int] = contextvars.ContextVar("marked", default=0)


class Calls(netobj.Service):
    """Calls back."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    @netobj.exposed
    async def back(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    @netobj.exposed
    def back_plain(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        self.threads.append(threading.current_thread())
        return function(*args, **kwargs)

    @netobj.exposed
    async def keep(self, function: Any) -> Keeper:
        return Keeper(function)

    @netobj.exposed
    def keep_plain(self, function: Any) -> Keeper:
        return Keeper(function)

    @netobj.exposed
    async def all_of(self, function: Any, stream: bool) -> list[Any]:
        found = [item async for item in function()]
        assert not stream or found == list(range(len(found)))
        return found

    @netobj.exposed
    def all_of_plain(self, function: Any, stream: bool) -> list[Any]:
        return list(function())

    @netobj.exposed
    async def first_of(self, function: Any) -> Any:
        return await anext(aiter(function()))

    @netobj.exposed
    def first_of_plain(self, function: Any) -> Any:
        return next(iter(function()))


class Keeper:
    def __init__(self, function: Any) -> None:
        self.function = function
        self.exposed_more = {"deep": self}

    @netobj.exposed
    async def call(self, function: Any, argument: Any) -> Any:
        return await function(argument)

    @netobj.exposed
    def call_plain(self, function: Any, argument: Any) -> Any:
        return function(argument)


def _others() -> set[threading.Thread]:
    """The threads but for servers' workers, of which there may be a second one when a call comes
    before the first has come to rest."""
    return {one for one in threading.enumerate() if not one.name.startswith("netobj worker")}


@pytest.mark.parametrize("name", ["back", "back_plain"])
def test_callbacks_run_on_the_loop_and_slow_ones_in_a_thread(name: str, new_loop: NewLoop) -> None:
    async def main() -> None:
        here = threading.current_thread()

        def plain() -> bool:
            asyncio.get_running_loop()
            return threading.current_thread() is here

        async def task() -> bool:
            await asyncio.sleep(0)
            return threading.current_thread() is here and asyncio.current_task() is not None

        @netobj.exposed(slow=True)
        def slow() -> bool:
            return threading.current_thread() is not here

        async with joined(Calls()) as pair:
            before = _others()
            back = getattr(pair.root, name)
            assert await back(plain)
            assert await back(task)
            assert _others() <= before
            assert await back(slow)

    run(main(), new_loop)


def test_an_async_method_gets_references_however_it_is_reached() -> None:
    """By a path, upon a pending call, through ``open``: known as one only when it is found."""

    async def main() -> None:
        async def double(value: int) -> int:
            return 2 * value

        async with joined(Calls()) as pair:
            root = pair.root
            assert await root.keep(double).call(double, 2) == 4
            assert await root.keep_plain(double).call(double, argument=3) == 6
            keeper = await root.keep(double)
            assert await keeper.more["deep"].call(double, 4) == 8
            assert await keeper.more["deep"].more["deep"].call(double, argument=5) == 10
            assert await keeper.more["deep"].call_plain(double, 6) == 12
            assert await root.keep(double).call_plain(double, argument=7) == 14
            del keeper

    run(main())


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("mine", ["task", "slow"])
def test_recursion_is_deeper_than_there_are_workers(plain: bool, mine: str) -> None:
    class Deep(netobj.Service):
        @netobj.exposed
        async def down(self, depth: int, up: Any) -> Any:
            return await up(depth)

        @netobj.exposed
        def down_plain(self, depth: int, up: Any) -> Any:
            return up(depth)

    async def main() -> None:
        async with joined(Deep(), workers=2) as pair:
            name = "down_plain" if plain else "down"

            async def up(depth: int) -> int:
                return 0 if not depth else 1 + await getattr(pair.root, name)(depth - 1, up)

            blocking = aio.threads.as_blocking(pair.root)

            @netobj.exposed(slow=True)
            def up_slow(depth: int) -> Any:
                return 0 if not depth else 1 + getattr(blocking, name)(depth - 1, up_slow)

            function = up if mine == "task" else up_slow
            assert await getattr(pair.root, name)(20, function) == 20

    run(main())


def test_recursion_of_a_blocking_client() -> None:
    class Deep(netobj.Service):
        @netobj.exposed
        async def down(self, depth: int, up: Any) -> Any:
            return await up(depth)

        @netobj.exposed
        def down_plain(self, depth: int, up: Any) -> Any:
            return up(depth)

    with (
        netobj.AsyncServer(Deep, hostname="localhost", workers=2) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        names = ["down", "down_plain"]
        threads = set()

        def up(depth: int) -> Any:
            threads.add(threading.current_thread())
            return 0 if not depth else 1 + getattr(conn.root, names[depth % 2])(depth - 1, up)

        assert conn.root.down(20, up) == 20
        assert threads == {threading.current_thread()}


def test_a_request_of_a_chain_that_waits_for_another_answer_runs_in_its_thread() -> None:
    class Pipes(netobj.Service):
        @netobj.exposed
        def outer(self, function: Any) -> Any:
            return function(0)

        @netobj.exposed
        def inner(self, value: Any) -> Any:
            return value + 1

    async def main() -> None:
        async with joined(Pipes(), workers=1) as pair:

            async def function(value: int) -> Any:
                first = pair.root.inner(value)
                return await pair.root.inner(pair.root.inner(first))

            assert await pair.root.outer(function) == 3
            del function

    run(main())


def test_a_task_that_outlives_its_call_may_go_on_calling() -> None:
    """Its chain goes on, though no thread waits in there any more."""

    class Late(netobj.Service):
        @netobj.exposed
        def outer(self, function: Any) -> None:
            function()

        @netobj.exposed
        def inner(self) -> int:
            return 1

    async def main() -> None:
        async with joined(Late(), workers=1) as pair:
            tasks: list[asyncio.Task[Any]] = []

            async def later() -> list[Any]:
                return [await pair.root.inner() for _ in range(20)]

            def function() -> None:
                tasks.append(asyncio.create_task(later()))

            await pair.root.outer(function)
            assert await tasks[0] == [1] * 20
            tasks.clear()

    run(main())


def test_exceptions_come_home_as_themselves() -> None:
    class Passing(netobj.Service):
        def __init__(self) -> None:
            self.seen: list[BaseException] = []

        @netobj.exposed
        async def call(self, function: Any) -> None:
            await function()

        @netobj.exposed
        def call_plain(self, function: Any) -> None:
            function()

        @netobj.exposed
        async def meet(self, function: Any) -> bool:
            """*function* calls `fail`, whose error comes back here."""
            try:
                await function()
            except LookupError as exc:
                return exc is self.seen.pop()
            return False

        @netobj.exposed
        def meet_plain(self, function: Any) -> bool:
            try:
                function()
            except LookupError as exc:
                return exc is self.seen.pop()
            return False

        @netobj.exposed
        async def fail(self) -> None:
            self.seen.append(LookupError("from there"))
            raise self.seen[-1]

        @netobj.exposed
        def fail_plain(self) -> None:
            self.seen.append(LookupError("from there"))
            raise self.seen[-1]

    async def main() -> None:
        error = ValueError("mine")

        async def fail() -> None:
            raise error

        def fail_plain() -> None:
            raise error

        # What is logged keeps its traceback, and that the frames with what we look for.
        async with joined(Passing(), server_config={"log_exceptions": False}) as pair:
            for name in ("call", "call_plain"):
                for function in (fail, fail_plain):
                    with pytest.raises(ValueError, match="mine") as info:
                        await getattr(pair.root, name)(function)
                    assert info.value is error
            for name in ("meet", "meet_plain"):
                for failing in ("fail", "fail_plain"):

                    async def passing(failing: str = failing) -> None:
                        await getattr(pair.root, failing)()

                    assert await getattr(pair.root, name)(passing)
            error.__traceback__ = None
            del info

    run(main())


@pytest.mark.parametrize("name", ["fail", "fail_plain", "gives_up"])
def test_what_is_no_exception_ends_the_call_alone(name: str, new_loop: NewLoop) -> None:
    class Exits(netobj.Service):
        @netobj.exposed
        async def fail(self) -> None:
            raise SystemExit(3)

        @netobj.exposed
        def fail_plain(self) -> None:
            raise SystemExit(3)

        @netobj.exposed
        async def gives_up(self) -> None:
            raise asyncio.CancelledError

        @netobj.exposed
        async def call(self, function: Any) -> None:
            await function()

    async def main() -> None:
        def fail() -> None:
            raise SystemExit(3)

        def cancelled() -> None:
            raise asyncio.CancelledError

        async with joined(Exits()) as pair:
            with pytest.raises((netobj.RemoteBaseException, netobj.CallCancelled)):
                await getattr(pair.root, name)()
            with pytest.raises((netobj.RemoteBaseException, SystemExit)):
                await pair.root.call(fail)
            with pytest.raises(netobj.CallCancelled):
                await pair.root.call(cancelled)
            await pair.conn.ping()

    run(main(), new_loop)


def test_an_answer_that_cannot_travel_is_an_error() -> None:
    class Bad(netobj.Service):
        @netobj.exposed
        async def task(self) -> Any:
            return (aio.op.getattr(self.conn.root, "x"),)

        @netobj.exposed
        def plain(self) -> Any:
            return self.conn.root.x

        def on_connect(self, conn: Any) -> None:
            self.conn = conn

    async def main() -> None:
        async with joined(Bad()) as pair:
            for name in ("task", "plain"):
                with pytest.raises(netobj.NotEncodable, match="await it first"):
                    await getattr(pair.root, name)()

    run(main())


# --- lanes --------------------------------------------------------------------------------------


class Ordered(netobj.Service):
    def __init__(self) -> None:
        self.log: list[str] = []
        self.inside = 0
        self.most = 0

    def _enter(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)

    @netobj.exposed
    def plain(self, number: int) -> int:
        self._enter()
        self.log.append(f"{number} begins")
        threading.Event().wait(0.001)
        self.log.append(f"{number} ends")
        self.inside -= 1
        return number

    @netobj.exposed
    async def task(self, number: int) -> int:
        self._enter()
        self.log.append(f"{number} begins")
        await asyncio.sleep(0.005)
        self.inside -= 1
        return number

    @netobj.exposed(concurrent=True)
    def concurrent(self, barrier: int) -> int:
        self._enter()
        while self.most < barrier:
            threading.Event().wait(0.001)
        return barrier


def test_a_lane_keeps_its_order() -> None:
    ordered = Ordered()
    with (
        netobj.AsyncServer(ordered, hostname="localhost") as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        plain, task = netobj.async_(conn.root.plain), netobj.async_(conn.root.task)
        results = [plain(n) for n in range(10)]
        assert [result.value for result in results] == list(range(10))
        assert ordered.log == [f"{n} {what}" for n in range(10) for what in ("begins", "ends")]
        assert ordered.most == 1
        ordered.log.clear()
        results = [task(n) for n in range(10)]
        assert [result.value for result in results] == list(range(10))
        assert ordered.log == [f"{n} begins" for n in range(10)]
        assert ordered.most > 1
        ordered.most = ordered.inside = 0
        concurrent = netobj.async_(conn.root.concurrent)
        assert [result.value for result in [concurrent(3) for _ in range(3)]] == [3, 3, 3]
        mixed = [plain(0), task(1), plain(2)]
        assert [result.value for result in mixed] == [0, 1, 2]


def test_a_connection_that_ends_with_full_lanes() -> None:
    ordered = Ordered()
    with netobj.AsyncServer(ordered, hostname="localhost", workers=1) as server:
        for _ in range(5):
            conn = netobj.connect("localhost", server.port)
            plain, task = netobj.async_(conn.root.plain), netobj.async_(conn.root.task)
            for n in range(5):
                plain(n)
                task(n)
            conn.close()


# --- streams ------------------------------------------------------------------------------------


class Streams(netobj.Service):
    def __init__(self) -> None:
        self.log: list[int] = []
        self.go = asyncio.Event()
        self.go_thread = threading.Event()
        self.threads: set[str] = set()

    @netobj.exposed(stream=True)
    def plain(self, most: int) -> Iterator[int]:
        return counted(self.log, most)

    @netobj.exposed(stream=True)
    async def task(self, most: int) -> AsyncIterator[int]:
        for number in counted(self.log, most):
            yield number

    @netobj.exposed(stream=True)
    def listed(self, most: int) -> list[int]:
        return list(range(most))

    @netobj.exposed(stream=True)
    async def listed_late(self, most: int) -> range:
        return range(most)

    @netobj.exposed(stream=True)
    def slow_plain(self) -> Iterator[int]:
        yield 1
        assert self.go_thread.wait(20)
        yield 2

    @netobj.exposed(stream=True)
    async def slow_task(self) -> AsyncIterator[int]:
        yield 1
        await self.go.wait()
        yield 2

    @netobj.exposed(stream=True)
    def failing_plain(self) -> Iterator[int]:
        yield from range(50)
        raise LookupError("in mid-stream")

    @netobj.exposed(stream=True)
    async def failing_task(self) -> AsyncIterator[int]:
        for number in range(50):
            yield number
        raise LookupError("in mid-stream")

    @netobj.exposed(stream=True)
    async def unfit(self) -> AsyncIterator[Any]:
        yield 1
        yield aio.op.getattr(self.conn.root, "x")
        yield 3

    def on_connect(self, conn: Any) -> None:
        self.conn = conn

    @netobj.exposed(stream=True)
    def no_stream(self) -> int:
        return 5

    @netobj.exposed
    async def echo(self, stream: Any, factor: int = 1) -> None:
        async for item in stream:
            await stream.send(factor * item)

    @netobj.exposed
    def echo_plain(self, stream: Any, factor: int = 1) -> None:
        for item in stream:
            stream.send(factor * item)

    @netobj.exposed
    async def fails(self, stream: Any) -> None:
        await stream.receive()
        raise LookupError("in the conversation")

    @netobj.exposed
    def fails_plain(self, stream: Any) -> None:
        stream.receive()
        raise LookupError("in the conversation")

    @netobj.exposed
    async def meets(self, stream: Any) -> None:
        try:
            await stream.receive()
        except LookupError as exc:
            await stream.send(repr(exc))

    @netobj.exposed
    def meets_plain(self, stream: Any) -> None:
        try:
            stream.receive()
        except LookupError as exc:
            stream.send(repr(exc))

    @netobj.exposed
    async def floods(self, stream: Any) -> None:
        try:
            for number in range(100_000):
                self.log.append(number)
                await stream.send(number)
        finally:
            self.log.append(-1)

    @netobj.exposed
    def floods_plain(self, stream: Any) -> None:
        try:
            for number in range(100_000):
                self.log.append(number)
                stream.send(number)
        finally:
            self.log.append(-1)

    @netobj.exposed
    async def leaves(self, stream: Any) -> None:
        await stream.receive()

    @netobj.exposed
    async def notes(self, stream: Any, note: Any) -> None:
        """An ``async def`` with a callback, reached by a path: it is awaited."""
        async for item in stream:
            await note(item)


@pytest.mark.parametrize("name", ["plain", "task", "listed", "listed_late"])
def test_a_stream_comes_whole_and_in_order(name: str, new_loop: NewLoop) -> None:
    async def main() -> None:
        streams = Streams()
        async with joined(streams) as pair:
            assert [n async for n in getattr(pair.root, name)(10_000)] == list(range(10_000))
            assert [n async for n in getattr(pair.root, name)(0)] == []
            stream = await getattr(pair.root, name)(3)
            assert isinstance(stream, netobj.AsyncIncoming)
            assert [n async for n in stream] == [0, 1, 2]
            assert [n async for n in stream] == []
            assert "closed" in repr(stream)

    run(main(), new_loop)


@pytest.mark.parametrize("name", ["slow_plain", "slow_task"])
def test_an_item_does_not_wait_for_the_next(name: str, new_loop: NewLoop) -> None:
    async def main() -> None:
        streams = Streams()
        async with joined(streams) as pair:
            stream = aiter(getattr(pair.root, name)())
            assert await anext(stream) == 1
            streams.go.set()
            streams.go_thread.set()
            assert await anext(stream) == 2
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    run(main(), new_loop)


@pytest.mark.parametrize("name", ["plain", "task"])
def test_a_slow_consumer_stops_the_producer(name: str) -> None:
    async def main() -> None:
        streams = Streams()
        async with joined(streams) as pair:
            async with await getattr(pair.root, name)(100_000) as stream:
                assert await anext(stream) == 0
                await _at_rest(pair, streams)
                ahead = len(streams.log)
                assert ahead <= 64
                for number in range(1, 50):
                    assert await anext(stream) == number
                await _at_rest(pair, streams)
                assert len(streams.log) <= 200
            await until(lambda: streams.log[-1] == -1)

    run(main())


async def _at_rest(pair: Any, streams: Streams) -> None:
    """Wait until nothing is produced any more, however often either side has had its turn."""
    before, calm = -1, 0
    while calm < 20:
        await pair.conn.ping()
        await asyncio.sleep(0.001)
        calm = calm + 1 if len(streams.log) == before else 0
        before = len(streams.log)


@pytest.mark.parametrize("name", ["failing_plain", "failing_task"])
def test_an_error_comes_behind_the_items_before_it(name: str) -> None:
    async def main() -> None:
        async with joined(Streams()) as pair:
            got = []

            async def consume() -> None:
                async for item in getattr(pair.root, name)():
                    got.append(item)

            with pytest.raises(LookupError, match="in mid-stream"):
                await consume()
            assert got == list(range(50))

    run(main())


def test_an_item_that_cannot_travel_ends_the_stream() -> None:
    async def main() -> None:
        async with joined(Streams()) as pair:
            got = []

            async def consume() -> None:
                async for item in pair.root.unfit():
                    got.append(item)

            with pytest.raises(netobj.NotEncodable):
                await consume()
            assert got == [1]
            with pytest.raises(TypeError, match="not iterable"):
                await pair.root.no_stream()

    run(main())


@pytest.mark.parametrize("name", ["plain", "task"])
@pytest.mark.parametrize("way", ["break", "aclose", "with", "error", "cancel", "drop"])
def test_whoever_leaves_early_closes_the_generator(name: str, way: str) -> None:
    async def main() -> None:
        streams = Streams()
        async with joined(streams) as pair:
            node = getattr(pair.root, name)(100_000)
            if way == "break":
                async for _ in node:
                    break
            elif way == "aclose":
                stream = await node
                await until(lambda: streams.log)  # one that never began has nothing to close
                await stream.aclose()
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)
            elif way == "with":
                async with node as stream:
                    await anext(stream)
            elif way == "error":

                async def fail() -> None:
                    async for item in node:
                        raise LookupError(item)

                with pytest.raises(LookupError):
                    await fail()
                del fail
            elif way == "cancel":

                async def consume() -> None:
                    async for _ in node:
                        await asyncio.sleep(10)

                task = asyncio.create_task(consume())
                await until(lambda: streams.log)
                task.cancel()
                await asyncio.wait([task])
                del task
            else:
                stream = await node
                await until(lambda: streams.log)
            node = stream = None
            await until(lambda: streams.log and streams.log[-1] == -1)
            assert len(streams.log) < 10_000

    run(main())


@pytest.mark.parametrize("name", ["slow_plain", "slow_task"])
def test_a_dead_peer_ends_a_stream(name: str) -> None:
    async def main() -> None:
        streams = Streams()
        async with joined(streams, clean=False) as pair:
            stream = aiter(getattr(pair.root, name)())
            assert await anext(stream) == 1
            waiting = awaiting(anext(stream))
            await asyncio.sleep(0)
            pair.there.transport.abort()
            with pytest.raises(netobj.ConnectionLost):
                await waiting
            with pytest.raises(netobj.ConnectionLost):
                await anext(stream)
            streams.go_thread.set()

    run(main())


def test_a_dead_consumer_ends_the_producer() -> None:
    async def main() -> None:
        for name in ("plain", "task"):
            streams = Streams()
            async with joined(streams, clean=False) as pair:
                stream = aiter(getattr(pair.root, name)(100_000))
                await anext(stream)
                there = pair.there
                pair.conn.transport.abort()
                await until(lambda: streams.log[-1] == -1)  # noqa: B023
                await until(lambda: not there.dispatcher._tasks)  # noqa: B023

    run(main())


def test_closing_the_server_ends_its_producers() -> None:
    async def main() -> None:
        for name in ("plain", "task"):
            streams = Streams()
            async with aio.Server(streams, "localhost") as server:
                conn = await aio.connect("localhost", server.port)
                stream = aiter(getattr(conn.root, name)(100_000))
                await anext(stream)
                await server.close()
                assert streams.log[-1] == -1
                with pytest.raises(netobj.ConnectionLost):
                    async for _ in stream:
                        pass
                await conn.close()

    run(main())


@pytest.mark.parametrize("name", ["all_of", "all_of_plain"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["plain", "task", "slow"])
def test_streams_of_the_client(name: str, stream: bool, kind: str) -> None:
    async def main() -> None:
        def plain() -> Iterator[int]:
            yield from range(100)

        async def task() -> AsyncIterator[int]:
            for number in range(100):
                yield number

        function: Any = {"plain": plain, "task": task, "slow": plain}[kind]
        function = netobj.exposed(stream=stream, slow=kind == "slow")(function)
        async with joined(Calls()) as pair:
            got = await getattr(pair.root, name)(function, stream)
            assert await aio.copy_of(got) == list(range(100))
            del got

    run(main())


@pytest.mark.parametrize("name", ["first_of", "first_of_plain"])
@pytest.mark.parametrize("kind", ["plain", "task", "slow"])
def test_leaving_a_stream_of_the_client_early(name: str, kind: str) -> None:
    async def main() -> None:
        log: list[int] = []

        def plain() -> Iterator[int]:
            return counted(log, 100_000)

        async def task() -> AsyncIterator[int]:
            for number in counted(log, 100_000):
                yield number

        function: Any = {"plain": plain, "task": task, "slow": plain}[kind]
        function = netobj.exposed(stream=True, slow=kind == "slow")(function)
        async with joined(Calls()) as pair:
            assert await getattr(pair.root, name)(function) == 0
            await until(lambda: log[-1] == -1)
            assert len(log) < 10_000

    run(main())


def test_a_stream_outlives_the_deadline_of_its_call() -> None:
    async def main() -> None:
        streams = Streams()
        async with joined(streams) as pair:
            with netobj.deadline(0.2):
                stream = await pair.root.slow_task()
            assert await anext(stream) == 1
            await asyncio.sleep(0.25)
            streams.go.set()
            assert await anext(stream) == 2

    run(main())


# --- two ways -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["echo", "echo_plain"])
def test_a_conversation(name: str, new_loop: NewLoop) -> None:
    async def main() -> None:
        async with joined(Streams()) as pair, getattr(pair.root, name).open(factor=2) as stream:
            assert isinstance(stream, netobj.AsyncDuplex)
            for number in range(50):
                await stream.send(number)
                assert await stream.receive() == 2 * number
            await stream.send(7)
            stream.end()  # half of it: the other half goes on
            stream.end()
            with pytest.raises(netobj.StreamClosed, match="this side has ended"):
                await stream.send(8)
            assert [item async for item in stream] == [14]
            with pytest.raises(EOFError):
                await stream.receive()

    run(main(), new_loop)


@pytest.mark.parametrize("name", ["echo", "echo_plain"])
def test_a_conversation_with_more_than_there_is_credit_for(name: str) -> None:
    async def main() -> None:
        async with joined(Streams()) as pair:
            stream = await getattr(pair.root, name).open()

            async def send() -> None:
                for number in range(2000):
                    await stream.send(number)
                stream.end()

            task = asyncio.create_task(send())
            assert [item async for item in stream] == list(range(2000))
            await task
            del task, send

    run(main())


async def _send_on(stream: Any, conn: aio.Connection) -> None:
    for _ in range(100):
        await stream.send(2)
        await conn.ping()


@pytest.mark.parametrize("name", ["fails", "fails_plain"])
def test_an_error_over_there_ends_the_conversation(name: str) -> None:
    async def main() -> None:
        async with joined(Streams()) as pair, getattr(pair.root, name).open() as stream:
            await stream.send(1)
            with pytest.raises(LookupError, match="in the conversation"):
                await stream.receive()
            with pytest.raises(netobj.StreamClosed):
                await _send_on(stream, pair.conn)

    run(main())


@pytest.mark.parametrize("name", ["meets", "meets_plain"])
def test_an_error_here_is_raised_over_there(name: str) -> None:
    async def main() -> None:
        async with joined(Streams()) as pair:
            async with getattr(pair.root, name).open() as stream:
                stream.end(LookupError("mine"))
                assert await stream.receive() == "LookupError('mine')"
            with pytest.raises(ZeroDivisionError):
                async with getattr(pair.root, name).open():
                    raise ZeroDivisionError

    run(main())


@pytest.mark.parametrize("name", ["floods", "floods_plain"])
@pytest.mark.parametrize("way", ["close", "drop", "lose"])
def test_leaving_a_conversation_ends_the_other_end(name: str, way: str) -> None:
    async def main() -> None:
        streams = Streams()
        async with joined(streams, clean=way != "lose") as pair:
            stream = await getattr(pair.root, name).open()
            assert await stream.receive() == 0
            if way == "close":
                await stream.aclose()
                stream.close()
            elif way == "lose":
                pair.conn.transport.abort()
            stream = None
            await until(lambda: streams.log[-1] == -1)
            assert len(streams.log) < 1000

    run(main())


def test_a_slow_reader_stops_whoever_sends() -> None:
    async def main() -> None:
        streams = Streams()
        async with joined(streams) as pair:
            for name in ("floods", "floods_plain"):
                streams.log.clear()
                async with getattr(pair.root, name).open() as stream:
                    await stream.receive()
                    await _at_rest(pair, streams)
                    assert len(streams.log) <= 64
                await until(lambda: streams.log[-1] == -1)

    run(main())


def test_the_other_side_leaves_early() -> None:
    async def main() -> None:
        async with joined(Streams()) as pair, pair.root.leaves.open() as stream:
            await stream.send(1)
            assert [item async for item in stream] == []
            with pytest.raises(netobj.StreamClosed, match="takes no more"):
                await _send_on(stream, pair.conn)

    run(main())


def test_a_conversation_with_a_callback() -> None:
    async def main() -> None:
        noted: list[int] = []
        async with joined(Streams()) as pair:
            async with pair.root.notes.open(noted.append) as stream:
                await stream.send(1)
                await stream.send(2)
                await until(lambda: len(noted) == 2)
            assert noted == [1, 2]

    run(main())


def test_conversations_in_the_other_direction() -> None:
    class Opens(netobj.Service):
        @netobj.exposed
        async def talk(self, function: Any) -> Any:
            async with function.open() as stream:
                await stream.send(3)
                return await stream.receive()

        @netobj.exposed
        def talk_plain(self, function: Any) -> Any:
            with function.open() as stream:
                stream.send(3)
                return stream.receive()

    async def main() -> None:
        async def mine(stream: Any) -> None:
            async for item in stream:
                await stream.send(item + 1)

        def mine_plain(stream: Any) -> None:
            for item in stream:
                stream.send(item + 1)

        async with joined(Opens()) as pair:
            for name in ("talk", "talk_plain"):
                for function in (mine, mine_plain):
                    assert await getattr(pair.root, name)(function) == 4

    run(main())


def test_a_stream_is_an_argument() -> None:
    class Takes(netobj.Service):
        @netobj.exposed(stream=True)
        def rows(self) -> Iterator[int]:
            yield from range(30)

        @netobj.exposed
        async def total(self, function: Any) -> int:
            return sum([item async for item in await function()])

        @netobj.exposed
        def total_plain(self, function: Any) -> int:
            return sum(function())

    async def main() -> None:
        async with joined(Takes()) as pair:

            @netobj.exposed(stream=True)
            async def rows() -> AsyncIterator[int]:
                async for item in pair.root.rows():
                    yield item

            assert await pair.root.total(rows) == sum(range(30))
            assert await pair.root.total_plain(rows) == sum(range(30))
            del rows

    run(main())

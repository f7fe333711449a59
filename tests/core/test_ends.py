"""What users have of a stream, in threads and on loops: iteration, sending, closing, the ends."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import nullcontext
from typing import Any

import msgpack
import pytest

from fakewire import FakeWire
from netobj.core import values
from netobj.core.consts import Ext, Kind, Op
from netobj.core.ends import AsyncDuplex, AsyncIncoming, Duplex, Incoming
from netobj.core.exposure import exposed
from netobj.core.flow import FIRST_CREDIT, MOST_CREDIT, Flow
from netobj.core.framing import frame
from netobj.core.registered import REGISTERED, USER_TYPES, by_value
from netobj.errors import ConnectionLost, NotEncodable, ProtocolError, StreamClosed


class Root:
    def __init__(self) -> None:
        self.produced = 0
        self.closed = 0
        self.heard: list[Any] = []
        self.items: list[Any] = []

    @exposed(stream=True)
    def rows(self, count: int, fail: bool = False) -> Iterator[Any]:
        try:
            for number in range(count):
                self.produced += 1
                yield number
            if fail:
                raise KeyError("in mid-stream")
        finally:
            self.closed += 1

    @exposed(stream=True)
    async def later(self, count: int, fail: bool = False) -> AsyncIterator[Any]:
        try:
            for number in range(count):
                self.produced += 1
                yield number
            if fail:
                raise KeyError("in mid-stream")
        finally:
            self.closed += 1

    @exposed(stream=True)
    def things(self) -> Any:
        return iter(self.items)

    @exposed
    async def shout(self, end: AsyncDuplex, mark: str = "!") -> None:
        async for text in end:
            await end.send(text.upper() + mark)

    @exposed
    async def greet(self, end: AsyncDuplex) -> None:
        await end.send("hello")

    @exposed
    async def fail(self, end: AsyncDuplex) -> None:
        self.heard.append(await end.receive())
        raise KeyError("the method's own")

    @exposed
    async def listen(self, end: AsyncDuplex) -> None:
        try:
            async for item in end:
                self.heard.append(item)
        except Exception as exc:
            self.heard.append(exc)
            raise

    @exposed
    async def flood(self, end: AsyncDuplex) -> None:
        while True:
            await end.send("more")

    @exposed
    def plain(self, end: Duplex) -> None:
        end.send("from a thread")


@pytest.fixture
def root() -> Root:
    return Root()


@pytest.fixture
def wire(root: Root) -> FakeWire:
    return FakeWire(Root(), root)


@pytest.fixture(autouse=True)
def _nothing_is_left(wire: FakeWire) -> Iterator[None]:
    yield
    gc.collect()
    wire.flush()
    assert wire.under_way() == (0, 0, 0, 0)
    assert wire.left.tasks == wire.right.tasks == []


def stream(wire: FakeWire, name: str, *args: Any, **kwargs: Any) -> Any:
    """The consumer's side of a stream of the right root's."""
    handle = wire.left.root.____handle__
    return wire.left.request(Op.CALL, handle, name, args, kwargs)


def opened(wire: FakeWire, name: str, *args: Any) -> Any:
    handle = wire.left.root.____handle__
    return wire.left.request(Op.CALL, handle, [name, "open"], args)


@pytest.fixture(params=["rows", "later"])
def name(request: pytest.FixtureRequest) -> str:
    """Of a method that is a generator, plain or asynchronous."""
    found: str = request.param
    return found


class TestIncoming:
    @pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 1000])
    def test_all_items_come_in_order(self, wire: FakeWire, name: str, count: int) -> None:
        assert list(stream(wire, name, count)) == list(range(count))

    def test_in_chunks(self, wire: FakeWire, name: str) -> None:
        with wire.counted() as log:
            assert len(list(stream(wire, name, 10_000))) == 10_000
        assert log.count("right ITEMS") < 150
        assert log.count("left CREDIT") < 30

    def test_the_first_item_does_not_wait_for_the_second(self, wire: FakeWire, name: str) -> None:
        rows = stream(wire, name, 1000)
        with wire.counted() as log:
            next(rows)
        assert log.count("right ITEMS") == 1
        rows.close()

    def test_a_slow_consumer_stops_the_producer(
        self, wire: FakeWire, root: Root, name: str
    ) -> None:
        rows = stream(wire, name, 10**9)
        wire.settle()
        assert root.produced == FIRST_CREDIT
        assert next(rows) == 0
        wire.settle()
        assert root.produced <= FIRST_CREDIT + 1
        for _ in range(100_000):
            next(rows)
        wire.settle()
        assert root.produced <= 100_001 + MOST_CREDIT
        rows.close()

    def test_an_error_comes_behind_the_items(self, wire: FakeWire, root: Root, name: str) -> None:
        rows = stream(wire, name, 20, fail=True)
        got = []
        with pytest.raises(KeyError, match="in mid-stream"):
            got.extend(rows)
        rows = stream(wire, name, 20, fail=True)
        got = [next(rows) for _ in range(20)]
        assert got == list(range(20))
        with pytest.raises(KeyError, match="in mid-stream"):
            next(rows)
        assert list(rows) == []
        assert root.closed == 2

    def test_one_thread_at_a_time_waits_for_the_next_item(
        self, wire: FakeWire, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else two of them could take a chunk each, and the items of one would be lost."""
        rows = stream(wire, name, 3)
        wait = wire.left.wait_until

        def meanwhile(ready: Callable[[], bool], flow: Flow) -> None:
            with pytest.raises(ValueError, match="another thread waits for the next item"):
                next(rows)
            wait(ready, flow)

        monkeypatch.setattr(wire.left, "wait_until", meanwhile)
        assert list(rows) == [0, 1, 2]

    def test_leaving_early_closes_the_generator(
        self, wire: FakeWire, root: Root, name: str
    ) -> None:
        rows = stream(wire, name, 10**9)
        with rows as same:
            assert same is rows
            assert next(rows) == 0
            assert root.closed == 0
        wire.settle()
        assert root.closed == 1
        assert list(rows) == []
        rows.close()

    def test_so_does_letting_it_go(self, wire: FakeWire, root: Root, name: str) -> None:
        rows = stream(wire, name, 10**9)
        next(rows)
        del rows
        gc.collect()
        with wire.counted() as log:
            wire.flush()
        assert "left STOP" in log
        assert "right END" in log
        assert root.closed == 1

    def test_nothing_comes_after_a_close(self, wire: FakeWire, name: str) -> None:
        """Also where all of it has come already."""
        rows = stream(wire, name, 10)
        wire.settle()
        assert next(rows) == 0
        rows.close()
        assert list(rows) == []

    def test_nor_the_error(self, wire: FakeWire, name: str) -> None:
        rows = stream(wire, name, 3, fail=True)
        wire.settle()
        next(rows)
        rows.close()
        assert list(rows) == []

    def test_references_come_as_such(self, wire: FakeWire, root: Root) -> None:
        root.items = [object(), [1, 2], b"x" * 100_000]
        got = list(stream(wire, "things"))
        assert got[1][1] == 2
        assert got[2] == root.items[2]

    def test_one_item_that_cannot_be_built_leaves_the_others(
        self, wire: FakeWire, root: Root
    ) -> None:
        tables = dict(REGISTERED), dict(USER_TYPES)

        class Point:
            def __init__(self, x: int) -> None:
                self.x = x

        def build(x: int) -> Point:
            if x == 1:
                raise ValueError("no such point")
            return Point(x)

        by_value(Point, encode=lambda point: point.x, decode=build)
        try:
            root.items = [Point(0), Point(1), Point(2)]
            points = stream(wire, "things")
            assert next(points).x == 0
            with pytest.raises(ValueError, match="no such point"):
                next(points)
            assert next(points).x == 2
            assert list(points) == []
        finally:
            for table, before in zip((REGISTERED, USER_TYPES), tables, strict=True):
                table.clear()
                table.update(before)  # type: ignore[arg-type]

    def test_the_end_of_the_connection(self, wire: FakeWire, name: str) -> None:
        """What has come is still there."""
        rows = stream(wire, name, 10**9)
        wire.settle()
        wire.right.tasks.clear()
        wire.lose("the cable was cut")
        assert [next(rows) for _ in range(FIRST_CREDIT)] == list(range(FIRST_CREDIT))
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="the cable was cut"):
                next(rows)
        rows.close()
        assert "closed" in repr(rows)

    def test_closing_after_the_end_of_the_connection(self, wire: FakeWire, name: str) -> None:
        rows = stream(wire, name, 10**9)
        wire.settle()
        wire.right.tasks.clear()
        wire.lose()
        rows.close()
        assert list(rows) == []

    def test_what_people_see_of_it(self, wire: FakeWire) -> None:
        rows = stream(wire, "rows", 1)
        assert repr(rows) == "<netobj.Incoming -1 (open)>"
        list(rows)
        assert repr(rows) == "<netobj.Incoming -1 (closed)>"

    @pytest.mark.parametrize("error", [7, "text", [], None])
    def test_an_error_that_is_none(self, wire: FakeWire, error: Any) -> None:
        flow = wire.left.session.flows.accept(9, False)
        end = Incoming(flow)
        data = frame(values.pack([Kind.END, 9, error]))
        wire.left.session.receive_data(data, 0.0)
        if error is None:
            assert list(end) == []
        else:
            with pytest.raises(ProtocolError, match="an error that is no exception"):
                next(end)

    def test_an_error_that_is_malformed(self, wire: FakeWire) -> None:
        flow = wire.left.session.flows.accept(9, False)
        end = Incoming(flow)
        raised = msgpack.ExtType(Ext.RAISED, values.pack([[1, 2]]))
        wire.left.session.receive_data(frame(values.pack([Kind.END, 9, raised])), 0.0)
        with pytest.raises(ProtocolError):
            next(end)
        assert list(end) == []

    def test_one_that_was_never_made(self) -> None:
        Incoming.__new__(Incoming).__del__()

    def test_one_that_has_given_its_stream_to_another(self, wire: FakeWire) -> None:
        rows = stream(wire, "rows", 3)
        other = Incoming(rows.detach())
        del rows
        assert not wire.left.session.boxing.dead
        assert list(other) == [0, 1, 2]


class TestDuplex:
    def test_there_and_back(self, wire: FakeWire) -> None:
        with opened(wire, "shout") as end:
            end.send("a")
            assert end.receive() == "A!"
            end.send("b")
            end.send("c")
            end.end()
            assert list(end) == ["B!", "C!"]

    def test_arguments_follow_the_end(self, wire: FakeWire) -> None:
        with opened(wire, "shout", "?") as end:
            end.send("a")
            assert end.receive() == "A?"

    def test_when_the_method_returns_its_end_is_closed(self, wire: FakeWire) -> None:
        with opened(wire, "greet") as end:
            assert end.receive() == "hello"
            with pytest.raises(EOFError, match="the other side has ended"):
                end.receive()
            with pytest.raises(StreamClosed, match="the other side has closed"):
                end.send("too late")

    def test_a_method_that_is_no_coroutine(self, wire: FakeWire) -> None:
        with opened(wire, "plain") as end:
            assert list(end) == ["from a thread"]

    def test_an_error_of_the_method(self, wire: FakeWire, root: Root) -> None:
        with opened(wire, "fail") as end:
            end.send(1)
            with pytest.raises(KeyError, match="the method's own"):
                end.receive()
        assert root.heard == [1]

    def test_an_error_of_the_caller(self, wire: FakeWire, root: Root) -> None:
        end = opened(wire, "listen")
        end.send(1)
        with pytest.raises(ValueError, match="the caller's own"), end:
            raise ValueError("the caller's own")
        wire.settle()
        assert root.heard[0] == 1
        assert isinstance(root.heard[1], ValueError)

    def test_ending_by_an_error(self, wire: FakeWire, root: Root) -> None:
        with opened(wire, "listen") as end:
            end.end(KeyError("k"))
            end.end()
            with pytest.raises(StreamClosed, match="this side has ended"):
                end.send(1)
            with pytest.raises(KeyError):
                end.receive()
        assert isinstance(root.heard[0], KeyError)

    def test_the_other_side_does_not_keep_up(self, wire: FakeWire) -> None:
        """The sender waits; here nobody will ever take anything, which the wire notices."""
        ours = wire.left.session.flows.open(True)
        theirs = wire.right.session.flows.accept(1, True)
        end, other = Duplex(ours, nullcontext()), Duplex(theirs, nullcontext())
        for number in range(FIRST_CREDIT):
            end.send(number)
        with pytest.raises(AssertionError, match="in which nothing happens"):
            end.send(None)
        assert [next(other) for _ in range(FIRST_CREDIT - 1)] == list(range(FIRST_CREDIT - 1))
        end.close()
        end.close()
        assert list(other) == [FIRST_CREDIT - 1]

    def test_a_flood_is_held_back_and_stopped(self, wire: FakeWire) -> None:
        with opened(wire, "flood") as end:
            wire.settle()
            assert end.receive() == "more"
        wire.settle()
        assert wire.right.tasks == []

    def test_one_that_is_let_go(self, wire: FakeWire, root: Root) -> None:
        end = opened(wire, "listen")
        end.send(1)
        del end
        gc.collect()
        wire.flush()
        assert root.heard == [1]

    def test_an_item_that_cannot_travel(self, wire: FakeWire) -> None:
        with opened(wire, "shout") as end:
            deep: Any = ()
            for _ in range(2000):
                deep = (deep,)
            for _ in range(2 * FIRST_CREDIT):
                with pytest.raises((NotEncodable, RecursionError, ValueError)):
                    end.send(deep)
            end.send("still there")
            assert end.receive() == "STILL THERE!"

    def test_the_end_of_the_connection(self, wire: FakeWire) -> None:
        end = opened(wire, "shout")
        wire.right.tasks.clear()
        wire.lose("the cable was cut")
        with pytest.raises(ConnectionLost, match="the cable was cut"):
            end.send(1)
        with pytest.raises(ConnectionLost, match="the cable was cut"):
            end.receive()
        end.end()
        end.close()

    def test_a_close_in_another_thread_wakes_who_waits(self, wire: FakeWire) -> None:
        flow = wire.left.session.flows.open(True)
        wire.right.session.flows.accept(1, True)
        end = Duplex(flow, threading.Lock())
        waits = threading.Event()

        def wait_until(ready: Callable[[], bool], flow: Flow) -> None:
            changed = threading.Event()
            flow.subscribe(changed.set)
            if not ready():
                waits.set()
                assert changed.wait(30)

        wire.left.wait_until = wait_until  # type: ignore[method-assign]
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.extend(end))
        thread.start()
        assert waits.wait(30)
        end.close()
        thread.join()
        assert got == []
        wire.right.session.flows.end(wire.right.session.flows._table[-1])


class Loop:
    """A side of the wire whose ends are for loops: what waits takes steps of the wire."""

    def __init__(self, wire: FakeWire) -> None:
        self.wire = wire
        wire.left.make_end = lambda flow: (
            AsyncIncoming(flow) if flow.sent_end else AsyncDuplex(flow)
        )
        wire.left.wait_until_async = self.wait_until_async  # type: ignore[method-assign]

    async def wait_until_async(self, ready: Callable[[], bool], flow: Flow) -> None:
        self.wire.left.wait_until(ready, flow)

    def run(self, work: Awaitable[Any]) -> Any:
        async def main() -> Any:
            return await work

        return asyncio.run(main())


@pytest.fixture
def loop(wire: FakeWire) -> Loop:
    return Loop(wire)


class TestAsyncIncoming:
    def test_several_tasks_share_the_items(self) -> None:
        async def share() -> None:
            arrived = asyncio.Event()

            class Link:
                async def wait_until_async(self, ready: Any, flow: Flow) -> None:
                    await arrived.wait()

            flow = Flow(Link(), -1, sends=False, receives=True)
            items = AsyncIncoming(flow)
            tasks = [asyncio.ensure_future(items.__anext__()) for _ in range(2)]
            await asyncio.sleep(0)  # both wait
            flow.chunks.extend([((1, 2, 3), False), ((4, 5, 6), False)])
            flow.ended = True
            arrived.set()
            got = await asyncio.gather(*tasks)
            got += [item async for item in items]
            assert sorted(got) == [1, 2, 3, 4, 5, 6]

        asyncio.run(share())

    def test_all_items_come_in_order(self, wire: FakeWire, loop: Loop, name: str) -> None:
        async def main() -> list[int]:
            return [item async for item in stream(wire, name, 1000)]

        assert loop.run(main()) == list(range(1000))

    def test_leaving_early(self, wire: FakeWire, loop: Loop, root: Root, name: str) -> None:
        async def main() -> None:
            rows = stream(wire, name, 10**9)
            async with rows as same:
                assert same is rows
                assert await anext(rows) == 0
            assert [item async for item in rows] == []

        loop.run(main())
        wire.settle()
        assert root.closed == 1

    def test_an_error(self, wire: FakeWire, loop: Loop, name: str) -> None:
        async def main() -> None:
            async for _ in stream(wire, name, 3, fail=True):
                pass

        with pytest.raises(KeyError, match="in mid-stream"):
            loop.run(main())


class TestAsyncDuplex:
    def test_there_and_back(self, wire: FakeWire, loop: Loop) -> None:
        async def main() -> list[str]:
            async with opened(wire, "shout") as end:
                await end.send("a")
                assert await end.receive() == "A!"
                await end.send("b")
                end.end()
                return [text async for text in end]

        assert loop.run(main()) == ["B!"]

    def test_the_end(self, wire: FakeWire, loop: Loop) -> None:
        async def main() -> None:
            end = opened(wire, "greet")
            assert await end.receive() == "hello"
            with pytest.raises(EOFError):
                await end.receive()
            await end.aclose()

        loop.run(main())

    def test_waiting_for_credit(self, wire: FakeWire, loop: Loop, root: Root) -> None:
        async def main() -> None:
            async with opened(wire, "listen") as end:
                for number in range(100):
                    await end.send(number)
                end.end()
                assert [item async for item in end] == []

        loop.run(main())
        assert root.heard == list(range(100))

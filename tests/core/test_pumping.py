"""Sending what an iterator yields: batches, credit, errors, and who sends when several could."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from fakewire import Side, bodies, fields
from netobj.core.config import Config
from netobj.core.consts import Kind
from netobj.core.flow import FIRST_CREDIT, Flow
from netobj.core.pumping import MOST_IN_BATCH, Batch, pump, pump_async, pump_some
from netobj.core.vinegar_table import Node
from netobj.errors import NotEncodable


class Link(Side):
    """The producer's side; the test plays the consumer's."""

    def __init__(self) -> None:
        super().__init__("producer", None, Config(log_exceptions=False), ())
        self.session.out.clear()
        self.soon: list[Batch] = []
        self.flushes = 0
        self.waits = 0
        self.waiting: Callable[[], object] = lambda: None

    def flush(self) -> None:
        self.flushes += 1

    def congested(self) -> bool:
        return False

    def wait_until(self, ready: Callable[[], bool], flow: Flow) -> None:
        while not ready():
            self.waits += 1
            self.waiting()

    async def wait_until_async(self, ready: Callable[[], bool], flow: Flow) -> None:
        self.wait_until(ready, flow)

    def batch(
        self, credit: int = 10**9, lock: AbstractContextManager[object] | None = None
    ) -> Batch:
        flow = self.session.flows.open(False)
        flow.granted = credit
        return Batch(flow, lock or nullcontext(), self.soon.append)

    def sent(self) -> list[Any]:
        """What has been said: the items of each message, or the name of an end's exception."""
        found = []
        for data in self.session.out:
            for body in bodies(bytes(data)):
                kind, _, *rest = fields(body)
                if kind == Kind.ITEMS:
                    found.append(rest[0])
                else:
                    assert kind == Kind.END
                    found.append(error_name(rest[0].data) if rest else "END")
        self.session.out.clear()
        return found


def error_name(dumped: bytes) -> str:
    node: list[Any] = fields(dumped)[-1]
    name: str = node[Node._fields.index("qualname")]
    return name


@pytest.fixture
def link() -> Link:
    return Link()


def unsendable() -> Any:
    deep: Any = ()
    for _ in range(2000):
        deep = (deep,)
    return deep


class TestBatch:
    def test_batches_double(self, link: Link) -> None:
        batch = link.batch()
        for number in range(15):
            batch.add(number)
        assert [len(items) for items in link.sent()] == [1, 2, 4, 8]
        assert batch.size == 16

    def test_up_to_a_bound(self, link: Link) -> None:
        batch = link.batch()
        for number in range(5000):
            batch.add(number)
        assert max(len(items) for items in link.sent()) == batch.size == MOST_IN_BATCH

    def test_whether_a_message_left(self, link: Link) -> None:
        batch = link.batch()
        assert [batch.add(number) for number in range(7)] == [
            *(True, False, True),
            *(False, False, False, True),
        ]

    def test_somebody_is_asked_to_flush_when_a_batch_begins(self, link: Link) -> None:
        batch = link.batch()
        batch.add(0)
        assert link.soon == []
        batch.add(1)
        assert link.soon == [batch]
        batch.add(2)
        batch.add(3)
        batch.add(4)
        assert link.soon == [batch, batch]

    def test_a_slow_producer_s_items_leave_one_by_one(self, link: Link) -> None:
        batch = link.batch()
        for number in range(10):
            batch.add(number)
            batch.flush()
        assert link.sent() == [[number] for number in range(10)]

    def test_a_flush_of_nothing(self, link: Link) -> None:
        batch = link.batch()
        for number in range(3):
            batch.add(number)
        link.sent()
        batch.flush()
        assert link.sent() == []
        assert batch.size == 4

    def test_the_end(self, link: Link) -> None:
        batch = link.batch()
        for number in range(5):
            batch.add(number)
        batch.finish()
        batch.finish()
        assert link.sent() == [[0], [1, 2], [3, 4], "END"]
        assert link.flushes > 0

    def test_an_item_that_cannot_travel_ends_it_behind_those_before(self, link: Link) -> None:
        batch = link.batch()
        for item in (0, 1, 2, 3, 4, unsendable(), 5):
            batch.add(item)
        assert batch.failure is not None
        assert batch.may_go_on()
        batch.add(6)
        batch.finish(KeyError("not the first"))
        sent = link.sent()
        assert [item for items in sent[:-1] for item in items] == [0, 1, 2, 3, 4]
        assert sent[-1] not in ("END", "KeyError")

    def test_a_consumer_that_has_left_is_told_of_no_error(self, link: Link) -> None:
        batch = link.batch()
        batch.flow.refused = True
        batch.finish(KeyError("k"))
        assert link.sent() == ["END"]

    def test_after_the_end_of_the_connection_nothing_is_said(self, link: Link) -> None:
        batch = link.batch()
        batch.add(0)
        batch.add(1)
        link.sent()
        link.session.flows.lose("gone")
        batch.add(2)
        batch.finish()
        assert link.sent() == []
        assert not batch._items

    def test_an_item_that_comes_while_another_thread_sends(self, link: Link) -> None:
        """Nobody asks for another flush then: the one who sends looks again."""
        batch = link.batch()
        for number in range(3):
            batch.add(number)
        batch.add(3)
        link.sent()
        send_items = link.session.flows.send_items

        def meanwhile(flow: Flow, items: tuple[Any, ...]) -> None:
            link.session.flows.send_items = send_items  # type: ignore[method-assign]
            batch.add("meanwhile")
            batch.send()  # finds it taken, and waits for nothing
            send_items(flow, items)

        link.session.flows.send_items = meanwhile  # type: ignore[method-assign]
        batch.flush()
        assert link.sent() == [[3], ["meanwhile"]]

    def test_the_end_that_comes_while_another_thread_sends(self, link: Link) -> None:
        batch = link.batch()
        for number in range(4):
            batch.add(number)
        link.sent()
        send_items = link.session.flows.send_items

        def meanwhile(flow: Flow, items: tuple[Any, ...]) -> None:
            link.session.flows.send_items = send_items  # type: ignore[method-assign]
            batch.add("last")
            batch.finish(KeyError("k"))
            send_items(flow, items)

        link.session.flows.send_items = meanwhile  # type: ignore[method-assign]
        batch.flush()
        assert link.sent() == [[3], ["last"], "KeyError"]

    def test_no_lock_is_held_while_items_are_boxed(self, link: Link) -> None:
        lock = threading.Lock()
        batch = link.batch(lock=lock)
        export = link.session.boxing.export

        def free(obj: object, out: Any) -> Any:
            assert lock.acquire(blocking=False)
            lock.release()
            return export(obj, out)

        link.session.boxing.export = free  # type: ignore[method-assign]
        batch.add(object())
        batch.finish()
        assert len(link.sent()) == 2

    def test_an_interrupt_leaves_it_usable(self, link: Link) -> None:
        batch = link.batch()
        send_items = link.session.flows.send_items

        def interrupted(flow: Flow, items: tuple[Any, ...]) -> None:
            link.session.flows.send_items = send_items  # type: ignore[method-assign]
            raise KeyboardInterrupt

        link.session.flows.send_items = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            batch.add(0)
        batch.finish(KeyboardInterrupt())
        assert link.sent() == ["KeyboardInterrupt"]

    def test_a_producer_and_others_who_flush(self, link: Link) -> None:
        """All items leave, in order, and in front of the end, without a last flush."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for _ in range(100):
                batch = link.batch(lock=threading.Lock())
                done = threading.Event()

                def flush(batch: Batch = batch, done: threading.Event = done) -> None:
                    while not done.is_set():
                        batch.flush()

                threads = [threading.Thread(target=flush) for _ in range(2)]
                for thread in threads:
                    thread.start()
                for number in range(100):
                    batch.add(number)
                batch.finish()
                done.set()
                for thread in threads:
                    thread.join()
                *items, end = link.sent()
                assert [item for message in items for item in message] == list(range(100))
                assert end == "END"
        finally:
            sys.setswitchinterval(before)


class Items(Iterator[Any]):
    """An iterator that notes what is done with it."""

    def __init__(self, count: int, error: BaseException | None = None) -> None:
        self.count = count
        self.error = error
        self.closed = 0
        self.taken = 0

    def __next__(self) -> int:
        if self.taken == self.count:
            raise self.error or StopIteration
        self.taken += 1
        return self.taken - 1

    def close(self) -> None:
        self.closed += 1


class AsyncItems(Items, AsyncIterator[Any]):
    async def __anext__(self) -> int:
        try:
            return self.__next__()
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self.close()


async def _pause() -> None:
    await asyncio.sleep(0)


def pump_on_loop(batch: Batch, items: Any) -> None:
    asyncio.run(pump_async(batch, items, _pause))


@pytest.fixture(params=["thread", "loop"])
def pumped(request: pytest.FixtureRequest) -> tuple[Callable[[Batch, Any], None], type[Items]]:
    """The function that pumps, and the iterator that it takes."""
    return (pump, Items) if request.param == "thread" else (pump_on_loop, AsyncItems)


Pumped = tuple[Callable[[Batch, Any], None], type[Items]]


class TestPumping:
    def test_to_the_end(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped
        items = kind(7)
        run(link.batch(), items)
        assert link.sent() == [[0], [1, 2], [3, 4, 5, 6], "END"]
        assert items.closed == 1

    def test_nothing(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped
        run(link.batch(), kind(0))
        assert link.sent() == ["END"]

    def test_it_waits_for_credit(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped
        batch = link.batch(FIRST_CREDIT)
        sent: list[int] = []

        def grant() -> None:
            assert items.taken == batch.flow.granted
            sent.append(sum(map(len, link.sent())))
            batch.flow.granted += 10

        link.waiting = grant
        items = kind(50)
        run(batch, items)
        assert sent == [FIRST_CREDIT, 10, 10, 10]
        assert link.sent()[-1] == "END"

    def test_an_error_comes_behind_the_items(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped
        items = kind(2, KeyError("k"))
        run(link.batch(), items)
        assert link.sent() == [[0], [1], "KeyError"]
        assert items.closed == 1

    def test_what_is_no_exception_is_raised_here_too(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped
        items = kind(2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(link.batch(), items)
        assert link.sent() == [[0], [1], "KeyboardInterrupt"]
        assert items.closed == 1

    def test_a_consumer_that_leaves(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped
        batch = link.batch(FIRST_CREDIT)
        link.waiting = lambda: setattr(batch.flow, "refused", True)
        items = kind(10**9)
        run(batch, items)
        assert (items.taken, items.closed) == (FIRST_CREDIT, 1)
        assert link.sent()[-1] == "END"

    def test_the_end_of_the_connection(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped
        batch = link.batch(FIRST_CREDIT)
        link.waiting = lambda: link.session.flows.lose("gone")
        items = kind(10**9)
        run(batch, items)
        assert (items.taken, items.closed) == (FIRST_CREDIT, 1)
        assert "END" not in link.sent()

    def test_an_item_that_cannot_travel(self, link: Link, pumped: Pumped) -> None:
        """Also where there is no credit left: nobody would ever grant more."""
        run, kind = pumped

        class Some(kind):  # type: ignore[valid-type,misc]
            def __next__(self) -> Any:
                number = super().__next__()
                return unsendable() if number >= 15 else number

        items = Some(10**9)
        link.waiting = lambda: pytest.fail("nobody grants credit here")
        run(link.batch(FIRST_CREDIT), items)
        sent = link.sent()
        assert [item for message in sent[:-1] for item in message] == list(range(15))
        assert sent[-1] != "END"
        assert items.closed == 1

    @pytest.mark.parametrize("error", [KeyError("k"), None])
    def test_closing_fails(self, link: Link, pumped: Pumped, error: BaseException | None) -> None:
        run, kind = pumped

        class Failing(kind):  # type: ignore[valid-type,misc]
            def close(self) -> None:
                raise ValueError("in finally")

        run(link.batch(), Failing(1, error))
        assert link.sent() == [[0], "ValueError"]

    def test_closing_is_interrupted(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped

        class Failing(kind):  # type: ignore[valid-type,misc]
            def close(self) -> None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(link.batch(), Failing(1))
        assert link.sent() == [[0], "KeyboardInterrupt"]

    def test_waiting_fails(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped

        def fail() -> None:
            raise RuntimeError("no waiting here")

        link.waiting = fail
        items = kind(10**9)
        run(link.batch(FIRST_CREDIT), items)
        assert link.sent()[-1] == "RuntimeError"
        assert items.closed == 1

    def test_waiting_is_interrupted(self, link: Link, pumped: Pumped) -> None:
        run, kind = pumped

        def fail() -> None:
            raise KeyboardInterrupt

        link.waiting = fail
        items = kind(10**9)
        with pytest.raises(KeyboardInterrupt):
            run(link.batch(FIRST_CREDIT), items)
        assert link.sent()[-1] == "KeyboardInterrupt"
        assert items.closed == 1

    def test_what_is_no_iterator(self, link: Link, pumped: Pumped) -> None:
        run, _ = pumped
        run(link.batch(), object())
        assert link.sent() == ["AttributeError"]

    def test_what_cannot_be_closed(self, link: Link) -> None:
        pump(link.batch(), iter([1]))
        assert link.sent() == [[1], "END"]


class TestSomeAtATime:
    """Between two goes nobody's thread is occupied."""

    def test_as_far_as_there_is_credit(self, link: Link) -> None:
        batch = link.batch(FIRST_CREDIT)
        items = Items(20)
        assert not pump_some(batch, items)
        assert not pump_some(batch, items)
        assert sum(map(len, link.sent())) == FIRST_CREDIT
        batch.flow.granted += 10
        assert pump_some(batch, items)
        assert link.sent()[-1] == "END"
        assert items.closed == 1

    def test_giving_up(self, link: Link) -> None:
        """The consumer must not take it for the end of the items."""
        batch = link.batch(FIRST_CREDIT)
        items = Items(20)
        pump_some(batch, items)
        assert pump_some(batch, items, give_up=True)
        assert link.sent()[-1] == "CallCancelled"
        assert items.closed == 1

    def test_giving_up_what_is_over(self, link: Link) -> None:
        batch = link.batch()
        items = Items(1)
        pump_some(batch, items)
        assert pump_some(batch, items, give_up=True)
        assert link.sent() == [[0], "END"]
        assert items.closed == 1


def test_a_task_that_is_cancelled_twice_still_ends_the_stream(link: Link) -> None:
    """The second time in the midst of closing the generator."""

    async def endless() -> AsyncIterator[int]:
        try:
            yield 0
            await asyncio.sleep(3600)
        finally:
            closing.set()
            await asyncio.sleep(3600)

    async def main() -> None:
        task = asyncio.create_task(pump_async(link.batch(), endless(), _pause))
        while not link.session.out:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await closing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    closing = asyncio.Event()
    asyncio.run(main())
    assert link.sent() == [[0], "CancelledError"]


def test_a_producer_that_never_waits_lets_others_run(link: Link) -> None:
    pauses = 0

    async def pause() -> None:
        nonlocal pauses
        pauses += 1

    asyncio.run(pump_async(link.batch(), AsyncItems(5000), pause))
    assert pauses == len(link.sent()) - 2  # not for the rest, nor for the end


def test_unsendable_is_what_it_says(link: Link) -> None:
    with pytest.raises((NotEncodable, RecursionError, ValueError)):
        link.session.flows.send_items(link.session.flows.open(False), (unsendable(),))


def test_it_rests_while_too_much_is_to_be_written(link: Link, monkeypatch: Any) -> None:
    batch = link.batch()
    waiting: list[Callable[[], object]] = []
    monkeypatch.setattr(link, "congested", lambda: True)
    monkeypatch.setattr(link, "when_room", waiting.append, raising=False)
    assert not batch.may_go_on()
    assert waiting == [batch.flow.notify]
    batch.flow.lost = "over"
    assert batch.may_go_on()

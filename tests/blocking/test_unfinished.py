from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import netobj
from netobj.blocking import unfinished as module
from netobj.blocking.pool import WorkerPool
from netobj.core.flow import FIRST_CREDIT

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]
Until = Callable[[Callable[[], object]], None]
Start = Callable[..., threading.Thread]


class Feed(netobj.Service):
    """Streams of both kinds, which note what becomes of them."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = threading.Event()
        self.threads: set[str] = set()
        self.go_on = threading.Event()
        self.calls: list[netobj.Call] = []

    @netobj.exposed(stream=True)
    def count(self, limit: int) -> Iterator[int]:
        self.calls.append(netobj.current_call())
        try:
            for number in range(limit):
                self.made += 1
                self.threads.add(threading.current_thread().name)
                yield number
        finally:
            self.threads.add(threading.current_thread().name)
            self.closed.set()

    @netobj.exposed(stream=True)
    async def acount(self, limit: int) -> AsyncIterator[int]:
        self.calls.append(netobj.current_call())
        try:
            for number in range(limit):
                self.made += 1
                self.threads.add(threading.current_thread().name)
                yield number
        finally:
            self.threads.add(threading.current_thread().name)
            self.closed.set()

    @netobj.exposed(stream=True)
    def slow(self) -> Iterator[int]:
        for number in range(3):
            yield number
            assert self.go_on.wait(20)
            self.go_on.clear()

    @netobj.exposed(stream=True)
    async def aslow(self) -> AsyncIterator[int]:
        for number in range(3):
            yield number
            while not self.go_on.is_set():
                await asyncio.sleep(0.001)
            self.go_on.clear()

    @netobj.exposed(stream=True)
    def failing(self, good: int) -> Iterator[int]:
        yield from range(good)
        raise LookupError("no more")

    @netobj.exposed(stream=True)
    async def afailing(self, good: int) -> AsyncIterator[int]:
        for number in range(good):
            yield number
        raise LookupError("no more")

    @netobj.exposed(stream=True)
    async def stuck(self) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    @netobj.exposed(stream=True)
    async def coroutine_of_items(self) -> Any:
        await asyncio.sleep(0)
        return iter("abc")

    @netobj.exposed(stream=True)
    def unsendable(self) -> Iterator[object]:
        yield 1
        nested: object = None
        for _ in range(1000):
            nested = slice(nested)
        yield nested
        yield 3

    @netobj.exposed(stream=True)
    def calling(self, function: Callable[[int], int]) -> Iterator[int]:
        for number in range(3):
            yield function(number)

    @netobj.exposed
    def not_a_stream(self, limit: int) -> Iterator[int]:
        for number in range(limit):
            self.made += 1
            yield number


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def here(pair: Pair, feed: Feed) -> netobj.Connection:
    return pair(there=feed)[0]


KINDS = pytest.mark.parametrize("name", ["count", "acount"])

# --- streams ------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("limit", [0, 1, 2, 20, 10_000])
def test_all_items_arrive_in_order(here: netobj.Connection, name: str, limit: int) -> None:
    stream = getattr(here.root, name)(limit)
    assert type(stream) is netobj.Incoming
    assert list(stream) == list(range(limit))
    assert list(stream) == []


@KINDS
def test_a_consumer_that_rests_stops_the_producer(
    here: netobj.Connection, feed: Feed, until: Until, name: str
) -> None:
    stream = getattr(here.root, name)(10_000)
    assert next(stream) == 0
    until(lambda: feed.made == FIRST_CREDIT)
    here.ping()
    assert feed.made == FIRST_CREDIT
    assert sum(stream) == sum(range(10_000))


@KINDS
def test_leaving_early_closes_the_generator(
    here: netobj.Connection, feed: Feed, until: Until, name: str
) -> None:
    with getattr(here.root, name)(10_000) as stream:
        for number in stream:
            if number == 5:
                break
    assert feed.closed.wait(20)
    assert feed.made < 10_000
    until(lambda: not len(here.session.flows))


@KINDS
def test_a_stream_that_nobody_has_any_more_is_closed(
    here: netobj.Connection, feed: Feed, name: str
) -> None:
    stream = getattr(here.root, name)(10_000)
    assert next(stream) == 0
    del stream
    assert feed.closed.wait(20)


@KINDS
def test_a_generator_runs_in_one_thread(here: netobj.Connection, feed: Feed, name: str) -> None:
    assert len(list(getattr(here.root, name)(5000))) == 5000
    assert feed.closed.wait(20)
    assert len(feed.threads) == 1


@pytest.mark.parametrize("name", ["slow", "aslow"])
def test_items_of_a_slow_producer_do_not_wait_for_the_next(
    here: netobj.Connection, feed: Feed, name: str
) -> None:
    for expected, number in enumerate(getattr(here.root, name)()):
        assert number == expected
        feed.go_on.set()


@pytest.mark.parametrize("name", ["failing", "afailing"])
@pytest.mark.parametrize("good", [0, 1, 100])
def test_an_error_comes_behind_the_items_before_it(
    here: netobj.Connection, name: str, good: int
) -> None:
    seen: list[int] = []
    with pytest.raises(LookupError, match="no more"):
        seen.extend(getattr(here.root, name)(good))
    assert seen == list(range(good))


def test_an_item_that_cannot_travel_ends_the_stream(here: netobj.Connection) -> None:
    stream = here.root.unsendable()
    assert next(stream) == 1
    with pytest.raises(netobj.LimitExceeded, match="nested"):
        next(stream)
    assert list(stream) == []


@KINDS
def test_the_end_of_the_connection_ends_both_sides(pair: Pair, feed: Feed, name: str) -> None:
    here, there = pair(there=feed)
    stream = getattr(here.root, name)(10_000)
    assert next(stream) == 0
    there.close()
    with pytest.raises(netobj.ConnectionLost):
        for _ in stream:
            pass
    assert feed.closed.wait(20)
    assert feed.calls[0].cancelled


@pytest.mark.parametrize("how", ["close", "lose"])
def test_a_generator_that_waits_for_something_else_is_cancelled(
    pair: Pair, feed: Feed, how: str
) -> None:
    here, there = pair(there=feed)
    stream = here.root.stuck()
    assert next(stream) == 1
    if how == "close":
        stream.close()
    else:
        there.close()
    assert feed.closed.wait(20)


def test_a_coroutine_may_come_to_a_stream(here: netobj.Connection) -> None:
    assert list(here.root.coroutine_of_items()) == ["a", "b", "c"]


def test_a_generator_may_call_back(here: netobj.Connection) -> None:
    assert list(here.root.calling(lambda number: number * 10)) == [0, 10, 20]


def test_what_is_not_declared_a_stream_does_not_run_ahead(
    here: netobj.Connection, feed: Feed
) -> None:
    items = here.root.not_a_stream(10)
    assert next(items) == 0
    assert feed.made == 1


class Callbacks(netobj.Service):
    """Uses what the client gives it as streams."""

    def exposed_consume(self, produce: Callable[[int], Iterator[int]], limit: int) -> int:
        return sum(produce(limit))

    async def exposed_consume_async(self, produce: Any, limit: int) -> int:
        total = 0
        async for number in await netobj.async_(produce)(limit):
            total += number
        return total

    def exposed_talk(self, function: Any) -> list[str]:
        with function.open("!") as stream:
            stream.send("hello")
            stream.end()
            return list(stream)


@pytest.mark.parametrize("name", ["count", "acount"])
@pytest.mark.parametrize("consume", ["consume", "consume_async"])
def test_streams_in_the_callback_direction(pair: Pair, feed: Feed, name: str, consume: str) -> None:
    here, _ = pair(there=Callbacks)
    produce = getattr(feed, name)
    assert getattr(here.root, consume)(produce, 1000) == sum(range(1000))
    assert feed.closed.wait(20)


def test_two_way_streams_in_the_callback_direction(pair: Pair) -> None:
    here, _ = pair(there=Callbacks)

    def shout(stream: netobj.Duplex, mark: str) -> None:
        for text in stream:
            stream.send(text.upper() + mark)

    assert netobj.copy_of(here.root.talk(shout)) == ["HELLO!"]


def test_the_call_of_a_stream_is_listed_until_its_end(pair: Pair, feed: Feed, until: Until) -> None:
    here, there = pair(there=feed)
    stream = here.root.count(1000)
    assert next(stream) == 0
    until(lambda: feed.calls)
    assert there.calls == (feed.calls[0],)
    assert "netobj worker" in str(feed.calls[0].where)
    assert feed.calls[0].deadline is None
    assert not feed.calls[0].cancelled
    stream.close()
    until(lambda: not there.calls)
    assert feed.calls[0].cancelled


def test_the_deadline_is_that_of_the_answer(here: netobj.Connection, feed: Feed) -> None:
    with netobj.deadline(60):
        stream = here.root.count(3)
    assert list(stream) == [0, 1, 2]
    assert feed.calls[0].time_left is None


@KINDS
def test_too_many_streams_are_refused(pair: Pair, feed: Feed, name: str) -> None:
    limits = list(netobj.core.config.DEFAULT_CONFIG["limits"])
    limits[4] = 3
    here, _ = pair(there=feed, other_config={"limits": tuple(limits)})
    open_ones = [getattr(here.root, name)(100) for _ in range(3)]
    with pytest.raises(netobj.Busy, match="streams are open"):
        getattr(here.root, name)(100)
    open_ones.pop().close()
    assert [sum(stream) for stream in open_ones] == [4950, 4950]


def test_without_a_thread_the_stream_ends_with_an_error(
    here: netobj.Connection, full_pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "pool", full_pool)
    stream = here.root.count(10)
    with pytest.raises(netobj.Busy, match="can start no thread"):
        next(stream)


def test_a_batch_is_flushed_once_a_worker_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, True]
    flushed = threading.Event()

    class Reluctant(WorkerPool):
        def submit(self, job: Any) -> bool:
            return answers.pop(0) and super().submit(job)

    class FakeBatch:
        def flush(self) -> None:
            flushed.set()

    monkeypatch.setattr(module, "pool", Reluctant())
    soon = module._Soon()
    batch: Any = FakeBatch()
    soon(batch)
    soon(batch)  # it is due already
    assert flushed.wait(20)
    assert answers == []


# --- two-way streams ----------------------------------------------------------------------------


class Talk(netobj.Service):
    """Two-way streams, by threads and by tasks."""

    def __init__(self) -> None:
        self.ended: list[object] = []
        self.over = threading.Event()
        self.received = 0

    @netobj.exposed
    def echo(self, stream: netobj.Duplex, prefix: str = "", *, suffix: str = "") -> None:
        for item in stream:
            stream.send(f"{prefix}{item}{suffix}")

    @netobj.exposed
    async def aecho(
        self, stream: netobj.AsyncDuplex, prefix: str = "", *, suffix: str = ""
    ) -> None:
        async for item in stream:
            await stream.send(f"{prefix}{item}{suffix}")

    @netobj.exposed
    def failing(self, stream: netobj.Duplex) -> None:
        stream.send(1)
        raise LookupError("enough")

    @netobj.exposed
    async def afailing(self, stream: netobj.AsyncDuplex) -> None:
        await stream.send(1)
        raise LookupError("enough")

    @netobj.exposed
    def flood(self, stream: netobj.Duplex) -> None:
        try:
            while True:
                stream.send(b"x" * 100)
        except netobj.StreamClosed as exc:
            self.ended.append(exc)
            raise
        finally:
            self.over.set()

    @netobj.exposed
    async def aflood(self, stream: netobj.AsyncDuplex) -> None:
        try:
            while True:
                await stream.send(b"x" * 100)
        except netobj.StreamClosed as exc:
            self.ended.append(exc)
            raise
        finally:
            self.over.set()

    @netobj.exposed
    def listen(self, stream: netobj.Duplex) -> None:
        try:
            for _ in stream:
                pass
        except BaseException as exc:
            self.ended.append(exc)
            raise
        finally:
            self.over.set()

    @netobj.exposed
    async def alisten(self, stream: netobj.AsyncDuplex) -> None:
        try:
            async for _ in stream:
                pass
        except BaseException as exc:
            self.ended.append(exc)
            raise
        finally:
            self.over.set()

    @netobj.exposed
    async def stuck(self, stream: netobj.AsyncDuplex) -> None:
        try:
            await stream.send(1)
            await asyncio.Event().wait()
        finally:
            self.over.set()

    @netobj.exposed
    def lazy(self, stream: netobj.Duplex) -> None:
        assert self.over.wait(20)
        for _ in stream:
            self.received += 1
        stream.send(self.received)

    @netobj.exposed
    def closed_then_sent(self, stream: netobj.Duplex) -> None:
        stream.end()
        stream.send(1)


@pytest.fixture
def talk() -> Talk:
    return Talk()


@pytest.fixture
def talking(pair: Pair, talk: Talk) -> netobj.Connection:
    return pair(there=talk)[0]


@pytest.mark.parametrize("name", ["echo", "aecho"])
def test_a_conversation(talking: netobj.Connection, name: str, until: Until) -> None:
    with getattr(talking.root, name).open("<", suffix=">") as stream:
        assert type(stream) is netobj.Duplex
        for number in range(3):
            stream.send(number)
            assert stream.receive() == f"<{number}>"
        stream.send("last")
        stream.end()
        assert list(stream) == ["<last>"]
        with pytest.raises(EOFError):
            stream.receive()
        with pytest.raises(netobj.StreamClosed):
            stream.send("more")
    until(lambda: not len(talking.session.flows))


@pytest.mark.parametrize("name", ["failing", "afailing"])
def test_an_error_over_there(talking: netobj.Connection, name: str, until: Until) -> None:
    with getattr(talking.root, name).open() as stream:
        assert stream.receive() == 1
        with pytest.raises(LookupError, match="enough"):
            stream.receive()
        until(lambda: stream._flow.refused)
        with pytest.raises(netobj.StreamClosed):
            stream.send(1)


@pytest.mark.parametrize("name", ["listen", "alisten"])
def test_an_error_here(talking: netobj.Connection, talk: Talk, name: str) -> None:
    stream = getattr(talking.root, name).open()
    with pytest.raises(ZeroDivisionError), stream:
        raise ZeroDivisionError("of the client")
    assert talk.over.wait(20)
    assert type(talk.ended[0]) is ZeroDivisionError


@pytest.mark.parametrize("name", ["flood", "aflood"])
def test_the_one_that_sends_is_told_that_the_other_has_closed(
    talking: netobj.Connection, talk: Talk, name: str, until: Until
) -> None:
    with getattr(talking.root, name).open() as stream:
        assert len(stream.receive()) == 100
    assert talk.over.wait(20)
    assert type(talk.ended[0]) is netobj.StreamClosed
    until(lambda: not len(talking.session.flows))


@pytest.mark.parametrize("name", ["listen", "alisten", "stuck"])
def test_a_conversation_ends_with_the_connection(
    talking: netobj.Connection, talk: Talk, name: str
) -> None:
    stream = getattr(talking.root, name).open()
    if name == "stuck":
        assert stream.receive() == 1
    talking.close()
    with pytest.raises(netobj.ConnectionLost):
        stream.receive()
    with pytest.raises(netobj.ConnectionLost):
        stream.send(1)
    assert talk.over.wait(20)


def test_the_sender_waits_while_the_other_does_not_keep_up(
    talking: netobj.Connection, talk: Talk, in_thread: Start, until: Until
) -> None:
    stream = talking.root.lazy.open()
    sent: list[int] = []

    def send() -> None:
        for number in range(1000):
            stream.send(number)
            sent.append(number)
        stream.end()

    thread = in_thread(send)
    until(lambda: len(sent) == FIRST_CREDIT)
    talking.ping()
    assert len(sent) == FIRST_CREDIT
    talk.over.set()
    thread.join(20)
    assert stream.receive() == 1000


def test_what_a_side_sends_behind_its_own_end_is_its_error(talking: netobj.Connection) -> None:
    with talking.root.closed_then_sent.open() as stream:
        assert list(stream) == []


def test_the_end_is_closed_when_the_function_has_returned(pair: Pair) -> None:
    kept: list[netobj.Duplex] = []

    class Keeping(netobj.Service):
        def exposed_keep(self, stream: netobj.Duplex) -> None:
            kept.append(stream)

    here, _ = pair(there=Keeping)
    with here.root.keep.open() as stream:
        assert list(stream) == []
        with pytest.raises(netobj.StreamClosed):
            kept[0].send(1)


def test_open_of_a_function_that_was_fetched(talking: netobj.Connection) -> None:
    echo = talking.root.echo
    echo.____resolve__()
    for opened in (echo.open("a"), echo.____target__.open("a")):
        with opened as stream:
            stream.send("b")
            assert stream.receive() == "ab"


# --- async def ----------------------------------------------------------------------------------


class Later(netobj.Service):
    """``async def`` methods of a blocking server."""

    def __init__(self) -> None:
        self.order: list[object] = []
        self.entered = threading.Event()
        self.ended = threading.Event()
        self.release = threading.Event()
        self.error: BaseException | None = None
        self.call: netobj.Call | None = None

    async def exposed_double(self, number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def exposed_fail(self) -> None:
        await asyncio.sleep(0)
        raise LookupError("later")

    async def exposed_give_up(self) -> None:
        raise asyncio.CancelledError

    async def exposed_exit(self) -> None:
        raise SystemExit(3)

    async def exposed_unsendable(self) -> Any:
        return netobj.core.boxing.ByValue([object()])

    async def exposed_wait(self, name: object) -> object:
        self.order.append(name)
        self.call = netobj.current_call()
        self.entered.set()
        try:
            while not self.release.is_set():
                await asyncio.sleep(0.001)
        except BaseException as exc:
            self.error = exc
            raise
        finally:
            self.ended.set()
        return name

    def exposed_note(self, name: object) -> None:
        self.order.append(name)

    async def exposed_call_back(self, function: Any) -> tuple[Any, str]:
        return await netobj.async_(function)(20), threading.current_thread().name

    async def exposed_left(self) -> float | None:
        return netobj.current_call().time_left

    async def exposed_metadata(self) -> Any:
        await asyncio.sleep(0)
        return netobj.current_call().metadata["user"]


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def calling(pair: Pair, later: Later) -> netobj.Connection:
    return pair(there=later)[0]


def test_coroutines_run_on_the_loop(calling: netobj.Connection) -> None:
    assert calling.root.double(21) == 42
    with pytest.raises(LookupError, match="later"):
        calling.root.fail()
    value, thread = calling.root.call_back(lambda number: number + 1)
    assert (value, thread) == (21, "netobj loop")


def test_what_a_coroutine_gives_up_arrives_as_cancelled(calling: netobj.Connection) -> None:
    with pytest.raises(netobj.CallCancelled):
        calling.root.give_up()


def test_a_system_exit_does_not_end_the_loop(calling: netobj.Connection) -> None:
    with pytest.raises(netobj.GenericException, match="3"):
        calling.root.exit()
    assert calling.root.double(1) == 2


def test_coroutines_start_in_order_and_run_side_by_side(
    calling: netobj.Connection, later: Later, until: Until
) -> None:
    wait, note = netobj.async_(calling.root.wait), netobj.async_(calling.root.note)
    results = [wait(1), wait(2)]
    note("between").wait()  # the lane has gone on
    results.append(wait(3))
    until(lambda: len(later.order) == 4)
    assert [name for name in later.order if name != "between"] == [1, 2, 3]
    later.release.set()
    assert [result.value for result in results] == [1, 2, 3]


@pytest.mark.parametrize("how", ["cancel", "expiry", "deadline", "close", "lose"])
def test_cancellation_reaches_the_task(
    pair: Pair, later: Later, how: str, until: Until, in_thread: Start
) -> None:
    here, there = pair(there=later)
    if how == "deadline":
        with netobj.deadline(0.05), pytest.raises(netobj.AsyncResultTimeout):
            here.root.wait(1)
    else:
        result = netobj.timed(here.root.wait, 0.05 if how == "expiry" else None)(1)
        assert later.entered.wait(20)
        if how == "cancel":
            assert result.cancel()
        elif how == "close":
            here.close()
        elif how == "lose":
            there.close()
    assert later.ended.wait(20)
    assert type(later.error) is asyncio.CancelledError
    assert later.call is not None
    assert later.call.cancelled
    until(lambda: not there.session.running)


def test_a_task_that_is_cancelled_before_it_begins_never_does(
    calling: netobj.Connection, later: Later, until: Until
) -> None:
    loop = module.event_loop()
    free, busy = threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        free.wait(20)

    loop.call_soon_threadsafe(block)
    assert busy.wait(20)
    result = netobj.async_(calling.root.wait)("never")
    netobj.async_(calling.root.note)("behind").wait()
    assert result.cancel()
    calling.ping()
    free.set()
    until(lambda: not calling.session.pending)
    assert later.order == ["behind"]


def test_deadline_and_metadata_in_a_task(calling: netobj.Connection) -> None:
    assert calling.root.left() is None
    with netobj.deadline(60), netobj.metadata(user="alice"):
        assert 0 < calling.root.left() <= 60
        assert calling.root.metadata() == "alice"


def test_a_running_task_is_listed(pair: Pair, later: Later) -> None:
    here, there = pair(there=later)
    result = netobj.async_(here.root.wait)(1)
    assert later.entered.wait(20)
    assert there.calls == (later.call,)
    assert "runs Later.wait()" in there.dump_pending()
    assert "in task 'Task-" in there.dump_pending()
    later.release.set()
    assert result.value == 1

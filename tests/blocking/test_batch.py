from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import netobj
from netobj.blocking.batch import BatchResult

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]
Until = Callable[[Callable[[], object]], None]


class Wire:
    """Counts what a connection writes and reads."""

    def __init__(self, conn: netobj.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        self.requests = 0
        send, request = conn.stream.send_now, conn.session.request
        plain_request = conn.session.plain_request

        def counted_send(parts: Any) -> int:
            self.writes += 1
            return send(parts)

        def counted_request(*args: Any, **kwargs: Any) -> int:
            self.requests += 1
            return request(*args, **kwargs)

        def counted_plain_request(*args: Any) -> bytes | None:
            data = plain_request(*args)
            self.requests += data is not None
            return data

        monkeypatch.setattr(conn.stream, "send_now", counted_send)
        monkeypatch.setattr(conn.session, "request", counted_request)
        monkeypatch.setattr(conn.session, "plain_request", counted_plain_request)


class Node:
    """One of a chain of objects."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.items = {"a": number}

    def exposed_next(self) -> Node:
        return Node(self.number + 1)

    def exposed_get(self) -> int:
        return self.number

    def exposed_add(self, other: Node) -> Node:
        return Node(self.number + other.number)

    def exposed_fail(self) -> None:
        raise LookupError(f"node {self.number}")


class Nodes(netobj.Service):
    """Where chains begin."""

    def exposed_start(self, number: int = 0) -> Node:
        return Node(number)

    def exposed_fail(self) -> None:
        raise LookupError("root")

    @netobj.exposed(stream=True)
    def rows(self, count: int) -> Any:
        return iter(range(count))


@pytest.fixture
def here(pair: Pair) -> netobj.Connection:
    return pair(there=Nodes)[0]


@pytest.fixture
def classic(pair: Pair) -> netobj.Connection:
    return pair()[0]


def test_a_chain_of_ten_calls_is_one_round_trip(
    here: netobj.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = here.root.start
    wire = Wire(here, monkeypatch)
    with netobj.batch(here):
        node = start()
        for _ in range(8):
            node = node.next()
        number = node.get()
    assert number.value == 8
    assert (wire.requests, wire.writes) == (10, 1)


def test_answers_and_results_as_arguments(here: netobj.Connection) -> None:
    with netobj.batch(here):
        one, two = here.root.start(1), here.root.start(number=2)
        both = one.add(two)
        number = both.get()
    assert number.value == 3
    assert both.value.get() == 3
    assert one.value.add(both).get() == 4  # after the block it stands for its value
    assert number.ready
    assert not number.error
    assert not number.expired


def test_attributes_items_and_what_is_set(classic: netobj.Connection) -> None:
    classic.root.execute("class Box: pass")
    with netobj.batch(classic):
        box = classic.root.eval("Box")()
        box.size = 3
        box.items = classic.root.eval("[10, 20, 30]")
        size, second = box.size, box.items[1]
        box.items[0] = second
        del box.items[2]
        del box.size
        items = box.items
        has_size = classic.root.eval("hasattr")(box, "size")
    assert (size.value, second.value, has_size.value) == (3, 20, False)
    assert list(items.value) == [20, 20]


def test_through_proxies_that_are_there_already(classic: netobj.Connection) -> None:
    items = classic.root.eval("[1, 2]")
    module = classic.root.getmodule("string")
    with netobj.batch(classic):
        items.append(3)
        items[0] = 10
        first = items[0]
        del items[1]
        digits = module.digits
        upper = module.ascii_uppercase.lower()
    assert list(items) == [10, 3]
    assert (first.value, digits.value) == (10, "0123456789")
    assert upper.value.startswith("abc")


def test_an_attribute_that_is_called_at_once_is_one_request(
    classic: netobj.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    classic.root.execute(
        "reads = []\n"
        "class Box:\n"
        "    def __getattr__(self, name):\n"
        "        reads.append(name)\n"
        "        return lambda: name\n"
    )
    box = classic.root.eval("Box()")
    wire = Wire(classic, monkeypatch)
    with netobj.batch(classic):
        one = box.one
        two = box.two  # so that one is asked for by itself
        two_called, one_called = two(), one()
        two_again = two()  # asked for once more: it was only called before
    assert [one_called.value, two_called.value, two_again.value] == ["one", "two", "two"]
    assert wire.requests == 5
    assert list(classic.root.eval("reads")) == ["one", "two", "two"]


def test_the_first_failure_is_raised_at_the_end(here: netobj.Connection) -> None:
    with pytest.raises(LookupError, match="node 5"), netobj.batch(here):  # noqa: PT012
        good = here.root.start(1)
        first = here.root.start(5).fail()
        after = first.next()
        second = here.root.fail()
        later = good.get()
    assert later.value == 1
    assert first.error
    for result in (first, after):
        with pytest.raises(LookupError, match="node 5"):
            result.value  # noqa: B018
    with pytest.raises(LookupError, match="root"):
        second.value  # noqa: B018


def test_what_the_block_raises_comes_first(here: netobj.Connection) -> None:
    with pytest.raises(ZeroDivisionError), netobj.batch(here):  # noqa: PT012
        failing = here.root.fail()
        good = here.root.start(1)
        raise ZeroDivisionError
    assert failing.error
    assert good.value.get() == 1


def test_an_interrupted_block_waits_for_nothing(here: netobj.Connection) -> None:
    with pytest.raises(KeyboardInterrupt), netobj.batch(here):  # noqa: PT012
        here.root.start(1)
        raise KeyboardInterrupt
    assert here.root.start(1).get() == 1


def entered(thing: Any) -> None:
    with thing:
        pass


@pytest.mark.parametrize(
    "use",
    [
        len, bool, str, iter, int, float, list, reversed, abs, entered,
        lambda result: 1 in result,
        lambda result: result == 1,
        lambda result: result < 1,
        lambda result: 1 + result,
        lambda result: f"{result}",
        lambda result: [1, 2][result],
    ],
)  # fmt: skip
def test_what_python_must_have_at_once(classic: netobj.Connection, use: Callable[..., Any]) -> None:
    with netobj.batch(classic):
        result = classic.root.eval("[1]")
        with pytest.raises(RuntimeError, match="known at once"):
            use(result)
    assert list(result.value) == [1]


@pytest.mark.parametrize(
    "use",
    [
        len, str, list, repr, dir,
        lambda proxy: 1 in proxy,
        lambda proxy: proxy == 1,
        lambda proxy: proxy + [1],
        netobj.copy_of,
    ],
)  # fmt: skip
def test_what_a_proxy_must_know_at_once(
    classic: netobj.Connection, use: Callable[..., Any]
) -> None:
    numbers = classic.root.eval("[1]")
    with netobj.batch(classic), pytest.raises(RuntimeError, match="known at once"):
        use(numbers)
    assert list(numbers) == [1]


def test_asking_inside_the_block_sends_what_has_gathered(here: netobj.Connection) -> None:
    with netobj.batch(here):
        node = here.root.start(3)
        assert node.get().value == 3
        node.wait()
        after = node.next()
    assert after.value.get() == 4


def test_a_result_in_async_(here: netobj.Connection) -> None:
    with netobj.batch(here):
        node = here.root.start(3)
        number = netobj.async_(node).get()
        assert number.value == 3


def test_after_the_block_a_result_is_only_a_result(here: netobj.Connection) -> None:
    with netobj.batch(here):
        node = here.root.start(3)
        number = node.get
    assert "ready" in repr(node)
    assert isinstance(node, BatchResult)
    with pytest.raises(AttributeError, match="batch block is over"):
        node.next  # noqa: B018
    for use in (lambda: node(), lambda: node["a"], lambda: number()):
        with pytest.raises(RuntimeError, match="batch block is over"):
            use()
    with pytest.raises(RuntimeError, match="batch block is over"):
        node.x = 1
    assert not hasattr(node, "__wrapped__")


def test_not_asked_for_yet(here: netobj.Connection) -> None:
    with netobj.batch(here):
        get = here.root.start(3).get
        assert "not asked for yet" in repr(get)
        number = get()
    assert number.value == 3
    assert get.value() == 3  # it was only called: now it is asked for


def test_batches_of_two_connections(pair: Pair) -> None:
    one, other = pair(there=Nodes)[0], pair(there=Nodes)[0]
    with netobj.batch(one):
        first = one.root.start(1)
        assert other.root.start(5).get() == 5  # not gathered
        with netobj.batch(other):
            second = other.root.start(2)
            third = one.root.start(3)
        assert second.value.get() == 2
        with netobj.batch(one):
            fourth = one.root.start(4)
        assert fourth.ready
    assert [first.value.get(), third.value.get(), fourth.value.get()] == [1, 3, 4]


def test_other_threads_and_what_is_served_meanwhile_do_not_gather(
    pair: Pair, in_thread: Callable[..., threading.Thread]
) -> None:
    here, there = pair(netobj.SlaveService, Nodes)
    seen: list[Any] = []
    with netobj.batch(here):
        in_thread(lambda: seen.append(here.root.start(1).get())).join(20)
        node = here.root.start(2)
    assert seen == [1]
    assert node.value.get() == 2
    assert there.root.eval("1") == 1


def test_what_is_served_in_a_batch_does_not_gather(pair: Pair) -> None:
    here, there = pair(netobj.SlaveService, Nodes)
    third, fourth = pair(netobj.SlaveService, netobj.SlaveService)

    def back() -> Any:
        return here.root.start(7).get()

    call = third.root.eval("lambda f: f()")
    with netobj.batch(here):
        assert call(back) == 7  # served in this thread, in the midst of the block
    assert there.root.eval("1") == fourth.root.eval("1") == 1


def test_streams_come_when_the_block_has_ended(here: netobj.Connection) -> None:
    with netobj.batch(here):
        rows = here.root.rows(100)
    assert sum(rows.value) == 4950


def test_a_time_limit(pair: Pair) -> None:
    go_on = threading.Event()

    class Slow(netobj.Service):
        def exposed_wait(self) -> None:
            assert go_on.wait(20)

    here, _ = pair(there=Slow, config={"sync_request_timeout": 0.05})
    try:
        with pytest.raises(netobj.AsyncResultTimeout), netobj.batch(here):
            result = here.root.wait()
        assert result.expired
    finally:
        go_on.set()


def test_more_than_the_peer_admits_at_once(pair: Pair, until: Until) -> None:
    limits = list(netobj.core.config.DEFAULT_CONFIG["limits"])
    limits[4] = 10
    here, there = pair(there=Nodes, other_config={"limits": tuple(limits)})
    start = here.root.start
    with netobj.batch(here):
        nodes = [start(number).next().get() for number in range(300)]
    assert [node.value for node in nodes] == list(range(1, 301))
    here.ping()
    until(lambda: not there.session.boxing.answers)


def test_batch_needs_a_connection() -> None:
    with pytest.raises(TypeError, match=r"takes a netobj\.Connection, not a"), netobj.batch(3):  # type: ignore[arg-type]
        pass


# --- in the tasks of async def methods ------------------------------------------------------------


class Thing:
    exposed_name = "thing"

    def exposed_double(self, n: int) -> int:
        return 2 * n

    def exposed_itself(self) -> Thing:
        return self

    def exposed_fail(self) -> None:
        raise ValueError("no")


class Tasks(netobj.Service):
    @netobj.exposed
    async def use(self, thing: Any) -> tuple[Any, ...]:
        both = await asyncio.gather(thing.double(1), thing.double(2))
        built = await thing.itself().itself().double(3)
        return (*both, built, await thing.name, await thing.itself().name)

    @netobj.exposed
    async def is_same(self, thing: Any) -> bool:
        return (await thing.itself()) is thing

    @netobj.exposed
    async def caught(self, thing: Any) -> str:
        try:
            await thing.fail()
        except ValueError as exc:
            return str(exc)
        return "nothing"

    @netobj.exposed
    async def too_early(self, thing: Any) -> str:
        result = thing.double(1)
        try:
            return f"{len(result)}"
        except RuntimeError as exc:
            await result
            return str(exc)

    @netobj.exposed
    async def size(self, items: Any) -> int:
        return len(items)

    @netobj.exposed
    async def deep(self, levels: int, callback: Any) -> int:
        return 0 if not levels else 1 + await callback(levels - 1, self.deep)


def test_in_a_task_calls_and_attributes_are_awaited(pair: Pair) -> None:
    here, _ = pair(there=Tasks)
    assert here.root.use(Thing()) == (2, 4, 6, "thing", "thing")
    assert here.root.is_same(Thing()) is True


def test_in_a_task_errors_are_raised_where_they_are_awaited(pair: Pair) -> None:
    here, _ = pair(there=Tasks)
    assert here.root.caught(Thing()) == "no"
    assert here.root.too_early(Thing()) == "__len__ has to be known at once: await the result first"


@pytest.mark.filterwarnings("ignore:a blocking netobj proxy:RuntimeWarning")
def test_in_a_task_what_python_needs_at_once_waits(pair: Pair) -> None:
    here, _ = pair(there=Tasks)
    assert here.root.size([1, 2, 3]) == 3


def test_in_a_task_calls_belong_to_the_chain_that_it_serves(pair: Pair) -> None:
    here, _ = pair(there=Tasks)
    threads = set()

    def callback(levels: int, further: Any) -> int:
        threads.add(threading.get_ident())
        deeper: int = further(levels, callback)
        return deeper

    assert here.root.deep(10, callback) == 10
    assert threads == {threading.get_ident()}

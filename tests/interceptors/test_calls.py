"""Interceptors around what the peer calls: plain and asynchronous ones, on every kind of server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from intercepting import SERVERS, Noting, NotingLater, client

import netobj
from netobj.core.consts import Op
from patience import HANG, wait_until
from skins import Client

ALLOWED = {"allow_public_attrs": True, "allow_setattr": True, "allow_delattr": True}


class Shop(netobj.Service):
    prices = (1, 2)

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.cancelled = threading.Event()

    def add(self, a: int, b: int = 0) -> int:
        return a + b

    async def later(self, a: int, b: int = 0) -> int:
        await asyncio.sleep(0)
        return a + b

    def refuse(self) -> None:
        raise KeyError("refused")

    async def refuse_later(self) -> None:
        raise KeyError("refused")

    def numbers(self, count: int) -> Iterator[int]:
        return iter(list(range(count)))

    @netobj.exposed(stream=True)
    def stream(self, count: int) -> Iterator[int]:
        yield from range(count)

    @netobj.exposed(stream=True)
    async def stream_later(self, count: int) -> Any:
        for number in range(count):
            yield number

    def apply(self, function: Any, value: int) -> Any:
        return function(value)

    async def apply_later(self, function: Any, value: int) -> Any:
        return await function(value)

    def who(self) -> Any:
        return netobj.current_call().metadata.get("user")

    async def wait(self) -> None:
        self.gate.set()
        try:
            await asyncio.sleep(HANG)
        finally:
            self.cancelled.set()


class Plain(netobj.Interceptor):
    """Notes what it sees before and after."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_call(self, call: Any, next: Any) -> Any:
        args, kwargs = call.args, call.kwargs
        assert netobj.current_call() == call
        try:
            result = next(call)
        except Exception as exc:
            self.seen.append((call.name, args, kwargs, exc))
            raise
        self.seen.append((call.name, args, kwargs, result))
        return result


class Async(Plain):
    async def on_call(self, call: Any, next: Any) -> Any:
        args, kwargs = call.args, call.kwargs
        assert netobj.current_call() == call
        await asyncio.sleep(0)
        try:
            result = await next(call)
        except Exception as exc:
            self.seen.append((call.name, args, kwargs, exc))
            raise
        self.seen.append((call.name, args, kwargs, result))
        return result


@pytest.fixture(params=["plain", "async", "plain-async", "async-plain", "async-async"])
def chain(request: pytest.FixtureRequest) -> list[Plain]:
    kinds: dict[str, type[Plain]] = {"plain": Plain, "async": Async}
    return [kinds[name]() for name in request.param.split("-")]


@pytest.fixture(params=["blocking", "aio"])
def skin(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def joined(
    chain: list[Plain], server_kind: str, skin: str, shared: Shop
) -> Iterator[tuple[list[Plain], Client, Shop]]:
    making = SERVERS[server_kind](shared, "localhost", interceptors=chain, protocol_config=ALLOWED)
    with making as server, client(skin, server.port) as one:
        yield chain, one, shared


@pytest.fixture(params=["threaded", "pool", "aio"])
def server_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shared() -> Shop:
    return Shop()


Joined = tuple[list[Plain], Client, Shop]


def test_each_kind_of_request_passes_through(joined: Joined) -> None:
    chain, one, shop = joined
    root = one.root
    assert one.get(root.add(1, b=2)) == 3
    assert one.get(root.later(3, b=4)) == 7
    assert one.get(root.prices) == (1, 2)
    one.act("setattr", root, "sign", "open")
    assert shop.sign == "open"  # type: ignore[attr-defined]
    with pytest.raises(KeyError, match="refused"):
        one.get(root.refuse())
    with pytest.raises(KeyError, match="refused"):
        one.get(root.refuse_later())
    for seen in chain:
        found = [what.seen.pop(0) for what in [seen] for _ in range(6)]
        assert found[0] == ("Shop.add()", (1,), {"b": 2}, 3)
        assert found[1] == ("Shop.later()", (3,), {"b": 4}, 7)
        assert found[2] == ("Shop.prices (get)", (), {}, (1, 2))
        assert found[3][:3] == ("Shop (set)", ("sign", "open"), {})
        assert found[4][0] == "Shop.refuse()"
        assert found[5][0] == "Shop.refuse_later()"
        assert [type(step[3]) for step in found[4:]] == [KeyError, KeyError]


def test_iterators_end_as_they_do(joined: Joined) -> None:
    chain, one, _ = joined
    items = one.items(one.get(one.root.numbers(2)))
    assert list(items) == [0, 1]
    names = {name for name, *_ in chain[0].seen}
    assert "list_iterator.__next__()" in names or "list_iterator (fetch)" in names


def test_streams_pass_through_until_they_are_open(joined: Joined) -> None:
    chain, one, _ = joined
    assert list(one.items(one.root.stream(3))) == [0, 1, 2]
    assert list(one.items(one.root.stream_later(3))) == [0, 1, 2]
    assert [name for name, *_ in chain[-1].seen] == ["Shop.stream()", "Shop.stream_later()"]


def test_recursion_through_callbacks(joined: Joined) -> None:
    chain, one, _ = joined
    root = one.root

    def back(depth: int) -> Iterator[Any]:
        result = yield root.apply(one.function(back), depth - 1) if depth else 0
        return result + 1

    assert one.get(root.apply(one.function(back), 5)) == 6
    assert [name for name, *_ in chain[0].seen] == ["Shop.apply()"] * 6


def test_recursion_through_asynchronous_methods(joined: Joined) -> None:
    chain, one, _ = joined
    root = one.root

    def back(depth: int) -> Iterator[Any]:
        method = root.apply_later if depth % 2 else root.apply
        result = yield method(one.function(back), depth - 1) if depth else 0
        return result + 1

    assert one.get(root.apply_later(one.function(back), 4)) == 5
    assert len(chain[-1].seen) == 5


def test_a_call_that_is_cancelled(joined: Joined) -> None:
    _, one, shop = joined
    started = one.start(one.root.wait)
    assert shop.gate.wait(HANG)
    assert started.cancel()
    assert shop.cancelled.wait(HANG)
    assert one.get(one.root.add(1, 1)) == 2


# --- what interceptors may do ---------------------------------------------------------------------


@pytest.fixture(params=SERVERS)
def make(request: pytest.FixtureRequest) -> Any:
    return SERVERS[request.param]


class Guard(netobj.Interceptor):
    """Answers, refuses, changes."""

    def on_call(self, call: Any, next: Any) -> Any:
        if call.name == "Shop.refuse()":
            return "answered"
        if call.kwargs.get("b") == 13:
            raise netobj.AccessDenied("not 13")
        result = next(call)
        return result * 10 if call.op is Op.CALL else result


class GuardLater(netobj.Interceptor):
    async def on_call(self, call: Any, next: Any) -> Any:
        if call.name == "Shop.refuse()":
            return "answered"
        if call.kwargs.get("b") == 13:
            raise netobj.AccessDenied("not 13")
        result = await next(call)
        return result * 10 if call.op is Op.CALL else result


@pytest.mark.parametrize("guard", [Guard, GuardLater])
def test_results_are_replaced_and_calls_refused(make: Any, guard: Any, skin: str) -> None:
    config = {"protocol_config": ALLOWED}
    inner = Noting()
    with (
        make(Shop(), "localhost", interceptors=[guard(), inner], **config) as server,
        client(skin, server.port) as one,
    ):
        root = one.root
        assert one.get(root.add(1, b=2)) == 30
        assert one.get(root.later(1, b=2)) == 30
        assert one.get(root.prices) == (1, 2)
        assert one.get(root.refuse()) == "answered"
        for method in (root.add, root.later):
            with pytest.raises(netobj.AccessDenied, match="not 13"):
                one.get(method(1, b=13))
    names = [name for (name,) in inner.of("call")]
    assert names == ["Shop.add()", "Shop.later()", "Shop.prices (get)"]


def test_metadata_peer_and_credentials(make: Any, skin: str) -> None:
    seen: list[Any] = []

    class Look(netobj.Interceptor):
        def on_call(self, call: Any, next: Any) -> Any:
            found = call.metadata.get("user"), call.peer, call.credentials, call.connection
            seen.append((*found, call.outgoing))
            return next(call)

    with (
        make(Shop(), "localhost", interceptors=[Look()], protocol_config=ALLOWED) as server,
        client(skin, server.port) as one,
        netobj.metadata(user="alice"),
    ):
        assert one.get(one.root.who()) == "alice"
        (there,) = server.connections
    user, peer, credentials, connection, outgoing = seen[-1]
    assert (user, credentials, connection, outgoing) == ("alice", None, there, False)
    assert peer[0] == "127.0.0.1"


@pytest.mark.parametrize("kind", [Noting, NotingLater])
def test_the_thread_of_a_plain_method_is_its_own(kind: Any) -> None:
    class Here(netobj.Service):
        def exposed_thread(self) -> int:
            return threading.get_ident()

    with (
        netobj.ThreadedServer(Here, "localhost", interceptors=[kind()]) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        found = {conn.root.thread() for _ in range(5)}
        assert len(found) == 1


def test_asynchronous_all_through_no_thread_waits() -> None:
    class Meeting(netobj.Service):
        def __init__(self) -> None:
            self.there = 0
            self.all_there: Any = None

        @netobj.exposed
        async def meet(self, count: int) -> int:
            if self.all_there is None:
                self.all_there = asyncio.Event()
            self.there += 1
            if self.there == count:
                self.all_there.set()
            await self.all_there.wait()
            return threading.active_count()

    chain = [NotingLater(), NotingLater()]
    with (
        netobj.ThreadedServer(Meeting(), "localhost", interceptors=chain) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        meet = netobj.async_(conn.root.meet)
        before = threading.active_count()
        results = [meet(200) for _ in range(200)]
        assert max(result.value for result in results) < before + 50
    assert len(chain[0].of("call")) == 200


@pytest.mark.parametrize("kind", [Noting, NotingLater])
def test_one_thread_for_many_calls_that_wait_for_one_another(kind: Any) -> None:
    class Meeting(netobj.Service):
        def __init__(self) -> None:
            self.there = 0
            self.all_there: Any = None

        @netobj.exposed
        async def meet(self, count: int) -> bool:
            if self.all_there is None:
                self.all_there = asyncio.Event()
            self.there += 1
            if self.there == count:
                self.all_there.set()
            await self.all_there.wait()
            return True

    server = netobj.ThreadPoolServer(Meeting(), "localhost", nbThreads=1, interceptors=[kind()])
    with server:
        conns = [netobj.connect("localhost", server.port) for _ in range(4)]
        results = [netobj.async_(conn.root.meet)(4) for conn in conns]
        assert all(result.value for result in results)
        for conn in conns:
            conn.close()


def test_next_takes_the_very_call(skin: str) -> None:
    class Wrong(netobj.Interceptor):
        async def on_call(self, call: Any, next: Any) -> Any:
            return await next("another")

    with (
        netobj.ThreadedServer(Shop, "localhost", interceptors=[Wrong()]) as server,
        client(skin, server.port) as one,
        pytest.raises(ValueError, match="the very call"),
    ):
        one.get(one.root.later(1))


def test_an_interceptor_with_nothing_around_calls_leaves_them_as_they_are() -> None:
    class Closing(netobj.Interceptor):
        def on_close(self, conn: Any, reason: str) -> None:
            pass

    with (
        netobj.ThreadedServer(Shop, "localhost", interceptors=[Closing()]) as server,
        netobj.connect("localhost", server.port, interceptors=[Closing()]) as conn,
    ):
        wait_until(lambda: server.connections)
        (there,) = server.connections
        assert type(conn) is type(there) is netobj.Connection


def test_plain_functions_of_a_client_on_a_loop() -> None:
    class Twice(netobj.Interceptor):
        both_ways = True

        def on_call(self, call: Any, next: Any) -> Any:
            result = next(call)
            return result if call.outgoing else result * 2

    class TwiceLater(netobj.Interceptor):
        both_ways = True

        async def on_call(self, call: Any, next: Any) -> Any:
            result = await next(call)
            return result if call.outgoing else result * 2

    with netobj.ThreadedServer(Shop(), "localhost", protocol_config=ALLOWED) as server:
        for twice in (Twice(), TwiceLater()):
            for skin in ("blocking", "aio"):
                with client(skin, server.port, interceptors=[twice]) as one:
                    assert one.get(one.root.apply(lambda x: x + 1, 20)) == 42

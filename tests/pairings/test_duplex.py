"""Two-way streams: one call that opens them, items both ways, ends and errors both ways."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import netobj
from netobj.core.flow import MOST_CREDIT
from netobj.errors import ConnectionLost, StreamClosed
from pairings import Pair, Pairing, wait_until


class Chat(netobj.Service):
    """Each method takes its end of the stream first; plain ones and asynchronous twins."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.seen: list[Any] = []
        self.sent = 0

    @netobj.exposed
    def shout(self, stream: Any, mark: str = "!") -> None:
        try:
            for text in stream:
                self.seen.append(text)
                stream.send(text.upper() + mark)
        finally:
            self.over.set()

    @netobj.exposed
    async def shout_async(self, stream: Any, mark: str = "!") -> None:
        try:
            async for text in stream:
                self.seen.append(text)
                await stream.send(text.upper() + mark)
        finally:
            self.over.set()

    @netobj.exposed
    def total(self, stream: Any) -> None:
        stream.send(sum(stream))

    @netobj.exposed
    async def total_async(self, stream: Any) -> None:
        await stream.send(sum([n async for n in stream]))

    @netobj.exposed
    def flood(self, stream: Any) -> None:
        try:
            while True:
                stream.send(self.sent)
                self.sent += 1
        finally:
            self.over.set()

    @netobj.exposed
    async def flood_async(self, stream: Any) -> None:
        try:
            while True:
                await stream.send(self.sent)
                self.sent += 1
        finally:
            self.over.set()

    @netobj.exposed
    def fail(self, stream: Any) -> None:
        stream.send("before")
        raise LookupError("over there") from KeyError("its cause")

    @netobj.exposed
    async def fail_async(self, stream: Any) -> None:
        await stream.send("before")
        raise LookupError("over there") from KeyError("its cause")

    @netobj.exposed
    def note_error(self, stream: Any) -> None:
        try:
            self.seen.extend(stream)
        except Exception as exc:
            self.seen.append(exc)
        finally:
            self.over.set()

    @netobj.exposed
    async def note_error_async(self, stream: Any) -> None:
        try:
            async for item in stream:
                self.seen.append(item)
        except Exception as exc:
            self.seen.append(exc)
        finally:
            self.over.set()

    @netobj.exposed
    def leave(self, stream: Any) -> None:
        assert stream.receive() == "hello"

    @netobj.exposed
    async def leave_async(self, stream: Any) -> None:
        assert await stream.receive() == "hello"

    @netobj.exposed
    def idle(self, stream: Any) -> None:
        try:
            assert self.released.wait(20)
        finally:
            self.over.set()

    released = threading.Event()

    @netobj.exposed
    async def idle_async(self, stream: Any) -> None:
        try:
            while not self.released.is_set():
                await asyncio.sleep(0.001)
        finally:
            self.over.set()

    @netobj.exposed
    def quick(self) -> str:
        return "quick"


SERVICE = Chat
TWINS = pytest.mark.parametrize("kind", ["", "_async"], ids=["plain", "async"])


@pytest.fixture
def chat(pairing: Pairing) -> tuple[Pair, Chat]:
    service = Chat()
    return pairing.join(service), service


def of(pair: Pair, name: str, kind: str) -> Any:
    return getattr(pair.root, name + kind)


@TWINS
class TestTalking:
    def test_items_both_ways(self, pair: Pair, kind: str) -> None:
        with pair.open(of(pair, "shout", kind)) as stream:
            for word in ("hello", "wörld"):
                stream.send(word)
                assert stream.receive() == word.upper() + "!"

    def test_more_arguments(self, pair: Pair, kind: str) -> None:
        with pair.open(of(pair, "shout", kind), mark="?") as stream:
            stream.send("a")
            assert next(stream) == "A?"

    def test_half_close(self, pair: Pair, kind: str) -> None:
        with pair.open(of(pair, "total", kind)) as stream:
            for n in range(100):
                stream.send(n)
            stream.end()
            assert list(stream) == [4950]
            with pytest.raises(EOFError):
                stream.receive()

    def test_leaving_the_block_ends_the_method(self, chat: tuple[Pair, Chat], kind: str) -> None:
        pair, service = chat
        with pair.open(of(pair, "shout", kind)) as stream:
            stream.send("a")
            assert stream.receive() == "A!"
            assert not service.over.is_set()
        assert service.over.wait(20)
        assert service.seen == ["a"]

    def test_what_is_sent_before_the_end_arrives(self, chat: tuple[Pair, Chat], kind: str) -> None:
        pair, service = chat
        with pair.open(of(pair, "note_error", kind)) as stream:
            for n in range(10):
                stream.send(n)
            stream.end()
            assert list(stream) == []
        assert service.seen == list(range(10))

    def test_several_at_once(self, pair: Pair, kind: str) -> None:
        with pair.open(of(pair, "shout", kind)) as one, pair.open(of(pair, "shout", kind)) as two:
            for n in range(10):
                one.send(f"one {n}")
                two.send(f"two {n}")
            assert [one.receive() for _ in range(10)] == [f"ONE {n}!" for n in range(10)]
            assert [two.receive() for _ in range(10)] == [f"TWO {n}!" for n in range(10)]
            assert pair.get(pair.root.quick()) == "quick"


@TWINS
class TestPace:
    def test_a_slow_client_stops_the_method(self, chat: tuple[Pair, Chat], kind: str) -> None:
        pair, service = chat
        with pair.open(of(pair, "flood", kind)) as stream:
            for n in range(500):
                assert stream.receive() == n
            wait_until(lambda: not_moving(service))
            assert service.sent <= 500 + 2 * MOST_CREDIT
            assert pair.get(pair.root.quick()) == "quick"
        assert service.over.wait(20)

    def test_a_slow_method_stops_the_client(self, chat: tuple[Pair, Chat], kind: str) -> None:
        pair, _ = chat
        stopped = threading.Event()
        sent = []
        Chat.released.clear()

        def send_on(stream: Any) -> None:
            try:
                for n in range(10**6):
                    stream.send(n)
                    sent.append(n)
            except StreamClosed:
                stopped.set()

        with pair.open(of(pair, "idle", kind)) as stream:
            thread = threading.Thread(target=send_on, args=(stream,))
            thread.start()
            wait_until(lambda: sent)
            wait_until(lambda: not_growing(sent))
            assert len(sent) <= 2 * MOST_CREDIT
            Chat.released.set()
            stream.close()
            thread.join(20)
        assert stopped.is_set()


def not_moving(service: Chat) -> bool:
    """Nothing is sent for a moment; a sender that goes on is found out by the bounds."""
    before = service.sent
    threading.Event().wait(0.02)
    return service.sent == before


def not_growing(items: list[Any]) -> bool:
    before = len(items)
    threading.Event().wait(0.02)
    return len(items) == before


@TWINS
class TestErrors:
    def test_of_the_method_come_behind_its_items(self, pair: Pair, kind: str) -> None:
        with pair.open(of(pair, "fail", kind)) as stream:
            assert stream.receive() == "before"
            with pytest.raises(LookupError, match="over there") as caught:
                stream.receive()
        assert repr(caught.value.__cause__) == "KeyError('its cause')"

    def test_of_the_client_arrive_in_the_method(self, chat: tuple[Pair, Chat], kind: str) -> None:
        pair, service = chat

        def converse() -> None:
            with pair.open(of(pair, "note_error", kind)) as stream:
                stream.send(1)
                raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            converse()
        assert service.over.wait(20)
        assert service.seen[0] == 1
        assert type(service.seen[1]) is ValueError
        assert service.seen[1].args == ("mine",)

    def test_an_end_with_an_error(self, chat: tuple[Pair, Chat], kind: str) -> None:
        pair, service = chat
        with pair.open(of(pair, "note_error", kind)) as stream:
            stream.end(KeyError("k"))
            assert list(stream) == []
        assert [type(exc) for exc in service.seen] == [KeyError]

    def test_a_method_that_leaves_ends_both_directions(self, pair: Pair, kind: str) -> None:
        with pair.open(of(pair, "leave", kind)) as stream:
            stream.send("hello")
            assert list(stream) == []
            with pytest.raises(StreamClosed):
                stream.send("more")

    def test_after_the_end_nothing_can_be_sent(self, pair: Pair, kind: str) -> None:
        with pair.open(of(pair, "shout", kind)) as stream:
            stream.end()
            with pytest.raises(StreamClosed, match="this side"):
                stream.send("x")

    @pytest.mark.parametrize("name", ["shout", "flood", "note_error"])
    def test_a_dead_peer_ends_all(self, pairing: Pairing, kind: str, name: str) -> None:
        service = Chat()
        pair = pairing.join(service, relay=True)
        with pair.open(of(pair, name, kind)) as stream:
            pair.relay.cut()
            with pytest.raises(ConnectionLost):
                for _ in stream:
                    pass
            with pytest.raises(ConnectionLost):
                stream.send("x")
        assert service.over.wait(20)


def test_what_is_no_method_cannot_be_opened(pair: Pair) -> None:
    with pytest.raises(AttributeError), pair.open(pair.root.nothing):
        pass


def test_opening_is_one_round_trip(pairing: Pairing) -> None:
    pair = pairing.join(Chat, relay=True)
    pair.get(pair.root.quick())
    before = pair.relay.round_trips
    with pair.open(pair.root.shout):
        assert pair.relay.round_trips == before + 1

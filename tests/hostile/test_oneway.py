"""Requests without an answer from peers that count wrongly, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from rawpeer import RawPeer, call, frame, hello
from slow import Busy

import netobj
from netobj.core.consts import Kind, Op
from patience import wait_until

Serve = Callable[..., int]
Peer = Callable[..., RawPeer]


def oneway(seq: int, name: str, *args: object, more: tuple[object, ...] = ()) -> bytes:
    return frame(Kind.ONEWAY, seq, 7, Op.CALL, 0, name, list(args), *more)


def assert_others_are_served(port: int) -> None:
    with netobj.connect("localhost", port) as conn:
        assert conn.root.echo(7) == 7


def told(peer: RawPeer, most: int) -> list[list[int]]:
    """What *peer* is told to be done, until it is *most*; no answer may come."""
    found: list[list[int]] = []
    while sum(one[0] for one in found) < most:
        (message,) = peer.messages(1)
        assert message[0] in (Kind.HELLO, Kind.DONE)
        if message[0] == Kind.DONE:
            found.append(message[1:])
    return found


def test_it_is_told_by_quarters(serve: Serve, peer: Peer) -> None:
    one = peer(serve(limits={"requests": 8}))
    one.send(b"".join(oneway(seq, "echo") for seq in range(8)))
    assert told(one, 8) == [[2, 0]] * 4
    one.send(b"".join(oneway(seq, "nothing", 1) for seq in range(8)))  # its numbers are free
    assert told(one, 8) == [[2, 0]] * 4


def test_more_than_there_are_places_end_the_connection(
    serve: Serve, peer: Peer, service: Busy
) -> None:
    port = serve(limits={"requests": 8})
    one = peer(port)
    one.send(b"".join(oneway(seq, "wait") for seq in range(9)))
    assert "without an answer" in one.last_words()
    service.go_on.set()
    assert_others_are_served(port)


def test_more_bytes_than_there_is_room_for_end_the_connection(
    serve: Serve, peer: Peer, service: Busy
) -> None:
    port = serve(limits={"request_bytes": 50_000})
    one = peer(port)
    one.send(b"".join(oneway(seq, "wait", bytes(30_000)) for seq in range(3)))
    assert "without an answer" in one.last_words()
    service.go_on.set()
    assert_others_are_served(port)


def test_a_flood_that_takes_no_news_ends_the_connection(serve: Serve, peer: Peer) -> None:
    port = serve(limits={"requests": 8}, write_timeout=0.5)
    numbers = count()

    def flood() -> Iterator[bytes]:
        while True:
            yield b"".join(oneway(next(numbers), "echo") for _ in range(1000))

    peer(port).flood(flood())
    assert_others_are_served(port)


def test_beside_them_others_are_refused(serve: Serve, peer: Peer, service: Busy) -> None:
    one = peer(serve(limits={"requests": 8}))
    one.send(b"".join(oneway(seq, "wait") for seq in range(8)) + call(99, "echo"))
    assert one.answers(1) == {99: "ERROR"}
    service.go_on.set()


@pytest.mark.parametrize("done", [(1, 0), (0, 0), (-1, 0), (True, 0), (1,), ("1", 0), (1, 0, 0)])
def test_done_with_nothing_ends_the_connection(
    serve: Serve, peer: Peer, done: tuple[object, ...]
) -> None:
    port = serve()
    one = peer(port)
    one.send(frame(Kind.DONE, *done))
    assert "protocol error" in one.last_words()
    assert_others_are_served(port)


def test_what_has_no_answer_is_not_kept(serve: Serve, peer: Peer) -> None:
    one = peer(serve())
    one.send(oneway(1, "echo", more=([], None, None, False)))
    one.send(oneway(2, "echo", more=([], None, None, True)))
    assert "cannot be kept" in one.last_words()


def test_its_number_is_nobody_elses_while_it_runs(serve: Serve, peer: Peer, service: Busy) -> None:
    one = peer(serve())
    one.send(oneway(1, "wait") + call(1, "echo"))
    assert "is running already" in one.last_words()
    service.go_on.set()


def test_it_is_not_among_what_a_goodbye_denies(service: Busy) -> None:
    with netobj.ThreadedServer(service, hostname="localhost") as server:
        one = RawPeer(server.port)
        one.send(oneway(1, "wait") + oneway(2, "wait"))
        wait_until(lambda: service.begun)
        service.go_on.set()
    goodbye = [message for message in one.messages() if message[0] == Kind.GOODBYE]
    assert [message[2] for message in goodbye] == [[]]
    one.close()


def test_who_has_not_said_so_is_sent_none() -> None:
    heard: list[object] = []

    class Client(netobj.Service):
        def on_connect(self, conn: netobj.Connection) -> None:
            heard.append(conn.session.peer_features)

    with netobj.ThreadedServer(Client, hostname="localhost") as server:
        one = RawPeer(server.port, greets=False)
        one.send(hello())
        wait_until(lambda: heard)
        wait_until(lambda: server.connections)
        (connection,) = server.connections
        wait_until(lambda: connection.session.greeted)
        netobj.oneway(connection.root)(1)
        (_, message) = one.messages(2)
        assert message[0] == Kind.ASYNC_REQUEST
        one.close()

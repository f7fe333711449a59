"""One slow or mute peer costs nobody else anything, on every server kind, and is let go in time."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count, repeat
from typing import Any

import pytest
from rawpeer import RawPeer, call, frame, hello
from slow import ELSEWHERE, Busy

import netobj
from netobj.core.consts import PREAMBLE, Kind
from patience import wait_until

Serve = Callable[..., int]
Peer = Callable[..., RawPeer]


def assert_others_are_served(port: int) -> None:
    with netobj.connect("localhost", port) as conn:
        assert conn.root.echo(7) == 7


def test_who_never_says_hello_is_let_go(serve: Serve, peer: Peer) -> None:
    port = serve(handshake_timeout=0.1)
    silent = [peer(port, greets=False) for _ in range(3)]
    silent[1].send(PREAMBLE)
    silent[2].send(hello()[:-1])
    assert_others_are_served(port)
    for one in silent:
        one.messages()  # until the end


def test_who_says_hello_byte_by_byte_is_let_go(serve: Serve, peer: Peer) -> None:
    port = serve(handshake_timeout=0.1)
    slow = peer(port, greets=False)
    slow.sock.settimeout(0.01)
    for byte in hello():
        slow.send(bytes((byte,)))
        try:
            if not slow.sock.recv(4096):
                break
        except TimeoutError:
            pass
        except ConnectionError:
            break
    else:
        pytest.fail("it was waited for")


@pytest.mark.parametrize(
    "part", [b"\0", b"\0\0\0\x09", b"\0\0\0\x09\x93", b"\0\x80\0\0" + b"x" * 99]
)
def test_who_stops_in_the_midst_of_a_frame_is_let_go(serve: Serve, peer: Peer, part: bytes) -> None:
    port = serve(frame_timeout=0.1)
    slow = peer(port)
    slow.send(call(1, "echo", 5))
    slow.send(part)
    assert_others_are_served(port)
    assert slow.answers(1) == {1: "REPLY"}
    slow.messages()  # until the end


def test_a_long_frame_may_take_its_time(serve: Serve, peer: Peer) -> None:
    port = serve(frame_timeout=0.2)
    slow = peer(port)
    data = call(1, "echo", "x" * 60_000)
    for start in range(0, len(data), 20_000):
        slow.send(data[start : start + 20_000])
        time.sleep(0.11)  # what is tested is that this is no time to be let go after
    assert slow.answers(1) == {1: "REPLY"}


def test_who_takes_no_answers_is_let_go(serve: Serve, peer: Peer, service: Busy, kind: Any) -> None:
    port = serve(write_timeout=0.3, limits={"queued": 500_000, "requests": 100})
    mute = peer(port)
    mute.flood(call(seq, "big") for seq in count(1))
    assert_others_are_served(port)
    if kind not in ELSEWHERE:  # what it has done for one that takes nothing
        assert service.begun < 1000


def test_who_asks_for_a_stream_without_end_and_takes_nothing_is_let_go(
    serve: Serve, peer: Peer, service: Busy, kind: Any
) -> None:
    port = serve(write_timeout=0.3, limits={"queued": 500_000})
    mute = peer(port)
    mute.send(call(1, "count"))
    assert mute.answers(1) == {1: "REPLY"}
    mute.send(frame(Kind.CREDIT, -1, 2**62))
    assert_others_are_served(port)
    wait_until(lambda: _is_over(mute))
    if kind not in ELSEWHERE:
        assert service.begun < 50_000


def _is_over(mute: RawPeer) -> bool:
    try:
        mute.sock.sendall(frame(Kind.PING, None))
    except OSError:
        return True
    return False


def test_who_calls_much_that_is_slow_holds_up_nobody(
    serve: Serve, peer: Peer, service: Busy, kind: Any
) -> None:
    port = serve()
    greedy = peer(port)
    greedy.send(b"".join(call(seq, "wait") for seq in range(1000)))
    wait_until(lambda: service.begun > 10 or kind in ELSEWHERE)
    assert_others_are_served(port)
    service.go_on.set()
    if kind not in ELSEWHERE:
        assert set(greedy.answers(1000).values()) == {"REPLY"}


def test_no_more_calls_run_than_are_allowed(
    serve: Serve, peer: Peer, service: Busy, kind: Any
) -> None:
    if kind in ELSEWHERE:
        pytest.skip("its service lives elsewhere")
    port = serve(limits={"requests": 12})
    greedy = peer(port)
    greedy.send(b"".join(call(seq, "wait") for seq in range(40)))
    refused = greedy.answers(28)
    assert refused == dict.fromkeys(range(12, 40), "ERROR")
    assert service.begun <= 12
    service.go_on.set()
    assert greedy.answers(12) == dict.fromkeys(range(12), "REPLY")
    greedy.send(call(50, "echo"))
    assert greedy.answers(1) == {50: "REPLY"}


def test_no_more_bytes_are_held_than_are_allowed(
    serve: Serve, peer: Peer, service: Busy, kind: Any
) -> None:
    if kind in ELSEWHERE:
        pytest.skip("its service lives elsewhere")
    port = serve(limits={"request_bytes": 100_000})
    greedy = peer(port)
    greedy.send(b"".join(call(seq, "wait", "x" * 50_000) for seq in range(10)))
    assert greedy.answers(8) == dict.fromkeys(range(2, 10), "ERROR")
    service.go_on.set()
    assert greedy.answers(2) == dict.fromkeys(range(2), "REPLY")


def test_who_floods_with_pings_and_takes_no_pongs_is_let_go(serve: Serve, peer: Peer) -> None:
    port = serve(write_timeout=0.2, limits={"queued": 1000})
    mute = peer(port)
    mute.flood(repeat(b"".join(frame(Kind.PING, number) for number in range(3000))))
    assert_others_are_served(port)


def test_a_client_lets_a_mute_server_go() -> None:
    with socket.create_server(("localhost", 0)) as listener:
        port = listener.getsockname()[1]
        conn = netobj.connect("localhost", port, config={"handshake_timeout": 0.05})
        with pytest.raises(netobj.ConnectionLost, match=r"did not say hello within 0\.05 s"):
            conn.root.echo(1)
        conn.close()


def test_a_client_on_a_loop_lets_a_mute_server_go() -> None:
    async def main(port: int) -> None:
        config = {"handshake_timeout": 0.05}
        async with netobj.aio.connect("localhost", port, config=config) as conn:
            with pytest.raises(netobj.ConnectionLost, match=r"did not say hello within 0\.05 s"):
                await conn.root.echo(1)

    with socket.create_server(("localhost", 0)) as listener:
        asyncio.run(main(listener.getsockname()[1]))


def test_who_keeps_to_the_bytes_in_flight_never_hears_of_them(serve: Serve) -> None:
    port = serve(limits={"request_bytes": 150_000, "requests": 4})
    texts = [str(number) * 60_000 for number in range(10)]
    with netobj.connect("localhost", port) as conn:
        root = conn.root
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(root.echo, texts * 3)) == texts * 3
        results = [netobj.async_(root.echo)(text) for text in texts]
        assert [result.value for result in results] == texts


def test_so_it_is_on_a_loop(serve: Serve) -> None:
    texts = [str(number) * 60_000 for number in range(10)]

    async def main(port: int) -> list[str]:
        async with netobj.aio.connect("localhost", port) as conn:
            await conn.root.echo()
            return list(await asyncio.gather(*map(conn.root.echo, texts * 3)))

    port = serve(limits={"request_bytes": 150_000, "requests": 4})
    assert asyncio.run(main(port)) == texts * 3

"""Closing, and the end of a process, wait for no peer and for no call."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rawpeer import frame, hello

import netobj
from netobj.core.consts import Kind, Op
from patience import HANG

ROOT = Path(__file__).parents[2]
SOON = 5.0
"""Seconds: what is to end within one, on a machine that has much else to do."""


class Peers:
    """Accepts connections, and does with each what a test says."""

    def __init__(self, act: Callable[[socket.socket], object]) -> None:
        self._listener = socket.create_server(("localhost", 0))
        self.port: int = self._listener.getsockname()[1]
        self._act = act
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                sock, _ = self._listener.accept()
                self._sockets.append(sock)
                self._act(sock)
        except OSError:
            pass

    def close(self) -> None:
        for sock in (self._listener, *self._sockets):
            sock.close()


def silent(sock: socket.socket) -> None:
    """Says nothing, reads nothing."""


def mute(sock: socket.socket) -> None:
    """Says hello, and reads nothing."""
    sock.sendall(hello())


def in_a_frame(sock: socket.socket) -> None:
    """Stops in the midst of a message."""
    sock.sendall(hello() + b"\0\0\1\0abc")


def endless(sock: socket.socket) -> None:
    """Never stops."""
    sock.sendall(hello())
    pings = frame(Kind.PING, 7) * 1000
    while True:
        sock.sendall(pings)


def calls(sock: socket.socket) -> None:
    """Calls what takes long."""
    sock.sendall(hello() + frame(Kind.REQUEST, 1, 2**40, Op.CALL, 0, "wait", []))


class Waits(netobj.Service):
    """What it is called for takes as long as the test."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    @netobj.exposed(slow=True)
    def wait(self) -> None:
        self.begun.set()
        self.go_on.wait(10 * HANG)


@pytest.fixture(params=[silent, mute, in_a_frame, endless, calls], ids=lambda act: act.__name__)
def act(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def port(act: Any) -> Iterator[int]:
    peers = Peers(act)
    yield peers.port
    peers.close()


@pytest.fixture
def service() -> Iterator[Waits]:
    service = Waits()
    yield service
    service.go_on.set()


def call_root(root: Any) -> None:
    root.anything()


async def call_root_async(root: Any) -> None:
    await root.anything()


def test_a_client_closes_soon(act: Any, port: int, service: Waits) -> None:
    conn = netobj.connect("localhost", port, service, {"before_closed": call_root, **CATCH})
    if act is calls:
        assert service.begun.wait(HANG)
    elif act is mute:
        result = conn.request_async(Op.CALL, None, "m", (b"x" * 8_000_000,))
        assert not result.ready
    closing = threading.Thread(target=conn.close, daemon=True)
    closing.start()
    closing.join(SOON)
    assert not closing.is_alive()
    assert conn.closed


CATCH = {"close_catchall": True}


def test_a_client_on_a_loop_closes_soon(act: Any, port: int, service: Waits) -> None:
    config = {"before_closed": call_root_async, **CATCH}

    async def main() -> None:
        conn = await netobj.aio.connect("localhost", port, service, config)
        if act is calls:
            await asyncio.to_thread(service.begun.wait, HANG)
        elif act is mute:
            call = asyncio.ensure_future(_call(conn.root.anything(b"x" * 8_000_000)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.wait_for(conn.close(), SOON)
        assert conn.closed
        if act is mute:
            assert isinstance(await call, netobj.ConnectionLost)

    asyncio.run(main())


async def _call(call: Any) -> Any:
    try:
        return await call
    except Exception as exc:
        return exc


PROGRAM = """
import asyncio, sys, threading, time
import netobj
from rawpeer import RawPeer, call

begun = threading.Semaphore(0)

class Slow(netobj.Service):
    @netobj.exposed
    def sleep(self):
        begun.release()
        time.sleep(600)

    @netobj.exposed
    def call(self, function):
        function()

"""
ENDS = {
    "server": """
server = netobj.{kind}(Slow, hostname="localhost")
port = server.port
threading.Thread(target=server.start, daemon=True).start()
peer = RawPeer(port)
peer.send(call(1, "sleep"))
if "{kind}" != "ForkingServer":
    begun.acquire()
""",
    "closed": """
with netobj.{kind}(Slow, hostname="localhost") as server:
    peer = RawPeer(server.port)
    peer.send(call(1, "sleep") + call(2, "sleep"))
    if "{kind}" != "ForkingServer":
        begun.acquire()
""",
    "callback": """
with netobj.{kind}(Slow, hostname="localhost") as server:
    conn = netobj.connect("localhost", server.port)
    def sleep():
        begun.release()
        time.sleep(600)
    result = netobj.async_(conn.root.call)(sleep)
    begun.acquire()
    conn.close()
""",
    "loop": """
async def main():
    async with netobj.aio.Server(Slow, "localhost") as server:
        peer = RawPeer(server.port)
        peer.send(call(1, "sleep"))
        await asyncio.to_thread(begun.acquire)
asyncio.run(main())
""",
}
KINDS = "ThreadedServer", "ThreadPoolServer", "AsyncServer", "ForkingServer"
# The children of a ForkingServer that was not closed finish what they do.
CASES = [*(("server", kind) for kind in KINDS[:3]), *(("closed", kind) for kind in KINDS)]


@pytest.mark.parametrize(("end", "kind"), [*CASES, ("callback", KINDS[0]), ("loop", "")])
def test_a_process_ends_soon(end: str, kind: str) -> None:
    if kind == "ForkingServer" and not hasattr(os, "fork"):
        pytest.skip("there is no fork")
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests" / "support")))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + ENDS[end].format(kind=kind)],
        env={**os.environ, "PYTHONPATH": path},
        timeout=HANG,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr

"""Mechanisms that are used together: each has tests of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import netobj
from netobj import aio, auth
from netobj.interceptors import AccessLog
from patience import HANG, wait_until

PSK = auth.PreSharedKey(bytes(range(32)) + os.urandom(32))


class Inside(netobj.Interceptor):
    """Counts the calls that have come to it, and those that are below it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.ever = 0

    def on_call(self, call: Any, next: Any) -> Any:
        with self._lock:
            self.now += 1
            self.ever += 1
            self.most = max(self.most, self.now)
        try:
            return next(call)
        finally:
            with self._lock:
                self.now -= 1


class AsyncInside(Inside):
    async def on_call(self, call: Any, next: Any) -> Any:
        self.ever += 1
        return await next(call)


def limited() -> tuple[netobj.FunctionService, list[int]]:
    """A service of which at most two calls run at once, and how many did at the most."""
    svc = netobj.FunctionService("limited")
    lock, inside, most = threading.Lock(), [0], [0]

    def enter() -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])

    def leave() -> None:
        with lock:
            inside[0] -= 1

    @svc.register(limit=2, queue=1000, concurrent=True, check_types=True)
    def work(number: int) -> int:
        enter()
        try:
            if number % 7 == 0:
                raise KeyError(number)
            return number
        finally:
            leave()

    @svc.register(limit=2, queue=1000, timeout=60, concurrent=True)
    async def work_later(number: int) -> int:
        enter()
        try:
            await asyncio.sleep(0)
            if number % 7 == 0:
                raise KeyError(number)
            return number
        finally:
            leave()

    return svc, most


@pytest.fixture(params=[Inside, AsyncInside])
def chain(request: pytest.FixtureRequest) -> list[Any]:
    return [AccessLog(), request.param()]


@pytest.mark.parametrize("name", ["work", "work_later"])
@pytest.mark.parametrize("kind", ["ThreadedServer", "ThreadPoolServer", "AsyncServer"])
def test_limits_below_interceptors(kind: str, name: str, chain: list[Any]) -> None:
    svc, most = limited()
    with getattr(netobj, kind)(svc, hostname="127.0.0.1", interceptors=chain) as server:
        with netobj.connect("127.0.0.1", server.port) as conn, ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda n: _outcome(getattr(conn.root, name), n), range(100)))

        async def main() -> list[Any]:
            async with aio.connect("127.0.0.1", server.port) as there:
                calls = (getattr(there.root, name)(number) for number in range(100))
                return await asyncio.gather(*calls, return_exceptions=True)

        more = asyncio.run(main())
    expected = ["KeyError" if number % 7 == 0 else number for number in range(100)]
    assert results == expected
    assert [type(one).__name__ if isinstance(one, Exception) else one for one in more] == expected
    assert chain[1].ever == 200
    assert 1 <= most[0] <= 2


def _outcome(method: Any, number: int) -> Any:
    try:
        return method(number)
    except KeyError as exc:
        return type(exc).__name__


class Desk(netobj.Service):
    @netobj.exposed
    def pid(self) -> int:
        return os.getpid()

    @netobj.exposed(idempotent=True)
    def add(self, a: int, b: int) -> int:
        return a + b


@pytest.fixture(params=["ThreadedServer", "AsyncServer"])
def prefork(request: pytest.FixtureRequest) -> Iterator[netobj.PreforkServer]:
    with netobj.PreforkServer(
        Desk,
        hostname="127.0.0.1",
        workers=2,
        server=getattr(netobj, request.param),
        psk=PSK,
        introspect=True,
        interceptors=[Inside()],
        protocol_config={"compression": "zlib"},
    ) as server:
        yield server


def test_workers_take_what_the_server_was_given(prefork: netobj.PreforkServer) -> None:
    with netobj.connect("127.0.0.1", prefork.port, psk=PSK) as conn:
        assert conn.root.pid() in prefork.processes
        assert {info["name"] for info in conn.root.system.methods()} >= {"pid", "add"}

    async def main() -> Any:
        async with aio.connect("127.0.0.1", prefork.port, psk=PSK) as there:
            return await there.root.add(1, 2)

    assert asyncio.run(main()) == 3
    with pytest.raises((netobj.AuthenticationError, netobj.ConnectionLost)):
        netobj.connect("127.0.0.1", prefork.port).root.add(1, 2)


def test_a_connection_with_a_key_comes_back() -> None:
    chain = Inside()
    how = {"psk": PSK, "reconnect": True, "interceptors": [chain]}
    first = netobj.ThreadedServer(Desk, hostname="127.0.0.1", psk=PSK)
    with first:
        conn = netobj.connect("127.0.0.1", first.port, **how)
        assert conn.root.add(1, 2) == 3
    with netobj.ThreadedServer(Desk, hostname="127.0.0.1", port=first.port, psk=PSK), conn:
        assert conn.root.add(2, 2) == 4
        netobj.oneway(conn.root.add)(1, 1)
        wait_until(lambda: chain.ever >= 3)
    assert chain.now == 0


def test_a_killed_worker_of_a_limited_function() -> None:
    """The slots of who was killed are there again, also below interceptors."""
    with netobj.PreforkServer(
        Crashing, hostname="127.0.0.1", workers=2, interceptors=[Inside()]
    ) as server:
        for _ in range(3):
            conn = netobj.connect("127.0.0.1", server.port)
            with conn, pytest.raises(netobj.ConnectionLost):
                conn.root.crash()
        with netobj.connect("127.0.0.1", server.port) as conn, netobj.deadline(HANG):
            assert conn.root.fine() == "fine"


class Crashing(netobj.Service):
    @netobj.exposed(limit=1, queue=10)
    def crash(self) -> None:
        os.kill(os.getpid(), 9)

    @netobj.exposed(limit=1, queue=10)
    def fine(self) -> str:
        return "fine"

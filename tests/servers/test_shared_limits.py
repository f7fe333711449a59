"""A limit that is declared for a function holds for all workers of a server together."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import netobj
from netobj.interceptors import MaxConnections, MaxConnectionsPerAddress
from patience import HANG, wait_until

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

KINDS = [netobj.ThreadedServer, netobj.ThreadPoolServer, netobj.AsyncServer]


class Ovens(netobj.Service):
    @netobj.exposed
    def pid(self) -> int:
        return os.getpid()

    @netobj.exposed(limit=2, queue=1000)
    def bake(self, folder: str, number: int) -> int:
        """How many calls are inside, with this one: each has a file as long as it is."""
        mine = Path(folder) / str(number)
        mine.touch()
        time.sleep(0.001)
        found = len(os.listdir(folder))
        mine.unlink()
        return found

    @netobj.exposed(limit=1, queue=0)
    def roast(self, path: str) -> str:
        Path(f"{path} is waited for").touch()
        wait_until(Path(path).exists)
        return "done"

    @netobj.exposed(limit=1, queue=0, limit_per="address")
    def grill(self, path: str) -> str:
        return self.roast(path)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def serve(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return lambda **more: netobj.PreforkServer(
        Ovens, hostname="localhost", workers=2, server=request.param, **more
    )


def one_for_each(server: Any, stack: ExitStack) -> dict[int, Any]:
    """A connection to each of the workers, by their ids."""
    found: dict[int, Any] = {}
    end = time.monotonic() + HANG
    while len(found) < 2 or set(found) != set(server.processes):
        assert time.monotonic() < end
        conn = stack.enter_context(netobj.connect("localhost", server.port))
        found[conn.root.pid()] = conn
    return found


def test_never_more_inside_than_the_limit(serve: Callable[[], Any], tmp_path: Path) -> None:
    inside: list[int] = []
    with serve() as server, ExitStack() as stack:
        conns = one_for_each(server, stack).values()

        def work(conn: Any, first: int) -> None:
            for number in range(first, first + 20):
                inside.append(conn.root.bake(str(tmp_path), number))

        threads = [
            threading.Thread(target=work, args=(conn, 1000 * (10 * of + thread)))
            for of, conn in enumerate(conns)
            for thread in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG)
    assert len(inside) == 160  # none lost
    assert 1 <= max(inside) <= 2


@pytest.mark.parametrize("name", ["roast", "grill"])
def test_who_is_busy_in_another_worker_is_busy_here(
    serve: Callable[[], Any], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "end"
    with serve() as server, ExitStack() as stack:
        one, other = one_for_each(server, stack).values()
        result = netobj.async_(getattr(one.root, name))(str(path))
        wait_until(Path(f"{path} is waited for").exists)
        with pytest.raises(netobj.Busy):
            getattr(other.root, name)(str(path))
        path.touch()
        assert result.value == "done"
        assert getattr(other.root, name)(str(path)) == "done"


def test_each_address_has_a_limit_of_its_own(serve: Callable[[], Any], tmp_path: Path) -> None:
    path, there = tmp_path / "end", tmp_path / "there"
    there.touch()
    with serve() as server, ExitStack() as stack:
        one, _ = one_for_each(server, stack).values()
        result = netobj.async_(one.root.grill)(str(path))
        wait_until(Path(f"{path} is waited for").exists)
        sock = socket.create_connection(("127.0.0.1", server.port), source_address=("127.0.0.2", 0))
        with netobj.connect_stream(netobj.SocketStream(sock)) as other:
            assert other.root.grill(str(there)) == "done"
        path.touch()
        assert result.value == "done"


@pytest.mark.parametrize("kind", [MaxConnections, MaxConnectionsPerAddress])
def test_those_who_are_let_in_are_counted_together(serve: Callable[..., Any], kind: Any) -> None:
    with serve(interceptors=[kind(10)]) as server, ExitStack() as stack:
        conns: dict[Any, int] = {}

        def let_in() -> bool:
            try:
                conn = stack.enter_context(netobj.connect("localhost", server.port))
                conns[conn] = conn.root.pid()
            except netobj.ConnectionLost:
                return False
            return True

        while len(conns) < 10:  # however they come to the workers at first
            wait_until(let_in)
            if len(conns) == 10 and len(set(conns.values())) == 1:
                conns.popitem()[0].close()
        with pytest.raises(netobj.ConnectionLost, match="10 connections, and"):
            netobj.connect("localhost", server.port).root.pid()
        conns.popitem()[0].close()
        wait_until(let_in)


def test_the_slots_of_a_worker_that_is_killed_are_free_again(
    serve: Callable[[], Any], tmp_path: Path
) -> None:
    path = tmp_path / "end"
    with serve() as server, ExitStack() as stack:
        (pid, one), (_, other) = one_for_each(server, stack).items()
        result = netobj.async_(one.root.roast)(str(path))
        wait_until(Path(f"{path} is waited for").exists)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(netobj.ConnectionLost):
            _ = result.value
        path.touch()

        def roasted() -> bool:
            try:
                return bool(other.root.roast(str(path)) == "done")
            except netobj.Busy:
                return False

        wait_until(roasted)

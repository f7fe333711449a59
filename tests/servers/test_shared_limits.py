"""A limit that is declared for a function holds for all workers of a server together."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import netobj
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


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def serve(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return lambda: netobj.PreforkServer(
        Ovens, hostname="localhost", workers=2, server=request.param
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


def test_who_is_busy_in_another_worker_is_busy_here(
    serve: Callable[[], Any], tmp_path: Path
) -> None:
    path = tmp_path / "end"
    with serve() as server, ExitStack() as stack:
        one, other = one_for_each(server, stack).values()
        result = netobj.async_(one.root.roast)(str(path))
        wait_until(Path(f"{path} is waited for").exists)
        with pytest.raises(netobj.Busy):
            other.root.roast(str(path))
        path.touch()
        assert result.value == "done"
        assert other.root.roast(str(path)) == "done"


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

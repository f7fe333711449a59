"""What a crew does at unlucky moments; what it does otherwise is in tests/servers."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

import netobj
from netobj.blocking.crew import Crew
from patience import HANG, wait_until

LOG = logging.getLogger(__name__)


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew(1, LOG)
    yield crew
    crew.close()
    wait_until(lambda: crew._over)


def test_a_call_that_is_put_off_as_a_thread_becomes_free_is_run(crew: Crew) -> None:
    gate, ran = threading.Event(), threading.Event()

    class Late(deque):  # type: ignore[type-arg]
        def append(self, job: Any) -> None:
            gate.set()
            wait_until(lambda: crew._idle)
            super().append(job)

    crew.submit((gate.wait, HANG))
    wait_until(lambda: crew._count == 2 and not crew._jobs)
    crew._jobs = Late()
    dispatcher = SimpleNamespace(run=lambda _: ran.set(), begin=lambda: True, finish=lambda: None)
    link: Any = SimpleNamespace(dispatcher=dispatcher)
    request: Any = SimpleNamespace(path="method")
    assert crew._call(link, request)
    assert ran.wait(HANG)


def test_what_comes_when_the_crew_has_ended_is_let_go_of() -> None:
    crew = Crew(1, LOG)
    crew.close()
    wait_until(lambda: crew._over)
    link: Any = SimpleNamespace(crew=None, dispatcher=SimpleNamespace(share=lambda *_: None))
    crew.add(link)
    assert link.crew is None  # else its descriptors would never be given back
    crew.close()


class Peer:
    """As much of a connection as a crew sees: it has *requests*, which it runs by *run*."""

    ended = False
    crew: Any = None

    def __init__(self, run: Callable[[Any], object], *requests: Any) -> None:
        self.ends = socket.socketpair()
        self.stream = SimpleNamespace(read_fd=self.ends[0].fileno(), pending=lambda: False)
        self.dispatcher = SimpleNamespace(
            run=run, share=lambda *_: None, begin=lambda: True, finish=lambda: None
        )
        self.reader_is_there = lambda: False
        self.requests = list(requests)
        self.reads = threading.Semaphore(0)

    def take_call(self) -> Any:
        self.reads.release()
        return self.requests.pop() if self.requests else None

    def close(self) -> None:
        for end in self.ends:
            end.close()


def test_when_even_the_leader_runs_a_call_another_thread_reads(crew: Crew) -> None:
    # Real peers of the same process would not do: the leader leaves their calls to others.
    gate = threading.Event()
    crew.submit((str, ""))  # so that there is another thread, which is free
    wait_until(lambda: crew._idle)

    def run(_: object) -> None:
        crew.submit((gate.wait, HANG))  # by what it reads itself while it waits for its callback
        gate.wait(HANG)

    busy, other = Peer(run, SimpleNamespace(path="method")), Peer(run)
    try:
        crew.add(cast("Any", other))
        assert other.reads.acquire(timeout=HANG)
        crew.add(cast("Any", busy))
        wait_until(lambda: crew._count == 2 and not crew._idle)
        other.ends[1].send(b"x")
        for _ in range(3):  # it stays readable
            assert other.reads.acquire(timeout=HANG)
        gate.set()
        wait_until(lambda: crew._count == 2 and crew._idle)
        crew.close()
        wait_until(lambda: busy.crew is other.crew is None)
    finally:
        gate.set()
        busy.close()
        other.close()


class Works(netobj.Service):
    """Calls that end when they are told to."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.inside = 0

    def exposed_wait(self) -> None:
        self.inside += 1
        assert self.gate.wait(HANG)

    def exposed_echo(self, value: Any) -> Any:
        return value


@pytest.fixture
def works() -> Iterator[Works]:
    works = Works()
    yield works
    works.gate.set()


@pytest.fixture
def server(works: Works) -> Iterator[netobj.ThreadPoolServer]:
    with netobj.ThreadPoolServer(works, hostname="localhost", nbThreads=1) as server:
        yield server
        works.gate.set()


def join(server: Any) -> netobj.Connection:
    return netobj.connect("localhost", server.port)


def test_a_connection_that_cannot_be_waited_for_is_ended_and_others_are_served(
    server: netobj.ThreadPoolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with join(server) as conn:
        assert conn.root.echo(1) == 1
        assert server._crew is not None
        monkeypatch.setattr(server._crew._selector, "register", full)
        with join(server) as other, pytest.raises(EOFError):
            other.root.echo(1)
        wait_until(lambda: len(server.clients) == 1)
        assert conn.root.echo(2) == 2
        monkeypatch.undo()
        with join(server) as other:
            assert other.root.echo(3) == 3


def test_closing_gives_descriptors_back_while_a_call_goes_on(
    server: netobj.ThreadPoolServer, works: Works
) -> None:
    with join(server) as conn, join(server) as idle:
        assert idle.root.echo(1) == 1
        result = netobj.async_(conn.root.wait)()
        wait_until(lambda: works.inside)
        links = server.connections
        server.close()
        wait_until(lambda: all(link._released.is_set for link in links))
        assert not works.gate.is_set()
        with pytest.raises(EOFError):
            result.value  # noqa: B018

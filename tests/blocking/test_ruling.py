"""Calls with rules in threads: who waits holds up nobody else, who leaves leaves nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import netobj
from netobj import gates
from netobj.blocking import ruling
from netobj.core.exposure import exposure_of
from netobj.errors import AsyncResultTimeout, Busy
from patience import HANG, wait_until


class Lab(netobj.Service):
    """``door`` lets out who is inside."""

    def __init__(self) -> None:
        self.door = threading.Event()
        self.ran = threading.Event()

    @netobj.exposed(limit=1, queue=10, concurrent=True)
    def hold(self) -> None:
        assert self.door.wait(HANG)

    @netobj.exposed(limit=1, timeout=HANG, concurrent=True)
    def timed(self) -> int:
        assert self.door.wait(HANG)
        self.ran.set()
        return threading.get_ident()

    @netobj.exposed(run="thread")
    def thread(self) -> int:
        return threading.get_ident()

    @netobj.exposed(run="inline")
    def inline(self) -> int:
        return threading.get_ident()

    @netobj.exposed(run="thread")
    def fails(self) -> None:
        raise LookupError("in the worker")

    @netobj.exposed(run="thread", stream=True)
    def items(self) -> Any:
        yield threading.get_ident()

    @netobj.exposed(run="thread")
    def up(self, callback: Any, depth: int) -> Any:
        return callback(depth)

    @netobj.exposed(run="thread")
    def interrupted(self) -> str:
        return str(netobj.current_call().name)

    def exposed_free(self) -> str:
        return "free"


def held(name: str) -> tuple[int, int]:
    method = vars(Lab)[name]
    exposure = exposure_of(method)
    assert exposure is not None
    return gates.gate_of(method, exposure, name).count()


def test_calls_that_wait_for_their_slot_leave_the_threads_of_a_pool_to_others() -> None:
    lab = Lab()
    with (
        netobj.ThreadPoolServer(lab, hostname="127.0.0.1", nbThreads=4) as server,
        netobj.connect("127.0.0.1", server.port) as conn,
    ):
        calls = [netobj.async_(conn.root.hold)() for _ in range(8)]
        wait_until(lambda: held("hold") == (1, 7))
        assert conn.root.free() == "free"
        lab.door.set()
        for call in calls:
            assert call.value is None


def test_who_gives_up_a_call_that_runs_is_let_go_and_the_slot_is_kept() -> None:
    lab = Lab()
    with netobj.connect_thread(remote_service=lab) as conn:
        with pytest.raises(AsyncResultTimeout):
            netobj.timed(conn.root.timed, 0.01)().value  # noqa: B018
        assert held("timed") == (1, 0)
        with pytest.raises(Busy):
            conn.root.timed()
        lab.door.set()
        assert lab.ran.wait(HANG)
        wait_until(lambda: held("timed") == (0, 0))


def test_where_there_is_no_thread_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab()

    class Exhausted:
        @staticmethod
        def submit(job: Any) -> bool:
            return False

    with netobj.connect_thread(remote_service=lab) as conn:
        with monkeypatch.context() as changed:
            changed.setattr(ruling, "pool", Exhausted)
            with pytest.raises(Busy, match=r"can start no thread for Lab\.timed"):
                conn.root.timed()
        assert held("timed") == (0, 0)


def test_a_program_that_serves_by_hand_does_not_run_what_belongs_to_a_worker() -> None:
    """A client whose callbacks wait for ``poll_all`` has one of them run by a worker."""
    ran: list[int] = []

    @netobj.exposed(run="thread")
    def callback() -> None:
        ran.append(threading.get_ident())

    class Caller(netobj.Service):
        @netobj.exposed
        def call(self, callback: Any) -> None:
            netobj.async_(callback)()

    with netobj.connect_thread(remote_service=Caller, config={"serve": "caller"}) as conn:
        conn.root.call(callback)
        wait_until(lambda: conn.poll_all() or ran)
        wait_until(lambda: ran)
    assert ran[0] != threading.get_ident()


def test_the_thread_that_serves_runs_what_is_inline_and_no_other() -> None:
    with netobj.connect_thread(remote_service=Lab) as conn:
        inline = {conn.root.inline() for _ in range(3)}
        assert conn.root.thread() not in inline
        with pytest.raises(LookupError, match="in the worker"):
            conn.root.fails()
        (ident,) = list(conn.root.items())
        assert ident not in inline
        assert conn.root.interrupted() == "Lab.interrupted()"


def test_the_chain_of_a_call_goes_on_in_the_worker() -> None:
    """A lock that is held here is taken again by what is called back from there."""
    lock = threading.RLock()
    with netobj.connect_thread(remote_service=Lab) as conn:

        def callback(depth: int) -> Any:
            with lock:
                return threading.get_ident() if not depth else conn.root.up(callback, depth - 1)

        with lock:
            assert conn.root.up(callback, 3) == threading.get_ident()


def test_a_call_that_may_be_interrupted_waits_too() -> None:
    lab = Lab()
    with netobj.connect_thread(remote_service=lab, remote_config={"allow_interrupt": True}) as conn:
        first = netobj.async_(conn.root.hold)()
        wait_until(lambda: held("hold") == (1, 0))
        second = netobj.async_(conn.root.hold)()
        wait_until(lambda: held("hold") == (1, 1))
        assert second.cancel()
        wait_until(lambda: held("hold") == (1, 0))
        lab.door.set()
        assert first.value is None

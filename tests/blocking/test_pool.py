from __future__ import annotations

import threading

import pytest

from netobj.blocking import pool as pool_module
from netobj.blocking.pool import WorkerPool


def test_a_job_runs_in_another_thread() -> None:
    ran: list[threading.Thread] = []
    done = threading.Event()

    def job(argument: str) -> None:
        assert argument == "argument"
        ran.append(threading.current_thread())
        done.set()

    assert WorkerPool().submit((job, "argument"))
    assert done.wait(20)
    assert ran[0] is not threading.current_thread()
    assert ran[0].daemon
    assert ran[0].name == "netobj worker 1"


def test_blocked_jobs_do_not_stop_others() -> None:
    pool = WorkerPool()
    barrier = threading.Barrier(51)
    for _ in range(50):
        pool.submit((lambda b: b.wait(20), barrier))
    barrier.wait(20)  # only passes when all fifty run side by side
    assert not barrier.broken


def test_an_idle_worker_is_used_again() -> None:
    pool = WorkerPool()
    threads: list[int] = []
    for _ in range(5):
        done = threading.Event()
        pool.submit((lambda e: (threads.append(threading.get_ident()), e.set()), done))
        assert done.wait(20)
        for _ in range(20_000):
            if pool.idle:
                break
            threading.Event().wait(0.001)
        assert len(pool.idle) == 1
    assert len(set(threads)) == 1


def test_idle_workers_end_and_the_pool_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.01)
    pool = WorkerPool()
    threads: list[threading.Thread] = []
    for _ in range(3):
        done = threading.Event()
        pool.submit((lambda e: (threads.append(threading.current_thread()), e.set()), done))
        assert done.wait(20)
        threads[-1].join(20)
        assert not threads[-1].is_alive()
        assert not pool.idle
    assert len(set(threads)) == 3


def test_it_says_when_the_system_gives_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not WorkerPool().submit((print, "never"))


def test_the_argument_is_not_kept_alive_by_an_idle_worker() -> None:
    import weakref

    class Thing:
        pass

    pool = WorkerPool()
    thing = Thing()
    ref = weakref.ref(thing)
    pool.submit((lambda _: None, thing))
    del thing
    pause = threading.Event()
    for _ in range(5000):
        if ref() is None:
            break
        pause.wait(0.001)
    assert ref() is None

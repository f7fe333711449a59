from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import netobj
from netobj.blocking import io_thread as module
from netobj.blocking.io_thread import IOThread, io_thread

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]
Until = Callable[[Callable[[], object]], None]


def test_there_is_one_for_the_process() -> None:
    made: list[IOThread] = []
    threads = [threading.Thread(target=lambda: made.append(io_thread())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert made[0]._thread.daemon
    assert not made[0].is_current()


def test_a_connection_that_nobody_reads_is_armed(pair: Pair, until: Until) -> None:
    here, there = pair()
    io = io_thread()
    until(lambda: here in io._armed and there in io._armed)
    assert here.root.eval("1") == 1


def test_it_forgets_what_has_ended(pair: Pair, until: Until) -> None:
    here, there = pair()
    io = io_thread()
    here.close()
    there.close()
    for connection in (here, there):
        until(lambda connection=connection: connection not in io._watched)
        assert connection not in io._armed
        assert connection not in io._writing
    until(lambda: here not in io._closing)


def test_heartbeats_of_what_has_ended_do_not_gather(pair: Pair, until: Until) -> None:
    io = io_thread()
    live, _ = pair()
    assert live.root.eval("1") == 1
    until(lambda: live in io._timer_of)
    for _ in range(3 * module._MOST_CANCELLED):
        here, there = pair()
        until(lambda here=here: here in io._timer_of)
        here.close()
        there.close()
        until(lambda here=here: here not in io._timer_of)
    assert io._cancelled <= len(io._timers)
    until(lambda: len(io._timers) <= len(io._timer_of) + module._MOST_CANCELLED + 1)
    assert io._timer_of[live] in io._timers


def test_it_sleeps_when_there_is_nothing_to_do(pair: Pair, until: Until) -> None:
    here, _ = pair()
    io = io_thread()
    until(lambda: io._asleep)
    assert here.root.eval("1") == 1  # and is woken


def test_soon(until: Until) -> None:
    io = io_thread()
    done: list[object] = []
    threads: list[threading.Thread] = []

    def job(argument: object) -> None:
        threads.append(threading.current_thread())
        if argument == "again":
            io.soon((job, "at the next tick"))
        done.append(argument)

    for wait in (lambda: io._asleep, lambda: True):
        until(wait)
        io.soon((job, "again"))
        until(lambda: len(done) == 2)
        assert done == ["again", "at the next tick"]
        done.clear()
    assert set(threads) == {io._thread}


def test_it_finishes_writing_what_did_not_fit(pair: Pair) -> None:
    one, other = socket.socketpair()
    conn = netobj.connect_stream(netobj.SocketStream(one))
    conn.session.ping("x")
    size = 8 * 2**20
    conn.session.out.append(b"y" * size)
    conn.flush()
    assert conn.writer.blocked
    received = bytearray()
    while (received.count(b"y") < size and b"y" * 10 not in received[-10:]) or len(received) < size:
        received += other.recv(2**20)
    assert received.count(b"y") >= size
    conn.close()
    other.close()


def test_releases_go_out_though_nothing_else_is_sent(pair: Pair, until: Until) -> None:
    here, there = pair()
    things = [here.root.eval("object()") for _ in range(20)]
    exports = there.session.boxing.exports
    assert len(exports) >= 20
    del things
    until(lambda: len(exports) < 5)


def test_it_runs_no_user_code(pair: Pair) -> None:
    here, there = pair(netobj.SlaveService)
    threads: list[threading.Thread] = []
    done = threading.Event()

    class Finalized:
        def __del__(self) -> None:
            threads.append(threading.current_thread())
            done.set()

    def note(_thing: object = None) -> None:
        threads.append(threading.current_thread())

    here.root.eval("lambda thing: None")(Finalized())
    result = netobj.async_(here.root.eval)("1")
    result.add_callback(note)
    assert result.value == 1
    there_call = netobj.async_(there.root.eval("lambda f: f()"))(note)
    there_call.wait()
    assert done.wait(20)
    assert len(threads) >= 2
    assert io_thread()._thread not in threads


def test_after_a_fork_a_new_one_is_made() -> None:
    current = module._current
    try:
        module.after_fork_in_child()
        assert module._current is None
        with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
            assert conn.root.eval("1") == 1
            assert module._current is not current
    finally:
        module._current = current


def in_child(work: Callable[[], Any]) -> int:
    """Run *work* in a forked child; its exit status, 0 when it did not raise."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def test_fork(pair: Pair) -> None:
    here, _ = pair()
    proxy = here.root.eval("[1, 2]")
    pending = netobj.async_(here.root.eval)("__import__('threading').Event().wait(1)")

    def work() -> None:
        with pytest.raises(netobj.ConnectionLost, match="belongs to the parent process"):
            pending.wait() or pending.value
        assert not module._start_lock.locked()
        for call in (here.root.eval, lambda _: len(proxy), lambda _: here.ping()):
            with pytest.raises(netobj.ConnectionLost, match="belongs to the parent process"):
                call("1")
        assert here.closed
        here.close()
        with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
            assert conn.root.eval("6 * 7") == 42

    with module._start_lock:  # as another thread might
        assert in_child(work) == 0
    assert pending.value is False
    assert not here.closed
    assert list(proxy) == [1, 2]
    assert here.root.eval("1 + 1") == 2

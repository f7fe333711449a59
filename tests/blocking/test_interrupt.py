from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

import netobj
from netobj.blocking.interrupt import ThreadRun
from netobj.blocking.safepoint import call_user

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]
Until = Callable[[Callable[[], object]], None]

SPIN = """
import time
entered = []
def spin(swallow=False):
    entered.append(1)
    try:
        while True:
            time.sleep(0.001)
    except KeyboardInterrupt:
        if not swallow:
            raise
    return "stopped"
"""


def test_a_call_in_a_worker_is_stopped(pair: Pair, until: Until) -> None:
    here, _ = pair()
    here.root.execute(SPIN)
    entered, spin = here.root.eval("entered"), here.root.eval("spin")
    result = netobj.async_(spin)()
    until(lambda: len(entered) == 1)
    assert result.cancel(interrupt=True)
    with pytest.raises(netobj.GenericException) as caught:
        result.value  # noqa: B018
    assert type(caught.value).__name__ == "KeyboardInterrupt"
    assert here.root.eval("1 + 1") == 2


def test_the_result_is_what_the_call_makes_of_it(pair: Pair, until: Until) -> None:
    here, _ = pair()
    here.root.execute(SPIN)
    entered = here.root.eval("entered")
    result = netobj.async_(here.root.eval("spin"))(swallow=True)
    until(lambda: len(entered) == 1)
    assert result.cancel(interrupt=True)
    assert result.value == "stopped"


def test_the_workers_go_on_after_an_interrupt(pair: Pair, until: Until) -> None:
    here, _ = pair()
    here.root.execute(SPIN)
    entered, spin = here.root.eval("entered"), here.root.eval("spin")
    for turn in range(1, 21):
        result = netobj.async_(spin)()
        until(lambda turn=turn: len(entered) == turn)
        result.cancel(interrupt=True)
        result.wait()
        assert result.error
        assert here.root.eval(str(turn)) == turn


def test_without_permission_nothing_is_stopped(pair: Pair) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Waiting(netobj.Service):
        def exposed_wait(self) -> str:
            entered.set()
            assert leave.wait(20)
            return "undisturbed"

    here, _ = pair(there=Waiting)
    result = netobj.async_(here.root.wait)()
    assert entered.wait(20)
    assert result.cancel(interrupt=True)
    here.ping()
    leave.set()
    assert result.value == "undisturbed"


def test_an_interrupt_that_comes_too_late_hits_nobody(pair: Pair, scale: int) -> None:
    here, _ = pair()
    evaluate = here.root.eval
    for i in range(200 * scale):
        result = netobj.async_(evaluate)("sum(range(100))")
        result.cancel(interrupt=True)
        try:
            outcome = result.value
        except Exception as exc:
            outcome = type(exc).__name__
        assert outcome in (4950, "KeyboardInterrupt", "CallCancelled")
        assert evaluate(str(i)) == i


def test_a_run_that_is_over_cannot_be_interrupted() -> None:
    run = ThreadRun()
    assert run.execute(lambda: 1) == 1
    assert run.interrupt() is False


def test_a_run_raises_in_its_own_thread(in_thread: Callable[..., threading.Thread]) -> None:
    run = ThreadRun()
    entered = threading.Event()
    ended: list[str] = []

    def spin() -> None:
        entered.set()
        while True:
            time.sleep(0.001)

    def work() -> None:
        try:
            run.execute(lambda: call_user(spin))
        except KeyboardInterrupt:
            ended.append("interrupted")

    thread = in_thread(work)
    assert entered.wait(20)
    assert run.interrupt()
    thread.join(20)
    assert ended == ["interrupted"]


TRACED = """
import sys, threading
from netobj.blocking.interrupt import ThreadRun

trace = lambda *event: None
threading.settrace(trace)
sys.settrace(trace)
run = ThreadRun()
run.execute(lambda: None)
print([run.execute(lambda: each) for each in range(3)])
"""


def test_what_is_traced_goes_on_after_a_run() -> None:
    """By a debugger, or for coverage: on 3.11 the interpreter stood still, see `_take_back`."""
    done = subprocess.run(
        [sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("[0, 1, 2]\n", "")


CHILD = """
import socket, sys
import netobj
from netobj.blocking.streams import SocketStream

conn = netobj.connect_stream(
    SocketStream(socket.socket(fileno=int(sys.argv[1]))), netobj.SlaveService)
conn.serve_all()
"""


def test_a_call_in_the_main_thread_of_another_process_is_stopped(until: Until) -> None:
    here, there = socket.socketpair()
    with there:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(there.fileno())], pass_fds=[there.fileno()]
        )
    with netobj.connect_stream(netobj.SocketStream(here)) as conn:
        conn.root.execute(SPIN)
        conn.root.execute(
            "import threading\n"
            "def main(): return threading.current_thread() is threading.main_thread()\n"
            "def spin_there(): return spin() if main() else 'in a worker'\n"
        )
        entered, spin = conn.root.eval("entered"), conn.root.eval("spin_there")
        for turn in range(1, 4):
            result = netobj.async_(spin)()
            until(lambda turn=turn: len(entered) == turn)
            assert result.cancel(interrupt=True)
            with pytest.raises(netobj.GenericException) as caught:
                result.value  # noqa: B018
            assert type(caught.value).__name__ == "KeyboardInterrupt"
            assert conn.root.eval("6 * 7") == 42
    assert child.wait(20) == 0

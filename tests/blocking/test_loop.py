from __future__ import annotations

import asyncio
import builtins
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import netobj
from netobj.blocking import loop as module
from netobj.blocking.loop import event_loop

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]
Until = Callable[[Callable[[], object]], None]


def test_there_is_one_for_the_process() -> None:
    made: list[Any] = []
    threads = [threading.Thread(target=lambda: made.append(event_loop())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert "netobj loop" in [thread.name for thread in threading.enumerate()]


def test_after_a_fork_a_new_one_is_made(monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    current = event_loop()
    monkeypatch.setattr(module, "_current", current)  # put back at the end
    module.after_fork_in_child()
    assert module._current is None
    other = event_loop()
    assert other is not current
    until(other.is_running)
    other.call_soon_threadsafe(other.stop)
    until(lambda: not other.is_running())
    other.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_serves_coroutines_on_a_loop_of_its_own() -> None:
    code = """
import asyncio, os, sys, netobj

class Later(netobj.Service):
    async def exposed_double(self, number):
        await asyncio.sleep(0)
        return 2 * number

def check():
    with netobj.connect_thread(remote_service=Later) as conn:
        assert conn.root.double(21) == 42

check()
pid = os.fork()
check()
if pid:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
os._exit(0)
"""
    quiet = ["-W", "ignore::DeprecationWarning"]  # of forking where threads run
    command = [sys.executable, *quiet, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_asyncio_is_imported_only_when_it_is_needed() -> None:
    code = """
import sys, netobj
with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
    assert netobj.async_(conn.root.eval)("1").value == 1
print("asyncio" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "False", run.stderr


# --- a blocking proxy on a loop -----------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_warned", False)


async def twice(conn: netobj.Connection) -> None:
    for _ in range(2):
        conn.root.eval("1")


@pytest.mark.usefixtures("fresh")
def test_a_blocking_proxy_on_a_loop_warns_once(pair: Pair) -> None:
    here, _ = pair()
    assert here.root.eval("1") == 1  # not on a loop
    with pytest.warns(RuntimeWarning, match=r"netobj\.aio") as caught:
        asyncio.run(twice(here))
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.usefixtures("fresh")
def test_waiting_for_a_hello_on_a_loop_warns_before_it_waits() -> None:
    one, other = socket.socketpair()

    async def main() -> None:
        conn = netobj.connect_stream(netobj.SocketStream(one))
        with conn, other, pytest.raises(RuntimeWarning, match=r"netobj\.aio"):
            conn.root  # noqa: B018

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())


@pytest.mark.usefixtures("fresh")
def test_another_thread_is_in_the_midst_of_importing_asyncio(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair()
    evaluate = here.root.eval
    monkeypatch.setattr(module, "_warned", False)
    monkeypatch.setitem(sys.modules, "asyncio.events", ModuleType("asyncio.events"))
    assert evaluate("6 * 7") == 42


def test_ipython_runs_its_cells_on_a_loop(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "get_ipython", lambda: None, raising=False)
    here, _ = pair()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(twice(here))


@pytest.mark.usefixtures("fresh")
def test_what_is_awaited_does_not_warn(pair: Pair) -> None:
    here, _ = pair()
    evaluate = netobj.async_(here.root.eval)

    async def main() -> int:
        value: int = await evaluate("1")
        return value

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asyncio.run(main()) == 1

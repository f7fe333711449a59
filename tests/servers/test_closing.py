"""Closing a server: the calls that run have time to end, and what is cut is known."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import netobj
from netobj.blocking import connection
from netobj.servers import closing
from patience import HANG, wait_until

KINDS = ("ThreadedServer", "ThreadPoolServer", "AsyncServer")


class Works(netobj.Service):
    """Calls that end when they are told to."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.inside = 0

    def exposed_wait(self) -> str:
        self.inside += 1
        assert self.gate.wait(HANG)
        return "done"

    async def exposed_wait_async(self) -> str:
        self.inside += 1
        while not self.gate.is_set():
            await asyncio.sleep(0.001)
        return "done"

    def exposed_call(self, function: Any) -> Any:
        self.inside += 1
        return function()

    def exposed_echo(self, value: Any) -> Any:
        return value


@pytest.fixture
def works() -> Iterator[Works]:
    works = Works()
    yield works
    works.gate.set()


class Closing(threading.Thread):
    """Closes a server in the background."""

    def __init__(self, server: Any, grace: float) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._grace = grace
        self.cut: Any = None
        self.start()

    def run(self) -> None:
        self.cut = self._server.close(grace=self._grace)

    def ended(self) -> Any:
        self.join(HANG)
        assert not self.is_alive()
        return self.cut


def serve(kind: str, works: Works) -> Any:
    return getattr(netobj, kind)(works, hostname="localhost")


@pytest.mark.parametrize("method", ["wait", "wait_async"])
@pytest.mark.parametrize("kind", KINDS)
def test_calls_that_run_may_end(kind: str, method: str, works: Works) -> None:
    with serve(kind, works) as server:
        port = server.port
        conn, idle = (netobj.connect("localhost", port) for _ in range(2))
        assert idle.root.echo(1) == 1
        result = netobj.async_(getattr(conn.root, method))()
        wait_until(lambda: works.inside)
        closing = Closing(server, HANG)
        wait_until(lambda: idle.closed)  # nothing runs for it
        assert not conn.closed
        with pytest.raises(ConnectionRefusedError):
            netobj.connect("localhost", port)
        late = netobj.async_(conn.root.echo)("late")
        works.gate.set()
        assert result.value == "done"
        assert closing.ended() == ()
        with pytest.raises(netobj.ConnectionLost):
            late.value  # noqa: B018
        wait_until(lambda: conn.closed)


@pytest.mark.parametrize("method", ["wait", "wait_async"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_end_is_cut_and_named(kind: str, method: str, works: Works) -> None:
    with serve(kind, works) as server, netobj.connect("localhost", server.port) as conn:
        result = netobj.async_(getattr(conn.root, method))()
        wait_until(lambda: works.inside)
        (cut,) = server.close(grace=0.05)
        assert method in cut.name
        with pytest.raises(netobj.ConnectionLost):
            result.value  # noqa: B018


@pytest.mark.parametrize("kind", KINDS)
def test_without_grace_everything_is_cut(kind: str, works: Works) -> None:
    with serve(kind, works) as server, netobj.connect("localhost", server.port) as conn:
        result = netobj.async_(conn.root.wait)()
        wait_until(lambda: works.inside)
        server.close()
        with pytest.raises(netobj.ConnectionLost):
            result.value  # noqa: B018
        assert server.close(grace=1) == ()  # it is closed


@pytest.mark.parametrize("kind", ["ThreadedServer", "ThreadPoolServer"])
def test_callbacks_of_what_runs_still_come_and_go(kind: str, works: Works) -> None:
    with serve(kind, works) as server, netobj.connect("localhost", server.port) as conn:
        begun, gate = threading.Event(), threading.Event()
        answers: list[Any] = []

        def back() -> str:
            begun.set()
            assert gate.wait(HANG)
            return str(conn.root.echo("nested"))  # in the chain of the call that runs

        thread = threading.Thread(target=lambda: answers.append(conn.root.call(back)))
        thread.start()
        assert begun.wait(HANG)
        closing = Closing(server, HANG)
        wait_until(lambda: server._closed)
        gate.set()
        assert closing.ended() == ()
        thread.join(HANG)
        assert answers == ["nested"]


STUCK = 100
"""So many that to wait for one after the other takes twice as long as HANG."""


@pytest.mark.parametrize("grace", [0, 0.01])
def test_those_whose_threads_do_not_come_are_waited_for_together(
    works: Works, grace: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (connection, closing):
        monkeypatch.setattr(module, "PATIENCE", 2 * HANG / STUCK)
    with netobj.ThreadPoolServer(works, hostname="localhost") as server:
        conns = [netobj.connect("localhost", server.port) for _ in range(STUCK)]
        assert [conn.root.echo(1) for conn in conns] == [1] * STUCK
        clients = server.connections
        for client in clients:
            wait_until(lambda client=client: client._reader.acquire(False))
        try:
            Closing(server, grace).ended()
            assert not any(client._released.is_set for client in clients)
        finally:
            for client in clients:
                client._reader.release()
        for conn in conns:
            wait_until(lambda conn=conn: conn.closed)
            conn.close()


def test_what_a_program_does_at_the_end_of_one_holds_up_no_other(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_root: Any) -> None:
        raise ValueError("odd")

    config = {"before_closed": fail}
    with netobj.ThreadedServer(works, hostname="localhost", protocol_config=config) as server:
        conns = [netobj.connect("localhost", server.port) for _ in range(3)]
        assert [conn.root.echo(1) for conn in conns] == [1, 1, 1]
        server.close()
        for conn in conns:
            wait_until(lambda conn=conn: conn.closed)
            conn.close()
    assert caplog.text.count("ValueError: odd") == 3


PROGRAM = """
import logging, signal, sys
import netobj

class Works(netobj.Service):
    def exposed_wait(self, begun, seconds):
        import time
        begun()
        time.sleep(seconds)
        return "done"

signal.signal(signal.SIGINT, signal.default_int_handler)
logging.basicConfig(stream=sys.stderr, format="%(message)s")
server = getattr(netobj, sys.argv[1])(Works, hostname="localhost", grace=float(sys.argv[2]))
print(server.port, flush=True)
server.start()
print("after start", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_ends_the_process_well(kind: str, number: int) -> None:
    command = [sys.executable, "-c", PROGRAM, kind, str(HANG)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with netobj.connect("localhost", port) as conn:
                begun = threading.Event()
                result = netobj.async_(conn.root.wait)(begun.set, 0.2)
                assert begun.wait(HANG)
                process.send_signal(number)
                assert result.value == "done"
            out, err = process.communicate(timeout=HANG)
        finally:
            process.kill()
    assert (out, process.returncode) == ("after start\n", 0)
    assert "Traceback" not in err


@pytest.mark.parametrize("kind", ["ThreadedServer", "ThreadPoolServer", "AsyncServer"])
def test_sigterm_as_soon_as_the_server_says_that_it_has_started(kind: str) -> None:
    """The handler of the log stands for a supervisor that reads it."""
    program = PROGRAM.replace(
        "server.start()",
        "class Reader(logging.Handler):\n"
        "    def emit(self, record):\n"
        "        if 'started' in record.getMessage():\n"
        "            signal.raise_signal(signal.SIGTERM)\n"
        "server.logger.setLevel(logging.INFO)\n"
        "server.logger.addHandler(Reader())\n"
        "server.start()",
    )
    command = [sys.executable, "-c", program, kind, "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)
    assert (done.stdout.splitlines()[1:], done.returncode) == (["after start"], 0)
    assert "Traceback" not in done.stderr


def test_a_signal_that_the_program_handles_is_its_own(tmp_path: Path) -> None:
    program = PROGRAM.replace(
        "server.start()", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); server.start()"
    )
    command = [sys.executable, "-c", program, "ThreadedServer", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with netobj.connect("localhost", port) as conn:
                conn.ping(timeout=HANG)
                process.send_signal(signal.SIGTERM)
                assert process.wait(HANG) == 7
        finally:
            process.kill()

"""Greenlets, in processes of their own: gevent changes the standard library for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import netobj
from patience import HANG

ROOT = Path(__file__).parents[2]

needs_gevent = pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")

BEGIN = """
from gevent import monkey
monkey.patch_all()
import gevent
import netobj, threading, time

class GreenService(netobj.Service):
    meeting = threading.Barrier(20)

    def exposed_echo(self, value): return value
    def exposed_greenlet(self): return type(gevent.getcurrent()).__module__.split(".")[0]
    def exposed_meet(self): return self.meeting.wait(20) >= 0
    def exposed_call(self, function): return function(20) + 1
    async def exposed_later(self): return "later"
    def exposed_count(self, most): yield from range(most)
"""


def run(program: str, first: str = BEGIN) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", first + program],
        capture_output=True,
        text=True,
        timeout=2 * HANG,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@needs_gevent
@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux does")
def test_gevent_server_serves_all_in_one_thread() -> None:
    out = run("""
with netobj.GeventServer(GreenService, hostname="localhost") as server:
    conns = [netobj.connect("localhost", server.port) for _ in range(20)]
    meetings = [gevent.spawn(conn.root.meet) for conn in conns]
    assert all(one.get(timeout=20) for one in meetings)
    assert {conn.root.greenlet() for conn in conns} == {"gevent"}
    for conn in conns:
        conn.close()
with open("/proc/self/status") as file:
    (threads,) = [line.split()[1] for line in file if line.startswith("Threads:")]
print(int(threads) <= 2)  # one may be gevent's, which has looked the host up
""")
    assert out == "True\n"


@needs_gevent
def test_calls_of_one_connection_run_side_by_side() -> None:
    run("""
with netobj.GeventServer(GreenService, hostname="localhost") as server:
    with netobj.connect("localhost", server.port) as conn:
        meetings = [gevent.spawn(conn.root.meet) for _ in range(19)]
        assert conn.root.meet()
        assert all(one.get(timeout=20) for one in meetings)
""")


@needs_gevent
def test_messages_of_all_sizes_arrive() -> None:
    """What takes several receives, or exactly one, waits for nothing that does not come."""
    run("""
with netobj.GeventServer(GreenService, hostname="localhost") as server:
    with netobj.connect("localhost", server.port) as conn:
        for size in (*range(380, 470), 65_535, 65_536, 5_000_000):
            assert conn.root.echo("x" * size) == "x" * size
""")


@needs_gevent
def test_callbacks_streams_and_coroutines() -> None:
    run("""
with netobj.GeventServer(GreenService, hostname="localhost") as server:
    with netobj.connect("localhost", server.port) as conn:
        assert conn.root.call(lambda n: 2 * n) == 41
        assert conn.root.later() == "later"
        assert list(conn.root.count(1000)) == list(range(1000))
        assert netobj.async_(conn.root.echo)(7).value == 7
        try:
            netobj.timed(conn.root.meet, 0.05)()
        except netobj.AsyncResultTimeout:
            pass
""")


@needs_gevent
def test_other_greenlets_run_while_one_waits_for_an_answer() -> None:
    out = run("""
done = []
def count():
    for _ in range(10):
        gevent.sleep(0.001)
    done.append(True)
    conn.root.meet()

with netobj.GeventServer(GreenService(), hostname="localhost") as server:
    GreenService.meeting = threading.Barrier(2)
    with netobj.connect("localhost", server.port) as conn:
        other = gevent.spawn(count)
        conn.root.meet()  # which ends only when the other greenlet has come so far
        print(done)
        other.join()
""")
    assert out == "[True]\n"


@needs_gevent
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_gevent_server(number: int) -> None:
    program = """
with netobj.connect_thread() as conn:  # of the main greenlet, before the server begins
    conn.ping()
server = netobj.GeventServer(GreenService, hostname="localhost")
print(server.port, flush=True)
server.start()
print("ended")
"""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as server:
        try:
            assert server.stdout is not None
            with netobj.connect("localhost", int(server.stdout.readline())) as conn:
                assert conn.root.echo(1) == 1
                server.send_signal(number)
                conn.wait_closed()
            assert server.stdout.read() == "ended\n"
            assert server.wait(HANG) == 0
        finally:
            server.kill()


@needs_gevent
def test_a_program_that_is_not_patched_is_told() -> None:
    out = run(
        """
try:
    netobj.GeventServer(netobj.VoidService)
except RuntimeError as exc:
    print(exc)
""",
        first="import netobj",
    )
    assert "has not patched the standard library before netobj was imported" in out


@needs_gevent
def test_patching_after_netobj_is_too_late() -> None:
    first = BEGIN.replace("from gevent", "import netobj.blocking.connection\nfrom gevent", 1)
    out = run(
        """
try:
    netobj.GeventServer(GreenService)
except RuntimeError as exc:
    print("refused")
""",
        first=first,
    )
    assert out == "refused\n"


def test_without_gevent_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gevent.monkey", None)
    monkeypatch.setitem(sys.modules, "gevent", None)
    with pytest.raises(ImportError, match=r"pip install 'netobj\[gevent\]'"):
        netobj.GeventServer(netobj.VoidService)

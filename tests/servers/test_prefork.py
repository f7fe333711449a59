"""Workers that share a port: replaced when they die, ended together, never left behind."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import netobj
from certificates import Certificates
from netobj import auth
from netobj.servers import master as master_module
from patience import HANG, wait_until
from remains import descriptors

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

KINDS = [netobj.ThreadedServer, netobj.ThreadPoolServer, netobj.AsyncServer]


class ProcessService(netobj.Service):
    def on_connect(self, conn: Any) -> None:
        self.conn = conn

    def exposed_pid(self) -> int:
        return os.getpid()

    def exposed_who(self) -> Any:
        return self.conn.config.credentials

    def exposed_cores(self) -> list[int]:
        return sorted(os.sched_getaffinity(0))

    def exposed_threads(self) -> list[str]:
        return [thread.name for thread in threading.enumerate()]

    def exposed_wait_for(self, path: str) -> str:
        Path(f"{path} is waited for by {os.getpid()}").touch()
        wait_until(Path(path).exists)
        return "it is there"

    def exposed_compute(self, seconds: float) -> int:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass
        return os.getpid()


def gone(pid: int) -> bool:
    """Whether there is no such process any more, or only what its parent has not reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@contextmanager
def serving(*args: Any, **how: Any) -> Iterator[netobj.PreforkServer]:
    """A server that is up, of two workers if nothing else is said."""
    how = {"hostname": "localhost", "workers": 2, **how}
    if "socket_path" in how:
        del how["hostname"]
    with netobj.PreforkServer(*(args or (ProcessService,)), **how) as server:
        assert isinstance(server, netobj.PreforkServer)
        wait_until(lambda: len(server.processes) == server.workers)
        yield server


def one_for_each(server: netobj.PreforkServer, stack: ExitStack) -> dict[int, Any]:
    """A connection to each of the workers, by their ids."""
    found: dict[int, Any] = {}
    end = time.monotonic() + HANG
    while set(found) != set(server.processes):
        assert time.monotonic() < end
        conn = stack.enter_context(netobj.connect("localhost", server.port))
        found[conn.root.pid()] = conn
    return found


def begun(path: Path, count: int) -> None:
    """Wait until so many calls run that wait for *path*."""
    wait_until(lambda: len(list(path.parent.glob(f"{path.name} is waited for by *"))) == count)


def refused(port: int) -> bool:
    """Whether nobody is accepted any more."""
    try:
        netobj.connect("localhost", port).close()
    except OSError:
        return True
    return False


def status_of(server: netobj.PreforkServer, path: str) -> str:
    return Path(f"/proc/{server._master}/{path}").read_text()


# --- serving ---------------------------------------------------------------------------------


def test_every_worker_serves(kind: Any) -> None:
    with serving(server=kind) as server, ExitStack() as stack:
        found = one_for_each(server, stack)
        assert len(found) == 2
        assert os.getpid() not in found
        assert server.connections == ()
        assert all(server.counts)
    assert server.counts == (0, 0)


def test_a_service_that_is_shared_is_copied_into_each_worker(kind: Any) -> None:
    class Counter(ProcessService):
        def __init__(self, count: int) -> None:
            self.count = count

        def exposed_count(self) -> int:
            self.count += 1
            return self.count

    with serving(Counter(5), server=kind) as server, ExitStack() as stack:
        assert [conn.root.count() for conn in one_for_each(server, stack).values()] == [6, 6]


def test_a_factory_makes_the_server_of_a_worker() -> None:
    four = functools.partial(netobj.ThreadPoolServer, nbThreads=4)
    with serving(server=four) as server, netobj.connect("localhost", server.port) as conn:
        assert conn.root.pid() in server.processes
        assert server._server.nbThreads == 4  # type: ignore[attr-defined]


def test_one_worker_for_each_core_that_may_be_used() -> None:
    server = netobj.PreforkServer(ProcessService, hostname="localhost")
    assert server.workers == len(os.sched_getaffinity(0))
    server.close()


def test_workers_stay_on_their_cores() -> None:
    cores = sorted(os.sched_getaffinity(0))
    with serving(bind_cores=True, workers=3) as server, ExitStack() as stack:
        found = one_for_each(server, stack)
        pinned = [found[pid].root.cores() for pid in server.processes]
        assert pinned == [[cores[seat % len(cores)]] for seat in range(3)]
    assert sorted(os.sched_getaffinity(0)) == cores


def test_each_worker_may_have_a_socket_of_its_own(kind: Any) -> None:
    with serving(server=kind, reuse_port=True) as server:
        assert len(server._more) == 1
        with netobj.connect("localhost", server.port) as conn:
            assert conn.root.pid() in server.processes
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        netobj.connect("localhost", port)


def test_unix_sockets(kind: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with serving(server=kind, socket_path=path) as server:
        with netobj.unix_connect(path) as conn:
            pid = conn.root.pid()
            os.kill(pid, signal.SIGTERM)  # one of them leaves: the path is the others'
            conn.wait_closed()
        wait_until(lambda: pid not in server.processes)
        with netobj.unix_connect(path) as conn:
            assert conn.root.pid() in server.processes
        assert server.host == path
    assert not os.path.exists(path)


def test_tls_and_who_is_let_in(kind: Any, certificates: Certificates) -> None:
    users = auth.UserAuthenticator({"tom": auth.hash_password("open sesame")})
    users.delay = 0.0
    with serving(server=kind, ssl_context=certificates.server, authenticator=users) as server:
        connect = functools.partial(
            netobj.connect, "localhost", server.port, ssl_context=certificates.client
        )
        with connect(authenticator=auth.UserLogin("tom", "open sesame")) as conn:
            assert conn.root.who() == "tom"
        with pytest.raises(netobj.AuthenticationError):
            connect(authenticator=auth.UserLogin("tom", "open barley"))


def test_clients_on_event_loops(kind: Any) -> None:
    async def main(port: int) -> int:
        async with netobj.aio.connect("localhost", port) as conn:
            found: int = await conn.root.pid()
            return found

    with serving(server=kind) as server:
        assert asyncio.run(main(server.port)) in server.processes


def test_the_room_is_that_of_the_whole_server(kind: Any) -> None:
    with serving(server=kind, max_connections=3) as server, ExitStack() as stack:
        conns = [stack.enter_context(netobj.connect("localhost", server.port)) for _ in range(3)]
        for conn in conns:
            conn.root.pid()
        with (
            netobj.connect("localhost", server.port) as more,
            pytest.raises(netobj.ConnectionLost, match="it has 3 connections, and takes no more"),
        ):
            more.root.pid()
        conns[0].close()
        served_soon(server)


def served_soon(server: netobj.PreforkServer) -> None:
    """There is room again for one more."""

    def served() -> bool:
        with netobj.connect("localhost", server.port) as conn:
            try:
                return conn.root.pid() in server.processes
            except netobj.ConnectionLost:
                return False

    wait_until(served)


def test_the_room_of_a_worker_that_dies_is_free_again(kind: Any) -> None:
    with serving(server=kind, max_connections=2) as server, ExitStack() as stack:
        for _ in range(2):
            conn = stack.enter_context(netobj.connect("localhost", server.port))
            pid = conn.root.pid()
        os.kill(pid, signal.SIGKILL)
        served_soon(server)


def test_who_fails_to_log_in_takes_no_room(kind: Any) -> None:
    token = auth.TokenAuthenticator("correct-horse-battery-staple")
    token.delay = 0.0
    with serving(server=kind, max_connections=1, authenticator=token) as server:
        wrong = auth.TokenAuthenticator("correct-horse-battery-stable")
        for _ in range(3):
            with pytest.raises((netobj.AuthenticationError, netobj.ConnectionLost)):
                netobj.connect("localhost", server.port, authenticator=wrong).root.pid()

        def served() -> bool:
            try:
                with netobj.connect("localhost", server.port, authenticator=token) as conn:
                    return conn.root.pid() in server.processes
            except (netobj.AuthenticationError, netobj.ConnectionLost, EOFError):
                return False

        wait_until(served)


def test_the_server_is_registered_once() -> None:
    said: list[Any] = []

    class Registrar:
        def register(self, aliases: Any, port: int, interface: str = "") -> bool:
            said.append((os.getpid(), port))
            return True

        def unregister(self, port: int) -> None:
            said.append(port)

    with serving(registrar=Registrar()) as server:
        wait_until(lambda: said)
    assert said == [(os.getpid(), server.port), server.port]


def test_what_is_not_for_workers() -> None:
    with pytest.raises(ValueError, match="takes no executor"):
        netobj.PreforkServer(ProcessService, executor=netobj.Pump())
    pumped = functools.partial(netobj.ThreadedServer, executor=netobj.Pump())
    with pytest.raises(ValueError, match="takes no executor"):
        netobj.PreforkServer(ProcessService, server=pumped)
    with pytest.raises(ValueError, match=r"makes a OneShotServer, and a worker runs one of Thr"):
        netobj.PreforkServer(ProcessService, server=netobj.OneShotServer)
    with pytest.raises(ValueError, match="workers is a number of processes"):
        netobj.PreforkServer(ProcessService, workers=0)
    with pytest.raises(ValueError, match="reuse_port is for ports"):
        netobj.PreforkServer(ProcessService, socket_path="x", reuse_port=True)


def test_a_system_without_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(socket, "SO_REUSEPORT")
        with pytest.raises(OSError, match="needs SO_REUSEPORT"):
            netobj.PreforkServer(ProcessService, reuse_port=True)
    with monkeypatch.context() as patch:
        patch.delattr(os, "sched_setaffinity")
        with pytest.raises(OSError, match="bind_cores needs sched_setaffinity"):
            netobj.PreforkServer(ProcessService, bind_cores=True)
    with monkeypatch.context() as patch:
        patch.delattr(os, "sched_getaffinity")
        assert netobj.PreforkServer(ProcessService).workers == os.cpu_count()
    with monkeypatch.context() as patch:
        patch.setattr("netobj.servers.prefork.COOPERATIVE", True)
        with pytest.raises(RuntimeError, match="gevent has replaced"):
            netobj.PreforkServer(ProcessService)
    monkeypatch.delattr(os, "fork")
    with pytest.raises(OSError, match="PreforkServer needs fork"):
        netobj.PreforkServer(ProcessService)


# --- workers that die ------------------------------------------------------------------------


def test_kill_9_of_a_worker_under_load_loses_only_what_it_ran(kind: Any) -> None:
    """Each of eight clients computes all the time; those of the killed worker fail once."""
    failed: list[tuple[int, str]] = []
    answers: list[int] = []
    stop = threading.Event()

    with serving(server=kind) as server, ExitStack() as stack:
        found: list[tuple[int, Any]] = []
        while len(found) < 8 or len({pid for pid, _ in found}) < 2:
            conn = stack.enter_context(netobj.connect("localhost", server.port))
            found.append((conn.root.pid(), conn))

        def use(pid: int, conn: Any) -> None:
            while not stop.is_set():
                try:
                    answers.append(conn.root.compute(0.005))
                except netobj.ConnectionLost as exc:
                    failed.append((pid, str(exc)))
                    with netobj.connect("localhost", server.port) as anew:
                        while not stop.is_set():
                            answers.append(anew.root.compute(0.005))
                    return

        threads = [threading.Thread(target=use, args=one) for one in found]
        for thread in threads:
            thread.start()
        wait_until(lambda: {pid for pid, _ in found} <= set(answers))
        victim = found[0][0]
        (other,) = {pid for pid, _ in found} - {victim}
        os.kill(victim, signal.SIGKILL)
        # Its clients are lost, each in the call that it ran; a new worker takes its place.
        wait_until(lambda: len(failed) == sum(pid == victim for pid, _ in found))
        wait_until(lambda: len(server.processes) == 2 and victim not in server.processes)
        (new,) = set(server.processes) - {other}
        stack.enter_context(netobj.connect("localhost", server.port))

        def the_new_one_serves() -> bool:
            with netobj.connect("localhost", server.port) as conn:
                return bool(conn.root.pid() == new)

        wait_until(the_new_one_serves)
        count = len(answers)
        wait_until(lambda: len(answers) > count + 20)  # all goes on
        stop.set()
        for thread in threads:
            thread.join(HANG)
        assert {pid for pid, _ in failed} == {victim}
        for _, text in failed:
            assert "closed" in text or "reset" in text, text
        assert other in answers[count:]


def test_a_worker_that_is_told_to_end_lets_its_calls_end(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "end"
    with (
        serving(server=kind, workers=1, grace=HANG) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        pid = conn.root.pid()
        result = netobj.async_(conn.root.wait_for)(str(path))
        begun(path, 1)
        os.kill(pid, signal.SIGTERM)
        path.touch()
        assert result.value == "it is there"
        conn.wait_closed()
        wait_until(lambda: server.processes and pid not in server.processes)
        served_soon(server)


def test_who_connects_while_there_is_no_worker_is_served_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(workers=1) as server:
        (pid,) = server.processes
        os.kill(pid, signal.SIGSTOP)
        conns = [netobj.connect("localhost", server.port) for _ in range(5)]
        os.kill(pid, signal.SIGKILL)
        for conn in conns:
            assert conn.root.pid() != pid
            conn.close()


def test_a_worker_that_dies_at_once_is_started_later_and_later(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(master_module, "FIRST_PAUSE", 0.001)
    caplog.set_level(logging.ERROR)
    fine = tmp_path / "fine"

    def new_event_loop() -> asyncio.AbstractEventLoop:
        if not fine.exists():
            os._exit(7)
        return asyncio.new_event_loop()

    kind = functools.partial(netobj.AsyncServer, new_event_loop=new_event_loop)
    server = netobj.PreforkServer(ProcessService, hostname="localhost", workers=1, server=kind)
    with server:

        def pauses() -> list[str]:
            texts = [record.getMessage() for record in caplog.records]
            return [text for text in texts if "has ended (exit code 7): another starts" in text]

        wait_until(lambda: len(pauses()) >= 9)
        assert pauses()[0].endswith("in 0.0 seconds")
        assert pauses()[8].endswith("in 0.3 seconds")
        fine.touch()
        served_soon(server)


def test_how_long_a_seat_stays_empty() -> None:
    seat = master_module._Seat()
    assert [seat.pause(0.0) for _ in range(3)] == [0.1, 0.2, 0.4]
    assert [seat.pause(0.0) for _ in range(20)][-1] == master_module.LONGEST_PAUSE
    assert seat.pause(master_module.STEADY) == 0
    assert seat.pause(0.0) == 0.1


def test_a_server_that_raises_in_its_worker_says_so(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def new_event_loop() -> asyncio.AbstractEventLoop:
        raise LookupError("no such loop")

    log = logging.Logger("test")
    log.addHandler(logging.StreamHandler())
    kind = functools.partial(netobj.AsyncServer, new_event_loop=new_event_loop)
    err = []

    def said() -> bool:
        err.append(capfd.readouterr().err)
        return "LookupError: no such loop" in "".join(err)

    with netobj.PreforkServer(
        ProcessService, hostname="localhost", workers=1, server=kind, logger=log
    ):
        wait_until(said)
    assert "a worker of the server failed" in "".join(err)


# --- the end ---------------------------------------------------------------------------------


def test_closing_lets_calls_end_and_accepts_nobody(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "end"
    with serving(server=kind) as server, ExitStack() as stack:
        found = one_for_each(server, stack)
        results = [netobj.async_(conn.root.wait_for)(str(path)) for conn in found.values()]
        begun(path, 2)
        closing = threading.Thread(target=server.close, args=(HANG,))
        closing.start()
        wait_until(lambda: refused(server.port))
        path.touch()
        assert [result.value for result in results] == ["it is there"] * 2
        closing.join(HANG)
        for pid, conn in found.items():
            conn.wait_closed()
            assert "the other side closed the connection" in str(conn.session.lost)
            assert gone(pid)
        assert server.processes == ()


def test_closing_ends_workers_that_do_not_listen(kind: Any) -> None:
    with serving(server=kind, workers=1) as server:
        (pid,) = server.processes
        os.kill(pid, signal.SIGSTOP)
        server.close()
        assert gone(pid)


def test_closing_again_and_before_the_start() -> None:
    server = netobj.PreforkServer(ProcessService, hostname="localhost")
    server.close()
    server.close()
    server.start()
    assert server.processes == ()
    with pytest.raises(OSError, match="the server is closed"):
        _ = server.port


def test_the_end_of_the_master_is_that_of_the_workers(kind: Any) -> None:
    server = netobj.PreforkServer(ProcessService, hostname="localhost", workers=2, server=kind)
    raised: list[BaseException] = []

    def start() -> None:
        try:
            server.start()
        except RuntimeError as exc:
            raised.append(exc)

    port = server.port
    thread = threading.Thread(target=start)
    thread.start()
    with netobj.connect("localhost", port) as conn:
        conn.root.pid()
        pids = server.processes
        os.kill(server._master, signal.SIGKILL)
        conn.wait_closed()
    thread.join(HANG)
    assert "master process has ended (signal 9)" in str(raised[0])
    wait_until(lambda: all(map(gone, pids)))


def test_the_master_runs_nothing_of_the_programs() -> None:
    """It has one thread, and neither the program's connections nor its ends of the orders."""
    other = netobj.PreforkServer(ProcessService, hostname="localhost", workers=1)
    with serving() as server, netobj.connect("localhost", server.port) as conn, other:
        assert "Threads:\t1\n" in status_of(server, "status")
        assert "Threads:\t1\n" in status_of(other, "status")
        conn.root.pid()
        # The other's master was forked while this connection and this server were there.
        server.close()
        conn.wait_closed()


def test_begins_in_a_process_with_busy_threads() -> None:
    """What threads have locked while the server forks hangs no worker."""
    stop = threading.Event()
    log = logging.getLogger("busy")
    log.addHandler(logging.NullHandler())

    def work(conn: Any) -> None:
        while not stop.is_set():
            log.error("%s", conn.root.eval("1 + 1"))

    with ExitStack() as stack:
        threads = []
        for _ in range(3):
            conn = stack.enter_context(
                netobj.connect_thread(netobj.VoidService, {}, netobj.SlaveService)
            )
            threads.append(threading.Thread(target=work, args=(conn,)))
        for thread in threads:
            thread.start()
        try:
            for kind in KINDS * 2:
                with serving(server=kind) as server:
                    served_soon(server)
        finally:
            stop.set()
            for thread in threads:
                thread.join(HANG)


def test_nothing_is_left_in_the_program() -> None:
    with serving():
        pass
    before, processes = descriptors(), children()
    for _ in range(3):
        with serving(reuse_port=True), serving():
            pass
    wait_until(lambda: descriptors() <= before)
    assert children() <= processes


def children() -> set[str]:
    """The ids of this process's children, those that nobody has reaped included."""
    mine = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == os.getpid():
            mine.add(stat.parent.name)
    return mine


# --- signals, in programs of their own -------------------------------------------------------

PROGRAM = """
import os, sys, time, signal
from pathlib import Path
import netobj

class Service(netobj.Service):
    def exposed_pid(self): return os.getpid()
    def exposed_wait_for(self, path):
        Path(f"{path} is waited for by {os.getpid()}").touch()
        while not Path(path).exists():
            time.sleep(0.001)
        return "it is there"
    def exposed_hang(self, path):
        Path(f"{path} is waited for by {os.getpid()}").touch()
        while True:
            time.sleep(0.01)
    def on_disconnect(self, conn):
        sys.stderr.write("over\\n")

server = netobj.PreforkServer(
    Service, hostname="localhost", workers=2, graceful_timeout=60.0,
    server=getattr(netobj, sys.argv[1]),
)
print("unflushed ", end="")
print(server.port, flush=True)
print("waits in the buffer")
server.run_forever()
assert not server.processes
"""


@contextmanager
def program(kind: Any, text: str = PROGRAM) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program that serves, in a group of its own as one of a terminal, and its port."""
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", text, kind.__name__],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline().split()[1])
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What *process*, which ends well, has still written, on its two streams."""
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.read(), process.stderr.read()
    assert process.wait(HANG) == 0, err
    return out, err


def members(group: int) -> list[int]:
    """The processes of *group* that are not gone."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


SIGNALS: list[Callable[[int], None]] = [
    lambda pid: os.kill(pid, signal.SIGTERM),
    lambda pid: os.kill(pid, signal.SIGINT),
    lambda pid: os.killpg(pid, signal.SIGTERM),  # as a service manager does
    lambda pid: os.killpg(pid, signal.SIGINT),  # as a terminal does
]
WAYS = pytest.mark.parametrize(
    "give", SIGNALS, ids=["SIGTERM", "SIGINT", "SIGTERM to all", "Ctrl-C"]
)


@WAYS
def test_one_signal_drains_all(kind: Any, give: Callable[[int], None], tmp_path: Path) -> None:
    path = tmp_path / "end"
    with program(kind) as (process, port), netobj.connect("localhost", port) as conn:
        conn.root.pid()
        result = netobj.async_(conn.root.wait_for)(str(path))
        begun(path, 1)
        give(process.pid)
        wait_until(lambda: refused(port))
        path.touch()
        assert result.value == "it is there"
        conn.wait_closed()
        out, err = ended(process)
        assert out == "waits in the buffer\n"
        assert "over\n" in err
        assert "Error" not in err
        assert "Warning" not in err
        assert members(process.pid) == []


@WAYS
def test_a_second_signal_cuts(kind: Any, give: Callable[[int], None], tmp_path: Path) -> None:
    path = tmp_path / "end"
    with program(kind) as (process, port), netobj.connect("localhost", port) as conn:
        conn.root.pid()
        result = netobj.async_(conn.root.hang)(str(path))
        begun(path, 1)
        give(process.pid)
        wait_until(lambda: refused(port))
        give(process.pid)
        with pytest.raises(netobj.ConnectionLost):
            _ = result.value
        ended(process)
        assert members(process.pid) == []


@pytest.mark.parametrize("whom", ["the program", "the master"])
def test_no_process_is_left_when_one_is_killed(kind: Any, whom: str, tmp_path: Path) -> None:
    path = tmp_path / "end"
    with program(kind) as (process, port), netobj.connect("localhost", port) as conn:
        worker = conn.root.pid()
        netobj.async_(conn.root.hang)(str(path))
        begun(path, 1)
        stat = Path(f"/proc/{worker}/stat").read_text()
        master = int(stat.rpartition(")")[2].split()[1])
        wait_until(lambda: len(members(process.pid)) == 4)
        os.kill(process.pid if whom == "the program" else master, signal.SIGKILL)
        conn.wait_closed()
        process.communicate(timeout=HANG)
        wait_until(lambda: members(process.pid) == [])


def where() -> int:
    return os.getpid()


def test_a_pool_of_a_worker_that_is_killed_ends() -> None:
    calculator = netobj.FunctionService("calc")
    calculator.register(where, run="process")
    calculator.register(where, name="pid")
    with (
        serving(calculator, workers=1) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        pooled = conn.root.where()
        assert pooled not in (os.getpid(), conn.root.pid())
        os.kill(conn.root.pid(), signal.SIGKILL)
        wait_until(lambda: gone(pooled))


@pytest.mark.parametrize("whom", ["the program", "the master"])
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no pidfd_open")
def test_no_process_is_left_that_does_not_let_go_of_the_interpreter(
    whom: str, tmp_path: Path
) -> None:
    path = tmp_path / "end"
    text = PROGRAM.replace(
        "    def exposed_hang(self, path):\n",
        "    def exposed_hang(self, path):\n"
        "        pause = ctypes.PyDLL(None).pause\n"
        "        Path(f'{path} is waited for by {os.getpid()}').touch()\n"
        "        while True: pause()\n",
    ).replace("import os, sys", "import ctypes, os, sys")
    kind = netobj.ThreadedServer
    with program(kind, text) as (process, port), netobj.connect("localhost", port) as conn:
        worker = conn.root.pid()
        netobj.async_(conn.root.hang)(str(path))
        begun(path, 1)
        stat = Path(f"/proc/{worker}/stat").read_text()
        master = int(stat.rpartition(")")[2].split()[1])
        os.kill(process.pid if whom == "the program" else master, signal.SIGKILL)
        process.communicate(timeout=HANG)
        wait_until(lambda: members(process.pid) == [])


CHILD = """
server.__enter__()
os.set_inheritable(server._link.fileno(), True)
sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
print(os.posix_spawn(sys.executable, sleep, os.environ), flush=True)
time.sleep(1000)
"""


def test_no_process_is_left_though_another_has_the_end_of_the_programs(kind: Any) -> None:
    """A child of the program's that keeps its descriptors open, as a careless one does."""
    text = PROGRAM.replace("server.run_forever()", CHILD)
    with program(kind, text) as (process, port), netobj.connect("localhost", port) as conn:
        conn.root.pid()
        assert process.stdout is not None
        _, child = (process.stdout.readline() for _ in range(2))
        os.kill(process.pid, signal.SIGKILL)
        conn.wait_closed()
        wait_until(lambda: members(process.pid) == [int(child)])


# --- the other servers -----------------------------------------------------------------------


def test_other_names_of_the_end_and_the_beginning() -> None:
    for one in (*KINDS, netobj.PreforkServer):
        server = one(ProcessService, hostname="localhost", graceful_timeout=7)
        assert server.grace == 7
        assert one(ProcessService, hostname="localhost").grace == 3
        with pytest.raises(ValueError, match="grace and graceful_timeout are the same"):
            one(ProcessService, grace=1, graceful_timeout=1)
        thread = threading.Thread(target=server.run_forever)
        port = server.port
        thread.start()
        with netobj.connect("localhost", port) as conn:
            assert conn.root.pid()
        server.close()
        thread.join(HANG)
        assert not thread.is_alive()

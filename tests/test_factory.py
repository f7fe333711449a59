from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

import netobj
from listening import listening
from netobj.blocking.channel import Channel
from netobj.blocking.streams import SocketStream
from netobj.servers.base import Server
from patience import HANG, has_ipv6_loopback

SERVE_STDIO = """
import os, sys
import netobj
incoming, outgoing = os.dup(0), os.dup(1)
os.dup2(2, 1)
netobj.connect_pipes(incoming, outgoing, netobj.SlaveService).serve_all()
"""
CHILD = [sys.executable, "-c", SERVE_STDIO]


class Calculator(netobj.Service):
    def exposed_add(self, a: int, b: int) -> int:
        return a + b


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def test_connect() -> None:
    with (
        netobj.ThreadedServer(Calculator, hostname="localhost") as server,
        netobj.connect("localhost", server.port, keepalive=True) as conn,
    ):
        assert conn.root.add(1, 2) == 3
        sock = conn._channel.stream.sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert conn._config["endpoints"] == (sock.getsockname(), sock.getpeername())


def test_keepalive_probes_an_idle_connection() -> None:
    with netobj.ThreadedServer(Calculator, hostname="localhost") as server:
        with netobj.connect("localhost", server.port, keepalive=True) as conn:
            sock = conn._channel.stream.sock
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_KEEPIDLE"):
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 60
        with netobj.connect("localhost", server.port) as conn:
            sock = conn._channel.stream.sock
            assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_keepalive_is_checked_before_connecting() -> None:
    with pytest.raises(ValueError, match=r"keepalive is 0\.5: give seconds, from 1 to 32767"):
        netobj.connect("localhost", 1, keepalive=0.5)


needs_ipv6 = pytest.mark.skipif(
    not has_ipv6_loopback(), reason="this machine has no IPv6 loopback address"
)


@needs_ipv6
@pytest.mark.parametrize("told", [{"hostname": "::1", "ipv6": True}, {"hostname": "::1"}])
def test_connect_over_ipv6(told: dict[str, Any]) -> None:
    with (
        netobj.ThreadedServer(Calculator, **told) as server,
        netobj.connect("::1", server.port, ipv6=True) as conn,
    ):
        assert server.host == "::1"
        assert conn.root.add(1, 2) == 3
        assert conn.stream.name.startswith("[::1]:")


@needs_ipv6
@pytest.mark.parametrize(
    "kind", [netobj.ThreadedServer, netobj.ThreadPoolServer, netobj.OneShotServer]
)
def test_a_server_for_all_ipv6_addresses(kind: type[Server]) -> None:
    with kind(Calculator, ipv6=True) as server:
        assert server.host == "::"
        with netobj.connect("::1", server.port, ipv6=True) as conn:
            assert conn.root.add(1, 2) == 3


@needs_ipv6
def test_ipv6_is_not_found_where_there_is_only_ipv4() -> None:
    with (
        netobj.ThreadedServer(Calculator, hostname="127.0.0.1") as server,
        pytest.raises(OSError, match=f"127.0.0.1:{server.port}"),
    ):
        netobj.connect("127.0.0.1", server.port, ipv6=True)


def test_nobody_answers() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError, match=f"localhost:{port}"):
        netobj.connect("localhost", port)


def test_an_unknown_host() -> None:
    with pytest.raises(OSError, match=r"no-such-host.invalid:1"):
        netobj.connect("no-such-host.invalid", 1)


def test_unix_connect(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with netobj.ThreadedServer(Calculator, socket_path=path), netobj.unix_connect(path) as conn:
        assert conn.root.add(1, 2) == 3
        assert conn.stream.name == f"unix:{path}"
    with pytest.raises(FileNotFoundError, match=f"unix:{path}"):
        netobj.unix_connect(path)


def test_connect_pipes() -> None:
    here, theirs = os.pipe()
    there, ours = os.pipe()
    with (
        netobj.connect_pipes(there, theirs, Calculator) as one,
        netobj.connect_pipes(os.fdopen(here, "rb"), os.fdopen(ours, "wb")) as conn,
    ):
        assert conn.root.add(1, 2) == 3
        data = os.urandom(5 * 2**20)
        conn.ping()
        assert one.root is not None
        assert conn.root.add(data, data) == data + data
    for fd in (here, theirs, there, ours):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_pipes_end_on_both_sides() -> None:
    here, theirs = os.pipe()
    there, ours = os.pipe()
    one = netobj.connect_pipes(there, theirs, Calculator)
    conn = netobj.connect_pipes(here, ours)
    root = conn.root
    one.close()
    conn.wait_closed()
    with pytest.raises(EOFError):
        root.add(1, 2)
    conn.close()


def test_connect_stream_and_connect_channel() -> None:
    one, other = socket.socketpair()
    with (
        netobj.connect_stream(SocketStream(one), Calculator),
        netobj.connect_channel(Channel(SocketStream(other))) as conn,
    ):
        assert conn.root.add(1, 2) == 3


def test_connect_subproc() -> None:
    with netobj.connect_subproc(CHILD) as conn:
        assert conn.root.eval("__import__('os').getpid()") == conn.proc.pid
        assert listening(conn.proc.pid) == []  # nobody else can reach it
        data = os.urandom(3 * 2**20)
        assert conn.root.eval("lambda data: data")(data) == data
    assert conn.proc.wait(20) == 0


STDPIPES = """
import os, subprocess, sys
import netobj
conn = netobj.connect_stdpipes(netobj.SlaveService)
print("after")
os.system("echo from the shell")
conn.serve_all()
"""


def test_connect_stdpipes() -> None:
    proc = subprocess.Popen(
        [sys.executable, "-c", STDPIPES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    with proc, netobj.connect_pipes(proc.stdout, proc.stdin) as conn:
        assert conn.root.eval("__import__('os').getpid()") == proc.pid
        conn.root.execute("import sys; print('and later', flush=True)")
        assert conn.root.eval("sys.stdin.read()") == ""
        data = os.urandom(2**20)
        assert conn.root.eval("lambda data: data")(data) == data
        conn.close()
        assert proc.wait(HANG) == 0
        assert proc.stderr is not None
        said = sorted(proc.stderr.read().splitlines())
        assert said == [b"after", b"and later", b"from the shell"]


def test_connect_stdpipes_without_standard_error() -> None:
    program = STDPIPES.replace("conn = ", "os.close(2)\nconn = ", 1)
    with netobj.connect_subproc([sys.executable, "-c", program]) as conn:
        conn.root.execute("print('nowhere', flush=True)")
        assert conn.root.eval("1 + 1") == 2
    assert conn.proc.wait(HANG) == 0


def test_a_killed_child_fails_pending_calls_at_once() -> None:
    conn = netobj.connect_subproc(CHILD)
    sleep = conn.root.eval("__import__('time').sleep")
    result = netobj.async_(sleep)(60)
    errors: list[BaseException] = []

    def call() -> None:
        try:
            sleep(60)
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    conn.ping()
    began = time.monotonic()
    conn.proc.send_signal(signal.SIGKILL)
    with pytest.raises(netobj.ConnectionLost, match="closed the connection"):
        result.value  # noqa: B018
    thread.join(20)
    assert isinstance(errors[0], netobj.ConnectionLost)
    assert time.monotonic() - began < 10
    conn.proc.wait(20)
    conn.close()


def test_connect_thread() -> None:
    heard: list[str] = []

    class Client(netobj.Service):
        def exposed_hear(self, text: str) -> None:
            heard.append(text)

    class Server(netobj.Service):
        def exposed_tell(self, client: Any) -> int:
            client.hear("hello")
            return 1

        def on_connect(self, conn: netobj.Connection) -> None:
            self.conn = conn

        def exposed_greet(self) -> None:
            self.conn.root.hear("greeted")

    with netobj.connect_thread(Client, {}, Server, {"allow_public_attrs": True}) as conn:
        conn.root.greet()
    assert heard == ["greeted"]


def test_settings_of_the_program_win_over_those_of_the_service() -> None:
    class Open(netobj.Service):
        CONFIG: ClassVar[dict[str, Any]] = {"allow_public_attrs": True, "sync_request_timeout": 7}

    with netobj.connect_thread(Open, {"sync_request_timeout": 9}) as conn:
        assert conn._config["allow_public_attrs"] is True
        assert conn._config["sync_request_timeout"] == 9


def test_a_chain_through_three_processes_comes_back_to_its_thread() -> None:
    """A calls B, which calls C, which calls A: in the thread of A that waits."""
    with netobj.connect_subproc(CHILD) as conn:
        conn.root.execute(
            "import netobj, sys\n"
            f"onward = netobj.connect_subproc([sys.executable, '-c', {SERVE_STDIO!r}])\n"
            "apply = onward.root.eval('lambda f, *args: f(*args)')\n"
            "def through(f, *args): return apply(f, *args)\n"
            "def pids(): return os.getpid(), onward.root.eval(\"__import__('os').getpid()\")\n"
            "import os\n"
        )
        through, pids = conn.root.eval("through"), conn.root.eval("pids")()
        assert len({os.getpid(), *pids}) == 3
        lock = threading.RLock()
        seen: list[tuple[int, int, bool]] = []

        def callback(level: int) -> int:
            with lock:
                seen.append((os.getpid(), threading.get_ident(), level == 0))
                return 0 if level == 0 else through(callback, level - 1) + 1

        with lock:
            assert through(callback, 3) == 3
        assert {entry[:2] for entry in seen} == {(os.getpid(), threading.get_ident())}
        assert len(seen) == 4

        mine = LookupError("mine")

        def fail() -> None:
            raise mine

        with pytest.raises(LookupError) as caught:
            through(fail)
        assert caught.value is mine
        conn.root.execute("onward.close(); onward.proc.wait()")
    assert conn.proc.wait(20) == 0


def test_the_exit_of_a_process_says_goodbye() -> None:
    with netobj.connect_subproc(CHILD) as conn:
        leave = conn.root.eval("__import__('os')._exit")
        with pytest.raises(netobj.ConnectionLost):
            leave(0)
        conn.proc.wait(20)

    program = SERVE_STDIO.replace(".serve_all()", ".root.done()")

    class Done(netobj.Service):
        def exposed_done(self) -> None:
            pass

    process = [sys.executable, "-c", program]
    with netobj.connect_subproc(process, Done) as conn:
        conn.wait_closed()
        assert "the process of the other side ended" in str(conn.session.lost)
        assert conn.proc.wait(20) == 0


def test_a_child_that_is_no_server(caplog: pytest.LogCaptureFixture) -> None:
    conn = netobj.connect_subproc([sys.executable, "-c", "print('hello, world')"])
    with pytest.raises(netobj.ConnectionLost, match="does not speak netobj"):
        conn.root  # noqa: B018
    conn.close()
    conn.proc.wait(20)
    end = time.monotonic() + 10
    while "b'hello, wor'" not in caplog.text:  # a worker logs it
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_program_that_does_not_exist() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        netobj.connect_subproc(["/no/such/program"])
    assert set(os.listdir("/proc/self/fd")) == before


def test_importing_the_package_is_enough(tmp_path: Path) -> None:
    program = (
        "import netobj\n"
        "with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:\n"
        "    print(conn.root.eval('6 * 7'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"42\n", b"")

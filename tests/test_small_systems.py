"""What easyrpc, pymprpc and rap promised, row by row, each under a test of its name.

What is no row here is in a plan of its own, since more than this has to be there first: calls that
survive a change of the connection (easyrpc's ``unstable_network``), registries in etcd (its notice
service) and Redis, rap's sessions, its HTTP gateway and tracing, and balancing over several hosts.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

import netobj
from netobj import aio, auth
from netobj.interceptors import (
    AccessLog,
    AllowNetworks,
    Direction,
    MaxConnections,
    RateLimit,
    Trace,
)
from patience import HANG, wait_until
from quick_starts import STYLES

ROWS = """
    easyrpc_register easyrpc_sync_and_async easyrpc_prefork easyrpc_maximum_flow
    easyrpc_process_pool easyrpc_magic_call
    pymprpc_context_manager pymprpc_register_function_and_instance pymprpc_system
    pymprpc_streaming pymprpc_executor pymprpc_login pymprpc_heartbeat_and_reconnect
    pymprpc_without_return pymprpc_debug pymprpc_compression
    rap_register rap_client_stubs rap_async_iterators rap_channel rap_tls rap_middleware
    rap_encrypted_transport rap_limits rap_access_log_and_context
""".split()


def test_every_row_has_a_test() -> None:
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert [row for row in ROWS if row not in tests] == []


@pytest.fixture
def calc() -> netobj.FunctionService:
    svc = netobj.FunctionService("calc")

    @svc.register(idempotent=True)
    def add(a: int, b: int) -> int:
        return a + b

    @svc.register
    async def add_later(a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    return svc


@pytest.fixture
def port(calc: netobj.FunctionService) -> Iterator[int]:
    with netobj.AsyncServer(calc, hostname="127.0.0.1") as server:
        yield server.port


def test_easyrpc_register() -> None:
    svc = netobj.FunctionService("easy")

    @svc.register(name="plus", timeout=10, limit=3)
    def add(a: int, b: int) -> int:
        return a + b

    assert add(1, 2) == 3
    with netobj.connect_thread(remote_service=svc) as conn:
        assert conn.root.plus(1, 2) == 3
        with pytest.raises(AttributeError):
            conn.root.add(1, 2)


def test_easyrpc_sync_and_async(port: int) -> None:
    with netobj.connect("127.0.0.1", port) as conn:
        assert conn.root.add(1, 2) == conn.root.add_later(1, 2) == 3
        results = [netobj.async_(conn.root.add_later)(n, 1) for n in range(100)]
        assert [result.value for result in results] == list(range(1, 101))

    async def main() -> list[int]:
        async with aio.connect("127.0.0.1", port) as there:
            return await asyncio.gather(*(there.root.add(n, 1) for n in range(100)))

    assert asyncio.run(main()) == list(range(1, 101))


def test_easyrpc_prefork(calc: netobj.FunctionService) -> None:
    calc.register(os.sched_getaffinity, name="cores")
    cores = sorted(os.sched_getaffinity(0))
    with (
        netobj.PreforkServer(calc, "127.0.0.1", workers=2, bind_cores=True) as server,
        netobj.connect("127.0.0.1", server.port) as conn,
    ):
        assert conn.root.add(1, 2) == 3
        (core,) = netobj.copy_of(conn.root.cores(0))
        assert core in cores
        wait_until(lambda: len(server.processes) == 2)


def test_easyrpc_maximum_flow() -> None:
    """Never more than allowed inside, and no place is lost to those that raise."""
    svc = netobj.FunctionService("flow")
    inside = threading.Semaphore(2)

    @svc.register(limit=2, queue=1000, concurrent=True)
    def work(fails: bool) -> None:
        assert inside.acquire(blocking=False)
        inside.release()
        if fails:
            raise ValueError("no")

    with netobj.connect_thread(remote_service=svc) as conn:
        results = [netobj.async_(conn.root.work)(True) for _ in range(200)]
        assert all(type(result.error) is bool and result.wait() is None for result in results)
        assert all(result.error for result in results)
        conn.root.work(False)


def test_easyrpc_process_pool() -> None:
    svc, _ = STYLES["easyrpc"]()
    with (
        netobj.ThreadedServer(svc, hostname="127.0.0.1") as server,
        netobj.connect("127.0.0.1", server.port) as conn,
    ):
        assert conn.root.fib_sync(15) == 610


def test_easyrpc_magic_call() -> None:
    """A function of the caller's runs over there: only where a whole interpreter is offered."""
    with netobj.classic.connect_thread() as conn:
        power = netobj.classic.teleport_function(conn, lambda x, y: x**2 + y)
        assert power(11, 10) == 131


SERVER = """
import netobj
svc = netobj.FunctionService("slow")
@svc.register
def wait(seconds):
    import time
    print("begun", flush=True)
    time.sleep(seconds)
    return "ended"
server = netobj.ThreadedServer(svc, hostname="127.0.0.1", graceful_timeout=30)
print(server.port, flush=True)
server.run_forever()
print("closed", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM is POSIX's")
def test_pymprpc_context_manager() -> None:
    """Calls that run when the signal comes have time to end."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        with netobj.connect("127.0.0.1", int(process.stdout.readline())) as conn:
            call = netobj.async_(conn.root.wait)(0.3)
            assert process.stdout.readline() == "begun\n"
            process.send_signal(signal.SIGTERM)
            assert call.value == "ended"
        assert process.stdout.readline() == "closed\n"
    assert process.returncode == 0


def test_pymprpc_register_function_and_instance() -> None:
    svc = netobj.FunctionService("pym")

    class Adder:
        def add(self, a: int, b: int) -> int:
            return a + b

        def _private(self) -> None:
            raise AssertionError

    svc.mount("adder", Adder(), public=True)
    with netobj.connect_thread(remote_service=svc) as conn:
        assert conn.root.adder.add(1, 2) == 3
        with pytest.raises(AttributeError):
            conn.root.adder._private()


def test_pymprpc_system(calc: netobj.FunctionService) -> None:
    with (
        netobj.ThreadedServer(calc, hostname="127.0.0.1", introspect=True) as server,
        netobj.connect("127.0.0.1", server.port) as conn,
    ):
        assert {one["name"] for one in conn.root.system.methods()} >= {"add", "add_later"}
        assert "(a: int, b: int) -> int" in conn.root.system.signature("add")
        assert conn.root.system.connections()["count"] == 1
    with netobj.connect_thread(remote_service=calc) as conn, pytest.raises(AttributeError):
        conn.root.system.methods()


def test_pymprpc_streaming() -> None:
    """An error in the midst of a stream is the consumer's, and back-pressure the producer's."""
    svc = netobj.FunctionService("streams")
    made = []

    @svc.register
    def numbers() -> Iterator[int]:
        for number in range(10**9):
            made.append(number)
            yield number

    @svc.register
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with netobj.connect_thread(remote_service=svc) as conn:
        stream = iter(conn.root.numbers())
        assert [next(stream) for _ in range(3)] == [0, 1, 2]
        stream.close()
        assert len(made) < 100_000
        with pytest.raises(ValueError, match="no more"):
            list(conn.root.broken())


def test_pymprpc_executor() -> None:
    svc = netobj.FunctionService("places")
    svc.register(threading.get_ident, name="thread", run="thread")
    svc.register(os.getpid, name="process", run="process")
    with (
        netobj.AsyncServer(svc, hostname="127.0.0.1") as server,
        netobj.connect("127.0.0.1", server.port) as conn,
    ):
        assert conn.root.thread() != threading.get_ident()
        assert conn.root.process() != os.getpid()


def test_pymprpc_login(calc: netobj.FunctionService, tmp_path: Any) -> None:
    """``netobj+unix://USER:PASSWORD@/PATH``; nothing is served before."""
    path = str(tmp_path / "socket")
    users = auth.UserAuthenticator({"admin": auth.hash_password("admin secret")})
    with netobj.ThreadedServer(calc, socket_path=path, authenticator=users):
        with netobj.unix_connect(
            path, authenticator=auth.UserLogin("admin", "admin secret")
        ) as conn:
            assert conn.root.add(1, 2) == 3
        with pytest.raises(netobj.AuthenticationError):
            netobj.unix_connect(path, authenticator=auth.UserLogin("admin", "another one"))


def test_pymprpc_heartbeat_and_reconnect(calc: netobj.FunctionService) -> None:
    first = netobj.ThreadedServer(calc, hostname="127.0.0.1")
    config = {"heartbeat_interval": 5.0}
    with first:
        conn = netobj.connect("127.0.0.1", first.port, config=config, reconnect=True)
        assert conn.root.add(1, 2) == 3
    with netobj.ThreadedServer(calc, hostname="127.0.0.1", port=first.port), conn:
        assert conn.root.add(2, 2) == 4


def test_pymprpc_without_return() -> None:
    svc = netobj.FunctionService("mail")
    sent: list[str] = []
    svc.register(sent.append, name="send")
    with netobj.connect_thread(remote_service=svc) as conn:
        assert netobj.oneway(conn.root.send)("letter") is None
        netobj.async_(conn.root.get_service_name)().wait()
    assert sent == ["letter"]


def test_pymprpc_debug(calc: netobj.FunctionService, capsys: pytest.CaptureFixture[str]) -> None:
    with netobj.ThreadedServer(calc, hostname="127.0.0.1") as server:
        trace = Trace(sys.stdout)
        with netobj.connect("127.0.0.1", server.port, interceptors=[trace]) as conn:
            conn.root.add(1, 2)
    assert "add" in capsys.readouterr().out


@pytest.mark.parametrize("codec", ["zlib", "bz2", "lzma"])
def test_pymprpc_compression(calc: netobj.FunctionService, codec: str) -> None:
    """Only who sends says so: what the other side can undo is in its hello."""
    calc.register(lambda text: text, name="echo")
    text = "one line like the other\n" * 400

    class Count(netobj.Interceptor):
        sent = 0

        def on_message(self, frame: bytes, direction: Direction) -> None:
            self.sent += len(frame) if direction is Direction.OUT else 0

    count = Count()
    with (
        netobj.ThreadedServer(calc, hostname="127.0.0.1") as server,
        netobj.connect(
            "127.0.0.1", server.port, config={"compression": codec}, interceptors=[count]
        ) as conn,
    ):
        assert conn.root.add(1, 2) == 3
        assert conn.root.echo(text) == text
    assert count.sent < len(text) // 4


def test_rap_register() -> None:
    svc = netobj.FunctionService("rap")

    def demo(a: int, b: int) -> int:
        """What it does."""
        return a + b

    svc.register(demo, check_types=True)
    svc.register(demo, name="demo_alias", doc="Another name.")
    svc.register(demo, group="new_group", local_only=True)
    with pytest.raises(ValueError, match="registered already"):
        svc.register(demo)
    with netobj.connect_thread(remote_service=svc) as conn:
        assert conn.root.demo(1, 2) == conn.root.demo_alias(1, 2) == 3
        assert conn.root.new_group.demo(1, 2) == 3
        assert conn.root.demo_alias.__doc__ == "Another name."
        with pytest.raises(TypeError, match="'b'"):
            conn.root.demo(1, "2")


class Calc(Protocol):
    def add(self, a: int, b: int) -> int: ...


class AsyncCalc(Protocol):
    async def add_later(self, a: int, b: int) -> int: ...


def test_rap_client_stubs(port: int) -> None:
    with netobj.connect("127.0.0.1", port) as conn:
        calc: Calc = netobj.stub(conn.root, Calc)  # type: ignore[type-abstract]
        assert calc.add(1, 2) == 3

    async def main() -> int:
        async with aio.connect("127.0.0.1", port) as there:
            stub: AsyncCalc = await aio.stub(there.root, AsyncCalc)  # type: ignore[type-abstract]
            return await stub.add_later(1, 2)

    assert asyncio.run(main()) == 3


def test_rap_async_iterators() -> None:
    svc, _ = STYLES["rap"]()

    async def main(port: int) -> list[int]:
        async with aio.connect("127.0.0.1", port) as conn:
            return [number async for number in conn.root.async_gen(10)]

    with netobj.AsyncServer(svc, hostname="127.0.0.1") as server:
        assert asyncio.run(main(server.port)) == list(range(10))


def test_rap_channel() -> None:
    svc, _ = STYLES["rap"]()
    with netobj.connect_thread(remote_service=svc) as conn, conn.root.channel.open() as end:
        end.send("hello")
        assert end.receive() == "HELLO"


def test_rap_tls(calc: netobj.FunctionService, tmp_path: Any) -> None:
    """The name of the host is checked."""
    import trustme

    authority = trustme.CA()
    cert = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    cert.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    cert.private_key_pem.write_to_path(tmp_path / "server.key")
    context = auth.server_context(tmp_path / "server.pem", tmp_path / "server.key")
    with netobj.ThreadedServer(calc, hostname="localhost", ssl_context=context) as server:
        trusted = {"ca_certs": tmp_path / "ca.pem"}
        with netobj.ssl_connect("localhost", server.port, **trusted) as conn:
            assert conn.root.add(1, 2) == 3
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            netobj.ssl_connect(
                "localhost", server.port, **trusted, server_hostname="another.example"
            )


def test_rap_middleware(calc: netobj.FunctionService) -> None:
    happened = []
    closed = threading.Event()

    class Watch(netobj.Interceptor):
        def on_start(self, server: Any) -> None:
            happened.append("start")

        def on_stop(self, server: Any) -> None:
            happened.append("stop")

        def on_accept(self, peer: Any) -> None:
            happened.append("accept")

        def on_call(self, call: Any, next: Any) -> Any:
            happened.append(f"call {call.metadata['user']}")
            return 10 * next(call)

        def on_close(self, conn: Any, reason: str) -> None:
            happened.append("close")
            closed.set()

    with netobj.ThreadedServer(calc, hostname="127.0.0.1", interceptors=[Watch()]) as server:
        with netobj.connect("127.0.0.1", server.port) as conn, netobj.metadata(user="ada"):
            assert conn.root.add(1, 2) == 30
        assert closed.wait(HANG)
    assert happened == ["start", "accept", "call ada", "close", "stop"]


def test_rap_encrypted_transport(calc: netobj.FunctionService) -> None:
    psk = auth.PreSharedKey(auth.new_key())
    with (
        netobj.ThreadedServer(calc, hostname="127.0.0.1", psk=psk) as server,
        netobj.connect("127.0.0.1", server.port, psk=psk) as conn,
    ):
        assert conn.root.add(1, 2) == 3
        with pytest.raises((netobj.AuthenticationError, netobj.ConnectionLost)):
            netobj.connect("127.0.0.1", server.port).root.add(1, 2)


def test_rap_limits(calc: netobj.FunctionService) -> None:
    limits = [AllowNetworks(["127.0.0.0/8"]), MaxConnections(1), RateLimit("2/minute")]
    with (
        netobj.ThreadedServer(calc, hostname="127.0.0.1", interceptors=limits) as server,
        netobj.connect("127.0.0.1", server.port) as conn,
    ):
        assert conn.root.add(1, 2) == conn.root.add(1, 2) == 3
        with pytest.raises(netobj.RateLimitExceeded):
            conn.root.add(1, 2)
        with pytest.raises(netobj.ConnectionLost, match="connection"):
            netobj.connect("127.0.0.1", server.port).root.add(1, 2)


def test_rap_access_log_and_context(
    calc: netobj.FunctionService, caplog: pytest.LogCaptureFixture
) -> None:
    calc.register(lambda: netobj.current_call().metadata["user"], name="user")
    log = AccessLog()
    with (
        caplog.at_level("INFO"),
        netobj.ThreadedServer(calc, hostname="127.0.0.1", interceptors=[log]) as server,
        netobj.connect("127.0.0.1", server.port) as conn,
        netobj.metadata(user="ada"),
    ):
        assert conn.root.user() == "ada"
    assert any("user" in record.getMessage() for record in caplog.records)

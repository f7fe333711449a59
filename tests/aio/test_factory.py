from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from looped import awaiting, run, until

import netobj
from netobj import aio

NewLoop = Callable[[], asyncio.AbstractEventLoop]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_connect_is_awaited_or_used_with_async_with(new_loop: NewLoop) -> None:
    async def main() -> None:
        async with aio.Server(netobj.SlaveService, "localhost") as server:
            conn = await aio.connect("localhost", server.port)
            assert await conn.root.eval("1 + 1") == 2
            await conn.close()
            async with aio.connect("localhost", server.port) as conn:
                assert await conn.root.eval("1 + 1") == 2
            assert conn.closed

    run(main(), new_loop)


def test_nobody_answers(new_loop: NewLoop) -> None:
    async def main() -> None:
        port = _free_port()
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(ConnectionRefusedError) as info:
                await aio.connect(host, port)
            assert info.value.filename == f"{host}:{port}"
        with pytest.raises(socket.gaierror) as no_host:
            await aio.connect("no.such.host.invalid", port)
        assert no_host.value.filename == f"no.such.host.invalid:{port}"

    run(main(), new_loop)


def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")

    async def main() -> None:
        async with (
            aio.Server(netobj.SlaveService, "::1") as server,
            aio.connect("::1", server.port, ipv6=True) as conn,
        ):
            assert conn.peer_name == f"[::1]:{server.port}"

    run(main())


def test_what_goes_wrong_before_the_connection_is_used_closes_it(new_loop: NewLoop) -> None:
    def fail(_conn: aio.Connection) -> Any:
        raise LookupError("no extras")

    class Fails(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            raise LookupError("no connection")

    async def main() -> None:
        async with aio.Server(netobj.SlaveService, "localhost") as server:
            port = server.port
            with pytest.raises(LookupError, match="no extras"):
                await aio.connect("localhost", port, extend=fail)
            with pytest.raises(LookupError, match="no connection"):
                await aio.connect("localhost", port, Fails)
            with pytest.raises(ValueError, match="unknown configuration keys nonsense"):
                await aio.connect("localhost", port, config={"nonsense": 1})
            with pytest.raises(ssl.SSLError):
                await aio.connect("localhost", port, ssl=ssl.create_default_context())
            await until(lambda: server.connections == ())

    run(main(), new_loop)


def test_connecting_can_be_cancelled() -> None:
    class Slow(netobj.Service):
        async def on_connect(self, conn: Any) -> None:  # type: ignore[override]
            await asyncio.Event().wait()

    async def main() -> None:
        async with aio.Server(netobj.SlaveService, "localhost") as server:
            task = awaiting(aio.connect("localhost", server.port, Slow))
            await until(lambda: server.connections)
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: server.connections == ())

    run(main())


def test_two_sockets_make_a_connection(new_loop: NewLoop) -> None:
    async def main() -> None:
        here, there = socket.socketpair()
        async with aio.connect_socket(here) as conn, aio.connect_socket(there, netobj.SlaveService):
            assert await conn.root.eval("6 * 7") == 42
            assert conn.peer_name == "a local socket"

    run(main(), new_loop)


def test_settings_come_from_the_service_and_the_caller() -> None:
    class Open(netobj.Service):
        CONFIG: ClassVar = {"allow_public_attrs": True}
        value = 3

    async def main() -> None:
        async with (
            aio.Server(Open, "localhost") as server,
            aio.connect("localhost", server.port) as conn,
        ):
            assert await conn.root.value == 3
        async with (
            aio.Server(Open, "localhost", config={"allow_public_attrs": False}) as server,
            aio.connect("localhost", server.port) as conn,
        ):
            with pytest.raises(netobj.AccessDenied):
                await conn.root.value

    run(main())


def test_a_connecting_that_is_never_awaited_says_so() -> None:
    with pytest.warns(RuntimeWarning, match="never awaited"):
        aio.connect("localhost", 1)


def test_a_connecting_that_is_used_before_it_is_awaited() -> None:
    connecting = aio.connect("localhost", 1)
    with pytest.raises(AttributeError, match="no connection yet to read 'root' of: await"):
        connecting.root  # type: ignore[attr-defined]  # noqa: B018
    connecting._connecting.close()  # else it warns, see above


def test_who_goes_without_a_hello_may_want_tls() -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        with other:
            conn = await aio.connect_socket(one)
            other.shutdown(socket.SHUT_WR)
            with pytest.raises(netobj.ConnectionLost, match="closed the connection, without a"):
                await conn.root.anything()
            await conn.close()

    run(main())


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system has other names")
@pytest.mark.parametrize(("keepalive", "seconds"), [(True, 60), (7, 7), (False, None)])
def test_keepalive(keepalive: float | bool, seconds: int | None) -> None:
    async def main() -> None:
        async with (
            netobj.aio.Server(netobj.VoidService, "127.0.0.1") as server,
            netobj.aio.connect("127.0.0.1", server.port, keepalive=keepalive) as conn,
        ):
            sock = conn.transport.get_extra_info("socket")
            probes = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert bool(probes) is (seconds is not None)
            if seconds is not None:
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == seconds

    asyncio.run(main())


def test_a_wrong_keepalive_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="keepalive is -1"):
        netobj.aio.connect("127.0.0.1", 1, keepalive=-1)

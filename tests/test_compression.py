"""Compression together with what else a connection may have around it."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest

import netobj
from certificates import Certificates
from netobj import aio
from netobj.auth import PreSharedKey, new_key
from netobj.core.consts import Kind
from netobj.interceptors import Direction, Trace

TEXT = "the same line again and again\n" * 200
SETTINGS: dict[str, Any] = {"compression": "zlib"}


@pytest.fixture
def echo() -> netobj.FunctionService:
    svc = netobj.FunctionService("echo")

    @svc.register(idempotent=True)
    def echo(value: Any) -> Any:
        return value

    return svc


class Seen(netobj.Interceptor):
    """The kinds of the messages each way."""

    def __init__(self) -> None:
        self.kinds: dict[Direction, list[int]] = {way: [] for way in Direction}
        self.sizes: dict[Direction, int] = dict.fromkeys(Direction, 0)

    def on_message(self, frame: bytes, direction: Direction) -> None:
        self.kinds[direction].append(frame[5])
        self.sizes[direction] += len(frame)


def talk(conn: Any) -> None:
    for _ in range(2):
        assert conn.root.echo(TEXT) == TEXT


SERVERS = [netobj.ThreadedServer, netobj.ThreadPoolServer, netobj.AsyncServer]


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.__name__)
def test_each_server(kind: Any, echo: netobj.FunctionService) -> None:
    seen = Seen()
    with (
        kind(echo, hostname="127.0.0.1", protocol_config=SETTINGS) as server,
        netobj.connect("127.0.0.1", server.port, interceptors=[seen], config=SETTINGS) as conn,
    ):
        talk(conn)
        assert set(seen.kinds[Direction.IN][-2:]) == {Kind.COMPRESSED}
        assert seen.kinds[Direction.OUT][-1] == Kind.COMPRESSED  # as it travels
        assert seen.sizes[Direction.IN] < len(TEXT)


@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
@pytest.mark.parametrize("worker", [netobj.ThreadedServer, netobj.AsyncServer])
def test_workers_in_processes(worker: Any, echo: netobj.FunctionService) -> None:
    seen = Seen()
    with (
        netobj.PreforkServer(
            echo, "127.0.0.1", workers=1, server=worker, protocol_config=SETTINGS
        ) as server,
        netobj.connect("127.0.0.1", server.port, interceptors=[seen], config=SETTINGS) as conn,
    ):
        talk(conn)
        assert seen.kinds[Direction.IN][-1] == Kind.COMPRESSED


@pytest.mark.parametrize("way", ["tls", "psk"])
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.__name__)
def test_encrypted(
    kind: Any, way: str, echo: netobj.FunctionService, certificates: Certificates
) -> None:
    psk = PreSharedKey(new_key())
    there: dict[str, Any] = {"ssl_context": certificates.server} if way == "tls" else {"psk": psk}
    here = {"ssl_context": certificates.client} if way == "tls" else {"psk": psk}
    seen = Seen()
    with (
        kind(echo, hostname="localhost", protocol_config=SETTINGS, **there) as server,
        netobj.connect(
            "localhost", server.port, interceptors=[seen], config=SETTINGS, **here
        ) as conn,
    ):
        talk(conn)
        assert seen.kinds[Direction.IN][-1] == Kind.COMPRESSED


def test_what_comes_back_agrees_again(echo: netobj.FunctionService) -> None:
    seen = Seen()
    first = netobj.ThreadedServer(echo, hostname="127.0.0.1", protocol_config=SETTINGS)
    with first:
        conn = netobj.connect(
            "127.0.0.1", first.port, interceptors=[seen], config=SETTINGS, reconnect=True
        )
        talk(conn)
    del seen.kinds[Direction.IN][:]
    again = netobj.ThreadedServer(
        echo, hostname="127.0.0.1", port=first.port, protocol_config=SETTINGS
    )
    with again, conn:
        talk(conn)
        assert seen.kinds[Direction.IN][-1] == Kind.COMPRESSED


def test_a_trace_shows_what_is_in_it(echo: netobj.FunctionService) -> None:
    to = io.StringIO()

    async def main() -> None:
        async with (
            aio.Server(echo, "127.0.0.1", config=SETTINGS) as server,
            aio.connect(
                "127.0.0.1", server.port, interceptors=[Trace(to)], config=SETTINGS
            ) as conn,
        ):
            assert await conn.root.echo(1) == 1
            assert await conn.root.echo(TEXT) == TEXT

    asyncio.run(main())
    told = [line.split(": ", 1)[1] for line in to.getvalue().splitlines() if "COMPRESSED" in line]
    assert [line.split(": ")[1].split(" ")[0] for line in told] == ["REQUEST", "REPLY"]
    assert all(line.startswith("COMPRESSED zlib, ") for line in told)
    assert "CALL root.echo('the same line again" in told[0]


def test_a_wrong_name_is_told_at_once(echo: netobj.FunctionService) -> None:
    with pytest.raises(ValueError, match="gzip"):
        netobj.ThreadedServer(
            echo, hostname="127.0.0.1", protocol_config={"compression": "gzip"}
        ).close()

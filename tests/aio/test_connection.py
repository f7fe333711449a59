from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from looped import awaiting, joined, run, until

import netobj
from netobj import aio

NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Noted(netobj.Service):
    def __init__(self) -> None:
        self.log: list[str] = []
        self.go = asyncio.Event()
        self.thread_go = threading.Event()

    def on_connect(self, conn: Any) -> None:
        self.log.append("connected")

    def on_disconnect(self, conn: Any) -> None:
        self.log.append("disconnected")

    @netobj.exposed
    async def wait(self) -> None:
        self.log.append("waits")
        try:
            await self.go.wait()
        finally:
            self.log.append("ends")

    @netobj.exposed
    def wait_plain(self) -> None:
        self.log.append("waits")
        assert self.thread_go.wait(20)

    @netobj.exposed
    async def close(self) -> None:
        await netobj.current_call().connection.close()

    @netobj.exposed
    async def peer(self) -> Any:
        call = netobj.current_call()
        return (call.peer, call.name, call.credentials, str(call.where))

    @netobj.exposed
    async def answer(self) -> int:
        return 42


class NotedLate(Noted):
    async def on_connect(self, conn: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0.005)
        self.log.append("connected")

    async def on_disconnect(self, conn: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0.005)
        self.log.append("disconnected")


@pytest.mark.parametrize("kind", [Noted, NotedLate])
@pytest.mark.parametrize("how", ["client", "server", "abort", "both"])
def test_the_hooks_are_called_once(kind: type[Noted], how: str, new_loop: NewLoop) -> None:
    async def main() -> None:
        here, there = kind(), kind()
        async with aio.Server(there, "localhost") as server:
            conn = await aio.connect("localhost", server.port, here)
            assert here.log == ["connected"]
            assert await conn.root.answer() == 42
            if how == "client":
                await conn.close()
            elif how == "server":
                await server.close()
            elif how == "abort":
                conn.transport.abort()
            else:
                await asyncio.gather(conn.close(), server.close(), conn.close())
            await conn.wait_closed()
            await conn.close()
        assert here.log == there.log == ["connected", "disconnected"]

    run(main(), new_loop)


def test_calls_wait_for_on_connect_but_those_of_its_own_chain() -> None:
    class Greets(netobj.Service):
        def __init__(self) -> None:
            self.log: list[str] = []

        async def on_connect(self, conn: Any) -> None:  # type: ignore[override]
            self.log.append(await conn.root.name(self.more))
            self.log.append("connected")

        async def more(self) -> str:
            return "alice"

        @netobj.exposed
        async def hello(self) -> str:
            self.log.append("hello")
            return "hello"

    class Client(netobj.Service):
        @netobj.exposed
        async def name(self, function: Any) -> Any:
            return await function()

    async def main() -> None:
        greets = Greets()
        async with (
            aio.Server(greets, "localhost") as server,
            aio.connect("localhost", server.port, Client) as conn,
        ):
            assert await conn.root.hello() == "hello"
            assert greets.log == ["alice", "connected", "hello"]

    run(main())


def test_a_failing_on_connect_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    class Refuses(Noted):
        async def on_connect(self, conn: Any) -> None:  # type: ignore[override]
            raise LookupError("not today")

    async def main() -> None:
        refuses = Refuses()
        async with aio.Server(refuses, "localhost") as server:
            async with aio.connect("localhost", server.port) as conn:
                with pytest.raises(netobj.ConnectionLost):
                    await conn.root.answer()
            with pytest.raises(LookupError, match="not today"):
                await aio.connect("localhost", server.port, Refuses)
        assert "disconnected" not in refuses.log

    run(main())
    assert "not today" in caplog.text


def test_a_failing_on_disconnect_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Fails(netobj.Service):
        def on_disconnect(self, conn: Any) -> None:
            raise LookupError("plain")

    class FailsLate(netobj.Service):
        async def on_disconnect(self, conn: Any) -> None:  # type: ignore[override]
            raise LookupError("late")

    async def main() -> None:
        async with (
            aio.Server(Fails, "localhost") as server,
            aio.connect("localhost", server.port, FailsLate),
        ):
            pass

    run(main())
    assert "plain" in caplog.text
    assert "late" in caplog.text


def test_closing_while_calls_run(new_loop: NewLoop) -> None:
    async def main() -> None:
        noted = Noted()
        async with aio.Server(noted, "localhost") as server:
            conn = await aio.connect("localhost", server.port)
            tasks = [awaiting(conn.root.wait()) for _ in range(3)]
            tasks.append(awaiting(conn.root.wait_plain()))
            await until(lambda: noted.log.count("waits") == 4)
            assert "open" in repr(conn)
            assert not conn.closed
            await conn.close()
            for task in tasks:
                with pytest.raises(netobj.ConnectionLost, match="closed on this side"):
                    await task
            assert conn.closed
            assert "closed on this side" in repr(conn)
            with pytest.raises(netobj.ConnectionLost):
                await conn.root.answer()
            with pytest.raises(netobj.ConnectionLost):
                await conn.ping()
            await until(lambda: noted.log.count("ends") == 3)
            noted.thread_go.set()

    run(main(), new_loop)


def test_a_call_may_close_its_own_connection() -> None:
    async def main() -> None:
        async with joined(Noted(), clean=False) as pair:
            with pytest.raises(netobj.ConnectionLost, match="said goodbye"):
                await pair.root.close()

    run(main())


def test_what_was_not_started_is_told_by_the_goodbye() -> None:
    async def main() -> None:
        noted = Noted()
        async with joined(noted, workers=1, clean=False) as pair:
            tasks = [awaiting(pair.root.wait_plain()) for _ in range(3)]
            await until(lambda: len(pair.there.session.running) == 3)
            await until(lambda: "waits" in noted.log)
            closing = asyncio.create_task(pair.server.close())
            results = await asyncio.gather(*tasks, return_exceptions=True)
            told = [str(result).endswith("the call was not started") for result in results]
            assert sorted(told) == [False, True, True]
            noted.thread_go.set()
            await closing
            assert noted.log.count("waits") == 1

    run(main())


def test_before_closed() -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def ask(root: Any) -> None:
            seen.append(await root.answer())

        async with joined(Noted(), config={"before_closed": ask}, clean=False):
            pass
        assert seen == [42]

        def fail(root: Any) -> None:
            raise LookupError("before")

        with pytest.raises(LookupError, match="before"):
            async with joined(Noted(), config={"before_closed": fail}, clean=False):
                pass
        config = {"before_closed": fail, "close_catchall": True}
        async with joined(Noted(), config=config, clean=False):
            pass

    run(main())


def test_closing_does_not_wait_for_a_peer_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("netobj.aio.link.CLOSE_PATIENCE", 0.05)

    async def main() -> None:
        here, there = socket.socketpair()
        with there:
            conn = await aio.connect_socket(here)
            data = b"x" * 60_000
            tasks = [awaiting(conn.root.take(data)) for _ in range(100)]
            await until(lambda: conn._paused)
            await conn.close()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(result, netobj.ConnectionLost)

    run(main())


def test_ping() -> None:
    async def main() -> None:
        async with joined(Noted()) as pair:
            await pair.conn.ping()
            await pair.there.ping(None)
            pair.there.transport.pause_reading()
            with pytest.raises(netobj.PingError, match=r"did not answer a ping within 0\.01 s"):
                await pair.conn.ping(0.01)
            waiting = asyncio.create_task(pair.conn.ping(None))
            await asyncio.sleep(0)
            pair.there.transport.resume_reading()
            await waiting
            assert not pair.conn._pings

    run(main())


def test_a_silent_peer_is_found_by_heartbeat() -> None:
    async def main() -> None:
        here, there = socket.socketpair()
        with there:
            config = {"heartbeat_interval": 0.01, "heartbeat_timeout": 0.02}
            conn = await aio.connect_socket(here, config=config)
            with pytest.raises(netobj.ConnectionLost, match="has been silent"):
                await conn.root.answer()
            await conn.wait_closed()

    run(main())


def test_heartbeats_keep_a_connection_alive() -> None:
    async def main() -> None:
        config = {"heartbeat_interval": 0.005, "heartbeat_timeout": 5.0}
        async with joined(Noted(), config=config) as pair:
            heard = pair.there.session.last_heard
            await until(lambda: pair.there.session.last_heard > heard + 0.05)
            assert await pair.root.answer() == 42

    run(main())


def test_dump_pending_tells_who_waits_on_whom() -> None:
    async def main() -> None:
        noted = Noted()
        async with joined(noted) as pair:
            assert "nothing is under way" in pair.conn.dump_pending()
            tasks = [
                awaiting(pair.root.wait(), name="alice"),
                awaiting(pair.root.wait_plain(), name="bob"),
            ]
            await until(lambda: noted.log.count("waits") == 2)
            here, there = pair.conn.dump_pending(), pair.there.dump_pending()
            assert "waits for root.wait() [request" in here
            assert "in task 'alice'" in here
            assert "in task 'bob'" in here
            assert "runs Noted.wait() since" in there
            assert "runs Noted.wait_plain() since" in there
            assert "in thread 'netobj worker_" in there
            assert "in task 'Task-" in there
            (connection,) = pair.server.connections
            assert sorted(call.name for call in connection.calls) == [
                "Noted.wait()",
                "Noted.wait_plain()",
            ]
            noted.go.set()
            noted.thread_go.set()
            await asyncio.gather(*tasks)
            assert connection.calls == ()
            del tasks

    run(main())


def test_current_call() -> None:
    async def main() -> None:
        async with joined(Noted()) as pair:
            peer, name, credentials, where = await pair.root.peer()
            assert peer == pair.conn.transport.get_extra_info("sockname")
            assert name == "Noted.peer()"
            assert credentials is None
            assert where.startswith("task ")
        with pytest.raises(RuntimeError, match="serves no call"):
            netobj.current_call()

    run(main())


def test_a_client_starts_no_thread_of_ours() -> None:
    async def main() -> None:
        here = threading.current_thread()
        with netobj.ThreadedServer(netobj.SlaveService, hostname="127.0.0.1") as server:
            before = set(threading.enumerate())
            async with aio.classic.connect("127.0.0.1", server.port) as conn:
                assert await conn.eval("6 * 7") == 42
                assert await conn.eval("lambda f: f()")(lambda: threading.current_thread() is here)
                new = set(threading.enumerate()) - before
                assert [t.name for t in new if t.name.startswith("asyncio")] == [
                    t.name for t in new if t.name != "netobj I/O" and "netobj" not in t.name
                ]

    run(main())


def test_settings_can_be_changed() -> None:
    async def main() -> None:
        noted = Noted()
        noted.secret = 3  # type: ignore[attr-defined]
        async with joined(noted) as pair:
            with pytest.raises(netobj.AccessDenied):
                await pair.root.secret
            pair.there._config["allow_public_attrs"] = True
            assert await pair.root.secret == 3
            assert pair.there.config.connid not in (None, pair.conn.config.connid)
            with pytest.raises(AttributeError, match="no attribute 'nothing'"):
                pair.conn.nothing  # noqa: B018

    run(main())


@pytest.mark.parametrize(
    "stranger", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 64, b"netobj 9\r\n"]
)
def test_a_stranger_is_sent_away_with_one_line(
    stranger: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with aio.Server(Noted(), "localhost") as server:
            reader, writer = await asyncio.open_connection("localhost", server.port)
            writer.write(stranger)
            await reader.read()  # until the end
            writer.close()
            await until(lambda: not server.connections)

    with caplog.at_level(logging.WARNING):
        run(main())
    assert len(caplog.records) == 1
    assert "was ended" in caplog.text

from __future__ import annotations

import asyncio
import json
import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest

import netobj
from kinds import KINDS, serving
from netobj.interceptors import AccessLog, RateLimit
from netobj.interceptors.hooks import for_loop
from patience import wait_until


class Lines(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def kept() -> Lines:
    return Lines()


@pytest.fixture
def log(kept: Lines) -> logging.Logger:
    log = logging.Logger("a test's")
    log.addHandler(kept)
    return log


def fake(name: str = "Bank.open()", user: Any = None) -> Any:
    connection = SimpleNamespace(config=SimpleNamespace(connid="conn1"))
    return SimpleNamespace(
        connection=connection,
        peer=("10.0.0.1", 80),
        credentials=user,
        name=name,
        outgoing=False,
    )


def test_a_line(log: logging.Logger, kept: Lines) -> None:
    assert AccessLog(log).on_call(fake(user="tom"), lambda call: 7) == 7
    peer, user, result, seconds, name = kept.lines[0].split(" ")
    assert [peer, user, result, name] == ["10.0.0.1:80", "tom", "ok", "Bank.open()"]
    assert 0 <= float(seconds) < 60
    access: Any = kept.records[0].access  # type: ignore[attr-defined]
    assert access["connection"] == "conn1"
    assert kept.records[0].levelno == logging.INFO


def test_an_error_is_named_and_goes_on(log: logging.Logger, kept: Lines) -> None:
    with pytest.raises(ZeroDivisionError):
        AccessLog(log).on_call(fake(), lambda call: 1 // 0)
    assert kept.lines[0].split(" ")[1:3] == ["-", "ZeroDivisionError"]


def test_an_object_a_line(log: logging.Logger, kept: Lines) -> None:
    AccessLog(log, structured=True).on_call(fake(user="to\nm"), lambda call: 7)
    assert "\n" not in kept.lines[0]
    told = json.loads(kept.lines[0])
    assert told["user"] == "to\nm"
    assert set(told) == {"time", "connection", "peer", "user", "result", "seconds", "call"}


@pytest.mark.parametrize("structured", [False, True])
def test_nobody_forges_a_line(log: logging.Logger, kept: Lines, structured: bool) -> None:
    error = type("Oh\n10.0.0.2:80 root ok", (Exception,), {})

    def fail(call: Any) -> None:
        raise error

    with pytest.raises(error):
        AccessLog(log, structured).on_call(fake(user="x\n10.0.0.2:80 root ok"), fail)
    assert kept.lines[0].isprintable()
    if not structured:
        words = kept.lines[0].split(" ")
        assert words[:2] == ["10.0.0.1:80", '"x\\n10.0.0.2:80']


def test_a_log_that_is_off_is_not_written(kept: Lines) -> None:
    log = logging.Logger("a test's", logging.WARNING)
    log.addHandler(kept)
    assert AccessLog(log).on_call(SimpleNamespace(outgoing=False), lambda call: 7) == 7
    assert kept.lines == []


# --- with real connections ----------------------------------------------------------------------


class Bank(netobj.Service):
    exposed_rate = 2

    @netobj.exposed
    def open(self, name: str) -> str:
        if not name:
            raise ValueError("no name")
        return name

    @netobj.exposed
    async def later(self) -> int:
        return 7


def words(line: str) -> tuple[str, str, str]:
    """User, result and what was asked for."""
    _, user, result, _, name = line.split(" ", 4)
    return user, result, name


@pytest.mark.parametrize("kind", KINDS)
def test_each_server_writes_it(kind: str, log: logging.Logger, kept: Lines) -> None:
    token = netobj.TokenAuthenticator("correct-horse-battery-staple")
    with (
        serving(kind, Bank, [AccessLog(log)], authenticator=token) as address,
        netobj.connect(*address, authenticator=token) as conn,
    ):
        assert conn.root.open("alice") == "alice"
        with pytest.raises(ValueError, match="no name"):
            conn.root.open("")
        assert conn.root.rate == 2
        assert conn.root.later() == 7
        with pytest.raises(AttributeError):
            getattr(conn.root, "a\n10.0.0.2:80 root ok")
        wait_until(lambda: len(kept.lines) >= 5)
    assert [words(line) for line in kept.lines[:4]] == [
        ("token", "ok", "Bank.open()"),
        ("token", "ValueError", "Bank.open()"),
        ("token", "ok", "Bank.rate (get)"),
        ("token", "ok", "Bank.later()"),
    ]
    assert all(line.isprintable() and line.startswith("127.0.0.1:") for line in kept.lines)


def test_on_a_client(log: logging.Logger, kept: Lines) -> None:
    with (
        netobj.ThreadedServer(Bank, "localhost") as server,
        netobj.connect("localhost", server.port, interceptors=[AccessLog(log)]) as conn,
    ):
        conn.root.open("alice")
        with pytest.raises(ValueError, match="no name"):
            conn.root.open("")
        result = netobj.async_(conn.root.later)()
        assert result.value == 7
        failed = netobj.async_(conn.root.open)("")
        with pytest.raises(ValueError, match="no name"):
            failed.value  # noqa: B018
        wait_until(lambda: len(kept.lines) == 4)
        assert {line.split(" ")[0] for line in kept.lines} == {f"127.0.0.1:{server.port}"}
    assert [words(line)[1] for line in kept.lines] == ["ok", "ValueError", "ok", "ValueError"]


def test_on_a_client_of_an_event_loop(log: logging.Logger, kept: Lines) -> None:
    async def talk() -> None:
        async with (
            netobj.aio.Server(Bank, "localhost") as server,
            netobj.aio.connect("localhost", server.port, interceptors=[AccessLog(log)]) as conn,
        ):
            assert await conn.root.open("alice") == "alice"
            with pytest.raises(ValueError, match="no name"):
                await conn.root.open("")
            assert await conn.root.rate == 2

    asyncio.run(talk())
    assert [words(line)[1] for line in kept.lines] == ["ok", "ValueError", "ok"]


class Many(netobj.Service):
    def __init__(self) -> None:
        self.inside = 0
        self.all_in = asyncio.Event()

    @netobj.exposed
    async def meet(self, count: int) -> int:
        self.inside += 1
        if self.inside == count:
            self.all_in.set()
        await self.all_in.wait()
        return threading.active_count()


def test_on_an_event_loop_no_call_holds_a_thread(log: logging.Logger, kept: Lines) -> None:
    async def talk() -> None:
        chain = [AccessLog(log), RateLimit("1000/second")]
        before = threading.active_count()
        async with (
            netobj.aio.Server(Many(), "localhost", interceptors=chain) as server,
            netobj.aio.connect("localhost", server.port, interceptors=chain) as conn,
        ):
            counts = await asyncio.gather(*(conn.root.meet(200) for _ in range(200)))
            assert max(counts) <= before + 2

    asyncio.run(talk())
    assert len(kept.lines) == 400


def test_nor_does_it_on_a_server_of_threads(log: logging.Logger, kept: Lines) -> None:
    chain = [AccessLog(log), RateLimit("1000/second")]
    with (
        netobj.ThreadedServer(Many(), "localhost", interceptors=chain) as server,
        netobj.connect("localhost", server.port) as conn,
    ):
        before = threading.active_count()
        results = [netobj.async_(conn.root.meet)(100) for _ in range(100)]
        assert max(result.value for result in results) <= before + 10
    assert len(kept.lines) == 100


def test_a_class_that_changes_on_call_is_not_passed_by(log: logging.Logger, kept: Lines) -> None:
    class Quiet(AccessLog):
        def on_call(self, call: Any, next: Any) -> Any:
            return next(call)

    quiet = Quiet(log)
    assert for_loop(quiet.on_call) == quiet.on_call
    loud = AccessLog(log)
    assert for_loop(loud.on_call) == loud.on_call_async
    assert for_loop(len) is len

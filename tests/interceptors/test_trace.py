from __future__ import annotations

import asyncio
import io
import logging
from types import SimpleNamespace
from typing import Any

import pytest

import netobj
from kinds import KINDS, serving
from netobj.core.framing import frame
from netobj.interceptors import Trace
from netobj.interceptors.interceptor import Direction
from patience import wait_until

PING = frame(b"\x92\x07\x05")


class Bank(netobj.Service):
    @netobj.exposed
    def open(self, name: str, amount: int = 0) -> Any:
        if amount < 0:
            raise ValueError(f"{name} has\nnot enough")
        return (name, amount)

    @netobj.exposed
    def image(self) -> bytes:
        return bytes(100_000)


def test_a_line_each_way() -> None:
    to = io.StringIO()
    trace = Trace(to)
    trace.on_message(PING, Direction.IN)
    trace.on_message(PING, Direction.OUT)
    assert to.getvalue() == "<- 7 bytes: PING 5\n-> 7 bytes: PING 5\n"


def test_the_end_is_told() -> None:
    to = io.StringIO()
    conn = SimpleNamespace(config=SimpleNamespace(endpoints=(None, ("10.0.0.1", 80))))
    Trace(to).on_close(conn, "it said\n-> 7 bytes: PING 5")
    assert to.getvalue() == "-- 10.0.0.1:80: it said\\n-> 7 bytes: PING 5\n"


def test_stderr_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    Trace().on_message(PING, Direction.IN)
    assert capsys.readouterr().err == "<- 7 bytes: PING 5\n"


def test_a_logger(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("a test's trace")
    log.setLevel(logging.INFO)
    Trace(log).on_message(PING, Direction.IN)
    log.setLevel(logging.DEBUG)
    Trace(log).on_message(PING, Direction.OUT)
    assert [record.message for record in caplog.records] == ["-> 7 bytes: PING 5"]


def test_a_file_that_cannot_be_written_is_not_worth_the_connection() -> None:
    closed = io.StringIO()
    closed.close()
    Trace(closed).on_message(PING, Direction.IN)
    narrow = io.TextIOWrapper(io.BytesIO(), "ascii")
    Trace(narrow).on_message(frame(b"\x93\x03\x07\xa2\xc3\xa9"), Direction.IN)
    narrow.seek(0)
    assert narrow.read() == "<- 10 bytes: REPLY 7: '\\xe9'\n"


def told(to: io.StringIO) -> list[str]:
    """The lines without the sizes and the numbers of requests."""
    lines = to.getvalue().splitlines()
    return [f"{line[:2]} {line.split(': ', 1)[1]}" for line in lines if line[:2] != "--"]


def without_number(line: str) -> str:
    way, kind, _, rest = line.split(" ", 3)
    return f"{way} {kind} {rest}"


def check_conversation(lines: list[str], there: str, back: str) -> None:
    assert {line.split(" ")[1] for line in lines[:2]} <= {"HELLO", "REQUEST"}
    rest = [without_number(line) for line in lines if " RE" in line or " ERROR" in line]
    asked = [line for line in rest if " REQUEST " in line]
    answered = [line for line in rest if " REQUEST " not in line]
    assert asked[:2] == [
        f"{there} REQUEST CALL root.open('alice', amount=3)",
        f"{there} REQUEST CALL root.open('bob', -1)",
    ]
    assert answered[0] == f"{back} REPLY ('alice', 3)"
    assert answered[1] == f"{back} ERROR ValueError: 'bob has\\nnot enough'"


def talk(conn: Any) -> None:
    assert conn.root.open("alice", amount=3) == ("alice", 3)
    with pytest.raises(ValueError, match="not enough"):
        conn.root.open("bob", -1)


@pytest.mark.parametrize("kind", KINDS)
def test_on_each_server(kind: str) -> None:
    to = io.StringIO()
    token = netobj.TokenAuthenticator("correct-horse-battery-staple")
    with serving(kind, Bank, [Trace(to)], authenticator=token) as address:
        with netobj.connect(*address, authenticator=token) as conn:
            talk(conn)
        wait_until(lambda: "\n-- 127.0.0.1:" in to.getvalue())
    lines = told(to)
    check_conversation(lines, "<-", "->")
    assert "login" not in to.getvalue()
    assert "battery" not in to.getvalue()


def test_on_a_client() -> None:
    to = io.StringIO()
    with (
        netobj.ThreadedServer(Bank, "localhost") as server,
        netobj.connect("localhost", server.port, interceptors=[Trace(to)]) as conn,
    ):
        talk(conn)
    check_conversation(told(to), "->", "<-")


def test_on_a_client_of_an_event_loop() -> None:
    to = io.StringIO()

    async def talk() -> None:
        async with (
            netobj.aio.Server(Bank, "localhost") as server,
            netobj.aio.connect("localhost", server.port, interceptors=[Trace(to)]) as conn,
        ):
            assert await conn.root.open("alice", amount=3) == ("alice", 3)
            with pytest.raises(ValueError, match="not enough"):
                await conn.root.open("bob", -1)

    asyncio.run(talk())
    check_conversation(told(to), "->", "<-")


@pytest.mark.parametrize("kind", KINDS)
def test_big_values_are_told_by_their_size(kind: str) -> None:
    to = io.StringIO()
    with serving(kind, Bank, [Trace(to)]) as address, netobj.connect(*address) as conn:
        assert len(conn.root.image()) == 100_000
    assert "<bytes, 100000 of them follow>" in to.getvalue()
    assert len(to.getvalue()) < 3000


def test_without_values() -> None:
    to = io.StringIO()
    with netobj.ThreadedServer(Bank, "localhost") as server:
        trace = Trace(to, values=False)
        with netobj.connect("localhost", server.port, interceptors=[trace]) as conn:
            conn.root.open("very secret", 4711)
    assert "root.open(<str of" in to.getvalue()
    assert "secret" not in to.getvalue()
    assert "4711" not in to.getvalue()

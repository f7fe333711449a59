from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import netobj
import redises
from kinds import KINDS, serving
from netobj.errors import Busy, RateLimitExceeded
from netobj.interceptors import Per, RateLimit


def fake(
    conn: str = "conn1", address: Any = ("10.0.0.1", 1), user: Any = None, name: str = "f()"
) -> Any:
    connection = SimpleNamespace(config=SimpleNamespace(connid=conn))
    return SimpleNamespace(connection=connection, peer=address, credentials=user, name=name)


def passes(limit: RateLimit, call: Any) -> bool:
    try:
        return bool(limit.on_call(call, lambda call: True))
    except RateLimitExceeded:
        return False


@pytest.mark.parametrize(
    ("per", "same", "other"),
    [
        (Per.CONNECTION, {"user": "tom", "name": "g()"}, {"conn": "conn2"}),
        (Per.ADDRESS, {"conn": "conn2", "address": ("10.0.0.1", 2)}, {"address": ("10.0.0.2", 1)}),
        (Per.ADDRESS, {"address": ("::ffff:10.0.0.1", 2)}, {"address": ("::1", 1)}),
        (Per.ADDRESS, {}, {"address": "/run/bank"}),
        (Per.USER, {"conn": "conn2", "name": "g()"}, {"user": "tom"}),
        (Per.FUNCTION, {"conn": "conn2", "user": "tom"}, {"name": "g()"}),
        (Per.USER | Per.FUNCTION, {"conn": "conn2"}, {"name": "g()"}),
        (Per.USER | Per.FUNCTION, {"conn": "conn2"}, {"user": "tom"}),
    ],
)
def test_what_has_a_bucket_of_its_own(
    per: Per, same: dict[str, Any], other: dict[str, Any]
) -> None:
    limit = RateLimit("1/hour", per)
    assert passes(limit, fake())
    assert not passes(limit, fake(**same))
    assert passes(limit, fake(**other))


def test_one_bucket_for_all() -> None:
    limit = RateLimit("1/hour", Per.SERVER)
    assert passes(limit, fake())
    assert not passes(limit, fake("conn2", ("10.0.0.2", 1), "tom", "g()"))


def test_ipv6_counts_by_its_network() -> None:
    limit = RateLimit("1/hour", Per.ADDRESS)
    assert passes(limit, fake(address=("2001:db8::1", 1, 0, 0)))
    assert not passes(limit, fake(address=("2001:db8::2", 1, 0, 0)))
    assert passes(limit, fake(address=("2001:db8:0:1::1", 1, 0, 0)))


def test_names_do_not_run_together() -> None:
    limit = RateLimit("1/hour", Per.USER | Per.FUNCTION)
    assert passes(limit, fake(user="a", name="b"))
    assert passes(limit, fake(user="", name='a", "b'))
    assert passes(limit, fake(user='a", "b', name=""))


@pytest.mark.parametrize("rate", ["", "many", "0/second", "5/fortnight"])
def test_what_is_no_rate(rate: str) -> None:
    with pytest.raises(ValueError, match=r"rate|granularity"):
        RateLimit(rate)


def test_a_burst_of_nothing() -> None:
    with pytest.raises(ValueError, match="would admit nothing"):
        RateLimit("5/second", burst=0)


def test_without_its_library_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "limits", None)
    monkeypatch.delitem(sys.modules, "netobj.interceptors.rates")
    with pytest.raises(ImportError, match=r"pip install 'netobj\[limits\]'"):
        import_module("netobj.interceptors.rates")


# --- with real connections ----------------------------------------------------------------------


class Bank(netobj.Service):
    def __init__(self) -> None:
        self.exposed_served = 0

    @netobj.exposed
    def open(self) -> int:
        self.exposed_served += 1
        return self.exposed_served

    @netobj.exposed
    async def later(self) -> int:
        return self.open()


def check_is_refused(call: Any) -> None:
    with pytest.raises(Busy, match=r"the rate limit of 3 in 3600 s .* is used up") as caught:
        call()
    assert type(caught.value) is RateLimitExceeded
    assert 1100 < caught.value.retry_after <= 1200


@pytest.mark.parametrize("kind", KINDS)
def test_each_server_refuses_what_is_too_much(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    bank = Bank()
    with serving(kind, bank, [RateLimit("3/hour")]) as address:
        with netobj.connect(*address) as conn:
            assert [conn.root.open(), conn.root.later(), conn.root.open()] == [1, 2, 3]
            check_is_refused(conn.root.open)
            check_is_refused(conn.root.later)
            check_is_refused(lambda: conn.root.served)
        assert bank.exposed_served == 3  # none of those has run
        assert "RateLimitExceeded" not in caplog.text  # nor does anybody fill our log
        with netobj.connect(*address) as conn:
            assert conn.root.open() == 4


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_limited_by_address_gains_nothing_by_coming_again(kind: str) -> None:
    with serving(kind, Bank(), [RateLimit("3/hour", Per.ADDRESS)]) as address:
        for number in (1, 2, 3):
            with netobj.connect(*address) as conn:
                assert conn.root.open() == number
        with netobj.connect(*address) as conn:
            check_is_refused(conn.root.open)


@pytest.mark.parametrize("kind", KINDS)
def test_users_have_buckets_of_their_own(kind: str) -> None:
    def user(sock: Any) -> Any:
        return sock, sock.recv(3).decode()

    def says(name: bytes) -> Any:
        return lambda sock: (sock.sendall(name), (sock, None))[1]

    limit = RateLimit("3/hour", Per.USER | Per.FUNCTION)
    with serving(kind, Bank(), [limit], authenticator=user) as address, ExitStack() as stack:
        tom, tim, tom_again = (
            stack.enter_context(netobj.connect(*address, authenticator=says(name)))
            for name in (b"tom", b"tim", b"tom")
        )
        assert [tom.root.open(), tom.root.open(), tom_again.root.open()] == [1, 2, 3]
        check_is_refused(tom_again.root.open)
        assert [tim.root.open(), tom.root.later()] == [4, 5]


def test_a_client_may_limit_itself() -> None:
    bank = Bank()
    with netobj.ThreadedServer(bank, "localhost") as server:
        limits = [RateLimit("3/hour")]
        with netobj.connect("localhost", server.port, interceptors=limits) as conn:
            assert [conn.root.open() for _ in range(3)] == [1, 2, 3]
            check_is_refused(conn.root.open)

    async def talk() -> None:
        async with (
            netobj.aio.Server(bank, "localhost") as server,
            netobj.aio.connect(
                "localhost", server.port, interceptors=[RateLimit("1/hour")]
            ) as conn,
        ):
            assert await conn.root.open() == 4
            with pytest.raises(RateLimitExceeded):
                await conn.root.open()

    asyncio.run(talk())
    assert bank.exposed_served == 4


def test_servers_share_a_redis() -> None:
    with tempfile.TemporaryDirectory() as folder, redises.running(Path(folder)) as redis:

        def limit() -> RateLimit:
            return RateLimit("3/hour", Per.ADDRESS, storage=redis.uri)

        with (
            serving("ThreadedServer", Bank(), [limit()]) as one,
            serving("AsyncServer", Bank(), [limit()]) as other,
            netobj.connect(*one) as first,
            netobj.connect(*other) as second,
        ):
            assert first.root.open() + second.root.open() + first.root.open() == 4
            check_is_refused(second.root.open)
            check_is_refused(first.root.open)

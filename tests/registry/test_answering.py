"""The registry without a socket: packets in, packets out, at times that the test says."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netobj.registry import answering
from netobj.registry.answering import COOKIE_SECONDS, Cookies, Limited, Registry, plain_host
from netobj.registry.messages import (
    PACKET,
    Challenge,
    Done,
    Found,
    Kind,
    Listing,
    Names,
    Query,
    Refused,
    Register,
    Unregister,
    Why,
    key_of,
    open_packet,
    seal,
)

NONCE = bytes(16)
ID = b"12345678"
A = ("10.0.0.5", 40000)
B = ("10.0.0.6", 40000)
LOCAL = ("127.0.0.1", 40000)
TOKEN = "a token that is long enough"
MINE = {"127.0.0.1": "127.0.0.1", "10.0.0.1": "10.0.0.1", "10.0.0.5": "10.0.0.1"}


class Desk:
    """A registry, and somebody who asks it."""

    def __init__(self, token: str | None = None, **more: Any) -> None:
        self.added: list[Any] = []
        self.removed: list[Any] = []
        self.now = 1000.0
        self.registry = Registry(
            240,
            logging.getLogger("test"),
            token=token,
            facing=MINE.get,
            added=lambda *what: self.added.append(what),
            removed=lambda *what: self.removed.append(what),
            **more,
        )
        self.key = key_of(token)

    def send(self, data: bytes, source: tuple[str, int] = A) -> Any:
        reply = self.registry.answer(data, source, self.now)
        if reply is None:
            return None
        assert len(reply) <= len(data)
        packet = open_packet(reply, Kind.REPLY)
        assert packet.nonce == NONCE
        assert self.key is None or packet.is_proven(self.key)
        return packet.message

    def ask(self, message: Any, source: tuple[str, int] = A, key: bytes | None = None) -> Any:
        return self.send(seal(message, NONCE, key or self.key), source)

    def change(self, message: Any, source: tuple[str, int] = A) -> Any:
        """The reply to who has asked for a cookie, and used it."""
        challenge = self.ask(message, source)
        if not isinstance(challenge, Challenge):
            return challenge
        return self.ask(message._replace(cookie=challenge.cookie), source)

    def register(self, *names: str, source: tuple[str, int] = A, **more: Any) -> Any:
        server = more.pop("server", source[0].encode()[-8:].rjust(8))
        return self.change(Register(b"", server, names, 18861)._replace(**more), source)

    def find(self, name: str, source: tuple[str, int] = B) -> list[tuple[str, int]]:
        return [server[1:] for server in self.ask(Query(name), source).servers]


def test_registering_finding_and_unregistering() -> None:
    desk = Desk()
    assert desk.register("echo", "ECO") == Done()
    assert desk.find("Echo") == desk.find("eco") == [("10.0.0.5", 18861)]
    assert desk.find("other") == []
    assert desk.register("ECHO", "ECO") == Done()
    assert desk.added == [("ECHO", ("10.0.0.5", 18861)), ("ECO", ("10.0.0.5", 18861))]
    assert desk.change(Unregister(b"", 18861)) == Done()
    assert desk.find("ECHO") == []
    assert set(desk.removed) == set(desk.added)


def test_who_is_not_heard_of_is_forgotten() -> None:
    desk = Desk()
    desk.register("ECHO")
    desk.now += 240
    assert desk.find("ECHO") == [("10.0.0.5", 18861)]
    desk.now += 1
    assert desk.find("ECHO") == []
    assert desk.removed == desk.added


def test_nobody_registers_without_hearing_the_answer() -> None:
    desk = Desk()
    message = Register(b"", ID, ("ECHO",), 1)
    assert isinstance(desk.ask(message), Challenge)
    assert desk.find("ECHO") == []
    for source in (B, (A[0], A[1] + 1)):
        cookie = desk.ask(message).cookie
        reply = desk.ask(message._replace(cookie=cookie), source)
        assert reply.why == Why.COOKIE
    made_up = desk.ask(message._replace(cookie=bytes(32)))
    assert made_up.why == Why.COOKIE
    assert desk.find("ECHO") == []


def test_a_cookie_grows_old() -> None:
    desk = Desk()
    message = Register(b"", ID, ("ECHO",), 1)
    cookie = desk.ask(message).cookie
    desk.now += COOKIE_SECONDS + 0.01
    assert desk.ask(message._replace(cookie=cookie)).why == Why.COOKIE


def test_a_replay_does_nothing() -> None:
    desk = Desk(TOKEN)
    message = Register(b"", ID, ("ECHO",), 1)
    packet = seal(message._replace(cookie=desk.ask(message).cookie), NONCE, desk.key)
    assert desk.send(packet) == Done()
    desk.now += 1
    assert desk.change(Unregister(b"", 1)) == Done()
    assert desk.send(packet) == Done()  # what was answered then: a packet may come twice
    assert desk.find("ECHO") == []
    assert desk.send(packet, B).why == Why.COOKIE
    desk.now += 3600
    assert desk.send(packet).why == Why.COOKIE


def test_a_cookie_is_for_one_request() -> None:
    desk = Desk()
    message = Register(b"", ID, ("ECHO",), 1)
    message = message._replace(cookie=desk.ask(message).cookie)
    assert desk.ask(message) == Done()
    other = desk.ask(message._replace(port=2))
    assert (other.why, other.text) == (Why.COOKIE, "a cookie that was used before")


def test_the_used_cookies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MOST_USED", 3)
    cookies = Cookies()
    for number in range(10):
        cookies.use(cookies.make(A, 0), b"%d" % number, Done(), 0)
    assert len(cookies._used) == 3
    cookies.use(cookies.make(A, 100), b"x", Done(), 100)
    assert len(cookies._used) == 1  # the old ones are of no use


def test_registering_takes_the_token() -> None:
    desk = Desk(TOKEN)
    plain = Register(b"", ID, ("ECHO",), 1)
    for key in (None, key_of("another token of other people")):
        reply = open_packet(
            desk.registry.answer(seal(plain, NONCE, key), A, 0) or b"", Kind.REPLY
        ).message
        assert reply.why == Why.TOKEN
    assert desk.register("ECHO") == Done()
    assert desk.find("ECHO") == [("10.0.0.5", 18861)]
    unregister = seal(Unregister(b"", 18861), NONCE, None)
    assert desk.send(unregister).why == Why.TOKEN
    assert desk.send(seal(Query("ECHO"), NONCE, None)).servers  # asking takes none


def test_other_addresses_are_believed_with_a_token_only() -> None:
    desk = Desk()
    assert desk.register("ECHO", hosts=("10.0.0.5",)) == Done()  # its own
    reply = desk.register("ECHO", hosts=("192.168.1.1",))
    assert (reply.why, "other addresses than 10.0.0.5" in reply.text) == (Why.ADDRESS, True)
    assert desk.change(Unregister(b"", 1, ("10.0.0.6",))).why == Why.ADDRESS
    trusting = Desk(TOKEN)
    assert trusting.register("ECHO", hosts=("192.168.1.1", "fd00::1")) == Done()
    assert trusting.find("ECHO") == [("192.168.1.1", 18861)]
    assert trusting.find("ECHO", ("fd00::2", 1)) == [("fd00::1", 18861)]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1", "fe80::1", "127.0.0.1"]
)
def test_addresses_at_which_nobody_is_reached(host: str) -> None:
    desk = Desk(TOKEN)
    reply = desk.register("ECHO", hosts=(host,))
    assert reply.why == Why.ADDRESS
    assert desk.added == []


def test_a_server_of_this_machine_is_one_however_it_says_so() -> None:
    desk = Desk()
    for source in (LOCAL, ("10.0.0.1", 40000), LOCAL):
        assert desk.register("ECHO", source=source, server=ID, anywhere=True) == Done()
    assert desk.added == [("ECHO", ("127.0.0.1", 18861))]
    assert desk.find("ECHO", A) == [("10.0.0.1", 18861)]  # the address of this machine that A sees
    assert desk.find("ECHO", LOCAL) == [("127.0.0.1", 18861)]
    assert desk.change(Unregister(b"", 18861, (), True), ("10.0.0.1", 40000)) == Done()
    assert desk.find("ECHO", LOCAL) == []


def test_a_server_with_several_addresses_is_found_once() -> None:
    desk = Desk()
    for host in ("10.0.0.5", "192.168.1.5"):
        desk.register("ECHO", source=(host, 1), server=ID)
    assert desk.find("ECHO", ("192.168.1.7", 1)) == [("192.168.1.5", 18861)]
    assert desk.find("ECHO", B) == [("10.0.0.5", 18861)]


def test_what_is_bound_to_the_loopback_is_for_this_machine() -> None:
    desk = Desk(allow_listing=True)
    desk.register("ECHO", source=LOCAL)
    assert desk.find("ECHO", LOCAL) == [("127.0.0.1", 18861)]
    assert desk.find("ECHO", A) == []
    assert desk.ask(Listing(), A) == Names(())
    assert desk.ask(Listing(), LOCAL) == Names(("ECHO",))


def test_listing_is_refused_unless_allowed() -> None:
    desk = Desk()
    desk.register("ECHO")
    assert desk.ask(Listing()).why == Why.LISTING
    desk.registry.allow_listing = True
    assert desk.ask(Listing()) == Names(("ECHO",))
    assert desk.ask(Listing(("10.0.0.5",))) == Names(("ECHO",))
    assert desk.ask(Listing(("10.0.0.6",))) == Names(())


def test_long_answers_come_in_pages() -> None:
    desk = Desk(allow_listing=True)
    for number in range(200):
        source = (f"10.0.{number}.1", 1)
        desk.register("ECHO", f"{number:03}" * 10, source=source, server=b"%08d" % number)
    found: list[Any] = []
    reply = desk.ask(Query("ECHO"))
    pages = 1
    while reply.more:
        found += reply.servers
        reply = desk.ask(Query("ECHO", found[-1][0]))
        pages += 1
    found += reply.servers
    assert len(found) == len(set(found)) == 200
    assert 5 <= pages < 20
    names: list[str] = []
    listed = desk.ask(Listing())
    while listed.more:
        names += listed.names
        listed = desk.ask(Listing((), names[-1]))
    names += listed.names
    assert names == [f"{number:03}" * 10 for number in range(200)] + ["ECHO"]


def test_full_tables_refuse_and_keep_what_they_have() -> None:
    desk = Desk()
    for port in range(1, 1001):
        assert desk.register("ECHO", port=port) == Done()
    reply = desk.register("ECHO", port=1001)
    assert reply.why == Why.FULL
    assert "1000 names at addresses of one host" in reply.text
    assert desk.register("ECHO", port=1) == Done()
    assert desk.register("ECHO", source=B) == Done()


def test_a_network_of_ipv6_counts_as_one_host() -> None:
    desk = Desk()
    for number in range(1000):
        desk.register("ECHO", source=(f"fd00::{number + 1:x}", 1), server=b"%08d" % number)
    assert desk.register("ECHO", source=("fd00::ffff", 1)).why == Why.FULL
    assert desk.register("ECHO", source=("fd00:0:0:1::1", 1)) == Done()


def test_the_kinds_of_addresses() -> None:
    desk = Desk()
    desk.register("ECHO", source=("::ffff:10.0.0.5", 1))
    assert desk.find("ECHO", ("::ffff:10.0.0.6", 1)) == [("10.0.0.5", 18861)]
    assert desk.register("ECHO", source=("fe80::1%eth0", 1)).why == Why.ADDRESS
    assert plain_host("10.0.0.1") == "10.0.0.1"


def test_what_hooks_raise_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.registry._added = lambda name, address: 1 // 0
    assert desk.register("ECHO") == Done()
    assert desk.find("ECHO") == [("10.0.0.5", 18861)]
    assert "ZeroDivisionError" in caplog.text


def test_rubbish_is_dropped_and_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.register("ECHO")
    for number in range(1000):
        assert desk.send(b"GET / HTTP/1.1 %d" % number) is None
    desk.now += 61
    assert desk.send(b"more") is None
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 10 + 2
    assert lines[0] == (
        "dropped what ('10.0.0.5', 40000) sent: 16 bytes that are no packet of a registry"
    )
    assert lines[10] == "and 990 more like that"
    assert desk.find("ECHO") == [("10.0.0.5", 18861)]


def test_what_comes_and_goes_does_not_fill_the_log_either(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    desk = Desk()
    for _ in range(500):
        desk.register("ECHO")
        desk.change(Unregister(b"", 18861))
    assert len(desk.added) == len(desk.removed) == 500
    assert len(caplog.records) == answering.NEWS


def test_the_log_begins_anew_each_minute(caplog: pytest.LogCaptureFixture) -> None:
    log = Limited(logging.getLogger("test"), logging.WARNING, 2)
    for now in (0, 1, 2, 3, 60, 61):
        log(now, "%s", now)
    assert [record.getMessage() for record in caplog.records] == [
        "0", "1", "and 2 more like that", "60", "61"
    ]  # fmt: skip


@given(st.binary(max_size=PACKET + 1))
def test_any_datagram_is_answered_or_dropped(data: bytes) -> None:
    assert Desk().registry.answer(data, A, 0) is None


_texts = st.text(min_size=1, max_size=5)
_hosts = st.lists(st.sampled_from(["10.0.0.5", "::1", "fd00::1", "0.0.0.0"]), max_size=3)
_requests = st.one_of(
    st.builds(Query, _texts, st.sampled_from([b"", ID])),
    st.builds(Listing, _hosts.map(tuple), st.text(max_size=3)),
    st.builds(
        Register,
        st.sampled_from([b"", bytes(32)]),
        st.just(ID),
        st.lists(_texts, min_size=1, max_size=3).map(tuple),
        st.integers(1, 65535),
        _hosts.map(tuple),
        st.booleans(),
    ),
    st.builds(Unregister, st.just(b""), st.integers(1, 65535), _hosts.map(tuple), st.booleans()),
)


@given(_requests, st.sampled_from([A, LOCAL, ("fe80::1%2", 1), ("fd00::9", 1)]))
def test_any_request_is_answered_by_one_packet_or_dropped(
    request: Any, source: tuple[str, int]
) -> None:
    reply = (
        Desk(allow_listing=True).change(request, source)
        if isinstance(request, Register | Unregister)
        else Desk(allow_listing=True).ask(request, source)
    )
    assert reply is None or isinstance(reply, Found | Names | Done | Refused)

"""Counting requests that get no answer, on both sides."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from fakewire import FakeWire
from netobj.core.config import Config
from netobj.core.consts import BIG_VALUE, Kind, Limit, Op
from netobj.core.events import Request
from netobj.core.exposure import exposed
from netobj.core.framing import frame
from netobj.core.oneways import Oneways
from netobj.core.session import Session
from netobj.core.values import pack
from netobj.errors import (
    AsyncResultTimeout,
    Busy,
    CallCancelled,
    ConnectionLost,
    LimitExceeded,
    NotEncodable,
    ProtocolError,
    StaleReference,
)
from netobj.lasting import stale


def make(most: int = 8, most_bytes: int = 1000) -> Oneways:
    return Oneways(nullcontext(), most, most_bytes)


def test_a_place_is_taken_and_given_back() -> None:
    oneways = make()
    assert [oneways.take(lambda: 2) for _ in range(3)] == [True, True, False]
    oneways.give_back(1, 0)
    assert oneways.take(lambda: 2)


def test_bytes_are_counted_where_there_is_room_for_them() -> None:
    oneways = make()
    oneways.take(lambda: 1)
    assert not oneways.take_bytes(7, lambda: False)
    assert oneways.take_bytes(7, lambda: True)
    assert oneways.sent_bytes == 7
    oneways.give_back(1, 7)
    assert (oneways.sent, oneways.sent_bytes) == (0, 0)


@pytest.mark.parametrize("told", [(2, 0), (0, 0), (-1, 0), (1, 8), (1, -1)])
def test_nobody_is_done_with_what_was_not_sent(told: tuple[int, int]) -> None:
    oneways = make()
    oneways.take(lambda: 1)
    oneways.take_bytes(7, lambda: True)
    with pytest.raises(ProtocolError, match="never made"):
        oneways.give_back(*told)


def test_a_quarter_is_told_at_once() -> None:
    oneways = make(most=8)
    for _ in range(8):
        oneways.come(0)
    assert [oneways.over(0) for _ in range(8)] == [None, (2, 0)] * 4


def test_a_quarter_of_the_bytes_is_told_at_once() -> None:
    oneways = make(most=100, most_bytes=1000)
    for _ in range(4):
        oneways.come(100)
    assert [oneways.over(100) for _ in range(4)] == [None, None, (3, 300), None]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_of_few_each_is_told(most: int) -> None:
    oneways = make(most)
    for _ in range(5):
        oneways.come(0)
        assert oneways.over(0) == (1, 0)


def test_more_than_the_limit_break_the_protocol() -> None:
    oneways = make(most=4)
    for _ in range(4):
        oneways.come(0)
    with pytest.raises(ProtocolError, match="without an answer"):
        oneways.come(0)


def test_what_is_over_counts_until_it_was_told() -> None:
    oneways = make(most=8)
    for _ in range(8):
        oneways.come(0)
    assert oneways.over(0) is None
    with pytest.raises(ProtocolError):
        oneways.come(0)
    assert oneways.over(0) == (2, 0)
    oneways.come(0)


def test_one_may_come_until_there_are_too_many_bytes() -> None:
    oneways = make(most_bytes=1000)
    oneways.come(999)
    oneways.come(5000)
    with pytest.raises(ProtocolError):
        oneways.check_room()


# --- two sessions ---------------------------------------------------------------------------------


class Root:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def exposed_note(self, *args: Any, **kwargs: Any) -> None:
        self.heard.append((args, kwargs))

    def exposed_fail(self) -> None:
        raise ValueError("nobody hears this")

    @exposed(stream=True)
    def stream(self) -> Iterator[int]:
        yield 1


def joined(**limits: int) -> tuple[FakeWire, Root]:
    root = Root()
    config = Config().merge({"limits": limits})
    wire = FakeWire(Root(), root, right_config=config)
    wire.settle()
    return wire, root


def test_nothing_comes_back() -> None:
    wire, root = joined()
    assert wire.left.oneway("note", 1)
    assert wire.left.oneway("note", 1, kwargs={"b": 2})
    assert wire.left.oneway(["note"], 1, (2, [3]), time_left=5.0, metadata={"user": "alice"})
    before = list(wire.log)
    wire.settle()
    assert [args[0] for args, _ in root.heard] == [1, 1, 1]
    assert root.heard[1] == ((1,), {"b": 2})
    assert not [line for line in wire.log[len(before) :] if "REPLY" in str(line)]
    right = wire.right.session
    assert (right.running, right.boxing.answers) == ({}, {})


def test_its_target_may_be_a_promise_or_a_handle() -> None:
    wire, root = joined()
    me = wire.left.send(Op.GET, None)
    wire.left.oneway("note", 1, target=(me,))
    wire.left.oneway("note", 2, target=wire.left.root.____handle__)
    wire.settle()
    assert [args for args, _ in root.heard] == [(1,), (2,)]


def test_a_quarter_at_once_comes_home() -> None:
    wire, root = joined(requests=8)
    left = wire.left.session
    assert [wire.left.oneway("note", number) for number in range(9)] == [True] * 8 + [False]
    assert (left.most_pending, left.has_room(), left.in_flight()) == (0, False, 8)
    wire.settle()
    assert (left.most_pending, left.has_room(), left.in_flight()) == (8, True, 0)
    assert len(root.heard) == 8


def test_its_bytes_are_counted() -> None:
    wire, root = joined(request_bytes=100_000)
    left = wire.left.session
    assert wire.left.oneway("note", "x" * 60_000)
    assert 60_000 < left.bytes_in_flight() < 61_000
    assert left.has_room()
    assert wire.left.oneway("note", b"x" * BIG_VALUE)
    assert not wire.left.oneway("note", 1)
    assert not left.has_room()
    wire.settle()
    assert left.bytes_in_flight() == 0
    assert wire.left.oneway("note", 1)
    assert len(root.heard) == 2


def test_where_there_is_no_room_for_its_bytes_the_place_is_given_back() -> None:
    wire, _ = joined(request_bytes=100_000)
    left = wire.left.session
    assert left.take_place()
    left.take_bytes(200_000)
    assert left.oneways.take(lambda: 8)
    with pytest.raises(Busy):
        left.oneway(Op.CALL, None, "note", ("x" * 60_000,), None, 7)
    assert left.oneways.sent == 1


def test_what_cannot_be_sent_gives_its_place_back() -> None:
    wire, _ = joined()
    with pytest.raises(TypeError):
        wire.left.oneway("note", 1, metadata=7)
    assert wire.left.session.in_flight() == 0
    deep: Any = ()
    for _ in range(70):
        deep = (deep,)
    with pytest.raises(LimitExceeded, match="nested more than 59 levels"):
        wire.left.oneway("note", deep)
    assert wire.left.session.in_flight() == 0


def test_what_only_looks_plain_arrives_too() -> None:
    wire, root = joined()
    values = [2]
    assert wire.left.oneway("note", (1, values))
    wire.settle()
    (((one, remote),), _) = root.heard[0]
    assert (one, list(remote)) == (1, values)


def test_after_the_end_it_is_lost() -> None:
    wire, _ = joined()
    wire.left.session.lose("gone")
    with pytest.raises(ConnectionLost, match="gone"):
        wire.left.oneway("note")
    wire.left.session.gone = stale
    with pytest.raises(StaleReference, match="gone"):
        wire.left.oneway("note")
    with pytest.raises(StaleReference, match="gone"):
        wire.left.send(Op.CALL, "note")


def test_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    wire, _ = joined()
    with caplog.at_level(logging.WARNING):
        wire.left.oneway("fail")
        wire.left.oneway(["fail"])
        wire.left.oneway("stream")
        wire.settle()
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        "a call of the peer's 'fail' without an answer failed",
        "a call of the peer's without an answer failed",
        "a call of the peer's 'stream' without an answer failed",
    ]
    caplog.clear()
    wire.right.session.reconfigure(Config(log_exceptions=False))
    wire.left.oneway("fail")
    wire.settle()
    assert not caplog.records


def came(session: Session, **more: Any) -> Request:
    body = pack([Kind.ONEWAY, 1, 7, Op.CALL, 0, "note", []])
    (request,) = session.receive_data(frame(body), 0.0)
    assert isinstance(request, Request)
    for name, value in more.items():
        setattr(request, name, value)
    return request


def test_what_the_caller_knows_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    wire, _ = joined()
    session = wire.right.session
    session.error(came(session, deadline=1.0), AsyncResultTimeout("too late"), None)
    request = came(session)
    session.lose("gone")
    session.error(request, CallCancelled("nobody is there"), None)
    assert not caplog.records


def test_nobody_is_told_after_the_end() -> None:
    wire, _ = joined(requests=1)
    session = wire.right.session
    request = came(session)
    session.lose("gone")
    session.out.clear()
    session.reply(request, None)
    assert not session.out


def test_no_plain_reply_and_no_stream() -> None:
    wire, _ = joined()
    session = wire.right.session
    request = came(session)
    assert session.plain_reply(request, None) is None
    with pytest.raises(NotEncodable, match="nobody takes it"):
        session.reply_stream(request, False)
    session.reply(request, None)
    assert not session.running


def test_a_goodbye_does_not_name_it() -> None:
    wire, _ = joined()
    session = wire.right.session
    request = came(session)
    session.goodbye("closing")
    assert session.out[-1] == frame(pack([Kind.GOODBYE, "closing", []]))
    assert not request.start()


@pytest.mark.parametrize("size", [60_000, BIG_VALUE])
def test_more_bytes_than_there_is_room_for(size: int) -> None:
    wire, _ = joined(request_bytes=50_000)
    left = wire.left.session
    left.peer_limits = (*left.peer_limits[: Limit.REQUEST_BYTES], 10**9)
    left.peer_limits = (*left.peer_limits, *Config().limits[len(left.peer_limits) :])
    session = wire.right.session
    wire.left.oneway("note", "x" * 60_000)
    wire.left.oneway("note", b"x" * size)
    session.receive_data(bytes(left.out.popleft()), 0.0)
    data = b"".join(map(bytes, left.out))
    with pytest.raises(ProtocolError, match="without an answer"):
        session.receive_data(data, 0.0)


@pytest.mark.parametrize("more", [([], None, None, True), ([], None, None, 1)])
def test_it_cannot_be_kept(more: tuple[Any, ...]) -> None:
    wire, _ = joined()
    body = pack([Kind.ONEWAY, 1, 7, Op.CALL, 0, "note", [], *more])
    with pytest.raises(ProtocolError):
        wire.right.session.receive_data(frame(body), 0.0)


@pytest.mark.parametrize("done", [(1, 0), (1,), ("1", 0), (True, 0), (1, 0, 0)])
def test_done_with_what_was_not_sent(done: tuple[Any, ...]) -> None:
    wire, _ = joined()
    with pytest.raises(ProtocolError):
        wire.left.session.receive_data(frame(pack([Kind.DONE, *done])), 0.0)


def test_two_threads_make_one_book() -> None:
    wire, _ = joined()
    session = wire.left.session

    class Other:
        """A guard that somebody else has had just before."""

        def __enter__(self) -> None:
            session._oneways = made

        def __exit__(self, *_: object) -> None: ...

    made = make()
    session.boxing._guard = Other()  # type: ignore[assignment]
    assert session.oneways is made

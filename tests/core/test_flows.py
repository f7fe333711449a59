"""The messages of streams, out and in: lives of numbers, races, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import msgpack
import pytest

from fakewire import FakeWire, Side, bodies, fields
from netobj.core import values
from netobj.core.boxing import Outgoing
from netobj.core.config import Config
from netobj.core.consts import DEFAULT_LIMITS, Ext, Kind, Limit, Op
from netobj.core.ends import Duplex, Incoming
from netobj.core.events import Flowed, Reply
from netobj.core.flow import FIRST_CREDIT, Flow
from netobj.core.framing import frame
from netobj.core.session import Session
from netobj.errors import Busy, LimitExceeded, NotEncodable, ProtocolError, StreamClosed


def small(**limits: int) -> Config:
    changed = list(DEFAULT_LIMITS)
    for name, value in limits.items():
        changed[Limit[name]] = value
    return Config(limits=tuple(changed), log_exceptions=False)


def lone(config: Config | None = None, peer: Config | None = None) -> Session:
    """A session whose peer the test plays."""
    session = Side("lone", None, config or small(), ()).session
    for data in Side("peer", None, peer or Config(), ()).session.out:
        session.receive_data(bytes(data), 0.0)
    session.out.clear()
    return session


def message(*items: Any) -> bytes:
    return frame(values.pack(list(items)))


def receive(session: Session, *items: Any) -> Flow | None:
    events = session.receive_data(message(*items), 0.0)
    if not events:
        return None
    (event,) = events
    assert isinstance(event, Flowed)
    return event.flow


def sent(session: Session) -> list[Any]:
    found = [fields(body) for data in session.out for body in bodies(bytes(data))]
    session.out.clear()
    return found


class Unsendable:
    """Goes by value, and cannot."""


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> type[Unsendable]:
    def refuse(self: Any, value: Any, kind: type, out: Outgoing) -> Any:
        if kind is Unsendable:
            raise NotEncodable("this one cannot travel")
        return box_object(self, value, kind, out)

    from netobj.core.boxing import Boxing

    box_object = Boxing._box_object
    monkeypatch.setattr(Boxing, "_box_object", refuse)
    return Unsendable


class TestNumbers:
    def test_each_side_counts_its_own(self) -> None:
        session = lone()
        assert [session.flows.open(False).number for _ in range(3)] == [1, 2, 3]
        assert [session.flows.accept(number, False).number for number in (1, 2)] == [-1, -2]
        assert len(session.flows) == 5
        assert [flow.number for flow in session.flows] == [1, 2, 3, -1, -2]

    def test_they_are_not_used_again(self) -> None:
        session = lone()
        session.flows.drop(session.flows.open(False))
        session.flows.end(session.flows.open(False))
        assert len(session.flows) == 0
        assert session.flows.open(False).number == 3

    def test_halves(self) -> None:
        flows = lone().flows
        one, two = flows.open(False), flows.open(True)
        assert (one.sent_end, one.ended) == (False, True)
        assert (two.sent_end, two.ended) == (False, False)
        one, two = flows.accept(1, False), flows.accept(2, True)
        assert (one.sent_end, one.ended) == (True, False)
        assert (two.sent_end, two.ended) == (False, False)

    def test_they_are_announced_in_any_order(self) -> None:
        """Two threads may answer in another order than they have opened."""
        flows = lone().flows
        flows.accept(2, False)
        flows.accept(1, False)
        assert len(flows) == 2

    def test_there_is_room_for_as_many_as_both_sides_allow(self) -> None:
        for session in (lone(small(REQUESTS=3)), lone(peer=small(REQUESTS=3))):
            flows = [session.flows.open(False) for _ in range(2)]
            session.flows.accept(1, False)
            with pytest.raises(Busy, match="3 streams are open"):
                session.flows.open(False)
            session.flows.end(flows[0])
            session.flows.open(False)

    def test_a_peer_may_have_as_many_beside(self) -> None:
        session = lone(small(REQUESTS=2))
        for number in range(1, 5):
            session.flows.accept(number, False)
        with pytest.raises(ProtocolError, match="more streams are open"):
            session.flows.accept(5, False)


class TestSending:
    def test_items(self) -> None:
        session = lone()
        flow = session.flows.open(False)
        session.flows.send_items(flow, (1, "a", None))
        assert sent(session) == [[Kind.ITEMS, 1, [1, "a", None]]]
        assert flow.sent == 3

    def test_what_is_too_much_for_one_message_goes_in_several(self) -> None:
        session = lone(peer=small(ITEMS=64))
        flow = session.flows.open(False)
        session.flows.send_items(flow, tuple(range(100)))
        messages = sent(session)
        assert len(messages) > 1
        assert [item for message in messages for item in message[2]] == list(range(100))
        assert flow.sent == 100

    def test_those_before_one_that_cannot_travel_are_sent(self, refusing: Any) -> None:
        session = lone()
        flow = session.flows.open(False)
        items = (*range(5), refusing(), *range(5, 10))
        with pytest.raises(NotEncodable):
            session.flows.send_items(flow, items)
        assert [item for message in sent(session) for item in message[2]] == list(range(5))
        assert flow.sent == 5

    def test_one_item_that_is_too_large(self) -> None:
        session = lone(peer=small(FRAME=1024))
        flow = session.flows.open(False)
        with pytest.raises(LimitExceeded):
            session.flows.send_items(flow, ("x" * 2000,))
        assert sent(session) == []

    def test_what_was_not_sent_costs_no_credit(self, refusing: Any) -> None:
        session = lone()
        flow = session.flows.open(True)
        for _ in range(2 * FIRST_CREDIT):
            with pytest.raises(NotEncodable):
                session.flows.send_items(flow, (refusing(),))
        assert flow.may_send()
        assert flow.sent == 0

    def test_nothing_after_the_end(self) -> None:
        session = lone()
        flow = session.flows.open(False)
        session.flows.end(flow)
        with pytest.raises(StreamClosed):
            session.flows.send_items(flow, (1,))
        assert sent(session) == [[Kind.END, 1]]

    def test_the_end(self) -> None:
        session = lone()
        session.flows.end(session.flows.open(False))
        session.flows.end(session.flows.accept(1, True))
        assert sent(session) == [[Kind.END, 1], [Kind.END, -1]]
        assert len(session.flows) == 1  # of the second the peer's half is open

    def test_the_end_by_an_error(self) -> None:
        session = lone()
        session.flows.end(session.flows.open(False), KeyError("k"))
        ((kind, number, error),) = sent(session)
        assert (kind, number, error.code) == (Kind.END, 1, Ext.RAISED)

    def test_an_error_that_cannot_be_sent_is_told_by_another(self, refusing: Any) -> None:
        session = lone()
        session.flows.end(session.flows.open(False), KeyError(refusing()))
        ((kind, number, error),) = sent(session)
        assert (kind, number) == (Kind.END, 1)
        assert b"a stream ended with a KeyError, which could not be sent" in error.data
        assert len(session.flows) == 0

    def test_the_end_is_sent_once(self) -> None:
        session = lone()
        flow = session.flows.open(True)
        session.flows.end(flow)
        session.flows.end(flow, KeyError("late"))
        assert sent(session) == [[Kind.END, 1]]

    def test_the_end_goes_behind_items_that_another_thread_is_sending(self) -> None:
        session = lone()
        flow = session.flows.open(True)
        export = session.boxing.export

        def end_meanwhile(obj: object, out: Any) -> Any:
            session.flows.end(flow, KeyError("over"))
            assert not session.out
            with pytest.raises(StreamClosed):
                session.flows.send_items(flow, (1,))
            return export(obj, out)

        session.boxing.export = end_meanwhile  # type: ignore[method-assign]
        session.flows.send_items(flow, (object(),))
        assert [message[0] for message in sent(session)] == [Kind.ITEMS, Kind.END]

    def test_also_where_those_items_cannot_travel(self, refusing: Any) -> None:
        session = lone()
        flow = session.flows.open(True)

        class Late(tuple[Any, ...]):
            def __iter__(self) -> Any:
                session.flows.end(flow)
                return super().__iter__()

        with pytest.raises(NotEncodable):
            session.flows.send_items(flow, Late((refusing(),)))
        assert sent(session) == [[Kind.END, 1]]

    def test_a_stop(self) -> None:
        session = lone()
        flow = session.flows.accept(1, False)
        for _ in range(2):
            session.flows.stop(flow)
        assert sent(session) == [[Kind.STOP, -1]]
        assert len(session.flows) == 1  # until the peer's end

    def test_a_stop_behind_the_end_is_nobody_s_business(self) -> None:
        session = lone()
        flow = session.flows.accept(1, False)
        receive(session, Kind.ITEMS, 1, [1, 2])
        receive(session, Kind.END, 1)
        session.flows.stop(flow)
        assert sent(session) == []
        assert not flow.chunks

    def test_credit(self) -> None:
        session = lone()
        session.flows.grant(session.flows.accept(1, False), 7)
        session.flows.grant(session.flows.open(True), 8)
        assert sent(session) == [[Kind.CREDIT, -1, 7], [Kind.CREDIT, 1, 8]]


class TestReceiving:
    def test_items(self) -> None:
        session = lone()
        flow = session.flows.accept(1, False)
        assert receive(session, Kind.ITEMS, 1, [1, 2]) is flow
        assert list(flow.chunks) == [((1, 2), False)]
        assert flow.received == 2

    def test_items_of_a_stream_that_we_have_made(self) -> None:
        session = lone()
        flow = session.flows.open(True)
        assert receive(session, Kind.ITEMS, -1, ["a"]) is flow

    def test_big_items_count_with_what_follows_them(self) -> None:
        session = lone()
        flow = session.flows.accept(1, False)
        big = msgpack.ExtType(Ext.BIG_BYTES, (100_000).to_bytes(8, "big"))
        assert session.receive_data(message(Kind.ITEMS, 1, [big]), 0.0) == []
        raw = (0x8000_0000 | 100_000).to_bytes(4, "big") + bytes(100_000)
        assert len(session.receive_data(raw, 0.0)) == 1
        assert flow.item_size > 100_000

    def test_credit(self) -> None:
        session = lone()
        flow = session.flows.open(False)
        assert receive(session, Kind.CREDIT, -1, 5) is flow
        assert flow.granted == FIRST_CREDIT + 5

    def test_a_stop(self) -> None:
        session = lone()
        flow = session.flows.open(False)
        assert receive(session, Kind.STOP, -1) is flow
        assert flow.refused
        assert len(session.flows) == 1  # until our end

    def test_a_stop_cancels_the_request_that_the_stream_answers(self) -> None:
        session = lone()
        flow = session.flows.open(False)
        (flow.request,) = session.receive_data(message(Kind.REQUEST, 1, 1, 1, 0, "m", []), 0.0)
        receive(session, Kind.STOP, -1)
        assert flow.request.cancelled

    def test_the_end(self) -> None:
        session = lone()
        flow = session.flows.accept(1, False)
        assert receive(session, Kind.END, 1) is flow
        assert flow.ended
        assert flow.error is None
        assert len(session.flows) == 0

    def test_of_a_two_way_stream_one_end_is_half_of_it(self) -> None:
        session = lone()
        flow = session.flows.accept(1, True)
        receive(session, Kind.END, 1)
        assert len(session.flows) == 1
        session.flows.end(flow)
        assert len(session.flows) == 0

    def test_what_comes_behind_a_stop_is_dropped_and_counted(self) -> None:
        session = lone()
        flow = session.flows.accept(1, False)
        session.flows.stop(flow)
        receive(session, Kind.ITEMS, 1, [0] * FIRST_CREDIT)
        assert (list(flow.chunks), flow.received) == ([], FIRST_CREDIT)
        with pytest.raises(ProtocolError, match="more than were granted"):
            receive(session, Kind.ITEMS, 1, [0])

    def test_so_is_the_error_of_the_end(self) -> None:
        session = lone()
        flow = session.flows.accept(1, False)
        session.flows.stop(flow)
        flow.chunks.append(((1,), False))  # came at the very moment of the stop
        receive(session, Kind.END, 1, 7)
        assert flow.error is None
        assert not flow.chunks

    @pytest.mark.parametrize("items", [(Kind.CREDIT, -1, 7), (Kind.STOP, -1)])
    def test_what_crosses_our_end_means_nothing(self, items: tuple[Any, ...]) -> None:
        session = lone()
        session.flows.end(session.flows.open(False))
        assert receive(session, *items) is None

    @pytest.mark.parametrize("items", [(Kind.CREDIT, 1, 7), (Kind.STOP, 1)])
    def test_also_of_a_stream_of_the_peer_s(self, items: tuple[Any, ...]) -> None:
        session = lone()
        flow = session.flows.accept(1, True)
        assert receive(session, *items) is flow
        session.flows.end(flow)
        receive(session, Kind.END, 1)
        assert receive(session, *items) is None


HOSTILE: list[tuple[Any, ...]] = [
    *((Kind.ITEMS, number, [1]) for number in (0, 2, -2, -1, "1", None, 1.0, True, 10**5000, [1])),
    *((Kind.ITEMS, 1, items) for items in ([], 1, None, "ab", {}, [0] * (FIRST_CREDIT + 1))),
    (Kind.ITEMS,),
    (Kind.ITEMS, 1),
    (Kind.ITEMS, 1, [1], 2),
    *(
        (Kind.CREDIT, number, 1)
        for number in (0, 2, -2, "1", None, 1.0, True, 10**5000, -(10**5000))
    ),
    *((Kind.CREDIT, -1, count) for count in (0, -1, "1", None, 1.0, True, 2**63, 10**5000, [])),
    (Kind.CREDIT,),
    (Kind.CREDIT, -1),
    (Kind.CREDIT, -1, 1, 1),
    *((Kind.END, number) for number in (0, 2, -2, -1, "1", None, 1.0, True, 10**5000, [1])),
    (Kind.END,),
    (Kind.END, 1, None, None),
    *((Kind.STOP, number) for number in (0, 2, -2, "1", None, 1.0, True, 2**70, [1])),
    (Kind.STOP,),
    (Kind.STOP, -1, 1),
]


class TestHostile:
    @pytest.mark.parametrize("items", HOSTILE)
    def test_what_is_malformed(self, items: tuple[Any, ...]) -> None:
        """There is one stream of each side's, one-way."""
        session = lone()
        session.flows.open(False)
        session.flows.accept(1, False)
        with pytest.raises(ProtocolError):
            session.receive_data(message(*items), 0.0)

    @pytest.mark.parametrize("kind", [Kind.ITEMS, Kind.CREDIT, Kind.END, Kind.STOP, Kind.FORGET])
    def test_before_the_hello(self, kind: Kind) -> None:
        session = Side("lone", None, Config(), ()).session
        with pytest.raises(ProtocolError):
            session.receive_data(b"netobj 1\r\n" + message(kind, 1, [1]), 0.0)

    def test_items_behind_the_end(self) -> None:
        session = lone()
        session.flows.accept(1, True)
        receive(session, Kind.END, 1)
        with pytest.raises(ProtocolError, match="not open on its side"):
            receive(session, Kind.ITEMS, 1, [1])

    def test_a_second_end(self) -> None:
        session = lone()
        session.flows.accept(1, True)
        receive(session, Kind.END, 1)
        with pytest.raises(ProtocolError, match="not open on its side"):
            receive(session, Kind.END, 1)


class TestAbandoned:
    """Nobody has an end of the stream any more, and no thread waits to say so."""

    @pytest.mark.parametrize(
        ("two_way", "before", "told"),
        [
            (False, "", ["STOP"]),
            (False, "stopped", []),
            (False, "the peer's end", []),
            (True, "", ["STOP", "END"]),
            (True, "stopped", ["END"]),
            (True, "ended", ["STOP"]),
            (True, "the peer's end", ["END"]),
            (True, "the peer's end and ended", []),
        ],
    )
    def test_the_peer_is_told(self, two_way: bool, before: str, told: list[str]) -> None:
        wire = FakeWire(None, None)
        theirs = wire.left.session.flows.open(two_way)
        flow = wire.right.session.flows.accept(1, two_way)
        end = Duplex(flow, nullcontext()) if two_way else Incoming(flow)
        if before == "stopped":
            wire.right.session.flows.stop(flow)
        if before == "ended":
            wire.right.session.flows.end(flow)
        if "the peer's end" in before:
            wire.left.session.flows.end(theirs)
        if before.endswith("and ended"):
            wire.right.session.flows.end(flow)
        wire.settle()
        with wire.counted() as log:
            del end
            wire.flush()
        assert log == [f"right {kind}" for kind in told]
        wire.left.session.flows.end(theirs)
        wire.flush()
        assert wire.under_way() == (0, 0, 0, 0)

    def test_it_goes_in_front_of_the_next_message(self) -> None:
        session = lone()
        session.boxing.dead.append(session.flows.accept(1, True))
        session.ping(1)
        assert sent(session) == [[Kind.STOP, -1], [Kind.END, -1], [Kind.PING, 1]]

    def test_an_end_that_the_function_s_return_sends_at_the_same_time(self) -> None:
        session = lone()
        flow = session.flows.open(True)
        claim = session.flows.claim_end

        def returned(flow: Flow) -> bool:
            session.flows.claim_end = claim  # type: ignore[method-assign]
            session.flows.end(flow)
            return claim(flow)

        session.flows.claim_end = returned  # type: ignore[method-assign,assignment]
        session.boxing.dead.append(flow)
        session.flush_releases()
        assert [message[0] for message in sent(session)] == [Kind.END, Kind.STOP]

    def test_a_stream_in_an_answer_that_nobody_wants(self) -> None:
        wire = FakeWire(None, None)
        answer = wire.left.send(Op.CALL, "m")
        wire.left.session.cancel(answer.seq)
        wire.carry(wire.left)
        wire.carry(wire.left)
        (request, _) = wire.right.events
        wire.right.events.clear()
        flow = wire.right.session.flows.open(False)
        wire.right.session.reply(request, flow)  # type: ignore[arg-type]
        (reply,) = wire.left.session.receive_data(wire.right.take(), 0.0)
        assert isinstance(reply, Reply)
        wire.left.session.boxing.settled(reply.token)
        with wire.counted() as log:
            del reply
            wire.flush()
        assert log == ["left FORGET", "left STOP"]
        assert flow.refused
        wire.right.session.flows.end(flow)
        wire.flush()
        assert wire.under_way() == (0, 0, 0, 0)


class TestTheEndOfTheConnection:
    def test_every_stream_is_lost(self) -> None:
        session = lone()
        flows = [session.flows.open(True), session.flows.accept(1, False)]
        session.lose("gone")
        assert sorted(session.flows.lose("gone"), key=id) == sorted(flows, key=id)
        assert [flow.lost for flow in flows] == ["gone", "gone"]
        assert all(
            flow.over and flow.refused and flow.may_send() and flow.may_take() for flow in flows
        )
        assert len(session.flows) == 0
        assert session.flows.lose("again") == []

    def test_one_that_is_opened_too_late(self) -> None:
        """Else its producer would wait for credit for ever."""
        session = lone()
        session.lose("gone")
        session.flows.lose("gone")
        for flow in (session.flows.open(True), session.flows.accept(1, True)):
            assert flow.lost == "gone"
            assert flow.may_send()
            assert flow.may_take()
        assert len(session.flows) == 0

    def test_a_table_that_another_thread_empties_at_the_same_time(self) -> None:
        class Emptied(dict[int, Flow]):
            def __bool__(self) -> bool:
                return True

        session = lone()
        session.flows._table = Emptied()
        assert session.flows.lose("gone") == []

    def test_nothing_more_is_said(self) -> None:
        session = lone()
        flow = session.flows.accept(1, True)
        end: Any = Duplex(flow, nullcontext())
        session.lose("gone")
        session.flows.lose("gone")
        session.flows.stop(flow)
        del end
        assert not session.boxing.dead
        assert sent(session) == []


def test_ends_and_items_of_many_threads() -> None:
    """Whoever ends a stream while others send in it: no item behind the end, one end."""

    def in_threads(*functions: Callable[[], object]) -> None:
        threads = [threading.Thread(target=function) for function in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for _ in range(100):
        session = lone()
        session.flows._guard = session.boxing._guard = threading.RLock()
        flow = session.flows.open(True)
        begin = threading.Barrier(4)

        def send(begin: Any = begin, session: Any = session, flow: Flow = flow) -> None:
            begin.wait()
            try:
                for _ in range(20):
                    session.flows.send_items(flow, (object(),))
            except StreamClosed:
                pass

        def end(begin: Any = begin, session: Any = session, flow: Flow = flow) -> None:
            begin.wait()
            session.flows.end(flow)

        in_threads(send, send, end, end)
        kinds = [message[0] for message in sent(session)]
        assert kinds == [Kind.ITEMS] * (len(kinds) - 1) + [Kind.END]
        assert flow.sending == 0


@pytest.mark.parametrize("number", [0, -1, 2**63, 2**63 + 1, 2**64 - 1, True, None])
def test_numbers_that_no_stream_can_have(number: Any) -> None:
    flows = FakeWire().left.session.flows
    with pytest.raises(ProtocolError, match="63 bits"):
        flows.accept(number, False)

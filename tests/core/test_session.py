"""The state machine: every message, what it changes, and what is refused."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakewire import CLASSIC, Answer, FakeWire, Side, bodies, fields, kinds
from netobj.core import promises, receiving, values
from netobj.core.config import Config
from netobj.core.consts import (
    ANNOUNCED,
    BIG_VALUE,
    DEFAULT_LIMITS,
    MINOR_VERSION,
    PREAMBLE,
    ROOT_ID,
    SPECIAL_INDEX,
    Ext,
    Kind,
    Op,
)
from netobj.core.describe import NOTHING
from netobj.core.events import Cancel, Dropped, Goodbye, Hello, Pong, Reply, Request
from netobj.core.framing import frame, raw_frames
from netobj.core.handle import Handle, ImportedClass
from netobj.core.session import LOST, NOT_STARTED, Session
from netobj.errors import (
    AccessDenied,
    AsyncResultTimeout,
    Busy,
    ConnectionLost,
    LimitExceeded,
    NotEncodable,
    ProtocolError,
)
from played import Root, ask, hello, lone, message, sent, small, with_limits


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire(Root(), Root())


def promise(seq: int) -> msgpack.ExtType:
    return msgpack.ExtType(Ext.PROMISE, seq.to_bytes(8, "big"))


def stream(number: Any, two_way: Any) -> msgpack.ExtType:
    return msgpack.ExtType(Ext.STREAM, values.pack([number, two_way]))


class TestOneRoundTrip:
    def test_a_call(self, wire: FakeWire) -> None:
        root = wire.left.root
        with wire.counted() as log:
            assert root.add(1, 2) == 3
        assert log == ["left REQUEST", "right REPLY"]

    def test_reading_an_attribute(self, wire: FakeWire) -> None:
        root = wire.left.root
        with wire.counted() as log:
            assert root.number == 5
        assert log == ["left REQUEST", "right REPLY"]

    def test_a_callback_adds_one(self, wire: FakeWire) -> None:
        root = wire.left.root
        with wire.counted() as log:
            assert root.call(lambda x: x + 1, 4) == 5
        assert log == ["left REQUEST", "right REQUEST", "left REPLY", "right REPLY"]

    def test_callbacks_may_nest(self, wire: FakeWire) -> None:
        root = wire.left.root

        def down(depth: int) -> int:
            return depth if depth == 0 else 1 + root.call(down, depth - 1)

        assert root.call(down, 10) == 10

    def test_a_plain_call_is_a_few_bytes(self, wire: FakeWire) -> None:
        root = wire.left.root
        root.add(1, 2)
        session = wire.left.session
        session.request(Answer(), Op.CALL, root.____handle__, "add", (1, 2), None, 1)
        assert len(session.out[-1]) < 24
        wire.left.take()

    def test_connecting_and_the_first_call_cost_one_round_trip(self) -> None:
        """A client does not wait for the other hello."""
        left, right = Side("left", None, Config(), ()), Side("right", Root(), Config(), ())
        token = Answer()
        left.session.request(token, Op.CALL, None, "add", (1, 2), None, 1)
        for data in tuple(left.session.out):
            right.events.extend(right.session.receive_data(bytes(data), 0.0))
        for event in right.events:
            right.handle(event)
        for data in tuple(right.session.out):
            for event in left.session.receive_data(bytes(data), 0.0):
                left.handle(event)
        assert (token.ok, token.value) == (True, 3)


class TestHello:
    def test_it_is_the_first_that_is_sent(self) -> None:
        session = Side("one", Root(), Config(), ("numpy",)).session
        assert session.out[0].startswith(PREAMBLE)
        (body,) = bodies(bytes(session.out[0][len(PREAMBLE) :]))
        kind, minor, process, resumed, limits, features, description = fields(body)
        assert (kind, minor, process, resumed) == (Kind.HELLO, MINOR_VERSION, b"one", None)
        assert tuple(limits) == DEFAULT_LIMITS[:ANNOUNCED]
        assert features == ["numpy"]
        assert description[2].endswith("Root")

    def test_what_it_teaches(self) -> None:
        session = lone(greeted=False)
        assert not session.greeted
        limits = [10_000, 2, 64, 70, 8, 9, 1000]
        data = PREAMBLE + hello(limits=limits, features=["numpy", 7, "more"], process=b"x")
        (event,) = session.receive_data(data, 1.0)
        assert isinstance(event, Hello)
        assert session.greeted
        assert session.peer_limits == (*limits, *DEFAULT_LIMITS[7:])
        assert session.peer_features == ("numpy", "more")
        assert session.peer_process == b"x"
        assert session.boxing.peer_has_numpy
        assert session.root_class is not None
        assert session.root_class.description == NOTHING

    def test_more_fields_of_a_later_minor_version_are_ignored(self) -> None:
        session = lone(greeted=False)
        items = (Kind.HELLO, 9, b"", None, [*DEFAULT_LIMITS, 1], [], NOTHING.to_wire(), "more")
        assert session.receive_data(PREAMBLE + message(*items), 0.0)
        assert session.greeted

    @pytest.mark.parametrize(
        "changes",
        [
            {"minor": "0"},
            {"minor": -1},
            {"process": "p"},
            {"limits": 7},
            {"limits": [1, 2]},
            {"limits": [10_000, 1, 1, 1, 1, -1]},
            {"limits": [10_000, 1, 1, 1, 1, "a"]},
            {"limits": [1000, 1, 1, 64, 1, 1]},
            {"limits": [10_000, 1, 1, 63, 1, 1]},
            {"features": "numpy"},
            {"root": None},
        ],
    )
    def test_what_is_malformed(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ProtocolError):
            lone(greeted=False).receive_data(PREAMBLE + hello(**changes), 0.0)

    def test_too_short(self) -> None:
        with pytest.raises(ProtocolError, match="at least 7 fields"):
            lone(greeted=False).receive_data(PREAMBLE + message(Kind.HELLO, 0), 0.0)

    def test_only_once(self) -> None:
        with pytest.raises(ProtocolError, match="second hello"):
            lone().receive_data(hello(), 0.0)

    @pytest.mark.parametrize(
        "items",
        [
            (Kind.REQUEST, 1, 1, Op.GET, 0, None, []),
            (Kind.REPLY, 1, 1),
            (Kind.ERROR, 1, 1),
            (Kind.PING, None),
            (Kind.STOP, 1),
        ],
    )
    def test_nothing_comes_before_it(self, items: tuple[Any, ...]) -> None:
        session = lone(greeted=False)
        session.pending[1] = Answer()
        with pytest.raises(ProtocolError, match="before the hello"):
            session.receive_data(PREAMBLE + message(*items), 0.0)


class TestRequests:
    def test_what_a_call_looks_like(self) -> None:
        session = lone()
        seq = session.request(Answer(), Op.CALL, None, "m", (1, "a"), None, chain=7)
        assert sent(session) == [[Kind.REQUEST, seq, 7, Op.CALL, 0, "m", [1, "a"]]]

    def test_keywords_stand_behind_the_arguments(self) -> None:
        session = lone()
        seq = session.request(Answer(), Op.CALL, None, "m", (1,), {"b": 2, "c": 3}, 7)
        assert sent(session) == [[Kind.REQUEST, seq, 7, Op.CALL, 0, "m", [1, 2, 3], ["b", "c"]]]

    def test_the_time_left(self) -> None:
        session = lone()
        session.request(Answer(), Op.CALL, None, None, (), None, 7, time_left=1.5)
        session.request(Answer(), Op.CALL, None, None, (), {"a": 1}, 7, time_left=2)
        first, second = sent(session)
        assert first[7:] == [[], 1.5]
        assert second[7:] == [["a"], 2]

    def test_a_lane_instead_of_a_chain(self) -> None:
        session = lone()
        seq = session.request(Answer(), Op.CALL, None, "m", (), None, None, lane=3)
        assert sent(session) == [[Kind.ASYNC_REQUEST, seq, 3, Op.CALL, 0, "m", []]]

    def test_a_kept_one(self) -> None:
        session = lone()
        for kwargs, more in ((None, {}), ({"a": 1}, {"time_left": 2}), (None, {"lane": 3})):
            session.request(Answer(), Op.CALL, None, "m", (), kwargs, 7, kept=True, **more)  # type: ignore[arg-type]
        first, second, third = sent(session)
        assert first[7:] == [[], None, None, True]
        assert second[7:] == [["a"], 2, None, True]
        assert third[7:] == []  # they always are

    def test_the_target_may_be_any_value(self, wire: FakeWire) -> None:
        """Where a promise is fulfilled, what it was fulfilled with stands in its place."""
        wire.right.session.reconfigure(CLASSIC)
        for target, path, expected in (("text", "upper", "TEXT"), ((1, 2), "count", 0)):
            args = () if path == "upper" else (5,)
            answer = wire.left.send(Op.CALL, path, *args, target=(target,))
            wire.settle()
            assert answer.result() == expected
        root = wire.left.root
        answer = wire.left.send(Op.CALL, "add", 1, 2, target=(root,))
        wire.settle()
        assert answer.result() == 3

    @pytest.mark.parametrize(
        ("target", "op", "path", "args"),
        [
            ("{0.secret}", Op.CALL, "format", (None,)),
            ("%r", Op.SPECIAL, None, (SPECIAL_INDEX["__mod__"], None)),
            ((None,), Op.SPECIAL, None, (SPECIAL_INDEX["__repr__"],)),
            (("%r", None), Op.SPECIAL, [(0,)], (SPECIAL_INDEX["__mod__"], None)),
            (7, Op.CALL, "bit_length", ()),
            ((1, 2), Op.CALL, "count", (1,)),
        ],
    )
    def test_values_of_the_peer_are_no_programs(
        self, wire: FakeWire, target: object, op: Op, path: Any, args: Any
    ) -> None:
        """``"{0.secret}".format(thing)`` would read what the policy refuses."""
        wire.right.session.reconfigure(Config(allow_public_attrs=True))
        answer = wire.left.send(op, path, *args, target=(target,))
        wire.settle()
        with pytest.raises(AccessDenied, match="travels by value"):
            answer.result()

    def test_items_of_a_tuple_can_be_asked_for(self, wire: FakeWire) -> None:
        root = wire.left.root
        for target, path in (((1, root), [(1,), "add"]), ((1, (root, 2)), [(1,), (0,), "add"])):
            answer = wire.left.send(Op.CALL, path, 1, 2, target=(target,))
            wire.settle()
            assert answer.result() == 3
        answer = wire.left.send(Op.GET, [(0,)], target=((5, 6),))
        wire.settle()
        assert answer.result() == 5

    def test_a_number_that_was_taken_before(self) -> None:
        session = lone()
        assert session.request("token", Op.GET, None, "a", (), None, 1, seq=77) == 77
        assert session.pending == {77: "token"}

    def test_all_of_it_arrives(self, wire: FakeWire) -> None:
        root = wire.left.root.____handle__
        wire.left.session.request(
            Answer(), Op.CALL, root, "add", (1,), {"a": 2}, None, lane=5, time_left=9.5
        )
        (request,) = wire.right.session.receive_data(wire.left.take(), 0.0)
        assert isinstance(request, Request)
        assert (request.chain, request.lane, request.op) == (None, 5, Op.CALL)
        assert (request.target, request.path) == (wire.right.session.boxing.root, "add")
        assert (request.args, request.kwnames, request.deadline) == ((1, 2), ("a",), 9.5)
        assert (request.deferred, request.metadata) == (False, None)
        assert wire.right.session.running == {request.seq: request}
        wire.right.handle(request)
        assert wire.right.session.running == {}
        wire.settle()

    def test_metadata(self) -> None:
        entries = {"user": "alice", "n": None, "big": 2**70, "raw": b"r", "lone": "\ud800"}
        session = lone()
        seq = session.request(Answer(), Op.GET, None, "a", (), None, 7, metadata=entries)
        data = bytes(session.out[0])
        assert sent(session)[0][:8] == [Kind.REQUEST, seq, 7, Op.GET, 0, "a", [], []]
        (request,) = lone().receive_data(data, 0.0)
        assert isinstance(request, Request)
        assert (request.metadata, request.deadline, request.kept) == (entries, None, None)

    def test_no_metadata(self) -> None:
        session = lone()
        session.request(Answer(), Op.GET, None, "a", (), None, 7, metadata={})
        session.request(Answer(), Op.GET, None, "a", (), None, 7, metadata={}, kept=True)
        assert [message[7:] for message in sent(session)] == [[], [[], None, None, True]]

    def test_metadata_has_a_bound_that_its_sender_keeps_to(self) -> None:
        entries = {f"name {number}": number for number in range(65)}
        session = lone()
        with pytest.raises(LimitExceeded, match="at most 64 entries"):
            session.request(Answer(), Op.GET, None, "a", (), None, 7, metadata=entries)
        assert session.pending == {}
        del entries["name 0"]
        session.request(Answer(), Op.GET, None, "a", (), None, 7, metadata=entries)
        assert lone().receive_data(bytes(session.out[0]), 0.0)

    @pytest.mark.parametrize("seconds", [math.inf, math.nan, 1e9, 1e300])
    def test_more_time_than_a_call_can_have_is_no_deadline(self, seconds: float) -> None:
        session = lone()
        session.request(Answer(), Op.GET, None, "a", (), None, 7, time_left=seconds)
        (request,) = lone().receive_data(bytes(session.out[0]), 0.0)
        assert isinstance(request, Request)
        assert request.deadline is None

    def test_the_deadline_is_of_the_reader_s_clock(self) -> None:
        items = (Kind.REQUEST, 1, 1, Op.GET, 0, None, [], [], 1.5)
        (request,) = lone().receive_data(message(*items), 100.0)
        assert isinstance(request, Request)
        assert (request.since, request.deadline) == (100.0, 101.5)

    def test_paths_of_several_steps(self, wire: FakeWire) -> None:
        """Attributes and items, in one round trip."""
        target = wire.right.session.boxing.root
        target.exposed_table = {"k": [10, 20], (1, 2): "pair"}
        handle = wire.left.root.____handle__
        with wire.counted() as log:
            assert wire.left.request(Op.GET, handle, ["table", ("k",), (1,)], ()) == 20
            assert wire.left.request(Op.GET, handle, ["table", ((1, 2),)], ()) == "pair"
            assert wire.left.request(Op.CALL, handle, ["add"], (1, 2)) == 3
        assert log == ["left REQUEST", "right REPLY"] * 3

    def test_a_path_may_hold_what_is_boxed(self, wire: FakeWire) -> None:
        target = wire.right.session.boxing.root
        target.exposed_table = {target: 7, "k" * BIG_VALUE: 8}
        root = wire.left.root
        handle = root.____handle__
        assert wire.left.request(Op.GET, handle, ["table", (root,)], ()) == 7
        assert wire.left.request(Op.GET, handle, ["table", ("k" * BIG_VALUE,)], ()) == 8

    @pytest.mark.parametrize(
        "items",
        [
            (),
            (1,) * 11,
            ("1", 1, 1, 0, None, []),
            (-1, 1, 1, 0, None, []),
            (2**63, 1, 1, 0, None, []),
            (1, None, 1, 0, None, []),
            (1, 1, "1", 0, None, []),
            (1, 1, 1, None, None, []),
            (1, 1, 1, 0, None, 1),
            (1, 1, 1, 5, None, []),
            (1, 1, 1, 10**5000, None, []),
            (1, 1, 1, 0, None, [], "ab"),
            (1, 1, 1, 0, None, [1], [1]),
            (1, 1, 1, 0, None, [], ["a"]),
            (1, 1, 1, 0, None, [], [], "soon"),
            (1, 1, 1, 0, None, [], [], True),
            (1, 1, 1, 0, None, [], [], math.nan),
            (1, 1, 1, 0, None, [], [], math.inf),
            (1, 1, 1, 0, None, [], [], None, "trace"),
            (1, 1, 1, 0, None, [], [], None, [["a", i] for i in range(65)]),
            (1, 1, 1, 0, None, [], [], None, ["ab"]),
            (1, 1, 1, 0, None, [], [], None, [[]]),
            (1, 1, 1, 0, None, [], [], None, [["a"]]),
            (1, 1, 1, 0, None, [], [], None, [["a", 1, 2]]),
            (1, 1, 1, 0, None, [], [], None, [[1, 1]]),
            (1, 1, 1, 0, None, [], [], None, [["a", []]]),
            (1, 1, 1, 0, None, [], [], None, None, 1),
            (1, 1, 1, 0, None, [], [], None, None, None),
            (1, 1, 1, [], None, []),
            (1, 1, 1, [0, 0], None, []),
            (1, 1, 1, [promise(5)], None, []),
            (1, 1, 1, 0, None, [promise(1)], [], None, None, True),
            (1, 1, 1, 0, None, [msgpack.ExtType(Ext.PROMISE, b"1")]),
            (1, 1, 1, 0, None, [stream(0, False)]),
            (1, 1, 1, 0, None, [stream(-1, False)]),
            (1, 1, 1, 0, None, [stream(2**63, False)]),
            (1, 1, 1, 0, None, [stream(True, False)]),
            (1, 1, 1, 0, None, [stream(1, 0)]),
            (1, 1, 1, 0, None, [stream(1, False), stream(1, True)]),
            (1, 1, 1, 0, None, [msgpack.ExtType(Ext.STREAM, b"\x91\x01")]),
            (1, 1, 1, 0, None, [msgpack.ExtType(Ext.STREAM, b"\x01")]),
            (1, 1, 1, 0, None, [msgpack.ExtType(Ext.STREAM, b"")]),
        ],
    )
    def test_what_is_malformed(self, items: tuple[Any, ...]) -> None:
        with pytest.raises(ProtocolError):
            lone().receive_data(message(Kind.REQUEST, *items), 0.0)

    def test_metadata_that_travels_behind(self) -> None:
        big = msgpack.ExtType(Ext.BIG_STR, (9).to_bytes(8, "big"))
        data = message(Kind.REQUEST, 1, 1, 1, 0, None, [], [], None, [["a", big]])
        session = lone()
        session.receive_data(data, 0.0)
        with pytest.raises(ProtocolError, match="values of metadata"):
            session.receive_data(b"".join(raw_frames(b"x" * 9)), 0.0)

    def test_a_number_in_use(self) -> None:
        request = message(Kind.REQUEST, 1, 1, Op.GET, 0, None, [])
        session = lone()
        session.receive_data(request, 0.0)
        with pytest.raises(ProtocolError, match="request 1 is running already"):
            session.receive_data(request, 0.0)

    def test_what_came_before_a_fault_still_counts(self) -> None:
        session = lone()
        request = message(Kind.REQUEST, 1, 1, Op.GET, 0, None, [])
        (event,) = session.receive_data(request * 2, 0.0)
        assert isinstance(event, Request)
        assert "request 1 is running already" in str(session.fault)

    def test_after_the_end_a_fault_is_no_news(self) -> None:
        session = lone()
        session.lose("over")
        assert session.receive_data(b"\xff" * 100, 0.0) == []

    def test_more_in_flight_than_the_limit_allows(self) -> None:
        session = lone(small(REQUESTS=2))
        calls = [message(Kind.REQUEST, number, 1, Op.GET, 0, None, []) for number in range(5)]
        events = session.receive_data(b"".join(calls), 0.0)
        assert [event.seq for event in events if type(event) is Request] == [0, 1]
        refusals = sent(session)
        assert [(kind, seq) for kind, seq, _ in refusals] == [(Kind.ERROR, n) for n in (2, 3, 4)]
        assert not session.pending

    def test_a_call_of_a_chain_in_which_this_side_waits_is_never_too_many(self) -> None:
        session = lone(small(REQUESTS=1))
        session.link.chains.add(7)
        calls = [message(Kind.REQUEST, number, 7, Op.GET, 0, None, []) for number in range(10)]
        assert len(session.receive_data(b"".join(calls), 0.0)) == len(session.running) == 10

    def test_far_more_than_that_end_the_connection(self) -> None:
        session = lone(small(REQUESTS=2))
        session.link.chains.add(1)
        requests = (message(Kind.REQUEST, number, 1, Op.GET, 0, None, []) for number in range(1000))
        session.receive_data(b"".join(requests), 0.0)
        assert "more requests are in flight" in str(session.fault)
        assert 4 <= len(session.running) <= 100

    def test_one_that_cannot_be_sent_leaves_nothing_behind(self, wire: FakeWire) -> None:
        session = wire.left.session
        loop: list[Any] = []
        for bad in (wire, [], loop):
            with pytest.raises(LimitExceeded):
                ask(session, object(), (bad, tuple(range(250_001))))
        assert session.pending == {}
        assert not session.out
        assert session.boxing.exports == {}


class TestAnswers:
    def test_a_reply_finds_its_token(self) -> None:
        session = lone()
        seq, token = ask(session)
        (event,) = session.receive_data(message(Kind.REPLY, seq, [1, "a"]), 0.0)
        assert isinstance(event, Reply)
        assert (event.token, event.ok, event.value, event.deferred) == (
            token,
            True,
            (1, "a"),
            False,
        )
        assert session.pending == {}

    def test_an_error_finds_it_too(self) -> None:
        session = lone()
        seq, token = ask(session)
        (event,) = session.receive_data(message(Kind.ERROR, seq, []), 0.0)
        assert isinstance(event, Reply)
        assert (event.token, event.ok, event.value) == (token, False, ())

    @pytest.mark.parametrize("kind", [Kind.REPLY, Kind.ERROR])
    @pytest.mark.parametrize(
        "seq", [0, -1, 2**63, pytest.param(10**5000, id="huge"), None, "1", 1.0, []]
    )
    def test_an_answer_to_nothing(self, kind: Kind, seq: Any) -> None:
        with pytest.raises(ProtocolError, match="the peer answered"):
            lone().receive_data(message(kind, seq, None), 0.0)

    def test_a_number_of_an_answer_is_not_hashed_before_it_is_known_to_be_one(self) -> None:
        """It could be a proxy, whose hash asks the peer, in the thread that reads."""
        wire = FakeWire(Root(), Root(), left_config=CLASSIC, right_config=CLASSIC)
        reference = wire.right.session.boxing
        from netobj.core.boxing import Outgoing

        boxed = Outgoing(reference).box([1])
        with pytest.raises(ProtocolError, match="no number of a request"):
            wire.left.session.receive_data(message(Kind.REPLY, [boxed], 1), 0.0)

    def test_an_answer_is_due_once(self) -> None:
        session = lone()
        seq, _ = ask(session)
        session.receive_data(message(Kind.REPLY, seq, 1), 0.0)
        with pytest.raises(ProtocolError, match=f"answered the request {seq}, never made"):
            session.receive_data(message(Kind.REPLY, seq, 1), 0.0)

    @pytest.mark.parametrize("items", [(Kind.REPLY, 1), (Kind.REPLY, 1, 2, 3), (Kind.ERROR, 1)])
    def test_of_the_wrong_length(self, items: tuple[Any, ...]) -> None:
        session = lone()
        session.pending[1] = Answer()
        with pytest.raises(ProtocolError):
            session.receive_data(message(*items), 0.0)

    def test_an_answer_that_cannot_travel_leaves_the_request_open(self, wire: FakeWire) -> None:
        session = wire.right.session
        root = wire.left.root
        target = wire.right.session.boxing.root
        target.exposed_add = lambda: tuple(range(250_001))
        with pytest.raises(LimitExceeded, match="more than 250000 items"):
            root.add()
        assert session.running == {}
        assert root.echo(1) == 1

    def test_an_answer_that_is_a_stream(self) -> None:
        session = lone()
        (request,) = session.receive_data(message(Kind.REQUEST, 1, 1, 0, 0, None, []), 0.0)
        assert isinstance(request, Request)
        request.deadline = 5.0
        flow = session.reply_stream(request, two_way=False)
        assert (flow.request, flow.ended, flow.sent_end) == (request, True, False)
        assert request.deadline is None
        assert session.running == {}
        assert kinds(session.out.popleft()) == ["REPLY"]

    def test_a_stream_that_cannot_be_announced_is_none(self) -> None:
        session = lone()
        (request,) = session.receive_data(message(Kind.REQUEST, 1, 1, 0, 0, None, []), 0.0)
        assert isinstance(request, Request)
        session._unchecked = 0
        session.peer_limits = (0, *session.peer_limits[1:])
        with pytest.raises(LimitExceeded):
            session.reply_stream(request, two_way=False)
        assert len(session.flows) == 0

    def test_an_error_that_cannot_travel_is_told_by_another(self, wire: FakeWire) -> None:
        def fail() -> None:
            deep: frozenset[Any] = frozenset()
            for _ in range(100):
                deep = frozenset({deep})
            raise LookupError(deep)

        wire.right.session.boxing.root.exposed_fail = fail
        about = "the call raised a LookupError, which could not be sent: LimitExceeded: values are"
        with pytest.raises(RuntimeError, match=about):
            wire.left.root.fail()
        assert wire.right.session.running == {}

    def test_answers_after_the_end_are_dropped(self) -> None:
        session = lone()
        (request,) = session.receive_data(message(Kind.REQUEST, 1, 1, 0, 0, None, []), 0.0)
        assert isinstance(request, Request)
        session.lose("over")
        session.reply(request, 1)
        session.error(request, ValueError(), None)
        assert not session.out
        assert session.running == {}

    def test_what_stands_for_an_answer_that_will_not_come(self) -> None:
        session = lone()
        session.lose("the wire broke")
        lost, not_started = session.failure(LOST), session.failure(NOT_STARTED)
        assert (type(lost), str(lost)) == (ConnectionLost, "the wire broke")
        assert type(not_started) is ConnectionLost
        assert str(not_started) == "the wire broke; the call was not started"

    def test_an_error_that_is_no_exception(self) -> None:
        with pytest.raises(ProtocolError):
            lone().failure((1, 2))


class TestCancel:
    def test_it_reaches_what_is_running(self, wire: FakeWire) -> None:
        left, right = wire.left.session, wire.right.session
        seq, _ = ask(left)
        (request,) = right.receive_data(wire.left.take(), 0.0)
        left.cancel(seq)
        left.cancel(seq, interrupt=True)
        events = right.receive_data(wire.left.take() + wire.left.take(), 0.0)
        assert all(type(event) is Cancel and event.request is request for event in events)
        assert [event.interrupt for event in events if isinstance(event, Cancel)] == [False, True]

    def test_it_crosses_the_reply(self, wire: FakeWire) -> None:
        """Nothing happens: the request has ended there, and its answer is on its way."""
        left = wire.left.session
        root = wire.left.root
        token = Answer()
        seq = left.request(token, Op.CALL, root.____handle__, "add", (1, 2), None, 1)
        wire.carry(wire.left)
        wire.right.handle(wire.right.events.popleft())  # the reply is written
        left.cancel(seq)
        assert wire.right.session.receive_data(wire.left.take(), 0.0) == []
        wire.settle()
        assert token.value == 3

    def test_after_the_answer_nothing_is_sent(self, wire: FakeWire) -> None:
        session = wire.left.session
        seq, _ = ask(session)
        wire.settle()
        session.cancel(seq)
        session.cancel(99)
        assert not session.out

    @pytest.mark.parametrize("items", [(1,), (1, 0), ("1", False), (1, False, 1)])
    def test_what_is_malformed(self, items: tuple[Any, ...]) -> None:
        with pytest.raises(ProtocolError, match="a cancel carries"):
            lone().receive_data(message(Kind.CANCEL, *items), 0.0)


class TestPings:
    @pytest.mark.parametrize("token", [None, 7, 2**63, "a", "ü\ud800", b"b"])
    def test_the_peer_echoes_them_without_its_user(self, wire: FakeWire, token: Any) -> None:
        wire.left.session.ping(token)
        wire.settle()
        (pong,) = wire.left.other_events[-1:]
        assert isinstance(pong, Pong)
        assert pong.token == token
        assert wire.log == ["left PING", "right PONG"]

    def test_equal_ones_that_come_at_once_get_one_answer(self) -> None:
        session = lone()
        data = b"".join(message(Kind.PING, token) for token in (None, 1, None, 2, 1, None))
        assert session.receive_data(data, 0.0) == []
        assert sent(session) == [[Kind.PONG, None], [Kind.PONG, 1], [Kind.PONG, 2]]

    @pytest.mark.parametrize(
        "token", [True, 1.5, [], (), 2**63 + 1, -(2**63) - 1, object(), b"x" * BIG_VALUE]
    )
    def test_what_is_too_much_for_one(self, token: Any) -> None:
        session = lone()
        with pytest.raises(NotEncodable, match="a ping carries"):
            session.ping(token)
        assert not session.out

    @pytest.mark.parametrize("kind", [Kind.PING, Kind.PONG])
    @pytest.mark.parametrize("items", [(), (1, 2), (True,), ([],), (1.5,)])
    def test_what_is_malformed(self, kind: Kind, items: tuple[Any, ...]) -> None:
        with pytest.raises(ProtocolError, match="carries one small value"):
            lone().receive_data(message(kind, *items), 0.0)

    def test_a_ping_that_its_sender_would_not_accept(self) -> None:
        session = lone(greeted=False)
        limits = [1024, *DEFAULT_LIMITS[1:]]
        session.receive_data(PREAMBLE + hello(limits=limits), 0.0)
        with pytest.raises(ProtocolError, match="its own ping"):
            session.receive_data(message(Kind.PING, "x" * 2000), 0.0)


class TestGoodbye:
    def test_it_says_why_and_what_was_not_started(self, wire: FakeWire) -> None:
        left, right = wire.left.session, wire.right.session
        started, waiting = ask(left), ask(left)
        (first,) = right.receive_data(wire.left.take(), 0.0)
        right.receive_data(wire.left.take(), 0.0)
        assert isinstance(first, Request)
        assert first.start()
        assert not first.start()
        right.goodbye("going home")
        wire.settle()
        (event,) = wire.left.other_events[-1:]
        assert isinstance(event, Goodbye)
        assert (event.reason, event.not_started) == ("going home", [waiting[1]])
        assert left.pending == {started[0]: started[1]}

    def test_none_after_the_end(self) -> None:
        session = lone()
        session.lose("over")
        session.goodbye("late")
        assert not session.out

    @pytest.mark.parametrize("items", [("a",), (1, []), ("a", 1), ("a", ["b"]), ("a", [], 1)])
    def test_what_is_malformed(self, items: tuple[Any, ...]) -> None:
        with pytest.raises(ProtocolError, match="a goodbye carries"):
            lone().receive_data(message(Kind.GOODBYE, *items), 0.0)


@pytest.mark.parametrize(
    "items",
    [
        (Kind.RELEASE, 1),
        (Kind.RELEASE, "a", 1),
        (Kind.RELEASE, 1, 1),
        (Kind.RELEASE, 1, 10**5000),
        (Kind.RELEASE, 1, True),
        (Kind.ACK, 1),
        (16,),
        (255,),
        (-1,),
        (10**5000,),
        ("a",),
        (None,),
        (True,),
        (1.0,),
    ],
)
def test_messages_that_nobody_sends(items: tuple[Any, ...]) -> None:
    with pytest.raises(ProtocolError):
        lone().receive_data(message(*items), 0.0)


def test_dropped_objects_are_handed_over_to_be_let_go_outside_of_locks(wire: FakeWire) -> None:
    target = wire.right.session.boxing.root
    target.exposed_make = lambda: [1]
    proxy = wire.left.root.make()
    del proxy
    wire.left.session.flush_releases()
    (event,) = wire.right.session.receive_data(wire.left.take(), 0.0)
    assert isinstance(event, Dropped)
    assert [1] in event.objects
    assert not wire.left.session.flush_releases()


class TestBigValues:
    def test_behind_the_message_that_names_them(self, wire: FakeWire) -> None:
        data = b"x" * BIG_VALUE
        root = wire.left.root
        wire.left.session.request(
            Answer(), Op.CALL, root.____handle__, "echo", ((data, "y" * BIG_VALUE, data),), None, 1
        )
        out = wire.left.session.out
        assert [len(piece) for piece in out][1::2] == [4, 4, 4]
        assert sum(map(len, list(out)[:1])) < 100
        assert memoryview(out[2]).obj is data
        wire.settle()

    def test_whatever_comes_behind_waits(self, wire: FakeWire) -> None:
        session = wire.left.session
        root = wire.left.root
        token = Answer()
        data = b"x" * BIG_VALUE
        session.request(token, Op.CALL, root.____handle__, "echo", (data,), None, 1)
        session.ping(1)
        stream = b"".join(wire.left.take() for _ in range(len(session.out)))
        events = []
        for start in range(0, len(stream), 1000):
            events += wire.right.session.receive_data(stream[start : start + 1000], 0.0)
        (request,) = events
        assert isinstance(request, Request)
        assert values.complete(request.args) == (data,)
        assert request.deferred
        wire.right.events.append(request)
        wire.settle()
        assert values.complete(token.value) == data

    def test_what_is_put_in_place_counts_as_heard(self, wire: FakeWire) -> None:
        session = wire.left.session
        data, more = b"x" * 3 * BIG_VALUE, "y" * BIG_VALUE
        token = Answer()
        handle = wire.left.root.____handle__
        session.request(token, Op.CALL, handle, "echo", ((data, more),), None, 1)
        session.ping(1)
        stream = b"".join(wire.left.take() for _ in range(len(session.out)))
        peer = wire.right.session
        events: list[Any] = []
        now = 1.0
        in_place = 0
        while stream:
            now += 1.0
            room = peer.room()
            count = min(len(stream), 1000)
            if room is None:
                events += peer.receive_data(stream[:count], now)
            else:
                in_place += 1
                room[:count] = stream[:count]
                events += peer.receive_data(count, now)
            stream = stream[count:]
            assert peer.last_heard == now
        assert in_place > 200
        assert peer.room() is None
        (request,) = events
        assert values.complete(request.args) == ((data, more),)

    def test_above_the_peers_limit(self) -> None:
        wire = FakeWire(Root(), Root(), right_config=small(RAW=BIG_VALUE))
        assert wire.left.root.echo(b"x" * BIG_VALUE)
        with pytest.raises(LimitExceeded, match=f"of {BIG_VALUE + 1} bytes is above"):
            wire.left.root.echo(b"x" * (BIG_VALUE + 1))
        assert wire.left.root.echo(1) == 1

    def test_one_that_is_announced_above_the_limit_is_refused(self) -> None:
        session = lone(small(RAW=10))
        big = msgpack.ExtType(Ext.BIG_BYTES, (11).to_bytes(8, "big"))
        with pytest.raises(ProtocolError, match="a value of 11 bytes; this side accepts 10"):
            session.receive_data(message(Kind.REQUEST, 1, 1, 0, 0, None, [big]), 0.0)


class TestTheEnd:
    def test_whoever_waits_is_told(self) -> None:
        session = lone()
        tokens = [ask(session)[1] for _ in range(3)]
        waiting = session.lose("the cable")
        assert sorted(map(id, waiting)) == sorted(map(id, tokens))
        assert session.lose("again") == []
        assert session.lost == "the cable"

    def test_no_more_requests(self) -> None:
        session = lone()
        session.lose("the cable")
        with pytest.raises(ConnectionLost, match="the cable"):
            ask(session)
        assert not session.flush_releases()

    def test_the_end_comes_while_a_request_is_queued(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Either the caller gets the error at once or its token is among those that waited."""
        session = lone()
        real = Session._queue

        def lose_first(self: Session, *args: Any) -> None:
            self.lost = "just now"
            real(self, *args)

        monkeypatch.setattr(Session, "_queue", lose_first)
        with pytest.raises(ConnectionLost, match="just now"):
            ask(session)
        assert session.lose("") == []

    def test_the_tables_are_emptied(self, wire: FakeWire) -> None:
        mine = [1]
        wire.left.root.echo(mine)
        wire.right.session.boxing.root.exposed_kept = [2]
        proxy = wire.left.root.kept
        wire.lose()
        assert wire.right.session.discard_tables() == [[2]]
        wire.left.session.discard_tables()
        assert wire.tables() == (0, 0, 0, 0)
        del proxy
        with pytest.raises(ConnectionLost, match="the wire was cut"):
            wire.left.root.echo(1)

    def test_calls_that_never_ran_are_let_go(self, wire: FakeWire) -> None:
        root = wire.left.root
        token = Answer()
        wire.left.session.request(token, Op.CALL, root.____handle__, "add", (1,), None, 1)
        session = wire.right.session
        (request,) = session.receive_data(wire.left.take(), 0.0)
        assert session.served() == [request]
        wire.lose()
        session.discard_tables()
        assert session.served() == []


class TestExceptions:
    def test_they_come_as_themselves(self, wire: FakeWire) -> None:
        def fail() -> None:
            raise KeyError("k", 7)

        wire.right.session.boxing.root.exposed_fail = fail
        with pytest.raises(KeyError) as caught:
            wire.left.root.fail()
        assert caught.value.args == ("k", 7)

    def test_one_that_comes_home_is_the_very_object(self, wire: FakeWire) -> None:
        mine = ValueError("mine")

        def fail() -> None:
            raise mine

        with pytest.raises(ValueError, match="mine") as caught:
            wire.left.root.call(fail)
        assert caught.value is mine

    def test_by_way_of_many_turns(self, wire: FakeWire) -> None:
        mine = ValueError("mine")
        root = wire.left.root

        def turn(depth: int) -> None:
            if depth == 0:
                raise mine
            root.call(turn, depth - 1)

        with pytest.raises(ValueError, match="mine") as caught:
            root.call(turn, 4)
        assert caught.value is mine

    def test_as_the_cause_of_another(self, wire: FakeWire) -> None:
        mine = ValueError("mine")

        def fail() -> None:
            raise mine

        def wrap(function: Callable[[], None]) -> None:
            try:
                function()
            except ValueError as exc:
                raise RuntimeError("wrapped") from exc

        wire.right.session.boxing.root.exposed_wrap = wrap
        with pytest.raises(RuntimeError, match="wrapped") as caught:
            wire.left.root.wrap(fail)
        assert caught.value.__cause__ is mine

    def test_it_is_let_go_when_the_outermost_call_ends(self, wire: FakeWire) -> None:
        def fail() -> None:
            raise ValueError("mine")

        def catch(function: Callable[[], None]) -> bool:
            try:
                function()
            except ValueError:
                return bool(wire.left.session._left)
            return False

        wire.right.session.boxing.root.exposed_catch = catch
        assert wire.left.root.catch(fail)
        assert wire.left.session._left == {}

    def test_nothing_is_kept_for_a_call_from_outside_of_any_chain(self, wire: FakeWire) -> None:
        def fail() -> None:
            raise ValueError("theirs")

        wire.right.session.boxing.root.exposed_fail = fail
        with pytest.raises(ValueError, match="theirs"):
            wire.left.root.fail()
        assert wire.right.session._left == {}

    def test_one_that_was_let_go_comes_home_as_a_copy(self, wire: FakeWire) -> None:
        mine = ValueError("mine")
        keep: list[int] = []
        session = wire.left.session
        dumped = session._dump(mine, keep)
        theirs = wire.right.session.loader.load(dumped)
        again = wire.right.session._dump(theirs, None)
        assert session.loader.load(again) is mine
        session.let_go(keep)
        session.let_go(keep)
        copy = session.loader.load(again)
        assert copy is not mine
        assert (type(copy), copy.args) == (ValueError, ("mine",))

    def test_it_comes_home_over_its_own_connection_only(self, wire: FakeWire) -> None:
        mine = ValueError("mine")
        theirs = wire.right.session.loader.load(wire.left.session._dump(mine, []))
        other = FakeWire()
        node = other.right.session._dump(theirs, None)[-1]
        assert node[1] is None  # no origin: the other peer has never seen it

    def test_what_travels_as_an_argument_is_neither_kept_nor_logged(self, wire: FakeWire) -> None:
        raised = wire.left.raised(ValueError("a"))
        assert wire.left.session._left == {}
        assert raised.dumped[-1][0] == 0


def test_settings_may_change_while_it_lives(wire: FakeWire) -> None:
    target = wire.right.session.boxing.root
    root = wire.left.root
    with pytest.raises(AttributeError):
        root.calls  # noqa: B018
    wire.right.session.reconfigure(Config(allow_public_attrs=True))
    assert len(root.calls) == 0
    target.exposed_number = 6
    assert root.number == 6


@pytest.mark.parametrize("step", [1, 2, 7])
def test_a_conversation_cut_at_every_byte(step: int) -> None:
    """The same events come, wherever the stream is cut."""
    wire = FakeWire(Root(), Root())
    root = wire.left.root
    root.echo([1])
    left = wire.left.session
    left.request(Answer(), Op.CALL, root.____handle__, "add", (1, 2**80, "ü"), {"k": 1}, 1)
    left.request(Answer(), Op.CALL, root.____handle__, "echo", (b"z" * BIG_VALUE,), None, 1)
    left.request(Answer(), Op.CALL, root.____handle__, "echo", ([],), None, 1)
    stream = b"".join(wire.left.take() for _ in range(len(left.out)))
    events: list[Any] = []
    border = list(range(0, 200, step))
    cuts = [*border, *range(len(stream) - 200, len(stream), step), len(stream)]
    start = 0
    for cut in cuts[1:]:
        events += wire.right.session.receive_data(stream[start:cut], 0.0)
        start = cut
    requests = [event for event in events if isinstance(event, Request)]
    assert [request.path for request in requests] == ["add", "echo", "echo"]
    assert requests[0].args == (1, 2**80, "ü", 1)
    assert values.complete(requests[1].args) == (b"z" * BIG_VALUE,)


# --- garbage -------------------------------------------------------------------------------------

junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 20),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=9),
        st.builds(
            msgpack.ExtType,
            st.one_of(st.sampled_from([int(code) for code in Ext]), st.integers(0, 127)),
            st.binary(max_size=12),
        ),
    ),
    lambda children: st.one_of(
        st.lists(children, max_size=5),
        st.builds(
            lambda code, items: msgpack.ExtType(code, msgpack.packb(items)),
            st.sampled_from([int(code) for code in Ext]),
            st.lists(children, max_size=4),
        ),
    ),
    max_leaves=20,
)
messages = st.builds(
    lambda kind, items: [kind, *items], st.integers(-1, 17), st.lists(junk, max_size=11)
)


@given(st.binary(max_size=200))
def test_garbage_raises_protocol_errors_only(data: bytes) -> None:
    for session, prefix in ((lone(greeted=False), b""), (lone(), b""), (lone(), b"\0\0\0")):
        try:
            session.receive_data(prefix + data, 0.0)
        except ProtocolError:
            pass


@given(st.lists(messages, min_size=1, max_size=4))
def test_messages_of_garbage_raise_protocol_errors_only(items: list[Any]) -> None:
    session = lone(CLASSIC)
    session.pending.update({number: Answer() for number in range(5)})
    for number in range(1, 3):
        session.flows.open(number == 1)
        session.flows.accept(number, number == 1)
        session.boxing.answers[number] = promises.Answer()
    for item in items:
        try:
            session.receive_data(frame(msgpack.packb(item)), 0.0)
        except ProtocolError:
            break


places = st.integers(0, 1000)


@given(st.data())
def test_a_damaged_conversation_raises_protocol_errors_only(data: st.DataObject) -> None:
    wire = FakeWire(Root(), Root())
    root = wire.left.root
    left = wire.left.session
    thing = [1]
    left.request(Answer(), Op.CALL, root.____handle__, "echo", (thing, {1}, slice(1)), {"k": 1}, 1)
    left.request(Answer(), Op.GET, root.____handle__, ["a", ("b",)], (), None, 1)
    left.ping("token")
    kept = wire.left.send(Op.CALL, "echo", 1)
    flow = left.flows.open(True)
    wire.left.send(Op.CALL, "echo", flow, target=(kept,), metadata={"a": "b"}, time_left=5)
    left.flows.send_items(flow, (1, thing, "x"))
    left.flows.grant(flow, 3)
    left.flows.end(flow, KeyError("k"))
    left.flows.stop(flow)
    left.boxing.settled(kept)
    left.flush_releases()
    stream = bytearray(b"".join(wire.left.take() for _ in range(len(left.out))))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(places) % len(stream)] = data.draw(st.integers(0, 255))
    try:
        wire.right.session.receive_data(bytes(stream), 0.0)
    except ProtocolError:
        pass


def test_a_goodbye_fits_the_smallest_frame() -> None:
    session = with_limits(FRAME=1024)
    for seq in range(2**62, 2**62 + 500):
        session.receive_data(message(Kind.REQUEST, seq, 1, Op.CALL, 0, "m", []), 0.0)
    session.goodbye("\U0001f600" * 2000)
    ((kind, reason, waiting),) = sent(session)
    assert (kind, set(reason)) == (Kind.GOODBYE, {"\U0001f600"})
    assert waiting[0] == 2**62


def test_a_number_is_free_as_soon_as_its_answer_is_queued() -> None:
    """Who reads may see the next request of that number before the replying thread goes on."""
    session = lone()
    again = message(Kind.REQUEST, 5, 1, Op.CALL, 0, "m", [])

    class Prompt(deque[Any]):
        def append(self, data: Any, /) -> None:
            super().append(data)
            if len(self) <= 2:
                arrived.extend(session.receive_data(again, 0.0))

    arrived: list[Any] = session.receive_data(again, 0.0)
    session.out = Prompt()
    session.reply(arrived[0], 1)
    session.error(arrived[1], ValueError(), None)
    assert len(arrived) == 3
    assert session.running == {5: arrived[2]}


class Unwilling(Exception):
    """Answers no question of ours and takes no attribute."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__netobj"):
            raise RuntimeError(name)
        raise AttributeError(name)

    def __setattr__(self, name: str, value: object) -> None:
        raise RuntimeError(name)


def test_exceptions_are_not_asked_where_they_come_from() -> None:
    wire = FakeWire(None, Root(), left_config=CLASSIC, right_config=CLASSIC)

    def fail() -> None:
        raise Unwilling("no")

    with pytest.raises(Unwilling) as caught:
        wire.left.root.call(fail)
    raised = caught.value
    exported = wire.right.session.raised(raised)
    loaded = wire.left.session.loader.load(exported.dumped)
    assert type(loaded) is Unwilling
    assert wire.left.session._origin(loaded) == 0


# --- the short way: plain messages, which are not queued ---------------------------------------

PLAIN: tuple[Any, ...] = (None, True, -1, 2**64 - 1, 0.5, "text", "\ud800")
NOT_PLAIN: tuple[Any, ...] = ([1], {"a": 1}, {1}, 1j, object(), len, "x" * BIG_VALUE)


class Maker(Root):
    def exposed_make(self) -> list[int]:
        return [1]


class TestPlainRequest:
    def make(self, wire: FakeWire, *args: Any, path: str = "echo", seq: int = 100) -> bytes | None:
        handle = wire.left.root.____handle__
        return wire.left.session.plain_request(Answer(), seq, 5, Op.CALL, handle, path, args)

    @pytest.mark.parametrize("value", PLAIN)
    def test_it_is_the_request_itself(self, wire: FakeWire, value: Any) -> None:
        session, handle = wire.left.session, wire.left.root.____handle__
        data = self.make(wire, value, 1)
        assert not session.out
        token = session.pending.pop(100)
        session.request(token, Op.CALL, handle, "echo", (value, 1), None, 5, seq=100)
        assert session.out.pop() == data

    @pytest.mark.parametrize("value", NOT_PLAIN)
    def test_there_is_more_to_it(self, wire: FakeWire, value: Any) -> None:
        for args in ((value,), (1, value), (value, 1)):
            assert self.make(wire, *args) is None
        assert not wire.left.session.pending
        assert not wire.left.session.out
        assert not wire.left.session.boxing.exports

    def test_a_proxy_is_not_asked_whether_it_is_plain(self) -> None:
        wire = FakeWire(Root(), Maker())
        proxy = wire.left.root.make()
        with wire.counted() as log:
            assert self.make(wire, proxy) is None
            assert log == []

    def test_what_has_died_goes_in_front(self) -> None:
        wire = FakeWire(Root(), Maker())
        wire.left.root.make()
        assert wire.left.session.boxing.dead
        data = self.make(wire, 1)
        assert data is not None
        assert kinds(data) == ["RELEASE", "REQUEST"]
        assert not wire.left.session.boxing.dead

    def test_the_connection_has_ended(self, wire: FakeWire) -> None:
        wire.left.root  # noqa: B018
        wire.left.session.lose("the wire was cut")
        assert self.make(wire, 1) is None
        assert not wire.left.session.pending

    @pytest.mark.parametrize("found", [False, True])
    def test_the_connection_ends_meanwhile(self, wire: FakeWire, found: bool) -> None:
        session = wire.left.session
        waiting: list[Any] = []

        class Late(dict[int, Any]):
            def __setitem__(self, seq: int, token: Any) -> None:
                if found:
                    super().__setitem__(seq, token)
                waiting.extend(session.lose("the wire was cut"))
                if not found:
                    super().__setitem__(seq, token)

        session.pending = Late()
        data = self.make(wire, 1)
        # Either who ended it has the waiter, or the caller is told to go another way.
        assert (data is None) is not found
        assert len(waiting) == found
        assert not session.pending

    def test_what_may_break_a_limit_goes_where_it_is_checked(self) -> None:
        wire = FakeWire(Root(), Root(), right_config=small(FRAME=2000))
        assert self.make(wire, "x" * 100) is not None
        assert self.make(wire, "x" * 2000, seq=101) is None
        assert list(wire.left.session.pending) == [100]


class TestPlainReply:
    def serve(self, wire: FakeWire, **more: Any) -> Request:
        handle = wire.left.root.____handle__
        session = wire.left.session
        session.request(Answer(), Op.CALL, handle, "echo", (1,), None, 5, seq=100, **more)
        (request,) = wire.right.session.receive_data(wire.left.take(), 0.0)
        assert isinstance(request, Request)
        return request

    @pytest.mark.parametrize("value", PLAIN)
    def test_it_is_the_reply_itself(self, wire: FakeWire, value: Any) -> None:
        session = wire.right.session
        request = self.serve(wire)
        data = session.plain_reply(request, value)
        assert not session.running
        assert not session.out
        session.reply(request, value)
        assert session.out.pop() == data

    @pytest.mark.parametrize("value", NOT_PLAIN)
    def test_there_is_more_to_it(self, wire: FakeWire, value: Any) -> None:
        session = wire.right.session
        request = self.serve(wire)
        assert session.plain_reply(request, value) is None
        assert session.running == {100: request}
        assert not session.out
        assert not session.boxing.exports

    def test_later_requests_may_name_it(self, wire: FakeWire) -> None:
        request = self.serve(wire, kept=True)
        assert request.kept is not None
        assert wire.right.session.plain_reply(request, 7) is not None
        assert request.kept.result() == 7

    def test_the_connection_has_ended(self, wire: FakeWire) -> None:
        session = wire.right.session
        request = self.serve(wire)
        session.lose("the wire was cut")
        assert session.plain_reply(request, 1) is None
        assert session.running == {100: request}


class TestWanted:
    """What receive_data returns where one answer is waited for."""

    def asked(self, wire: FakeWire) -> Answer:
        token = Answer()
        handle = wire.left.root.____handle__
        wire.left.session.request(token, Op.CALL, handle, "echo", (1,), None, 5, seq=100)
        wire.left.session.out.clear()
        return token

    def test_the_plain_answer_is_the_message(self, wire: FakeWire) -> None:
        self.asked(wire)
        data = frame(values.pack([Kind.REPLY, 100, (1, "a")]))
        assert wire.left.session.receive_data(data, 0.0, 100) == (Kind.REPLY, 100, (1, "a"))
        assert not wire.left.session.pending

    def test_another_answer_is_an_event(self, wire: FakeWire) -> None:
        token = self.asked(wire)
        data = frame(values.pack([Kind.REPLY, 100, 7]))
        (event,) = wire.left.session.receive_data(data, 0.0, 99)
        assert isinstance(event, Reply)
        assert (event.token, event.value) == (token, 7)

    @pytest.mark.parametrize("in_front", [False, True])
    def test_what_comes_with_it_makes_it_an_event(self, wire: FakeWire, in_front: bool) -> None:
        token = self.asked(wire)
        parts = [frame(values.pack([Kind.REPLY, 100, 7])), frame(values.pack([Kind.PING, 1]))]
        data = b"".join(parts[::-1] if in_front else parts)
        (event,) = wire.left.session.receive_data(data, 0.0, 100)
        assert isinstance(event, Reply)
        assert event.token is token
        assert kinds(wire.left.take()) == ["PONG"]

    def test_it_may_be_cut_anywhere(self, wire: FakeWire) -> None:
        data = frame(values.pack([Kind.REPLY, 100, 7]))
        for cut in range(1, len(data)):
            self.asked(wire)
            assert wire.left.session.receive_data(data[:cut], 0.0, 100) == []
            assert wire.left.session.receive_data(data[cut:], 0.0, 100) == (Kind.REPLY, 100, 7)
            assert not wire.left.session.pending

    @pytest.mark.parametrize("rest", [[], [1, 2], [[1]]])
    def test_what_looks_like_it_and_is_not(self, wire: FakeWire, rest: list[Any]) -> None:
        self.asked(wire)
        number = 100 if len(rest) != 1 or rest == [] else rest.pop()
        with pytest.raises(ProtocolError):
            wire.left.session.receive_data(
                frame(values.pack([Kind.REPLY, number, *rest])), 0.0, 100
            )

    def test_numbers_that_are_never_ours(self, wire: FakeWire) -> None:
        with pytest.raises(ProtocolError, match="no number of a request"):
            wire.left.session.receive_data(frame(values.pack([Kind.REPLY, -1, 1])), 0.0)


class Untouchable:
    """Stands for a proxy: whatever is done with it would ask the peer, in the thread that reads."""

    def __init__(self, handle: Handle) -> None:
        object.__setattr__(self, "handle", handle)

    def _touched(self, *_: object) -> Any:
        raise AssertionError("the peer was asked in the thread that reads")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = __bool__ = __len__ = _touched
    __int__ = __index__ = __float__ = __iter__ = __getitem__ = __contains__ = _touched
    __str__ = __repr__ = __format__ = __getattr__ = __setattr__ = __call__ = _touched
    __add__ = __radd__ = __sub__ = __neg__ = __abs__ = _touched


_SMALL_VALUES = st.one_of(
    st.sampled_from([None, True, False, -1, 0, 1, 100, 2**62, 2**63, 2**64 - 1, 0.5, math.nan]),
    st.sampled_from(["", "echo", b"", b"x", [], [1], [[1]], ["a"]]),
    st.builds(lambda number: msgpack.ExtType(Ext.EXPORT, values.pack([number, 1])), st.just(1)),
    st.sampled_from(
        [
            msgpack.ExtType(Ext.HOME, (0).to_bytes(8, "big")),
            msgpack.ExtType(Ext.HOME, (9).to_bytes(8, "big")),
            msgpack.ExtType(Ext.PROMISE, (100).to_bytes(8, "big")),
            msgpack.ExtType(Ext.BIG_BYTES, (3).to_bytes(8, "big")),
        ]
    ),
)
_FIELDS = st.recursive(_SMALL_VALUES, lambda inner: st.lists(inner, max_size=4), max_leaves=6)
_PROXY = msgpack.ExtType(Ext.EXPORT, values.pack([1, 1]))


@given(
    kind=st.one_of(st.sampled_from([int(kind) for kind in Kind]), _SMALL_VALUES),
    rest=st.lists(_FIELDS, max_size=11),
    first=st.sampled_from(["request", "reply", "as it is"]),
    place=st.integers(0, 10),
)
def test_fields_of_wrong_types_and_proxies_anywhere_ask_nobody(
    kind: Any, rest: list[Any], first: str, place: int
) -> None:
    wire = FakeWire(Root(), Root())
    session = wire.left.session
    session.boxing.make_proxy = Untouchable
    session.boxing.learn_class(1, NOTHING)
    session.request(Answer(), Op.CALL, wire.left.root.____handle__, "echo", (), None, 5, seq=100)
    session.out.clear()
    message = [kind, *rest]
    if first == "request":  # a good one but for one field
        message = [Kind.REQUEST, 100, 5, Op.CALL, 0, "echo", [1], ["a"], 1.0, [], True]
    elif first == "reply":
        message = [Kind.REPLY, 100, rest]
    if place < len(message):
        message[place] = _PROXY if kind == 1 else (rest or [_PROXY])[0]
    try:
        session.receive_data(frame(msgpack.packb(message)), 0.0, 100)
    except ProtocolError:
        pass


class TestRaces:
    def test_a_token_that_its_caller_withdraws_at_the_end(self) -> None:
        class Withdrawn(dict[int, Any]):
            def popitem(self) -> Any:
                self.clear()
                raise KeyError

        session = lone()
        session.pending = Withdrawn({1: "token"})
        assert session.lose("the end") == []

    @pytest.mark.parametrize("text", [((((object(),),),),), "x" * 300_000])
    def test_what_is_not_plain_after_all(self, text: Any) -> None:
        session = lone()
        handle = Handle(None, 0, ImportedClass(NOTHING))
        assert session.plain_request("token", 1, 1, Op.CALL, handle, "m", (text,)) is None
        assert session.pending == {}
        request = receive_request(session)
        assert session.plain_reply(request, text) is None
        assert session.running == {request.seq: request}

    def test_a_message_that_the_peer_might_refuse_is_looked_at(self) -> None:
        session = lone(small(FRAME=2048))
        session.receive_data(b"", 0.0)
        session._unchecked = 100
        handle = Handle(None, 0, ImportedClass(NOTHING))
        assert session.plain_request("token", 1, 1, Op.CALL, handle, "m", ("x" * 200,)) is None
        assert session.plain_reply(receive_request(session), "x" * 200) is None


def receive_request(session: Session) -> Request:
    (request,) = session.receive_data(message(Kind.REQUEST, 1, 7, Op.CALL, 0, "echo", [1]), 0.0)
    assert type(request) is Request
    return request


def test_a_session_whose_greeting_was_sent_says_it_no_more() -> None:
    left = Side("left", Root(), Config(), ())
    session = Session(
        Config(),
        Root(),
        link=left,
        make_proxy=lambda handle: handle,
        make_end=lambda flow: flow,
        guard=left.guard,
        sequence=iter([1]),
        process=b"p",
        side="here",
        hello_sent=True,
    )
    assert list(session.out) == []
    assert session.exposure_of_root(session) is None
    assert session.exposure_of_root(session.boxing.root) is session.root_exposure


def test_the_callers_own_time_limit_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    session = lone()
    request = receive_request(session)
    request.deadline = 1.0
    session.error(request, AsyncResultTimeout("late"), None)
    assert caplog.records == []


def test_that_there_is_no_room_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    session = lone()
    session.error(receive_request(session), Busy("full"), None)
    assert caplog.records == []


def test_the_last_traceback_goes_with_the_connection(wire: FakeWire) -> None:
    wire = FakeWire(right_root={}, left_config=CLASSIC, right_config=CLASSIC)
    with pytest.raises(KeyError):
        wire.left.root["missing"]
    session = wire.right.session
    try:
        raise ValueError
    except ValueError as exc:
        session.last_traceback = traceback = exc.__traceback__
    session.lose("the end")
    assert traceback in session.discard_tables()
    assert session.last_traceback is None


def test_a_kind_that_is_none_with_values_that_are_built_later() -> None:
    session = lone()
    zone = msgpack.ExtType(Ext.ZONE_INFO, b"UTC")
    with pytest.raises(ProtocolError, match="kind of message 99"):
        session.receive_data(message(99, zone), 0.0)


def test_only_small_classes_of_roots_are_remembered() -> None:
    """A peer that makes up large ones fills nothing that outlives its connection."""
    before = set(receiving._roots)
    large = NOTHING._replace(methods=tuple(f"method_{n}" for n in range(1000)))
    lone(greeted=False).receive_data(PREAMBLE + hello(root=large.to_wire()), 0.0)
    assert set(receiving._roots) <= before
    small_one = hello(root=NOTHING._replace(name="Small").to_wire())
    sessions = [lone(greeted=False), lone(greeted=False)]
    for session in sessions:
        session.receive_data(PREAMBLE + small_one, 0.0)
    assert sessions[0].root_class is sessions[1].root_class


def test_the_loader_goes_on_with_other_settings() -> None:
    session = lone()
    assert session.loader is session.loader
    session.reconfigure(Config(import_custom_exceptions=True))
    assert session.loader._classes.config.import_custom_exceptions


def test_who_waits_for_a_request_that_was_refused_is_told() -> None:
    session = lone(Config().merge({"limits": {"requests": 1}}))
    for seq in (1, 2):
        session.receive_data(message(Kind.ASYNC_REQUEST, seq, 1, Op.CALL, ROOT_ID, "m", []), 0.0)
    assert [*session.running] == [1]
    assert [found[:2] for found in sent(session)] == [[Kind.ERROR, 2]]
    with pytest.raises(Busy):
        session.boxing.answers[2].result()


def test_a_big_value_comes_only_where_there_is_room() -> None:
    session = lone()
    session.running[9] = SimpleNamespace(size=10**9)  # type: ignore[assignment]
    with pytest.raises(ProtocolError, match="more bytes"):
        session._check_big((int(Kind.ASYNC_REQUEST), 1, 5))


def test_an_interrupt_while_an_error_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    session = lone()
    sending = [KeyboardInterrupt, None]

    def send_error(*_: Any) -> None:
        failure = sending.pop(0)
        if failure is not None:
            raise failure

    session.receive_data(message(Kind.REQUEST, 1, 1, Op.CALL, ROOT_ID, "m", []), 0.0)
    monkeypatch.setattr(session, "_send_error", send_error)
    with pytest.raises(KeyboardInterrupt):
        session.error(session.running[1], ValueError(), None)
    assert sending == []

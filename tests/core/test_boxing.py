"""What is exported, what is imported, and the counts."""

from __future__ import annotations

import gc
import threading
import types
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from fakewire import CLASSIC, PUBLIC, FakeWire, Side, bodies, fields
from netobj.core import boxing as boxing_module
from netobj.core import values
from netobj.core.boxing import _LEVELS_OF_MESSAGES, Boxing, ByValue, Outgoing
from netobj.core.config import Config
from netobj.core.consts import DEFAULT_LIMITS, Ext, Kind, Limit, Op
from netobj.core.describe import NOTHING
from netobj.core.events import Request
from netobj.core.handle import Handle, RemoteObject
from netobj.core.registered import REGISTERED, USER_TYPES, by_value
from netobj.errors import LimitExceeded, NotEncodable, ProtocolError


class Thing:
    def exposed_method(self) -> str:
        return "method of a thing"


class Root:
    def __init__(self) -> None:
        self.held: Any = None

    def exposed_hold(self, value: Any) -> None:
        self.held = value

    def exposed_give(self) -> Any:
        return self.held

    def exposed_swap(self, value: Any) -> Any:
        self.held, value = value, self.held
        return value

    def exposed_new(self) -> Any:
        return Thing()


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire(Root(), Root())


def root_of(wire: FakeWire) -> Root:
    found: Root = wire.right.session.boxing.root  # type: ignore[assignment]
    return found


def boxing_of(wire: FakeWire) -> tuple[Boxing, Boxing]:
    return wire.left.session.boxing, wire.right.session.boxing


class TestIdentity:
    def test_an_object_has_one_proxy(self, wire: FakeWire) -> None:
        root_of(wire).held = thing = Thing()
        root = wire.left.root
        first, second = root.give(), root.give()
        assert first is second
        _, right = boxing_of(wire)
        (export,) = right.exports.values()
        assert (export.obj, export.count) == (thing, 2)

    def test_an_object_that_comes_home_is_itself(self, wire: FakeWire) -> None:
        mine = Thing()
        root = wire.left.root
        root.hold(mine)
        assert issubclass(type(root_of(wire).held), RemoteObject)
        assert root.give() is mine

    def test_a_proxy_sent_home_is_the_object(self, wire: FakeWire) -> None:
        root_of(wire).held = thing = Thing()
        root = wire.left.root
        proxy = root.give()
        root.hold(None)
        root.hold((1, proxy))
        assert root_of(wire).held == (1, thing)

    def test_the_roots_are_known_without_having_been_sent(self, wire: FakeWire) -> None:
        wire.left.root.hold(wire.left.root)
        assert root_of(wire).held is root_of(wire)
        assert wire.tables() == (0, 0, 0, 0)

    def test_a_bound_method_sent_home_is_the_method_itself(self, wire: FakeWire) -> None:
        root_of(wire).held = thing = Thing()
        root = wire.left.root
        root.hold(root.give().method)
        method = root_of(wire).held
        assert type(method) is types.MethodType
        assert method.__self__ is thing
        assert method() == "method of a thing"

    def test_a_bound_method_sent_out_comes_home_as_it_was(self, wire: FakeWire) -> None:
        method = Thing().exposed_method
        wire.left.root.hold(method)
        assert wire.left.root.give() is method

    def test_a_method_that_the_policy_refuses_cannot_be_sent_home(self, wire: FakeWire) -> None:
        handle = wire.left.root.____handle__
        packed = values.pack([handle.id, "held"])
        body = values.pack([1, msgpack.ExtType(Ext.HOME_METHOD, packed)])
        message = boxing_of(wire)[1].unbox(body)
        with pytest.raises(AttributeError, match="refuses to read 'held'"):
            values.complete(message)

    def test_a_proxy_of_another_connection_is_an_object_like_others(self, wire: FakeWire) -> None:
        other = FakeWire(Root(), Root())
        thing = Thing()
        root_of(other).held = thing
        far = other.left.root.give()
        wire.left.root.hold(far)
        near = root_of(wire).held
        assert near is not far
        assert near.method() == "method of a thing"
        wire.left.root.hold(far.method)
        assert root_of(wire).held() == "method of a thing"

    def test_ids_are_never_used_again(self, wire: FakeWire) -> None:
        root = wire.left.root
        seen = set()
        for _ in range(10):
            proxy = root.new()
            seen.add(proxy.____handle__.id)
            del proxy
            wire.flush()
        assert len(seen) == 10
        assert wire.tables() == (0, 0, 0, 0)


class TestReleases:
    def test_what_is_dropped_here_is_dropped_there(self, wire: FakeWire) -> None:
        root = wire.left.root
        proxy = root.new()
        assert wire.tables() == (0, 1, 1, 0)
        del proxy
        wire.flush()
        assert wire.tables() == (0, 0, 0, 0)
        assert wire.log[-1] == "left RELEASE"

    def test_a_bound_method_keeps_its_object(self, wire: FakeWire) -> None:
        method = wire.left.root.new().method
        wire.flush()
        assert wire.tables() == (0, 1, 1, 0)
        assert method() == "method of a thing"
        del method
        wire.flush()
        assert wire.tables() == (0, 0, 0, 0)

    def test_a_proxy_in_a_cycle_goes_with_the_garbage(self, wire: FakeWire) -> None:
        cycle = [wire.left.root.new()]
        cycle.append(cycle)
        del cycle
        gc.collect()
        wire.flush()
        assert wire.tables() == (0, 0, 0, 0)

    def test_a_fresh_list_dropped_at_once_costs_one_round_trip(self, wire: FakeWire) -> None:
        """Its release rides in front of the next request."""
        root = wire.left.root
        root.new()
        with wire.counted() as log:
            for _ in range(100):
                root.new()
        assert log == ["left RELEASE", "left REQUEST", "right REPLY"] * 100
        assert wire.left.session.out == wire.right.session.out
        wire.flush()
        assert wire.tables() == (0, 0, 0, 0)

    def test_one_release_takes_all_that_was_counted(self, wire: FakeWire) -> None:
        root_of(wire).held = Thing()
        root = wire.left.root
        proxies = [root.give() for _ in range(5)]
        del proxies
        wire.left.session.flush_releases()
        (body,) = bodies(wire.left.take())
        kind, number, count = fields(body)
        assert (kind, count) == (Kind.RELEASE, 5)
        assert number in boxing_of(wire)[1].exports

    def test_many_objects_leave_both_tables_empty(self, wire: FakeWire) -> None:
        root = wire.left.root
        root_of(wire).held = tuple(Thing() for _ in range(25_000))
        held = root.give()
        assert wire.tables() == (0, 25_000, 25_000, 0)
        root_of(wire).held = None
        del held
        with wire.counted() as log:
            wire.flush()
        assert wire.tables() == (0, 0, 0, 0)
        assert log == ["left RELEASE"] * 3  # no message grows beyond the limits

    @pytest.mark.parametrize(
        ("pairs", "held"), [((99, 1), "nothing"), ((1, 2), "1"), ((1, 0), "1"), ((1, -1), "1")]
    )
    def test_what_the_peer_does_not_hold_it_cannot_release(
        self, wire: FakeWire, pairs: tuple[int, int], held: str
    ) -> None:
        proxy = wire.left.root.new()
        assert proxy.____handle__.id == 1
        with pytest.raises(ProtocolError, match=f"released .* of which it holds {held}"):
            boxing_of(wire)[1].release([pairs])

    def test_the_root_is_never_released(self, wire: FakeWire) -> None:
        with pytest.raises(ProtocolError, match="reference 0"):
            boxing_of(wire)[1].release([(0, 1)])


class TestRaces:
    """By the names that docs/protocol.rst gives them."""

    def test_release_crosses_a_new_sending(self, wire: FakeWire) -> None:
        root_of(wire).held = thing = Thing()
        left, right = wire.left, wire.right
        sender = Sender(right)
        proxy = wire.left.root.give()
        number = proxy.____handle__.id
        del proxy  # left lets go; its release waits to be written
        assert left.session.flush_releases()
        sender.send(thing)  # while right sends the same object again
        wire.settle()
        export = right.session.boxing.exports[number]
        assert export.count == 1
        (ref,) = left.session.boxing.imports.values()
        assert (ref.id, ref.count) == (number, 1)

    def test_the_peers_sending_arrives_after_the_handle_died_and_before_its_release_left(
        self, wire: FakeWire
    ) -> None:
        root_of(wire).held = Thing()
        root = wire.left.root
        first = root.give()
        number = first.____handle__.id
        reply = Sender(wire.right)
        reply.send(root_of(wire).held)
        del first
        assert len(wire.left.session.boxing.dead) == 1
        wire.carry(wire.right)
        proxy = wire.left.events[0].value  # type: ignore[union-attr]
        assert proxy.____handle__.id == number
        wire.left.session.flush_releases()
        wire.settle()
        assert wire.right.session.boxing.exports[number].count == 1
        del proxy
        reply.forget()
        wire.flush()
        assert wire.right.session.boxing.exports == {}

    def test_both_sides_drop_at_once(self, wire: FakeWire) -> None:
        root = wire.left.root
        mine, theirs = Thing(), root.new()
        root.hold((mine, theirs))
        back = root_of(wire).held[0]
        assert wire.tables() == (1, 1, 1, 1)
        root_of(wire).held = None
        del mine, theirs, back
        for side in wire.sides:
            assert side.session.flush_releases()
        wire.settle()
        assert wire.tables() == (0, 0, 0, 0)

    def test_the_object_is_kept_while_it_is_on_its_way(self, wire: FakeWire) -> None:
        sender = Sender(wire.right)
        sender.send(Thing())
        gc.collect()
        assert len(wire.right.session.boxing.exports) == 1
        wire.settle()
        assert sender.answer().method() == "method of a thing"

    def test_a_proxy_is_kept_while_its_way_home_is_written(self, wire: FakeWire) -> None:
        """The reference HOME stands in the stream before the release of the same object."""
        root = wire.left.root
        handle = root.____handle__
        number = root.new().____handle__.id
        wire.flush()
        proxy = root.new()
        number = proxy.____handle__.id
        wire.left.session.request(Token(), 1, handle, "hold", (proxy,), None, 1)
        del proxy
        wire.left.session.flush_releases()
        wire.settle()
        assert type(root_of(wire).held) is Thing
        assert number not in wire.right.session.boxing.exports


class Token:
    def complete(self, ok: bool, value: Any, deferred: bool) -> None:
        self.value = value


class Sender:
    """Sends a value from *side* out of turn: as the answer to a request of the other side's."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.token = Token()
        peer = side.peer
        assert peer.session.root_class is not None
        root = Handle(peer, 0, peer.session.root_class)
        peer.session.request(self.token, Op.GET, root, None, (), None, 1)
        *others, self.request = side.session.receive_data(peer.take(), 0.0)
        side.events.extend(others)

    def send(self, value: object) -> None:
        assert isinstance(self.request, Request)
        self.side.session.reply(self.request, value)

    def answer(self) -> Any:
        return self.token.value

    def forget(self) -> None:
        self.side.peer.events.clear()
        self.token = Token()


class TestDescriptions:
    def sent(self, side: Any, value: Any) -> list[list[Any]]:
        """The fields of the references in a message with *value*, which is then queued."""
        out = Outgoing(side.session.boxing)
        boxed = [out.box(item) for item in value]
        out.commit()
        return [fields(ext.data) for ext in boxed if ext.code == Ext.EXPORT]

    def test_a_class_is_described_once(self, wire: FakeWire) -> None:
        first, again, other = self.sent(wire.right, (Thing(), Root(), Thing())), [], []
        assert [len(items) for items in first] == [3, 3, 2]  # the first is not queued yet
        again = self.sent(wire.right, (Thing(), Root()))
        assert [len(items) for items in again] == [2, 2]
        other = self.sent(wire.right, ([], Thing))
        assert [len(items) for items in other] == [3, 3]
        assert first[0][1] == again[0][1] != first[1][1]

    def test_over_the_wire_too(self, wire: FakeWire) -> None:
        root = wire.left.root
        sizes = []
        for _ in range(2):
            Sender(wire.right).send(Thing())
            sizes.append(sum(map(len, wire.right.session.out)))
            wire.settle()
        assert sizes[1] < sizes[0] / 3
        assert root.new().method() == "method of a thing"

    def test_classes_and_modules_are_described_one_by_one(self, wire: FakeWire) -> None:
        sent = self.sent(wire.right, (Thing, Root, types, gc, Thing()))
        assert len({items[1] for items in sent}) == 5
        assert [items[2][0] for items in sent] == [1, 1, 2, 2, 0]

    def test_what_is_not_sent_after_all_was_not_described(self, wire: FakeWire) -> None:
        root = wire.left.root
        with pytest.raises(NotEncodable):
            root.hold((Thing(), ByValue({object(): 1, "a": ByValue}) and _unsendable()))
        assert wire.left.session.boxing.exports == {}
        assert wire.left.session.boxing.described == set()
        root.hold(Thing())
        assert root_of(wire).held.method() == "method of a thing"

    def test_a_class_that_dies_is_not_mistaken_for_another(self, wire: FakeWire) -> None:
        boxing = boxing_of(wire)[0]
        numbers = set()
        for number in range(20):
            cls = type(f"C{number}", (), {f"exposed_m{number}": lambda self: None})
            class_id, description = boxing.class_of(cls())
            assert description.methods == (f"m{number}",)
            numbers.add(class_id)
            del cls
            gc.collect()
        assert len(numbers) == 20

    def test_hidden_names_go_with_the_reference(self, wire: FakeWire) -> None:
        thing = Thing()
        thing.exposed_method = "hidden"  # type: ignore[assignment,method-assign]
        root_of(wire).held = thing
        proxy = wire.left.root.give()
        assert proxy.____handle__.hidden == {"method"}
        assert proxy.method == "hidden"
        (plain, hidden) = self.sent(wire.right, (Thing(), thing))
        assert len(plain) == 2
        assert hidden[2:] == [None, ["method"]]

    def test_the_first_description_stays(self, wire: FakeWire) -> None:
        boxing = boxing_of(wire)[0]
        boxing.learn_class(5, NOTHING)
        boxing.learn_class(5, NOTHING._replace(name="other"))
        assert boxing._imported_classes[5].description is NOTHING


def _unsendable() -> Any:
    loop: list[Any] = []
    loop.append(loop)
    return ByValue(loop)


class TestByValue:
    def test_a_copy_keeps_references_to_the_rest(self, wire: FakeWire) -> None:
        thing = Thing()
        wire.left.root.hold(ByValue([1, {"a": (thing,)}]))
        held = root_of(wire).held
        assert type(held) is list
        assert held[1]["a"][0].method() == "method of a thing"
        wire.left.root.hold(ByValue([wire.left.root, (thing,)]))
        assert root_of(wire).held[0] is root_of(wire)

    def test_a_shallow_copy_refers_to_the_containers_in_it(self, wire: FakeWire) -> None:
        inner: list[int] = []
        found = []
        for value in ([inner], {"k": inner}, [(1, (inner,))]):
            wire.left.root.hold(ByValue(value, deep=False))
            held = root_of(wire).held
            while type(held) in (list, dict, tuple):
                held = held["k"] if type(held) is dict else held[-1]
            assert issubclass(type(held), RemoteObject)
            assert wire.left.root.give() is not None
            found.append(held.____handle__.id)
        assert len(found) == 3
        assert {export.obj is inner for export in wire.left.session.boxing.exports.values()} == {
            True
        }

    def test_what_is_no_container_goes_as_always(self, wire: FakeWire) -> None:
        wire.left.root.hold(ByValue((1, "a")))
        assert root_of(wire).held == (1, "a")
        wire.left.root.hold(ByValue({1, 2}, deep=False))
        assert root_of(wire).held == {1, 2}

    def test_references_in_a_copy_come_home(self, wire: FakeWire) -> None:
        root_of(wire).held = thing = Thing()
        proxy = wire.left.root.give()
        wire.left.root.hold(ByValue([proxy, proxy.method]))
        held = root_of(wire).held
        assert held[0] is thing
        assert held[1]() == "method of a thing"

    def test_a_memoryview_in_a_copy_is_a_reference(self, wire: FakeWire) -> None:
        view = memoryview(b"abc")
        wire.left.root.hold(ByValue([view, bytearray(b"a")]))
        held = root_of(wire).held
        assert issubclass(type(held[0]), RemoteObject)
        assert type(held[1]) is bytearray


class Refuse:
    """What a peer sends that it should not."""

    @staticmethod
    def box(code: int, payload: Any) -> bytes:
        data = payload if isinstance(payload, bytes) else values.pack(payload)
        return values.pack([Kind.REPLY, 1, msgpack.ExtType(code, data)])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        values.pack(1),
        values.pack([]),
        msgpack.packb({1: 2}),
        Refuse.box(77, b""),
        Refuse.box(Ext.HOME, (99).to_bytes(8, "big")),
        Refuse.box(Ext.HOME, b"\0"),
        Refuse.box(Ext.HOME, b"\xff" * 100),
        Refuse.box(Ext.HOME_METHOD, [99, "a"]),
        Refuse.box(Ext.HOME_METHOD, ["a", "a"]),
        Refuse.box(Ext.HOME_METHOD, [0]),
        Refuse.box(Ext.EXPORT, [1]),
        Refuse.box(Ext.EXPORT, [1, 99]),
        Refuse.box(Ext.EXPORT, [0, 99, NOTHING.to_wire()]),
        Refuse.box(Ext.EXPORT, [-1, 99, NOTHING.to_wire()]),
        Refuse.box(Ext.EXPORT, [2**63, 99, NOTHING.to_wire()]),
        Refuse.box(Ext.EXPORT, ["1", 99, NOTHING.to_wire()]),
        Refuse.box(Ext.EXPORT, [1, "a", NOTHING.to_wire()]),
        Refuse.box(Ext.EXPORT, [1, 9.5, NOTHING.to_wire()]),
        Refuse.box(Ext.EXPORT, [1, -1, NOTHING.to_wire()]),
        Refuse.box(Ext.EXPORT, [1, 2**63, NOTHING.to_wire()]),
        Refuse.box(Ext.EXPORT, [1, 99, NOTHING.to_wire(), "ab"]),
        Refuse.box(Ext.EXPORT, [1, 99, NOTHING.to_wire(), [1]]),
        Refuse.box(Ext.EXPORT, [1, 99, [1]]),
        Refuse.box(Ext.EXPORT, [1, 99, NOTHING._replace(name="a\0b").to_wire()]),
        Refuse.box(Ext.EXPORT, [1, 99, msgpack.ExtType(Ext.EXPORT, b"")]),
        Refuse.box(Ext.BIG_BYTES, b"\0"),
        Refuse.box(Ext.BIG_BYTES, (2**40).to_bytes(8, "big")),
        Refuse.box(Ext.COPY, b"\xc1"),
    ],
)
def test_what_no_peer_may_send(wire: FakeWire, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        boxing_of(wire)[0].unbox(body)


def test_nesting_is_bounded(wire: FakeWire) -> None:
    def nested(code: int, levels: int) -> bytes:
        data = values.pack([1, 1, 1])
        for _ in range(levels):
            data = values.pack([msgpack.ExtType(code, data), 1, 1])
        return data

    most = DEFAULT_LIMITS[Limit.NESTING]
    for code in (Ext.SLICE, Ext.EXPORT, Ext.COPY):
        with pytest.raises(ProtocolError):
            boxing_of(wire)[0].unbox(nested(code, most + 1))
        with pytest.raises(ProtocolError):
            boxing_of(wire)[0].unbox(nested(code, 5000))
        with pytest.raises(ProtocolError):
            boxing_of(wire)[0].unpack_blob(nested(code, 5000))
    assert boxing_of(wire)[0].unbox(nested(Ext.SLICE, most))


@pytest.mark.parametrize("around", [b"", b"\x92\xdc\x02\x00" + b"\0" * 512])
@pytest.mark.parametrize("end", [b"\x01", values.pack("a" * 100)])
def test_deep_arrays_are_refused(wire: FakeWire, around: bytes, end: bytes) -> None:
    most = DEFAULT_LIMITS[Limit.NESTING] + _LEVELS_OF_MESSAGES - bool(around)
    assert boxing_of(wire)[0].unbox(around + b"\x91" * most + end)
    for levels in (most + 1, 500, 5000):
        with pytest.raises(ProtocolError, match=r"levels deep|malformed"):
            boxing_of(wire)[0].unbox(around + b"\x91" * levels + end)


def test_deep_arrays_in_an_extension_value_are_refused(wire: FakeWire) -> None:
    for levels, code in ((100, Ext.FROZENSET), (400, Ext.SLICE), (100, Ext.RAISED)):
        data = b"\x91" * levels + b"\x01"
        with pytest.raises(ProtocolError, match="levels deep"):
            boxing_of(wire)[0].unbox(values.pack([msgpack.ExtType(code, data)]))


@pytest.mark.parametrize("leaf", [1, "text", b"x" * 70, [1]])
def test_as_many_tuples_as_the_peer_takes(wire: FakeWire, leaf: Any) -> None:
    def nested(levels: int) -> Any:
        value = leaf
        for _ in range(levels):
            value = (value,)
        return value

    most = DEFAULT_LIMITS[Limit.NESTING] - 5
    root = wire.left.root
    root.hold(nested(most))
    assert str(root.give()) == str(nested(most))
    for levels in (most + 2, 500, 5000):
        with pytest.raises(LimitExceeded, match="levels deep"):
            root.hold(nested(levels))
        root_of(wire).held = nested(levels)
        with pytest.raises(LimitExceeded, match="levels deep"):
            root.give()
    root.hold(1)
    assert root.give() == 1


def test_a_blob_holds_no_references(wire: FakeWire) -> None:
    body = values.pack([msgpack.ExtType(Ext.HOME, bytes(8))])
    with pytest.raises(ProtocolError, match="cannot occur in a copied value"):
        boxing_of(wire)[0].unpack_blob(body)


def test_a_raised_exception_travels_as_one(wire: FakeWire) -> None:
    wire.left.root.hold((1, wire.left.raised(ValueError("a", Thing()))))
    found = root_of(wire).held[1]
    assert isinstance(found, ValueError)  # that shows the text which came with it
    assert found.args[1].method() == "method of a thing"


def test_a_lone_surrogate_anywhere(wire: FakeWire) -> None:
    """In names of a description, in an exception, in a keyword."""
    odd = "m\ud800"
    cls = type(f"C{odd}"[:1], (), {f"exposed_{odd}": lambda self: 7})
    root = wire.left.root
    root_of(wire).held = cls()
    proxy = root.give()
    assert getattr(proxy, odd)() == 7
    root.hold(getattr(proxy, odd))
    assert root_of(wire).held() == 7
    root.hold(wire.left.raised(ValueError(odd)))
    assert root_of(wire).held.args == (odd,)
    root_of(wire).held = lambda **kwargs: tuple(kwargs.items())
    assert root.give()(**{odd: odd}) == ((odd, odd),)


def test_a_proxy_that_claims_to_be_a_tuple_is_not_iterated_by_the_reader() -> None:
    """With trusted names ``isinstance(proxy, tuple)`` is true: decoding must not believe it."""

    class Special(tuple):
        def exposed_x(self) -> None: ...

    wire = FakeWire(Root(), Root(), left_config=CLASSIC, right_config=CLASSIC)
    root_of(wire).held = Special((1, 2))
    proxy = wire.left.root.give()
    assert isinstance(proxy, tuple)
    with wire.counted() as log:
        assert values.complete((proxy, slice(proxy)))[0] is proxy
        assert not values.is_hashable((proxy,))
    assert log == []


@pytest.mark.parametrize("count", [4])
def test_counts_hold_with_many_threads(count: int) -> None:
    """Boxing is open to every thread at once."""
    from netobj.core.access import Policy

    boxing = Boxing(
        link=None,
        root=None,
        policy=Policy(Config(), "here"),
        make_proxy=_never,
        load_raised=_never,
        accept_stream=_never,
        guard=threading.RLock(),
        limits=DEFAULT_LIMITS,
    )
    things = [Thing() for _ in range(5)]

    def work() -> None:
        for _ in range(300):
            out = Outgoing(boxing)
            out.box(tuple(things))
            out.commit()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(boxing.exports) == [1, 2, 3, 4, 5]
    assert {export.count for export in boxing.exports.values()} == {300 * count}


_never: Callable[[object], Any] = lambda _: pytest.fail("not to be called")  # noqa: E731


def test_a_roll_back_after_the_end_does_no_harm(wire: FakeWire) -> None:
    session = wire.left.session
    out = Outgoing(session.boxing)
    out.box(Thing())
    session.lose("cut")
    assert len(session.discard_tables()) == 1
    out.roll_back()
    assert session.boxing.exports == {}


def test_public_objects_are_described_by_their_policy() -> None:
    wire = FakeWire(Root(), Root(), right_config=PUBLIC)
    root_of(wire).held = Thing()
    assert wire.left.root.give().exposed_method() == "method of a thing"


def test_a_roll_back_among_new_exports_after_the_end_does_no_harm(wire: FakeWire) -> None:
    session = wire.left.session
    out, late = Outgoing(session.boxing), Outgoing(session.boxing)
    out.box(Thing())
    session.lose("cut")
    session.discard_tables()
    late.box(Thing())
    out.roll_back()
    assert len(session.boxing.exports) == 1


def test_what_is_sent_home_lives_until_its_message_is_queued(wire: FakeWire) -> None:
    """The only reference is in a state that is thrown away: its release must not go first."""

    class Holder:
        pass

    root_of(wire).held = Thing()
    name = "test_boxing.Holder"
    by_value(Holder, name=name, encode=lambda _: wire.left.root.give(), decode=lambda state: state)
    try:
        wire.left.root.hold(Holder())
    finally:
        del REGISTERED[name], USER_TYPES[Holder]
    assert type(root_of(wire).held) is Thing
    wire.flush()
    assert wire.tables()[1:3] == (0, 0)


def test_all_references_in_a_refused_copy_are_taken_back(wire: FakeWire) -> None:
    class Later:
        pass

    with pytest.raises(NotEncodable, match="cannot be a key"):
        wire.left.root.hold(ByValue([Thing(), {Thing(): 1}, Later()]))
    assert wire.tables()[0] == 0
    wire.left.root.hold((Thing(), Later()))
    assert issubclass(type(root_of(wire).held[1]), RemoteObject)


def test_nesting_counts_on_inside_a_copy(wire: FakeWire) -> None:
    point = namedtuple("point", "x")
    value: Any = 0
    for level in range(80):
        value = point(value) if level < 40 else (value,)
    with pytest.raises(LimitExceeded, match="levels deep"):
        wire.left.root.hold(ByValue([value]))
    wire.left.root.hold(1)
    assert root_of(wire).held == 1


class Emptied(list[Any]):
    """Another thread was faster."""

    def pop(self, index: Any = -1) -> Any:
        self.clear()
        raise IndexError


def test_what_died_was_told_by_another_thread(wire: FakeWire) -> None:
    boxing = wire.left.session.boxing
    boxing.dead = Emptied([1])
    assert boxing.take_dead(10) == ([], [], [])
    boxing.dead = Emptied([1])
    assert not wire.left.session.flush_releases()


def test_hidden_names_of_a_class_that_is_known() -> None:
    class Thing:
        def method(self) -> int:
            return 1

    plain, hiding = Thing(), Thing()
    hiding.method = lambda: 2  # type: ignore[method-assign]
    wire = FakeWire(right_root=[plain, hiding], left_config=CLASSIC, right_config=CLASSIC)
    first, second = wire.left.root
    assert (first.method(), second.method()) == (1, 2)
    assert second.____handle__.hidden == {"method"}


def test_what_the_last_message_named_goes_with_the_connection() -> None:
    """A request that names an answer is the last that comes: nothing keeps the answer."""
    wire = FakeWire(right_root=[], left_config=CLASSIC, right_config=CLASSIC)
    wire.left.session.root_class = wire.left.session.root_class
    answer = wire.left.send(Op.GET, "append")
    wire.left.send(Op.CALL, "append", answer, kept=False)
    while wire.carry(wire.left):
        pass
    boxing = wire.right.session.boxing
    assert len(boxing.awaited) == 1
    wire.lose()
    assert boxing.awaited[0] in wire.right.session.discard_tables()
    assert boxing.awaited == []


@pytest.mark.parametrize("levels", [DEFAULT_LIMITS[Limit.NESTING] + n for n in (-1, 0, 1, 2)])
def test_nesting_in_a_blob_is_bounded_exactly(wire: FakeWire, levels: int) -> None:
    data = values.pack([1, 1, 1])
    for _ in range(levels):
        data = values.pack([msgpack.ExtType(Ext.TUPLE, data)])
    unpack = boxing_of(wire)[0].unpack_blob
    if levels <= DEFAULT_LIMITS[Limit.NESTING]:
        unpack(data)
    else:
        with pytest.raises(ProtocolError, match="nested too deeply"):
            unpack(data)


def test_a_blob_is_not_copied_again_and_again(wire: FakeWire) -> None:
    """Each level takes the bytes of all that is in it."""
    unpack = boxing_of(wire)[0].unpack_blob
    data = values.pack([b"x" * 2**20])
    for _ in range(8):
        data = values.pack([msgpack.ExtType(Ext.TUPLE, data)])
    unpack(data)
    for _ in range(32):
        data = values.pack([msgpack.ExtType(Ext.TUPLE, data)])
    with pytest.raises(ProtocolError, match="too deeply for its size"):
        unpack(data)


def test_taking_back_what_went_with_the_connection(wire: FakeWire) -> None:
    boxing = boxing_of(wire)[0]
    out = Outgoing(boxing)
    out.box([1])
    boxing.discard()
    out.roll_back()
    assert boxing.exports == {}


def test_hidden_names_in_a_reference_without_a_description(wire: FakeWire) -> None:
    boxing = boxing_of(wire)[0]
    boxing.learn_class(7, NOTHING)
    for number, rest in ((101, [None, ["a"]]), (102, [None])):
        data = values.pack([0, msgpack.ExtType(Ext.EXPORT, values.pack([number, 7, *rest]))])
        proxy = boxing.unbox(data)[1]
        assert proxy.____handle__.hidden == frozenset(rest[1] if len(rest) > 1 else ())


def test_values_beside_one_another_do_not_make_room_for_deeper_ones(wire: FakeWire) -> None:
    beside = msgpack.ExtType(Ext.SLICE, values.pack([1, 1, 1]))
    deep = values.pack([1, 1, 1])
    for _ in range(DEFAULT_LIMITS[Limit.NESTING] + 1):
        deep = values.pack([msgpack.ExtType(Ext.SLICE, deep), 1, 1])
    body = values.pack([0, *[beside] * 100, msgpack.ExtType(Ext.SLICE, deep)])
    with pytest.raises(ProtocolError, match="nested too deeply"):
        boxing_of(wire)[0].unbox(body)


def test_taking_back_one_of_two(wire: FakeWire) -> None:
    boxing = boxing_of(wire)[0]
    thing = [1]
    kept, refused = Outgoing(boxing), Outgoing(boxing)
    kept.box(thing)
    refused.box(thing)
    refused.roll_back()
    assert [export.count for export in boxing.exports.values()] == [1]


def test_only_so_many_named_tuple_classes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxing_module, "_MAX_NAMED_TUPLES", 0)
    wire = FakeWire(None, types.SimpleNamespace(exposed_echo=lambda value: value))
    pair = namedtuple("pair", "a b")(1, 2)
    assert wire.left.root.echo(pair) == pair
    assert wire.left.session.boxing._named_tuples == set()


def test_a_copy_that_travelled_as_bytes_has_large_integers() -> None:
    boxing = Side("lone", None, Config(), ()).session.boxing
    assert boxing.unpack_blob(values.pack([values.big_int(2**100)])) == [2**100]

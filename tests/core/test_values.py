"""Values cross the wire and are exactly what they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakewire import CLASSIC, FakeWire
from netobj.core import lookup, values
from netobj.core.boxing import ByValue, Outgoing
from netobj.core.consts import BIG_VALUE, Ext
from netobj.core.handle import RemoteObject
from netobj.core.registered import REGISTERED, USER_TYPES, by_value
from netobj.errors import LimitExceeded, NotEncodable, ProtocolError
from strategies import Made, Typed, containers, hashables, same
from strategies import values as any_value


class Echo:
    def __init__(self) -> None:
        self.seen: Any = None

    def exposed_echo(self, value: Any) -> Any:
        self.seen = value
        return value


@pytest.fixture(scope="module")
def wire() -> FakeWire:
    return FakeWire(
        right_root=Echo(),
        left_config=CLASSIC,
        right_config=CLASSIC,
        left_features=("numpy",),
        right_features=("numpy",),
    )


@pytest.fixture(scope="module")
def echo(wire: FakeWire) -> Callable[[Any], Any]:
    """Send to the other side and back; what was seen there must be a value, too."""
    root = wire.left.root
    target = wire.right.session.boxing.root

    def send(value: Any) -> Any:
        back = root.echo(value)
        assert same(target.seen, value)
        return back

    return send


@given(value=any_value)
def test_every_value_comes_back_exactly(echo: Callable[[Any], Any], value: Any) -> None:
    assert same(echo(value), value)


@given(items=st.frozensets(hashables, max_size=6))
def test_frozensets_of_values_are_values(echo: Callable[[Any], Any], items: frozenset[Any]) -> None:
    assert same(echo(items), items)


@given(value=containers)
def test_copies_are_exact(wire: FakeWire, value: Any) -> None:
    wire.right.session.boxing.root.exposed_held = value
    copied = wire.left.copy_of(wire.left.root.held)
    assert copied is not value
    assert same(copied, value)


@given(value=containers)
def test_containers_marked_by_value_arrive_as_copies(wire: FakeWire, value: Any) -> None:
    wire.left.root.echo(ByValue(value))
    assert same(wire.right.session.boxing.root.seen, value)


@pytest.mark.parametrize("size", [BIG_VALUE - 1, BIG_VALUE, 3 * BIG_VALUE])
def test_big_values(echo: Callable[[Any], Any], size: int) -> None:
    for value in (b"x" * size, "y" * size, "\ud800ü" * (size // 2)):
        assert same(echo(value), value)
        assert same(echo((1, value, value[:3], value)), (1, value, value[:3], value))
        assert same(echo(Typed(value, slice(value))), Typed(value, slice(value)))


@pytest.mark.parametrize("bits", [31, 32, 63, 64, 65, 1000])
def test_integers_around_the_edges(echo: Callable[[Any], Any], bits: int) -> None:
    for value in (2**bits - 1, 2**bits, -(2**bits), -(2**bits) - 1):
        assert same(echo(value), value)
        assert same(echo((value,)), (value,))


@pytest.mark.parametrize("bits", [8 * n for n in range(1, 5)])
def test_a_big_int_takes_no_more_bytes_than_needed(bits: int) -> None:
    value = 2 ** (64 + bits - 1) - 1
    assert len(values.big_int(value).data) == 8 + bits // 8
    assert len(values.big_int(-value - 1).data) <= 8 + bits // 8 + 1


def test_named_tuples_keep_their_name_and_fields(echo: Callable[[Any], Any]) -> None:
    back = echo(Typed((1, [][:0] or 2), Made("x")))
    assert type(back).__name__ == "Typed"
    assert back._fields == ("a", "b")
    assert type(back) is not Typed
    assert type(echo(Typed(3))) is type(back)


class Loud(Enum):
    YES = "yes"


@dataclass(frozen=True)
class Pair:
    left: Any
    right: Any


@pytest.fixture
def _registered() -> Iterator[None]:
    names, types = dict(REGISTERED), dict(USER_TYPES)
    by_value(Loud)
    by_value(Pair)
    yield
    for table, before in ((REGISTERED, names), (USER_TYPES, types)):
        table.clear()
        table.update(before)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_registered")
class TestRegistered:
    @pytest.mark.parametrize(
        "value",
        [
            Loud.YES,
            (Loud.YES, 1),
            Pair(1, "a"),
            Pair(Pair((1, 2), Loud.YES), Typed(Pair(None, ()))),
            slice(Loud.YES),
            "b" * BIG_VALUE,
            Pair("b" * BIG_VALUE, 1),
        ],
    )
    def test_comes_back_equal(self, echo: Callable[[Any], Any], value: Any) -> None:
        assert same(echo(value), value)

    def test_inside_of_copies(self, wire: FakeWire) -> None:
        root = wire.right.session.boxing.root
        value = [Pair((1, (2,)), "a"), {"k": Loud.YES}, (Pair(1, 2),)]
        root.exposed_held = value
        assert same(wire.left.copy_of(wire.left.root.held), value)

    def test_the_receiver_must_have_registered_it_too(self, wire: FakeWire) -> None:
        boxing = wire.left.session.boxing
        packed = values.pack([Outgoing(boxing).box(Loud.YES)])
        REGISTERED.clear()
        message = wire.right.session.boxing.unbox(packed)
        assert wire.right.session.boxing.deferred
        with pytest.raises(NotEncodable, match=r"'.*Loud' by value and no class of that name"):
            values.complete(message)

    def test_constructors_run_where_the_call_runs(self, wire: FakeWire) -> None:
        made = []

        def decode(state: object) -> object:
            made.append(state)
            return state

        by_value(Exception, name="watched", encode=lambda e: e.args, decode=decode)
        boxing = wire.left.session.boxing
        packed = values.pack([Outgoing(boxing).box((Exception("a"),))])
        message = wire.right.session.boxing.unbox(packed)
        assert made == []
        assert values.complete(message) == ((("a",),),)
        assert made == [("a",)]


class Sub(int):
    pass


class SubStr(str):
    pass


class Number(IntEnum):
    ONE = 1


class Zone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        Sub(1),
        SubStr("a"),
        Number.ONE,
        [1],
        {1: 2},
        {1},
        bytearray(b"a"),
        Path("/tmp"),
        frozenset({Sub(1)}),
        frozenset({object()}),
        type("Derived", (Typed,), {})(1, 2),
        memoryview(b"a"),
        len,
        int,
        object(),
        ValueError("a"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_goes_by_reference_comes_home_as_itself(wire: FakeWire, value: Any) -> None:
    target = wire.right.session.boxing.root
    assert wire.left.root.echo(value) is value
    assert issubclass(type(target.seen), RemoteObject)
    target.seen = None


@pytest.fixture(name="numpy")
def _numpy() -> Any:
    return pytest.importorskip("numpy", reason="numpy is an extra")


class TestNumpy:
    @pytest.mark.parametrize("dtype", ["int8", "uint64", "float32", "complex128", "bool"])
    def test_scalars_are_values(self, echo: Callable[[Any], Any], numpy: Any, dtype: str) -> None:
        value = numpy.dtype(dtype).type(1)
        back = echo(value)
        assert type(back) is type(value)
        assert back == value

    def test_times_are_values(self, echo: Callable[[Any], Any], numpy: Any) -> None:
        value = numpy.datetime64("2024-05-01T10:00", "m")
        back = echo(value)
        assert (type(back), back.dtype, back) == (type(value), value.dtype, value)

    @pytest.mark.parametrize("dtype", ["S3", "U200", "V8", "longdouble", "M8[25s]", "m8[ns]"])
    def test_other_plain_ones_are_values(
        self, echo: Callable[[Any], Any], numpy: Any, dtype: str
    ) -> None:
        value = numpy.array([7], "i8").astype(dtype)[0]
        back = echo(value)
        assert (type(back), back.dtype, back) == (type(value), value.dtype, value)

    def test_empty_texts_are_values(self, echo: Callable[[Any], Any], numpy: Any) -> None:
        for value in (numpy.str_(""), numpy.bytes_(b"")):
            back = echo(value)
            assert (type(back), back) == (type(value), value)

    def test_records_and_what_has_no_short_type_are_references(
        self, wire: FakeWire, numpy: Any
    ) -> None:
        record = numpy.array([(1, 2.5)], dtype=[("n", "i4"), ("x", "f8")])[0]
        for value in (record, numpy.datetime64("2024", "100ms")):
            assert wire.left.root.echo(value) is value

    def test_by_reference_where_the_peer_has_no_numpy(self, numpy: Any) -> None:
        wire = FakeWire(right_root=Echo())
        value = numpy.float32(1.5)
        assert wire.left.root.echo(value) is value


class TestErrors:
    def test_a_time_with_a_foreign_zone(self, echo: Callable[[Any], Any]) -> None:
        for value in (datetime(2024, 1, 1, tzinfo=Zone()), time(1, tzinfo=Zone())):
            with pytest.raises(NotEncodable, match=r"with a tzinfo of .*Zone cannot travel"):
                echo(value)

    def test_a_zone_without_a_key(self, echo: Callable[[Any], Any]) -> None:
        import importlib.resources

        try:
            data = importlib.resources.files("tzdata.zoneinfo").joinpath("UTC").open("rb")
        except ModuleNotFoundError:
            data = open("/usr/share/zoneinfo/UTC", "rb")  # noqa: SIM115
        with data:
            zone = ZoneInfo.from_file(data)
        with pytest.raises(NotEncodable, match="without a key"):
            echo(zone)
        with pytest.raises(NotEncodable, match="cannot travel by value"):
            echo(datetime.now(zone))

    def test_an_unknown_zone_opens_no_file(self) -> None:
        for key in ("../../etc/passwd", "No/Where"):
            data = values.pack([msgpack.ExtType(Ext.ZONE_INFO, key.encode())])
            (found,) = unpack(data)
            with pytest.raises(NotEncodable, match="is not known on this machine"):
                values.complete(found)

    def test_what_was_not_boxed(self) -> None:
        with pytest.raises(NotEncodable, match="a set reached the packer unboxed"):
            values.pack([{1}])
        assert values.pack([1]) == b"\x91\x01"

    def test_lists_too_deep_for_msgpack(self) -> None:
        nested: list[Any] = []
        for _ in range(2000):
            nested = [nested]
        with pytest.raises(LimitExceeded, match="msgpack refuses"):
            values.pack(nested)

    def test_a_container_in_itself(self, wire: FakeWire) -> None:
        value: list[Any] = []
        value.append(value)
        with pytest.raises(NotEncodable, match="contains itself cannot be copied"):
            wire.left.root.echo(ByValue(value))

    def test_a_container_in_itself_by_way_of_a_tuple(self, wire: FakeWire) -> None:
        value: list[Any] = []
        value.append((value,))
        with pytest.raises(NotEncodable, match="contains itself"):
            wire.left.root.echo(ByValue(value))

    @pytest.mark.parametrize(
        "wrap", [lambda inner: [inner], lambda inner: {1: inner}], ids=["lists", "dicts"]
    )
    def test_containers_hundreds_of_levels_deep(
        self, wire: FakeWire, wrap: Callable[[Any], Any]
    ) -> None:
        value: Any = 1
        for _ in range(400):
            value = wrap(value)
        with pytest.raises(NotEncodable, match="hundreds of levels deep"):
            wire.left.root.echo(ByValue(value))

    def test_more_levels_than_the_peer_takes(self, wire: FakeWire) -> None:
        deep: Any = 1
        for level in range(70):
            deep = frozenset((deep,)) if level % 2 else Typed(deep)
        with pytest.raises(LimitExceeded, match="nested more than 59 levels"):
            wire.left.root.echo(deep)
        deep = 1
        for _ in range(70):
            deep = (deep,)
        with pytest.raises(LimitExceeded, match="nested more than 59 levels"):
            wire.left.root.echo(deep)
        with pytest.raises(LimitExceeded, match="levels of tuples and sets"):
            wire.left.root.echo(ByValue([deep]))
        wire.right.session.boxing.root.exposed_held = [deep]
        with pytest.raises(LimitExceeded, match="levels of tuples and sets"):
            wire.left.copy_of(wire.left.root.held)
        assert wire.left.root.echo(1) == 1

    def test_as_many_levels_as_the_peer_takes(self, wire: FakeWire) -> None:
        deep: Any = datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1)))
        for _ in range(59):
            deep = frozenset((deep,))
        assert wire.left.root.echo(deep) == deep
        assert wire.left.root.echo(ByValue([deep])) is not None
        wire.right.session.boxing.root.exposed_held = [deep]
        assert wire.left.copy_of(wire.left.root.held) == [deep]

    def test_more_items_than_the_peer_takes(self, wire: FakeWire) -> None:
        for value in (tuple(range(250_001)), ByValue(list(range(250_001)))):
            with pytest.raises(LimitExceeded, match="more than 250000 items"):
                wire.left.root.echo(value)
        assert wire.left.root.echo(tuple(range(250_000)))[-1] == 249_999
        wire.right.session.boxing.root.exposed_held = list(range(300_000))
        assert wire.left.copy_of(wire.left.root.held)[-1] == 299_999

    def test_a_lone_surrogate_in_a_copy(self, wire: FakeWire) -> None:
        with pytest.raises(NotEncodable, match="lone surrogate"):
            wire.left.root.echo(ByValue(["\ud800"]))

    @pytest.mark.parametrize(
        "value", [{object(): 1}, {(1, object()): 2}, frozenset({object()}), {slice}]
    )
    def test_keys_of_a_copy_are_plain_values(self, wire: FakeWire, value: Any) -> None:
        with pytest.raises(NotEncodable, match="cannot be a key or a member in a copy"):
            wire.left.root.echo(ByValue([value]))
        assert wire.left.root.echo(1) == 1


@pytest.mark.parametrize(
    "key",
    [
        ZoneInfo("Europe/Berlin"),
        (1, datetime(2020, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))),
        frozenset({"a", "b" * BIG_VALUE, (b"c" * BIG_VALUE,)}),
    ],
)
def test_keys_that_are_complete_only_later(wire: FakeWire, key: Any) -> None:
    assert wire.left.root.echo(key) == key
    for value in ({key: [1]}, {key}, frozenset({key}), [(key, {key: key})]):
        found = wire.left.root.echo(ByValue(value))
        assert wire.left.copy_of(found) == value


def test_a_memoryview_is_no_member_of_a_copy(wire: FakeWire) -> None:
    with pytest.raises(NotEncodable, match="a memoryview cannot be a key or a member"):
        wire.left.root.echo(ByValue({memoryview(b"abc")}))


@pytest.mark.parametrize("value", [Fraction(1, 2**1024), range(0, 2**1025, 2**1024)])
def test_numbers_that_would_take_long_are_refused_on_both_sides(wire: FakeWire, value: Any) -> None:
    with pytest.raises(LimitExceeded, match="at most 1024 bits"):
        wire.left.root.echo(value)
    long = values.big_int(2**1024)
    for code, items in ((Ext.FRACTION, [1, long]), (Ext.RANGE, [0, long, 1])):
        with pytest.raises(ProtocolError, match="at most 1024 bits"):
            unpack(values.pack(msgpack.ExtType(code, values.pack(items))))
    assert wire.left.root.echo(Fraction(1, 2**1023)) == Fraction(1, 2**1023)


def unpack(data: bytes, copied: bool = False, max_items: int = 1000) -> Any:
    def ext(code: int, payload: bytes) -> Any:
        def inside(nested: bytes) -> Any:
            return unpack(nested, copied)

        if code == Ext.BIG_INT:
            return values.decode_integer(payload, 2**20)
        if code in values.HASHING:
            return values.build_members(code, inside(payload), 1000)
        return values.DECODERS[code](payload, inside)

    function = values.unpack_copy if copied else values.unpack_message
    return function(data, ext, max_items)


def ext(code: int, payload: Any) -> bytes:
    data = payload if isinstance(payload, bytes) else values.pack(payload)
    return values.pack([msgpack.ExtType(code, data)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81\x01\x02",
        b"\x92\x01",
        b"\x91\x01\x01",
        ext(Ext.COMPLEX, b"1234"),
        ext(Ext.SINGLETON, b"\2"),
        ext(Ext.SINGLETON, b""),
        ext(Ext.SLICE, [1, 2]),
        ext(Ext.RANGE, [1, 2, 0]),
        ext(Ext.RANGE, [1, 2, "a"]),
        ext(Ext.RANGE, [1, 2, True]),
        ext(Ext.FROZENSET, 7),
        ext(Ext.FROZENSET, [msgpack.ExtType(Ext.SLICE, values.pack([1, 2, 3]))]),
        ext(Ext.NAMED_TUPLE, ["A", ["a"], []]),
        ext(Ext.NAMED_TUPLE, [1, [], []]),
        ext(Ext.NAMED_TUPLE, ["A", 7, []]),
        ext(Ext.DATE, [2020, 13, 1]),
        ext(Ext.TIME, [25, 0, 0, 0, 0, None]),
        ext(Ext.TIME, [1, 0, 0, 0, 0, 5]),
        ext(Ext.TIME, []),
        ext(Ext.DATETIME, [2020, 1, 1, 0, 0, 0, 0, 2, None]),
        ext(Ext.DATETIME, [2020, 1]),
        ext(Ext.TIMEDELTA, [10**18, 0, 0]),
        ext(Ext.TIMEZONE, [msgpack.ExtType(Ext.TIMEDELTA, values.pack([2, 0, 0])), None]),
        ext(Ext.TIMEZONE, [1, None]),
        ext(Ext.ZONE_INFO, b"\xff"),
        ext(Ext.DECIMAL, b"one"),
        ext(Ext.DECIMAL, b"\xff"),
        ext(Ext.FRACTION, [1, 0]),
        ext(Ext.FRACTION, [1]),
        ext(Ext.UUID, b"123"),
        ext(Ext.POSIX_PATH, b"\xff"),
        ext(Ext.NUMPY_SCALAR, [1, b""]),
        ext(Ext.NUMPY_SCALAR, ["<" * 100, b""]),
        ext(Ext.USER, [1]),
        ext(99, b""),
    ],
)
def test_what_is_malformed(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpack(data)


def test_a_map_stands_in_copies_only() -> None:
    data = msgpack.packb({})
    assert unpack(data, copied=True) == {}
    with pytest.raises(ProtocolError, match="a map stands where the protocol has none"):
        unpack(data)


def test_the_text_of_the_cause_is_kept() -> None:
    with pytest.raises(ProtocolError, match="malformed: ValueError: month must be in"):
        unpack(ext(Ext.DATE, [2020, 13, 1]))


def test_more_items_than_allowed() -> None:
    data = values.pack([0] * 11)
    assert unpack(data, max_items=11) == (0,) * 11
    for copied in (False, True):
        with pytest.raises(ProtocolError, match="11 exceeds"):
            unpack(data, copied, max_items=10)
    with pytest.raises(ProtocolError, match="exceeds"):
        unpack(msgpack.packb({1: 1, 2: 2}), copied=True, max_items=1)


@given(st.binary(max_size=60), st.booleans())
def test_garbage_raises_protocol_errors_only(data: bytes, copied: bool) -> None:
    try:
        unpack(data, copied)
    except ProtocolError:
        pass


@given(
    st.sampled_from(sorted({*values.DECODERS, *values.HASHING, Ext.BIG_INT})),
    st.binary(max_size=40),
    st.booleans(),
)
def test_garbage_in_extension_values(code: int, payload: bytes, copied: bool) -> None:
    try:
        unpack(ext(code, payload), copied)
    except ProtocolError:
        pass


class TestComplete:
    def test_what_needs_nothing_stays(self) -> None:
        for value in (1, "a", b"b", None, frozenset({1}), Decimal(1), UUID(int=1)):
            assert values.complete(value) is value

    def test_goes_into_what_holds_values(self) -> None:
        seven = values.Deferred(int, ("7",))
        value = Typed([seven], {"k": (seven, slice(seven, 2, seven))})
        assert values.complete(value) == Typed([7], {"k": (7, slice(7, 2, 7))})

    def test_a_zone_that_waits(self) -> None:
        berlin = ZoneInfo("Europe/Berlin")
        value = datetime(2024, 1, 1, tzinfo=berlin)
        (found,) = unpack(values.pack([values.ENCODERS[datetime](value, pass_on)]))
        assert type(found) is values.Deferred
        assert values.complete(found) == value


def pass_on(item: Any) -> Any:
    encoder = values.ENCODERS.get(type(item))
    return item if encoder is None else encoder(item, pass_on)


def test_hashable_values() -> None:
    plain = (1, "a", (2, frozenset({b"c"})), range(3), Typed(1), PurePosixPath("/"), Fraction(1))
    assert all(map(values.is_hashable, plain))
    assert values.is_hashable(timezone.utc)
    odd = (object(), [1], (1, [2]), Sub(1), slice(1), values.Deferred(int, ()))
    assert not any(map(values.is_hashable, odd))


def test_packers_are_used_again_and_thrown_away_after_errors() -> None:
    values.pack([1])
    packer = values._free_packers[-1]
    values.pack([2])
    assert values._free_packers[-1] is packer
    with pytest.raises(NotEncodable):
        values.pack([object()])
    assert packer not in values._free_packers


def test_packing_in_the_midst_of_packing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a finalizer does that sends something."""
    real = values.big_int

    def finalizer(value: int) -> msgpack.ExtType:
        assert values.pack(["within"]) == b"\x91\xa6within"
        return real(value)

    monkeypatch.setattr(values, "big_int", finalizer)
    assert unpack(values.pack(["a", 2**70, "b"])) == ("a", 2**70, "b")


NESTED = (("order", 1, (2.5, None)), (b"raw", (True, ("é", 2**70))))


class TestPlainTuples:
    """Tuples of plain values, which are packed without having been boxed."""

    def test_they_are_packed_as_the_lists_that_boxing_makes(self) -> None:
        listed = [["order", 1, [2.5, None]], [b"raw", [True, ["é", values.big_int(2**70)]]]]
        assert values.pack(NESTED) == values.pack(listed)

    @pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
    def test_lone_surrogates_deep_in_them(self, echo: Callable[[Any], Any], text: str) -> None:
        assert echo((1, (2, text))) == (1, (2, text))

    @pytest.mark.parametrize(
        "item", [[], {}, bytearray(b"a"), memoryview(b"a"), values.NotPlain, Number(1), SubStr("a")]
    )
    def test_whatever_else_is_in_them_must_be_boxed(self, item: Any) -> None:
        for value in ((item,), (1, (2, (item,)))):
            with pytest.raises(values.NotPlain):
                values.pack([value])
            with pytest.raises(values.NotPlain):
                values.pack([value, "\ud800"])

    @pytest.mark.parametrize("big", [b"x" * BIG_VALUE, "x" * BIG_VALUE])
    def test_big_values_never_pass_through_the_codec(
        self, echo: Callable[[Any], Any], big: Any
    ) -> None:
        assert values.is_plain((big[1:],))
        assert not values.is_plain((1, big))
        with pytest.raises(values.NotPlain):
            values.pack([(1, (big,))])
        assert echo((1, (big,))) == (1, (big,))

    def test_references_deep_in_them(self, wire: FakeWire) -> None:
        service = Echo()
        caller = FakeWire(right_root=service).left
        thing = [1]
        assert caller.root.echo((1, (2, thing)))[1][1] is thing
        assert service.seen[:1] == (1,)
        assert issubclass(type(service.seen[1][1]), RemoteObject)

    def test_a_tuple_of_very_many_items(self, echo: Callable[[Any], Any]) -> None:
        many = tuple(range(BIG_VALUE))
        assert echo(((many, "a"),)) == ((many, "a"),)


def test_what_nests_too_deeply_to_be_read() -> None:
    assert "nested too deeply" in str(values.malformed(RecursionError()))


def test_what_binds_to_nothing() -> None:
    thing = object()
    assert lookup.bind(thing, []) is thing


def test_a_tuple_with_code_of_its_own_is_not_hashed() -> None:
    class Own(tuple[int, ...]):
        def __hash__(self) -> int:
            raise AssertionError

    assert values.is_hashable((1, Typed(1, 2), frozenset((1,))))
    assert not values.is_hashable(Own((1,)))
    assert not values.is_hashable((1, Own((1,))))


@pytest.mark.parametrize("dtype", ["O", "V8", "i4,i4", "object"])
def test_a_numpy_scalar_of_what_is_no_plain_data(dtype: str) -> None:
    with pytest.raises(ValueError, match="plain data"):
        values.DECODERS[Ext.NUMPY_SCALAR](b"", lambda _: (dtype, b"12345678"))

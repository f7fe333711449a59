"""What a message may cost: each bound is checked by the receiver, and by the sender before."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections import namedtuple
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from crafted import REFUSED, TAKEN, X, export, request
from fakewire import FakeWire, Side
from netobj.core import bounds, values
from netobj.core.boxing import MOST_BIG, ByValue
from netobj.core.config import Config
from netobj.core.consts import DEFAULT_LIMITS, PREAMBLE, Kind, Limit, Op
from netobj.core.framing import frame
from netobj.errors import FrameTooLarge, LimitExceeded, ProtocolError
from played import hello, lone

PAGE = Path(__file__).parents[2] / "docs" / "security.rst"


class Root:
    def exposed_echo(self, value: Any) -> Any:
        return value


# --- refused by the receiver ---------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_the_worst_messages_are_refused(name: str) -> None:
    data, reason = REFUSED[name]()
    session = lone()
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match=reason):
            session.receive_data(data, 0.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(data) + 48_000_000


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_not_refused_takes_memory_by_its_items(name: str) -> None:
    data = request(*TAKEN[name]())
    session = lone()
    tracemalloc.start()
    try:
        session.receive_data(data, 0.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(data) + 250_000 * 128


def test_methods_of_a_class_are_not_compared_with_one_another() -> None:
    """As many names as one class may have: this took 15 s once."""
    session = lone()
    began = time.process_time()
    session.receive_data(request(export(1, *[f"name{number}" for number in range(19_000)])), 0.0)
    assert time.process_time() - began < 5


# --- known to the sender -----------------------------------------------------------------------

Point = namedtuple("Point", "x y")
TOO_MUCH: dict[str, Callable[[], Any]] = {
    "items": lambda: tuple([(n,) for n in range(130_000)]),
    "items of extension values": lambda: tuple([Decimal(1)] * 70_000),
    "bits": lambda: 1 << (2**20 + 16),
    "keys": lambda: frozenset(range(70_000)),
    "keys of a copy": lambda: ByValue(dict.fromkeys(range(70_000))),
    "classes": lambda: tuple([type(f"C{n}", (), {})() for n in range(4100)]),
    "kinds": lambda: tuple([namedtuple(f"N{n}", "a b c d")(1, 2, 3, 4) for n in range(500)]),
    "path": lambda: PurePosixPath("a/" * 9000),
    "fraction": lambda: Fraction(1, 3**2000),
    "big values": lambda: tuple([b"x" * 65_536] * (MOST_BIG + 1)),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_the_sender_is_told(name: str) -> None:
    wire = FakeWire(Root(), Root())
    with pytest.raises(LimitExceeded):
        wire.left.root.echo(TOO_MUCH[name]())
    assert wire.left.root.echo(1) == 1
    assert not wire.left.session.pending


LAWFUL: dict[str, Callable[[], Any]] = {
    "items": lambda: tuple([(n,) for n in range(120_000)]),
    "extension values": lambda: tuple([Decimal(1)] * 62_000),
    "bits": lambda: 1 << (2**20 - 9),
    "keys": lambda: frozenset(range(65_536)),
    "texts": lambda: frozenset(map(str, range(100_000))),
    "named tuples": lambda: tuple([Point(n, 1) for n in range(15_000)]),
    "dates": lambda: tuple([datetime(2024, 1, 1, 1, n % 60) for n in range(15_000)]),
    "fractions": lambda: tuple([Fraction(n, 7**50) for n in range(1, 5000)]),
    "paths": lambda: tuple([PurePosixPath(f"a/{n}") for n in range(20_000)]),
}


@pytest.mark.parametrize("name", LAWFUL)
def test_what_the_sender_may_send_is_taken(name: str) -> None:
    value = LAWFUL[name]()
    assert FakeWire(Root(), Root()).left.root.echo(value) == value


def test_a_copy_may_be_larger_than_a_message() -> None:
    wire = FakeWire(Root(), Root())
    wire.right.session.boxing.root.exposed_held = held = dict.fromkeys(range(200_000), (1,))
    assert wire.left.copy_of(wire.left.root.held) == held


# --- classes --------------------------------------------------------------------------------------


def test_classes_and_names_that_are_remembered() -> None:
    for limits in ({"classes": 3}, {"names": 15}):
        session = lone(Config().merge({"limits": limits}))
        for number in range(1, 4):
            data = values.pack(
                [Kind.REQUEST, number, 1, Op.CALL, 0, "m", [export(number, "a", "b", "c")]]
            )
            session.receive_data(frame(data), 0.0)
        with pytest.raises(ProtocolError, match="classes"):
            session.receive_data(
                frame(values.pack([Kind.REQUEST, 9, 1, Op.CALL, 0, "m", [export(9, "a")]])), 0.0
            )


def test_the_sender_describes_no_more_than_the_peer_remembers() -> None:
    wire = FakeWire(Root(), Root())
    limits = list(DEFAULT_LIMITS)
    limits[Limit.CLASSES] = 2
    wire.left.root.echo(1)
    wire.left.session.boxing.set_peer_limits(tuple(limits))
    classes = [type(f"C{number}", (), {}) for number in range(3)]
    for cls in classes[:2]:
        wire.left.root.echo(cls())
    with pytest.raises(LimitExceeded, match="remembers 2"):
        wire.left.root.echo(classes[2]())
    wire.left.root.echo(classes[0]())


class Maker:
    def exposed_make(self) -> object:
        return Root()

    def exposed_pair(self) -> tuple[object, ...]:
        return Root(), self

    def exposed_self(self) -> object:
        return self


def test_a_peer_holds_no_more_references_than_it_may() -> None:
    few = Config().merge({"limits": {"references": 3}})
    wire = FakeWire(Root(), Maker(), right_config=few)
    root, exports = wire.left.root, wire.right.session.boxing.exports
    held = [root.make() for _ in range(3)]
    with pytest.raises(LimitExceeded, match="holds references to 3 objects here"):
        root.make()
    del held[0]
    with pytest.raises(LimitExceeded):
        root.pair()
    wire.settle()
    assert len(exports) == 2  # the first of the pair was within the limit, and is gone again
    me = root.self()
    with pytest.raises(LimitExceeded):
        root.make()
    assert root.self() is me  # it is held anyway
    assert held[0].echo(1) == 1


# --- before the hello ----------------------------------------------------------------------------


def test_a_frame_before_the_hello() -> None:
    session = Side("lone", object(), Config(), ()).session
    with pytest.raises(FrameTooLarge, match="accepts 65536"):
        session.receive_data(PREAMBLE + (65_537).to_bytes(4, "big"), 0.0)


def test_a_long_frame_right_behind_the_hello() -> None:
    session = Side("lone", object(), Config(), ()).session
    assert (
        len(session.receive_data(PREAMBLE + hello() + request("x" * 65_000, "y" * 9000), 0.0)) == 2
    )


# --- time ---------------------------------------------------------------------------------------


# --- the settings -----------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_page() -> None:
    page = PAGE.read_text()
    for limit, number in zip(Limit, DEFAULT_LIMITS, strict=True):
        row = re.search(rf"^``{limit.name.lower()}`` +([\d ]+?)  ", page, re.M)
        assert row is not None, limit
        assert int(row[1].replace(" ", "")) == number
    for name in ("handshake_timeout", "frame_timeout", "write_timeout", "heartbeat_interval"):
        row = re.search(rf"^``{name}`` +(\d+) s ", page, re.M)
        assert row is not None, name
        assert int(row[1]) == getattr(Config(), name)


def test_the_first_limits_by_place() -> None:
    assert Config().merge({"limits": (5000, 7)}).limits == (5000, 7, *DEFAULT_LIMITS[2:])


def test_limits_by_name() -> None:
    config = Config().merge({"limits": {"frame": 5000, "nesting": 16}})
    assert config.limits[:3] == (5000, DEFAULT_LIMITS[1], 16)
    assert config.merge({"limits": {"items": 100}}).limits[:4] == (5000, DEFAULT_LIMITS[1], 16, 100)


@pytest.mark.parametrize(
    ("limits", "error", "text"),
    [
        ({"frames": 1}, ValueError, "unknown limits frames: there are frame, raw"),
        ({"frame": 10}, ValueError, "the limit frame is 1024 at the least"),
        ({"keys": 0}, ValueError, "the limit keys is 1 at the least"),
        ({"keys": 2**63}, ValueError, "keys"),
        ({"keys": 1.5}, TypeError, "the limit keys is an int"),
        (tuple(range(100)), ValueError, "by name"),
    ],
)
def test_wrong_limits(limits: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Config().merge({"limits": limits})


def test_no_message_is_below_what_is_checked() -> None:
    """Three bytes may be an extension value, and so four items."""
    limits = tuple([64] * len(Limit))
    body = values.pack([X(0, b"")] * 30)
    assert len(body) > bounds.unchecked(limits)
    with pytest.raises(LimitExceeded):
        bounds.check_message(body, limits)


def test_what_is_weighed_of_a_description() -> None:
    """As much as the page says, and its methods; the rest of it is refused elsewhere."""
    said = re.search(r"a class description as (\d+)", PAGE.read_text())
    assert said is not None
    for description, methods in (
        (None, 0),
        ((), 0),
        ((0, "m", "name", 5, b""), 0),
        ((0, "m", "name", ("a", "b"), b""), 2),
    ):
        weight = bounds.Weight(1000)
        weight.describe(description)
        left = 1000 + bounds._FIELDS - int(said[1]) - methods
        weight.count((0,) * left)
        with pytest.raises(ProtocolError, match="1000 items"):
            weight.count((0,))


def test_keys_that_are_text_are_not_counted() -> None:
    bounds.check_keys([1, *map(str, range(10))], 5)

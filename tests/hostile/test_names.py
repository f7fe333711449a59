"""Names that a peer gives: they import nothing, pass for nothing, and are forgotten with it."""

from __future__ import annotations

import abc
import gc
import socket
import sys
import weakref
from collections import Counter
from typing import Any

import pytest
from attacker import CLASS, INSTANCE, MODULE, Attacker, error

import netobj
from fakewire import PUBLIC, FakeWire
from netobj.blocking.streams import SocketStream
from netobj.core import registered
from netobj.core.consts import Ext, Kind
from netobj.core.netref import Netref
from netobj.core.values import pack
from netobj.errors import GenericException, ProtocolError
from patience import wait_until


class Admin:
    """Whoever is one may do everything."""

    @classmethod
    def __subclasshook__(cls, other: type) -> Any:
        return NotImplemented


class Role(metaclass=abc.ABCMeta):  # noqa: B024
    """The same, as an abstract base class."""


class Frame(Exception):
    """An exception of this side's."""


FALSE_NAMES = [
    (__name__, "Admin"),
    (__name__, "Role"),
    (__name__, "Frame"),
    ("builtins", "str"),
    ("builtins", "bytes"),
    ("builtins", "int"),
    ("builtins", "bool"),
    ("builtins", "tuple"),
    ("builtins", "Exception"),
    ("builtins", "SystemExit"),
    ("builtins", "NoneType"),
    ("os", "PathLike"),
    ("pathlib", "Path"),
    ("socket", "socket"),
    ("antigravity", "X"),
]
TRUSTED: tuple[type, ...] = (str, bytes, int, tuple, frozenset, BaseException, type(None))


@pytest.mark.parametrize("kind", [INSTANCE, CLASS, MODULE])
@pytest.mark.parametrize(("module", "name"), FALSE_NAMES)
def test_nothing_passes_for_what_it_says(lure: Any, module: str, name: str, kind: int) -> None:
    before = set(sys.modules)

    def answer(request: Any) -> Any:
        path = list(request.path) if type(request.path) is tuple else [request.path]
        if path == ["thing"]:
            bases = (f"{module}.{name}", f"{__name__}.Admin", "builtins.str")
            return client.attacker.claim(module, name, kind=kind, bases=bases)
        if path[-1:] == ["__bases__"]:
            return (Admin, Role, Frame, str)  # as they would be, if they had come home
        raise AttributeError(path)

    client = lure(answer)
    thing = client.get(client.root.thing)
    for cls in (Admin, Role, Frame, *TRUSTED):
        assert not isinstance(thing, cls)
    if kind == CLASS and client.skin == "blocking":
        for cls in (Admin, Frame, str):
            assert not issubclass(thing, cls)
        with pytest.raises(TypeError):  # it is no class at all, says an abstract one
            issubclass(thing, Role)
    assert not (set(sys.modules) - before) & {"antigravity"}


def test_bases_that_come_home_make_no_subclass() -> None:
    """A class that a client has passed is not given back as the base of another."""

    class Giver:
        def take(self, cls: type) -> None:
            self.cls = cls

        def give(self) -> Any:
            base = self.cls

            class Meta(type):
                def __getattribute__(cls, name: str) -> Any:
                    return (base,) if name == "__bases__" else type.__getattribute__(cls, name)

            return Meta("Fake", (), {})

    everything = PUBLIC._replace(allow_all_attrs=True)
    wire = FakeWire(right_root=Giver(), right_config=everything)
    wire.left.root.take(Admin)
    fake = wire.left.root.give()
    assert fake.__bases__ == ()
    assert not issubclass(fake, Admin)


def test_a_trusted_peer_is_believed() -> None:
    """That the others are not would prove nothing."""
    wire = FakeWire(
        right_root=lambda: Admin(),
        left_config=PUBLIC._replace(trust_class_names=True),
        right_config=PUBLIC,
    )
    assert isinstance(wire.left.root(), Admin)


# --- what no class can be called -----------------------------------------------------------------

NO_NAMES = ["a\0b", "\ud800", "x" * 100_000]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("field", ["module", "name"])
def test_what_is_no_name_ends_the_connection(lure: Any, field: str, name: str) -> None:
    def answer(_request: Any) -> Any:
        return client.attacker.claim(**{"module": "m", "name": "n", field: name})

    client = lure(answer)
    with pytest.raises((netobj.ConnectionLost, ProtocolError)):
        client.get(client.root.thing())


@pytest.mark.parametrize(
    "fields",
    [["fi", "\ufb01"], ["_private"], ["class"], ["a", "a"], ["a b"], ["__class__"], [""], [1]],
)
def test_odd_named_tuples_end_the_connection(lure: Any, fields: Any) -> None:
    import msgpack

    def answer(request: Any) -> Any:
        wire = msgpack.ExtType(Ext.NAMED_TUPLE, pack(["T", fields, [1] * len(fields)]))
        client.attacker.session.running.pop(request.seq)
        client.attacker.send([Kind.REPLY, request.seq, wire])
        return client.attacker.serve(client.attacker.requested())

    client = lure(answer)
    with pytest.raises((netobj.ConnectionLost, ProtocolError)):
        client.get(client.root.thing())


# --- forgotten with the connection ---------------------------------------------------------------

CONNECTIONS = 1000


def test_what_was_made_for_a_peer_goes_with_it() -> None:
    """Proxy classes, classes of exceptions, named tuples; of roots, too."""
    made: list[weakref.ref[Any]] = []
    before = Counter(map(type, gc.get_objects()))[type(Netref)]
    for number in range(CONNECTIONS):
        _use_once(number, made)
    gc.collect()
    assert len(made) == 4 * CONNECTIONS
    assert not [ref for ref in made if ref() is not None]
    assert Counter(map(type, gc.get_objects()))[type(Netref)] - before < 10
    assert not [c for c in GenericException.__subclasses__() if c.__name__.startswith("Made")]
    assert not [key for key in registered._named_tuples if str(key[0]).startswith("Made")]


def _use_once(number: int, made: list[weakref.ref[Any]]) -> None:
    fields = tuple(f"f{number}_{index}" for index in range(2))
    tuple_class: Any = registered.namedtuple(f"Made{number}", fields)  # type: ignore[attr-defined]
    error_class = type(f"Made{number}", (KeyError,), {})

    def fail() -> None:
        raise error_class(1)

    root = type(f"Root{number}", (), {"thing": type(f"Thing{number}", (), {})(), "fail": fail})()
    type(root).fail = staticmethod(fail)
    root.tuple = tuple_class(1, 2)
    wire = FakeWire(right_root=root, left_config=PUBLIC, right_config=PUBLIC)
    wire.right.session.reconfigure(PUBLIC._replace(log_exceptions=False))
    proxy = wire.left.root
    made.append(weakref.ref(type(proxy)))
    made.append(weakref.ref(type(proxy.thing)))
    made.append(weakref.ref(type(proxy.tuple)))
    with pytest.raises(KeyError) as caught:
        proxy.fail()
    made.append(weakref.ref(type(caught.value)))
    wire.lose()


def test_over_sockets_too() -> None:
    def left() -> int:
        gc.collect()
        return sum(1 for cls in gc.get_objects() if type(cls) is type(Netref))

    before = left()
    for number in range(20):
        ours, theirs = socket.socketpair()
        attacker = Attacker(
            theirs, root=type(f"Root{number}", (), {"thing": type(f"Thing{number}", (), {})()})()
        )
        with netobj.connect_stream(SocketStream(ours)) as conn:
            assert type(conn.root).__name__ == f"Root{number}"
        attacker.close()
    del conn, attacker
    wait_until(lambda: left() - before < 5)


def test_exceptions_are_forgotten_too(lure: Any) -> None:
    client = lure(lambda _: error(module="m", qualname="Unheard"))
    with pytest.raises(GenericException):
        client.get(client.root.work())
    client.close()

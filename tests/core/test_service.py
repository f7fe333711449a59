"""Services, and the two sides of classic mode, on a fake wire."""

from __future__ import annotations

from json import JSONDecodeError
from types import SimpleNamespace
from typing import Any

import pytest

from fakewire import CLASSIC, FakeWire
from netobj.core.config import Config
from netobj.core.service import (
    ClassicClient,
    ClassicService,
    FakeSlaveService,
    Master,
    MasterService,
    ModuleNamespace,
    Service,
    SlaveService,
    VoidService,
    instance_of,
)
from netobj.errors import AccessDenied


class TestNames:
    @pytest.mark.parametrize(
        ("cls", "aliases"),
        [
            (Service, ("SERVICE",)),
            (VoidService, ("VOID",)),
            (SlaveService, ("SLAVE",)),
            (ClassicService, ("SLAVE",)),
            (type("EchoService", (Service,), {}), ("ECHO",)),
            (type("Echo", (Service,), {}), ("ECHO",)),
            (type("A", (Service,), {"ALIASES": ["first", "Second"]}), ("FIRST", "SECOND")),
        ],
    )
    def test_aliases(self, cls: type[Service], aliases: tuple[str, ...]) -> None:
        assert cls.get_service_aliases() == aliases
        assert cls.get_service_name() == aliases[0]

    def test_the_peer_may_ask_for_them(self) -> None:
        wire = FakeWire(None, SlaveService())
        assert wire.left.root.get_service_name() == "SLAVE"
        assert wire.left.root.get_service_aliases() == ("SLAVE",)


def test_settings_of_services_are_known_keys() -> None:
    for cls in (Service, SlaveService, MasterService, ClassicService, ClassicClient):
        Config().merge(dict(cls.CONFIG))
    assert Service.CONFIG == {}


def test_a_client_of_classic_mode_exposes_nothing_of_itself() -> None:
    config = Config().merge(dict(ClassicClient.CONFIG))
    assert not config.allow_all_attrs
    assert not config.allow_setattr
    assert not config.allow_pickle
    assert not issubclass(ClassicClient, SlaveService)
    wire = FakeWire(None, FakeSlaveService())
    for name in ("eval", "execute", "getmodule", "getconn", "namespace"):
        with pytest.raises(AttributeError):
            getattr(wire.left.root, name)


def modules(cls: type[Service]) -> Any:
    """The other side's in classic mode, with the settings of *cls* on this one."""
    config = Config().merge(dict(cls.CONFIG))
    conn = Connection(FakeWire(None, SlaveService(), left_config=config, right_config=CLASSIC))
    MasterService().on_connect(conn)
    return conn.extras.modules


@pytest.mark.parametrize("cls", [MasterService, ClassicService, ClassicClient])
def test_in_classic_mode_remote_objects_pass_for_what_their_classes_are_called(
    cls: type[Service],
) -> None:
    assert isinstance(modules(cls).types.SimpleNamespace(), SimpleNamespace)


@pytest.mark.parametrize("cls", [MasterService, ClassicService, ClassicClient])
def test_in_classic_mode_exceptions_of_classes_that_both_sides_have_are_theirs(
    cls: type[Service],
) -> None:
    with pytest.raises(JSONDecodeError):
        modules(cls).json.loads("{")


def test_instances() -> None:
    assert type(instance_of(VoidService)) is VoidService
    service = VoidService()
    assert instance_of(service) is service


class Connection:
    """As much of one as the master needs."""

    def __init__(self, wire: FakeWire) -> None:
        self.root = wire.left.root
        self.extras: Any = None

    def extend(self, extras: Any) -> None:
        self.extras = extras


class TestClassic:
    @pytest.fixture
    def wire(self) -> FakeWire:
        return FakeWire(None, SlaveService(), left_config=CLASSIC, right_config=CLASSIC)

    @pytest.fixture
    def master(self, wire: FakeWire) -> Any:
        conn = Connection(wire)
        MasterService().on_connect(conn)
        assert isinstance(conn.extras, Master)
        return conn.extras

    def test_eval_and_execute_share_a_namespace(self, master: Any) -> None:
        master.execute("x = 6")
        assert master.eval("x * 7") == 42
        assert master.namespace["x"] == 6
        assert master.namespace is master.namespace

    def test_modules_are_fetched_once(self, wire: FakeWire, master: Any) -> None:
        import sys

        first = master.modules.sys
        with wire.counted() as log:
            assert master.modules.sys is first
            assert master.modules["sys"] is first
        assert log == []
        assert first.version == sys.version
        assert master.modules["os.path"].join("a", "b") == "a/b"
        assert master.modules["os", "path"] is master.modules["os.path"]

    def test_a_function_of_a_known_module_is_one_round_trip(
        self, wire: FakeWire, master: Any
    ) -> None:
        import os

        modules = master.modules
        modules.os  # noqa: B018
        with wire.counted() as log:
            assert modules.os.getpid() == os.getpid()
        assert log == ["left REQUEST", "right REPLY"]

    def test_what_is_no_module(self, master: Any) -> None:
        assert "sys" in master.modules
        assert "no_such_module" not in master.modules
        with pytest.raises(AttributeError, match="no module 'no_such_module'"):
            master.modules.no_such_module  # noqa: B018
        with pytest.raises(ImportError):
            master.modules["no_such_module"]

    def test_builtins(self, master: Any) -> None:
        assert master.builtins.len((1, 2)) == 2
        assert master.builtin.len is not None

    def test_the_connection_of_the_other_side(self, wire: FakeWire) -> None:
        service = wire.right.session.boxing.root
        conn = object()
        service.on_connect(conn)  # type: ignore[attr-defined]
        assert wire.left.root.getconn() is not None

    def test_a_dunder_is_no_module(self) -> None:
        def asked(name: str) -> Any:
            raise AssertionError(name)

        with pytest.raises(AttributeError):
            ModuleNamespace(asked).__wrapped__  # noqa: B018


def test_exposed_attributes_and_nothing_else() -> None:
    class MyService(Service):
        secret = 1

        def exposed_double(self, x: int) -> int:
            return 2 * x

    wire = FakeWire(None, MyService())
    assert wire.left.root.double(4) == 8
    for name in ("secret", "on_connect", "ALIASES", "__class__", "__dict__"):
        with pytest.raises(AccessDenied):
            wire.left.request(0, wire.left.root.____handle__, name, ())


def test_a_function_travels_to_the_other_side() -> None:
    wire = FakeWire(SlaveService(), SlaveService(), left_config=CLASSIC, right_config=CLASSIC)
    master = Master(SimpleNamespace(root=wire.left.root))
    assert master.teleport(_six_by)(7) == 42


def _six_by(number: int) -> int:
    return 6 * number

"""Marks that hide a name: by another name, or from peers on other machines."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from netobj.core import access, exposure
from netobj.core import rules as rules_of_policies
from netobj.core.access import Access, Policy, policy_for
from netobj.core.config import Config
from netobj.core.describe import describe_class, describe_object
from netobj.core.exposure import Exposure, Mounted, exposed, service
from netobj.core.rules import host_of, is_local
from netobj.errors import AccessDenied

HERE = (("127.0.0.1", 1), ("127.0.0.1", 2))
ELSEWHERE = (("10.0.0.1", 1), ("10.0.0.2", 2))


class Sample:
    """Has names of all kinds."""

    @exposed(name="add")
    def plus(self) -> str:
        return "add"

    @exposed(name="other")
    def exposed_prefixed(self) -> str:
        return "other"

    @exposed(name="value")
    @property
    def computed(self) -> str:
        return "value"

    @exposed(name="rpc_only")
    def both(self) -> str:
        return "both"

    @exposed(local_only=True)
    def secret(self) -> str:
        return "secret"

    @exposed(name="hush", local_only=True)
    def quiet(self) -> str:
        return "hush"

    @exposed(local_only=True)
    def exposed_aside(self) -> str:
        return "aside"

    @exposed(local_only=True)
    def __len__(self) -> int:
        return 3

    def public(self) -> str:
        return "public"

    @exposed(name="taken")
    def _taken(self) -> str:
        return "renamed"

    def taken(self) -> str:
        return "not open"


def policy(endpoints: Any = HERE, **settings: Any) -> Policy:
    return policy_for(Config(endpoints=endpoints, **settings), "server")


NAMES = {"add": "add", "other": "other", "value": "value", "rpc_only": "both", "taken": "renamed"}
LOCAL = {"secret": "secret", "hush": "hush", "aside": "aside", "exposed_aside": "aside"}
OWN = ["plus", "prefixed", "exposed_prefixed", "computed", "both", "quiet", "_taken"]


def read(rules: Policy, name: str, obj: Any = None) -> Any:
    found = rules.getattr(Sample() if obj is None else obj, name)
    return found() if callable(found) else found


@pytest.mark.parametrize("how", [{"name": "add"}, {"local_only": True}], ids=str)
def test_the_first_mark_that_hides_in_a_program(
    how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hiding: list[Exposure] = []
    for module in (exposure, access, rules_of_policies):
        monkeypatch.setattr(module, "HIDING", hiding)

    class Box:
        @exposed
        def plus(self) -> str:
            return "open"

    assert hiding == []  # a plain mark hides nothing, and names may be remembered
    rules = policy(ELSEWHERE)
    assert read(rules, "plus", Box()) == "open"
    exposed(Box.plus, **how)
    with pytest.raises(AttributeError):
        read(rules, "plus", Box())


@pytest.mark.parametrize("endpoints", [HERE, ELSEWHERE, None])
def test_what_has_a_name_of_its_own_is_open_under_that_only(endpoints: Any) -> None:
    rules = policy(endpoints)
    for _ in range(2):  # the second time something may be remembered
        assert {name: read(rules, name) for name in NAMES} == NAMES
        for name in OWN:
            with pytest.raises(AttributeError):
                read(rules, name)
            with pytest.raises(AttributeError):
                rules.attribute(Sample(), name, Access.GET)
    assert rules.attribute(Sample(), "add", Access.GET) == "plus"


def test_public_names_are_no_way_around() -> None:
    rules = policy(allow_public_attrs=True)
    for name in ("plus", "computed", "both", "quiet"):
        with pytest.raises(AttributeError, match=f"'Sample' object has no attribute '{name}'"):
            read(rules, name)
    assert read(rules, "public") == "public"
    assert read(rules, "add") == "add"


def test_who_may_do_anything_sees_both_names() -> None:
    rules = policy(allow_all_attrs=True)
    assert (read(rules, "plus"), read(rules, "add")) == ("add", "add")


def test_a_mark_for_another_prefix_renames_nothing() -> None:
    class Other:
        @exposed("rpc_", name="add")
        def plus(self) -> str:
            return "add"

    with pytest.raises(AccessDenied):
        read(policy(), "add", Other())
    assert read(policy(exposed_prefix="rpc_"), "add", Other()) == "add"


@pytest.mark.parametrize("endpoints", [HERE, None, ("/path", ""), ("", "/path")])
def test_peers_on_this_machine_see_what_is_for_them(endpoints: Any) -> None:
    rules = policy(endpoints)
    assert {name: read(rules, name) for name in LOCAL} == LOCAL
    assert rules.special_method(Sample(), "__len__")() == 3
    description = describe_class(Sample, rules)
    assert {"secret", "hush", "aside", "add"} <= set(description.methods)
    assert "__len__" in description.specials
    assert {"secret", "hush", "aside", "add", "__len__"} <= set(rules.names(Sample()))


@pytest.mark.parametrize("settings", [{}, {"allow_public_attrs": True}, {"allow_all_attrs": True}])
def test_to_others_it_is_as_if_it_were_not_there(settings: dict[str, Any]) -> None:
    rules = policy(ELSEWHERE, **settings)
    obj = Sample()
    for name in LOCAL:
        with pytest.raises(AttributeError) as refused:
            read(rules, name, obj)
        with pytest.raises(AttributeError) as unknown:
            read(rules, name, type("Sample", (), {})())
        if not settings:
            assert str(refused.value) == str(unknown.value)
        assert type(refused.value) is type(unknown.value)
    with pytest.raises(AttributeError):
        rules.special_method(obj, "__len__")
    assert not {*LOCAL, "__len__"} & set(rules.names(obj))
    description = describe_class(Sample, rules)
    assert not {*LOCAL, "quiet"} & set(description.methods)
    assert "__len__" not in description.specials


def test_dir_and_descriptions_show_the_peers_names() -> None:
    rules = policy()
    shown = {*NAMES} - {"value"}
    assert set(describe_class(Sample, rules).methods) == {*shown, "secret", "hush", "aside"}
    assert {*NAMES} <= set(rules.names(Sample()))
    assert not {*OWN} & set(rules.names(Sample()))


def test_of_classes_and_modules() -> None:
    module = ModuleType("module")
    for holder in (Sample, module):
        obj: Any = holder

        @exposed(name="make")
        def build() -> str:
            return "made"

        @exposed(local_only=True)
        def private() -> str:
            return "private"

        obj.build, obj.private = build, private
        try:
            assert read(policy(), "make", obj) == "made"
            assert read(policy(), "private", obj) == "private"
            for name in ("build", "private"):
                with pytest.raises(AccessDenied):
                    read(policy(ELSEWHERE), name, obj)
            assert "make" in describe_object(obj, policy()).methods
            assert "private" not in describe_object(obj, policy(ELSEWHERE)).methods
            assert "make" in policy().names(obj)
        finally:
            del obj.build, obj.private


def test_aliases_bear_the_peers_name() -> None:
    @service
    class Greeter:
        @exposed(name="hello")
        def greet(self) -> str:
            return "hello"

    assert Greeter().exposed_hello() == "hello"  # type: ignore[attr-defined]
    assert read(policy(), "hello", Greeter()) == "hello"
    assert set(policy().renamed(Greeter, "hello")) == {vars(Greeter)["greet"]}
    assert list(policy().renamed(Greeter, "greet")) == []


def test_what_is_mounted_is_described_with_its_holder() -> None:
    class Holder:
        inner = Mounted(Sample())

    class Outer:
        names = Mounted(Holder())

    assert "names.inner.add" not in describe_class(Outer, policy()).methods  # a Sample has a length
    with_length = describe_class(Outer, policy(ELSEWHERE)).methods
    assert "names.inner.add" in with_length
    assert "names.inner.secret" not in with_length
    assert policy().getattr(Outer(), "names").inner.plus() == "add"


@pytest.mark.parametrize(
    ("endpoints", "local", "host"),
    [
        (None, True, "local"),
        ((("127.0.0.1", 1), ("127.9.9.9", 2)), True, "127.9.9.9"),
        ((("::1", 1, 0, 0), ("::1", 2, 0, 0)), True, "::1"),
        ((("::", 1, 0, 0), ("::ffff:127.0.0.1", 2, 0, 0)), True, "::ffff:127.0.0.1"),
        ((("10.0.0.1", 1), ("10.0.0.1", 2)), False, "10.0.0.1"),
        ((("::", 1, 0, 0), ("::ffff:10.0.0.1", 2, 0, 0)), False, "::ffff:10.0.0.1"),
        ((None, None), False, "local"),
        (("/run/socket", ""), True, "local"),
        ((b"\0abstract", b""), True, "local"),
        (((2, 1), (3, 2)), False, "3"),
    ],
)
def test_where_a_peer_is(endpoints: Any, local: bool, host: str) -> None:
    assert is_local(endpoints) is local
    assert host_of(endpoints) == host

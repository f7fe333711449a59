"""A name more for one object: behind what the object has itself."""

from __future__ import annotations

from typing import Any

import pytest

import netobj
from netobj.core.access import Policy
from netobj.core.config import Config
from netobj.core.offering import OfferingPolicy
from netobj.errors import AccessDenied

OFFERED = object()


def offering(owner: object, **settings: Any) -> OfferingPolicy:
    return OfferingPolicy(Policy(Config(**settings), "server"), owner, "system", OFFERED)


class Plain:
    @netobj.exposed
    def method(self) -> int:
        return 1


class Private:
    def __init__(self) -> None:
        self.system = "private"


class Own:
    exposed_system = "its own"


class Failing:
    @property
    def exposed_system(self) -> Any:
        raise AttributeError("it has failed")


class Public:
    system = "public"


class Dynamic:
    def __getattr__(self, name: str) -> Any:
        if name == "exposed_made":
            return "made"
        raise AttributeError(name)


class Ruled:
    def __init__(self) -> None:
        self.system = "guarded"

    def _netobj_getattr(self, name: str) -> Any:
        raise AttributeError("my own rule")


@pytest.mark.parametrize("kind", [Plain, Private, Dynamic, Ruled, Public])
def test_the_name_is_there_where_nothing_is_shown_under_it(kind: type) -> None:
    owner = kind()
    policy = offering(owner)
    assert policy.getattr(owner, "system") is OFFERED
    assert "system" in policy.names(owner)


@pytest.mark.parametrize("settings", ["allow_public_attrs", "allow_all_attrs"])
def test_where_all_names_are_open(settings: str) -> None:
    for kind in (Plain, Dynamic):
        owner = kind()
        assert offering(owner, **{settings: True}).getattr(owner, "system") is OFFERED
    private = Private()
    assert offering(private, **{settings: True}).getattr(private, "system") == "private"


def test_what_the_owner_shows_itself_stays() -> None:
    owner = Own()
    policy = offering(owner)
    assert policy.getattr(owner, "system") == "its own"
    assert policy.names(owner).count("system") == 1


def test_a_property_that_fails_is_not_covered_up() -> None:
    owner = Failing()
    with pytest.raises(AttributeError, match="it has failed"):
        offering(owner).getattr(owner, "system")


def test_other_objects_and_names_are_as_ever() -> None:
    owner = Plain()
    policy = offering(owner)
    assert policy.getattr(owner, "method")() == 1
    assert "system" not in policy.names(Plain())
    with pytest.raises(AccessDenied):
        policy.getattr(Plain(), "system")
    with pytest.raises(AccessDenied):
        policy.getattr(owner, "secret")
    with pytest.raises(AccessDenied):
        policy.getattr(owner, b"system")  # type: ignore[arg-type]
    assert policy.getattr(Dynamic(), "made") == "made"


def test_nothing_is_read_where_reading_is_off() -> None:
    owner = Plain()
    policy = offering(owner, allow_getattr=False)
    with pytest.raises(AccessDenied, match="allow_getattr is off"):
        policy.getattr(owner, "system")
    assert policy.names(owner) == []


def test_known_methods_are_known_to_both() -> None:
    owner = Plain()
    base = Policy(Config(), "server")
    base.getattr(owner, "method")
    assert OfferingPolicy(base, owner, "system", OFFERED).known_method(owner, "method") is not None

"""What may be reached, and what a refusal says: the same on every server, for every client."""

from __future__ import annotations

from typing import Any

import pytest

import netobj
from netobj.errors import AccessDenied
from pairings import Pair, Pairing


class Inner:
    """Opened name by name."""

    exposed_shown = 1
    hidden = 2

    @netobj.exposed
    def marked(self) -> str:
        return "marked"

    def exposed_prefixed(self) -> str:
        return "prefixed"

    def unmarked(self) -> str:
        return "unmarked"

    @property
    def exposed_computed(self) -> str:
        return "computed"


class Ruled:
    """Has a rule of its own."""

    def _netobj_getattr(self, name: str) -> Any:
        if name == "allowed":
            return "allowed"
        raise AttributeError(f"my own rule refuses {name}")

    def _netobj_setattr(self, name: str, value: Any) -> None:
        self.stored = (name, value)


class Guarded(netobj.Service):
    public = "not exposed"

    def __init__(self) -> None:
        self.target = Inner()
        self.ruled = Ruled()

    @netobj.exposed
    def inner(self) -> Any:
        return self.target

    @netobj.exposed
    async def inner_async(self) -> Any:
        return self.target

    async def exposed_prefixed_async(self) -> str:
        return "prefixed async"

    async def unmarked_async(self) -> str:
        return "unmarked"

    @netobj.exposed
    def view(self) -> Any:
        return netobj.restricted(self.target, ["unmarked", "hidden"], ["hidden"])

    @netobj.exposed
    def own_rule(self) -> Any:
        return self.ruled

    @netobj.exposed
    def read(self, thing: Any, name: str) -> Any:
        return getattr(thing, name)


SERVICE = Guarded


@pytest.mark.parametrize("method", ["inner", "inner_async"])
class TestNames:
    def test_what_is_marked_or_prefixed_is_open(self, pair: Pair, method: str) -> None:
        inner = pair.get(getattr(pair.root, method)())
        assert pair.get(inner.marked()) == "marked"
        assert pair.get(inner.prefixed()) == "prefixed"
        assert pair.get(inner.exposed_prefixed()) == "prefixed"
        assert pair.get(inner.shown) == 1
        assert pair.get(inner.computed) == "computed"

    @pytest.mark.parametrize("name", ["hidden", "unmarked", "nothing", "_private"])
    def test_the_rest_is_refused(self, pair: Pair, method: str, name: str) -> None:
        inner = pair.get(getattr(pair.root, method)())
        with pytest.raises(AccessDenied) as caught:
            pair.get(getattr(inner, name))
        text = str(caught.value)
        assert f"the Guarded side refuses to read {name!r} of a 'Inner' object" in text

    def test_setting_and_deleting_are_off(self, pair: Pair, method: str) -> None:
        inner = pair.get(getattr(pair.root, method)())
        with pytest.raises(AccessDenied, match=r"refuses to set 'shown'.*allow_setattr is off"):
            pair.act("setattr", inner, "shown", 5)
        with pytest.raises(AccessDenied, match=r"refuses to delete 'shown'.*allow_delattr is off"):
            pair.act("delattr", inner, "shown")

    @pytest.mark.parametrize("name", ["__dict__", "__globals__", "__subclasses__", "__init__"])
    def test_what_leads_to_everything_is_refused(self, pair: Pair, method: str, name: str) -> None:
        inner = pair.get(getattr(pair.root, method)())
        with pytest.raises(AttributeError):
            pair.act("getattr", inner, name)


class TestService:
    def test_async_methods_follow_the_same_rules(self, pair: Pair) -> None:
        assert pair.get(pair.root.prefixed_async()) == "prefixed async"
        with pytest.raises(AccessDenied, match="unmarked_async"):
            pair.get(pair.root.unmarked_async())
        with pytest.raises(AccessDenied, match="public"):
            pair.get(pair.root.public)

    def test_a_setting_opens_public_names(self, pairing: Pairing) -> None:
        pair = pairing.join(Guarded, config={"allow_public_attrs": True})
        assert pair.get(pair.root.public) == "not exposed"
        assert pair.get(pair.root.unmarked_async()) == "unmarked"
        with pytest.raises(AccessDenied, match="_config"):
            pair.get(pair.root._config)

    def test_restricted(self, pair: Pair) -> None:
        view = pair.get(pair.root.view())
        assert pair.get(view.unmarked()) == "unmarked"
        assert pair.get(view.hidden) == 2
        with pytest.raises(AttributeError, match="marked"):
            pair.get(view.marked())
        pair.act("setattr", view, "hidden", 3)
        assert pair.get(view.hidden) == 3
        with pytest.raises(AttributeError, match="unmarked"):
            pair.act("setattr", view, "unmarked", 3)

    def test_a_rule_of_the_objects_own(self, pair: Pair) -> None:
        ruled = pair.get(pair.root.own_rule())
        assert pair.get(ruled.allowed) == "allowed"
        with pytest.raises(AttributeError, match="my own rule refuses other"):
            pair.get(ruled.other)
        pair.act("setattr", ruled, "x", 1)
        with pytest.raises(AttributeError, match="my own rule refuses stored"):
            pair.get(ruled.stored)

    def test_the_client_is_guarded_likewise(self, pair: Pair) -> None:
        for name in ("unmarked", "hidden", "_private"):
            with pytest.raises(AccessDenied, match=f"refuses to read {name!r} of a 'Inner'"):
                pair.get(pair.root.read(Inner(), name))

"""What is not asked for is not told: addresses, files, default values; and no bombs."""

from __future__ import annotations

import functools
import http
import json
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

import netobj
from netobj.core.boxing import ByValue
from netobj.core.consts import Op
from netobj.errors import LimitExceeded

SECRET = "hunter2"


class Thing:
    exposed_inside = None

    def exposed_login(self, password: str = SECRET, retries: int = 3, key: Any = object()) -> None:  # noqa: B008
        """Log in."""

    def __getitem__(self, key: str) -> str:
        return key


class Host(netobj.Service):
    exposed_thing = Thing()
    exposed_class = Thing
    exposed_list: ClassVar[Any] = [Thing()]
    exposed_bytes = bytearray(b"%d")
    exposed_status = http.HTTPStatus.OK
    exposed_class_of_list = list
    exposed_class_of_bytes = bytearray
    exposed_class_of_status = int
    exposed_partial = functools.partial(print, Thing())
    exposed_module = json
    exposed_lambda = staticmethod(lambda: 1)
    exposed_builtin = staticmethod([].append)

    @netobj.exposed
    def bound(self) -> Any:
        return self.exposed_thing.exposed_login

    @netobj.exposed
    def generator(self) -> Any:
        return (n for n in [1])

    @netobj.exposed
    def namespace(self) -> Any:
        names: dict[str, Any] = {}
        exec("x = 1", names)
        return names


NAMES = ["thing", "class", "list", "partial", "module", "lambda", "builtin"]


def things(attacker: Any) -> dict[str, Any]:
    found = {name: attacker.get(None, name) for name in NAMES}
    return {**found, **{name: attacker.call(None, name) for name in ("bound", "generator")}}


def test_no_text_tells_an_address_or_a_file(attack: Any) -> None:
    attacker = attack(Host, {"allow_public_attrs": True})
    for what, target in things(attacker).items():
        texts = [attacker.special(target, name) for name in ("__repr__", "__str__")]
        texts.append(attacker.special(target, "__format__", ""))
        if what != "class":  # of which it is that of its objects
            texts.append(attacker.call(target, "__repr__"))
            texts.append(attacker.call(attacker.get(target, "__repr__"), None))
        for text in texts:
            assert "0x" not in text, what
            assert ".py" not in text, what
            assert text


def test_no_hash_is_an_address(attack: Any) -> None:
    attacker = attack(Host)
    bound = Host.exposed_thing.exposed_login
    for target, obj in (
        (attacker.get(None, "thing"), Host.exposed_thing),
        (attacker.get(None, "class"), Thing),
        (attacker.get(None, "lambda"), Host.exposed_lambda),
        (attacker.call(None, "bound"), bound),
    ):
        told = attacker.special(target, "__hash__")
        assert told == attacker.special(target, "__hash__")
        assert told not in (hash(obj), id(obj), id(obj) // 16)
        if obj is not Thing:  # of a class it is that of its objects
            assert attacker.call(attacker.get(target, "__hash__"), None) == told
    thing = attacker.get(None, "thing")
    told = attacker.call(None, ["class", "__hash__"], thing)
    assert told == attacker.special(thing, "__hash__") != hash(Host.exposed_thing)


def test_values_still_tell_their_hash(attack: Any) -> None:
    attacker = attack(Host)
    assert attacker.special(attacker.get(None, "status"), "__hash__") == hash(200)


def test_documents_hide_default_values(attack: Any) -> None:
    attacker = attack(Host)
    text, signature = attacker.ask(Op.DOCUMENT, attacker.get(None, "thing"), "login")
    assert text == "Log in."
    assert "retries: 'int' = 3" in signature
    for told in (SECRET, "0x", "object"):
        assert told not in signature


def test_a_namespace_does_not_lead_to_the_builtins(attack: Any) -> None:
    attacker = attack(Host)
    names = attacker.call(None, "namespace")
    assert attacker.special(names, "__getitem__", "x") == 1
    with pytest.raises(netobj.NotEncodable, match="builtins"):
        attacker.special(names, "__getitem__", "__builtins__")


# --- operators -----------------------------------------------------------------------------------

HUGE = 10**12
BOMBS: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "a list many times": ("list", "__mul__", (HUGE,)),
    "many times a list": ("list", "__rmul__", (HUGE,)),
    "a list, in place": ("list", "__imul__", (HUGE,)),
    "bytes many times": ("bytes", "__mul__", (HUGE,)),
    "a power": ("status", "__pow__", (HUGE,)),
    "a power, reflected": ("status", "__rpow__", (1 << 60_000,)),
    "a power with a modulus": ("status", "__pow__", (1 << 90_000, (1 << 90_000) + 1)),
    "shifted": ("status", "__lshift__", (HUGE,)),
    "shifted by it": ("status", "__rlshift__", (1 << 66_000,)),
    "rounded": ("status", "__round__", (-HUGE,)),
    "formatted": ("status", "__format__", (f"{HUGE}d",)),
    "formatted precisely": ("status", "__format__", (f".{HUGE}f",)),
    "a copy of the peer's many times": ("", "__mul__", (HUGE,)),
    "a format of the peer's": ("status", "__rmod__", (ByValue(bytearray(b"%999999999d")),)),
}
USED: dict[str, Callable[..., Any]] = {
    "special": lambda peer, target, special, operands, _: peer.special(target, special, *operands),
    "by name": lambda peer, target, special, operands, _: peer.call(target, special, *operands),
    "by reference": lambda peer, target, special, operands, _: peer.call(
        peer.get(target, special), None, *operands
    ),
    "by the class": lambda peer, target, special, operands, name: peer.call(
        None, [f"class_of_{name}", special], target, *operands
    ),
}


@pytest.mark.parametrize("way", USED)
@pytest.mark.parametrize("bomb", BOMBS)
def test_no_operator_makes_much_of_little(core: Any, bomb: str, way: str) -> None:
    attacker = core(Host, {"allow_public_attrs": True})
    name, special, operands = BOMBS[bomb]
    target = attacker.get(None, name) if name else ByValue([0])
    begun = time.process_time()
    with pytest.raises((LimitExceeded, TypeError, AttributeError)):
        USED[way](attacker, target, special, operands, name or "list")
    assert time.process_time() - begun < 1.0


def test_operators_of_a_sensible_size_work(core: Any) -> None:
    attacker = core(Host)
    status = attacker.get(None, "status")
    assert attacker.special(status, "__pow__", 3) == 200**3
    assert attacker.special(status, "__pow__", 3, 7) == pow(200, 3, 7)
    assert attacker.special(status, "__lshift__", 3) == 1600
    assert attacker.special(status, "__format__", "6d") == "   200"
    doubled = attacker.special(attacker.get(None, "list"), "__mul__", 2)
    assert attacker.special(doubled, "__len__") == 2
    assert attacker.special(attacker.get(None, "bytes"), "__mod__", (7,)) is not None

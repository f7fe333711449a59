"""An object's own ``_netobj_getattr`` (or ``_rpyc_getattr``) decides alone, whatever is asked."""

from __future__ import annotations

import pickle
from typing import Any, ClassVar

import pytest
from attacker import Asked, Attacker

import netobj
from netobj.core.consts import SPECIALS, Op
from netobj.errors import AccessDenied

SECRET = "what the rule keeps"
EVERYTHING = {
    "allow_public_attrs": True,
    "allow_setattr": True,
    "allow_delattr": True,
    "allow_all_attrs": True,
    "allow_pickle": True,
}


class Ruled(list[Any]):
    """A list, a context, an iterator, a buffer's owner, a function: and nothing of it is open."""

    exposed_name = SECRET

    def _netobj_getattr(self, name: str) -> Any:
        if name == "open":
            return "open"
        raise AccessDenied(f"the rule refuses {name}")

    def __call__(self, *_: Any) -> str:
        return SECRET

    def __enter__(self) -> str:
        return SECRET

    def __exit__(self, *_: Any) -> None:
        raise ValueError(SECRET)

    def __next__(self) -> str:
        return SECRET

    def __hash__(self) -> int:  # type: ignore[override]
        return 1

    def __bytes__(self) -> bytes:
        return SECRET.encode()

    def __array__(self, *_: Any) -> Any:
        raise AssertionError(SECRET)

    def __await__(self) -> Any:
        yield SECRET

    def __copy__(self) -> Any:
        return [SECRET]

    def __deepcopy__(self, memo: Any) -> Any:
        return [SECRET]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return str, (SECRET,)

    __doc__ = SECRET


class OldRuled(Ruled):
    """The same by RPyC's name."""

    _netobj_getattr = None  # type: ignore[assignment]

    def _rpyc_getattr(self, name: str) -> Any:
        return Ruled._netobj_getattr(self, name)


class RuledClass(type):
    def _netobj_getattr(cls, name: str) -> Any:
        raise AccessDenied(f"the rule refuses {name}")


class Made(metaclass=RuledClass):
    value = SECRET


class Host(netobj.Service):
    exposed_ruled = Ruled([SECRET])
    exposed_old = OldRuled([SECRET])
    exposed_list_of_one: ClassVar[Any] = [Ruled([SECRET])]
    exposed_made = Made
    exposed_base = list
    exposed_reverse = staticmethod(list.__getitem__)


def attempts(target: Any, name: str) -> dict[str, Asked]:
    """Every operation on *target*, which is also at *name* of the root."""
    found = {
        "get": Asked(Op.GET, target, "name"),
        "get exposed": Asked(Op.GET, target, "exposed_name"),
        "get a path": Asked(Op.GET, None, [name, "name"]),
        "get an item": Asked(Op.GET, None, [name, (0,)]),
        "get an item of a value": Asked(Op.GET, (target,), [(0,), (0,)]),
        "call": Asked(Op.CALL, target),
        "call a path": Asked(Op.CALL, None, [name]),
        "call a method": Asked(Op.CALL, target, "append", (1,)),
        "call a special method": Asked(Op.CALL, target, "__getitem__", (0,)),
        "open": Asked(Op.CALL, None, [name, "open"]),
        "set": Asked(Op.SET, target, None, ("name", 1)),
        "delete": Asked(Op.DELETE, target, None, ("name",)),
        "copy": Asked(Op.COPY, target),
        "copy an array": Asked(Op.COPY, target, None, ("array", "numpy")),
        "buffer": Asked(Op.BUFFER, target),
        "fetch": Asked(Op.FETCH, target, None, (1, False)),
        "fetch ready": Asked(Op.FETCH, target, None, (1, True)),
        "iterate": Asked(Op.FETCH, target, None, (1, False, True)),
        "is an instance": Asked(Op.INSTANCE_CHECK, target, None, (1,)),
        "is a subclass": Asked(Op.SUBCLASS_CHECK, target, None, (1,)),
        "pickle": Asked(Op.PICKLE, target, None, (4,)),
        "pickle what holds it": Asked(Op.PICKLE, None, "list_of_one", (4,)),
        "copy what holds it": Asked(
            Op.SPECIAL, None, "list_of_one", (SPECIALS.index("__deepcopy__"),)
        ),
    }
    if name != "made":
        found["the base's method"] = Asked(Op.CALL, None, ["base", "__getitem__"], (target, 0))
        found["a method of C"] = Asked(Op.CALL, None, "reverse", (target, 0))
    for index, special in enumerate(SPECIALS):
        found[special] = Asked(Op.SPECIAL, target, None, (index,))
        found[f"{special} with an operand"] = Asked(Op.SPECIAL, target, None, (index, 0))
        found[f"{special} with a copy"] = Asked(
            Op.SPECIAL, target, None, (index, netobj.core.boxing.ByValue([0]))
        )
    return found


def leaks(attacker: Attacker, name: str) -> dict[str, Any]:
    target = attacker.get(None, name)
    asked = attempts(target, name)
    answers = dict(zip(asked, attacker.ask_all(list(asked.values())), strict=True))
    return {
        what: answer
        for what, answer in answers.items()
        if not (isinstance(answer, Exception) and SECRET not in str(answer))
    }


@pytest.mark.parametrize("config", [{}, EVERYTHING], ids=["by default", "everything allowed"])
@pytest.mark.parametrize("name", ["ruled", "old", "made"])
def test_no_operation_goes_past_it(core: Any, name: str, config: dict[str, Any]) -> None:
    found = leaks(core(Host, config), name)
    if config:  # the list itself has no rule, and in classic mode is copied as by copy.deepcopy
        found.pop("copy what holds it", None)
        found.pop("the base's method", None)  # nor has the class, of which everything is open
        found.pop("a method of C", None)
    assert found == {}


@pytest.mark.parametrize("name", ["ruled", "old"])
def test_so_it_is_on_every_side(attack: Any, name: str) -> None:
    assert leaks(attack(Host, {"allow_public_attrs": True}), name) == {}


def test_what_it_shows_is_there(attack: Any) -> None:
    attacker = attack(Host)
    for name in ("ruled", "old"):
        target = attacker.get(None, name)
        assert attacker.get(target, "open") == "open"
        assert attacker.ask(Op.DIR, target) == ()
        assert attacker.ask(Op.DOCUMENT, target) == (None, None)
        description = target.____handle__.imported.description
        assert (description.methods, description.specials) == ((), ())


class Choosy:
    """Gives something else for each special method than what it has."""

    def _netobj_getattr(self, name: str) -> Any:
        return lambda *args: f"{name} by the rule"

    def __copy__(self) -> str:
        return SECRET

    __deepcopy__ = __next__ = __iter__ = __call__ = __copy__


class Chosen(netobj.Service):
    exposed_one = Choosy()


@pytest.mark.parametrize("config", [{}, EVERYTHING], ids=["by default", "everything allowed"])
def test_it_is_what_it_says_that_is_used(core: Any, config: dict[str, Any]) -> None:
    attacker = core(Chosen, config)
    one = attacker.get(None, "one")
    for name in ("__copy__", "__call__", "__next__", "__repr__", "__hash__", "__add__"):
        assert attacker.special(one, name) == f"{name} by the rule"
    assert attacker.ask(Op.FETCH, one, None, 1, False)[0] == ("__next__ by the rule",)
    assert attacker.ask(Op.CALL, one) == "__call__ by the rule"
    assert attacker.ask(Op.CALL, one, "name") == "name by the rule"


@pytest.mark.parametrize("lure", ["blocking"], indirect=True)  # on a loop no buffer is copied
def test_a_buffer_is_not_read_because_the_other_side_says_it_is_a_file(lure: Any) -> None:
    """Methods of files get copies of buffers; but who may read this one is its own affair."""

    class Held(bytearray):
        def _netobj_getattr(self, name: str) -> Any:
            raise AccessDenied(name)

    seen: list[Any] = []

    def answer(request: Any) -> Any:
        if request.path == "file":
            bases = ("_io._IOBase",)
            return client.attacker.claim("_io", "FileIO", methods=("write",), bases=bases)
        seen.extend(request.args)
        return None

    client = lure(answer)
    file = client.get(client.root.file)
    client.get(file.write(Held(SECRET.encode())))
    client.get(file.write(bytearray(b"plain")))
    assert [one for one in seen if type(one) is bytes] == [b"plain"]


def test_a_proxy_of_one_is_not_pickled(attack: Any) -> None:
    with pytest.raises(AccessDenied):
        attack(Host).ask(Op.PICKLE, None, "ruled", pickle.HIGHEST_PROTOCOL)

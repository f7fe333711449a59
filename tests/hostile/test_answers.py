"""A server that answers with what was not asked for: an error, or harmless; never a hang."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from attacker import Tuple, error

import netobj
from netobj.core.boxing import ByValue
from netobj.core.consts import SPECIALS, Kind, Op

pytestmark = pytest.mark.filterwarnings("ignore:NotImplemented")

JUNK: dict[str, Callable[[Any], Any]] = {
    "None": lambda _: None,
    "a number": lambda _: 2**70,
    "a negative number": lambda _: -1,
    "a float": lambda _: float("nan"),
    "text": lambda _: "text",
    "bytes": lambda _: b"bytes",
    "an empty tuple": lambda _: (),
    "a tuple": lambda _: (1, 2, 3),
    "a tuple of tuples": lambda _: ((), True, ()),
    "an endless chunk": lambda _: ((1,) * 100, False),
    "a chunk with an odd end": lambda _: ((1,), 7, None),
    "a list": lambda _: ByValue([1, [2]]),
    "a set": lambda _: ByValue({1}),
    "NotImplemented": lambda _: NotImplemented,
    "Ellipsis": lambda _: ...,
    "a slice": lambda _: slice(1, 2),
    "a range": lambda _: range(2**60),
    "an object": lambda client: client.attacker.claim("m", "Other"),
    "an object with everything": lambda client: client.attacker.claim(
        "m", "All", specials=SPECIALS, methods=("close", "aclose", "send", "throw")
    ),
    "a class": lambda client: client.attacker.claim("builtins", "type", kind=1, specials=SPECIALS),
    "a chunk and an object": lambda client: Tuple(
        [1], True, client.attacker.claim("m", "Iterator", specials=("__next__",))
    ),
    "an error": lambda _: error(args=[1]),
    "the end of a loop": lambda _: error(qualname="StopIteration", bases=["StopIteration"]),
}
SKIPPED = ("__getitem__", "__iter__", "__next__", "__await__", "__anext__", "__aiter__")

ACTS: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "format": lambda thing: f"{thing}",
    "hash": hash,
    "bool": bool,
    "len": len,
    "int": int,
    "float": float,
    "complex": complex,
    "bytes": bytes,
    "index": lambda thing: [1, 2][thing],
    "path": __import__("os").fspath,
    "dir": dir,
    "doc": lambda thing: thing.__doc__,
    "help": __import__("inspect").getdoc,
    "eq": lambda thing: thing == 1,
    "lt": lambda thing: thing < [1],
    "in": lambda thing: 1 in thing,
    "item": lambda thing: thing[0],
    "set item": lambda thing: thing.__setitem__(0, 1),
    "add": lambda thing: thing + [1],
    "add to": lambda thing: [1] + thing if False else 1 + thing,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "copy_of": netobj.copy_of,
    "call": lambda thing: thing(1),
    "method": lambda thing: thing.method(1),
    "attribute": lambda thing: thing.attribute,
    "set attribute": lambda thing: setattr(thing, "attribute", 1),
    "with": lambda thing: thing.__enter__() and thing.__exit__(None, None, None),
    "isinstance": lambda thing: isinstance(thing, (dict, str)),
    "is callable": callable,
    "reversed": reversed,
    "round": round,
    "divmod": lambda thing: divmod(thing, 2),
}


def tried(act: Callable[..., Any], *args: Any) -> None:
    """Whatever it comes to, and whatever it raises; the connection lives on."""
    with suppress(Exception):
        act(*args)


@pytest.mark.parametrize("lure", ["blocking"], indirect=True)
@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("claimed", ["m.Thing", "builtins.list", "builtins.dict"])
def test_whatever_is_done_with_an_object(lure: Any, claimed: str, junk: str) -> None:
    module, _, name = claimed.rpartition(".")

    def answer(request: Any) -> Any:
        if request.path == "thing":
            claim = client.attacker.claim
            return claim(module, name, specials=SPECIALS, methods=("method",), buffer=True)
        return JUNK[junk](client)

    client = lure(answer)
    thing = client.root.thing
    for act in ACTS.values():
        tried(act, thing)
    client.ping()


@pytest.mark.parametrize("junk", JUNK)
def test_whatever_is_awaited(lure: Any, junk: str) -> None:
    def answer(request: Any) -> Any:
        if request.path in ("thing", ("thing",)):
            return client.attacker.claim("builtins", "list", specials=SPECIALS)
        return JUNK[junk](client)

    client = lure(answer)
    thing = client.get(client.root.thing)
    for name, args in (
        *(("len", ()), ("str", ()), ("repr", ()), ("hash", ()), ("dir", ()), ("bytes", ())),
        *(("add", (1,)), ("eq", ([1],)), ("contains", (1,)), ("getattr", ("a",))),
        *(("copy_of", ()), ("setattr", ("a", 1))),
    ):
        tried(client.act, name, thing, *args)
    client.ping()


@pytest.mark.parametrize("junk", [name for name in JUNK if name != "an endless chunk"])
def test_iterating_ends(lure: Any, junk: str) -> None:
    def answer(request: Any) -> Any:
        if request.path in ("thing", ("thing",)):
            return client.attacker.claim("builtins", "list", specials=("__iter__", "__len__"))
        return JUNK[junk](client)

    client = lure(answer)
    thing = client.get(client.root.thing)
    tried(lambda: list(zip(range(1000), client.items(thing), strict=False)))
    client.ping()


def test_a_goodbye_is_one_line(lure: Any) -> None:
    def answer(_request: Any) -> Any:
        client.attacker.send([Kind.GOODBYE, "bye\n\x1b[2J\nERROR all is lost\n" * 10_000, []])
        client.attacker.close()

    client = lure(answer)
    with pytest.raises(netobj.ConnectionLost) as caught:
        client.get(client.root.work())
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 2000


def test_only_what_was_raised_there_is_raised_here(lure: Any) -> None:
    """An exception of this side's that was passed as an object does not come back as an error."""
    kept: list[Any] = []

    def answer(request: Any) -> Any:
        if request.op == Op.SET:
            kept.append(request.args[1])
            return None
        if request.path in ("thing", ("thing",)):
            return client.attacker.claim("builtins", "list", specials=("__iter__",))
        if request.op == Op.FETCH:
            return ((1,), kept[0], None)
        return None

    client = lure(answer)
    client.act("setattr", client.root, "keep", SystemExit(3))
    with pytest.raises(netobj.ProtocolError, match="chunk"):
        list(client.items(client.get(client.root.thing)))

"""Pickle never sees a peer's bytes: not by copies, not by pickling what stands for its objects."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest
from attacker import Forged

import netobj
from netobj import aio
from netobj.core.consts import Op
from netobj.errors import AccessDenied

EXECUTED: list[str] = []


class Bomb:
    """Unpickled, it runs."""

    def __reduce__(self) -> Any:
        return EXECUTED.append, ("unpickled",)


BYTES = pickle.dumps(Bomb())


def everything(request: Any) -> Any:
    """A server that answers whatever it is asked with a pickle, or with what unpickles one."""
    if request.op == Op.PICKLE:
        return BYTES
    name = request.path if type(request.path) is str else None
    if name in ("__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs_ex__", "__setstate__"):
        return (pickle.loads, (BYTES,))
    if request.op in (Op.SPECIAL, Op.COPY, Op.BUFFER, Op.FETCH):
        return BYTES
    return Target(request)


class Target:
    def __init__(self, request: Any) -> None:
        self.request = request


SPECIALS = (
    "__copy__",
    "__deepcopy__",
    "__iter__",
    "__next__",
    "__getitem__",
    "__len__",
    "__array__",
)

ATTEMPTS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "deepcopy of what holds it": lambda thing: copy.deepcopy([thing]),
    **{
        f"pickle, protocol {number}": lambda thing, number=number: pickle.loads(  # type: ignore[misc]
            pickle.dumps(thing, number)
        )
        for number in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "pickle in Python": lambda thing: pickle._dumps(thing),  # type: ignore[attr-defined]
    "pickle of what holds it": lambda thing: pickle.loads(pickle.dumps({"a": [thing]})),
    "pickle of a method": lambda thing: pickle.loads(pickle.dumps(thing.method)),
    "pickle of its class": lambda thing: pickle.loads(pickle.dumps(type(thing))),
    "copy of a method": lambda thing: copy.copy(thing.method),
    "deepcopy of a method": lambda thing: copy.deepcopy(thing.method),
    "copy_of": netobj.copy_of,
    "obtain": netobj.classic.obtain,
    "multiprocessing": lambda thing: multiprocessing.get_context("spawn").Pipe()[0].send(thing),
    "reduce": lambda thing: thing.__reduce__(),
    "state": lambda thing: thing.__getstate__(),
    "numpy": lambda thing: pytest.importorskip("numpy").asarray(thing),
    "numpy of objects": lambda thing: pytest.importorskip("numpy").asarray(thing, dtype=object),
    "pandas": lambda thing: pytest.importorskip("pandas").Series(thing),
    "a frame": lambda thing: pytest.importorskip("pandas").DataFrame(thing),
    "bytes": bytes,
    "a chunk": lambda thing: list(netobj.buffiter(thing)),
}


@pytest.mark.parametrize("lure", ["blocking"], indirect=True)  # on a loop see below
@pytest.mark.parametrize("claimed", ["m.Thing", "builtins.list", "numpy.ndarray", "pandas.Series"])
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_bytes_of_a_peer_are_unpickled(lure: Any, attempt: str, claimed: str) -> None:
    client = _lured(lure, claimed)
    thing = client.get(client.root.thing)
    try:
        ATTEMPTS[attempt](thing)
    except Exception:  # what it is matters less than what was not done
        pass
    assert EXECUTED == []


def _lured(lure: Any, claimed: str) -> Any:
    module, _, name = claimed.rpartition(".")

    def answer(request: Any) -> Any:
        if request.path == "thing" or request.path == ("thing",):
            claim: Forged = client.attacker.claim(
                module, name, methods=("method",), specials=SPECIALS, buffer=True
            )
            return claim
        return everything(request)

    client = lure(answer)
    return client


def test_refusals_say_what_to_do(lure: Any) -> None:
    client = _lured(lure, "m.Thing")
    thing = client.get(client.root.thing)
    if client.skin == "aio":
        with pytest.raises(TypeError, match="copy_of"):
            pickle.dumps(thing)
        with pytest.raises(TypeError, match="copy_of"):
            copy.copy(thing)
        return
    for what in (thing, [thing], thing.method):
        with pytest.raises(AccessDenied, match="allow_pickle"):
            pickle.dumps(what)
    with pytest.raises(AccessDenied, match="made for one connection"):
        pickle.dumps(type(thing))


def test_copies_on_an_event_loop(lure: Any) -> None:
    client = _lured(lure, "builtins.list")
    if client.skin == "blocking":
        return
    thing = client.get(client.root.thing)

    async def copied() -> None:
        for make in (aio.copy_of, aio.op.str, aio.op.bytes):
            try:
                await make(thing)
            except Exception:
                pass

    client.loop.run(copied())
    assert EXECUTED == []
    assert asyncio.iscoroutinefunction(copied)


def test_names_of_classes_are_not_imported_by_pickle(lure: Any) -> None:
    client = _lured(lure, "antigravity.Thing")
    if client.skin == "blocking":
        thing = client.get(client.root.thing)
        for what in (thing, type(thing), thing.method):
            with pytest.raises(AccessDenied):
                pickle.dumps(what)
    assert "antigravity" not in sys.modules


def test_pickling_for_a_peer_is_refused(attack: Any) -> None:
    class Host(netobj.Service):
        exposed_thing = Bomb()

    attacker = attack(Host)
    for protocol in (0, 2, 5, -1):
        with pytest.raises(AccessDenied, match="allow_pickle"):
            attacker.ask(Op.PICKLE, None, "thing", protocol)

"""Exceptions that a peer makes up: an ``Exception`` arrives, and whoever shows it survives."""

from __future__ import annotations

import asyncio
import builtins
import copy
import logging
import pickle
import sys
import threading
import traceback
from typing import Any, ClassVar

import pytest
from attacker import Forged, error, table

import netobj
from netobj.core.vinegar_table import MAX_NODES
from netobj.errors import GenericException, ProtocolError
from patience import HANG

SHORT = 100_000  # characters of a traceback


def raised(client: Any) -> BaseException:
    """What a call of the root comes to."""
    try:
        client.get(client.root.work())
    except Exception as exc:
        return exc
    raise AssertionError("nothing was raised")


def answered(lure: Any, answer: Forged) -> BaseException:
    """What a client meets that is answered so."""
    return raised(lure(lambda _: answer))


def shown(exc: BaseException) -> str:
    text = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    return text + repr(exc) + str(exc)


NO_EXCEPTIONS = {
    "SystemExit": ("builtins", ["SystemExit", "BaseException"]),
    "KeyboardInterrupt": ("builtins", ["KeyboardInterrupt", "BaseException"]),
    "GeneratorExit": ("builtins", ["GeneratorExit", "BaseException"]),
    "BaseException": ("builtins", ["BaseException"]),
    "CancelledError": ("asyncio.exceptions", ["BaseException"]),
    "BaseExceptionGroup": ("builtins", ["BaseExceptionGroup", "BaseException"]),
    "object": ("builtins", []),
    "type": ("builtins", ["type"]),
    "system": ("os", ["Exception"]),
    "Popen": ("subprocess", ["Exception"]),
}


@pytest.mark.parametrize("is_exception", [True, False])
@pytest.mark.parametrize("name", NO_EXCEPTIONS)
def test_what_is_no_exception_arrives_as_one(lure: Any, name: str, is_exception: bool) -> None:
    module, bases = NO_EXCEPTIONS[name]
    answer = error(module=module, qualname=name, bases=bases, is_exception=is_exception)
    exc = answered(lure, answer)
    assert issubclass(type(exc), Exception)
    assert isinstance(exc, GenericException)
    assert not isinstance(exc, asyncio.CancelledError)
    shown(exc)


@pytest.mark.parametrize("name", ["StopIteration", "StopAsyncIteration", "GeneratorExit"])
def test_the_ends_of_loops_end_no_task(lure: Any, name: str) -> None:
    """They are raised, and nothing waits for ever."""
    exc = answered(lure, error(qualname=name, bases=[name, "Exception"], args=[1]))
    assert isinstance(exc, (StopIteration, StopAsyncIteration, RuntimeError, GenericException))


class Loaded(Exception):
    """Every way to make one of these is noted."""

    made: ClassVar[list[str]] = []

    def __new__(cls, *args: Any) -> Any:
        cls.made.append("__new__")
        return super().__new__(cls, *args)

    def __init__(self, *args: Any) -> None:
        self.made.append("__init__")

    def __setstate__(self, state: Any) -> None:
        self.made.append("__setstate__")

    def __setattr__(self, name: str, value: Any) -> None:
        self.made.append("__setattr__")

    def __init_subclass__(cls) -> None:
        cls.made.append("__init_subclass__")

    def __eq__(self, other: object) -> bool:
        self.made.append("__eq__")
        return True

    def __hash__(self) -> int:
        self.made.append("__hash__")
        return 1

    @property
    def trap(self) -> int:
        self.made.append("trap")
        return 1

    @trap.setter
    def trap(self, value: Any) -> None:
        self.made.append("trap")


TRAPS = [["trap", 1], ["__class__", 1], ["__dict__", 1], ["args", [1]], ["__traceback__", 1]]


@pytest.mark.parametrize("trusting", [False, True])
def test_a_class_of_this_side_is_not_run(lure: Any, trusting: bool) -> None:
    fields = table(module=__name__, qualname="Loaded", args=[[1]], attributes=TRAPS)
    config = {"instantiate_custom_exceptions": trusting}
    exc = raised(lure(lambda _: error(fields), config=config))
    assert (type(exc) is Loaded) is trusting
    assert Loaded.made == []
    assert exc.__class__ is type(exc)


ODD: dict[str, dict[str, Any]] = {
    "SyntaxError": {
        "attributes": [
            *[["msg", "x"], ["text", "abc"], ["filename", "f"], ["lineno", 1]],
            *[["offset", 1], ["end_offset", 2**40], ["end_lineno", 1]],
        ]
    },
    "IndentationError": {"attributes": [["text", "a" * 5], ["offset", 2**62], ["lineno", -1]]},
    "OSError": {"attributes": [["errno", 2**70], ["strerror", [1]], ["filename", "\0" * 9]]},
    "BlockingIOError": {"attributes": [["characters_written", 2**70]]},
    "UnicodeDecodeError": {
        "attributes": [
            *[["encoding", "x"], ["object", b""], ["start", 2**60], ["end", 2**60 + 1]],
            ["reason", "r"],
        ]
    },
    "UnicodeEncodeError": {"attributes": [["object", 5], ["start", -5], ["end", -4]]},
    "ImportError": {"attributes": [["name", "antigravity"], ["name_from", "x"], ["msg", [1]]]},
    "ModuleNotFoundError": {"attributes": [["name", "this"], ["path", "/etc/passwd"]]},
    "AttributeError": {"attributes": [["name", "self"], ["obj", 1]]},
    "NameError": {"attributes": [["name", "x" * 1000]]},
    "KeyError": {"args": [[["nested"] * 3], 1, 2]},
    "ExceptionGroup": {"args": [], "members": None},
    "ValueError": {"notes": ["\x1b[2J" * 10], "text": "\ud7ff", "traceback": "x" * 1000},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_fields_do_no_harm_where_they_are_shown(lure: Any, name: str) -> None:
    before = set(sys.modules)
    exc = answered(lure, error(qualname=name, bases=[name, "Exception"], **ODD[name]))
    assert len(shown(exc)) < SHORT
    assert not {"antigravity", "this"} & (set(sys.modules) - before)


def group(*members: int) -> list[Any]:
    bases = ["ExceptionGroup", "Exception"]
    return table(qualname="ExceptionGroup", bases=bases, args=["g"], members=list(members))


def nested_groups() -> list[Any]:
    return [table(), *(group(index) for index in range(MAX_NODES - 1))]


def doubled_groups() -> list[Any]:
    return [table(), *(group(index, index) for index in range(60))]


MALFORMED: dict[str, list[Any]] = {
    "no node": [],
    "too many": [table() for _ in range(MAX_NODES + 1)],
    "a group in itself": [group(0)],
    "a million members": [table(), group(*[0] * 240_000)],
    "as deep as can be": nested_groups(),
    "each twice in the next": doubled_groups(),
    "its own cause": [table(cause=0)],
    "a cause that comes later": [table(cause=1), table()],
    "a name with NUL": [table(qualname="a\0b")],
    "a surrogate name": [table(module=5)],
    "a name without end": [table(qualname="x" * 2000)],
    "notes that are none": [table(notes="abc")],
    "a note that is none": [table(notes=[1])],
    "arguments that are none": [table(args=1)],
    "attributes by number": [table(attributes=[[1, 2]])],
    "too few fields": [[1, 2]],
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_tables_are_refused(lure: Any, what: str) -> None:
    exc = answered(lure, Forged(MALFORMED[what], error=True))
    assert isinstance(exc, (ProtocolError, netobj.ConnectionLost)), repr(exc)


GROUP: Any = getattr(builtins, "ExceptionGroup", None)


@pytest.mark.skipif(GROUP is None, reason="there are none before Python 3.11")
def test_a_group_with_the_same_member_twice_still_travels(core: Any) -> None:
    inner = ValueError("once")

    class Grouped(netobj.Service):
        def exposed_two(self) -> None:
            raise GROUP("both", [inner, inner])

        def exposed_many(self) -> None:
            exc: Exception = inner
            for _ in range(20):
                exc = GROUP("more", [exc, exc])
            raise exc

    attacker = core(Grouped)
    with pytest.raises(GROUP) as caught:
        attacker.call(None, "two")
    assert [str(one) for one in caught.value.exceptions] == ["once", "once"]
    with pytest.raises(GROUP) as caught:
        attacker.call(None, "many")
    assert len(shown(caught.value)) < SHORT


# --- what is in them is not asked for ------------------------------------------------------------


def test_who_shows_an_exception_asks_nobody(lure: Any) -> None:
    """A log has a lock: a peer that is mute would stop whoever logs anything."""
    asked: list[Any] = []

    def answer(request: Any) -> Any:
        asked.append(request.path)
        if len(asked) > 1:
            raise AssertionError("it was asked")
        thing = client.attacker.claim("m", "Thing", specials=("__str__", "__repr__"))
        return error(args=[thing.wire], attributes=[["strerror", thing.wire]], text="the text")

    client = lure(answer)
    exc = raised(client)
    assert isinstance(exc, ValueError)
    assert str(exc) == "the text"
    assert "the text" in shown(exc)
    logging.getLogger("test").error("it failed", exc_info=exc)
    assert len(asked) == 1


def test_a_mute_peer_stops_no_log_and_no_answer() -> None:
    """A proxy of one peer in an error of another's call."""

    class Keeper(netobj.Service):
        kept: ClassVar[list[Any]] = []

        @netobj.exposed
        def keep(self, thing: Any) -> None:
            self.kept.append(thing)

        @netobj.exposed
        def fail(self) -> None:
            raise KeyError(self.kept[0])

    class Mute:
        def __repr__(self) -> str:
            mute.wait(HANG)
            return "Mute()"

    mute = threading.Event()
    with netobj.ThreadedServer(Keeper(), hostname="127.0.0.1") as server:
        one = netobj.connect("127.0.0.1", server.port)
        other = netobj.connect("127.0.0.1", server.port)
        with one, other:
            one.root.keep(Mute())
            with pytest.raises(KeyError, match="netref of a"):
                other.root.fail()
            mute.set()


# --- what they leave behind ----------------------------------------------------------------------


def test_no_module_is_imported_where_one_is_pickled(lure: Any) -> None:
    for module, name in (("antigravity", "X"), ("this", "Y.Z"), ("no.such", "W")):
        exc = answered(lure, error(module=module, qualname=name, args=[1]))
        again = pickle.loads(pickle.dumps(exc))
        assert (type(again), again.args) in ((GenericException, (1,)), (ValueError, (1,)))
        for twin in (copy.copy(exc), copy.deepcopy(exc)):
            assert type(twin) is type(exc)
        assert module not in sys.modules


# --- what is told of one's own -------------------------------------------------------------------


class Failing(netobj.Service):
    def exposed_hide(self) -> None:
        try:
            raise OSError("/etc/shadow: the password is swordfish")
        except OSError:
            raise ValueError("no") from None

    def exposed_show(self) -> None:
        try:
            raise OSError("first")
        except OSError as exc:
            raise ValueError("then") from exc

    def exposed_fail(self) -> None:
        raise ValueError("text")


def test_what_was_hidden_stays_hidden(attack: Any) -> None:
    attacker = attack(Failing)
    with pytest.raises(ValueError, match="no") as caught:
        attacker.call(None, "hide")
    assert caught.value.__context__ is None
    assert "swordfish" not in shown(caught.value)
    with pytest.raises(ValueError, match="then") as caught:
        attacker.call(None, "show")
    assert isinstance(caught.value.__cause__, OSError)


def test_no_traceback_path_or_version_is_told(attack: Any) -> None:
    attacker = attack(Failing)
    seen: list[Any] = []
    load = attacker.session.loader.load
    attacker.session._loader.load = lambda dumped: seen.append(dumped) or load(dumped)
    with pytest.raises(ValueError, match="text"):
        attacker.call(None, "fail")
    told = repr(seen)
    for secret in (__file__, "hostile", "netobj/", ".py", "python", "line "):
        assert secret not in told.replace(__name__, "")


def test_the_text_of_what_comes_home_is_its_own() -> None:
    """An exception that holds an object of this side's: nobody needs to be asked for that."""

    class Raising(netobj.Service):
        def exposed_fail(self, thing: Any) -> None:
            raise ValueError(thing)

    with netobj.connect_thread(remote_service=Raising) as conn:
        for mine in ([1, [2]], {"a": [1]}):  # not copies of them
            with pytest.raises(ValueError) as caught:  # noqa: PT011
                conn.root.fail(mine)
            assert caught.value.args[0] is mine
            assert str(caught.value) == str(mine)
            assert type(caught.value) is ValueError

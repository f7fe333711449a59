"""Names that lead out of an object: each through every operation, on every side."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from attacker import Asked, Attacker

import netobj
from netobj.core.consts import Op
from netobj.core.methods import BoundMethod
from netobj.errors import AccessDenied

SECRET = "the password of a global variable"

PRIVATE = (
    "__class__ __globals__ __code__ __closure__ __builtins__ __defaults__ __kwdefaults__ __dict__ "
    "__subclasses__ __mro__ __bases__ __base__ __init__ __new__ __init_subclass__ "
    "__class_getitem__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __getattribute__ "
    "__getattr__ __setattr__ "
    "__delattr__ __func__ __self__ __wrapped__ __get__ __set__ __set_name__ __prepare__ "
    "__instancecheck__ __subclasscheck__ __subclasshook__ __module__ __annotations__ __weakref__ "
    "__traceback__ __context__ __cause__ __loader__ __spec__ __file__ __path__ __dir__ __sizeof__ "
    "__dataclass_fields__ __members__ __text_signature__ __signature__ _private __mangled "
    "_Thing__mangled"
).split()
FRAMES = (
    "gi_frame gi_code gi_yieldfrom cr_frame cr_code cr_await cr_origin ag_frame ag_code ag_await "
    "f_back f_globals f_locals f_builtins f_code tb_frame tb_next"
).split()
SPELLINGS = (
    "",
    "\0",
    "__class__\0",
    "__cla\u017f\u017f__",  # what NFKC makes __class__ of
    "\uff3f\uff3fclass\uff3f\uff3f",
    "\ud800",
    "a.b",
    "function.__globals__",
    "exposed_exposed_hidden",
    "exposed___class__",
    "exposed_hidden",
    "exposed_",
    "exposed_.hidden",
)


def hidden_function() -> str:
    return SECRET


class Thing:
    """Shows one attribute, and holds a few others."""

    exposed_shown = 1
    hidden = SECRET
    __mangled = SECRET
    _private = SECRET

    def exposed_method(self) -> str:
        return "method"

    @property
    def computed(self) -> str:
        return SECRET


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Row:
    exposed_number: int = 1
    password: str = SECRET


class Text(str):
    """Goes by reference."""


def items() -> Iterator[int]:
    yield 1
    yield 2


@contextmanager
def managed() -> Iterator[str]:
    yield "managed"


class Host(netobj.Service):
    """Hands out one of everything."""

    exposed_row = Row()
    exposed_thing = Thing()
    exposed_text = Text("text")
    exposed_partial = functools.partial(hidden_function)
    exposed_class = Thing
    exposed_enum = Colour
    exposed_module = json
    exposed_list: ClassVar[Any] = [Thing()]
    exposed_dict: ClassVar[Any] = {"thing": Thing()}
    exposed_error = ValueError(1)
    exposed_stop = KeyboardInterrupt()
    exposed_Stop = SystemExit  # noqa: N815
    exposed_function = staticmethod(hidden_function)
    exposed_builtin = staticmethod(len)

    @netobj.exposed
    def bound(self) -> Any:
        return self.exposed_thing.exposed_method

    @netobj.exposed
    def generator(self) -> Any:
        return items()

    @netobj.exposed
    def manager(self) -> Any:
        return managed()

    @netobj.exposed
    def colour(self) -> Any:
        return Colour.RED

    @netobj.exposed
    def echo(self, value: Any) -> Any:
        return [value]

    async def exposed_coroutine(self) -> int:
        return 1


READ = "row thing text partial class enum module list dict error function builtin bound".split()
CALLED = "bound generator manager colour".split()


def targets(attacker: Attacker) -> dict[str, Any]:
    """References to one of everything."""
    found = {name: attacker.get(None, name) for name in READ}
    found.update({f"{name}()": attacker.call(None, name) for name in CALLED})
    return {**found, "the root": None}


# --- every operation that takes a name -----------------------------------------------------------


def method_of(target: Any, name: str) -> BoundMethod:
    """As an argument: a bound method of an object that comes home."""
    return BoundMethod(target.____handle__, name)


def as_argument(target: Any, name: str) -> Asked:
    return Asked(Op.CALL, None, "echo", (method_of(target, name),))


def given(target: Any, name: str) -> Asked:
    """Behind a target that is a value."""
    return Asked(Op.GET, (target,), [(0,), name])


Way = Callable[[Any, str], Asked]
WAYS: dict[str, Way] = {
    "get": lambda target, name: Asked(Op.GET, target, name),
    "get a path": lambda target, name: Asked(Op.GET, target, [name]),
    "go on from it": lambda target, name: Asked(Op.GET, target, [name, "__class__"]),
    "call": lambda target, name: Asked(Op.CALL, target, name),
    "call a path": lambda target, name: Asked(Op.CALL, target, [name]),
    "open": lambda target, name: Asked(Op.CALL, target, [name, "open"]),
    "set": lambda target, name: Asked(Op.SET, target, None, (name, 1)),
    "delete": lambda target, name: Asked(Op.DELETE, target, None, (name,)),
    "document": lambda target, name: Asked(Op.DOCUMENT, target, name),
    "dir": lambda target, name: Asked(Op.DIR, target, name),
    "copy": lambda target, name: Asked(Op.COPY, target, name),
    "copy an array": lambda target, name: Asked(Op.COPY, target, name, ("array",)),
    "buffer": lambda target, name: Asked(Op.BUFFER, target, name),
    "fetch": lambda target, name: Asked(Op.FETCH, target, name, (1, False, True)),
    "isinstance": lambda target, name: Asked(Op.INSTANCE_CHECK, target, name, (1,)),
    "issubclass": lambda target, name: Asked(Op.SUBCLASS_CHECK, target, name, (1,)),
    "pickle": lambda target, name: Asked(Op.PICKLE, target, name, (2,)),
    "repr": lambda target, name: Asked(Op.SPECIAL, target, name, (0,)),
    "an argument": as_argument,
    "given": given,
}
OPENED = {"allow_public_attrs": True, "allow_setattr": True, "allow_delattr": True}


def led_somewhere(attacker: Attacker, way: Way, names: tuple[str, ...]) -> list[str]:
    """Where *names* led that should have been refused."""
    asked = {
        f"{name!r} of {what}": way(target, name)
        for what, target in targets(attacker).items()
        for name in names
        if target is not None or way not in (as_argument, given)
    }
    answers = attacker.ask_all(list(asked.values()))
    return [
        f"{what}: {answer!r}"
        for what, answer in zip(asked, answers, strict=True)
        if not isinstance(answer, AttributeError)  # as AccessDenied is
    ]


SAMPLE = ("__class__", "__globals__", "__func__", "__reduce_ex__", "gi_frame", "_private")


@pytest.mark.parametrize("way", WAYS)
def test_no_operation_takes_a_private_name(core: Any, way: str) -> None:
    assert led_somewhere(core(Host, OPENED), WAYS[way], (*PRIVATE, *FRAMES)) == []


@pytest.mark.parametrize("way", WAYS)
def test_spelling_a_name_otherwise_leads_nowhere(core: Any, way: str) -> None:
    names = (*SPELLINGS, "hidden", "password", "computed", "gi_running", "mro")
    assert led_somewhere(core(Host), WAYS[way], names) == []


def test_so_it_is_on_every_side(attack: Any) -> None:
    attacker = attack(Host, OPENED)
    for way in WAYS.values():
        assert led_somewhere(attacker, way, SAMPLE) == []


class Lying(str):
    """A name that is equal to whatever it is compared with."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("shown")

    def startswith(self, *_: Any) -> bool:
        return True


@pytest.mark.parametrize("way", ["get a path", "call a path", "set", "delete"])
def test_a_name_that_is_more_than_a_str_is_none(attack: Any, way: str) -> None:
    attacker = attack(Host, {"allow_setattr": True, "allow_delattr": True})
    thing = attacker.get(None, "thing")
    numpy = pytest.importorskip("numpy")
    for name in (Lying("shown"), numpy.str_("shown"), b"shown", 1, ("shown", "shown"), [1]):
        (answer,) = attacker.ask_all([WAYS[way](thing, name)])  # type: ignore[arg-type]
        refused = (AccessDenied, netobj.ProtocolError, TypeError)
        assert isinstance(answer, refused), f"{name!r} led to {answer!r}"


def test_what_is_shown_is_there(attack: Any) -> None:
    """That the tables above refuse everything would prove nothing."""
    attacker = attack(Host)
    thing = attacker.get(None, "thing")
    for name in ("shown", "exposed_shown"):
        assert attacker.get(thing, name) == 1
        assert attacker.ask_all([given(thing, name)]) == [1]
    assert attacker.call(thing, "method") == "method"
    (echoed,) = attacker.ask_all([as_argument(thing, "method")])
    assert attacker.call(attacker.special(echoed, "__getitem__", 0), None) == "method"
    assert attacker.call(attacker.call(None, "bound"), None) == "method"
    assert attacker.call(attacker.get(None, "partial"), None) == SECRET


# --- special methods -----------------------------------------------------------------------------


def test_special_methods_are_the_tables(attack: Any) -> None:
    attacker = attack(Host)
    thing = attacker.get(None, "thing")
    for index in (-1, 10_000, "__class__", None, True, 2**70):
        with pytest.raises((netobj.ProtocolError, netobj.LimitExceeded)):
            attacker.ask(Op.SPECIAL, thing, None, index)


def test_a_format_string_is_no_program(attack: Any) -> None:
    attacker = attack(Host, {"allow_public_attrs": True})
    text = attacker.get(None, "text")
    for target in (text, "{0.hidden}", "{0.__class__}"):
        for name in ("format", "format_map"):
            with pytest.raises(AccessDenied):
                attacker.call(target, name, attacker.get(None, "thing"))
    with pytest.raises((ValueError, TypeError)):
        attacker.special(attacker.get(None, "thing"), "__format__", "{0.hidden}")
    assert SECRET not in str(attacker.special(text, "__format__", "10"))


def test_a_coroutine_that_is_called_for_runs_here(attack: Any) -> None:
    """It is not handed out as an object, however it is called."""
    attacker = attack(Host, {"allow_public_attrs": True})
    assert attacker.call(None, "coroutine") == 1
    function = attacker.get(None, "coroutine")
    assert attacker.call(function, None) == 1
    assert attacker.special(function, "__call__") == 1


def test_leaving_a_context_takes_nothing_but_exceptions(attack: Any) -> None:
    attacker = attack(Host)
    thing = attacker.get(None, "thing")
    for junk in (thing, 1, "x", [1], Host, attacker.get(None, "class")):
        manager = attacker.call(None, "manager")
        assert attacker.special(manager, "__enter__") == "managed"
        with pytest.raises(netobj.ProtocolError, match="exception"):
            attacker.special(manager, "__exit__", junk)
    manager = attacker.call(None, "manager")
    attacker.special(manager, "__enter__")
    with attacker.thrown(ValueError("mine")) as thrown:
        assert attacker.special(manager, "__exit__", thrown) is False


def test_a_generator_is_thrown_exceptions_alone(attack: Any) -> None:
    attacker = attack(Host)
    for name in ("stop", "Stop"):
        generator = attacker.call(None, "generator")
        assert attacker.special(generator, "__next__") == 1
        with pytest.raises(netobj.ProtocolError, match="exceptions"):
            attacker.call(generator, "throw", attacker.get(None, name))
        assert attacker.special(generator, "__next__") == 2


class Raises:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was looked up")


def test_checks_take_classes_alone(attack: Any) -> None:
    class Asked(netobj.Service):
        exposed_class = Thing
        exposed_other = Raises()

    attacker = attack(Asked)
    assert attacker.ask(Op.INSTANCE_CHECK, None, "class", 1) is False
    for op in (Op.INSTANCE_CHECK, Op.SUBCLASS_CHECK):
        with pytest.raises(AccessDenied):
            attacker.ask(op, None, "other", 1)
    closed = attack(Asked, {"allow_safe_attrs": False})
    with pytest.raises(AccessDenied):
        closed.ask(Op.INSTANCE_CHECK, None, "class", 1)

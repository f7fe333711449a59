"""The access policy: every setting, RPyC's answers, ways around it, own rules, descriptions."""

from __future__ import annotations

import functools
import gc
import math
import sys
import types
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from netobj.core import access
from netobj.core import rules as rules_of_policies
from netobj.core.access import Access, Policy, policy_for
from netobj.core.config import Config
from netobj.core.consts import SPECIALS
from netobj.core.exposure import exposed, service
from netobj.core.rules import FRAMES
from netobj.errors import AccessDenied


def policy(**settings: Any) -> Policy:
    return Policy(Config().merge(settings), "server")


DEFAULT = policy()
PUBLIC = policy(allow_public_attrs=True)
ALL = policy(allow_all_attrs=True)
WRITABLE = policy(allow_setattr=True, allow_delattr=True)


class Sample:
    def __init__(self) -> None:
        self.own = 1
        self.exposed_own = 2
        self.exposed_mine = 3
        self.plain = 4

    def a(self) -> None: ...
    def exposed_a(self) -> None: ...
    def exposed_b(self) -> None: ...
    def c(self) -> None: ...
    def _d(self) -> None: ...
    def exposed__e(self) -> None: ...
    def __len__(self) -> int:
        return 0


NAMES = (
    "a b c _d _e own mine plain nothing exposed_a exposed_b exposed_c exposed_exposed_b "
    "__len__ __class__ __init__ __doc__"
).split()
PREFIXED = (
    "a>exposed_a b>exposed_b _e>exposed__e own>exposed_own mine>exposed_mine "
    "exposed_a exposed_b exposed_c exposed_exposed_b"
)
OPEN = (
    "a b>exposed_b c _e>exposed__e own mine>exposed_mine plain nothing "
    "exposed_a exposed_b exposed_c exposed_exposed_b __len__ __doc__"
)
NOT_PREFIXED = "a b c own mine plain nothing exposed_a exposed_b exposed_c exposed_exposed_b"

# What RPyC 6.0.2 answers for a Sample; "b>exposed_b": the name b stands for exposed_b.
RPYC_ANSWERS: list[tuple[dict[str, Any], str]] = [
    ({}, f"{PREFIXED} __len__ __doc__"),
    ({"allow_public_attrs": True}, OPEN),
    ({"allow_all_attrs": True}, f"{OPEN} _d __class__ __init__"),
    ({"allow_safe_attrs": False}, PREFIXED),
    ({"allow_exposed_attrs": False}, "__len__ __doc__"),
    (
        {"allow_public_attrs": True, "allow_exposed_attrs": False},
        f"{NOT_PREFIXED} __len__ __doc__",
    ),
    ({"safe_attrs": {"_d", "c"}}, f"{PREFIXED} c _d"),
    ({"safe_attrs": {"_d"}, "allow_safe_attrs": False}, PREFIXED),
    (
        {"exposed_prefix": "ex"},
        "exposed_a exposed_b exposed_c exposed_exposed_b __len__ __doc__",
    ),
]


@pytest.mark.parametrize(("settings", "answers"), RPYC_ANSWERS)
@pytest.mark.parametrize("access", Access)
def test_names_are_decided_as_rpyc_decides(
    settings: dict[str, Any], answers: str, access: Access
) -> None:
    rules = policy(allow_setattr=True, allow_delattr=True, **settings)
    sample = Sample()
    expected = dict((item.split(">") * 2)[:2] for item in answers.split())
    for _ in range(2):  # the second time from the cache
        found = {}
        for name in NAMES:
            try:
                found[name] = rules.attribute(sample, name, access)
            except AccessDenied:
                continue
        assert found == expected


@pytest.mark.parametrize("prefix", ["", "_", "__", "__c"])
def test_a_prefix_that_special_names_share_opens_nothing(prefix: str) -> None:
    rules = policy(exposed_prefix=prefix)
    for name in ("a", "exposed_a", "__class__", "_class__", "lass__", "__init__"):
        with pytest.raises(AccessDenied):
            rules.getattr(Sample(), name)


@pytest.mark.parametrize("access", Access)
def test_gates_close_operations_whatever_else_is_open(access: Access) -> None:
    gates = {Access.GET: "getattr", Access.SET: "setattr", Access.DELETE: "delattr"}
    gate = f"allow_{gates[access]}"
    everything = {f"allow_{verb}": True for verb in gates.values()} | {"allow_all_attrs": True}
    rules = policy(**(everything | {gate: False}))
    for other in Access:
        if other is access:
            with pytest.raises(AccessDenied, match=f"{gate} is off"):
                rules.attribute(Sample(), "exposed_a", other)
        else:
            assert rules.attribute(Sample(), "exposed_a", other) == "exposed_a"


def test_setting_and_deleting_go_to_the_real_name() -> None:
    sample = Sample()
    WRITABLE.setattr(sample, "mine", 30)
    assert sample.exposed_mine == 30
    WRITABLE.delattr(sample, "mine")
    assert not hasattr(sample, "exposed_mine")
    WRITABLE.setattr(sample, "exposed_new", 1)
    assert WRITABLE.getattr(sample, "new") == 1
    with pytest.raises(AccessDenied):
        WRITABLE.setattr(sample, "plain", 0)
    with pytest.raises(AccessDenied):
        DEFAULT.setattr(sample, "mine", 0)


ESCAPES = (
    "__class__ __dict__ __globals__ __code__ __closure__ __func__ __self__ __wrapped__ __mro__ "
    "__subclasses__ __bases__ __base__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __init__ "
    "__new__ __getattribute__ __getattr__ __setattr__ __delattr__ __init_subclass__ "
    "__subclasshook__ __module__ __loader__ __builtins__ __weakref__ __netobj_exposed__ "
    "_Secret__inner __inner inner exposed_exposed_inner \uff45xposed_inner exposed\uff3finner "
    "EXPOSED_inner _netobj_getattr gi_frame f_globals tb_frame cr_frame mro fget exposed_ "
).split() + ["", " ", "exposed_inner\0", "inner.inner", "\ud800"]


class Secret:
    def __init__(self) -> None:
        self.inner = self.__inner = "secret"

    @exposed
    def method(self) -> None: ...

    @exposed
    @functools.wraps(method)
    def wrapped(self) -> None: ...


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_leads_out_of_an_object(name: str) -> None:
    secret = Secret()
    instances = [
        secret,
        Secret,
        secret.method,
        Secret.wrapped,
        math,
        [],
        (i for i in ()),
        Secret.method,
    ]
    for obj in instances:
        for _ in range(2):
            with pytest.raises(AttributeError):
                DEFAULT.getattr(obj, name)
        with pytest.raises((AttributeError, TypeError)):
            DEFAULT.setattr(obj, name, 1)
        with pytest.raises(AttributeError):
            DEFAULT.delattr(obj, name)
        with pytest.raises(AccessDenied):
            DEFAULT.special_method(obj, name)
        assert not DEFAULT.special(obj, name)


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_public_names_do_not_lead_to_globals(name: str) -> None:
    async def coroutine() -> None: ...

    async def stream() -> AsyncIterator[None]:
        yield

    waiting = coroutine()
    try:
        raise ValueError("for its traceback")
    except ValueError as error:
        trace = error.__traceback__
    holders = [(i for i in ()), waiting, stream(), trace, sys._getframe()]
    assert any(hasattr(holder, name) for holder in holders)
    for holder in holders:
        with pytest.raises(AccessDenied, match="allow_all_attrs"):
            PUBLIC.getattr(holder, name)
        if hasattr(holder, name):
            ALL.getattr(holder, name)
    waiting.close()


class Sly(str):
    def startswith(self, *args: Any) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__

    def __repr__(self) -> str:
        raise AssertionError("the name's repr was asked for")


@pytest.mark.parametrize("name", [Sly("exposed_a"), Sly("__class__"), 5, None, [], ("a",)])
def test_a_name_is_exactly_a_str(name: Any) -> None:
    for rules in (DEFAULT, ALL, WRITABLE):
        DEFAULT.getattr(Sample(), "a")
        for call in (rules.getattr, rules.delattr, rules.special_method):
            with pytest.raises(AccessDenied):
                call(Sample(), name)
        with pytest.raises(AccessDenied):
            rules.setattr(Sample(), name, 1)


def test_bytes_are_refused_with_a_clear_text() -> None:
    with pytest.raises(AccessDenied, match="decode the bytes"):
        ALL.getattr(Sample(), b"a")  # type: ignore[arg-type]
    with pytest.raises(AccessDenied, match="exactly a str"):
        ALL.getattr(Sample(), b"a")  # type: ignore[arg-type]


def test_refusals_name_object_attribute_rule_and_side_without_repr() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise AssertionError("the object's repr was asked for")

        __str__ = __repr__

    rules = Policy(Config(), "127.0.0.1:5000")
    texts = {}
    for name in ("foo", "_foo", "x" * 5000):
        with pytest.raises(AccessDenied) as caught:
            rules.getattr(Shy(), name)
        texts[name] = str(caught.value)
    assert texts["foo"].startswith("127.0.0.1:5000 refuses to read 'foo'")
    assert "Shy' object" in texts["foo"]
    assert "allow_public_attrs" in texts["foo"]
    assert "allow_all_attrs" in texts["_foo"]
    assert len(texts["x" * 5000]) < 500
    with pytest.raises(AccessDenied, match="class 'Secret'"):
        DEFAULT.getattr(Secret, "inner")
    with pytest.raises(AccessDenied, match="module 'math'"):
        DEFAULT.getattr(math, "pi")
    with pytest.raises(AccessDenied, match="allow_safe_attrs is off"):
        policy(allow_safe_attrs=False).getattr([], "__len__")
    with pytest.raises(AccessDenied, match="allow_exposed_attrs is off"):
        policy(allow_exposed_attrs=False).getattr(Sample(), "a")


# Marks


class Marked:
    @exposed
    def foo(self) -> str:
        return "foo"

    @exposed("rpc_")
    def bar(self) -> str:
        return "bar"

    @exposed
    @property
    def size(self) -> int:
        return 3

    @exposed
    def _private(self) -> str:
        return "private"

    @exposed
    def __reduce__(self) -> Any:
        return "never"

    def hidden(self) -> None: ...


def test_marks_count_like_the_prefix() -> None:
    marked = Marked()
    assert DEFAULT.getattr(marked, "foo")() == "foo"
    assert DEFAULT.getattr(marked, "exposed_foo")() == "foo"
    assert DEFAULT.getattr(marked, "size") == 3
    assert DEFAULT.getattr(marked, "_private")() == "private"
    assert DEFAULT.getattr(Marked, "foo")(marked) == "foo"
    for name in ("hidden", "bar", "__reduce__", "exposed_hidden", "exposed_exposed_foo"):
        with pytest.raises(AttributeError):
            DEFAULT.getattr(marked, name)
    assert policy(exposed_prefix="rpc_").getattr(marked, "bar")() == "bar"
    with pytest.raises(AccessDenied):
        policy(allow_exposed_attrs=False).getattr(marked, "foo")


def test_an_override_without_a_mark_is_not_exposed() -> None:
    class Derived(Marked):
        def foo(self) -> str:
            return "other"

    with pytest.raises(AccessDenied):
        DEFAULT.getattr(Derived(), "foo")
    with pytest.raises(AccessDenied):
        DEFAULT.getattr(Derived, "foo")


def test_a_mark_that_goes_takes_its_permission_along() -> None:
    class Changing:
        @exposed
        def foo(self) -> None: ...

    obj = Changing()
    assert DEFAULT.getattr(obj, "foo")
    Changing.foo = lambda self: None  # type: ignore[method-assign]
    with pytest.raises(AccessDenied):
        DEFAULT.getattr(obj, "foo")


@pytest.mark.parametrize("mark", [None, True, exposed("rpc_")(lambda: None).__netobj_exposed__])
def test_a_mark_that_says_something_else_by_now_counts_as_that(mark: object) -> None:
    class Thing:
        @exposed
        def foo(self) -> str:
            return "foo"

    rules = policy()
    for _ in range(2):
        assert rules.getattr(Thing(), "foo")() == "foo"
    assert rules.known_method(Thing(), "foo") is not None
    Thing.foo.__netobj_exposed__ = mark  # type: ignore[attr-defined]
    for _ in range(2):
        assert rules.known_method(Thing(), "foo") is None
        with pytest.raises(AccessDenied):
            rules.getattr(Thing(), "foo")
    exposed(Thing.foo)
    for _ in range(2):
        assert rules.getattr(Thing(), "foo")() == "foo"


def test_a_marked_function_that_another_replaces() -> None:
    class Thing:
        @exposed
        def foo(self) -> int:
            return 1

    rules, thing = policy(), Thing()
    for _ in range(2):
        assert rules.getattr(thing, "foo")() == 1
    reference = weakref.ref(Thing.foo)
    Thing.foo = exposed(lambda self: 2)  # type: ignore[method-assign]
    gc.collect()
    assert reference() is None  # the policy keeps it no more than it keeps the class
    for _ in range(2):
        assert rules.getattr(thing, "foo")() == 2
    Thing.foo = lambda self: 3  # type: ignore[method-assign]
    for _ in range(2):
        assert rules.known_method(thing, "foo") is None
        with pytest.raises(AccessDenied):
            rules.getattr(thing, "foo")
    del Thing.foo
    with pytest.raises(AccessDenied):
        rules.getattr(thing, "foo")


def test_a_marked_method_that_the_object_or_a_subclass_hides() -> None:
    class Thing:
        @exposed
        def foo(self) -> int:
            return 1

    class Other(Thing):
        pass

    rules, thing, other = policy(), Thing(), Other()
    for _ in range(2):
        assert rules.getattr(thing, "foo")() == rules.getattr(other, "foo")() == 1
    assert rules.known_method(thing, "foo") is not None
    assert rules.known_method(other, "foo") is not None
    vars(thing)["foo"] = "hides it"
    for _ in range(2):
        assert rules.known_method(thing, "foo") is None
        assert rules.getattr(thing, "foo") == "hides it"
    Other.foo = lambda self: 2  # type: ignore[method-assign]
    for _ in range(2):
        assert rules.known_method(other, "foo") is None
        with pytest.raises(AccessDenied):
            rules.getattr(other, "foo")
    Other.foo = None  # type: ignore[method-assign,assignment]
    for _ in range(2):
        assert rules.known_method(other, "foo") is None
        with pytest.raises(AccessDenied):
            rules.getattr(other, "foo")


def test_marked_functions_that_a_decorator_keeps_are_not_exposed() -> None:
    @exposed
    def unguarded() -> None: ...

    @functools.wraps(unguarded)
    def guarded() -> None: ...

    class Guard:
        def __init__(self) -> None:
            functools.update_wrapper(self, unguarded)
            self.function = unguarded

        def __call__(self) -> None: ...

    for obj, name in ((guarded, "__wrapped__"), (Guard(), "__wrapped__"), (Guard(), "function")):
        with pytest.raises(AccessDenied):
            DEFAULT.getattr(obj, name)


def test_an_instance_attribute_under_a_marked_name_is_exposed() -> None:
    marked = Marked()
    WRITABLE.setattr(marked, "foo", "replaced")
    assert WRITABLE.getattr(marked, "foo") == "replaced"
    WRITABLE.delattr(marked, "foo")
    assert WRITABLE.getattr(marked, "foo")() == "foo"


def test_modules_and_classes_show_what_is_prefixed_or_marked() -> None:
    module = types.ModuleType("sample")
    vars(module).update(exposed_x=1, marked=exposed(lambda: 2), hidden=3)
    assert DEFAULT.getattr(module, "x") == 1
    assert DEFAULT.getattr(module, "marked")() == 2

    class Class:
        exposed_x = 5
        hidden = 6

    assert DEFAULT.getattr(Class, "x") == 5
    for obj in (module, Class):
        with pytest.raises(AccessDenied):
            DEFAULT.getattr(obj, "hidden")


def test_a_marked_metaclass_attribute_does_not_open_the_classes_own() -> None:
    class Meta(type):
        @exposed
        def foo(cls) -> str:
            return "meta"

    class Free(metaclass=Meta):
        pass

    class Own(metaclass=Meta):
        foo = "secret"

    assert DEFAULT.getattr(Free, "foo")() == "meta"
    with pytest.raises(AccessDenied):
        DEFAULT.getattr(Own, "foo")


def test_services_work_with_aliases() -> None:
    @service
    class Aliased:
        @exposed
        def foo(self) -> str:
            return "foo"

    for name in ("foo", "exposed_foo"):
        assert DEFAULT.getattr(Aliased(), name)() == "foo"
    assert DEFAULT.methods_of(Aliased) == {"foo"}


# What runs, and what does not


def test_deciding_runs_no_getter() -> None:
    calls = []

    class Lazy:
        @property
        def exposed_x(self) -> int:
            calls.append("x")
            return 1

        @property
        def y(self) -> int:
            calls.append("y")
            return 2

    for rules in (DEFAULT, PUBLIC, ALL, WRITABLE):
        for name in ("x", "exposed_x", "y"):
            for _ in range(2):
                try:
                    rules.attribute(Lazy(), name, Access.GET)
                except AccessDenied:
                    assert name == "y"
        rules.methods_of(Lazy)
        rules.names(Lazy())
    assert calls == []
    assert DEFAULT.getattr(Lazy(), "x") == 1
    assert calls == ["x"]


def test_computed_attributes_are_asked_for_once() -> None:
    asked = []

    class Computing:
        def __getattr__(self, name: str) -> str:
            asked.append(name)
            if name in ("exposed_x", "y"):
                return name
            raise AttributeError(name)

    obj = Computing()
    assert DEFAULT.getattr(obj, "x") == "exposed_x"
    assert asked == ["exposed_x"]
    with pytest.raises(AccessDenied):
        DEFAULT.getattr(obj, "y")
    assert PUBLIC.getattr(obj, "y") == "y"
    assert PUBLIC.getattr(obj, "x") == "exposed_x"
    with pytest.raises(AttributeError, match="z"):
        PUBLIC.getattr(obj, "z")
    assert [DEFAULT.attribute(obj, "x", Access.GET), PUBLIC.attribute(obj, "y", Access.GET)] == [
        "exposed_x",
        "y",
    ]
    assert PUBLIC.attribute(obj, "x", Access.GET) == "exposed_x"
    with pytest.raises(AccessDenied):
        DEFAULT.attribute(obj, "y", Access.GET)


def test_where_no_prefix_is_in_force_nothing_computes_a_name_that_is_refused() -> None:
    asked = []

    class Computing:
        def __getattr__(self, name: str) -> str:
            asked.append(name)
            return name

    closed = policy(allow_exposed_attrs=False)
    for name in ("x", "exposed_x"):
        with pytest.raises(AccessDenied):
            closed.getattr(Computing(), name)
        with pytest.raises(AccessDenied):
            closed.attribute(Computing(), name, Access.GET)
    assert asked == []


def test_a_getter_that_raises_attribute_error_gives_way_to_the_prefixed_name() -> None:
    calls = []

    class Failing:
        exposed_x = "prefixed"

        @property
        def x(self) -> str:
            calls.append("x")
            raise AttributeError("inside")

        @property
        def exposed_y(self) -> str:
            raise AttributeError("inside y")

    for count in (1, 2):
        assert PUBLIC.getattr(Failing(), "x") == "prefixed"
        assert len(calls) == count
    with pytest.raises(AttributeError, match="inside y"):
        DEFAULT.getattr(Failing(), "y")


def test_a_cached_name_survives_changes_of_the_class() -> None:
    class Changing:
        def x(self) -> str:
            return "x"

        def exposed_x(self) -> str:
            return "exposed"

    rules = policy(allow_public_attrs=True)
    obj = Changing()
    assert rules.getattr(obj, "x")() == "x"
    del Changing.x
    assert rules.getattr(obj, "x")() == "exposed"


def test_instance_attributes_decide_for_their_instance_only() -> None:
    class Thing:
        pass

    first: Any = Thing()
    second: Any = Thing()
    first.x, second.exposed_x = 1, 2
    for _ in range(2):
        assert (PUBLIC.getattr(first, "x"), PUBLIC.getattr(second, "x")) == (1, 2)
        with pytest.raises(AccessDenied):
            DEFAULT.getattr(first, "x")


def test_slots_and_spoofed_dicts() -> None:
    class Slotted:
        __slots__ = ("exposed_x",)

    class Spoof:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise AssertionError("user code ran")

    slotted = Slotted()
    slotted.exposed_x = 1
    assert DEFAULT.getattr(slotted, "x") == 1
    with pytest.raises(AccessDenied):
        DEFAULT.getattr(Spoof(), "x")


def test_hostile_metaclasses_are_not_asked() -> None:
    class Meta(type):
        def __hash__(cls) -> int:
            raise AssertionError("hash")

        def __eq__(cls, other: object) -> bool:
            raise AssertionError("eq")

        def __getattribute__(cls, name: str) -> Any:
            raise AssertionError(name)

    class Odd(metaclass=Meta):
        def exposed_x(self) -> int:
            return 1

    obj = object.__new__(Odd)
    assert DEFAULT.getattr(obj, "x")() == 1
    assert DEFAULT.methods_of(Odd) == {"x"}
    holder = type("Holder", (), {"exposed_y": obj, "y": obj, "exposed_z": Odd, "z": Odd})
    assert DEFAULT.methods_of(holder) == set()
    for name in ("y", "z"):
        assert PUBLIC.getattr(holder(), name) is getattr(holder, name)
        assert DEFAULT.attribute(holder(), name, Access.GET) == f"exposed_{name}"
    with pytest.raises(AccessDenied):
        DEFAULT.getattr(obj, "y")


# The caches


def test_the_cache_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rules_of_policies, access):  # where marks hide names, none is kept
        monkeypatch.setattr(module, "HIDING", [])
    big = type("Big", (), {f"exposed_{i}": i for i in range(3000)})
    rules = policy()
    for i in range(3000):
        assert rules.getattr(big(), str(i)) == i
        with pytest.raises(AccessDenied):
            rules.getattr(big(), f"no{i}")
    (facts,) = rules._facts.values()
    assert len(facts.names) == 1000


def test_classes_are_not_kept_alive() -> None:
    class Base:
        def exposed_x(self) -> type:
            return __class__  # type: ignore[name-defined,no-any-return]

    class Own(Base):
        def _netobj_getattr(self, name: str) -> str:
            return name

    rules = policy()
    rules.getattr(Base(), "x")
    rules.getattr(Own(), "x")
    rules.special_method(Base(), "__eq__")
    rules.methods_of(Base)
    rules.names(Base)
    gone = [weakref.ref(Base), weakref.ref(Own)]
    del Base, Own
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
    assert all(facts.ref() is not None for facts in rules._facts.values())


# Special methods


def test_special_methods_are_bound_to_the_types_implementation() -> None:
    class Sized(list[int]):
        def __len__(self) -> int:
            return 42

    obj: Any = Sized()
    obj.__len__ = lambda: 0
    assert DEFAULT.special_method(obj, "__len__")() == 42
    assert DEFAULT.special_method([1, 2], "__getitem__")(1) == 2
    assert DEFAULT.special_method(Sample, "__call__")().plain == 4
    assert DEFAULT.special_method(5, "__repr__")() == "5"
    assert DEFAULT.special_method(Sample, "__repr__")() == repr(Sample)
    for thing, name in ((5, "__len__"), ([], "__hash__")):
        with pytest.raises(AttributeError) as caught:
            DEFAULT.special_method(thing, name)
        assert not isinstance(caught.value, AccessDenied)


def test_special_methods_need_their_setting() -> None:
    nothing = policy(allow_safe_attrs=False)
    assert nothing.special(len, "__call__")
    assert nothing.special_method(len, "__call__")([1]) == 1
    for name in SPECIALS:
        assert DEFAULT.special([], name) == (name != "__dir__")
        assert nothing.special([], name) == (name == "__call__")
        assert policy(allow_all_attrs=True, allow_safe_attrs=False).special([], name)
    assert not policy(safe_attrs={"__len__"}).special([], "__repr__")
    assert policy(safe_attrs={"__len__"}).special([], "__len__")
    assert not policy(allow_getattr=False).special([], "__len__")
    with pytest.raises(AccessDenied):
        nothing.special_method([], "__len__")
    for name in ("__reduce_ex__", "__getattribute__", "append", "__class__"):
        assert not ALL.special([], name)


def test_special_methods_can_be_exposed_one_by_one() -> None:
    class Picky:
        @exposed
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Any: ...

        def exposed___contains__(self, item: object) -> bool:
            return True

    rules = policy(allow_safe_attrs=False)
    assert rules.special_method(Picky(), "__len__")() == 1
    assert rules.special_method(Picky(), "__contains__")(1) is True
    assert not rules.special(Picky(), "__iter__")
    assert rules.specials_of(Picky) == {"__len__", "__contains__"}


# Own rules


@pytest.mark.parametrize("brand", ["_netobj_", "_rpyc_"])
@pytest.mark.parametrize("rules", [DEFAULT, ALL, policy(allow_getattr=False)])
def test_own_rules_govern_everything(brand: str, rules: Policy) -> None:
    log = []

    def read(self: Any, name: str) -> Any:
        if name == "x":
            return 1
        raise AttributeError(name)

    members: dict[str, Any] = {
        brand + "getattr": read,
        brand + "setattr": lambda self, name, value: log.append((name, value)),
        brand + "delattr": lambda self, name: log.append(name),
        "exposed_y": 2,
        "__len__": lambda self: 3,
        "__call__": lambda self: 4,
        "method": lambda self: 5,
    }
    tp = type("Ruled", (), members)
    obj = tp()
    assert rules.has_own_rules(obj)
    assert rules.getattr(obj, "x") == 1
    for name in ("y", "exposed_y", "method", "__class__", brand + "getattr"):
        with pytest.raises(AttributeError):
            rules.getattr(obj, name)
    rules.setattr(obj, "z", 9)
    rules.delattr(obj, "z")
    assert log == [("z", 9), "z"]
    for name in ("__len__", "__call__"):
        assert not rules.special(obj, name)
        with pytest.raises(AttributeError):
            rules.special_method(obj, name)
    with pytest.raises(AccessDenied, match="own access rule"):
        rules.attribute(obj, "x", Access.GET)
    assert rules.methods_of(tp) == rules.specials_of(tp) == rules.methods_of_object(obj) == set()
    assert rules.names(obj) == []


def test_own_rules_refuse_what_they_have_no_hook_for() -> None:
    class ReadOnly:
        def _netobj_getattr(self, name: str) -> Any:
            return {"x": 1, "__len__": lambda: 5}[name]

        def _netobj_dir(self) -> list[Any]:
            return ["x", "a", 5]

    obj: Any = ReadOnly()
    writable = policy(allow_all_attrs=True, allow_setattr=True, allow_delattr=True)
    with pytest.raises(AccessDenied, match="own access rule"):
        writable.setattr(obj, "x", 2)
    with pytest.raises(AccessDenied, match="own access rule"):
        writable.delattr(obj, "x")
    assert writable.names(obj) == ["a", "x"]
    assert writable.special_method(obj, "__len__")() == 5
    obj._netobj_getattr = lambda name: "instance"
    assert writable.getattr(obj, "x") == 1


def test_an_own_rule_on_an_instance_is_none() -> None:
    sample: Any = Sample()
    sample._netobj_getattr = lambda name: "everything"
    with pytest.raises(AccessDenied):
        DEFAULT.getattr(sample, "plain")


# Descriptions


class Base:
    def first(self) -> None: ...
    def second(self) -> None: ...
    def exposed_third(self) -> None: ...
    def _fourth(self) -> None: ...

    @staticmethod
    def fixed() -> None: ...

    @classmethod
    def made(cls) -> None: ...

    part = functools.partialmethod(first)
    prop = property(first)
    lazy = functools.cached_property(first)
    Inner = int
    call = functools.partial(print)
    value = 5
    inner_class = staticmethod(int)

    def __special__(self) -> None: ...
    def __len__(self) -> int:
        return 0


class Derived(Base):
    second = None  # type: ignore[assignment]

    def fifth(self) -> None: ...


def test_methods_of_lists_routines_as_the_peer_sees_them() -> None:
    assert DEFAULT.methods_of(Derived) == {"third"}
    public = {"first", "third", "fixed", "made", "part", "fifth"}
    assert PUBLIC.methods_of(Derived) == public
    assert ALL.methods_of(Derived) == public | {"_fourth"}
    assert policy(allow_public_attrs=True, allow_exposed_attrs=False).methods_of(Derived) == (
        public - {"third"} | {"exposed_third"}
    )
    assert policy(allow_all_attrs=True, allow_getattr=False).methods_of(Derived) == set()
    assert {"append", "sort"} <= PUBLIC.methods_of(list)
    assert {"fromkeys", "items"} <= PUBLIC.methods_of(dict)
    assert PUBLIC.methods_of(object) == set()
    assert DEFAULT.methods_of(Marked) == {"foo", "_private"}


def test_listed_methods_can_be_read_and_hidden_ones_are_left_out() -> None:
    class Both:
        x = 5

        def exposed_x(self) -> None: ...
        def y(self) -> None: ...

        exposed_y = 6

    assert DEFAULT.methods_of(Both) == {"x"}
    assert PUBLIC.methods_of(Both) == {"y"}
    for rules in (DEFAULT, PUBLIC):
        assert all(callable(rules.getattr(Both(), name)) for name in rules.methods_of(Both))


def test_types_that_compute_their_attributes_have_no_methods() -> None:
    class Computed:
        def exposed_x(self) -> None: ...
        def __getattribute__(self, name: str) -> Any:
            return 1

    assert ALL.methods_of(Computed) == set()


def test_specials_of_lists_what_the_type_really_has() -> None:
    class Empty:
        pass

    class Restored(Base):
        __len__ = None  # type: ignore[assignment]
        __eq__ = object.__eq__

    # The repr is the remote one in any case, also where it is object's.
    assert DEFAULT.specials_of(Empty) == {"__repr__"}
    assert DEFAULT.specials_of(Base) == {"__repr__", "__len__"}
    assert DEFAULT.specials_of(Restored) == {"__repr__"}
    assert {"__len__", "__eq__", "__repr__", "__iter__"} <= DEFAULT.specials_of(list)
    assert "__hash__" not in DEFAULT.specials_of(list)
    assert "__hash__" in DEFAULT.specials_of(int)
    assert policy(safe_attrs={"__len__"}).specials_of(list) == {"__len__"}
    assert "__call__" in policy(allow_safe_attrs=False).specials_of(type(len))


def test_unhashable() -> None:
    assert [DEFAULT.unhashable(tp) for tp in (list, int, object, Base)] == [True] + [False] * 3


def test_methods_of_modules_and_classes() -> None:
    module = types.ModuleType("sample")
    vars(module).update(exposed_f=len, f2=lambda: 0, value=1, cls=int, raw=staticmethod(len))
    assert DEFAULT.methods_of_object(module) == {"f"}
    assert PUBLIC.methods_of_object(module) == {"f"}
    assert {"sin", "cos"} <= ALL.methods_of_object(math)
    assert "pi" not in ALL.methods_of_object(math)
    assert PUBLIC.methods_of_object(Derived) == PUBLIC.methods_of(Derived)
    assert PUBLIC.methods_of_object([]) == PUBLIC.methods_of(list)

    class Meta(type):
        first = property(lambda cls: 5)

    class Hidden(Base, metaclass=Meta):
        pass

    assert "first" not in PUBLIC.methods_of_object(Hidden)


def test_names_show_what_the_peer_may_read() -> None:
    sample = Sample()
    plain = [name for name in DEFAULT.names(sample) if not name.startswith("__")]
    assert plain == ["_e", "a", "b", "mine", "own"]
    assert "__len__" in DEFAULT.names(sample)
    assert "__class__" not in DEFAULT.names(sample)
    assert set(dir(sample)) <= set(ALL.names(sample))
    assert {"c", "plain", "a"} <= set(PUBLIC.names(sample))
    assert policy(allow_getattr=False).names(sample) == []
    assert DEFAULT.names(Marked())[-3:] == ["_private", "foo", "size"]


def test_names_survive_an_odd_dir() -> None:
    class Odd:
        def __dir__(self) -> list[Any]:
            return ["exposed_x", 5, None, "hidden", "exposed_"]

    try:
        names = DEFAULT.names(Odd())
    except TypeError:  # dir() itself sorts, and cannot
        names = ["x"]
    assert "x" in names
    assert "hidden" not in names


@pytest.mark.parametrize("name", ["format", "format_map"])
def test_a_format_string_reads_no_private_attributes(name: str) -> None:
    class Text(str):
        pass

    for obj in (Text("{0.__class__}"), Text, str):
        with pytest.raises(AccessDenied, match="it reads any attribute"):
            PUBLIC.getattr(obj, name)
        assert callable(ALL.getattr(obj, name))
    assert PUBLIC.getattr(Text("a"), "upper")() == "A"


def test_equal_settings_share_a_policy_that_forgets_the_rest() -> None:
    one = policy_for(Config(credentials=["secret"], allow_setattr=True), "server")
    assert one is policy_for(Config(endpoints=("here", "there"), allow_setattr=True), "server")
    assert one is not policy_for(Config(allow_setattr=False), "server")
    assert one is not policy_for(Config(allow_setattr=True), "client")
    assert one._config == Config(allow_setattr=True)
    one.setattr(sample := Sample(), "mine", 5)
    assert sample.exposed_mine == 5


def test_policies_do_not_pile_up() -> None:
    first = policy_for(Config(), "the first")
    for number in range(100):
        policy_for(Config(), f"side {number}")
    assert policy_for(Config(), "the first") is not first


def test_what_is_described_is_remembered_until_the_class_changes() -> None:
    class Base:
        def exposed_old(self) -> None: ...

    class Changing(Base):
        pass

    def describe(tp: type, rules: Policy) -> frozenset[str]:
        asked.append(tp)
        return rules.methods_of(tp)

    asked: list[type] = []
    rules = policy()
    assert [rules.described(Changing, describe) for _ in range(3)] == [{"old"}] * 3
    assert asked == [Changing]
    Base.exposed_old = 7  # type: ignore[assignment, method-assign]
    assert rules.described(Changing, describe) == frozenset()
    Changing.exposed_new = lambda self: None  # type: ignore[attr-defined]
    assert rules.described(Changing, describe) == {"new"}
    assert asked == [Changing] * 3


def test_an_access_rule_that_a_class_gets_counts_once_it_is_described_anew() -> None:
    class Late:
        exposed_value = 1

    rules = policy()
    assert rules.described(Late, lambda tp, _: tp) is Late
    assert rules.getattr(Late(), "value") == 1
    Late._netobj_getattr = lambda self, name: f"hooked {name}"  # type: ignore[attr-defined]
    rules.described(Late, lambda tp, _: tp)
    assert rules.getattr(Late(), "value") == "hooked value"


def test_inherited_methods_are_known_until_any_class_on_the_way_changes() -> None:
    class Base:
        def exposed_add(self) -> str:
            return "base"

        @exposed
        def marked(self) -> str:
            return "marked"

    class Derived(Base):
        pass

    rules, obj = policy(), Derived()
    for name in ("add", "marked"):
        assert rules.known_method(obj, name) is None
        rules.getattr(obj, name)
        assert rules.known_method(obj, name) == rules.getattr(obj, name)
    del Base.marked.__netobj_exposed__  # type: ignore[attr-defined]
    assert rules.known_method(obj, "marked") is None
    obj.exposed_add = lambda: "own"  # type: ignore[method-assign]
    assert rules.known_method(obj, "add") is None
    assert rules.known_method(Derived(), "add") is not None
    for replaced in (None, property(lambda self: 1 / 0), lambda self: "derived"):
        Derived.exposed_add = replaced  # type: ignore[assignment, method-assign]
        assert rules.known_method(Derived(), "add") is None
    del Derived.exposed_add
    assert rules.known_method(Derived(), "add") is not None
    del Base.exposed_add
    assert rules.known_method(Derived(), "add") is None


def test_a_special_method_that_the_objects_own_rule_allows() -> None:
    class Own:
        def _netobj_getattr(self, name: str) -> Any:
            if name != "__len__":
                raise AttributeError(name)
            return lambda: 3

    policy = Policy(Config(), "here")
    assert policy.special(Own(), "__len__")
    assert not policy.special(Own(), "__iter__")


def test_dir_with_names_that_are_none() -> None:
    class Odd:
        visible = 1

    vars_of = type("Odd", (Odd,), {"__dir__": lambda self: ["visible", Text("hidden")]})
    policy = Policy(Config(allow_public_attrs=True), "here")
    assert policy.names(vars_of()) == ["visible"]


def test_what_is_closed_since_nothing_may_be_read() -> None:
    policy = Policy(Config(allow_getattr=False), "here")
    with pytest.raises(AccessDenied, match="allow_getattr is off"):
        policy.special_method([1], "__len__")


class Text(str):
    """Not a str of Python's own."""


def test_what_the_metaclass_has_too_is_no_method_of_a_class() -> None:
    class Meta(type):
        def exposed_both(cls) -> None: ...
        def exposed_only(cls) -> None: ...

    class Thing(metaclass=Meta):
        @staticmethod
        def exposed_both() -> None: ...
        @staticmethod
        def exposed_own() -> None: ...

    methods = Policy(Config(), "here").methods_of_object(Thing)
    assert "own" in methods
    assert "both" not in methods

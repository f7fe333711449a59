"""Proxies mean what the objects mean."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import sys
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from fakewire import CLASSIC, PUBLIC, FakeWire
from netobj.core import netref
from netobj.core.config import Config
from netobj.core.consts import BIG_VALUE
from netobj.core.describe import NOTHING
from netobj.core.handle import RemoteObject
from netobj.core.netref import BoundMethod, proxy_class, proxy_for
from netobj.errors import AccessDenied


class Sender:
    """A thing with a method."""

    limit = 5

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, x: Any) -> Any:
        """Send it."""
        self.sent.append(x)
        return ("sent", x)

    def __len__(self) -> int:
        return len(self.sent)

    @property
    def computed(self) -> int:
        return len(self.sent) * 10


class Equal:
    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> Any:
        return isinstance(other, Equal) and self.value == other.value

    def __hash__(self) -> int:
        return hash(("equal", self.value))

    def __repr__(self) -> str:
        return f"Equal({self.value})"

    def __str__(self) -> str:
        return f"equal {self.value}"

    def __bool__(self) -> bool:
        return self.value != 0

    def __add__(self, other: Any) -> Any:
        return Equal(self.value + getattr(other, "value", other))

    def __radd__(self, other: Any) -> Any:
        return Equal(self.value + other)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args, tuple(kwargs.items())

    def __getitem__(self, key: Any) -> Any:
        return key

    def __format__(self, spec: str) -> str:
        return f"<{spec}>"

    def __int__(self) -> int:
        return self.value

    def __index__(self) -> int:
        return self.value

    def __enter__(self) -> Equal:
        return self

    def __exit__(self, kind: Any, exc: Any, traceback: Any) -> bool:
        self.left = (kind, exc, traceback)
        return isinstance(exc, KeyError)


class Namespace:
    """A root that shows what the test puts into it."""

    def __init__(self) -> None:
        self.things: dict[str, Any] = {}

    def exposed_get(self, name: str) -> Any:
        return self.things[name]

    def exposed_identity(self, value: Any) -> Any:
        self.things["seen"] = value
        return value


Give = Callable[[Any], Any]


def make(config: Config = PUBLIC, left: Config | None = None) -> tuple[FakeWire, Give]:
    root = Namespace()
    wire = FakeWire(None, root, left_config=left or Config(), right_config=config)
    client = wire.left.root

    def give(thing: Any) -> Any:
        root.things["it"] = thing
        proxy = client.get("it")
        wire.log.clear()
        return proxy

    return wire, give


@pytest.fixture
def wire_and_give() -> tuple[FakeWire, Give]:
    return make()


@pytest.fixture
def wire(wire_and_give: tuple[FakeWire, Give]) -> FakeWire:
    return wire_and_give[0]


@pytest.fixture
def give(wire_and_give: tuple[FakeWire, Give]) -> Give:
    return wire_and_give[1]


ROUND_TRIP = ["left REQUEST", "right REPLY"]


class TestMethods:
    def test_a_call_is_one_round_trip_and_reading_the_method_none(
        self, wire: FakeWire, give: Give
    ) -> None:
        proxy = give(Sender())
        method = proxy.send
        assert wire.log == []
        assert method(1) == ("sent", 1)
        assert proxy.send(x=2) == ("sent", 2)
        assert wire.log == ROUND_TRIP * 2

    def test_it_looks_like_a_method(self, wire: FakeWire, give: Give) -> None:
        proxy = give(Sender())
        method = proxy.send
        assert type(method) is BoundMethod
        assert isinstance(method, types.MethodType)
        assert method.__self__ is proxy
        assert method.__name__ == "send"
        assert method == proxy.send
        assert hash(method) == hash(proxy.send)
        assert method != give(Sender()).send
        assert method != len
        assert {method: 1}[proxy.send] == 1
        assert method.__doc__ == "Send it."
        assert "send" in repr(method)
        wire.log.clear()
        with pytest.raises(AttributeError):
            method.__array_interface__  # noqa: B018
        assert wire.log == []

    def test_other_attributes_of_it_are_read_from_there(self) -> None:
        wire, give = make(CLASSIC)
        method = give(Sender()).send
        wire.log.clear()
        assert method.__qualname__ == "Sender.send"
        assert wire.log == ROUND_TRIP

    def test_it_keeps_its_object_alive(self, wire: FakeWire, give: Give) -> None:
        method = give(Sender()).send
        gc.collect()
        wire.flush()
        assert method(1) == ("sent", 1)

    def test_a_wrapper_in_its_own_place_means_the_old_one(self, give: Give) -> None:
        p = give(Sender())
        orig = p.send
        p.send = lambda *a: ("wrapped", orig(*a))
        assert p.send(1) == ("wrapped", ("sent", 1))
        assert orig(2) == ("sent", 2)
        assert p.send(3) == ("wrapped", ("sent", 3))
        del p.send
        assert p.send(4) == ("sent", 4)
        assert orig(5) == ("sent", 5)

    def test_wrapping_twice(self, give: Give) -> None:
        p = give(Sender())
        first = p.send
        p.send = lambda *a: ("1", first(*a))
        second = p.send
        p.send = lambda *a: ("2", second(*a))
        assert p.send(7) == ("2", ("1", ("sent", 7)))

    def test_a_method_nobody_holds_is_not_fetched_before_it_is_replaced(
        self, wire: FakeWire, give: Give
    ) -> None:
        p = give(Sender())
        p.send(1)
        wire.log.clear()
        p.send = 7
        assert wire.log == ["left REQUEST", "right REPLY"]
        assert p.send == 7

    def test_one_that_is_held_is_fetched_once(self, wire: FakeWire, give: Give) -> None:
        p = give(Sender())
        orig = p.send
        p.send = 7
        assert wire.log[:4] == ROUND_TRIP * 2
        assert orig.__name__ == "send"
        assert orig(1) == ("sent", 1)
        assert orig.__doc__ == "Send it."
        assert "Sender.send" in repr(orig)

    def test_a_fetched_method_goes_home_as_itself(self, give: Give) -> None:
        wire, give = make()
        thing = Sender()
        p = give(thing)
        orig = p.send
        p.send = 7
        wire.left.root.identity(orig)
        seen = wire.right.session.boxing.root.things["seen"]  # type: ignore[attr-defined]
        assert type(seen) is types.MethodType
        assert seen.__self__ is thing

    def test_a_refused_replacement_changes_nothing(self) -> None:
        _, give = make(Config(allow_public_attrs=True))
        p = give(Sender())
        orig = p.send
        with pytest.raises(AccessDenied, match="allow_setattr is off"):
            p.send = 7
        assert orig(1) == ("sent", 1)
        assert p.send(2) == ("sent", 2)

    def test_an_instance_attribute_that_hides_a_method(self, give: Give) -> None:
        thing = Sender()
        thing.send = lambda x: ("hidden", x)  # type: ignore[method-assign]
        p = give(thing)
        assert p.send(1) == ("hidden", 1)
        del p.send
        assert p.send(1) == ("sent", 1)

    def test_sent_home_it_is_the_method_itself(self, wire: FakeWire, give: Give) -> None:
        thing = Sender()
        p = give(thing)
        wire.left.root.identity(p.send)
        assert wire.right.session.boxing.root.things["seen"] == thing.send  # type: ignore[attr-defined]

    @pytest.mark.parametrize("config", [PUBLIC, CLASSIC])
    def test_mock_patch_and_its_undoing(self, config: Config) -> None:
        _, give = make(config, config)
        thing = Sender()
        p = give(thing)
        before = p.send
        with mock.patch.object(p, "send") as fake:
            fake.return_value = "mocked"
            assert p.send(1) == "mocked"
            assert thing.send(1) == "mocked"  # over there, too
            fake.assert_called_with(1)
        assert p.send(2) == ("sent", 2)
        assert before(3) == ("sent", 3)
        assert thing.send(4) == ("sent", 4)
        assert "send" not in vars(thing)

    def test_patching_in_a_patch(self) -> None:
        """mock looks into ``__dict__``, so this takes a policy that shows it."""
        _, give = make(CLASSIC, CLASSIC)
        p = give(Sender())
        for _ in range(3):
            with mock.patch.object(p, "send", return_value="outer"):
                with mock.patch.object(p, "send", return_value="inner"):
                    assert p.send(1) == "inner"
                assert p.send(1) == "outer"
            assert p.send(1) == ("sent", 1)

    def test_patching_again_and_again(self, give: Give) -> None:
        p = give(Sender())
        for number in range(3):
            with mock.patch.object(p, "send", return_value=number):
                assert p.send(1) == number
            assert p.send(1) == ("sent", 1)

    @pytest.mark.parametrize("config", [PUBLIC, CLASSIC])
    def test_inspect_takes_them_for_what_they_are(self, config: Config) -> None:
        _, give = make(config, config)
        p = give(Sender())
        for function in (p.send, give(Sender().send), give(lambda: 0), give(len)):
            assert not inspect.iscoroutinefunction(function)
            assert not inspect.isgeneratorfunction(function)
        assert p.send.__func__(p, 7) == ("sent", 7)

    def test_mock_patch_of_a_function_of_a_module(self) -> None:
        module = types.ModuleType("module")
        exec("def f(x): return x + 1\ndef g(x): return f(x)", module.__dict__)
        _, give = make(CLASSIC, CLASSIC)
        p = give(module)
        original = module.f
        with mock.patch.object(p, "f", lambda x: x * 100):
            assert p.g(2) == 200
            assert p.f(3) == 300
        assert p.g(2) == 3
        assert p.f(2) == 3
        assert module.f is original

    def test_mock_patch_of_plain_attributes(self, give: Give) -> None:
        thing = Sender()
        p = give(thing)
        with mock.patch.object(p, "limit", 9):
            assert thing.limit == 9
        assert thing.limit == 5


class TestAttributes:
    def test_each_read_asks(self, wire: FakeWire, give: Give) -> None:
        thing = Sender()
        p = give(thing)
        assert (p.limit, p.computed) == (5, 0)
        thing.send(1)
        assert p.computed == 10
        assert wire.log == ROUND_TRIP * 3

    def test_set_and_delete(self, wire: FakeWire, give: Give) -> None:
        thing = Sender()
        p = give(thing)
        p.limit = 6
        assert thing.limit == 6
        del p.limit
        assert thing.limit == 5
        assert wire.log == ROUND_TRIP * 2
        with pytest.raises(AttributeError):
            p.missing  # noqa: B018
        with pytest.raises(AttributeError):
            del p.missing
        assert getattr(p, "missing", 7) == 7
        assert not hasattr(p, "missing")

    def test_annotations_are_the_remote_ones(self) -> None:
        def func(x: int) -> str:
            return str(x)

        _, give = make(CLASSIC)
        assert give(func).__annotations__["x"] == "int"

    def test_names_that_libraries_probe_for_are_not_asked_for(
        self, wire: FakeWire, give: Give
    ) -> None:
        p = give(Sender())
        for name in netref.NEVER_REMOTE:
            assert not hasattr(p, name)
        assert wire.log == []

    def test_dict_doc_module_and_dir(self) -> None:
        wire, give = make(CLASSIC)
        thing = Sender()
        p = give(thing)
        assert p.__dict__["sent"] == []
        assert p.__doc__ == "A thing with a method."
        wire.log.clear()
        assert p.__doc__ == "A thing with a method."
        assert wire.log == []  # it is remembered
        assert p.__module__ == __name__
        assert {"send", "limit", "sent"} <= set(dir(p))
        assert type(p).__doc__ == "Proxies of remote Sender objects."
        assert type(p).__module__ is not None

    def test_dir_of_what_is_closed(self) -> None:
        wire, give = make(Config())
        p = give(Sender())
        assert "send" not in dir(p)
        closed = wire.right.session.config._replace(allow_getattr=False)
        wire.right.session.reconfigure(closed)
        assert dir(p) == []


class TestSpecials:
    def test_they_are_on_the_type_exactly_where_the_remote_type_has_them(self, give: Give) -> None:
        p = give(Sender())
        assert len(p) == 0
        assert not p
        for missing in ("__iter__", "__getitem__", "__call__", "__add__", "__enter__", "__int__"):
            assert not any(missing in vars(cls) for cls in type(p).__mro__)

    def test_iterating_what_is_not_iterable_fails_here(self, wire: FakeWire, give: Give) -> None:
        p = give(Sender())
        with pytest.raises(TypeError, match="not iterable"):
            iter(p)
        with pytest.raises(TypeError, match="not callable"):
            p()
        with pytest.raises(TypeError):
            p + 1
        assert wire.log == []

    def test_unhashable_stays_unhashable(self, wire: FakeWire, give: Give) -> None:
        for thing in ([], {}, set(), bytearray()):
            p = give(thing)
            with pytest.raises(TypeError, match="unhashable"):
                hash(p)
            assert wire.log == []

    def test_identity_where_the_remote_class_keeps_objects_own(
        self, wire: FakeWire, give: Give
    ) -> None:
        one, two = Sender(), Sender()
        p, q, again = give(one), give(two), give(one)
        assert p is again
        assert p == again
        assert p != q
        assert hash(p) == hash(again)
        assert {p: 1, q: 2}[again] == 1
        assert wire.log == []

    def test_operators(self, give: Give) -> None:
        p, q = give(Equal(3)), give(Equal(3))
        assert p is not q
        assert p == q
        assert p != give(Equal(4))
        assert hash(p) == hash(Equal(3))
        assert (p + q) == give(Equal(6))
        assert (p + 1) == give(Equal(4))
        assert (1 + p) == give(Equal(4))
        assert repr(p) == "Equal(3)"
        assert str(p) == "equal 3"
        assert f"{p:spec}" == "<spec>"
        assert int(p) == 3
        assert [10, 20, 30, 40][p] == 40
        assert bool(p)
        assert not give(Equal(0))
        assert p[1:2] == slice(1, 2)
        assert p[1, ...] == (1, ...)
        assert p(1, a=2) == ((1,), (("a", 2),))

    def test_each_is_one_round_trip(self, wire: FakeWire, give: Give) -> None:
        p = give(Equal(3))
        int(p)
        p["k"]
        p(1)
        assert wire.log == ROUND_TRIP * 3

    def test_where_the_policy_refuses_repr_it_answers_from_its_description(self) -> None:
        wire, give = make(Config(allow_safe_attrs=False))
        p = give(Equal(3))
        assert repr(p) == f"<netref of a {__name__}.Equal, id {p.____handle__.id}>"
        assert str(p) == repr(p)
        assert p == p
        assert p != give(Equal(3))
        assert isinstance(hash(p), int)
        assert wire.log == []

    def test_as_a_context_manager(self, give: Give) -> None:
        thing = Equal(1)
        p = give(thing)
        with p as entered:
            assert entered is p
        assert thing.left == (None, None, None)
        with p:
            raise KeyError("swallowed")
        assert thing.left[0] is KeyError
        assert thing.left[1].args == ("swallowed",)
        with pytest.raises(ValueError, match="passed on") as caught, p:
            raise ValueError("passed on")
        assert type(caught.value) is ValueError

    def test_containers(self, give: Give) -> None:
        numbers = [3, 1, 2]
        p = give(numbers)
        assert (len(p), p[0], p[-1], p[:2] == [3, 1], 2 in p, 9 in p) == (
            3,
            3,
            2,
            True,
            True,
            False,
        )
        p[0] = 30
        del p[1]
        assert numbers == [30, 2]
        assert list(p) == [30, 2]
        assert list(reversed(p)) == [2, 30]
        assert sorted(p) == [2, 30]
        table = {"a": 1}
        d = give(table)
        d["b"] = 2
        assert dict(d.items()) == {"a": 1, "b": 2}
        assert list(d) == ["a", "b"]
        with pytest.raises(KeyError, match="zap"):
            d["zap"]

    def test_local_containers_meet_remote_ones_as_copies(self, give: Give) -> None:
        p = give([1, 2])
        assert p == [1, 2]
        assert p == [1, 2]
        assert p != [1]
        assert p < [1, 3]
        assert list(p + [3]) == [1, 2, 3]
        numbers = [1]
        q = give(numbers)
        q += [2, 3]
        assert numbers == [1, 2, 3]
        assert give({1, 2}) & {2, 3} == {2}
        assert give({"a": 1}) == {"a": 1}
        assert give(bytearray(b"a")) == b"a"

    def test_the_contents_of_a_buffer(self, wire: FakeWire, give: Give) -> None:
        p = give(bytearray(b"abc"))
        assert bytes(p) == b"abc"
        assert wire.log == ROUND_TRIP
        if sys.version_info >= (3, 12):
            assert bytes(memoryview(p)) == b"abc"
            assert bytes(memoryview(give(bytearray()))) == b""
        big = give(bytearray(b"x" * 200_000))
        assert bytes(big) == b"x" * 200_000

    def test_a_local_array_and_a_remote_one_in_either_order(self, give: Give) -> None:
        """numpy finds a remote ``__array_wrap__`` and would call it with an array of its own."""
        numpy = pytest.importorskip("numpy")

        local, remote = numpy.ones(3), give(numpy.arange(3.0))
        assert type(local + remote) is numpy.ndarray
        assert (local + remote).tolist() == [1.0, 2.0, 3.0]
        assert numpy.asarray(remote + local).tolist() == [1.0, 2.0, 3.0]
        assert numpy.sqrt(remote).tolist()[:2] == [0.0, 1.0]

    def test_an_array_of_numbers(self, give: Give) -> None:
        numpy = pytest.importorskip("numpy", reason="numpy is an extra")
        import array

        found = numpy.asarray(give(array.array("d", [1.0, 2.5])))
        assert found.tolist() == [1.0, 2.5]
        assert numpy.asarray(give(bytearray(b"ab")), dtype="uint16").tolist() == [97, 98]
        assert numpy.asarray(give(array.array("d"))).shape == (0,)
        square = numpy.asarray(give(memoryview(bytes(range(4))).cast("B", (2, 2))))
        assert square.tolist() == [[0, 1], [2, 3]]

    def test_an_array_is_the_callers_own_to_write_to(self, give: Give) -> None:
        numpy = pytest.importorskip("numpy", reason="numpy is an extra")
        here = bytearray(b"abc" * BIG_VALUE)
        for original in (here, bytearray(b"abc")):
            found = numpy.asarray(give(original))
            if sys.version_info < (3, 12):  # from there on numpy takes a memoryview
                found[0] = 0
            assert original[:3] == b"abc"
            assert numpy.asarray(give(original))[:3].tolist() == [97, 98, 99]

    def test_generators(self, wire: FakeWire, give: Give) -> None:
        def numbers() -> Iterator[Any]:
            got = yield 1
            try:
                yield got
            except ValueError as exc:
                yield exc.args
            raise KeyError("end")

        p = give(numbers())
        assert iter(p) is p
        assert next(p) == 1
        assert p.send("hello") == "hello"
        assert p.throw(ValueError("thrown")) == ("thrown",)
        with pytest.raises(KeyError, match="end"):
            next(p)
        q = give(numbers())
        next(q)
        next(q)
        assert q.throw(ValueError, "text") == ("text",)
        q.close()
        assert list(give(iter(()))) == []

    @pytest.mark.parametrize(
        "arguments",
        [
            (LookupError,),
            (LookupError, None),
            (LookupError, "text"),
            (LookupError, ("two", "texts")),
            (LookupError, KeyError("of a subclass")),
            (LookupError, ValueError("of another class")),
        ],
    )
    def test_what_is_thrown_by_its_class_is_what_python_makes_of_it(
        self, give: Give, arguments: tuple[Any, ...]
    ) -> None:
        def caught() -> Iterator[Any]:
            try:
                yield None
            except Exception as exc:
                yield type(exc).__name__, str(exc), len(exc.args)

        local, remote = caught(), give(caught())
        next(local), next(remote)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on
            expected = local.throw(*arguments)
        assert remote.throw(*arguments) == expected

    def test_an_exception_that_is_thrown_in_comes_home_as_itself(
        self, wire: FakeWire, give: Give
    ) -> None:
        def generate() -> Any:
            yield 1

        remote = give(generate())
        assert next(remote) == 1
        thrown = ValueError("in")
        with pytest.raises(ValueError, match="in") as info:
            remote.throw(thrown)
        assert info.value is thrown
        assert not wire.left.session._left

    def test_iterators_with_effects_are_pulled_one_by_one(self, give: Give) -> None:
        pulled = []

        def numbers() -> Iterator[int]:
            for number in range(100):
                pulled.append(number)
                yield number

        iterator = iter(give(numbers()))
        assert next(iterator) == 0
        assert pulled == [0]

    def test_copy(self, give: Give) -> None:
        numbers = [[1], 2]
        p = give(numbers)
        shallow, deep = copy.copy(p), copy.deepcopy(p)
        numbers[0].append(7)  # type: ignore[union-attr]
        assert shallow == [[1, 7], 2]
        assert deep == [[1], 2]
        with pytest.raises(AccessDenied, match="only builtin containers"):
            copy.copy(give(Sender()))


class TestPickle:
    def test_needs_both_sides(self) -> None:
        allowed = Config(allow_pickle=True, allow_public_attrs=True)
        for left, right in ((PUBLIC, allowed), (allowed, PUBLIC)):
            _, give = make(right, left)
            with pytest.raises(AccessDenied, match="allow_pickle is off"):
                pickle.dumps(give([1]))

    def test_where_it_is_allowed(self) -> None:
        _, give = make(Config(allow_pickle=True), Config(allow_pickle=True))
        assert pickle.loads(pickle.dumps(give([1, {"a": 2}]))) == [1, {"a": 2}]


class Local(list[int]):
    pass


class TestTypes:
    TRUSTING = Config(trust_class_names=True)

    @pytest.mark.parametrize(
        ("thing", "cls"),
        [
            ([], list),
            ({}, dict),
            (set(), set),
            (bytearray(), bytearray),
            (len, types.BuiltinFunctionType),
            (lambda: 0, types.FunctionType),
            (types, types.ModuleType),
            (Sender, type),
            (Local(), list),
        ],
    )
    def test_builtins_for_everybody(self, thing: Any, cls: type) -> None:
        for left in (Config(), self.TRUSTING):
            wire, give = make(PUBLIC, left)
            p = give(thing)
            assert isinstance(p, cls)
            assert issubclass(p.__class__, cls)
            assert not isinstance(p, (str, int))
            assert issubclass(type(p), RemoteObject)
            assert wire.log == []

    def test_other_classes_where_names_are_trusted(self) -> None:
        for left, known in ((Config(), False), (self.TRUSTING, True)):
            wire, give = make(PUBLIC, left)
            assert isinstance(give(Sender()), Sender) is known
            assert isinstance(give(Local()), Local) is known
            assert give(Sender()).__class__ is (Sender if known else type(give(Sender())))
            assert wire.log == []

    def test_nobody_passes_for_a_str_without_trust(self) -> None:
        class Sly(str):
            __slots__ = ()

        for left, known in ((Config(), False), (self.TRUSTING, True)):
            _, give = make(PUBLIC, left)
            assert isinstance(give(Sly("a")), str) is known
            assert isinstance(give(ValueError()), Exception) is known

    def test_remote_classes_are_asked_or_known(self) -> None:
        wire, give = make(PUBLIC)
        remote_class = give(Sender)
        remote = give(Sender())
        assert isinstance(remote, remote_class)
        assert wire.log == ROUND_TRIP
        assert not isinstance(give(Equal(1)), remote_class)
        assert not isinstance(7, remote_class)
        assert issubclass(give(Local), give(list))
        assert not issubclass(give(Equal), remote_class)
        wire.log.clear()
        assert isinstance([], remote_list := give(list))
        assert isinstance(give([]), remote_list)
        assert not isinstance(7, remote_list)
        assert isinstance(7, give(int))
        assert isinstance(give(Local()), remote_list)
        assert not isinstance(give(Sender()), remote_list)

    def test_the_type_of_a_proxy_says_what_it_is(self, give: Give) -> None:
        assert repr(type(give(Sender()))) == f"<netref class '{__name__}.Sender'>"

    def test_a_proxy_class_is_not_called(self, give: Give) -> None:
        with pytest.raises(TypeError, match="proxies are made by their connection"):
            type(give(Sender()))()

    def test_classes_are_called_and_have_the_methods_of_their_instances(self) -> None:
        _, give = make(CLASSIC)
        remote = give(Equal)
        one = remote(4)
        assert one.value == 4
        assert remote.__add__(one, 1).value == 5
        assert remote.__name__ == "Equal"
        assert give(dict).fromkeys("ab") == {"a": None, "b": None}
        assert give(str).upper("abc") == "ABC"

    def test_a_method_of_a_class_gets_the_object_that_it_is_to_change(self) -> None:
        _, give = make(CLASSIC, CLASSIC)
        table = {"a": 1}
        give(Counter).update(table, {"a": 2})
        assert table == {"a": 3}

    def test_the_classes_of_builtins_are_shared_between_connections(self) -> None:
        one, two = make()[1]([]), make()[1]([])
        assert type(one) is type(two)
        assert type(make()[1](Sender())) is not type(make()[1](Sender()))

    def test_what_is_shared_does_not_pile_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(netref, "_MAX_SHARED", 2)
        monkeypatch.setattr(netref, "_shared", {})
        names = ("list", "dict", "set", "bytearray", "generator")
        classes = {proxy_class(NOTHING._replace(name=name)) for name in names}
        assert len(classes) == 5
        assert len(netref._shared) == 2

    @pytest.mark.parametrize(
        "claim", [{"name": "n"}, {"methods": ("no_method_of_lists",)}, {"bases": ("a.b",)}]
    )
    def test_what_a_peer_makes_up_is_not_shared(
        self, monkeypatch: pytest.MonkeyPatch, claim: dict[str, Any]
    ) -> None:
        monkeypatch.setattr(netref, "_shared", {})
        proxy_class(NOTHING._replace(**{"name": "list", **claim}))
        assert netref._shared == {}

    def test_classes_die_with_their_connection(self) -> None:
        wire, give = make()
        import weakref

        cls = weakref.ref(type(give(Sender())))
        assert cls() is not None
        del wire, give
        gc.collect()
        assert cls() is None


class View:
    """As netobj.restricted makes them: an access rule of its own."""

    def __init__(self, obj: Any, names: set[str]) -> None:
        self._obj, self._names = obj, names

    def _netobj_getattr(self, name: str) -> Any:
        if name not in self._names:
            raise AttributeError(f"{name} is not in the list")
        return getattr(self._obj, name)


class TestRestricted:
    def test_two_views_of_one_class_are_not_mixed_up(self, wire: FakeWire, give: Give) -> None:
        thing = Sender()
        reader, writer = give(View(thing, {"limit"})), give(View(thing, {"send"}))
        assert writer.send(1) == ("sent", 1)
        assert reader.limit == 5
        for proxy, name in ((reader, "send"), (writer, "limit"), (reader, "_obj")):
            with pytest.raises(AttributeError, match="is not in the list"):
                getattr(proxy, name)

    def test_they_are_described_as_having_nothing(self, give: Give) -> None:
        description = give(View(Sender(), {"send"})).____handle__.imported.description
        assert (description.methods, description.specials) == ((), ())


def test_what_a_fetched_method_has(give: Give) -> None:
    _, give = make(CLASSIC)
    p = give(Sender())
    orig = p.send
    p.send = 7
    assert orig.__qualname__ == "Sender.send"
    assert orig.__func__.__qualname__ == "Sender.send"


def test_the_repr_where_the_connection_is_lost(wire: FakeWire, give: Give) -> None:
    p = give(Equal(3))
    method = give(Sender()).send
    wire.lose()
    assert repr(p).startswith("<netref of a ")
    assert repr(method).startswith("<remote method send of a ")


def test_dir_where_it_is_refused() -> None:
    _, give = make(PUBLIC)

    class Refuses:
        def visible(self) -> None: ...

        def __dir__(self) -> Any:
            raise AccessDenied("not shown")

    assert dir(give(Refuses())) == ["visible"]


class TestFinalizers:
    def test_nothing_in_a_finalizer_waits(self, wire: FakeWire, give: Give) -> None:
        p = give([1])
        p.append(2)
        wire.log.clear()
        del p
        gc.collect()
        assert wire.log == []
        assert len(wire.left.session.boxing.dead) == 1
        assert not hasattr(netref.Netref, "__del__")

    def test_a_new_proxy_while_the_handle_lives(self, give: Give) -> None:
        p = give(Sender())
        method = p.send
        handle = p.____handle__
        del p
        assert proxy_for(handle) is method.__self__


def test_remote_exceptions_in_special_methods(give: Give) -> None:
    class Angry:
        def __len__(self) -> int:
            raise LookupError("angry")

    with pytest.raises(LookupError, match="angry"):
        len(give(Angry()))


def test_arguments_named_self(give: Give) -> None:
    p = give(lambda **kwargs: tuple(kwargs.items()))
    names = ("self", "args", "handle", "proxy", "path")
    assert p(**dict.fromkeys(names, 1)) == tuple((name, 1) for name in names)


class TestOnTheClass:
    """What is read from a proxy's class is the descriptor itself."""

    def test_methods_and_attributes(self, give: Give) -> None:
        proxy = give(Sender())
        kind = type(proxy)
        assert type(vars(kind)["send"].__get__(None, kind)).__name__ == "_MethodAttribute"
        for name in ("__init__", "__reduce__"):
            attribute = getattr(kind, name)
            assert type(attribute).__name__ == "_RemoteAttribute"
        assert kind.__module__ == Sender.__module__

    def test_the_remote_ones_are_not_replaced(self, give: Give) -> None:
        proxy = give(Sender())
        with pytest.raises(AttributeError, match="__init__"):
            object.__setattr__(proxy, "__init__", None)

    def test_the_module_of_a_function(self) -> None:
        wire = FakeWire(
            right_root={"f": inspect.cleandoc, "x": [1]}, left_config=CLASSIC, right_config=CLASSIC
        )
        assert wire.left.root["f"].__module__ == "inspect"
        with pytest.raises(AttributeError):
            _ = wire.left.root["x"].__module__

    def test_throw_without_an_exception(self, give: Give) -> None:
        generator = give(number for number in range(3))
        with pytest.raises(TypeError):
            generator.throw()


def test_a_method_that_is_deleted_goes_on_for_those_who_hold_it() -> None:
    class Thing:
        @staticmethod
        def method() -> int:
            return 1

    wire = FakeWire(right_root={"Thing": Thing}, left_config=CLASSIC, right_config=CLASSIC)
    thing = wire.left.root["Thing"]
    method = thing.method
    del thing.method
    assert not hasattr(Thing, "method")
    assert method() == 1

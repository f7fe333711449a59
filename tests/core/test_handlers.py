"""What each operation does, asked for as a peer may: also in ways that no proxy of ours would."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from itertools import count
from types import CoroutineType, SimpleNamespace
from typing import Any, NamedTuple

import numpy
import pandas
import pytest

from fakewire import CLASSIC, PUBLIC, Answer, FakeWire
from netobj.core import exposure as exposures
from netobj.core import handlers, values
from netobj.core.boxing import ByValue, Raised
from netobj.core.config import Config
from netobj.core.consts import BIG_VALUE, SPECIAL_INDEX, Op
from netobj.core.ends import Duplex
from netobj.core.events import Request
from netobj.core.exposure import Exposure, Mounted, Run, exposed
from netobj.core.handle import RemoteObject
from netobj.core.handlers import (
    MOST_STEPS,
    declared_run,
    is_concurrent,
    perform,
    runs_on_loop,
    walk,
)
from netobj.core.outcomes import Awaited, Opened, Opener, Streamed
from netobj.core.session import Session
from netobj.errors import AccessDenied, LimitExceeded, NotEncodable, ProtocolError


class Inner:
    exposed_name = "inner"

    def exposed_double(self, x: int) -> int:
        return 2 * x


class Root:
    """A root with something of everything.

    And a docstring of two lines.
    """

    secret = 1
    exposed_inner = Inner()

    def __init__(self) -> None:
        self.exposed_table: Any = {"k": Inner(), 1: [10]}

    def exposed_plain(self, a: int, b: int = 2) -> tuple[int, int]:
        """Plain."""
        return a, b

    @exposed(by_value=True)
    def copied(self) -> list[Any]:
        return [1, [2]]

    @exposed(concurrent=True)
    def side_by_side(self) -> None: ...

    @exposed
    def one_by_one(self) -> None: ...

    @exposed(idempotent=True)
    def again(self) -> int:
        return 7


def make(config: Config | None = None, root: object = None) -> FakeWire:
    return FakeWire(None, root or Root(), left_config=CLASSIC, right_config=config or Config())


@pytest.fixture
def wire() -> FakeWire:
    return make()


def ask(wire: FakeWire, op: int, path: Any = None, *args: Any, **kwargs: Any) -> Any:
    return wire.left.request(op, wire.left.root.____handle__, path, args, kwargs)


class TestPaths:
    def test_each_step_passes_the_policy(self, wire: FakeWire) -> None:
        assert ask(wire, Op.GET, "inner").name == "inner"
        assert ask(wire, Op.GET, ["inner", "name"]) == "inner"
        assert ask(wire, Op.GET, ["table", ("k",), "name"]) == "inner"
        assert ask(wire, Op.CALL, ["table", ("k",), "double"], 4) == 8
        assert ask(wire, Op.GET, ["table", (1,), (0,)]) == 10
        for path in ("secret", ["inner", "__class__"], ["table", ("k",), "__dict__"]):
            with pytest.raises(AccessDenied):
                ask(wire, Op.GET, path)

    def test_items_pass_it_too(self) -> None:
        wire = make(Config(allow_safe_attrs=False))
        with pytest.raises(AccessDenied, match="'__getitem__'"):
            ask(wire, Op.GET, ["table", ("k",)])

    def test_what_is_no_path(self, wire: FakeWire) -> None:
        policy = wire.right.session.policy
        for path in (7, b"inner", True):
            with pytest.raises(ProtocolError, match="a path is None, a name or a tuple"):
                walk(policy, Root(), path)
        with pytest.raises(AccessDenied, match="must be exactly a str"):
            walk(policy, Root(), (7,))
        with pytest.raises(AccessDenied):
            walk(policy, Root(), (("a", "b"),))
        assert wire.left.root.inner is not None


class TestOperations:
    def test_set_and_delete_at_a_path(self) -> None:
        wire = make(PUBLIC)
        root = wire.right.session.boxing.root
        ask(wire, Op.SET, ["table", ("k",)], "colour", "red")
        assert root.exposed_table["k"].colour == "red"  # type: ignore[attr-defined]
        ask(wire, Op.DELETE, ["table", ("k",)], "colour")
        assert not hasattr(root.exposed_table["k"], "colour")  # type: ignore[attr-defined]

    def test_they_are_off_by_default(self, wire: FakeWire) -> None:
        with pytest.raises(AccessDenied, match="allow_setattr is off"):
            ask(wire, Op.SET, None, "secret", 2)
        with pytest.raises(AccessDenied, match="allow_delattr is off"):
            ask(wire, Op.DELETE, None, "secret")

    def test_dir_shows_what_the_policy_shows(self, wire: FakeWire) -> None:
        names = ask(wire, Op.DIR)
        assert {"plain", "inner", "table", "copied"} <= set(names)
        assert "secret" not in names
        assert "name" in ask(wire, Op.DIR, "inner")

    def test_documents(self, wire: FakeWire) -> None:
        text, signature, *_ = ask(wire, Op.DOCUMENT)
        assert text.startswith("A root with something")
        assert text.endswith("\n\nAnd a docstring of two lines.")
        assert signature is None
        text, signature, *_ = ask(wire, Op.DOCUMENT, "plain")
        assert text == "Plain."
        assert signature.startswith("(a:")
        assert ask(wire, Op.DOCUMENT, "inner")[0] == Inner.__doc__

    def test_no_documents_where_they_are_refused(self) -> None:
        wire = make(Config(allow_safe_attrs=False))
        with pytest.raises(AccessDenied, match="'__doc__'"):
            ask(wire, Op.DOCUMENT)
        assert ask(make(root=OwnRules()), Op.DOCUMENT)[:2] == (None, None)

    def test_ping(self, wire: FakeWire) -> None:
        assert ask(wire, Op.PING, None, "data") == "data"

    def test_results_declared_by_value(self, wire: FakeWire) -> None:
        found = ask(wire, Op.CALL, "copied")
        assert type(found) is list
        assert found == [1, [2]]

    def test_arguments_declared_by_value(self) -> None:
        class Taker:
            @exposed(arguments_by_value=True)
            def take(self, *args: Any, **kwargs: Any) -> tuple[str, ...]:
                return tuple(type(arg).__name__ for arg in (*args, *kwargs.values()))

        wire = make(root=Taker())
        given = ([1], {1: 2}, (3,), 4)
        assert ask(wire, Op.CALL, "take", *given, x={5}) == ("list", "dict", "tuple", "int", "set")

    def test_what_nobody_asks(self, wire: FakeWire) -> None:
        with pytest.raises(ProtocolError, match="the operation 99 is not one"):
            ask(wire, 99)
        for index in (-1, len(SPECIAL_INDEX), "x", None):
            with pytest.raises(ProtocolError, match="there is no special method"):
                ask(wire, Op.SPECIAL, None, index)
        assert ask(wire, Op.PING, None, 1) == 1  # the connection lives on


class OwnRules:
    def _netobj_getattr(self, name: str) -> Any:
        if name in ("open", "__call__"):
            return lambda *args: ("called", name, args)
        raise AttributeError(f"no {name} here")


class TestOwnRules:
    def test_they_decide_alone(self) -> None:
        wire = make(CLASSIC, OwnRules())
        assert ask(wire, Op.CALL, "open", 1) == ("called", "open", (1,))
        assert ask(wire, Op.CALL, None, 2) == ("called", "__call__", (2,))
        with pytest.raises(AttributeError, match="no __dict__ here"):
            ask(wire, Op.GET, "__dict__")
        with pytest.raises(AccessDenied):
            ask(wire, Op.SET, None, "open", 1)
        assert ask(wire, Op.DIR) == ()

    def test_of_what_a_path_leads_to(self) -> None:
        root = Root()
        root.exposed_table = OwnRules()
        wire = make(CLASSIC, root)
        assert ask(wire, Op.CALL, "table", 3) == ("called", "__call__", (3,))
        for op, args in (
            (Op.BUFFER, ()),
            (Op.COPY, ()),
            (Op.INSTANCE_CHECK, (1,)),
            (Op.SUBCLASS_CHECK, (1,)),
        ):
            with pytest.raises((AttributeError, TypeError)):
                ask(wire, op, "table", *args)


class TestSpecials:
    def test_through_the_policy(self, wire: FakeWire) -> None:
        assert ask(wire, Op.SPECIAL, "table", SPECIAL_INDEX["__len__"]) == 2
        with pytest.raises(AttributeError, match="has no special method __len__"):
            ask(wire, Op.SPECIAL, None, SPECIAL_INDEX["__len__"])
        closed = make(Config(safe_attrs=frozenset()))
        with pytest.raises(AccessDenied, match="'__len__'"):
            ask(closed, Op.SPECIAL, "table", SPECIAL_INDEX["__len__"])

    def test_exit_gets_its_three_arguments(self) -> None:
        class Manager:
            def __exit__(self, kind: Any, exc: Any, traceback: Any) -> Any:
                return kind, exc, traceback

        class Holder:
            exposed_it = Manager()

        wire = make(CLASSIC, Holder())
        index = SPECIAL_INDEX["__exit__"]
        assert ask(wire, Op.SPECIAL, "it", index) == (None, None, None)
        raised = wire.left.raised(KeyError("k"))
        kind, exc, traceback = ask(wire, Op.SPECIAL, "it", index, raised)
        assert kind.__name__ == "KeyError"
        assert exc.args == ("k",)
        assert traceback is None

    def test_the_reflected_method_of_a_copy(self) -> None:
        """The copy is over there, where the peer's interpreter cannot ask it."""
        from netobj.core.boxing import ByValue

        class Other:
            def __add__(self, other: object) -> Any:
                return NotImplemented

            def __eq__(self, other: object) -> Any:
                return NotImplemented

            __hash__ = None  # type: ignore[assignment]

        class Holder:
            exposed_it = Other()

        wire = make(CLASSIC, Holder())
        add, eq = SPECIAL_INDEX["__add__"], SPECIAL_INDEX["__eq__"]
        assert ask(wire, Op.SPECIAL, "it", add, ByValue([1])) is NotImplemented
        assert ask(wire, Op.SPECIAL, "it", eq, ByValue([1])) is NotImplemented
        assert ask(wire, Op.SPECIAL, "it", add, 1) is NotImplemented

    def test_copies_of_what_may_be_copied(self) -> None:
        class Copied:
            def __copy__(self) -> str:
                return "a copy"

        class Holder:
            exposed_it = Copied()
            exposed_plain = Inner()
            exposed_list = [1]  # noqa: RUF012

        for config, allowed in ((Config(), False), (CLASSIC, True)):
            wire = make(config, Holder())
            index = SPECIAL_INDEX["__copy__"]
            assert ask(wire, Op.SPECIAL, "it", index) == "a copy"
            assert list(ask(wire, Op.SPECIAL, "list", index)) == [1]
            if allowed:
                assert ask(wire, Op.SPECIAL, "plain", index).name == "inner"
            else:
                with pytest.raises(AccessDenied, match="without allow_all_attrs"):
                    ask(wire, Op.SPECIAL, "plain", index)


class Holder:
    def __init__(self, held: Any) -> None:
        self.exposed_it = held


class TestCopy:
    def test_plain_data_in_one_round_trip(self) -> None:
        wire = make(root=Holder([1, {"a": (2, {3})}, bytearray(b"x")]))
        proxy = wire.left.root.it
        with wire.counted() as log:
            assert wire.left.copy_of(proxy) == [1, {"a": (2, {3})}, bytearray(b"x")]
        assert log == ["left REQUEST", "right REPLY"]

    def test_what_is_none_stays_a_reference(self) -> None:
        inner = Inner()
        wire = make(root=Holder([1, inner, (Inner,)]))
        copied = wire.left.copy_of(wire.left.root.it)
        assert type(copied) is list
        assert issubclass(type(copied[1]), RemoteObject)
        assert copied[1].name == "inner"

    def test_only_of_containers(self) -> None:
        wire = make(root=Holder(Inner()))
        with pytest.raises(NotEncodable, match="copies plain data, and a 'Inner' object is none"):
            wire.left.copy_of(wire.left.root.it)

    def test_where_iterating_is_allowed(self) -> None:
        wire = make(Config(allow_safe_attrs=False), Holder([1]))
        with pytest.raises(AccessDenied, match="'__iter__'"):
            wire.left.copy_of(wire.left.root.it)


class TestBuffer:
    def test_bytes_their_format_and_shape(self) -> None:
        view = memoryview(bytes(24)).cast("i", (2, 3))
        wire = make(root=Holder(view))
        assert ask(wire, Op.BUFFER, "it") == (bytes(24), "i", (2, 3))

    @pytest.mark.parametrize("kept", [False, True])
    def test_a_large_array_is_read_when_it_leaves_if_the_caller_waits(self, kept: bool) -> None:
        numpy = pytest.importorskip("numpy", reason="numpy is an extra")
        array = numpy.zeros((2, BIG_VALUE))
        wire = make(root=Holder(array))
        token = wire.left.send(Op.BUFFER, "it", kept=kept)
        while not wire.right.session.out:
            assert wire.step()
        array[:] = 1
        wire.settle()
        data, code, shape = token.result()
        assert (code, shape) == ("d", array.shape)
        assert type(data) is bytes
        found = numpy.frombuffer(data).reshape(shape)
        assert found.tolist() == (numpy.zeros_like(array) if kept else array).tolist()

    @pytest.mark.parametrize("kind", ["strided", "records", "bytearray", "small"])
    def test_others_are_copied(self, kind: str) -> None:
        numpy = pytest.importorskip("numpy", reason="numpy is an extra")
        several: dict[str, Any] = {
            "strided": numpy.arange(2 * BIG_VALUE)[::2],
            "records": numpy.zeros(BIG_VALUE, dtype="i4,f8"),
            "bytearray": bytearray(BIG_VALUE),
            "small": numpy.arange(3),
        }
        original = several[kind]
        wire = make(root=Holder(original))
        token = wire.left.send(Op.BUFFER, "it", kept=False)
        expected = memoryview(original).tobytes()
        while not wire.right.session.out:
            assert wire.step()
        original[:] = original[::-1]
        if kind == "bytearray":
            original.append(1)  # nothing locks it
        wire.settle()
        assert token.result()[0] == expected

    def test_of_what_has_one(self) -> None:
        with pytest.raises(TypeError):
            ask(make(root=Holder([1])), Op.BUFFER, "it")

    def test_where_it_is_allowed(self) -> None:
        wire = make(Config(allow_safe_attrs=False), Holder(bytearray(b"a")))
        with pytest.raises(AccessDenied, match="refuses the contents"):
            ask(wire, Op.BUFFER, "it")


class TestFetch:
    def failing(self) -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("broken")

    def test_so_many_items_and_whether_there_are_more(self) -> None:
        wire = make(root=Holder(iter(range(5))))
        assert ask(wire, Op.FETCH, "it", 3, False) == ((0, 1, 2), False)
        assert ask(wire, Op.FETCH, "it", 3, False) == ((3, 4), True)
        assert ask(wire, Op.FETCH, "it", 3, False) == ((), True)

    def test_an_error_comes_after_the_items(self) -> None:
        wire = make(root=Holder(self.failing()))
        items, end = ask(wire, Op.FETCH, "it", 5, False)
        assert items == (1, 2)
        assert type(end) is KeyError
        assert end.args == ("broken",)

    def test_only_what_is_ready(self) -> None:
        wire = make(root=Holder(iter([1, 2, 3])))
        assert ask(wire, Op.FETCH, "it", 100, True) == ((1, 2, 3), False)
        assert ask(wire, Op.FETCH, "it", 100, True) == ((), True)

    def test_beginning_with_what_is_to_be_iterated(self) -> None:
        wire = make(root=Holder([1, 2, 3]))
        items, end, iterator = ask(wire, Op.FETCH, "it", 2, True, True)
        assert (items, end) == ((1, 2), False)
        assert next(iterator) == 3

    @pytest.mark.parametrize("number", [0, -1, True, None])
    def test_a_count_has_bounds(self, number: Any) -> None:
        wire = make(root=Holder(count()))
        with pytest.raises(ProtocolError, match="can be fetched"):
            ask(wire, Op.FETCH, "it", number, False)

    def test_where_it_is_allowed(self) -> None:
        wire = make(Config(allow_safe_attrs=False), Holder(iter([1])))
        with pytest.raises(AccessDenied, match="'__next__'"):
            ask(wire, Op.FETCH, "it", 1, False)


class TestClasses:
    def test_checks(self) -> None:
        class Derived(Inner):
            pass

        wire = make(root=Holder(Inner))
        assert ask(wire, Op.INSTANCE_CHECK, "it", 7) is False
        assert ask(wire, Op.SUBCLASS_CHECK, "it", int) is False
        wire.right.session.boxing.root.exposed_derived = Derived  # type: ignore[attr-defined]
        derived = wire.left.root.derived
        assert ask(wire, Op.SUBCLASS_CHECK, "it", derived) is True


class TestPickle:
    def test_is_off_by_default(self) -> None:
        with pytest.raises(AccessDenied, match="allow_pickle is off"):
            ask(make(root=Holder([1])), Op.PICKLE, "it", 2)

    def test_where_it_is_allowed(self) -> None:
        wire = make(Config(allow_pickle=True), Holder([1]))
        assert pickle.loads(ask(wire, Op.PICKLE, "it", 2)) == [1]


class TestPerform:
    def request(self, wire: FakeWire, *args: Any, **kwargs: Any) -> Request:
        handle = wire.left.root.____handle__
        session = wire.left.session
        session.request(Answer(), Op.CALL, handle, "plain", args, kwargs or None, 1)
        (request,) = wire.right.session.receive_data(wire.left.take(), 0.0)
        assert isinstance(request, Request)
        return request

    def test_arguments_and_keywords(self, wire: FakeWire) -> None:
        assert perform(wire.right.session, self.request(wire, 1)) == (1, 2)
        assert perform(wire.right.session, self.request(wire, 1, b=5)) == (1, 5)
        assert perform(wire.right.session, self.request(wire, a=7, b=5)) == (7, 5)

    def test_what_had_to_wait_is_completed_first(self, wire: FakeWire) -> None:
        request = self.request(wire, slice(2**70), b=Raised(()))
        assert request.deferred
        with pytest.raises(ProtocolError, match="malformed exception"):
            perform(wire.right.session, request)

    def test_what_the_thread_of_the_call_uses(self, wire: FakeWire) -> None:
        """Arguments and paths pass through *adapt*."""

        def adapt(value: Any) -> Any:
            if type(value) is tuple:
                return tuple(adapt(item) for item in value)
            if type(value) is dict:
                return {name: adapt(item) for name, item in value.items()}
            return value * 2 if type(value) is int else value

        session = wire.right.session
        assert perform(session, self.request(wire, 1, b=5), adapt) == (2, 10)
        request = self.request(wire, 21)
        request.op = Op.PING
        assert perform(session, request, adapt) == 42

    def test_so_is_the_target(self, wire: FakeWire) -> None:
        request = self.request(wire, 4)
        request.deferred = True
        request.target = values.Deferred(Inner, ())
        request.path = "double"
        assert perform(wire.right.session, request) == 8

    def test_paths_are_completed_too(self, wire: FakeWire) -> None:
        request = self.request(wire)
        request.deferred = True
        request.path = (values.Deferred(str, ("inner",)), "name")
        request.op = Op.GET
        assert perform(wire.right.session, request) == "inner"


@pytest.mark.parametrize(
    ("path", "op", "expected"),
    [
        ("side_by_side", Op.CALL, True),
        ("one_by_one", Op.CALL, False),
        ("plain", Op.CALL, False),
        ("nothing", Op.CALL, False),
        ("side_by_side", Op.GET, False),
        (None, Op.CALL, False),
        (("side_by_side",), Op.CALL, True),
    ],
)
def test_what_may_overlap(wire: FakeWire, path: Any, op: int, expected: bool) -> None:
    request = Request(1, None, 1, op, wire.right.session.boxing.root, path, (), False)
    assert is_concurrent(wire.right.session, request) is expected


class Late:
    """Has methods that are awaited, and such that are streams."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def exposed_wait(self) -> int:
        return 1

    @exposed(by_value=True)
    async def rows(self) -> list[int]:
        return [1]

    @exposed(slow=True)
    def slow(self) -> None: ...

    @exposed(run="inline")
    def inline(self) -> None: ...

    @exposed(name="soon")
    async def under_another_name(self) -> None: ...

    @exposed(stream=True)
    def items(self) -> list[int]:
        return [1, 2]

    @exposed(stream=True)
    async def later(self) -> list[int]:
        return [1, 2]

    @exposed(stream=True)
    async def generated(self) -> AsyncIterator[int]:
        yield 1

    def exposed_generator(self) -> AsyncIterator[int]:
        return self.generated()

    def exposed_plain(self) -> Any:
        return self.exposed_wait()

    def exposed_talk(self, end: Any, *args: Any) -> None: ...

    @exposed(arguments_by_value=True)
    def copying(self, end: Any, *args: Any, **kwargs: Any) -> None: ...

    def __await__(self) -> Iterator[None]:
        return iter(())

    async def __anext__(self) -> int:
        return 1

    async def __aenter__(self) -> str:
        return "entered"

    async def __aexit__(self, *exc: object) -> None:
        self.heard.append(exc)


class Converses:
    async def talk(self, end: Any, *args: Any) -> None: ...


async def _number(value: int) -> int:
    return value


class AwaitedByPrefix:
    """Two things that may be meant by awaiting it, of which the second is open."""

    def __await__(self) -> Any:
        return _number(1).__await__()

    def exposed___await__(self) -> Any:
        return _number(2).__await__()


class AwaitedByRule(AwaitedByPrefix):
    def _netobj_getattr(self, name: str) -> Any:
        if name == "__await__":
            return self.exposed___await__
        raise AccessDenied(name)


def outcome(root: object, op: int, path: Any, *args: Any, config: Config | None = None) -> Any:
    """What performing the request comes to, before a front-end has done anything about it."""
    wire = make(config, root)
    wire.left.send(op, path, *args, kept=False)
    (request,) = wire.right.session.receive_data(wire.left.take(), 0.0)
    assert isinstance(request, Request)
    return perform(wire.right.session, request)


def done(awaited: Any) -> Any:
    """What comes of it in the end."""
    assert type(awaited) is Awaited

    async def wait() -> Any:
        return await awaited.awaitable

    return awaited.finish(asyncio.run(wait()))


class TestWhatIsAwaited:
    def test_async_def(self) -> None:
        assert done(outcome(Late(), Op.CALL, "wait")) == 1

    def test_what_returns_a_coroutine(self) -> None:
        assert done(outcome(Late(), Op.CALL, "plain")) == 1

    def test_not_in_classic_mode_where_a_coroutine_is_an_object(self) -> None:
        made = outcome(Late(), Op.CALL, "exposed_wait", config=CLASSIC)
        assert type(made) is CoroutineType
        made.close()

    def test_but_there_too_where_it_is_declared(self) -> None:
        assert done(outcome(Late(), Op.CALL, "rows", config=CLASSIC)).value == [1]

    def test_results_by_value(self) -> None:
        result = done(outcome(Late(), Op.CALL, "rows"))
        assert type(result) is ByValue

    def test_the_methods_of_asynchronous_generators(self) -> None:
        wire = make(CLASSIC, Late())
        items = ask(wire, Op.CALL, "generator")
        assert wire.left.request(Op.CALL, items.____handle__, "asend", (None,)) == 1
        assert wire.left.request(Op.CALL, items.____handle__, "aclose", ()) is None

    @pytest.mark.parametrize(
        ("name", "expected"), [("__anext__", 1), ("__aenter__", "entered"), ("__aexit__", None)]
    )
    def test_special_methods(self, name: str, expected: Any) -> None:
        assert done(outcome(Late(), Op.SPECIAL, None, SPECIAL_INDEX[name])) == expected

    def test_leaving_by_an_exception(self) -> None:
        root = Late()
        index = SPECIAL_INDEX["__aexit__"]
        thrown = make(None, None).left.raised(KeyError("k"))
        done(outcome(root, Op.SPECIAL, None, index, thrown))
        ((kind, exc, _),) = root.heard
        assert (kind, type(exc)) == (type(exc), kind)

    def test_awaiting_the_object_itself(self) -> None:
        root = Late()
        awaited = outcome(root, Op.SPECIAL, None, SPECIAL_INDEX["__await__"])
        assert type(awaited) is Awaited
        assert awaited.awaitable is root

    def test_awaiting_goes_by_the_objects_own_rule(self) -> None:
        assert done(outcome(AwaitedByRule(), Op.SPECIAL, None, SPECIAL_INDEX["__await__"])) == 2

    def test_awaiting_what_the_prefix_means_by_it(self) -> None:
        config = Config(allow_safe_attrs=False)
        index = SPECIAL_INDEX["__await__"]
        assert done(outcome(AwaitedByPrefix(), Op.SPECIAL, None, index, config=config)) == 2

    def test_where_the_policy_refuses_it(self) -> None:
        with pytest.raises(AccessDenied):
            outcome(
                Late(),
                Op.SPECIAL,
                None,
                SPECIAL_INDEX["__await__"],
                config=Config(allow_safe_attrs=False),
            )


class TestStreams:
    def test_what_is_declared_one(self) -> None:
        result = outcome(Late(), Op.CALL, "items")
        assert type(result) is Streamed
        assert list(result.items) == [1, 2]

    def test_an_asynchronous_generator(self) -> None:
        result = outcome(Late(), Op.CALL, "generated")
        assert type(result) is Streamed
        assert result.asynchronous

    def test_one_that_has_to_be_awaited_first(self) -> None:
        result = done(outcome(Late(), Op.CALL, "later"))
        assert list(result.items) == [1, 2]

    def test_what_is_none(self) -> None:
        root = Root()
        root.exposed_table = exposed(stream=True)(lambda: 7)
        with pytest.raises(TypeError, match=r"stream=True has returned a 'int'.*not iterable"):
            outcome(root, Op.CALL, "table")


class TestOpening:
    @pytest.mark.parametrize("path", [["talk", "open"], ["exposed_talk", "open"]])
    def test_a_method(self, path: Any) -> None:
        result = outcome(Late(), Op.CALL, path, 1, 2)
        assert type(result) is Opened
        assert result.function.__name__ == "exposed_talk"
        assert result.args == (1, 2)

    @pytest.mark.parametrize(
        "path", [["private", "open"], ["talk", "close"], ["talk", "open", "x"]]
    )
    def test_nothing_else(self, path: Any) -> None:
        with pytest.raises((AccessDenied, AttributeError)):
            outcome(Late(), Op.CALL, path)

    def test_of_a_root_that_declares_something_for_all_its_methods(self) -> None:
        for exposure in (Exposure(by_value=True), Exposure(stream=True)):
            root: Any = Late()
            root.EXPOSURE = exposure
            assert type(outcome(root, Op.CALL, ["talk", "open"])) is Opened

    def test_arguments_by_value(self) -> None:
        wire = make(root=Late())
        opened: list[Any] = []
        wire.right.answer = lambda request, value: opened.append(value)  # type: ignore[method-assign]
        wire.left.send(Op.CALL, ["copying", "open"], [1, [2]], kwargs={"more": {3: 4}}, kept=False)
        wire.settle()
        (result,) = opened
        assert (result.args, result.kwargs) == (([1, [2]],), {"more": {3: 4}})

    def test_what_was_fetched_keeps_what_the_method_declares(self) -> None:
        wire = make(root=Late())
        found = ask(wire, Op.GET, ["copying", "open"])
        opened: list[Any] = []
        wire.right.answer = lambda request, value: opened.append(value)  # type: ignore[method-assign]
        wire.left.send(Op.CALL, None, [1, [2]], target=found.____handle__, kept=False)
        wire.settle()
        (result,) = opened
        assert result.args == ([1, [2]],)

    def test_the_arguments_of_a_fetched_async_def_are_not_for_this_thread(self) -> None:
        wire = make()
        session, function = wire.right.session, Opener(Converses().talk)
        request = Request(1, None, 1, Op.CALL, function, None, (1,), False)
        result: Any = perform(session, request, adapt=lambda value: value and "adapted")
        assert type(result) is Opened
        assert result.args == (1,)

    def test_a_method_as_itself_stays_what_it_is(self) -> None:
        """What the name leads to can be had, and called later."""
        wire = make(root=Late())
        found = ask(wire, Op.GET, ["talk", "open"])
        end = wire.left.request(Op.CALL, found.____handle__, None, (1,))
        assert type(end) is Duplex
        assert list(end) == []
        end.close()


def is_slow(session: Session, request: Request) -> bool:
    return declared_run(session, request) is Run.THREAD


class Outer(Late):
    """Has such a one in it, under a name."""

    inner = Mounted(Late())


@pytest.mark.parametrize(
    ("op", "path", "args", "slow", "on_loop"),
    [
        (Op.CALL, "wait", (), False, True),
        (Op.CALL, "exposed_wait", (), False, True),
        (Op.CALL, "plain", (), False, False),
        (Op.CALL, "generated", (), False, True),
        (Op.CALL, "slow", (), True, False),
        (Op.CALL, ("slow",), (), True, False),
        (Op.CALL, ("slow", "open"), (), False, False),
        (Op.CALL, ("slow",) * 9, (), False, False),
        (Op.CALL, ("inner", "slow"), (), True, False),
        (Op.CALL, ("inner", "wait"), (), False, True),
        (Op.CALL, "inline", (), False, True),
        (Op.CALL, "soon", (), False, True),
        (Op.CALL, "nothing", (), False, False),
        (Op.CALL, None, (), False, False),
        (Op.GET, "wait", (), False, False),
        (Op.SPECIAL, None, (SPECIAL_INDEX["__anext__"],), False, True),
        (Op.SPECIAL, None, (SPECIAL_INDEX["__len__"],), False, False),
        (Op.SPECIAL, None, (), False, False),
        (Op.SPECIAL, None, ("1",), False, False),
        (Op.SPECIAL, None, (-1,), False, False),
        (Op.SPECIAL, None, (10**6,), False, False),
    ],
)
def test_where_a_call_is_to_run(
    op: int, path: Any, args: tuple[Any, ...], slow: bool, on_loop: bool
) -> None:
    session = make(root=Outer()).right.session
    request = Request(1, None, 1, op, session.boxing.root, path, args, False)
    assert is_slow(session, request) is slow
    assert runs_on_loop(session, request) is on_loop


def test_where_a_function_is_to_run() -> None:
    async def task() -> None: ...

    session = make().right.session
    for target, expected in ((task, True), (exposed(slow=True)(lambda: None), False)):
        request = Request(1, None, 1, Op.CALL, target, None, (), False)
        assert runs_on_loop(session, request) is expected
        assert is_slow(session, request) is not expected


def test_of_an_answer_that_is_not_there_nothing_is_known() -> None:
    session = make().right.session
    target = values.Deferred(Late, ())
    for path in (None, "wait", "slow", "build", "count"):
        request = Request(1, None, 1, Op.CALL, target, path, (), True)
        assert not runs_on_loop(session, request)
        assert not is_slow(session, request)
        assert not is_concurrent(session, request)


def test_looking_where_a_call_is_to_run_asks_nobody() -> None:
    """The class may have a proxy as an attribute; who reads must not ask the peer."""

    class Looked:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("the reader looked")

    class Holding:
        exposed_it = Looked()

    session = make().right.session
    for target, path in ((Holding(), "it"), (Looked(), None), (Looked(), "it")):
        request = Request(1, None, 1, Op.CALL, target, path, (), False)
        assert not runs_on_loop(session, request)
        assert not is_slow(session, request)


class Guarded:
    """Counts to three, of which its rule shows the first only."""

    def __init__(self) -> None:
        self._items = iter((1, 2, 3))

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        return next(self._items)

    def _netobj_getattr(self, name: str) -> Any:
        if name == "__next__":
            return iter((1,)).__next__
        raise AccessDenied(name)


def test_fetching_goes_by_the_objects_own_rule() -> None:
    assert ask(make(root=Guarded()), Op.FETCH, None, 10, False) == ((1,), True)


def test_what_fails_while_items_are_fetched_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("in the midst")

    items, end = ask(make(root=broken()), Op.FETCH, None, 10, False)
    assert (items, type(end)) == ((1,), ValueError)
    assert "ValueError goes to the peer without its traceback" in caplog.text


def test_a_fetched_function_keeps_what_it_declares() -> None:
    class Owner:
        @exposed(by_value=True)
        def listing(self) -> list[int]:
            return [1]

    found = ask(make(root=Owner().listing), Op.CALL)
    assert (type(found), found) == (list, [1])


def test_private_names_are_not_shown_by_dir_itself() -> None:
    root = Root()
    root._hidden = 1  # type: ignore[attr-defined]
    with pytest.raises(AccessDenied):
        ask(make(root=root), Op.SPECIAL, None, SPECIAL_INDEX["__dir__"])
    with pytest.raises(AccessDenied):
        ask(make(root=root), Op.GET, "__dir__")
    assert "_hidden" not in ask(make(root=root), Op.DIR)


def test_scalars_of_numpy_are_no_targets_either() -> None:
    """Some of them are strs, whose format() reads any attribute."""
    numpy = pytest.importorskip("numpy")
    session = make().right.session
    request = Request(1, None, 1, Op.GET, numpy.str_("{0}"), "format", (), False)
    request.given = True
    with pytest.raises(AccessDenied, match="travels by value"):
        perform(session, request)


class Tardy:
    """Its methods are async, streams, or take steps."""

    @exposed
    async def later(self) -> int:
        return 3

    def exposed_plain(self) -> int:
        return 4


def test_an_async_method_that_is_known_already() -> None:
    wire = FakeWire(right_root=Tardy())
    assert [wire.left.root.later() for _ in range(3)] == [3, 3, 3]


def test_a_path_of_no_steps_is_the_target() -> None:
    wire = FakeWire(right_root=len, left_config=CLASSIC, right_config=CLASSIC)
    answer = wire.left.send(Op.CALL, [], "abc")
    wire.settle()
    assert answer.result() == 3


def test_a_field_of_a_named_tuple_that_travels_by_value() -> None:
    wire = FakeWire(right_root=Tardy())
    given = Named(Closed(), 2)
    answer = wire.left.send(Op.GET, "b", target=(given,))
    wire.settle()
    assert answer.result() == 2


class Named(NamedTuple):
    a: Any
    b: Any


class Closed:
    """Nothing of it can be reached."""


def test_what_is_opened_must_be_callable_for_the_peer() -> None:
    def function(end: Any) -> None:
        end.send(1)

    wire = FakeWire(right_root=function, left_config=CLASSIC, right_config=CLASSIC)
    answer = wire.left.send(Op.CALL, ["open"])
    wire.settle()
    assert list(answer.result()) == [1]


def test_copies_of_frames_whose_items_hold_references() -> None:
    thing = Closed()
    series = pandas.Series([1, thing], dtype=object)
    wire = FakeWire(right_root=[series], left_config=CLASSIC, right_config=CLASSIC)
    copy = wire.left.copy_of(wire.left.root[0])
    assert copy[0] == 1
    assert issubclass(type(copy[1]), RemoteObject)


def test_nothing_is_concurrent_where_nothing_was_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposures, "_declared_concurrent", False)
    wire = FakeWire(right_root=Tardy())
    request = Request(1, 1, None, Op.CALL, Tardy(), "plain", (), False)
    assert not is_concurrent(wire.right.session, request)


def test_a_value_is_its_own_copy() -> None:
    wire = FakeWire(right_root=["text"], left_config=CLASSIC, right_config=CLASSIC)
    answer = wire.left.send(Op.COPY, [(0,)])
    wire.settle()
    assert answer.result() == (False, "text")


@pytest.mark.parametrize("count", [3, BIG_VALUE])
def test_arrays_small_and_big(count: int) -> None:
    array = numpy.zeros(count, "u1")
    wire = FakeWire(right_root=[array], left_config=CLASSIC, right_config=CLASSIC)
    assert wire.left.copy_of(wire.left.root[0]).tolist() == array.tolist()


class Ruled:
    """Has an access rule of its own."""

    def _netobj_getattr(self, name: str) -> Any:
        raise AttributeError(name)


class Copies:
    def __init__(self) -> None:
        part = [1, 2]
        self.exposed_nested: Any = [part, part, {"k": {3}}, (part,), bytearray(b"x"), int, len, 5]
        self.exposed_nested.append(self.exposed_nested)
        self.exposed_guarded: Any = [Ruled()]
        self.exposed_within: Any = (Ruled(),)
        self.exposed_other: Any = [Inner()]
        self.exposed_add = [1].__add__
        self.exposed_append = list.append
        self.exposed_growing: Any = [0]
        self.exposed_guard = Ruled()


def there(wire: FakeWire, proxy: Any) -> Any:
    """What *proxy* stands for."""
    return wire.right.session.boxing.exports[proxy.____handle__.id].obj


class CopiesItself(list[int]):
    """Defines what its copy is."""

    def __deepcopy__(self, memo: Any) -> CopiesItself:
        return CopiesItself(self)


class TestDeepCopies:
    index = SPECIAL_INDEX["__deepcopy__"]

    def test_containers_and_what_is_plain(self) -> None:
        wire = make(root=Copies())
        nested = wire.right.session.boxing.root.exposed_nested  # type: ignore[attr-defined]
        found = there(wire, ask(wire, Op.SPECIAL, "nested", self.index))
        assert found is not nested
        assert found[:8] == nested[:8]
        assert found[0] is found[1] is found[3][0] is not nested[0]
        assert found[8] is found

    @pytest.mark.parametrize(
        "one", [[1], ([1],), frozenset((1,)), bytearray(b"x"), CopiesItself((1,))]
    )
    def test_what_is_there_twice_is_copied_once(self, one: Any) -> None:
        wire = make(root=SimpleNamespace(exposed_it=[one, one]))
        found = there(wire, ask(wire, Op.SPECIAL, "it", self.index))
        assert found == [one, one]
        assert found[0] is found[1] is not one

    def test_a_tuple_within_itself(self) -> None:
        loop: Any = ([],)
        loop[0].append(loop)
        wire = make(root=SimpleNamespace(exposed_it=[loop]))
        (found,) = there(wire, ask(wire, Op.SPECIAL, "it", self.index))
        assert found[0][0] is found is not loop

    @pytest.mark.parametrize("name", ["guarded", "within", "other"])
    def test_of_others_only_what_they_let_be_copied(self, name: str) -> None:
        with pytest.raises(AccessDenied, match="__deepcopy__"):
            ask(make(root=Copies()), Op.SPECIAL, name, self.index)

    def test_not_where_it_is_not_open(self) -> None:
        wire = make(Config(allow_safe_attrs=False), Copies())
        with pytest.raises(AccessDenied, match="__deepcopy__"):
            ask(wire, Op.SPECIAL, "nested", self.index)


class TestDiscretion:
    def test_a_path_has_a_bound(self, wire: FakeWire) -> None:
        with pytest.raises(ProtocolError, match="steps"):
            walk(wire.right.session.policy, Root(), ("inner",) * (MOST_STEPS + 1))

    def test_a_slot_that_is_given_nothing(self) -> None:
        with pytest.raises(TypeError):
            ask(make(root=Copies()), Op.CALL, "append")

    def test_the_other_operand_makes_nothing_huge_either(self) -> None:
        wire = make(root=SimpleNamespace(exposed_count=10**9, exposed_guard=Ruled()))
        index = SPECIAL_INDEX["__mul__"]
        root = wire.right.session.boxing.root
        with pytest.raises(LimitExceeded, match="__rmul__"):
            handlers._reflected(wire.right.session, 10**9, "__mul__", [0])
        found = handlers._reflected(wire.right.session, Ruled(), "__mul__", [0])
        assert (found, index) == (NotImplemented, index)
        assert root is not None

    def test_whoever_may_do_all_sees_all_of_a_signature(self) -> None:
        wire = make(CLASSIC)
        signature = ask(wire, Op.DOCUMENT, "exposed_plain")[1]
        assert signature == "(a: 'int', b: 'int' = 2) -> 'tuple[int, int]'"

    def test_an_array_that_is_none(self) -> None:
        class Odd:
            def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
                return [1]

        wire = make(root=Copies())
        with pytest.raises(NotEncodable, match="returned no array"):
            handlers._own_array(wire.right.session, Odd())

    def test_the_version_of_a_pickle_is_a_number(self) -> None:
        wire = make(Config(allow_pickle=True))
        with pytest.raises(ProtocolError, match="version of a pickle"):
            ask(wire, Op.PICKLE, None, "2")
        assert pickle.loads(ask(wire, Op.PICKLE, ["table", (1,)], 2)) == [10]
        wire.right.session.boxing.root.exposed_table = {1: Fraction(1, 2)}  # type: ignore[attr-defined]
        assert pickle.loads(ask(wire, Op.PICKLE, ["table", (1,)], 2)) == Fraction(1, 2)


def test_what_is_declared_is_told(wire: FakeWire) -> None:
    assert ask(wire, Op.DECLARED, "again") == ("idempotent",)
    assert ask(wire, Op.DECLARED, "plain") == ()
    assert ask(wire, Op.DECLARED) == ()
    with pytest.raises(AccessDenied):
        ask(wire, Op.DECLARED, "secret")
    assert wire.left.root.again() == 7


def test_what_a_whole_service_declares_is_told() -> None:
    class Careful(Root):
        EXPOSURE = Exposure(idempotent=True)

    wire = make(root=Careful())
    assert ask(wire, Op.DECLARED, "plain") == ("idempotent",)
    assert ask(wire, Op.DECLARED) == ()

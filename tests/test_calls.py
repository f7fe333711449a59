"""The call that is being served, deadlines and metadata of a scope, and what people are shown."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from netobj.calls import (
    Call,
    Pending,
    Scope,
    current_call,
    deadline,
    metadata,
    operation_name,
    report,
    scope,
    target_name,
    thread_name,
    time_for_stream,
)
from netobj.core.consts import Op
from netobj.core.describe import Description
from netobj.core.events import Request
from netobj.core.handle import Handle, ImportedClass
from netobj.core.values import Deferred
from netobj.errors import AsyncResultTimeout, CallCancelled


class Connection:
    closed = False
    peer_name = "the peer"
    config = SimpleNamespace(endpoints=(("here", 1), ("there", 2)), credentials="alice")

    def __repr__(self) -> str:
        return "<a connection>"


def request(path: Any = "add", target: object = (), op: int = Op.CALL) -> Request:
    return Request(7, 1, None, op, target, path, (), False)


def call(made: Request | None = None) -> Call:
    return Call(Connection(), made or request())


def serving(served: Call) -> Scope:
    return Scope(served.connection, served.request)


@pytest.fixture(autouse=True)
def _scope() -> Iterator[None]:
    yield
    assert vars(scope.get()) == vars(Scope())


class TestCall:
    def test_what_it_knows(self) -> None:
        made = request()
        made.since, made.where, made.metadata = 5.0, "thread 'x'", {"user": "alice"}
        served = call(made)
        assert served.name == "tuple.add()"
        assert (served.peer, served.credentials) == (("there", 2), "alice")
        assert (served.since, served.where) == (5.0, "thread 'x'")
        assert served.metadata == {"user": "alice"}
        assert repr(served) == "<netobj.Call of tuple.add() by the peer>"

    def test_what_it_does_not_know(self) -> None:
        served = call()
        served.connection.config = SimpleNamespace(endpoints=None, credentials=None)
        assert (served.peer, served.credentials, served.where) == (None, None, None)
        assert (served.metadata, served.deadline, served.time_left) == ({}, None, None)

    def test_two_of_one_request_are_equal(self) -> None:
        made = request()
        assert call(made) == call(made)
        assert hash(call(made)) == hash(call(made))
        assert call(made) != call()
        assert call(made) != made

    def test_of_an_answer_that_is_not_there(self) -> None:
        served = call(request("read", Deferred(int, ())))
        assert served.name == "a pending result.read()"

    def test_it_goes_on_while_somebody_waits(self) -> None:
        served = call()
        assert not served.cancelled
        served.check()

    def test_nobody_waits_any_more(self) -> None:
        made = request()
        made.cancelled = True
        assert call(made).cancelled
        with pytest.raises(CallCancelled, match=r"nobody waits for the answer of tuple\.add\(\)"):
            call(made).check()

    def test_nor_after_the_end_of_the_connection(self) -> None:
        served = call()
        served.connection.closed = True
        assert served.cancelled
        with pytest.raises(CallCancelled):
            served.check()

    def test_it_looks_at_the_clock_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A deadline that passes meanwhile is none that somebody has cancelled for."""
        times = iter((9.999, 10.001))
        monkeypatch.setattr("netobj.calls.time", SimpleNamespace(monotonic=lambda: next(times)))
        made = request()
        made.deadline = 10.0
        served = call(made)
        served.check()
        with pytest.raises(AsyncResultTimeout):
            served.check()

    def test_its_time_is_over(self) -> None:
        made = request()
        made.deadline = time.monotonic() - 1
        served = call(made)
        assert served.cancelled
        assert served.time_left is not None
        assert served.time_left <= -1
        with pytest.raises(AsyncResultTimeout, match=r"the deadline of tuple\.add\(\) passed"):
            served.check()

    def test_its_time_is_not_over(self) -> None:
        made = request()
        made.deadline = time.monotonic() + 3600
        served = call(made)
        assert not served.cancelled
        assert served.time_left is not None
        assert 0 < served.time_left <= 3600
        served.check()


class TestScope:
    def test_it_has_the_chain_of_its_call(self) -> None:
        request = Request(1, 7, None, Op.CALL, None, "add", (), False)
        assert Scope(None, request).chain == 7
        nothing = Scope()
        assert (nothing.chain, nothing.metadata, nothing.batch) == (None, None, None)
        assert nothing.thread == 0

    def test_but_changes_a_copy(self) -> None:
        request = Request(1, 7, None, Op.CALL, None, "add", (), False)
        one = Scope(Connection(), request, 5.0, 3, 2)
        other = one.but(deadline=6.0, metadata={"user": "alice"})
        third = other.but(batch=1)
        assert (one.deadline, one.metadata) == (5.0, None)
        assert (other.deadline, other.metadata, other.batch) == (6.0, {"user": "alice"}, None)
        assert (third.deadline, third.metadata, third.batch) == (6.0, {"user": "alice"}, 1)
        for scoped in (other, third):
            kept = (scoped.request, scoped.chain, scoped.thread, scoped.depth)
            assert kept == (request, 7, 3, 2)
            assert scoped.call == one.call


class TestCurrentCall:
    def test_there_is_none(self) -> None:
        with pytest.raises(RuntimeError, match="serves no call"):
            current_call()

    def test_it_belongs_to_the_thread(self) -> None:
        served = call()
        found: list[Any] = []
        token = scope.set(serving(served))
        try:
            assert current_call() == served
            thread = threading.Thread(target=lambda: found.append(scope.get().call))
            thread.start()
            thread.join()
        finally:
            scope.reset(token)
        assert found == [None]

    def test_tasks_inherit_it(self) -> None:
        served = call()

        async def task() -> Call:
            return current_call()

        async def main() -> Call:
            scope.set(serving(served))
            return await asyncio.create_task(task())

        assert asyncio.run(main()) == served


class TestDeadline:
    def test_it_holds_in_the_block(self) -> None:
        before = time.monotonic()
        with deadline(60):
            until = scope.get().deadline
            assert until is not None
            assert before + 60 <= until <= time.monotonic() + 60
        assert scope.get().deadline is None

    def test_the_nearest_counts(self) -> None:
        with deadline(60):
            outer = scope.get().deadline
            with deadline(3600):
                assert scope.get().deadline == outer
            with deadline(1):
                inner = scope.get().deadline
                assert inner is not None
                assert outer is not None
                assert inner < outer
            assert scope.get().deadline == outer

    def test_it_ends_with_an_exception_too(self) -> None:
        with pytest.raises(KeyError), deadline(1):
            raise KeyError

    def test_the_call_and_the_metadata_stay(self) -> None:
        served = call()
        token = scope.set(serving(served))
        with metadata(a=1), deadline(1):
            assert scope.get().call == served
            assert scope.get().metadata == {"a": 1}
        scope.reset(token)

    @pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, -math.inf])
    def test_what_is_no_time(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="a number of seconds"), deadline(seconds):
            pass

    @pytest.mark.parametrize("seconds", [0, math.inf, 10**12])
    def test_what_is_one(self, seconds: float) -> None:
        with deadline(seconds):
            assert scope.get().deadline is not None

    def test_the_time_to_wait_for_a_stream(self) -> None:
        assert time_for_stream() is None
        with deadline(60):
            left = time_for_stream()
            assert left is not None
            assert 0 < left <= 60
        with deadline(0), pytest.raises(AsyncResultTimeout, match="a stream was waited for"):
            time_for_stream()


class TestMetadata:
    def test_it_holds_in_the_block(self) -> None:
        with metadata(user="alice", n=1):
            assert scope.get().metadata == {"user": "alice", "n": 1}
        assert scope.get().metadata is None

    def test_blocks_add_up(self) -> None:
        with metadata(a=1, b=2):
            with metadata(b=3, c=4):
                assert scope.get().metadata == {"a": 1, "b": 3, "c": 4}
            assert scope.get().metadata == {"a": 1, "b": 2}

    @pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", b"raw"])
    def test_what_may_go_along(self, value: Any) -> None:
        with metadata(it=value):
            assert scope.get().metadata == {"it": value}

    @pytest.mark.parametrize("value", [[], {}, (), object(), int])
    def test_what_may_not(self, value: Any) -> None:
        with pytest.raises(TypeError, match="metadata 'it'"), metadata(it=value):
            pass


class TestForPeople:
    @pytest.mark.parametrize(
        ("op", "path", "expected"),
        [
            (Op.CALL, None, "Thing()"),
            (Op.CALL, "add", "Thing.add()"),
            (Op.GET, "name", "Thing.name (get)"),
            (Op.CALL, ["a", ("k",), (1,), "b"], "Thing.a['k'][1].b()"),
            (Op.CALL, ("a", (None,), 7, (1, 2)), "Thing.a[...][...][...]()"),
            (99, None, "Thing (an unknown operation)"),
            pytest.param(10**5000, None, "Thing (an unknown operation)", id="huge"),
            (Op.CALL, 7, "Thing[...]()"),
            (Op.CALL, "a\n  runs b", "Thing.a\\n  runs b()"),
            (Op.CALL, ["\ud800", "\x1b[31m"], "Thing.\\ud800.\\x1b[31m()"),
            (Op.CALL, ((10**5000,),), "Thing[...]()"),
        ],
    )
    def test_what_is_asked(self, op: int, path: Any, expected: str) -> None:
        assert operation_name(op, path, "Thing") == expected

    @pytest.mark.parametrize("path", ["x" * 10**6, ["x" * 10**6], ["x"] * 10**6, [("x" * 10**6,)]])
    def test_what_is_too_long_is_cut(self, path: Any) -> None:
        assert len(operation_name(Op.CALL, path, "Thing")) < 300

    def test_a_path_is_not_asked_what_it_is(self) -> None:
        """It could be a proxy, and the peer does not answer: that is why somebody looks."""

        class Proxy:
            def __getattribute__(self, name: str) -> Any:
                raise AssertionError("the peer was asked")

            def __iter__(self) -> Iterator[Any]:
                raise AssertionError("the peer was asked")

        assert operation_name(Op.CALL, Proxy(), "Thing") == "Thing[...]()"
        assert operation_name(Op.CALL, [Proxy(), (Proxy(),)], "Thing") == "Thing[...][...]()"

    def test_whom(self) -> None:
        description = Description(0, "m", "Thing", (), b"", (), False, False)
        handles = [Handle(None, number, ImportedClass(description)) for number in (0, 1)]
        assert [target_name(handle) for handle in handles] == ["root", "Thing"]
        assert target_name(None) == "root"
        assert target_name(object()) == "a pending result"

    def test_nothing_is_under_way(self) -> None:
        assert report(Connection(), [], []) == "<a connection>:\n  nothing is under way"

    def test_what_is_under_way_the_oldest_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 100.0
        monkeypatch.setattr("netobj.calls.time", SimpleNamespace(monotonic=lambda: now))
        running = [request(name) for name in ("late", "early")]
        for made, age in zip(running, (1, 2), strict=True):
            made.since = now - age
        running[1].where = "thread 'worker'"
        pending = [
            Pending(2, "root.b()", now - 3, "thread 'one'"),
            Pending(1, "root.a()", now - 4, "task 'two'"),
            Pending(3, "root.c()", now - 2, None),
        ]
        lines = report(Connection(), pending, [call(made) for made in running]).splitlines()
        assert lines == [
            "<a connection>:",
            "  waits for root.a() [request 1] since 4.000 s, in task 'two'",
            "  waits for root.b() [request 2] since 3.000 s, in thread 'one'",
            "  gave up root.c() [request 3] made 2.000 s ago, which is not answered yet",
            "  runs tuple.early() since 2.000 s, in thread 'worker'",
            "  runs tuple.late() since 1.000 s, not started",
        ]

    def test_a_thread(self) -> None:
        name = threading.current_thread().name
        assert thread_name(threading.get_ident()) == f"thread {name!r}"
        assert thread_name(-1) == "thread -1 (ended)"

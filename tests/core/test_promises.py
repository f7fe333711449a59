"""Promises and kept answers: who waits for whom, when the peer may forget, and what races do."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any

import msgpack
import pytest

from fakewire import Answer as Token
from fakewire import FakeWire, Side, bodies, fields
from netobj.core import values
from netobj.core.boxing import ByValue
from netobj.core.config import Config
from netobj.core.consts import DEFAULT_LIMITS, Ext, Kind, Limit, Op
from netobj.core.events import Dropped, Reply, Request
from netobj.core.framing import frame
from netobj.core.handle import RemoteResult
from netobj.core.promises import Answer, Promise
from netobj.core.session import Session
from netobj.errors import ConnectionLost, NotEncodable, ProtocolError

CALL = Op.CALL


class File:
    def __init__(self, name: str) -> None:
        self.name = name

    def exposed_read(self, count: int) -> str:
        return self.name[:count]

    def exposed_child(self, name: str) -> File:
        return File(f"{self.name}/{name}")


class Root:
    def __init__(self) -> None:
        self.rows = [[1], [2]]

    def exposed_open(self, name: str) -> File:
        return File(name)

    def exposed_add(self, *numbers: Any, **more: Any) -> Any:
        return sum(numbers) + sum(more.values())

    def exposed_fail(self) -> None:
        raise KeyError("no")

    def exposed_rows(self) -> Any:
        return ByValue(self.rows)

    def exposed_give(self, value: Any) -> Any:
        return value


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire(Root(), Root())


def message(*items: Any) -> bytes:
    return frame(values.pack(list(items)))


def promise_of(seq: int) -> msgpack.ExtType:
    return msgpack.ExtType(Ext.PROMISE, seq.to_bytes(8, "big"))


def sent(side: Side) -> list[Any]:
    return [fields(body) for data in side.session.out for body in bodies(bytes(data))]


class TestAnswer:
    def test_it_is_settled_once(self) -> None:
        answer = Answer()
        assert not answer.settled
        answer.settle(1)
        answer.settle(2, KeyError("late"))
        assert answer.settled
        assert answer.result() == 1

    def test_an_error_is_raised(self) -> None:
        answer = Answer()
        answer.settle(None, KeyError("no"))
        with pytest.raises(KeyError):
            answer.result()

    def test_an_error_does_not_gather_the_frames_of_all_who_fail_with_it(self) -> None:
        answer = Answer()
        error = KeyError("no")
        answer.settle(None, error)
        lengths = []
        for _ in range(3):
            with pytest.raises(KeyError):
                answer.result()
            lengths.append(len(list(frames_of(error))))
        assert len(set(lengths)) == 1

    def test_callbacks_are_called_once_each_in_their_order(self) -> None:
        answer = Answer()
        called: list[int] = []
        answer.when_settled(lambda: called.append(1))
        answer.when_settled(lambda: called.append(2))
        assert called == []
        answer.settle(None)
        answer.settle(None)
        assert called == [1, 2]
        answer.when_settled(lambda: called.append(3))
        assert called == [1, 2, 3]

    def test_a_callback_sees_the_answer(self) -> None:
        answer = Answer()
        seen: list[Any] = []
        answer.when_settled(lambda: seen.append((answer.settled, answer.result())))
        answer.settle(7)
        assert seen == [(True, 7)]

    @pytest.mark.parametrize("taken_by_settle", [False, True])
    def test_a_callback_that_comes_while_it_is_settled(self, taken_by_settle: bool) -> None:
        """The list was looked at before, the callback appended after; either side takes it out."""
        answer = Answer()
        called: list[int] = []

        class Late(list[Callable[[], object]]):
            def append(self, callback: Callable[[], object]) -> None:
                super().append(callback)
                answer._callbacks = None
                if taken_by_settle:
                    self.pop(0)()

        answer._callbacks = Late()
        answer.when_settled(lambda: called.append(1))
        assert called == [1]

    def test_a_callback_that_is_taken_out_while_it_is_settled(self) -> None:
        class Emptied(list[Callable[[], object]]):
            def __bool__(self) -> bool:
                return True

        answer = Answer()
        answer._callbacks = Emptied()
        answer.settle(1)
        assert answer.result() == 1

    @pytest.mark.parametrize(
        ("value", "error", "plain"),
        [
            (None, None, True),
            ("text", None, True),
            (b"raw", None, True),
            (True, None, True),
            ((), None, False),
            (File("a"), None, False),
            (None, KeyError("a"), False),
        ],
    )
    def test_what_can_be_let_go_anywhere(self, value: Any, error: Any, plain: bool) -> None:
        answer = Answer()
        answer.settle(value, error)
        assert answer.is_plain is plain

    def test_settling_and_asking_in_many_threads(self) -> None:
        with switching():
            for _ in range(300):
                answer = Answer()
                calls = [0] * 3
                begin = threading.Barrier(4)

                def ask(
                    index: int,
                    answer: Answer = answer,
                    calls: list[int] = calls,
                    begin: threading.Barrier = begin,
                ) -> None:
                    def called() -> None:
                        assert answer.result() == 7
                        calls[index] += 1

                    begin.wait()
                    for _ in range(5):
                        answer.when_settled(called)

                def settle(answer: Answer = answer, begin: threading.Barrier = begin) -> None:
                    begin.wait()
                    answer.settle(7)

                in_threads(*(lambda index=index: ask(index) for index in range(3)), settle)
                assert calls == [5, 5, 5]


def test_the_base_of_promises_has_no_answer() -> None:
    with pytest.raises(NotImplementedError):
        Promise().result()


class TestPipelining:
    def test_a_chain_of_calls_is_one_round_trip(self, wire: FakeWire) -> None:
        with wire.counted() as log:
            at = wire.left.send(CALL, "open", "a")
            for name in "bcdefgh":
                at = wire.left.send(CALL, "child", name, target=(at,))
            text = wire.left.send(CALL, "read", 100, target=(at,), kept=False)
            while wire.carry(wire.left):
                pass
            wire.settle()
        assert text.result() == "a/b/c/d/e/f/g/h"
        assert log == ["left REQUEST"] * 9 + ["right REPLY"] * 9

    def test_as_an_argument(self, wire: FakeWire) -> None:
        one = wire.left.send(CALL, "add", 1)
        two = wire.left.send(CALL, "add", one, one, kwargs={"more": one})
        three = wire.left.send(CALL, "give", (two, ByValue([one, {"k": two}])))
        wire.settle()
        assert three.result() == (3, [1, {"k": 3}])

    def test_in_a_path(self, wire: FakeWire) -> None:
        index = wire.left.send(CALL, "add", 1)
        wire.right.session.boxing.root.exposed_table = {1: "found"}
        found = wire.left.send(Op.GET, ["table", (index,)])
        wire.settle()
        assert found.result() == "found"

    def test_once_it_is_there_the_answer_itself_is_sent(self, wire: FakeWire) -> None:
        file = wire.left.send(CALL, "open", "name")
        number = wire.left.send(CALL, "add", 3)
        wire.settle()
        wire.left.send(CALL, "read", number, target=(file,))
        (_, request) = sent(wire.left)
        assert request[4][0].code == Ext.HOME
        assert request[6] == [3]
        wire.settle()

    def test_one_that_failed_is_raised_where_it_is_used(self, wire: FakeWire) -> None:
        failed = wire.left.send(CALL, "fail")
        wire.settle()
        with pytest.raises(KeyError):
            wire.left.send(CALL, "add", failed)
        assert wire.left.session.pending == {}
        wire.flush()
        assert wire.under_way() == (0, 0, 0, 0)

    def test_if_the_first_fails_the_rest_fail_with_its_error(self, wire: FakeWire) -> None:
        failed = wire.left.send(CALL, "fail")
        rest = [wire.left.send(CALL, "add", failed, 1)]
        rest.append(wire.left.send(CALL, "read", 1, target=(rest[0],)))
        wire.settle()
        for answer in rest:
            with pytest.raises(KeyError, match="no"):
                answer.result()

    def test_several_answers_that_are_not_there(self, wire: FakeWire) -> None:
        """The request waits for the last of them; the order in which they come is all one."""
        waiting = [wire.left.send(CALL, "add", number) for number in (1, 2)]
        total = wire.left.send(CALL, "add", *waiting)
        while wire.carry(wire.left):
            pass
        first, second, last = wire.right.events
        wire.right.events.clear()
        assert isinstance(last, Request)
        assert [answer.settled for answer in last.awaits] == [False, False]
        wire.right.handle(last)
        wire.right.handle(second)
        assert [answer.settled for answer in last.awaits] == [False, True]
        wire.right.handle(first)
        assert wire.right.events.popleft() is last
        wire.right.handle(last)
        wire.settle()
        assert total.result() == 3

    def test_a_copy_is_meant_as_it_was_sent(self, wire: FakeWire) -> None:
        rows = wire.left.send(CALL, "rows")
        while wire.carry(wire.left) or wire.right.events:
            if wire.right.events:
                wire.right.handle(wire.right.events.popleft())
        root = wire.right.session.boxing.root
        root.rows[0].append("changed later")
        back = wire.left.send(CALL, "give", rows)
        wire.settle()
        assert len(back.result()) == 2
        assert wire.left.request(CALL, back.result().____handle__, "__len__", ()) == 2
        assert root.rows == [[1, "changed later"], [2]]

    def test_a_copy_that_cannot_be_made_is_the_error_of_the_call(
        self, wire: FakeWire, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And the only answer: it must not be found out behind the reply."""

        def changed_meanwhile(value: object) -> object:
            raise RuntimeError("dictionary changed size during iteration")

        monkeypatch.setattr("netobj.core.session.copied", changed_meanwhile)
        answer = wire.left.send(CALL, "rows")
        with wire.counted() as log:
            wire.settle()
        assert log == ["left REQUEST", "right ERROR"]
        with pytest.raises(RuntimeError, match="changed size"):
            answer.result()

    def test_a_container_that_contains_itself_is_no_copy(self, wire: FakeWire) -> None:
        rows = wire.right.session.boxing.root.rows
        rows.append(rows)
        answer = wire.left.send(CALL, "rows")
        wire.settle()
        with pytest.raises(NotEncodable, match="contains itself"):
            answer.result()
        rows.clear()

    def test_a_stream_cannot_be_passed_on_before_it_has_come(self, wire: FakeWire) -> None:
        right = wire.right.session
        first = wire.left.send(CALL, "add", 1)
        second = wire.left.send(CALL, "give", first)
        while wire.carry(wire.left):
            pass
        request = wire.right.events.popleft()
        assert isinstance(request, Request)
        right.reply(request, right.flows.open(False))
        wire.settle()
        with pytest.raises(NotEncodable, match="passed on before it has come"):
            second.result()

    def test_what_stands_for_a_result_is_its_promise(self, wire: FakeWire) -> None:
        promise = wire.left.send(CALL, "add", 1)

        class Standing(RemoteResult):
            __slots__ = ()

            @property
            def ____promise__(self) -> Any:
                return promise

        total = wire.left.send(CALL, "add", Standing(), 2)
        wire.settle()
        assert total.result() == 3

    def test_a_promise_of_another_connection_goes_by_reference(self, wire: FakeWire) -> None:
        other = FakeWire(Root(), Root()).left.send(CALL, "add", 1)
        mine = wire.left.send(CALL, "give", other)
        wire.settle()
        assert mine.result() is other

    def test_outside_of_requests_a_promise_is_an_object_like_others(self, wire: FakeWire) -> None:
        """The one who reads an answer has nobody to wait for."""
        root = wire.right.session.boxing.root
        pending = wire.right.send(CALL, "add", 1)
        root.exposed_promise = lambda: pending
        got = wire.left.send(CALL, "promise")
        wire.settle()
        assert wire.right.session.boxing.exports[got.result().____handle__.id].obj is pending
        assert pending.result() == 1


class TestForgetting:
    def test_it_goes_with_the_next_message(self, wire: FakeWire) -> None:
        wire.left.send(CALL, "add", 1)
        wire.settle()
        assert wire.under_way() == (0, 1, 0, 0)
        with wire.counted() as log:
            wire.left.request(CALL, wire.left.root.____handle__, "add", (1,))
        assert log == ["left FORGET", "left REQUEST", "right REPLY"]
        assert wire.under_way() == (0, 0, 0, 0)

    def test_or_alone(self, wire: FakeWire) -> None:
        for _ in range(3):
            wire.left.send(CALL, "add", 1)
        wire.settle()
        with wire.counted() as log:
            wire.flush()
        assert log == ["left FORGET"]
        assert wire.under_way() == (0, 0, 0, 0)

    def test_asynchronous_requests_are_always_kept(self, wire: FakeWire) -> None:
        wire.left.send(CALL, "add", 1, lane=1)
        wire.settle()
        assert wire.under_way() == (0, 1, 0, 0)
        wire.flush()
        assert wire.under_way() == (0, 0, 0, 0)

    def test_others_are_not(self, wire: FakeWire) -> None:
        wire.left.send(CALL, "add", 1, kept=False)
        wire.settle()
        assert wire.under_way() == (0, 0, 0, 0)
        assert not wire.left.session.flush_releases()

    def test_an_error_is_an_answer(self, wire: FakeWire) -> None:
        wire.left.send(CALL, "fail")
        wire.flush()
        assert wire.under_way() == (0, 0, 0, 0)

    def test_not_before_the_message_that_names_it(self, wire: FakeWire) -> None:
        """The answer comes while the message is being made: it is forgotten behind that."""
        left = wire.left
        first = left.send(CALL, "add", 1)

        export = left.session.boxing.export

        def settle_first(obj: object, out: Any) -> Any:
            wire.settle()
            assert first.done
            assert first.pins == 1
            assert not left.session.boxing.dead
            return export(obj, out)

        left.session.boxing.export = settle_first  # type: ignore[method-assign]
        second = left.send(CALL, "add", first, kwargs={"more": object()})
        assert first.pins == 0
        assert first.forgotten
        with wire.counted() as log:
            wire.flush()
        assert log[0] == "left REQUEST"
        assert log.index("left FORGET") > 0
        assert second.done
        assert wire.under_way() == (0, 0, 0, 0)

    def test_a_message_that_fails_unpins(self, wire: FakeWire) -> None:
        left = wire.left
        first = left.send(CALL, "add", 1)
        loop: list[Any] = []
        loop.append(loop)
        for _ in range(2):
            with pytest.raises((TypeError, ValueError, RecursionError, NotEncodable)):
                left.send(CALL, "give", first, ByValue(loop))
        assert first.pins == 0
        wire.flush()
        assert first.forgotten
        assert wire.under_way() == (0, 0, 0, 0)

    def test_said_twice_it_is_queued_once(self, wire: FakeWire) -> None:
        answer = wire.left.send(CALL, "add", 1)
        wire.settle()
        wire.left.session.boxing.settled(answer)
        assert wire.left.session.boxing.dead == [answer.seq]

    def test_before_the_answering_thread_goes_on(self, wire: FakeWire) -> None:
        """B queues the reply; A reads it, and its FORGET is back before B settles the answer."""
        wire.left.send(CALL, "give", "x")
        wire.carry(wire.left)
        (request,) = wire.right.events
        assert isinstance(request, Request)
        kept = request.kept
        assert kept is not None
        wire.right.session.boxing.forget(request.seq)
        wire.right.session.reply(request, "x")
        assert kept.result() == "x"
        assert wire.under_way() == (0, 0, 0, 0)

    def test_what_it_kept_is_let_go_like_a_released_object(self, wire: FakeWire) -> None:
        right = wire.right.session
        files = [wire.left.send(CALL, "open", name) for name in "ab"]
        plain = wire.left.send(CALL, "add", 1)
        wire.settle()
        assert wire.left.session.flush_releases()
        (dropped,) = right.receive_data(wire.left.take(), 0.0)
        assert isinstance(dropped, Dropped)
        assert [type(answer) for answer in dropped.objects] == [Answer, Answer]
        assert plain.forgotten
        assert [file.forgotten for file in files] == [True, True]

    def test_nothing_is_left_to_do_for_plain_answers(self, wire: FakeWire) -> None:
        wire.left.send(CALL, "add", 1)
        wire.settle()
        assert wire.left.session.flush_releases()
        assert wire.right.session.receive_data(wire.left.take(), 0.0) == []

    def test_answers_go_with_the_connection_outside_of_the_guard(self, wire: FakeWire) -> None:
        right = wire.right.session
        gone: list[bool] = []
        held: list[bool] = [False]

        class Guard(AbstractContextManager[None]):
            def __exit__(self, *exc: object) -> None:
                held[0] = False

            def __enter__(self) -> None:
                held[0] = True

        right.boxing._guard = Guard()
        root = right.boxing.root
        root.exposed_make = File
        answer = wire.left.send(CALL, "make", "x")
        wire.settle()
        (kept,) = right.boxing.answers.values()
        weakref.finalize(kept.result(), lambda: gone.append(held[0]))
        del kept, answer
        dropped = right.discard_tables()
        gc.collect()
        assert gone == []
        dropped.clear()
        gc.collect()
        assert gone == [False]
        assert right.boxing.answers == {}


class TestHostile:
    """What a peer may say, and what ends the connection."""

    def lone(self, **limits: int) -> Session:
        changed = list(DEFAULT_LIMITS)
        for name, value in limits.items():
            changed[Limit[name]] = value
        side = Side("lone", Root(), Config(limits=tuple(changed)), ())
        other = Side("other", Root(), Config(), ())
        for data in other.session.out:
            side.session.receive_data(bytes(data), 0.0)
        side.session.out.clear()
        return side.session

    @pytest.mark.parametrize("number", [0, 1, -1, 2**64, None, "1", 1.0, True, []])
    def test_a_forget_of_nothing(self, number: Any) -> None:
        session = self.lone()
        with pytest.raises(ProtocolError, match="forgot an answer that was not kept"):
            session.receive_data(message(Kind.FORGET, number), 0.0)

    def test_a_forget_of_what_is_not_kept(self) -> None:
        session = self.lone()
        session.receive_data(message(Kind.REQUEST, 1, 1, CALL, 0, "add", []), 0.0)
        with pytest.raises(ProtocolError, match="forgot an answer"):
            session.receive_data(message(Kind.FORGET, 1), 0.0)

    def test_a_second_forget(self) -> None:
        session = self.lone()
        session.receive_data(message(Kind.ASYNC_REQUEST, 1, 1, CALL, 0, "add", []), 0.0)
        with pytest.raises(ProtocolError, match="forgot an answer"):
            session.receive_data(message(Kind.FORGET, 1, 1), 0.0)

    def test_a_promise_of_what_is_not_kept(self) -> None:
        session = self.lone()
        session.receive_data(message(Kind.REQUEST, 1, 1, CALL, 0, "add", []), 0.0)
        with pytest.raises(ProtocolError, match="did not keep"):
            session.receive_data(message(Kind.REQUEST, 2, 1, CALL, 0, "add", [promise_of(1)]), 0.0)

    @pytest.mark.parametrize("kind", [Kind.REPLY, Kind.ERROR, Kind.ITEMS, Kind.PING])
    def test_a_promise_in_another_message(self, kind: Kind) -> None:
        session = self.lone()
        session.receive_data(message(Kind.ASYNC_REQUEST, 1, 1, CALL, 0, "add", []), 0.0)
        session.pending[1] = Token()
        session.flows.accept(1, False)
        with pytest.raises(ProtocolError, match="only requests may name"):
            session.receive_data(message(kind, 1, [promise_of(1)]), 0.0)

    def test_a_number_whose_answer_is_still_kept(self) -> None:
        session = self.lone()
        data = message(Kind.ASYNC_REQUEST, 1, 1, CALL, 0, "add", [])
        (request,) = session.receive_data(data, 0.0)
        assert isinstance(request, Request)
        session.reply(request, None)
        with pytest.raises(ProtocolError, match="request 1 is still kept"):
            session.receive_data(data, 0.0)

    def test_more_answers_than_the_limit_allows(self) -> None:
        session = self.lone(REQUESTS=2)
        received = 0
        with pytest.raises(ProtocolError, match="more answers are kept"):  # noqa: PT012
            for seq in range(1000):
                data = message(Kind.ASYNC_REQUEST, seq, 1, CALL, 0, "add", [])
                (request,) = session.receive_data(data, 0.0)
                assert isinstance(request, Request)
                session.reply(request, None)
                received += 1
        assert received == len(session.boxing.answers) == 64

    def test_a_promise_as_a_key_of_a_copy(self) -> None:
        session = self.lone()
        session.receive_data(message(Kind.ASYNC_REQUEST, 1, 1, CALL, 0, "add", []), 0.0)
        members = msgpack.ExtType(Ext.SET, values.pack([promise_of(1)]))
        copy = msgpack.ExtType(Ext.COPY, values.pack(members))
        (request,) = session.receive_data(message(Kind.REQUEST, 2, 1, CALL, 0, "give", [copy]), 0.0)
        assert isinstance(request, Request)
        assert len(request.awaits) == 1


class TestTheEnd:
    def test_a_cancelled_request_is_forgotten_when_its_answer_has_come(
        self, wire: FakeWire
    ) -> None:
        answer = wire.left.send(CALL, "add", 1)
        wire.left.session.cancel(answer.seq)
        wire.flush()
        assert answer.forgotten
        assert wire.under_way() == (0, 0, 0, 0)

    def test_nothing_is_forgotten_after_it(self, wire: FakeWire) -> None:
        answer = wire.left.send(CALL, "add", 1)
        wire.lose()
        with pytest.raises(ConnectionLost):
            answer.result()
        assert not wire.left.session.boxing.dead

    def test_an_answer_after_it_still_settles(self, wire: FakeWire) -> None:
        wire.left.send(CALL, "add", 1)
        wire.carry(wire.left)
        (request,) = wire.right.events
        assert isinstance(request, Request)
        kept = request.kept
        assert kept is not None
        wire.right.session.lose("over")
        wire.right.session.reply(request, 7)
        assert kept.result() == 7
        wire.right.events.clear()


def frames_of(error: BaseException) -> Iterator[Any]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


@contextmanager
def switching() -> Iterator[None]:
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def in_threads(*functions: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def guarded(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as exc:
            failed.append(exc)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


class Waited(Promise):
    """A front-end's promise."""

    def __init__(self, link: Any, seq: int) -> None:
        self.link = link
        self.seq = seq
        self.done = False
        self.pins = 0
        self.forgotten = False

    def result(self) -> int:
        return self.seq


class Greeted(Side):
    """A side that several threads use at once; the peer is the test."""

    def __init__(self) -> None:
        super().__init__("many", Root(), Config(), ())
        self.session.out.clear()
        lock = threading.RLock()
        self.session.boxing._guard = self.session.flows._guard = lock


def test_promises_are_named_and_settled_by_many_threads() -> None:
    """In the stream no promise is named behind its FORGET, and each is forgotten once."""
    rounds = 60
    numbers = count(1_000_000)
    with switching():
        for _ in range(rounds):
            side = Greeted()
            promises = [Waited(side, seq) for seq in range(1, 6)]

            def name(side: Side = side, promises: list[Waited] = promises) -> None:
                for promise in promises * 4:
                    side.session.request(
                        None, CALL, (promise,), "m", (promises[0],), None, 1, seq=next(numbers)
                    )

            def settle(side: Side = side, promises: list[Waited] = promises) -> None:
                for promise in promises:
                    promise.done = True
                    side.session.boxing.settled(promise)

            in_threads(name, settle, name)
            side.session.flush_releases()
            forgotten: list[int] = []
            for body in (b for data in side.session.out for b in bodies(bytes(data))):
                kind, *rest = fields(body)
                if kind == Kind.FORGET:
                    forgotten += rest
                else:
                    for value in (rest[3][0], *rest[5]):
                        if isinstance(value, msgpack.ExtType):
                            assert int.from_bytes(value.data, "big") not in forgotten
            assert sorted(forgotten) == [1, 2, 3, 4, 5]
            assert [promise.pins for promise in promises] == [0] * 5


def test_a_late_reply_to_a_kept_request_is_dropped(wire: FakeWire) -> None:
    """A front-end that has given the request up hears of the answer, and forgets it then."""
    answer = wire.left.send(CALL, "open", "a")
    wire.left.session.cancel(answer.seq)
    wire.carry(wire.left)
    wire.carry(wire.left)
    wire.right.handle(wire.right.events.popleft())
    (reply,) = wire.left.session.receive_data(wire.right.take(), 0.0)
    assert isinstance(reply, Reply)
    assert reply.token is answer
    assert wire.left.session.pending == {}
    del reply
    wire.left.session.boxing.settled(answer)
    wire.right.events.clear()
    gc.collect()
    wire.flush()
    assert wire.tables() == wire.under_way() == (0, 0, 0, 0)


def test_an_error_whose_class_hides_its_traceback() -> None:
    class Hides(Exception):
        __traceback__ = property(lambda self: 1 / 0)  # type: ignore[assignment]
        with_traceback = None  # type: ignore[assignment]

    answer, error = Answer(), Hides("x")
    answer.settle(None, error)
    with pytest.raises(Hides):
        answer.result()

"""Calls without an answer, on all four pairings."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import netobj
from netobj.core.consts import ONEWAY_FEATURE, Kind
from netobj.errors import ConnectionLost
from pairings import Pair, Pairing, wait_until


class Notes(netobj.Service):
    """Notes what it is called with; one object for all connections."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.go_on = threading.Event()
        self.inside = 0

    @netobj.exposed
    def note(self, value: Any) -> None:
        self.heard.append(value)

    @netobj.exposed
    async def note_async(self, value: Any) -> None:
        self.heard.append(value)

    @netobj.exposed
    def wait(self, value: Any) -> None:
        self.go_on.wait(60)
        self.heard.append(value)

    @netobj.exposed
    def call(self, function: Any) -> None:
        self.heard.append(function is not None)

    @netobj.exposed
    def fail(self) -> None:
        raise ValueError("nobody hears this")

    @netobj.exposed(stream=True)
    def stream(self) -> Iterator[int]:
        yield 1

    @netobj.exposed
    def get_me(self) -> Notes:
        return self

    @netobj.exposed
    def get_late(self) -> Notes:
        self.go_on.wait(60)
        return self

    @netobj.exposed
    def count(self) -> int:
        return len(self.heard)


@pytest.fixture
def notes() -> Iterator[Notes]:
    notes = Notes()
    yield notes
    notes.go_on.set()


@pytest.fixture
def pair(pairing: Pairing, notes: Notes) -> Pair:
    return pairing.join(notes)


def ready(pair: Pair) -> None:
    """The hello has come, so it is known what the other side knows."""
    pair.ping()


def kinds_sent(session: Any, monkeypatch: pytest.MonkeyPatch) -> list[Kind]:
    """The kinds of the messages that *session* queues from here on."""
    found: list[Kind] = []
    queue = session._queue

    def note(message: list[Any], *more: Any) -> None:
        found.append(Kind(message[0]))
        queue(message, *more)

    monkeypatch.setattr(session, "_queue", note)
    for name, kind in (("plain_reply", Kind.REPLY), ("_send_error", Kind.ERROR)):
        send = getattr(session, name)

        def note_other(*args: Any, _send: Any = send, _kind: Kind = kind) -> Any:
            sent = _send(*args)
            if sent is not None:
                found.append(_kind)
            return sent

        monkeypatch.setattr(session, name, note_other)
    return found


@pytest.mark.parametrize("name", ["note", "note_async"])
def test_they_run_in_order(pair: Pair, notes: Notes, name: str) -> None:
    for number in range(500):
        pair.oneway(getattr(pair.root, name), number)
    wait_until(lambda: len(notes.heard) == 500)
    assert notes.heard == list(range(500))


def test_no_answer_is_sent(pair: Pair, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    ready(pair)
    kinds = kinds_sent(pair.served.session, monkeypatch)
    for number in range(1024):
        pair.oneway(pair.root.note, number)
    wait_until(lambda: len(notes.heard) == 1024)
    wait_until(lambda: len(kinds) == 4)
    assert kinds == [Kind.DONE] * 4
    wait_until(lambda: pair.connection.session.oneways.sent == 0)
    assert pair.connection.session.most_pending == 1024


def test_errors_are_told_where_they_happen(
    pair: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(pair)
    kinds = kinds_sent(pair.served.session, monkeypatch)
    with caplog.at_level(logging.WARNING):
        pair.oneway(pair.root.fail)
        wait_until(lambda: caplog.records)
    assert "'fail' without an answer" in caplog.text
    assert "nobody hears this" in caplog.text
    assert kinds == []


def test_a_stream_has_no_taker(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    ready(pair)
    with caplog.at_level(logging.WARNING):
        pair.oneway(pair.root.stream)
        wait_until(lambda: caplog.records)
    assert "nobody takes it" in caplog.text


def test_references_go_along_and_are_let_go(pair: Pair, notes: Notes) -> None:
    ready(pair)
    pair.oneway(pair.root.call, lambda: None)
    wait_until(lambda: notes.heard)
    assert notes.heard == [True]
    pair.assert_clean()


def test_of_a_reference_that_came(pair: Pair, notes: Notes) -> None:
    reference = pair.get(pair.root.get_me())
    pair.oneway(reference.note, "here")
    wait_until(lambda: notes.heard == ["here"])


def test_what_cannot_be_sent_is_an_error_here(pair: Pair, notes: Notes) -> None:
    ready(pair)
    with pytest.raises(netobj.LimitExceeded):
        pair.oneway(pair.root.note, tuple(range(300_000)))
    assert pair.connection.session.oneways.sent == 0
    pair.oneway(pair.root.note, 1)
    wait_until(lambda: notes.heard == [1])


def test_a_flood_waits_for_room(pairing: Pairing, notes: Notes) -> None:
    pair = pairing.join(notes, config={"limits": {"requests": 8}})
    ready(pair)

    def flood() -> None:
        for number in range(100):
            pair.oneway(pair.root.wait, number)

    thread = threading.Thread(target=flood)
    thread.start()
    wait_until(lambda: len(pair.served.session.running) == 8)
    assert pair.connection.session.oneways.sent == 8
    assert not pair.connection.session.has_room()
    notes.go_on.set()
    thread.join(60)
    wait_until(lambda: len(notes.heard) == 100)
    assert notes.heard == list(range(100))
    assert not pair.connection.closed


def test_a_flood_of_bytes_waits_for_room(pairing: Pairing, notes: Notes) -> None:
    pair = pairing.join(notes, config={"limits": {"request_bytes": 100_000}})
    ready(pair)
    most = 0
    for number in range(50):
        pair.oneway(pair.root.note, bytes(20_000 if number % 2 else 90_000))
        most = max(most, pair.connection.session.bytes_in_flight())
    assert most <= 200_000
    wait_until(lambda: len(notes.heard) == 50)
    assert not pair.connection.closed


def test_others_wait_for_room_as_well(pairing: Pairing, notes: Notes) -> None:
    pair = pairing.join(notes, config={"limits": {"requests": 4}})
    ready(pair)
    for number in range(4):
        pair.oneway(pair.root.wait, number)
    threading.Timer(0.05, notes.go_on.set).start()
    assert pair.get(pair.root.count()) in range(5)  # in no order with the others; but never Busy
    wait_until(lambda: len(notes.heard) == 4)


def test_who_does_not_know_them_gets_calls_with_an_answer(pair: Pair, notes: Notes) -> None:
    ready(pair)
    session = pair.connection.session
    assert ONEWAY_FEATURE in session.peer_features
    session.peer_features = ()
    for number in range(2000):
        pair.oneway(pair.root.note, number)
    pair.oneway(pair.root.fail)
    wait_until(lambda: len(notes.heard) == 2000)
    assert notes.heard == list(range(2000))
    wait_until(lambda: not session.pending)
    pair.assert_clean()


def test_a_deadline_goes_along(pairing: Pairing) -> None:
    left: list[Any] = []

    class Clock(netobj.Service):
        @netobj.exposed
        def look(self) -> None:
            call = netobj.current_call()
            left.append((call.time_left, dict(call.metadata)))

    pair = pairing.join(Clock)
    ready(pair)
    with netobj.deadline(60), netobj.metadata(user="alice"):
        pair.oneway(pair.root.look)
    wait_until(lambda: left)
    assert 0 < left[0][0] <= 60
    assert left[0][1] == {"user": "alice"}


def test_after_the_end_it_is_an_error(pair: Pair) -> None:
    root = pair.root
    pair.close()
    with pytest.raises(ConnectionLost):
        pair.oneway(root.note, 1)


def test_what_is_built_on_goes_in_front(pair: Pair, notes: Notes) -> None:
    if pair.client.skin == "aio":
        pair.oneway(pair.root.get_me().note, 1)
    else:
        pair.oneway(netobj.async_(netobj.async_(pair.root.get_me)()).note, 1)
    wait_until(lambda: notes.heard == [1])


@pytest.mark.parametrize("ways", ["the target", "an argument", "a path", "by way of another"])
def test_what_is_built_on_comes_to_its_end(pair: Pair, notes: Notes, ways: str) -> None:
    """Though nobody waits for it, and has the call any more for which it was made."""
    if pair.client.skin != "aio":
        pytest.skip("whoever drops an AsyncResult does not give the call up")
    ready(pair)
    late = pair.root.get_late()
    if ways == "the target":
        pair.oneway(late.note, 1)
    elif ways == "an argument":
        pair.oneway(pair.root.call, late)
    elif ways == "a path":
        pair.oneway(pair.root.call, late.note)
    else:
        pair.oneway(late.get_me().note, 1)
    del late
    gc.collect()
    ready(pair)  # behind whatever was told of what nobody waits for
    assert notes.heard == []
    notes.go_on.set()
    wait_until(lambda: notes.heard)
    assert notes.heard in ([1], [True])
    wait_until(lambda: not pair.connection.session.pending)


def test_among_asynchronous_calls_it_keeps_its_turn(pair: Pair, notes: Notes) -> None:
    if pair.client.skin == "aio":
        pytest.skip("calls on an event loop have no order among themselves")
    results = []
    for number in range(0, 400, 2):
        results.append(netobj.async_(pair.root.note)(number))
        pair.oneway(pair.root.note, number + 1)
    for result in results:
        result.wait()
    wait_until(lambda: len(notes.heard) == 400)
    assert notes.heard == list(range(400))


def test_in_a_batch_it_has_its_turn(pair: Pair, notes: Notes) -> None:
    if pair.client.skin == "aio":
        pytest.skip("there are no batches on an event loop")
    with netobj.batch(pair.connection):
        before = pair.root.count()
        pair.oneway(pair.root.note, before)
        after = pair.root.count()
    assert (before.value, after.value) == (0, 1)
    assert notes.heard == [0]


def test_a_plain_method_of_an_event_loop_s_server_may_call_so(pairing: Pairing) -> None:
    heard: list[int] = []

    class Caller(netobj.Service):
        @netobj.exposed
        def call(self, callback: Any) -> None:
            for number in range(3):
                netobj.oneway(callback)(number)

    pair = pairing.join(Caller)

    @netobj.exposed
    def hear(number: int) -> None:
        heard.append(number)

    pair.get(pair.root.call(hear))
    wait_until(lambda: len(heard) == 3)
    assert heard == [0, 1, 2]

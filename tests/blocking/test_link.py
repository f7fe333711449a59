"""The short way of calls, and where it gives way; each step of the other side is the test's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from byhand import PeerByHand

import netobj
from netobj.blocking import dispatch as dispatch_module
from netobj.blocking.link import live
from netobj.blocking.waiting import Waiter, chains
from netobj.core.events import Cancel, Request

Start = Callable[..., threading.Thread]
Until = Callable[[Callable[[], object]], None]

BIG = "x" * 4_000_000  # more than a socket takes at once


class Far(netobj.Service):
    """What the peer would be if it had a service's methods: it answers by hand."""

    def exposed_add(self, one: Any, two: Any) -> Any: ...
    def exposed_take(self, value: Any) -> Any: ...


class Near(netobj.Service):
    """What the peer calls."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def exposed_back(self, value: Any) -> Any:
        self.threads.append(threading.get_ident())
        return value


@pytest.fixture
def peer() -> Iterator[PeerByHand]:
    made = PeerByHand(Far())
    yield made
    made.close()


@pytest.fixture
def near() -> Near:
    return Near()


@pytest.fixture
def conn(peer: PeerByHand, near: Near) -> Iterator[netobj.Connection]:
    connection = netobj.connect_stream(peer.stream, near)
    assert connection.root is not None
    assert list(live) == [connection]
    yield connection
    peer.close()
    connection.close()
    assert not connection.session.pending
    assert not chains


class Asking:
    """A call in a thread of its own."""

    def __init__(self, start: Start, call: Callable[..., Any], *args: Any) -> None:
        self._result: Any = None
        self._error: BaseException | None = None
        self.thread = start(self._run, call, args)

    def _run(self, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self._result = call(*args)
        except BaseException as exc:
            self._error = exc

    @property
    def result(self) -> Any:
        """What the call returned, or raises what it raised; waits."""
        self.thread.join(20)
        assert not self.thread.is_alive()
        if self._error is not None:
            raise self._error
        return self._result


@pytest.fixture
def ask(conn: netobj.Connection, in_thread: Start) -> Callable[..., Asking]:
    """``ask(*args)``: a thread that calls the peer's ``add`` or, with one argument, ``take``."""

    def start(*args: Any) -> Asking:
        call = conn.root.add if len(args) == 2 else conn.root.take
        return Asking(in_thread, call, *args)

    return start


Ask = Callable[..., Asking]


# --- what comes in the place of the answer ----------------------------------------------------


def test_a_plain_answer_is_handed_over_without_an_event(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered: list[Any] = []
    monkeypatch.setattr(conn, "_deliver", delivered.append)
    for value in (None, True, 7, 0.5, "short"):
        call = ask(1, 2)
        peer.reply(peer.requested(), value)
        assert call.result is value or call.result == value
    assert delivered == []


def test_an_answer_that_comes_in_pieces(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask
) -> None:
    call = ask(1, 2)
    peer.session.reply(peer.requested(), 3)
    for byte in peer.taken():
        peer.sock.sendall(bytes([byte]))
    assert call.result == 3


def test_a_callback_in_the_place_of_the_answer_runs_in_the_thread_that_waits(
    conn: netobj.Connection, peer: PeerByHand, near: Near, ask: Ask
) -> None:
    call = ask(1, 2)
    request = peer.requested()
    for value in (5, 6):
        peer.ask("back", value, chain=request.chain)
        peer.send()
        assert peer.answered() == value
    peer.reply(request, 3)
    assert call.result == 3
    assert near.threads == [call.thread.ident] * 2


def test_a_callback_right_in_front_of_the_answer(
    conn: netobj.Connection, peer: PeerByHand, near: Near, ask: Ask
) -> None:
    call = ask(1, 2)
    request = peer.requested()
    peer.ask("back", 5, chain=request.chain)
    peer.reply(request, 3)  # both in one piece
    assert peer.answered() == 5
    assert call.result == 3


def test_an_error_in_the_place_of_the_answer(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask
) -> None:
    call = ask(1, 2)
    peer.session.error(peer.requested(), ValueError("no such numbers"), None)
    peer.send()
    with pytest.raises(ValueError, match="no such numbers"):
        call.result  # noqa: B018


def test_an_answer_with_a_reference(conn: netobj.Connection, peer: PeerByHand, ask: Ask) -> None:
    call = ask(1, 2)
    peer.reply(peer.requested(), [1, 2])
    assert isinstance(call.result, list)
    assert len(peer.session.boxing.exports) == 1


def test_the_answer_to_another_threads_call_comes_first(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask
) -> None:
    first = ask(1, 2)
    one = peer.requested()
    second = ask(3, 4)
    other = peer.requested()
    peer.reply(other, 7)
    assert second.result == 7
    peer.reply(one, 3)
    assert first.result == 3


@pytest.mark.parametrize("how", ["goodbye", "not started", "end", "closed here", "garbage"])
def test_the_end_in_the_place_of_the_answer(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask, how: str
) -> None:
    call = ask(1, 2)
    request = peer.requested()
    if how == "closed here":
        conn.close()
    elif how == "garbage":
        peer.sock.sendall(b"\xff" * 8)
    else:
        if how != "end":
            if how == "goodbye":
                request.start()
            peer.session.goodbye("it is late")
            peer.send()
        peer.close()
    with pytest.raises(netobj.ConnectionLost) as caught:
        call.result  # noqa: B018
    assert ("it is late" in str(caught.value)) == (how in ("goodbye", "not started"))
    assert ("was not started" in str(caught.value)) == (how == "not started")


def test_an_interrupt_in_the_place_of_the_answer(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(conn, "_recv", interrupted)
        call = ask(1, 2)
        request = peer.requested()
        with pytest.raises(KeyboardInterrupt):
            call.result  # noqa: B018
    event = peer.receive()
    assert isinstance(event, Cancel)
    assert event.request is request
    second = ask(3, 4)
    other = peer.requested()
    peer.session.reply(request, 3)  # it comes late, and nobody waits for it
    peer.reply(other, 7)
    assert second.result == 7


# --- what others do meanwhile -------------------------------------------------------------------


def test_a_call_of_the_chain_over_a_new_connection_runs_in_the_thread_that_waits(
    conn: netobj.Connection, peer: PeerByHand, near: Near, ask: Ask, until: Until
) -> None:
    call = ask(1, 2)
    request = peer.requested()
    other = PeerByHand(Far())
    with netobj.connect_stream(other.stream, near):
        other.ask("back", 5, chain=request.chain)
        other.send()
        until(lambda: peer.look() or other.look())  # this side asks the peer to let it go on
        assert other.answered() == 5
        assert near.threads == [call.thread.ident]
        peer.reply(request, 3)
        assert call.result == 3
        other.close()


def test_what_another_thread_cannot_send_at_once_is_sent_while_this_one_reads(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask
) -> None:
    for _ in range(2):  # the second time a thread has read and written at once before
        small = ask(1, 2)
        one = peer.requested()
        big = ask(BIG)
        peer.reply(peer.requested(), 0)
        assert big.result == 0
        peer.reply(one, 3)
        assert small.result == 3
        big = ask(BIG)
        peer.reply(peer.requested(), 0)
        assert big.result == 0


def test_a_call_that_comes_for_a_thread_which_has_its_answer_runs_in_a_worker(
    conn: netobj.Connection,
    peer: PeerByHand,
    near: Near,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome = conn.outcome
    requests: list[Request] = []

    def late(waiter: Waiter) -> tuple[bool, Any]:
        peer.ask("back", 5, chain=requests[0].chain)
        peer.send()
        conn.read_available()
        return outcome(waiter)

    monkeypatch.setattr(conn, "outcome", late)
    call = ask(1, 2)
    requests.append(peer.requested())
    peer.session.error(requests[0], ValueError(3), None)
    peer.send()
    assert peer.answered() == 5
    with pytest.raises(ValueError, match="3"):
        call.result  # noqa: B018
    assert near.threads != [call.thread.ident]


def test_the_end_comes_between_the_look_and_the_entry(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask
) -> None:
    class Late(dict[int, Any]):
        def __setitem__(self, seq: int, token: Any) -> None:
            conn.lose("the wire was cut")
            super().__setitem__(seq, token)

    conn.session.pending = Late()
    with pytest.raises(netobj.ConnectionLost, match="the wire was cut"):
        ask(1, 2).result  # noqa: B018


def test_the_peer_has_said_why_before_writing_failed(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(_: bytes) -> int:
        peer.session.goodbye("it is late")
        peer.send()
        raise BrokenPipeError("gone")

    monkeypatch.setattr(conn.stream, "send", send)
    with pytest.raises(netobj.ConnectionLost, match="it is late"):
        ask(1, 2).result  # noqa: B018


def test_a_finalizer_in_the_midst_of_a_call_is_told_so(
    conn: netobj.Connection, peer: PeerByHand, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = conn.session.plain_request
    seen: list[BaseException] = []

    def collecting(*args: Any) -> bytes | None:
        monkeypatch.undo()
        try:
            conn.root.add(0, 0)
        except netobj.ReentrantCall as exc:
            seen.append(exc)
        return pack(*args)

    monkeypatch.setattr(conn.session, "plain_request", collecting)
    call = ask(1, 2)
    assert peer.requested().args == (0, 0)
    peer.reply(peer.requested(), 3)
    assert call.result == 3
    assert len(seen) == 1


# --- the server's thread ------------------------------------------------------------------------


class Gates(netobj.Service):
    """Calls that say where they run, and go on when the test says so."""

    def __init__(self) -> None:
        self.entered: list[int] = []
        self.gates: dict[int, threading.Event] = {}

    def exposed_pass(self, number: int) -> int:
        self.entered.append(threading.get_ident())
        self.gates[number].wait(20)
        return number


@pytest.fixture
def gates() -> Gates:
    return Gates()


@pytest.fixture
def served(
    peer: PeerByHand, gates: Gates, in_thread: Start
) -> Iterator[tuple[netobj.Connection, threading.Thread]]:
    """A connection whose calls of ``pass`` a thread serves, and that thread."""
    connection = netobj.connect_stream(peer.stream, gates)
    thread = in_thread(connection.serve_all)
    assert connection.root is not None
    yield connection, thread
    for gate in gates.gates.values():
        gate.set()
    peer.close()
    thread.join(20)
    connection.close()


def test_calls_one_after_the_other_run_in_the_servers_thread(
    served: tuple[netobj.Connection, threading.Thread], peer: PeerByHand, gates: Gates
) -> None:
    for number in range(5):
        gates.gates[number] = threading.Event()
        gates.gates[number].set()
        peer.ask("pass", number, chain=number)
        peer.send()
        assert peer.answered() == number
    assert gates.entered == [served[1].ident] * 5


def test_the_servers_thread_takes_what_no_worker_has_come_for(
    served: tuple[netobj.Connection, threading.Thread],
    peer: PeerByHand,
    gates: Gates,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conn, thread = served
    workers: list[Any] = []

    class Late:
        def submit(self, job: Any) -> bool:
            workers.append(job)
            return True

    monkeypatch.setattr(dispatch_module, "pool", Late())
    for number in range(3):
        gates.gates[number] = threading.Event()
        peer.ask("pass", number, chain=number)
        peer.send()
        until(lambda: len(conn.session.running) == number + 1)  # noqa: B023
    until(lambda: len(conn.dispatcher.overflow) == 2)
    assert len(workers) == 1
    for number in range(3):
        gates.gates[number].set()
        assert peer.answered() == number
    assert gates.entered == [thread.ident] * 3
    assert peer.pings == 0
    function, argument = workers.pop()
    function(argument)  # the worker finds nothing left
    assert workers == []


def test_by_hand_from_now_on_while_a_thread_serves(
    served: tuple[netobj.Connection, threading.Thread],
    peer: PeerByHand,
    gates: Gates,
    until: Until,
) -> None:
    conn, _ = served
    gates.gates[1] = threading.Event()
    gates.gates[1].set()
    until(conn.is_read)  # the thread is in the kernel
    assert not conn.serve(0)
    peer.ask("pass", 1, chain=1)
    peer.send()
    until(lambda: conn.dispatcher.waiting)
    assert gates.entered == []
    assert conn.serve(20)
    assert peer.answered() == 1
    assert gates.entered == [threading.get_ident()]

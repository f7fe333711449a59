from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import netobj
from netobj.blocking import link as link_module
from netobj.blocking import waiting
from netobj.blocking.streams import SocketStream
from netobj.blocking.waiting import Waiter
from netobj.core.consts import PREAMBLE, Kind, Limit, Op

Pair = Callable[..., tuple[netobj.Connection, netobj.Connection]]
Until = Callable[[Callable[[], object]], None]
Start = Callable[..., threading.Thread]


def recorded_hello() -> bytes:
    """What a real side says first: the preamble and its hello."""
    one, other = socket.socketpair()
    connection = netobj.connect_stream(SocketStream(one))
    data = b""
    while len(data) < 14 or len(data) < 14 + int.from_bytes(data[10:14], "big"):
        data += other.recv(4096)
    connection.close()
    other.close()
    return data[: 14 + int.from_bytes(data[10:14], "big")]


def mute_peer(**config: Any) -> tuple[netobj.Connection, socket.socket]:
    """A connection whose peer has said hello and will say nothing more."""
    one, other = socket.socketpair()
    connection = netobj.connect_stream(SocketStream(one), config=config)
    other.sendall(recorded_hello())
    assert connection.root is not None
    return connection, other


class Recorder(netobj.Service):
    """Notes who comes and goes."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, netobj.Connection]] = []

    def on_connect(self, conn: netobj.Connection) -> None:
        self.heard.append(("on_connect", conn))

    def on_disconnect(self, conn: netobj.Connection) -> None:
        self.heard.append(("on_disconnect", conn))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.heard]


# --- the root -----------------------------------------------------------------------------------


def test_the_root_waits_for_the_hello(in_thread: Start) -> None:
    one, other = socket.socketpair()
    with netobj.connect_stream(SocketStream(one)) as conn:
        roots: list[object] = []
        threads = [in_thread(lambda: roots.append(conn.root)) for _ in range(3)]
        other.sendall(recorded_hello())
        for thread in threads:
            thread.join(20)
        assert len(roots) == 3
        assert roots[0] is roots[1] is roots[2] is conn.root
    other.close()


def test_a_call_can_be_sent_before_the_hello_of_the_peer_has_come() -> None:
    one, other = socket.socketpair()
    with netobj.connect_stream(SocketStream(one)) as conn:
        result = conn.request_async(int(Op.CALL), None, "eval", ("6 * 7",))
        assert not result.ready
        with netobj.connect_stream(SocketStream(other), netobj.SlaveService):
            assert result.value == 42


def test_the_root_of_a_peer_that_goes_before_its_hello() -> None:
    one, other = socket.socketpair()
    with netobj.connect_stream(SocketStream(one)) as conn:
        other.close()
        with pytest.raises(netobj.ConnectionLost, match=r"closed the connection|failed"):
            conn.root  # noqa: B018


def test_who_goes_without_a_hello_may_want_tls() -> None:
    one, other = socket.socketpair()
    with other, netobj.connect_stream(SocketStream(one)) as conn:
        other.shutdown(socket.SHUT_WR)
        with pytest.raises(netobj.ConnectionLost, match="closed the connection, without a word"):
            conn.root  # noqa: B018


def test_both_sides_have_a_root(pair: Pair) -> None:
    here, there = pair(netobj.SlaveService, netobj.SlaveService)
    assert here.root.eval("1 + 1") == 2
    assert there.root.eval("2 + 2") == 4


# --- the end ------------------------------------------------------------------------------------


def test_closing_twice_does_no_harm_and_both_sides_are_told_once(pair: Pair, until: Until) -> None:
    mine, theirs = Recorder(), Recorder()
    here, there = pair(mine, theirs)
    assert mine.heard == [("on_connect", here)]
    here.close()
    here.close()
    until(lambda: there.closed and "on_disconnect" in theirs.names)
    there.close()
    assert mine.heard == [("on_connect", here), ("on_disconnect", here)]
    assert theirs.heard == [("on_connect", there), ("on_disconnect", there)]


def test_many_threads_may_close_at_once(pair: Pair, in_thread: Start) -> None:
    service = Recorder()
    here, _ = pair(service)
    for thread in [in_thread(here.close) for _ in range(10)]:
        thread.join(20)
    assert service.names == ["on_connect", "on_disconnect"]


def test_closing_says_so_on_both_sides(pair: Pair, until: Until) -> None:
    here, there = pair(netobj.SlaveService)
    here_root, there_root = here.root, there.root
    here.close()
    until(lambda: there.closed)
    with pytest.raises(netobj.ConnectionLost, match="closed on this side"):
        here_root.eval("1")
    with pytest.raises(EOFError, match="goodbye: the other side closed"):
        there_root.eval("1")
    with pytest.raises(netobj.ConnectionLost):
        here.ping()
    assert "closed: the connection was closed on this side" in repr(here)


def test_the_end_fails_pending_calls_with_the_reason(pair: Pair, in_thread: Start) -> None:
    here, there = pair()
    entered, leave = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def wait_there() -> None:
        entered.set()
        leave.wait(20)

    there.session.boxing.root.exposed_namespace["wait"] = wait_there
    wait = here.root.eval("wait")

    def call() -> None:
        try:
            wait()
        except BaseException as exc:
            errors.append(exc)

    thread = in_thread(call)
    results = [netobj.async_(wait)() for _ in range(5)]
    entered.wait(20)
    here.close()
    thread.join(20)
    assert isinstance(errors[0], netobj.ConnectionLost)
    assert "closed on this side" in str(errors[0])
    for result in results:
        assert result.error
        with pytest.raises(netobj.ConnectionLost, match="closed on this side"):
            result.value  # noqa: B018
    leave.set()


def test_the_descriptors_are_given_back(pair: Pair, until: Until) -> None:
    pair()[0].close()  # the I/O thread has its own, once for the process
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        here, there = pair()
        assert here.root.eval("1") == 1
        here.fileno()
        here.close()
        there.close()
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)


def test_a_service_hears_of_a_connection_that_ended_before_it_came(until: Until) -> None:
    service = Recorder()
    held = threading.Event()

    class Late(Recorder):
        def on_connect(self, conn: netobj.Connection) -> None:
            other.close()
            until(lambda: conn.closed)
            held.set()
            super().on_connect(conn)

    service = Late()
    one, other = socket.socketpair()
    conn = netobj.connect_stream(SocketStream(one), service)
    assert held.is_set()
    until(lambda: len(service.heard) == 2)
    conn.close()
    assert service.names == ["on_connect", "on_disconnect"]


def test_an_on_connect_that_raises_ends_the_connection(until: Until) -> None:
    class Refusing(Recorder):
        def on_connect(self, conn: netobj.Connection) -> None:
            raise ZeroDivisionError("not today")

    service = Refusing()
    one, other = socket.socketpair()
    with pytest.raises(ZeroDivisionError):
        netobj.connect_stream(SocketStream(one), service)
    with netobj.connect_stream(SocketStream(other)) as conn:
        until(lambda: conn.closed)
    assert service.heard == []


def test_an_on_disconnect_that_raises_is_logged(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(netobj.Service):
        def on_disconnect(self, conn: netobj.Connection) -> None:
            raise ZeroDivisionError("oops")

    here, _ = pair(Clumsy)
    here.close()
    assert "on_disconnect" in caplog.text
    assert "oops" in caplog.text


def test_before_closed_gets_the_root(pair: Pair) -> None:
    said: list[object] = []
    here, _ = pair(config={"before_closed": lambda root: said.append(root.eval("1 + 1"))})
    here.close()
    here.close()
    assert said == [2]


@pytest.mark.parametrize("catchall", [True, False])
def test_what_before_closed_raises(pair: Pair, catchall: bool) -> None:
    def fail(_root: object) -> None:
        raise ZeroDivisionError

    here, _ = pair(config={"before_closed": fail, "close_catchall": catchall})
    if catchall:
        here.close()
    else:
        with pytest.raises(ZeroDivisionError):
            here.close()
    assert here.closed


def test_before_closed_may_close_and_is_called_once(pair: Pair) -> None:
    calls: list[object] = []

    def before(root: object) -> None:
        calls.append(root)
        here.close()

    here, _ = pair(config={"before_closed": before})
    here.close()
    assert len(calls) == 1
    assert here.closed


def test_a_callback_may_close_the_connection(pair: Pair) -> None:
    here, _ = pair()
    with pytest.raises(netobj.ConnectionLost, match="closed on this side"):
        here.root.eval("lambda f: f()")(here.close)


def test_wait_closed(pair: Pair, in_thread: Start) -> None:
    here, there = pair()
    thread = in_thread(here.wait_closed)
    there.close()
    thread.join(20)
    assert here.closed
    stop = threading.Event()
    stop.set()
    other, _ = pair()
    other.wait_closed(stop)
    assert not other.closed


def test_ended_connections_are_forgotten(pair: Pair, until: Until) -> None:
    def used() -> list[weakref.ref[netobj.Connection]]:
        one, other = socket.socketpair()
        here = netobj.connect_stream(SocketStream(one))
        there = netobj.connect_stream(SocketStream(other), netobj.SlaveService)
        assert here.root.eval("1") == 1
        here.close()
        there.close()
        return [weakref.ref(here), weakref.ref(there)]

    refs = used()

    def forgotten() -> bool:
        gc.collect()
        return all(ref() is None for ref in refs)

    until(forgotten)


def test_a_fault_of_ours_in_reading_ends_only_that_connection(
    pair: Pair, until: Until, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = pair()
    bystander, _ = pair()
    monkeypatch.setattr(there.session, "receive_data", lambda *_: 1 // 0)
    here.session.ping(None)
    here.flush()
    until(lambda: there.closed)
    assert "ZeroDivisionError" in str(there.session.lost)
    until(lambda: "reading a message failed" in caplog.text)
    assert bystander.root.eval("1 + 1") == 2
    fired = threading.Event()
    netobj.async_(bystander.root.eval)("1").add_callback(lambda _: fired.set())
    assert fired.wait(20)  # the I/O thread is alive


def test_errors_are_logged_from_a_worker(pair: Pair, until: Until) -> None:
    threads: list[threading.Thread] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            threads.append(threading.current_thread())

    logger = logging.Logger("test")
    logger.addHandler(Handler())
    conn, other = mute_peer(logger=logger)
    other.sendall(b"\0\0\0\2\x91\x63")
    until(lambda: threads)
    assert "worker" in threads[0].name
    conn.close()
    other.close()


def test_the_tables_are_emptied_at_the_end(pair: Pair, until: Until) -> None:
    class Thing:
        pass

    here, _ = pair()
    thing = Thing()
    ref = weakref.ref(thing)
    here.root.eval("lambda obj: globals().update(kept=obj)")(thing)
    del thing
    gc.collect()
    assert ref() is not None
    here.close()
    until(lambda: ref() is None)
    assert not here.session.boxing.exports


# --- strangers ----------------------------------------------------------------------------------

HELLO = recorded_hello()
STRANGERS = {
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "does not speak netobj"),
    "rpyc": (b"\x00\x00\x00\x0b\x00\x18\x15\xff\xd8\x02\x0c\x14\x00\n", "does not speak netobj"),
    "newer": (b"netobj 2\r\n", "speaks major version 2"),
    "malformed version": (b"netobj 1.5\r\n....", "malformed"),
    "garbage": (PREAMBLE + b"\0\0\0\4\xc1\xc1\xc1\xc1", ""),
    "no message": (PREAMBLE + b"\0\0\0\1\x07", ""),
    "no hello": (PREAMBLE + b"\0\0\0\3\x92\x07\x01", "before the hello"),
    "two hellos": (HELLO + HELLO[10:], "second hello"),
    "large frame": (HELLO + b"\x7f\xff\xff\xff", "announced a frame of 2147483647 bytes"),
    "raw frame": (HELLO + b"\x80\0\0\1x", "raw frame"),
    "unknown kind": (HELLO + b"\0\0\0\2\x91\x63", "kind of message 99"),
    "answer to nothing": (HELLO + b"\0\0\0\4\x93\x03\x01\xc0", "never made"),
    "id never given": (HELLO + b"\0\0\0\4\x93\x05\x63\x01", "99"),
    "target never given": (HELLO + b"\0\0\0\x08\x97\x01\x01\x01\x00\x63\xc0\x90", "99"),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_strangers_are_told_off_at_once_and_touch_nobody_else(
    kind: str, pair: Pair, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    data, text = STRANGERS[kind]
    here, _ = pair()
    one, other = socket.socketpair()
    other.settimeout(10)
    conn = netobj.connect_stream(SocketStream(one), netobj.SlaveService)
    began = time.monotonic()
    other.sendall(data)
    try:
        while other.recv(4096):
            pass
    except ConnectionResetError:
        pass
    assert time.monotonic() - began < 2  # a bound for a busy machine; in truth some 20 ms
    assert conn.closed
    until(lambda: any(r.levelno >= logging.ERROR for r in caplog.records))
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert text in errors[0]
    assert here.root.eval("1 + 1") == 2
    conn.close()
    other.close()


def test_a_release_too_many_ends_that_connection(
    pair: Pair, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = pair()
    proxy = here.root.eval("[1]")
    number = proxy.____handle__.id
    here.session._queue([int(Kind.RELEASE), number, 50])
    here.flush()
    until(lambda: here.closed)
    until(lambda: str(number) in caplog.text)
    with pytest.raises(netobj.ConnectionLost, match="protocol error"):
        len(proxy)
    assert there.closed


def test_a_stranger_that_trickles(until: Until, caplog: pytest.LogCaptureFixture) -> None:
    one, other = socket.socketpair()
    with netobj.connect_stream(SocketStream(one)) as conn:
        other.sendall(b"netobj ")
        assert not conn.closed
        other.sendall(b"xyz")
        until(lambda: conn.closed)
    until(lambda: "does not speak netobj" in caplog.text or "malformed" in caplog.text)
    other.close()


# --- pings and the heartbeat --------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, 0, 17, "text", b"bytes"])
def test_ping(pair: Pair, data: object) -> None:
    here, there = pair()
    here.ping(data)
    there.ping(data, timeout=None)
    assert here._pings == {}


def test_a_ping_that_nobody_answers(until: Until) -> None:
    conn, other = mute_peer()
    with pytest.raises(netobj.PingError, match=r"did not answer a ping within 0.02 s"):
        conn.ping(timeout=0.02)
    assert not conn.closed
    other.close()
    with pytest.raises(netobj.ConnectionLost):
        conn.ping(timeout=20)
    conn.close()


def test_pings_of_many_threads_all_come_back(pair: Pair, in_thread: Start) -> None:
    here, _ = pair()
    failed: list[BaseException] = []

    def ping(data: object) -> None:
        try:
            for _ in range(100):
                here.ping(data, timeout=20)
        except BaseException as exc:
            failed.append(exc)

    for thread in [in_thread(ping, data) for data in (None, None, 1, 2, "x", b"y")]:
        thread.join(30)
    assert failed == []


def test_pings_that_come_at_once_are_all_answered(pair: Pair) -> None:
    here, _ = pair()
    here.root  # noqa: B018
    waiters = [netobj.AsyncResult(here) for _ in range(3)]
    for token, waiter in enumerate(waiters):
        here._pings[token] = waiter
        here.session.ping(token)
    here.session.ping(None)
    here.flush()
    for waiter in waiters:
        here.wait_for(waiter, time.monotonic() + 20)
        assert waiter.done


def test_pings_are_answered_while_a_handler_runs(pair: Pair) -> None:
    here, there = pair()
    leave = threading.Event()
    there.session.boxing.root.exposed_namespace["wait"] = leave.wait
    result = netobj.async_(here.root.eval("wait"))(20)
    here.ping(timeout=20)
    assert not result.ready
    leave.set()
    assert result.value is True


def test_the_heartbeat_ends_a_connection_to_a_mute_peer(until: Until) -> None:
    conn, other = mute_peer(heartbeat_interval=0.02, heartbeat_timeout=0.03)
    result = conn.request_async(int(Op.CALL), None, "anything", ())
    with pytest.raises(netobj.ConnectionLost, match=r"did not answer a ping within 0.03 s"):
        result.value  # noqa: B018
    until(lambda: conn.closed)
    conn.close()
    other.close()


def test_the_heartbeat_also_works_while_a_thread_waits() -> None:
    conn, other = mute_peer(heartbeat_interval=0.02, heartbeat_timeout=0.03)
    with pytest.raises(netobj.ConnectionLost, match="silent"):
        conn.request(int(Op.CALL), None, "anything", ())
    conn.close()
    other.close()


def test_without_a_heartbeat_a_mute_peer_is_left_alone() -> None:
    conn, other = mute_peer(heartbeat_interval=None, heartbeat_timeout=0.01)
    assert conn.tick(time.monotonic() + 1e6) is None
    assert not conn.closed
    conn.close()
    other.close()


def test_the_heartbeat_leaves_a_live_peer_alone(pair: Pair, until: Until) -> None:
    config = {"heartbeat_interval": 0.01, "heartbeat_timeout": 10}
    here, there = pair(config=config)
    pinged: list[float] = []
    session = there.session
    receive = session.receive_data

    def note(data: bytes, now: float, wanted: int) -> Any:
        pinged.append(now)
        return receive(data, now, wanted)

    session.receive_data = note  # type: ignore[method-assign]
    until(lambda: len(pinged) > 5)
    assert not here.closed
    assert here.root.eval("1") == 1


# --- calls --------------------------------------------------------------------------------------


def test_deadlines(pair: Pair, until: Until) -> None:
    here, there = pair()
    leave = threading.Event()

    def late() -> list[int]:
        leave.wait(20)
        return [1, 2, 3]

    there.session.boxing.root.exposed_namespace["late"] = late
    call = here.root.eval("late")
    exported = len(there.session.boxing.exports)
    here._config["sync_request_timeout"] = 0.02
    with pytest.raises(TimeoutError, match=r"no answer came within 0.02 s") as caught:
        call()
    here._config["sync_request_timeout"] = None  # the other calls may take their time
    assert type(caught.value) is netobj.AsyncResultTimeout
    del caught  # its traceback holds the frames of the call
    leave.set()
    # What comes too late is not kept: its reference goes back.
    until(lambda: not here.session.pending and not there.session.running)
    until(lambda: len(there.session.boxing.exports) <= exported)
    assert here.root.eval("1 + 1") == 2
    assert list(call()) == [1, 2, 3]


def test_the_deadline_of_one_call(pair: Pair) -> None:
    here, there = pair()
    leave = threading.Event()
    there.session.boxing.root.exposed_namespace["wait"] = leave.wait
    wait = here.root.eval("wait")
    with pytest.raises(netobj.AsyncResultTimeout):
        here.request(int(Op.CALL), wait.____handle__, None, (20,), timeout=0.01)
    leave.set()


@pytest.mark.parametrize("seconds", [1e7, 1e10, float("inf")])
def test_very_long_deadlines(pair: Pair, seconds: float) -> None:
    here, _ = pair(config={"sync_request_timeout": seconds})
    assert here.root.eval("6 * 7") == 42
    assert netobj.timed(here.root.eval, seconds)("6 * 7").value == 42


def test_sync_and_async_request(pair: Pair) -> None:
    here, there = pair()
    text = here.root.eval("['a', 'b']")
    assert here.sync_request(Op.GET, text) is text
    assert here.async_request(Op.CALL, text.pop).value == "b"
    assert here.sync_request(Op.CALL, here.root.eval, "1 + 1") == 2
    with pytest.raises(TypeError, match="a proxy is needed, not a list"):
        here.sync_request(Op.GET, [])
    leave = threading.Event()
    there.session.boxing.root.exposed_namespace["wait"] = leave.wait
    with pytest.raises(netobj.AsyncResultTimeout):
        here.async_request(Op.CALL, here.root.eval("wait"), 20, timeout=0.01).wait()
    leave.set()


def test_callbacks_run_in_the_calling_thread_three_deep(pair: Pair) -> None:
    here, there = pair(netobj.SlaveService)
    threads: list[int] = []

    def down(level: int, back: Callable[[int, Any], Any]) -> int:
        threads.append(threading.get_ident())
        return level if level == 0 else back(level - 1, down)

    bounce = here.root.eval("lambda level, f: f(level, bounce)")
    there.session.boxing.root.exposed_namespace["bounce"] = bounce.____handle__ and eval(
        "lambda level, f: f(level, bounce)", there.session.boxing.root.exposed_namespace
    )
    assert bounce(3, down) == 0
    assert set(threads) == {threading.get_ident()}
    assert len(threads) == 4


def test_a_lock_held_by_the_caller_can_be_taken_again_in_its_callback(pair: Pair) -> None:
    here, _ = pair()
    lock = threading.RLock()

    def callback() -> bool:
        return lock.acquire(blocking=False)

    with lock:
        assert here.root.eval("lambda f: f()")(callback)
        lock.release()


def test_threads_share_a_connection_with_callbacks(pair: Pair, in_thread: Start) -> None:
    here, _ = pair()
    add = here.root.eval("lambda a, b: a + b")
    call = here.root.eval("lambda f, n: f(n)")
    wrong: list[object] = []

    def work(number: int) -> None:
        ident = threading.get_ident()

        def callback(n: int) -> int:
            if threading.get_ident() != ident:
                wrong.append("another thread")
            return n if n == 0 else call(callback, n - 1) + 1

        try:
            for i in range(30):
                if add(number, i) != number + i or call(callback, 3) != 3:
                    wrong.append(i)
        except BaseException as exc:
            wrong.append(exc)

    for thread in [in_thread(work, number) for number in range(8)]:
        thread.join(60)
    assert wrong == []


def test_a_slow_call_does_not_delay_a_quick_one(pair: Pair, in_thread: Start) -> None:
    here, there = pair()
    leave = threading.Event()
    there.session.boxing.root.exposed_namespace["wait"] = leave.wait
    wait = here.root.eval("wait")
    thread = in_thread(wait, 20)
    for i in range(20):
        assert here.root.eval(str(i)) == i
    assert not leave.is_set()
    leave.set()
    thread.join()


def test_an_event_arrives_while_nobody_reads(pair: Pair) -> None:
    here, _ = pair()
    arrived = threading.Event()
    threads: list[str] = []

    def event() -> None:
        threads.append(threading.current_thread().name)
        arrived.set()

    thread = here.root.eval("__import__('threading').Thread")(target=event)
    thread.start()
    assert arrived.wait(20)
    thread.join(20)  # its call has to return before the connection ends
    assert "I/O" not in threads[0]


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 2**20, 40 * 2**20])
def test_big_values_both_ways(pair: Pair, size: int) -> None:
    here, _ = pair()
    same = here.root.eval("lambda x, f: f(x)")
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    seen: list[object] = []

    def callback(value: object) -> object:
        seen.append(value)
        return value

    assert same(data, callback) == data
    text = "ä" * (size // 2) + "x"
    assert same(text, callback) == text
    assert seen == [data, text]


def test_a_message_above_the_limit_of_the_peer_is_refused_here(pair: Pair) -> None:
    limits = list(netobj.core.protocol.DEFAULT_CONFIG["limits"])
    limits[Limit.FRAME] = 10_000
    here, _ = pair(other_config={"limits": tuple(limits)})
    length = here.root.eval("len")
    with pytest.raises(netobj.LimitExceeded, match="accepts 10000"):
        length("x" * 20_000)
    assert length("x" * 1000) == 1000


def test_exceptions_come_home_as_themselves(pair: Pair) -> None:
    here, _ = pair()
    mine = LookupError("mine")

    def fail() -> None:
        raise mine

    with pytest.raises(LookupError) as caught:
        here.root.eval("lambda f: f()")(fail)
    assert caught.value is mine


def test_a_result_that_cannot_be_sent_is_an_error_of_the_call(pair: Pair) -> None:
    limits = list(netobj.core.protocol.DEFAULT_CONFIG["limits"])
    limits[Limit.FRAME] = 10_000
    here, _ = pair(config={"limits": tuple(limits)})
    with pytest.raises(ValueError, match="accepts 10000"):
        here.root.eval("'x' * 20_000")
    assert here.root.eval("1") == 1


def test_an_exception_that_cannot_be_sent_still_ends_the_call(pair: Pair) -> None:
    limits = list(netobj.core.protocol.DEFAULT_CONFIG["limits"])
    limits[Limit.FRAME] = 10_000
    here, _ = pair(config={"limits": tuple(limits)})
    here.root.execute("def fail(): raise ValueError('x' * 50_000)")
    with pytest.raises(Exception, match=r"ValueError|xxx"):
        here.root.eval("fail")()
    assert here.root.eval("1") == 1


def test_the_depth_of_a_chain_is_bounded(pair: Pair) -> None:
    limits = list(netobj.core.protocol.DEFAULT_CONFIG["limits"])
    limits[Limit.DEPTH] = 10
    config = {"limits": tuple(limits)}
    here, _ = pair(config=config, other_config=config)
    call = here.root.eval("lambda f: f()")

    def again() -> object:
        return call(again)

    with pytest.raises(RecursionError, match="nested"):
        again()
    assert here.root.eval("1") == 1


def test_a_finalizer_in_the_midst_of_a_write_may_not_call(pair: Pair) -> None:
    here, _ = pair()
    here.writer._lock.acquire()
    here.writer.owner = threading.get_ident()
    try:
        with pytest.raises(netobj.ReentrantCall, match="finalizer or signal handler"):
            here.root.eval("1")
    finally:
        here.writer.owner = 0
        here.writer._lock.release()
    assert here.root.eval("1") == 1


def test_a_signal_handler_in_the_midst_of_reading_may_not_call_but_may_send(pair: Pair) -> None:
    here, there = pair()
    there.session.boxing.root.exposed_namespace["main"] = threading.get_ident()
    sent: list[Any] = []

    def handler(*_: object) -> None:
        sent.append(netobj.async_(here.root.eval)("6 * 7"))
        with pytest.raises(netobj.ReentrantCall, match="reading or writing"):
            here.root.eval("1")
        handled.set()

    handled = threading.Event()
    there.session.boxing.root.exposed_namespace["handled"] = handled.wait
    old = signal.signal(signal.SIGUSR1, handler)
    try:
        kill = "__import__('signal').pthread_kill(main, __import__('signal').SIGUSR1)"
        assert here.root.eval(f"({kill}, handled(20))[1]") is True
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert sent[0].value == 42


def test_the_jobs_of_a_call_that_is_given_up_still_run(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair()
    threads: list[threading.Thread] = []
    done = threading.Event()

    def job(_: object) -> None:
        threads.append(threading.current_thread())
        done.set()

    def interrupted(waiter: Waiter, _deadline: object) -> None:
        waiter.assign((job, None))
        raise KeyboardInterrupt

    root = here.root
    with monkeypatch.context() as patch:
        patch.setattr(here, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            root.eval("1")
    assert done.wait(20)
    assert threads != [threading.current_thread()]


def test_many_objects_leave_nothing_behind(pair: Pair, until: Until, scale: int) -> None:
    here, there = pair()
    make = here.root.eval("list")
    before = len(there.session.boxing.exports)
    for _ in range(2000 * scale):
        make()
    gc.collect()
    until(lambda: len(there.session.boxing.exports) <= before)
    del make
    gc.collect()


# --- credit -------------------------------------------------------------------------------------


def few_requests(count: int) -> dict[str, Any]:
    limits = list(netobj.core.protocol.DEFAULT_CONFIG["limits"])
    limits[Limit.REQUESTS] = count
    return {"limits": tuple(limits)}


def test_more_calls_than_the_peer_admits_wait_for_room(pair: Pair) -> None:
    here, _ = pair(other_config=few_requests(4))
    count = here.root.eval("[].append")
    results = [netobj.async_(count)(i) for i in range(200)]
    for result in results:
        assert result.value is None


def test_without_any_answer_it_is_busy(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CREDIT_PATIENCE", 0.02)
    here, there = pair(other_config=few_requests(3))
    leave = threading.Event()
    there.session.boxing.root.exposed_namespace["wait"] = leave.wait
    wait = netobj.async_(here.root.eval("wait"))
    results = [wait(20) for _ in range(3)]
    with pytest.raises(netobj.Busy, match="3 calls are in flight"):
        wait(20)
    chains = dict(waiting.chains)
    with pytest.raises(netobj.Busy, match="as many as the peer admits"):
        here.root.eval("1")
    assert waiting.chains == chains  # the call that was not made left no chain behind
    leave.set()
    assert [result.value for result in results] == [True] * 3


def test_calls_inside_a_chain_are_exempt(pair: Pair) -> None:
    here, _ = pair(other_config=few_requests(4))
    call = here.root.eval("lambda f, n: f(n)")

    def down(n: int) -> int:
        return n if n == 0 else call(down, n - 1)

    assert call(down, 5) == 0


def test_calls_that_wait_for_one_another_all_end(pair: Pair) -> None:
    here, there = pair()
    count = 200
    barrier = threading.Barrier(count + 1)
    meet = there.session.boxing.root.exposed_namespace["meet"] = barrier.wait
    assert meet is not None

    class Meeting:
        @netobj.exposed(concurrent=True)
        def meet(self) -> None:
            barrier.wait(60)

    there.session.boxing.root.exposed_namespace["meeting"] = Meeting()
    meeting = here.root.eval("meeting")
    results = [netobj.async_(meeting.meet)() for _ in range(count)]
    meeting.meet()
    for result in results:
        result.wait()
        assert not result.error


# --- by hand ------------------------------------------------------------------------------------


def test_serve_by_hand(pair: Pair) -> None:
    here, there = pair(other_config={"serve": "caller"})
    assert there.served_by_caller
    assert there.serve(0) is False
    result = netobj.async_(here.root.eval)("__import__('threading').get_ident()")
    assert there.serve(None) is True
    assert result.value == threading.get_ident()
    with pytest.raises(EOFError):
        here.close() or there.serve(20)


def test_who_serves_by_hand_tells_the_service_of_the_end(pair: Pair, in_thread: Start) -> None:
    recorder = Recorder()
    here, there = pair(recorder, config={"serve": "caller"})
    in_thread(there.close)
    with pytest.raises(netobj.ConnectionLost):
        here.serve(None)
    assert recorder.names == ["on_connect", "on_disconnect"]


def test_poll_and_poll_all(pair: Pair) -> None:
    here, there = pair(other_config={"serve": "caller"})
    seen: list[int] = []
    there.session.boxing.root.exposed_namespace["append"] = seen.append
    result = netobj.async_(here.root.eval)("append")
    assert there.serve(20)
    append = netobj.async_(result.value)
    assert there.poll() is False
    for i in range(5):
        append(i)
    while len(seen) < 5:
        there.poll_all(0.01)
    assert seen == list(range(5))
    assert there.poll_all() is False


def test_a_select_loop(pair: Pair) -> None:
    here, there = pair()
    assert not there.served_by_caller
    fd = there.fileno()
    assert there.served_by_caller
    assert not select.select([fd], [], [], 0)[0]
    result = netobj.async_(here.root.eval)("6 * 7")
    assert select.select([fd], [], [], 20)[0]
    assert there.poll()
    assert not select.select([fd], [], [], 0)[0]
    assert result.value == 42
    here.close()
    assert select.select([fd], [], [], 20)[0]
    with pytest.raises(EOFError):
        there.poll()


def test_what_waited_before_fileno_is_seen(pair: Pair, until: Until) -> None:
    here, there = pair(other_config={"serve": "caller"})
    result = netobj.async_(here.root.eval)("1")
    until(lambda: there.dispatcher.waiting)
    assert select.select([there.fileno()], [], [], 20)[0]
    assert there.poll_all()
    assert result.value == 1


def test_no_call_is_lost_between_polls(pair: Pair, in_thread: Start, scale: int) -> None:
    here, there = pair(other_config={"serve": "caller"})
    done = threading.Event()

    def poll() -> None:
        while not done.is_set():
            there.serve(0.0001)

    in_thread(poll)
    try:
        for i in range(500 * scale):
            assert here.root.eval(str(i)) == i
    finally:
        done.set()


def test_waiting_without_a_limit_misses_nothing(pair: Pair, in_thread: Start, scale: int) -> None:
    here, there = pair(other_config={"serve": "caller"})
    thread = in_thread(there.serve_all)
    for i in range(500 * scale):
        assert here.root.eval(str(i)) == i
    here.close()
    thread.join(20)


def test_serve_all_by_hand_serves_several_callers(pair: Pair, in_thread: Start) -> None:
    here, there = pair(other_config={"serve": "caller"})
    thread = in_thread(there.serve_all)
    wrong: list[object] = []

    def work(number: int) -> None:
        for i in range(50):
            if here.root.eval(f"{number} + {i}") != number + i:
                wrong.append(i)

    for worker in [in_thread(work, number) for number in range(4)]:
        worker.join(30)
    assert wrong == []
    there.close()
    thread.join(20)


@pytest.mark.parametrize("name", ["serve_all", "serve_threaded"])
def test_a_thread_that_serves_runs_the_calls(pair: Pair, in_thread: Start, name: str) -> None:
    here, there = pair()
    thread = in_thread(getattr(there, name))
    until_served = "__import__('threading').current_thread().name"
    names = {here.root.eval(until_served) for _ in range(50)}
    assert thread.name in names
    here.close()
    thread.join(20)
    assert there.closed


def test_a_chain_reaches_who_waits_even_with_serve_by_hand(pair: Pair) -> None:
    here, _ = pair(config={"serve": "caller"})
    ident = here.root.eval("lambda f: f()")(threading.get_ident)
    assert ident == threading.get_ident()


# --- settings -----------------------------------------------------------------------------------


def test_the_settings_can_be_read_and_written(pair: Pair) -> None:
    class Open(netobj.Service):
        def public(self) -> None: ...

    here, there = pair(there=Open)
    assert there._config["allow_public_attrs"] is False
    with pytest.raises(AttributeError):
        here.root.get_nothing  # noqa: B018
    with pytest.raises(AttributeError):
        here.root.public  # noqa: B018
    there._config["allow_public_attrs"] = True
    assert callable(here.root.public)
    assert there.config.allow_public_attrs is True
    there._config["sync_request_timeout"] = 5
    assert there._config["sync_request_timeout"] == 5
    with pytest.raises(ValueError, match="unknown configuration keys"):
        there._config["no_such_setting"] = 1
    with pytest.raises(KeyError):
        there._config["no_such_setting"]
    there._config["serve"] = "caller"
    assert there.served_by_caller


def test_an_unknown_setting_gives_the_socket_back() -> None:
    one, other = socket.socketpair()
    with other, pytest.raises(ValueError, match="unknown configuration keys nonsense"):
        netobj.connect_stream(SocketStream(one), config={"nonsense": 1})
    assert one.fileno() == -1


def test_endpoints_and_the_logger_are_set(pair: Pair) -> None:
    here, _ = pair()
    assert here._config["endpoints"] is not None
    assert here.log is logging.getLogger("netobj")


def test_each_connection_has_an_id(pair: Pair) -> None:
    here, there = pair()
    assert here._config["connid"].startswith("conn")
    assert there._config["connid"] not in (None, here._config["connid"])
    named, _ = pair(config={"connid": "the pump's"})
    assert named._config["connid"] == "the pump's"
    with pytest.raises(AttributeError, match="the VoidService side refuses"):  # not "conn1 ..."
        there.root.nothing  # noqa: B018


def test_a_connection_has_no_other_attributes(pair: Pair) -> None:
    here, _ = pair()
    with pytest.raises(AttributeError, match="'Connection' object has no attribute 'modules'"):
        here.modules  # noqa: B018
    assert repr(here).startswith("<netobj.Connection to a local socket (open)>")


# --- looking ------------------------------------------------------------------------------------


def test_dump_pending_tells_who_waits_on_what(pair: Pair, in_thread: Start, until: Until) -> None:
    go_on = threading.Event()

    class Slow(netobj.Service):
        def exposed_wait(self, *_args: object) -> bool:
            return go_on.wait(20)

    here, there = pair(there=Slow)
    assert here.dump_pending().endswith("nothing is under way")
    wait = here.root.wait
    thread = in_thread(wait)
    until(lambda: there.calls)
    result = netobj.async_(wait)()
    behind = netobj.async_(result).real()
    with pytest.raises(netobj.AccessDenied), netobj.batch(here):  # noqa: PT012
        item = here.root.wait(behind)
        text = here.dump_pending()
        until(lambda: len(there.calls) == 2 and "not started" in there.dump_pending())
        there_text = there.dump_pending()
        go_on.set()
    assert f"waits for root.wait() [request {result.seq}] since " in text
    assert f"in thread {threading.current_thread().name!r}" in text
    assert f"in thread {thread.name!r}" in text
    assert "waits for a pending result.real()" in text
    assert "runs Slow.wait() since " in there_text
    assert "in thread 'netobj worker" in there_text
    assert "not started" in there_text
    thread.join(20)
    assert item.error


def test_calls_are_those_that_run(pair: Pair, until: Until) -> None:
    go_on = threading.Event()

    class Slow(netobj.Service):
        def exposed_wait(self) -> bool:
            return go_on.wait(20)

    here, there = pair(there=Slow)
    results = [netobj.async_(here.root.wait)() for _ in range(2)]
    until(lambda: there.calls and len(there.session.running) == 2)
    (call,) = there.calls
    assert call.connection is there
    assert call.name == "Slow.wait()"
    assert "by a local socket" in repr(call)
    go_on.set()
    for result in results:
        result.wait()
    until(lambda: there.calls == ())
    assert here.calls == ()


def test_the_name_of_the_peer(pair: Pair) -> None:
    here, _ = pair()
    assert here.peer_name == here.stream.name == "a local socket"


def test_descriptors_that_the_io_thread_watches_are_given_back(pair: Pair, until: Until) -> None:
    here, there = pair()
    until(lambda: here.registered and there.registered)
    here.close()
    assert here.stream.read_fd == -1
    until(lambda: there.stream.read_fd == -1)
    until(lambda: here not in here._io._watched and not here.registered)


def test_the_end_that_the_io_thread_finds_while_a_call_runs(pair: Pair, until: Until) -> None:
    here, there = pair(netobj.SlaveService)
    leave = threading.Event()
    there.session.boxing.root.exposed_namespace["leave"] = leave
    result = netobj.async_(here.root.eval)("leave.wait(20)")
    until(lambda: there.calls)
    here.close()
    until(lambda: there.closed and there.stream.read_fd == -1)
    leave.set()
    with pytest.raises(netobj.ConnectionLost):
        result.value  # noqa: B018


def test_messages_of_all_lengths_around_the_first_read(pair: Pair) -> None:
    here, _ = pair(netobj.SlaveService)
    for size in (*range(360, 460), 896, 4_000, 60_000):
        assert here.root.eval(f"'x' * {size}") == "x" * size


def test_what_a_connection_is_extended_with(pair: Pair) -> None:
    class Extras:
        """Public names, of which one is a connection's own."""

        number = 7
        _hidden = 8

        @property
        def fresh(self) -> object:
            return object()

        def close(self) -> None:
            raise AssertionError("a connection closes itself")

        def config(self) -> None:
            """In a connection it is no attribute of the class."""

    here, there = pair(there=netobj.VoidService)
    here.extend(Extras())
    assert isinstance(here, netobj.Connection)
    assert (here.number, here.config) == (7, here.session.config)
    assert here.fresh is not here.fresh
    here.number = 9
    assert here.number == 9
    del here.number
    assert here.number == 7
    here.extend(Extras())
    assert here.number == 7
    for name in ("_hidden", "other"):
        with pytest.raises(AttributeError):
            getattr(here, name)
    with pytest.raises(AttributeError):
        there.number  # noqa: B018
    here.close()
    assert here.closed

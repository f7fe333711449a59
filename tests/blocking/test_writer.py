from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence

import pytest

from netobj.blocking.streams import SocketStream, Wire
from netobj.blocking.writer import Writer


class Trickle(SocketStream):
    """A stream that takes as many bytes at a time as *takes* says; the rest is "full"."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.takes: list[int] = []
        self.written = bytearray()
        self.calls = 0

    def send(self, data: Wire) -> int:
        return self.send_now((data,))

    def send_now(self, parts: Sequence[Wire]) -> int:
        self.calls += 1
        room = self.takes.pop(0) if self.takes else 0
        data = b"".join(parts)[:room]
        self.written += data
        return len(data)


@pytest.fixture
def stream() -> Iterator[Trickle]:
    one, other = socket.socketpair()
    trickle = Trickle(one)
    yield trickle
    trickle.close()
    other.close()


def make(stream: Trickle, most: int = 2**23) -> tuple[Writer, deque[Wire], list[int]]:
    out: deque[Wire] = deque()
    blocked: list[int] = []
    return Writer(stream, out, lambda reads: blocked.append(int(reads)), most), out, blocked


def test_what_is_queued_leaves_in_one_call(stream: Trickle) -> None:
    writer, out, blocked = make(stream)
    out.extend([b"one", b"two", memoryview(b"three")])
    stream.takes = [100]
    writer.flush()
    assert stream.written == b"onetwothree"
    assert stream.calls == 1
    assert blocked == []
    assert not writer.blocked


@pytest.mark.parametrize("size", range(1, 12))
def test_partial_writes_are_resumed_where_they_stopped(stream: Trickle, size: int) -> None:
    writer, out, blocked = make(stream)
    out.extend([b"abcd", b"efgh", b"ijk"])
    stream.takes = [size]
    writer.flush()
    assert stream.written == b"abcdefghijk"[:size]
    assert blocked == ([] if size == 11 else [0])
    assert writer.blocked == (size < 11)
    out.append(b"lm")
    writer.flush()  # while it is blocked nothing is tried
    stream.takes = [1, 1, 100]
    while writer.resume():
        pass
    writer.flush()
    if size == 11:
        stream.takes = [100]
        writer.flush()
    assert stream.written == b"abcdefghijklm"
    assert not writer.blocked


def test_a_single_message_cut_short(stream: Trickle) -> None:
    writer, out, blocked = make(stream)
    out.append(b"abcdef")
    stream.takes = [2]
    writer.flush()
    assert (bytes(stream.written), writer.blocked, blocked) == (b"ab", True, [0])
    stream.takes = [0]
    assert writer.resume()
    stream.takes = [10]
    assert not writer.resume()
    assert stream.written == b"abcdef"


def test_congested_counts_all_that_waits(stream: Trickle) -> None:
    writer, out, _ = make(stream, 10)
    out.append(b"x" * 100)
    assert not writer.congested()  # nobody has tried to write it
    writer.flush()
    assert writer.congested()
    stream.takes = [95]
    writer.resume()
    assert not writer.congested()
    out.append(b"x" * 6)
    assert writer.congested()


def test_who_waits_for_room_is_told_once(stream: Trickle) -> None:
    writer, out, _ = make(stream, 10)
    told: list[str] = []
    out.append(b"x" * 100)
    writer.flush()
    writer.when_room(lambda: told.append("one"))
    stream.takes = [50]
    writer.resume()
    assert not told
    stream.takes = [45, 0, 0]
    writer.resume()
    writer.resume()
    assert told == ["one"]
    writer.when_room(lambda: told.append("at once"))
    assert told == ["one", "at once"]


def test_since_when_nothing_was_taken(stream: Trickle) -> None:
    writer, out, _ = make(stream)
    assert writer.stuck_since() is None
    out.append(b"x" * 100)
    writer.flush()
    since = writer.stuck_since()
    assert since is not None
    stream.takes = [0]
    writer.resume()
    assert writer.stuck_since() == since
    stream.takes = [1, 0]
    writer.resume()
    moved = writer.stuck_since()
    assert moved is not None
    assert moved > since
    stream.takes = [99]
    writer.resume()
    assert writer.stuck_since() is None


def test_one_thread_writes_and_another_leaves_its_message_to_it(stream: Trickle) -> None:
    writer, out, _ = make(stream)
    inside, go = threading.Event(), threading.Event()

    class Slow(Trickle):
        def send_now(self, parts: Sequence[Wire]) -> int:
            inside.set()
            go.wait(20)
            return super().send_now(parts)

    stream.__class__ = Slow
    stream.takes = [100, 100]
    out.append(b"first")
    thread = threading.Thread(target=writer.flush)
    thread.start()
    inside.wait(20)
    assert not writer.interrupted_here()
    out.append(b"second")
    writer.flush()  # returns at once
    assert not writer.retire()
    assert stream.written == b""
    go.set()
    thread.join()
    assert stream.written == b"firstsecond"


# --- write: a message that need not be queued -------------------------------------------------


def test_a_message_is_written_at_once(stream: Trickle) -> None:
    writer, out, blocked = make(stream)
    stream.takes = [100]
    writer.write(b"message")
    assert (bytes(stream.written), stream.calls, list(out), blocked) == (b"message", 1, [], [])


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("size", range(6))
def test_the_rest_of_a_message_follows(stream: Trickle, size: int, reads: bool) -> None:
    writer, out, blocked = make(stream)
    stream.takes = [size]
    writer.write(b"abcdef", reads)
    assert (bytes(stream.written), blocked) == (b"abcdef"[:size], [int(reads)])
    writer.write(b"ghi", reads)  # while it is blocked nothing is tried, and nobody told again
    assert (stream.calls, list(out), blocked) == (1, [b"ghi"], [int(reads)])
    stream.takes = [100]
    assert not writer.resume()
    assert stream.written == b"abcdefghi"


def test_a_message_takes_its_turn_behind_what_is_queued(stream: Trickle) -> None:
    writer, out, _ = make(stream)
    out.append(b"first")
    stream.takes = [100]
    writer.write(b"second")
    assert (bytes(stream.written), stream.calls) == (b"firstsecond", 1)


def test_a_message_is_left_to_the_thread_that_writes(stream: Trickle) -> None:
    writer, out, _ = make(stream)
    stream.takes = [100, 100]

    class Meanwhile(Trickle):
        def send(self, data: Wire) -> int:
            self.__class__ = Trickle
            thread = threading.Thread(target=writer.write, args=(b"second",))
            thread.start()
            thread.join(20)  # it returns, though this one writes
            assert list(out) == [b"second"]
            return Trickle.send(self, data)

    stream.__class__ = Meanwhile
    writer.write(b"first")
    assert stream.written == b"firstsecond"


def test_a_message_does_not_get_into_the_midst_of_another(stream: Trickle) -> None:
    writer, _, blocked = make(stream)

    class Late:
        """The lock, which another thread takes and gives back right before we get it."""

        def acquire(self, blocking: bool) -> bool:
            writer._lock = lock
            stream.takes = [2, 100, 100]
            writer.write(b"abcdef")
            return lock.acquire(blocking)

    lock = writer._lock
    writer._lock = Late()  # type: ignore[assignment]
    writer.write(b"ghi")
    assert (bytes(stream.written), blocked) == (b"ab", [0])
    assert not writer.resume()
    assert stream.written == b"abcdefghi"


def test_an_error_of_the_stream_lets_the_lock_go(stream: Trickle) -> None:
    writer, _, _ = make(stream)

    class Broken(Trickle):
        def send(self, data: Wire) -> int:
            raise BrokenPipeError("gone")

    stream.__class__ = Broken
    with pytest.raises(BrokenPipeError):
        writer.write(b"x")
    assert not writer.interrupted_here()
    assert writer.retire()


def test_finish_waits_for_the_thread_that_writes(stream: Trickle) -> None:
    writer, out, _ = make(stream)
    stream.takes = [100]
    out.append(b"last")
    writer._lock.acquire()
    thread = threading.Timer(0.01, writer._lock.release)
    thread.start()
    writer.finish(20)
    assert stream.written == b"last"
    thread.join()
    out.append(b"more")
    writer._lock.acquire()
    writer.finish(0.001)  # gives up
    assert stream.written == b"last"
    writer._lock.release()


def test_a_finalizer_in_the_midst_of_a_write_is_noticed(stream: Trickle) -> None:
    writer, out, _ = make(stream)
    seen: list[bool] = []

    class Interrupted(Trickle):
        def send_now(self, parts: Sequence[Wire]) -> int:
            seen.append(writer.interrupted_here())
            return super().send_now(parts)

    stream.__class__ = Interrupted
    stream.takes = [10]
    out.append(b"x")
    writer.flush()
    assert seen == [True]
    assert not writer.interrupted_here()


def test_the_errors_of_the_stream_come_out_and_let_the_lock_go(stream: Trickle) -> None:
    writer, out, _ = make(stream)

    class Broken(Trickle):
        def send_now(self, parts: Sequence[Wire]) -> int:
            raise BrokenPipeError("gone")

    stream.__class__ = Broken
    out.append(b"x")
    with pytest.raises(BrokenPipeError):
        writer.flush()
    assert writer.retire()  # the lock was free, and is kept for good
    assert not writer.retire()


def test_many_threads_lose_nothing_and_mix_nothing(scale: int) -> None:
    one, other = socket.socketpair()
    out: deque[Wire] = deque()
    stream = SocketStream(one)
    blocked = threading.Event()
    writer = Writer(stream, out, lambda _: blocked.set())
    rounds = 300 * scale

    def write(number: int) -> None:
        for _ in range(rounds):
            if number % 2:
                writer.write(bytes([number]) * 100)
            else:
                out.append(bytes([number]) * 100)
                writer.flush()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    data = bytearray()
    while len(data) < 8 * rounds * 100:
        writer.resume()
        other.settimeout(0.01)
        try:
            data += other.recv(65536)
        except TimeoutError:
            pass
    for thread in threads:
        thread.join()
    blocks = [data[i : i + 100] for i in range(0, len(data), 100)]
    assert all(len(set(block)) == 1 for block in blocks)
    assert {block[0]: blocks.count(block) for block in blocks} == dict.fromkeys(range(8), rounds)
    stream.close()
    other.close()

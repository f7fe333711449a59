"""When polling pays, on a stream and a clock of the test's."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from byhand import PeerByHand

import netobj
from netobj.blocking import spinning
from netobj.blocking.spinning import (
    FIRST_SKIPPED,
    LOOK_EVERY,
    MOST_RESTED,
    MOST_SKIPPED,
    PREEMPTED,
    SOON,
    TOO_MANY,
    Spinner,
    spinner_for,
)

Start = Callable[..., threading.Thread]
Until = Callable[[Callable[[], object]], None]

SECONDS = 0.0001
STEP = SECONDS / 4  # that a look at the stream takes


class Adding(netobj.Service):
    """What the peer would be; it answers by hand."""

    def exposed_add(self, one: int, two: int) -> int:
        return one + two


class Clock:
    """Goes on when somebody looks at the stream."""

    now = 1.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """Has *data* at the look after *looks* others; each takes *step* seconds."""

    def __init__(self, clock: Clock, looks: int, data: Any = b"x", step: float = STEP) -> None:
        self._clock = clock
        self._left = looks
        self._data = data
        self._step = step
        self.looks = 0

    def recv_now(self) -> Any:
        self._clock.now += self._step
        self.looks += 1
        self._left -= 1
        return self._data if self._left < 0 else None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(spinning, "perf_counter", made)
    return made


def poll(spinner: Spinner, clock: Clock, looks: int, **more: Any) -> Any:
    stream: Any = Stream(clock, looks, **more)
    return spinner.recv(stream)


def vain(spinner: Spinner, clock: Clock) -> int:
    assert poll(spinner, clock, 1000) is None
    return spinner.skip


def pays(spinner: Spinner, clock: Clock) -> None:
    assert poll(spinner, clock, 1) == b"x"


def preempted(spinner: Spinner, clock: Clock, data: Any = b"x") -> int:
    assert poll(spinner, clock, 0, data=data, step=SECONDS + 2 * PREEMPTED) == data
    return spinner.skip


def test_what_comes_in_time_is_returned(clock: Clock) -> None:
    spinner = Spinner(SECONDS)
    assert spinner.skip == FIRST_SKIPPED
    for data in (b"x", b"", 5, 0):
        assert poll(spinner, clock, 2, data=data) == data
    assert spinner.skip == FIRST_SKIPPED  # which the reader counts down, not the spinner


def test_it_looks_until_the_time_is_over(clock: Clock) -> None:
    stream: Any = Stream(clock, 1000)
    begin = clock.now
    assert Spinner(SECONDS).recv(stream) is None
    assert SECONDS <= clock.now - begin <= SECONDS + STEP
    assert stream.looks > 1


def test_each_poll_in_vain_doubles_what_is_skipped_after_it(clock: Clock) -> None:
    spinner = Spinner(SECONDS)
    skipped = [vain(spinner, clock) for _ in range(12)]
    assert skipped == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, MOST_SKIPPED, MOST_SKIPPED]


def test_each_poll_that_pays_halves_it(clock: Clock) -> None:
    spinner = Spinner(SECONDS)
    for _ in range(5):
        vain(spinner, clock)
    for _ in range(3):
        pays(spinner, clock)
    assert vain(spinner, clock) == 8  # 32 was halved three times, and doubled
    for _ in range(100):
        pays(spinner, clock)
    assert vain(spinner, clock) == 2


@pytest.mark.parametrize("data", [b"x", None])
def test_where_others_want_the_processor_it_rests(clock: Clock, data: Any) -> None:
    spinner = Spinner(SECONDS)
    rests = [preempted(spinner, clock, data) for _ in range(5)]
    assert rests[0] >= MOST_SKIPPED
    assert rests == sorted(rests)
    assert rests[-1] == MOST_RESTED


def test_a_preemption_long_after_the_last_is_one_by_itself(clock: Clock) -> None:
    spinner = Spinner(SECONDS)
    for _ in range(5):
        preempted(spinner, clock)
    for _ in range(SOON - 1):
        pays(spinner, clock)
    assert preempted(spinner, clock) == MOST_RESTED
    for _ in range(SOON):
        pays(spinner, clock)
    assert preempted(spinner, clock) == MOST_SKIPPED


def test_only_one_thread_polls(clock: Clock) -> None:
    spinner, other = Spinner(SECONDS), Spinner(SECONDS)
    tried: list[Any] = []

    class Meanwhile(Stream):
        def recv_now(self) -> Any:
            if not tried:
                tried.append(None)
                thread = threading.Thread(
                    target=lambda: tried.append((poll(other, clock, 0), other.skip))
                )
                thread.start()
                thread.join()
            return super().recv_now()

    stream: Any = Meanwhile(clock, 1)
    assert spinner.recv(stream) == b"x"
    assert tried[1] == (None, FIRST_SKIPPED)  # nothing was tried, nothing counted
    assert poll(other, clock, 0) == b"x"


def test_an_error_of_the_stream_lets_others_poll(clock: Clock) -> None:
    class Broken(Stream):
        def recv_now(self) -> Any:
            raise ConnectionResetError("gone")

    spinner = Spinner(SECONDS)
    stream: Any = Broken(clock, 0)
    with pytest.raises(ConnectionResetError):
        spinner.recv(stream)
    pays(spinner, clock)


def test_a_child_process_polls_though_its_parent_did() -> None:
    assert spinning._one.acquire(False)
    taken = spinning._one
    try:
        spinning.after_fork_in_child()
        assert spinning._one.acquire(False)
        spinning._one.release()
    finally:
        taken.release()


@pytest.mark.parametrize(
    ("seconds", "processors", "made"),
    [(SECONDS, 2, True), (SECONDS, 1, False), (SECONDS, None, False), (0, 2, False)],
)
def test_where_it_cannot_pay_there_is_none(
    monkeypatch: pytest.MonkeyPatch, seconds: float, processors: int | None, made: bool
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert (spinner_for(seconds) is not None) == made


class Noting:
    """A spinner that notes when it is asked."""

    def __init__(self, skip: int) -> None:
        self.skip = skip
        self.polled: list[int] = []

    def recv(self, stream: Any) -> None:
        self.polled.append(self.skip)


def test_the_reader_counts_the_waits_that_are_not_polled(in_thread: Start) -> None:
    peer = PeerByHand(Adding())
    with netobj.connect_stream(peer.stream, config={"spin_time": 0}) as conn:
        assert conn._spinner is None
        add = conn.root.add
        spinner = conn._spinner = Noting(3)

        def answer() -> None:
            for _ in range(5):
                peer.reply(peer.requested(), 3)

        in_thread(answer)
        left = []
        for _ in range(5):
            add(1, 2)
            left.append((spinner.skip, len(spinner.polled)))
        assert left == [(2, 0), (1, 0), (0, 0), (0, 1), (0, 2)]
        peer.close()


def test_nobody_polls_while_others_sleep_on_the_connection(in_thread: Start, until: Until) -> None:
    peer = PeerByHand(Adding())
    with netobj.connect_stream(peer.stream, config={"spin_time": 0}) as conn:
        add = conn.root.add
        conn._spinner = spinner = Noting(0)
        first = in_thread(add, 1, 2)
        request = peer.requested()
        second = in_thread(add, 1, 2)
        other = peer.requested()
        until(lambda: conn._sleepers)
        before = len(spinner.polled)
        peer.session.ping(1)  # the reader takes it, and waits again
        peer.send()
        assert peer.session.last_heard is not None
        peer.reply(request, 3)
        first.join(20)
        peer.reply(other, 3)
        second.join(20)
        assert len(spinner.polled) <= before + 1  # the second thread, once it was alone
        peer.close()


@pytest.mark.parametrize("taken", [TOO_MANY, TOO_MANY - 1])
def test_both_sides_on_one_processor(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    counts = iter([1000, 1000 + taken])
    monkeypatch.setattr(spinning, "preemptions", lambda: next(counts))
    spinner = Spinner(SECONDS)
    for _ in range(2 * LOOK_EVERY):
        assert spinner.skip == FIRST_SKIPPED
        pays(spinner, clock)
    rests = 2 * MOST_SKIPPED  # twice, since it was so soon
    assert spinner.skip == (rests if taken == TOO_MANY else FIRST_SKIPPED)


def test_how_often_the_processor_was_taken_never_goes_back() -> None:
    before = spinning.preemptions()
    assert before >= 0
    assert spinning.preemptions() >= before

"""What becomes of signals while a server runs in the main thread."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from netobj.servers.signals import alarmed, handled, on_ctrl_c, on_sigterm


@pytest.fixture(autouse=True)
def as_at_first() -> Iterator[None]:
    """The handlers of a program that has none of its own, and in the end those of before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_stops_in_the_block() -> None:
    stopped: list[bool] = []
    with on_sigterm(lambda: stopped.append(True)) as ours:
        assert ours
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert stopped == [True, True]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_second_ctrl_c_raises() -> None:
    stopped: list[bool] = []
    with on_ctrl_c(lambda: stopped.append(True)):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert stopped == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_the_program_handles_is_its_own() -> None:
    heard: list[int] = []

    def own(number: int, _frame: Any) -> None:
        heard.append(number)

    signal.signal(signal.SIGTERM, own)
    with on_sigterm(lambda: heard.append(0)) as ours:
        assert not ours
        signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is own


def test_other_threads_handle_nothing() -> None:
    answers: list[bool] = []

    def use() -> None:
        with handled(signal.SIGTERM, lambda *_: None, signal.SIG_DFL) as ours:
            answers.append(ours)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert answers == [False]


def test_the_handler_goes_with_what_is_raised_in_the_block() -> None:
    with pytest.raises(KeyError), on_sigterm(lambda: None):
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_ends_no_system_call_rings(quiet: socket.socket) -> None:
    """As one that comes right before the call: here another thread is the one to be interrupted."""
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: heard.append(number))
    go = threading.Event()

    def kill() -> None:
        go.wait()
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=kill)
    thread.start()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        with alarmed() as alarm:
            assert alarm is not None
            go.set()
            alarm.wait(quiet)
            assert heard == [signal.SIGUSR1]
    finally:
        go.set()
        thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, before)
    assert signal.set_wakeup_fd(-1) == -1


def test_what_comes_or_ends_is_worth_a_look(quiet: socket.socket) -> None:
    with alarmed() as alarm:
        assert alarm is not None
        with socket.create_connection(quiet.getsockname()):
            alarm.wait(quiet)
            quiet.accept()[0].close()
        quiet.shutdown(socket.SHUT_RDWR)
        alarm.wait(quiet)
        quiet.close()
        alarm.wait(quiet)


def test_who_is_woken_by_signals_itself_goes_on_to_be() -> None:
    here, there = socket.socketpair()
    there.setblocking(False)
    with here, there:
        signal.set_wakeup_fd(there.fileno())
        with alarmed() as alarm:
            assert alarm is None
        assert signal.set_wakeup_fd(-1) == there.fileno()


def test_no_alarm_in_other_threads() -> None:
    answers: list[object] = []

    def use() -> None:
        with alarmed() as alarm:
            answers.append(alarm)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert answers == [None]


@pytest.fixture
def quiet() -> Iterator[socket.socket]:
    """A socket that listens, to which nobody comes."""
    with socket.create_server(("localhost", 0)) as listener:
        yield listener

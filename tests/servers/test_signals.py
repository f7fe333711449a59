"""What becomes of signals while a server runs in the main thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from netobj.servers.signals import handled, on_ctrl_c, on_sigterm


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

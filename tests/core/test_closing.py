from __future__ import annotations

import pytest

from netobj.core.closing import Closing


class Tap(Closing):
    """Notes that it was closed."""

    __slots__ = ("closed",)

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_it_is_closed_at_the_end_of_the_block() -> None:
    with Tap() as tap:
        assert tap.closed == 0
    assert tap.closed == 1


def test_also_when_something_is_raised_which_goes_on() -> None:
    tap = Tap()
    with pytest.raises(KeyError), tap:
        raise KeyError
    assert tap.closed == 1


def test_it_says_how_itself() -> None:
    with pytest.raises(NotImplementedError), Closing():
        pass


def test_it_takes_no_room() -> None:
    assert not hasattr(Tap(), "__dict__")

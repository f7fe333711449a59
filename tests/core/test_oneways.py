"""Counting requests that get no answer, on both sides."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from netobj.core.oneways import Oneways
from netobj.errors import ProtocolError


def make(most: int = 8, most_bytes: int = 1000) -> Oneways:
    return Oneways(nullcontext(), most, most_bytes)


def test_a_place_is_taken_and_given_back() -> None:
    oneways = make()
    assert [oneways.take(lambda: 2) for _ in range(3)] == [True, True, False]
    oneways.give_back(1, 0)
    assert oneways.take(lambda: 2)


def test_bytes_are_counted_where_there_is_room_for_them() -> None:
    oneways = make()
    oneways.take(lambda: 1)
    assert not oneways.take_bytes(7, lambda: False)
    assert oneways.take_bytes(7, lambda: True)
    assert oneways.sent_bytes == 7
    oneways.give_back(1, 7)
    assert (oneways.sent, oneways.sent_bytes) == (0, 0)


@pytest.mark.parametrize("told", [(2, 0), (0, 0), (-1, 0), (1, 8), (1, -1)])
def test_nobody_is_done_with_what_was_not_sent(told: tuple[int, int]) -> None:
    oneways = make()
    oneways.take(lambda: 1)
    oneways.take_bytes(7, lambda: True)
    with pytest.raises(ProtocolError, match="never made"):
        oneways.give_back(*told)


def test_a_quarter_is_told_at_once() -> None:
    oneways = make(most=8)
    for _ in range(8):
        oneways.come(0)
    assert [oneways.over(0) for _ in range(8)] == [None, (2, 0)] * 4


def test_a_quarter_of_the_bytes_is_told_at_once() -> None:
    oneways = make(most=100, most_bytes=1000)
    for _ in range(4):
        oneways.come(100)
    assert [oneways.over(100) for _ in range(4)] == [None, None, (3, 300), None]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_of_few_each_is_told(most: int) -> None:
    oneways = make(most)
    for _ in range(5):
        oneways.come(0)
        assert oneways.over(0) == (1, 0)


def test_more_than_the_limit_break_the_protocol() -> None:
    oneways = make(most=4)
    for _ in range(4):
        oneways.come(0)
    with pytest.raises(ProtocolError, match="without an answer"):
        oneways.come(0)


def test_what_is_over_counts_until_it_was_told() -> None:
    oneways = make(most=8)
    for _ in range(8):
        oneways.come(0)
    assert oneways.over(0) is None
    with pytest.raises(ProtocolError):
        oneways.come(0)
    assert oneways.over(0) == (2, 0)
    oneways.come(0)


def test_one_may_come_until_there_are_too_many_bytes() -> None:
    oneways = make(most_bytes=1000)
    oneways.come(999)
    oneways.come(5000)
    with pytest.raises(ProtocolError):
        oneways.check_room()

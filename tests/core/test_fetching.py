"""Iterating remote containers in chunks."""

from __future__ import annotations

import copy
import itertools
import operator
from collections.abc import Iterator
from typing import Any

import pytest

from fakewire import PUBLIC, FakeWire
from netobj.core.fetching import ChunkedIterator, Chunks
from netobj.errors import ConnectionLost, ProtocolError


class Root:
    def __init__(self) -> None:
        self.it: Any = None


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire(None, Root(), right_config=PUBLIC)


def give(wire: FakeWire, thing: Any) -> Any:
    wire.right.session.boxing.root.it = thing  # type: ignore[attr-defined]
    proxy = wire.left.root.it
    wire.log.clear()
    return proxy


def requests(wire: FakeWire) -> int:
    return wire.log.count("left REQUEST")


def test_a_long_list_takes_few_round_trips(wire: FakeWire) -> None:
    proxy = give(wire, list(range(10_000)))
    assert list(iter(proxy)) == list(range(10_000))
    assert requests(wire) < 20


def test_a_short_one_takes_a_handful(wire: FakeWire) -> None:
    proxy = give(wire, [1, 2, 3])
    assert list(iter(proxy)) == [1, 2, 3]
    assert requests(wire) <= 3


def test_what_is_appended_meanwhile_is_seen(wire: FakeWire) -> None:
    numbers = [1, 2]
    proxy = give(wire, numbers)
    seen = []
    for number in proxy:
        seen.append(number)
        if number < 5:
            numbers.append(number + 2)
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_dict_that_changes_its_size_says_so(wire: FakeWire) -> None:
    table = dict.fromkeys(range(100))
    iterator = iter(give(wire, table))
    next(iterator)
    table["new"] = None
    with pytest.raises(RuntimeError, match="changed size"):
        list(iterator)


def test_an_iterator_of_a_dict_begins_when_it_is_made(wire: FakeWire) -> None:
    table = {1: None}
    iterator = iter(give(wire, table))
    table[2] = None
    with pytest.raises(RuntimeError, match="changed size"):
        list(iterator)


def test_an_iterator_of_a_list_sees_what_changes_before_its_first_item(wire: FakeWire) -> None:
    numbers = [1, 2]
    iterator = iter(give(wire, numbers))
    assert requests(wire) == 0
    numbers[0] = 7
    assert list(iterator) == [7, 2]


def test_it_ends_for_good(wire: FakeWire) -> None:
    iterator = iter(give(wire, [1]))
    assert next(iterator) == 1
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(iterator)
    wire.flush()
    assert iter(iterator) is iterator


def test_an_error_comes_at_its_place_and_then_the_end(wire: FakeWire) -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("here")

    iterator = ChunkedIterator(give(wire, failing()), only_ready=False)
    assert [next(iterator), next(iterator)] == [1, 2]
    with pytest.raises(LookupError, match="here"):
        next(iterator)
    with pytest.raises(StopIteration):
        next(iterator)
    assert requests(wire) == 1


def test_chunks_grow_up_to_a_most(wire: FakeWire) -> None:
    pulled: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            pulled.append(number)
            yield number

    iterator = ChunkedIterator(give(wire, numbers()), 2, 6, 2, only_ready=False)
    sizes = []
    for _ in iterator:
        if not sizes or sizes[-1] != len(pulled):
            sizes.append(len(pulled))
    assert [b - a for a, b in zip([0, *sizes], sizes, strict=False)] == [2, 4, 6] + [6] * 14 + [4]


def test_a_growth_of_one_still_grows_by_one(wire: FakeWire) -> None:
    iterator = ChunkedIterator(give(wire, iter(range(10))), 1, 3, 1, only_ready=False)
    assert list(iterator) == list(range(10))
    assert requests(wire) == 5  # 1, 2, 3, 3 and the last 1 with the end


def test_its_length_hint_is_what_is_here_at_least(wire: FakeWire) -> None:
    iterator = iter(give(wire, list(range(40))))
    assert next(iterator) == 0
    assert 0 < operator.length_hint(iterator) < 40


def test_what_it_refers_to_is_released_at_the_end(wire: FakeWire) -> None:
    iterator = iter(give(wire, list(range(100))))
    assert sum(iterator) == 4950
    wire.right.session.boxing.root.it = None  # type: ignore[attr-defined]
    wire.flush()
    assert wire.tables() == (0, 0, 0, 0)


def test_a_copy_of_it_leaves_it_where_it_is(wire: FakeWire) -> None:
    iterator = iter(give(wire, list(range(40))))
    assert next(iterator) == 0
    here = operator.length_hint(iterator)
    again = copy.copy(iterator)
    assert operator.length_hint(iterator) == here
    assert [next(again) for _ in range(here)] == list(range(1, here + 1))
    assert list(iterator) == list(range(1, 40))
    assert list(copy.copy(iterator)) == []


def test_no_code_of_ours_runs_for_an_item() -> None:
    assert ChunkedIterator.__next__ is itertools.chain.__next__


@pytest.mark.parametrize("begin", [False, True])
@pytest.mark.parametrize(
    "answer", [None, [(), True], ((),), ((), True, None), ((), True, None, None), (1, True)]
)
def test_what_is_no_chunk(begin: bool, answer: Any) -> None:
    if begin and type(answer) is tuple and len(answer) == 3:
        answer = answer[:2]
    with pytest.raises(ProtocolError, match="no chunk of items"):
        Chunks(None, begin).take(answer)


def test_after_an_error_of_the_connection_there_is_no_next(wire: FakeWire) -> None:
    iterator = iter(give(wire, list(range(40))))
    assert next(iterator) == 0
    for side in (wire.left, wire.right):
        side.session.lose("gone")
    with pytest.raises(ConnectionLost):
        list(iterator)
    with pytest.raises(StopIteration):
        next(iterator)

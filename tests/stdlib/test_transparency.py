"""What CPython's tests found, put small: special methods, pickling and iterating at a distance."""

from __future__ import annotations

import collections
import io
import pickle
from typing import Any

import pytest

from fakewire import CLASSIC, FakeWire


def there(obj: object) -> tuple[FakeWire, Any]:
    """A wire, and the left side's proxy of *obj*."""
    wire = FakeWire(right_root=[obj], left_config=CLASSIC, right_config=CLASSIC)
    return wire, wire.left.root[0]


def test_special_methods_of_a_class_are_those_of_its_instances() -> None:
    _, counter = there(collections.Counter)
    assert counter.__add__(counter("ab"), counter("b")) == {"a": 1, "b": 2}
    assert counter.__or__(counter("ab"), counter("b")) == {"a": 1, "b": 1}
    assert counter.__repr__(counter("a")) == "Counter({'a': 1})"
    assert repr(counter) == "<class 'collections.Counter'>"
    assert counter.__new__(counter) == {}


def test_what_object_defines_is_read_from_the_remote_object() -> None:
    _, file = there(io.BytesIO(b"abc"))
    assert file.__getstate__()[:2] == (b"abc", 0)


@pytest.mark.parametrize(
    ("remote", "local"),
    [(collections.Counter("aab"), {"a": 2, "b": 1}), (collections.OrderedDict(a=1), {"a": 1})],
)
def test_a_local_operand_may_answer_for_a_remote_one_that_does_not(remote: Any, local: Any) -> None:
    _, proxy = there(remote)
    assert proxy == local
    assert local == proxy
    assert (proxy != local) is False
    assert proxy != {}


def test_operands_that_do_not_fit_are_refused_as_ever() -> None:
    _, proxy = there([1])
    with pytest.raises(TypeError):
        proxy + {1}
    with pytest.raises(TypeError):
        assert proxy < {1: 2}


@pytest.mark.parametrize("container", [[1, 2], {1, 2}, {1: 3, 2: 4}, collections.deque([1, 2])])
def test_a_small_container_is_iterated_in_two_round_trips(container: Any) -> None:
    wire, proxy = there(container)
    list(proxy)  # the class of the iterator is described
    with wire.counted() as log:
        items = [*map(int, proxy)]
    assert items == [1, 2]
    assert log.count("left REQUEST") == 2  # list(proxy) asks for the length first


def test_a_list_may_grow_while_it_is_iterated() -> None:
    _, proxy = there([1])
    iterator = iter(proxy)
    assert next(iterator) == 1
    proxy.append(2)
    assert list(iterator) == [2]
    assert list(iterator) == []


def test_a_set_may_not_grow_while_it_is_iterated() -> None:
    _, proxy = there({1})
    iterator = iter(proxy)
    proxy.add(2)
    assert next(iterator) == 1
    with pytest.raises(RuntimeError, match="changed size"):
        next(iterator)


@pytest.mark.parametrize("taken", range(4))
def test_an_iterator_of_a_remote_list_is_pickled_where_it_is(taken: int) -> None:
    _, proxy = there([1, 2, 3])
    iterator = iter(proxy)
    for _ in range(taken):
        next(iterator)
    again = pickle.loads(pickle.dumps(iterator))
    assert list(again) == [1, 2, 3][taken:]
    assert list(iterator) == [1, 2, 3][taken:]


def test_an_iterator_is_its_own_iterator_without_asking() -> None:
    wire, proxy = there(iter(i for i in range(3)))
    with wire.counted() as log:
        assert iter(proxy) is proxy
    assert log == []
    assert list(proxy) == [0, 1, 2]


def test_proxy_classes_are_not_called() -> None:
    _, proxy = there([1])
    with pytest.raises(TypeError, match="proxies are made by their connection"):
        type(proxy)()

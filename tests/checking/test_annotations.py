"""What annotations admit: one value at a time, and many at once, which must say the same."""

from __future__ import annotations

import collections.abc as abc
import sys
from collections import OrderedDict, deque
from enum import Enum
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

import pytest
import typeguard

from netobj.checking.annotations import check_for, check_of_items

T = TypeVar("T")
Small = TypeVar("Small", bound=int)
Texts = TypeVar("Texts", str, bytes)
UserId = NewType("UserId", int)


class Color(Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    label: str = ""


class Movie(TypedDict):
    title: str
    year: int


class Partial(TypedDict, total=False):
    title: str


class Tree(TypedDict):
    value: int
    children: list[Tree]


class Sized(Protocol):
    def __len__(self) -> int: ...


class Box(Generic[T]):
    pass


class Counter:
    def __call__(self, step: int) -> int:
        return step


CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (int, [1, True, 2**80], ["1", 1.0, None, [1]]),
    (float, [1.5, 1, True], ["1", 1j, None]),
    (complex, [1j, 1.5, 1], ["1"]),
    (str, ["", "a"], [b"a", 1]),
    (bytes, [b"", bytearray(b"a"), memoryview(b"a")], ["a"]),
    (None, [None], [0, False]),
    (type(None), [None], [0]),
    (Any, [1, None, "a"], []),
    (object, [1, None, "a"], []),
    (Color, [Color.RED], [1, "RED"]),
    (int | None, [1, None], ["a", 1.5]),
    (Optional[int], [1, None], ["a"]),  # noqa: UP045
    (Union[int, str], [1, "a"], [None, b""]),  # noqa: UP007
    (list[int], [[], [1], [1, True]], [["a"], [1, None], (1,), "abc", None]),
    (list[Any], [[1, "a"]], [(1,)]),
    (list, [[1, "a"]], [(1,), "a"]),
    (set[str], [set(), {"a"}], [{1}, ["a"], frozenset((1,))]),
    (frozenset[str], [frozenset("ab")], [{"a"}, frozenset((1,))]),
    (deque[int], [deque([1])], [deque(["a"]), [1]]),
    (dict[str, int], [{}, {"a": 1}], [{"a": "b"}, {1: 1}, [("a", 1)]]),
    (abc.Mapping[str, int], [{"a": 1}, OrderedDict(a=1)], [{1: 1}, [1]]),
    (abc.Sequence[int], [[1], (1,), range(3), []], [["a"], {1}, "ab", 1]),
    (abc.Sequence[str], ["ab", ["a"]], [[1], b"ab"]),
    (abc.Iterable[int], [[1], {1}, {1: "a"}, b"ab", iter([1])], [["a"], {"a": 1}, 5]),
    (abc.Collection[int], [[1], {1}], [iter([1]), ["a"]]),
    (tuple[int, str], [(1, "a")], [(1,), (1, 2), ("a", "a"), [1, "a"], (1, "a", 2)]),
    (tuple[int, ...], [(), (1, 2)], [(1, "a"), [1]]),
    (tuple[()], [()], [(1,)]),
    (Point, [Point(1), Point(1, "a")], [Point("a"), (1, "a")]),  # type: ignore[arg-type]
    (Movie, [{"title": "a", "year": 1}], [{"title": "a"}, {"title": "a", "year": "b"}, 5, []]),
    (Movie, [], [{"title": "a", "year": 1, "more": 2}]),
    (Partial, [{}, {"title": "a"}], [{"title": 1}, {"name": "a"}, {1: "a"}]),
    (
        Tree,
        [{"value": 1, "children": [{"value": 2, "children": []}]}],
        [{"value": 1, "children": [{"value": "a", "children": []}]}],
    ),
    (Literal["a", 1], ["a", 1], ["b", True, 1.0, [], None]),
    (Annotated[int, "positive"], [1], ["a"]),
    (UserId, [1], ["a"]),
    (T, [1, "a"], []),
    (Small, [1], ["a"]),
    (Texts, ["a", b"a"], [1]),
    (Sized, ["a", [1]], [1]),
    (abc.Callable[[int], int], [Counter(), abs], [1, "a"]),
    (abc.Callable[..., Any], [len, print], [5]),
    (type[int], [int, bool], [str, 1]),
    (type, [int], [1]),
    (abc.Hashable, [1, "a"], [[]]),
    (abc.Iterator[int], [iter([1])], [[1], 1]),
    (Box[int], [Box()], [1]),
    (list[dict[str, list[float]]], [[{"a": [1, 2.5]}]], [[{"a": [1, "b"]}], [{"a": 1}]]),
    (list[Union[list[int], list[str]]], [[[1], ["a"]], []], [[[1, "a"]], [[None]]]),  # noqa: UP007
    (dict[str, Optional[tuple[int, str]]], [{"a": None, "b": (1, "c")}], [{"a": (1, 2)}]),  # noqa: UP045
]
IDS = [f"{number}-{case[0]}"[:40] for number, case in enumerate(CASES)]


@pytest.mark.parametrize(("annotation", "good", "bad"), CASES, ids=IDS)
def test_what_passes_and_what_does_not(annotation: Any, good: list[Any], bad: list[Any]) -> None:
    check = check_for(annotation)
    for value in good:
        assert check.accepts((value,)), value
    for value in bad:
        assert not check.accepts((value,)), value
        assert check.complaint(value)


@pytest.mark.parametrize(("annotation", "good", "bad"), CASES, ids=IDS)
def test_many_at_once_pass_if_each_of_them_does(
    annotation: Any, good: list[Any], bad: list[Any]
) -> None:
    check = check_for(annotation)
    assert check.accepts(good)
    assert check.accepts([])
    for value in bad:
        assert not check.accepts([*good, value])
        assert not check.accepts([value, *good])


@pytest.mark.parametrize(("annotation", "good", "bad"), CASES, ids=IDS)
def test_containers_of_them_are_looked_into(
    annotation: Any, good: list[Any], bad: list[Any]
) -> None:
    check = check_for(list[annotation])  # type: ignore[valid-type]
    assert check.accepts([good, [], good])
    for value in bad:
        assert not check.accepts([good, [*good, value]])
        assert check.complaint([*good, value]).startswith(f"item {len(good)}: ")


@pytest.mark.parametrize(("annotation", "good", "bad"), CASES, ids=IDS)
def test_typeguard_says_the_same_where_it_looks(
    annotation: Any, good: list[Any], bad: list[Any]
) -> None:
    if annotation in (Tree, abc.Iterable[int], abc.Collection[int], abc.Callable[[int], int], T):
        pytest.skip("typeguard does not look into these, or has to be told the names in them")
    for value in good:
        typeguard.check_type(
            value,
            annotation,
            collection_check_strategy=typeguard.CollectionCheckStrategy.ALL_ITEMS,
        )


@pytest.mark.parametrize(
    ("annotation", "value", "complaint"),
    [
        (int, "a", "str is not an instance of int"),
        (list[int], [1, "a"], "item 1: str is not an instance of int"),
        (list[int], (1,), "tuple is not a list"),
        (dict[str, int], {1: 1}, "key 0: int is not an instance of str"),
        (dict[str, int], {"a": None}, "value 0: None is not an instance of int"),
        (tuple[int, str], (1, 2), "item 1: int is not an instance of str"),
        (tuple[int, str], (1,), "a tuple of 1 where one of 2 is to be"),
        (Movie, {"title": "a"}, "the key 'year' is missing"),
        (Movie, {"title": "a", "year": 1, "b": 2}, "unknown key 'b'"),
        (Movie, {1: "a"}, "a key is no str"),
        (Movie, {"title": 1, "year": 1}, "key 'title': int is not an instance of str"),
        (int | None, "a", "str is none of int | None"),
        (Literal["a"], "b", "str is not one of Literal['a']"),
        (abc.Sequence[int], "ab", "the items of str are of another type"),
        (list[list[int]], [[1], [2, None]], "item 1: item 1: None is not an instance of int"),
    ],
)
def test_complaints_say_where_it_is(annotation: Any, value: Any, complaint: str) -> None:
    check = check_for(annotation)
    assert not check.accepts((value,))
    assert check.complaint(value) == complaint


def test_never_admits_nothing() -> None:
    from typing import NoReturn

    assert not check_for(NoReturn).accepts((None,))
    assert check_for(NoReturn).complaint(None) == "NoneType where nothing can be"


def test_iterators_are_not_used_up() -> None:
    items = iter([1, "a"])
    assert check_for(abc.Iterable[int]).accepts((items,))
    assert list(items) == [1, "a"]


def test_of_a_class_that_only_typeguard_knows_a_few_objects_are_asked() -> None:
    class Shy:
        asked = 0

        @property
        def name(self) -> str:
            type(self).asked += 1
            return "a"

    class Named(Protocol):
        name: str

    globals_of_test = {"Named": Named}
    annotation = eval("list[Named]", globals(), globals_of_test)
    assert check_for(annotation).accepts(([Shy() for _ in range(3000)],))
    assert 0 < Shy.asked < 2000


def test_the_wrong_item_is_found_behind_many() -> None:
    numbers = [*range(100_000), "a"]
    assert check_for(list[int]).complaint(numbers).startswith("item 100000: ")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements")
def test_aliases_may_contain_themselves() -> None:
    names: dict[str, Any] = {}
    exec("type Json = int | str | list[Json] | dict[str, Json]", names)
    check = check_for(names["Json"])
    assert check.accepts(([1, {"a": [[], "b"]}],))
    assert not check.accepts(([1, {"a": [[], None]}],))


@pytest.mark.parametrize("annotation", ["Missing", list["Missing"]])  # type: ignore[name-defined]  # noqa: F821
def test_names_have_to_be_resolved(annotation: Any) -> None:
    with pytest.raises(NameError, match="Missing"):
        check_for(annotation)


def test_an_annotation_that_never_ends_is_refused() -> None:
    annotation: Any = int
    for _ in range(100):
        annotation = list[annotation]
    with pytest.raises(TypeError, match="nested too deeply"):
        check_for(annotation)


@pytest.mark.parametrize(
    ("annotation", "item", "end"),
    [
        (abc.Iterator[int], True, True),
        (abc.Generator[int, None, int], True, True),
        (abc.Generator[int, None, str], True, False),
        (abc.AsyncIterator[int], True, True),
        (abc.AsyncGenerator[str, None], False, True),
        (abc.Iterable[str], False, True),
        (abc.Iterator, True, True),
    ],
)
def test_items_and_the_end_of_generators(annotation: Any, item: bool, end: bool) -> None:
    items, returned = check_of_items(annotation)
    assert items.accepts((1,)) is item
    assert returned.accepts((1,)) is end

"""Which proxies pass for what, judged by their descriptions alone: nothing is asked."""

from __future__ import annotations

import collections.abc as abc
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import pytest

import netobj
from netobj.checking.annotations import check_for
from netobj.checking.proxies import is_remote, passes, shown

CODE = """
import collections, enum, io
class Reader:
    def read(self): return ""
    def __call__(self): return 1
    def __iter__(self): return iter(())
class Items(dict): pass
class Sized:
    def __len__(self): return 1
class Number(enum.IntEnum): ONE = 1
Fake = type("Account", (), {"__module__": "netobj_tests_accounts"})
"""


class Account:
    """A class of this side."""


Account.__module__ = "netobj_tests_accounts"


class Reads(Protocol):
    def read(self) -> str: ...


class Calls(Protocol):
    def __call__(self) -> int: ...


class Waits(Protocol):
    def __await__(self) -> Any: ...


class Named(Protocol):
    name: str


class Base(ABC):
    @abstractmethod
    def __len__(self) -> int: ...


class Concrete:
    pass


@pytest.fixture(scope="module")
def there() -> Iterator[Any]:
    """Objects of another side; whose connection then forgets how to ask."""
    with netobj.connect_thread(remote_service=netobj.SlaveService) as conn:
        conn.root.execute(CODE)
        names = (
            "Reader() Sized() Items() [1] {} set() Reader Number.ONE len (lambda:1) io Fake() "
            "collections.deque() iter([1]) object()"
        )
        found = {name: conn.root.eval(name) for name in names.split()}
        found["method"] = found["Reader()"].read
        found["asked"] = conn
        yield found


GOOD: list[tuple[str, Any]] = [
    ("[1]", list[int]),
    ("[1]", list),
    ("[1]", abc.Sequence[int]),
    ("[1]", abc.Iterable[int]),
    ("[1]", abc.Sized),
    ("{}", dict[str, int]),
    ("{}", abc.Mapping[str, int]),
    ("set()", set[int]),
    ("set()", abc.Set[int]),
    ("Items()", dict[str, int]),
    ("Items()", abc.Mapping[str, int]),
    ("iter([1])", abc.Iterator[int]),
    ("Reader()", abc.Callable[[], int]),
    ("Reader()", abc.Iterable[int]),
    ("Reader()", Reads),
    ("Reader()", Calls),
    ("Reader()", Named),  # what is no special method may be there
    ("Reader()", object),
    ("Reader()", Any),
    ("Reader()", list[int] | abc.Callable[[], int]),
    ("len", abc.Callable[[Any], int]),
    ("(lambda:1)", abc.Callable[..., Any]),
    ("(lambda:1)", Calls),
    ("Reader", type),
    ("Reader", type[Account]),
    ("Reader", abc.Callable[..., Any]),
    ("Reader", Calls),
    ("io", Named),
    ("Sized()", Base),
    ("method", abc.Callable[[], str]),
    ("method", Calls),
    ("method", Any),
]
BAD: list[tuple[str, Any]] = [
    ("[1]", int),
    ("[1]", dict[str, int]),
    ("[1]", tuple[int, ...]),
    ("[1]", abc.Mapping[str, int]),
    ("[1]", abc.Callable[[], int]),
    ("[1]", Calls),
    ("{}", abc.Sequence[int]),
    ("Reader()", int),
    ("Reader()", str),
    ("Reader()", None),
    ("Reader()", Literal["a"]),
    ("Reader()", int | None),
    ("Reader()", list[int]),
    ("Reader()", Concrete),
    ("Reader()", Waits),
    ("Reader()", Base),
    ("[1]", Base),
    ("Reader()", abc.Awaitable[int]),
    ("Number.ONE", int),
    ("object()", abc.Callable[[], int]),
    ("object()", abc.Iterable[int]),
    ("Fake()", Account),
    ("io", int),
    ("io", abc.Callable[[], int]),
    ("Reader", int),
    ("method", int),
    ("method", Waits),
    ("method", list[int]),
]


def no_request(*_args: Any, **_kwargs: Any) -> Any:
    raise AssertionError("a check has asked the peer")


def judged(there: Any, name: str, annotation: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    check = check_for(annotation)
    with monkeypatch.context() as patch:
        patch.setattr(type(there["asked"]), "request", no_request)
        value = there[name]
        one, many = check.accepts((value,)), check_for(list[annotation]).accepts(([value] * 3,))
        if not one:
            text = check.complaint(value)
            assert text.startswith(("a proxy of a remote", "a remote method")), text
    assert one == many
    return one


@pytest.mark.parametrize(("name", "annotation"), GOOD, ids=str)
def test_proxies_that_may_be_meant_pass(
    there: Any, name: str, annotation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judged(there, name, annotation, monkeypatch)


@pytest.mark.parametrize(("name", "annotation"), BAD, ids=str)
def test_proxies_that_cannot_be_meant_are_refused(
    there: Any, name: str, annotation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not judged(there, name, annotation, monkeypatch)


def test_a_class_of_this_side_is_believed_of_a_trusted_peer_only() -> None:
    for trusted in (False, True):
        config = {"trust_class_names": trusted}
        with netobj.connect_thread(config=config, remote_service=netobj.SlaveService) as conn:
            conn.root.execute(CODE)
            fake = conn.root.eval("Fake()")
            assert passes(fake, Account) is trusted
            assert not passes(conn.root.eval("Number.ONE"), int)


def test_objects_with_rules_of_their_own_say_nothing_about_themselves() -> None:
    class Own:
        def _netobj_getattr(self, name: str) -> Any:
            return len

    class Service(netobj.Service):
        @netobj.exposed
        def own(self) -> Own:
            return Own()

    with netobj.connect_thread(remote_service=Service) as conn:
        own = conn.root.own()
        assert passes(own, abc.Iterable)
        assert passes(own, Calls)
        assert not passes(own, int)


def test_results_that_are_not_there_yet_pass() -> None:
    with netobj.connect_thread(remote_service=netobj.SlaveService) as conn, netobj.batch(conn):
        later = conn.root.eval("[1]")
        assert is_remote(type(later))
        assert passes(later, abc.Iterable)
        assert shown(later) == "a remote result"


def test_what_an_error_text_calls_them(there: Any) -> None:
    assert shown(there["[1]"]) == "a proxy of a remote builtins.list"
    assert shown(there["method"]) == "a remote method"
    assert not is_remote(list)

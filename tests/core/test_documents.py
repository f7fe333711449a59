"""What is told of a function: its signature and docstring, and no more."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from netobj.core.documents import document_of, signature_of, without_addresses


class Secret:
    def __repr__(self) -> str:
        raise AssertionError("nobody asked for this")


SECRET = Secret()


def function(
    a: int, b: float = 0.5, *rest: str, key: Any = SECRET, text: str = "secret", last: Any = None
) -> list[int]:
    """The first line.

    And more.
    """
    return [a]


def test_default_values_that_are_more_than_numbers_are_not_shown() -> None:
    assert signature_of(function, False, unquoted=True) == (
        "(a: int, b: float = 0.5, *rest: str, key: Any = ..., text: str = ..., last: Any = None) "
        "-> list[int]"
    )


def test_quotes_stay_unless_they_are_unwanted() -> None:
    assert signature_of(test_quotes_stay_unless_they_are_unwanted, False) == "() -> 'None'"


def test_who_may_do_all_sees_all() -> None:
    def opened(a: Any = "text") -> None: ...

    assert signature_of(opened, True) == str(inspect.signature(opened))
    assert signature_of(opened, True, unquoted=True) == "(a: Any = 'text') -> None"


def test_annotations_have_no_addresses() -> None:
    def annotated(a: Any) -> None: ...

    annotated.__annotations__["a"] = object()
    assert signature_of(annotated, False, unquoted=True) == "(a: <object object>) -> None"


@pytest.mark.parametrize("value", [object(), type, 3])
def test_what_has_no_signature(value: Any) -> None:
    assert signature_of(value, False) is None


def test_documents() -> None:
    assert document_of(function) == "The first line.\n\nAnd more."

    def undocumented() -> None: ...

    assert document_of(undocumented) is None
    undocumented.__doc__ = 3  # type: ignore[assignment]
    assert document_of(undocumented) is None


def test_without_addresses() -> None:
    assert without_addresses("<A at 0xFF12> and <B at 0x1>") == "<A> and <B>"
    assert without_addresses("look at 1") == "look at 1"

from __future__ import annotations

from typing import Any

import pytest

from netobj.cli.completion import matches


class Thing:
    plain = 1

    def method(self) -> None: ...

    @classmethod
    def of_class(cls) -> None: ...

    @staticmethod
    def of_nobody() -> None: ...

    @property
    def computed(self) -> int:
        raise AssertionError("completion must not compute this")

    _hidden = 2


class Hostile:
    def __dir__(self) -> list[str]:
        raise RuntimeError("no")


NAMESPACE: dict[str, Any] = {"thing": Thing(), "thinking": 1, "hostile": Hostile(), "_private": 0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("thin", ("thing", "thinking")),
        ("impor", ("import ",)),
        ("Tru", ("True",)),
        ("isinst", ("isinstance(",)),
        ("_priv", ("_private",)),
        ("thing.pl", ("thing.plain",)),
        ("thing.", ("thing.computed", "thing.method(", "thing.of_class(", "thing.of_nobody(",
                    "thing.plain")),
        ("thing._hid", ("thing._hidden",)),
        ("thing.plain.nume", ("thing.plain.numerator",)),
        ("str.joi", ("str.join(",)),
        ("nothing.x", ()),
        ("thing.nothing.x", ()),
        ("hostile.x", ()),
        ("f().x", ()),
        ("'", ()),
    ],
)  # fmt: skip
def test_matches(text: str, expected: tuple[str, ...]) -> None:
    assert matches(text, NAMESPACE) == expected


def test_private_names_show_when_asked_for() -> None:
    assert "_private" not in matches("", NAMESPACE)
    assert "thing" in matches("", NAMESPACE)


def test_a_name_of_the_user_hides_the_builtin() -> None:
    assert matches("prin", {"print": 5}) == ("print",)

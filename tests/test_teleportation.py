from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netobj import teleportation
from netobj.teleportation import export_function, import_function


def move(func: Callable[..., Any], names: dict[str, Any] | None = None) -> Callable[..., Any]:
    return import_function(export_function(func), names)


def test_names_documentation_defaults_and_keyword_defaults() -> None:
    def original(a: int, b: int = 2, *rest: int, c: int = 3, **more: int) -> Any:
        """What it is for."""
        return a, b, rest, c, more

    moved = move(original)
    assert moved is not original
    assert moved(1) == original(1)
    assert moved(1, 5, 6, c=7, d=8) == original(1, 5, 6, c=7, d=8)
    assert moved.__name__ == "original"
    assert moved.__qualname__ == original.__qualname__
    assert moved.__doc__ == "What it is for."


def test_closures_and_mutable_defaults_are_unwrapped() -> None:
    seen = [1, 2]

    def original(more: list[int] = [3]) -> list[int]:  # noqa: B006
        return seen + more

    assert move(original)() == [1, 2, 3]


def test_globals_are_those_of_the_other_side() -> None:
    def original() -> Any:
        return len(word)  # type: ignore[name-defined] # noqa: F821

    assert move(original, {"word": "abc"})() == 3
    with pytest.raises(NameError):
        move(original)()


def test_generators_and_lambdas() -> None:
    def count(n: int) -> Any:
        yield from range(n)

    assert list(move(count)(3)) == [0, 1, 2]
    assert move(lambda x, y=2: x**y)(3) == 9


@pytest.mark.parametrize("func", [len, "text".upper, int, None])
def test_only_python_functions_move(func: Any) -> None:
    with pytest.raises(TypeError, match="only functions written in Python"):
        export_function(func)


def test_a_function_that_refers_to_itself_in_its_closure() -> None:
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * factorial(n - 1)

    with pytest.raises(TypeError, match="refers to itself in its closure"):
        export_function(factorial)


# --- between versions of Python: by source ------------------------------------------------------


def other_version(func: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    exported = export_function(func)
    monkeypatch.setattr(teleportation, "MAGIC_NUMBER", b"other")
    return exported


def test_by_source_where_the_bytecode_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    offset, factor = 3, 2

    def original(x: int, y: int = 4, *, z: int = 5) -> int:
        return (x + y + z) * factor + offset

    moved = import_function(other_version(original, monkeypatch))
    assert moved(1) == original(1) == 23
    assert moved(1, z=0) == original(1, z=0)


def test_by_source_a_lambda_cannot_move(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = other_version(lambda x: x, monkeypatch)
    with pytest.raises(ImportError, match="different versions of Python"):
        import_function(exported)


def test_by_source_what_was_never_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    exec("def typed(x): return x", names)
    with pytest.raises(ImportError, match="source is not at hand"):
        import_function(other_version(names["typed"], monkeypatch))

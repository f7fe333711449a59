from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from types import MappingProxyType, ModuleType
from typing import Any, Literal

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


def test_only_what_wraps_python_functions_moves() -> None:
    for func in (
        functools.partial(len),
        functools.cache(len),
        functools.partial(functools.cache(len)),
    ):
        with pytest.raises(TypeError, match="not <built-in function len>"):
            export_function(func)


def test_a_container_that_contains_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(TypeError, match="contains itself"):
        export_function(lambda: endless)


def test_globals_are_a_real_dictionary() -> None:
    with pytest.raises(TypeError, match="globals of a function are a dict of the side"):
        import_function(export_function(lambda: 1), MappingProxyType({}))  # type: ignore[arg-type]


def test_def_puts_it_into_the_globals() -> None:
    names: dict[str, Any] = {}
    moved = import_function(export_function(plain), names)
    assert names["plain"] is moved
    import_function(export_function(plain), other := {}, def_=False)
    assert "plain" not in other
    import_function(export_function(functools.partial(functools.cache(plain), 1)), other)
    assert other["plain"](2) == (1, 2)


# --- what travels with it -----------------------------------------------------------------------


def plain(a: int, b: int = 2) -> tuple[int, int]:
    return a, b


def traced(func: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator in Python, with a list of its own."""
    calls: list[Any] = []

    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        calls.append(args)
        return func(*args), len(calls)

    wrapper.calls = calls  # type: ignore[attr-defined]
    return wrapper


def test_decorators_are_kept() -> None:
    @traced
    def double(x: int) -> int:
        """Twice as much."""
        return 2 * x

    double(1)
    moved = move(double)
    assert moved(4) == (8, 2)  # it has its own copy of the list
    assert double(4) == (8, 2)
    assert moved.__name__ == "double"
    assert moved.__doc__ == "Twice as much."
    assert moved.__wrapped__(5) == 10  # type: ignore[attr-defined]
    assert moved.__wrapped__ is not double.__wrapped__  # type: ignore[attr-defined]
    assert moved.calls == [(1,)]  # type: ignore[attr-defined]


def test_partial_and_caches_are_kept() -> None:
    moved: Any = move(functools.partial(plain, 1, b=5))
    assert type(moved) is functools.partial
    assert moved() == (1, 5)
    moved = move(functools.lru_cache(maxsize=3, typed=True)(plain))
    assert moved.cache_parameters() == {"maxsize": 3, "typed": True}
    assert moved(1) is moved(1)
    nested: Any = move(functools.partial(functools.cache(traced(plain)), 1))
    assert nested() == ((1, 2), 1)


def test_recursion_through_a_closure() -> None:
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * factorial(n - 1)

    assert move(factorial)(5) == 120


def test_functions_that_share_a_variable() -> None:
    count = 0

    def up() -> int:
        nonlocal count
        count += 1
        return count

    def twice() -> int:
        up()
        return up() + count

    assert move(twice)() == 4
    assert count == 0


def test_a_variable_that_is_not_there_yet() -> None:
    def early() -> Any:
        return late

    moved = move(early)
    with pytest.raises(NameError, match="late"):
        moved()
    late = 1


def test_containers_are_copied_whatever_is_in_them() -> None:
    rows = {"a": [1, (2, {3})], 4: frozenset((5,)), "b": bytearray(b"x"), "f": [plain]}

    def original(more: Any = rows, *, other: Any = ([rows],)) -> Any:
        return rows, more, other

    got, more, other = move(original)()
    assert got["f"][0] is not plain
    assert got["f"][0](1) == (1, 2)
    for copy in (got, more, other[0][0]):
        assert {**copy, "f": 0} == {**rows, "f": 0}
        assert copy["a"] is not rows["a"]
        assert type(copy["b"]) is bytearray


def test_modules_classes_and_builtins_go_by_name() -> None:
    import json
    import os.path

    kinds, sort, nothing = (int, dict, OrderedDict), sorted, type(None)

    def original() -> Any:
        return json, os.path, kinds, sort, nothing

    names = export_function(original)
    assert "value" not in str(names)
    assert import_function(names)() == original()


def test_a_module_that_is_not_there() -> None:
    module = ModuleType("only_on_one_side")
    with pytest.raises(ImportError, match="only_on_one_side"):
        move(lambda: module)


def test_what_is_here_only_goes_by_reference() -> None:
    class Local:
        pass

    moved = move(lambda: (Local, [Local()]))
    assert moved()[0] is Local


def test_annotations() -> None:
    space: dict[str, Any] = {"Local": type("Local", (), {}), "Literal": Literal}
    text = (
        "def f(a: int, b: 'str', c: list[int] | None, d: Local, e: Literal['x'], "
        "*, g: dict[str, OrderedDict]) -> None: pass"
    )
    code = compile(text, "<test>", "exec", dont_inherit=True)
    exec(code, {**space, "OrderedDict": OrderedDict}, space)
    assert move(space["f"]).__annotations__ == {
        "a": int,
        "b": "str",
        "c": list[int] | None,
        "d": "Local",
        "e": "typing.Literal['x']",
        "g": dict[str, OrderedDict],
        "return": None,
    }


def test_coroutines_and_asynchronous_generators() -> None:
    step, asyncio = 2, __import__("asyncio")

    async def wait(n: int) -> int:
        await asyncio.sleep(0)
        return n * step

    async def count(n: int) -> Any:
        for number in range(n):
            yield await moved_wait(number)

    moved_wait = move(wait)
    moved_count = move(count)

    async def main() -> list[int]:
        return [number async for number in moved_count(3)]

    assert inspect.iscoroutinefunction(moved_wait)
    assert inspect.isasyncgenfunction(moved_count)
    assert asyncio.run(main()) == [0, 2, 4]


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


def test_by_source_a_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    factor = 3
    moved = import_function(other_version(lambda x, y=2: factor * x + y, monkeypatch))
    assert moved(1) == 5


def test_by_source_two_lambdas_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = (lambda x: x, lambda x: x + 1)
    with pytest.raises(ImportError, match="different versions of Python"):
        import_function(other_version(first, monkeypatch))


def test_by_source_decorators_and_all_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    @traced
    def original(x: int, more: list[int] = [3]) -> Any:  # noqa: B006
        """What it is for."""
        return x, more

    moved: Any = import_function(other_version(original, monkeypatch))
    assert moved(1) == ((1, [3]), 1)
    assert moved.__doc__ == "What it is for."
    assert moved.__annotations__ == original.__annotations__


def test_by_source_a_method_with_private_names(monkeypatch: pytest.MonkeyPatch) -> None:
    class Keeper:
        __secret = 7

        def get(self) -> int:
            return self.__secret

    moved = import_function(other_version(Keeper.get, monkeypatch))
    assert moved(Keeper()) == 7


def test_by_source_that_is_too_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teleportation, "source_of", lambda code: "def f(): not Python")
    with pytest.raises(ImportError, match="its source is not for Python"):
        import_function(other_version(plain, monkeypatch))


def test_by_source_what_was_never_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    exec("def typed(x): return x", names)
    with pytest.raises(ImportError, match="source is not at hand"):
        import_function(other_version(names["typed"], monkeypatch))

"""The source of one function, found and compiled."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netobj.sources import compiled, has_late_annotations, source_of


def load(text: str, path: Path, name: str = "f") -> Any:
    """What a module with this text has under *name*."""
    path.write_text(text, encoding="utf-8")
    names: dict[str, Any] = {"functools": functools}
    exec(compile(text, str(path), "exec", dont_inherit=True), names)
    return names[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "module.py"


def test_decorators_defaults_annotations_and_docstrings_stay(file: Path) -> None:
    func = load(
        "@functools.lru_cache(\n    maxsize=None)\n"
        "def f(a: int, /, b: str = 'x', *c: int, d, e: int = len('abc'), **g: int) -> str:\n"
        "    '''What it\n    is for.'''\n    return a, b, c, d, e, g\n",
        file,
    ).__wrapped__
    assert source_of(func.__code__) == (
        "def f(a, /, b=None, *c, d, e=None, **g):\n    None\n    return (a, b, c, d, e, g)"
    )


def test_strings_of_several_lines_stay_as_they_are(file: Path) -> None:
    func = load("class C:\n    def f(self):\n        return '''a\n  b\n'''\nf = C.f\n", file)
    code = compiled(source_of(func.__code__) or "", "f", "C.f", (), False)
    assert "a\n  b\n" in code.co_consts


def test_functions_of_one_name_are_told_apart_by_their_line(file: Path) -> None:
    func = load("def f():\n    return 1\ng = f\ndef f():\n    return 2\n", file, "g")
    assert source_of(func.__code__) == "def f():\n    return 1"


def test_lambdas_in_one_line(file: Path) -> None:
    func = load("f, g = lambda x: x + 1, lambda y: y\n", file)
    assert source_of(func.__code__) == "lambda x: x + 1"
    func = load("f, g = lambda x: x + 1, lambda x: x\n", file)
    assert source_of(func.__code__) is None


@pytest.mark.parametrize(
    "text", ["", "\n" * 5, "this is not Python\n", "def f(): return (\n", "x = 1\n"]
)
def test_a_file_that_is_another_one_now(file: Path, text: str) -> None:
    func = load("\ndef f():\n    return 1\n", file)
    file.write_text(text)
    assert source_of(func.__code__) is None


def test_what_is_in_no_file() -> None:
    names: dict[str, Any] = {}
    exec("def f(): pass", names)
    assert source_of(names["f"].__code__) is None


@pytest.mark.parametrize(
    "text",
    [
        "async def f(x):\n    return x",
        "def f(x):\n    yield x",
        "async def f(x):\n    yield x",
        "def f(x):\n    def f(x):\n        return x\n    return f",
        "def f(x):\n    return [f for y in x]",
        "def f(x):\n    return f(x - 1) if x else 0",
    ],
)
def test_compiled_is_the_same_kind_of_function(file: Path, text: str) -> None:
    code = load(text, file).__code__
    again = compiled(source_of(code) or "", "f", "f", (), has_late_annotations(code))
    assert again.co_flags & ~0x10 == code.co_flags & ~0x10  # it is nested now
    assert again.co_names == code.co_names
    assert again.co_varnames == code.co_varnames


@pytest.mark.parametrize("late", [False, True])
def test_annotations_are_late_if_they_were(late: bool) -> None:
    code = compiled("def f():\n    def g(x: Unknown): pass\n    return g", "f", "f", (), late)
    func = _function(code)
    if late:
        assert func().__annotations__ == {"x": "Unknown"}
        assert has_late_annotations(code)


def _function(code: Any) -> Callable[..., Any]:
    return type(lambda: None)(code, {})


def test_private_names_are_those_of_the_class() -> None:
    assert "_C__x" in compiled("def f(self):\n    return self.__x", "f", "C.f", (), False).co_names
    for qualname in ("f", "g.<locals>.f"):
        assert "__x" in compiled("def f(s):\n return s.__x", "f", qualname, (), False).co_names


def test_a_class_of_the_same_name() -> None:
    assert compiled("def f(self):\n    return self", "f", "f.f", (), False).co_varnames == ("self",)


@pytest.mark.parametrize(
    ("source", "variables"), [("def g(): pass", ()), ("x = 1", ()), ("def f(: pass", ())]
)
def test_source_of_something_else(source: str, variables: tuple[str, ...]) -> None:
    with pytest.raises(SyntaxError):
        compiled(source, "f", "f", variables, False)


def test_the_tree_that_is_remembered_is_not_changed(file: Path) -> None:
    text = "@functools.cache\ndef f(x=1): return x\n"
    code = load(text, file).__wrapped__.__code__
    assert source_of(code) == source_of(code) == ast.unparse(ast.parse("def f(x=None): return x"))

"""Classic mode between different versions of Python."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from interpreters import MINORS, SERVE_STDIO, lend_packages, other_python

import netobj
from netobj import classic
from netobj.teleportation import import_function


@pytest.fixture(scope="module", params=MINORS, ids=lambda minor: f"3.{minor}")
def other(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[netobj.Connection]:
    """A server of another version of Python."""
    python = other_python(request.param)
    if python is None:
        pytest.skip(f"there is no other interpreter of Python 3.{request.param} here")
    folder = tmp_path_factory.mktemp("packages")
    lend_packages(folder)
    program = f"import sys; sys.path.insert(0, {str(folder)!r})\n{SERVE_STDIO}"
    with classic.connect_subproc([python, "-c", program]) as conn:
        yield conn
    conn.proc.wait(20)
    conn.proc.stdin.close()
    conn.proc.stdout.close()


def counted(func: Callable[..., Any]) -> Callable[..., Any]:
    calls: list[Any] = []

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return func(*args, **kwargs), len(calls)

    return wrapper


class Keeper:
    def get(self) -> Any:
        return self.__secret  # type: ignore[attr-defined]


def test_it_is_another_version(other: netobj.Connection) -> None:
    there = tuple(other.modules.sys.version_info)[:2]
    assert there != sys.version_info[:2]
    assert classic.obtain(other.eval("{'a': [1, (2, {3})]}")) == {"a": [1, (2, {3})]}


def test_functions_are_teleported_by_source(other: netobj.Connection) -> None:
    offset, names = 3, ["a", "b"]

    def moved(x: int, by: int = 1, *, times: list[int] = [2]) -> Any:  # noqa: B006
        """What it is for."""
        import os

        text = """Two
  lines"""
        return os.getpid(), (x + by) * times[0] + offset, names, text, f"{x!r:>{by + 3}}"

    there = other.teleport(moved)
    pid, value, found, text, formatted = there(10)
    assert pid == other.modules.os.getpid() != os.getpid()
    assert value == (10 + 1) * 2 + 3
    assert (list(found), text, formatted) == (names, "Two\n  lines", "  10")
    assert there.__doc__ == "What it is for."
    assert there.__annotations__["by"] == "int"
    assert other.eval("moved(1, times=[5])")[1] == 13


def test_lambdas_recursion_and_decorators(other: netobj.Connection) -> None:
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * factorial(n - 1)

    @counted
    def double(x: int) -> int:
        return 2 * x

    assert other.teleport(lambda x, y=2: x**y)(3) == 9
    assert other.teleport(factorial)(5) == 120
    there = other.teleport(double)
    assert (there(3), there(4)) == ((6, 1), (8, 2))
    secret = other.eval("type('Keeper', (), {'_Keeper__secret': 7})()")
    assert other.teleport(Keeper.get)(secret) == 7


def test_generators_and_coroutines(other: netobj.Connection) -> None:
    def count(n: int) -> Any:
        yield from range(n)

    async def wait(n: int) -> int:
        import asyncio

        await asyncio.sleep(0)
        return n + 1

    assert list(other.teleport(count)(3)) == [0, 1, 2]
    other.teleport(wait)
    assert other.eval("__import__('asyncio').run(wait(4))") == 5


def test_a_function_of_theirs_comes_here(other: netobj.Connection, tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("def square(x):\n    return x * x\n")
    other.modules.sys.path.append(str(tmp_path))
    square = other.modules["theirs"].square
    moved = import_function(other.modules["netobj.teleportation"].export_function(square))
    assert moved(5) == 25
    assert type(moved) is type(lambda: None)


def test_without_its_source_it_does_not_fit(other: netobj.Connection) -> None:
    names: dict[str, Any] = {}
    exec("def typed(x): return x", names)
    with pytest.raises(ImportError, match="different versions of Python"):
        other.teleport(names["typed"])


def test_files(other: netobj.Connection, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "data").write_bytes(b"\x00\xff" * 50_000)
    classic.upload(other, tmp_path / "here", tmp_path / "there", chunk_size=9_999)
    classic.download(other, tmp_path / "there", tmp_path / "back", chunk_size=9_999)
    assert (tmp_path / "back" / "data").read_bytes() == b"\x00\xff" * 50_000

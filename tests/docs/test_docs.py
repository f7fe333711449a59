"""The examples of the README and of every page under docs/ run, and print what the page says.

Pages about asyncio are written for ``python -m asyncio``, where ``await`` works at the prompt; so
it does here.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import doctest
import inspect
import sys
import traceback
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any

import pytest

from sshd import find_sshd

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
TUTORIAL = [f"docs/tutorial/part{number}.rst" for number in range(1, 6)]
GUIDES = [
    f"docs/{name}.rst"
    for name in (
        "asyncio",
        "streams",
        "calls",
        "functions",
        "limits",
        "classic",
        "arrays",
        "deployment",
        "security",
        "types",
    )
]

NEED_SSHD = ["docs/deployment.rst"]

# Examples with these words run where there is what they need.
NEEDS = {"asyncio.timeout(": sys.version_info >= (3, 11), "uvloop": find_spec("uvloop") is not None}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def examples_of(page: Path) -> doctest.DocTest:
    text = page.read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, name_of(page), str(page), 0)
    for example in test.examples:
        for word, there in NEEDS.items():
            if word in example.source and not there:
                example.options[doctest.SKIP] = True
    return test


def first_line(kind: Any, value: Any) -> list[str]:
    """What doctest compares: the exception's own line, without the notes that follow it."""
    return traceback.format_exception_only(kind, value)[:1]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop of the prompt; it runs while an example awaits something."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples(
    page: Path, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name_of(page) in NEED_SSHD:
        find_sshd()

    def run(code: CodeType, names: dict[str, Any]) -> None:
        names.setdefault("__builtins__", builtins)  # as exec() does; numpy looks for them
        done = FunctionType(code, names)()
        if inspect.iscoroutine(done):
            loop.run_until_complete(done)

    shown = SimpleNamespace(
        format_exception_only=first_line, print_exception=traceback.print_exception
    )
    monkeypatch.setattr(doctest, "traceback", shown)
    monkeypatch.setattr(doctest, "exec", run, raising=False)
    monkeypatch.setattr(
        doctest, "_extract_future_flags", lambda names: ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(examples_of(page), out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_the_pages_are_there_and_have_examples() -> None:
    for name in TUTORIAL + GUIDES:
        assert len(examples_of(ROOT / name).examples) > 20, name

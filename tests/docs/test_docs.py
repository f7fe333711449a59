"""The examples of the README and of every page under docs/ run, and print what the page says."""

from __future__ import annotations

import doctest
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
TUTORIAL = [f"docs/tutorial/part{number}.rst" for number in range(1, 6)]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def examples_of(page: Path) -> doctest.DocTest:
    text = page.read_text(encoding="utf-8")
    return doctest.DocTestParser().get_doctest(text, {}, name_of(page), str(page), 0)


def first_line(kind: Any, value: Any) -> list[str]:
    """What doctest compares: the exception's own line, without the notes that follow it."""
    return traceback.format_exception_only(kind, value)[:1]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = SimpleNamespace(
        format_exception_only=first_line, print_exception=traceback.print_exception
    )
    monkeypatch.setattr(doctest, "traceback", shown)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(examples_of(page), out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_the_tutorial_is_there_and_has_examples() -> None:
    for name in TUTORIAL:
        assert len(examples_of(ROOT / name).examples) > 20, name

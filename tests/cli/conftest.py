"""The shell's halves in one process: what they replace in ``sys`` is put back after each test."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from netobj.cli import stdio


@pytest.fixture(autouse=True)
def own_stdio(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr", "displayhook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    # The test runner, or what it is built on, may have put a hook of its own there.
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(stdio, "_installed", False)
    monkeypatch.setattr(stdio, "_owner", None)


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    """Start a function in a thread that is joined when the test ends."""
    threads: list[threading.Thread] = []

    def start(func: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=func)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join()

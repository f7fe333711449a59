"""Telling how far the copying is: to a function of the caller's, or by plumbum's bar."""

from __future__ import annotations

import sys
from collections.abc import Callable

from plumbum.cli.progress import Progress

Report = Callable[[int, int], object]
"""Called with the bytes that are sent, and the bytes that there are."""


def reporter(progress: Report | bool | None) -> Report:
    """What to call for *progress*: itself; for True, a bar on the terminal, if there is one."""
    if callable(progress):
        return progress
    return Bar() if progress and sys.stdout.isatty() else _nobody


def _nobody(done: int, total: int) -> None:
    pass


class Bar:
    """plumbum's bar: bytes copied, and how many seconds that took and will take."""

    def __init__(self) -> None:
        self._bar: Progress[int] | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = Progress(length=total)
            self._bar.start()
        self._bar.value = done
        if done < total:
            self._bar.display()
        else:
            self._bar.done()

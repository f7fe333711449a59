"""Tracebacks that read like those of a local prompt: without the frames that got the code there."""

from __future__ import annotations

import linecache
import os
import traceback
from collections.abc import Iterable, Iterator

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def remember_source(filename: str, source: str) -> None:
    """Let tracebacks show the lines of *source*, which is in no file."""
    lines = source.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    linecache.cache[filename] = (len(source), None, lines, filename)


def forget_source(filename: str) -> None:
    """Undo :func:`remember_source`."""
    linecache.cache.pop(filename, None)


def format_error(exc: BaseException) -> str:
    """The text that Python prints for *exc*, causes and groups included, without our own frames.

    >>> format_error(ValueError("no such thing"))
    'ValueError: no such thing\\n'
    """
    shown = traceback.TracebackException(type(exc), exc, exc.__traceback__)
    for one in _tree(shown):
        frames = [frame for frame in one.stack if not frame.filename.startswith(_PACKAGE)]
        if one is shown and isinstance(exc, SyntaxError) and _are_of_compiler(frames):
            frames.clear()
        one.stack[:] = frames
    return "".join(shown.format())


def _are_of_compiler(frames: Iterable[traceback.FrameSummary]) -> bool:
    """True when it was the input itself that could not be compiled."""
    return all(os.path.basename(frame.filename) == "codeop.py" for frame in frames)


def _tree(shown: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    yield shown
    parts = getattr(shown, "exceptions", None) or ()  # of a group, from Python 3.11 on
    for part in (shown.__cause__, shown.__context__, *parts):
        if part is not None:
            yield from _tree(part)

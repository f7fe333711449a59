"""Where a thread may be interrupted by an exception from outside: Ctrl-C, or a stopped call.

Python raises KeyboardInterrupt between any two instructions of the main thread, and an
asynchronous exception between any two of another. In the midst of sending or dispatching a
message that would lose it, and leave other threads waiting for ever. So whoever raises looks at
the frames of the thread first (:func:`at_safe_point`), and tries again a moment later if they
are in the midst of something. Code that waits, and code that runs a user's code, is marked with
:func:`safe_point`. On the way of a call this costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from netobj.core import access, handlers, rules

P = ParamSpec("P")
R = TypeVar("R")

_SAFE: Final[set[CodeType]] = set()
_BLOCKING: Final = os.path.dirname(__file__) + os.sep
_CORE: Final = os.path.dirname(handlers.__file__) + os.sep
_RUNS_USER_CODE: Final = handlers.__file__
_LOOKED_THROUGH: Final = (access.__file__, rules.__file__)  # between handlers and user code


def safe_point(function: Callable[P, R]) -> Callable[P, R]:
    """Mark *function*: an exception may be raised in it, or in what it calls outside netobj."""
    _SAFE.add(cast("FunctionType", function).__code__)
    return function


def at_safe_point(frame: FrameType | None) -> bool:
    """True if an exception raised in *frame*, the innermost of a thread, does no harm."""
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        if code in _SAFE or file == _RUNS_USER_CODE:
            return True
        if file.startswith((_CORE, _BLOCKING)) and file not in _LOOKED_THROUGH:
            return False
        frame = frame.f_back
    return True


class Event(Protocol):
    """What a thread can wait for."""

    def wait(self, timeout: float | None) -> bool:
        """Wait, at most *timeout* seconds (None: for ever)."""


@safe_point
def wait_event(event: Event, timeout: float | None) -> None:
    """Wait until *event* is set, at most *timeout* seconds (None: for ever)."""
    event.wait(timeout)


@safe_point
def call_user(function: Callable[..., Any], *args: Any) -> Any:
    """Call *function*, which is the user's."""
    return function(*args)

"""Outcomes that go from a thread to the loop and back; StopIteration, in a form in which it can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


class Stopped(StopAsyncIteration):
    """In the place of the StopIteration *original* while coroutines pass it on."""

    def __init__(self, original: StopIteration) -> None:
        super().__init__(*original.args)
        self.original = original


async def outcome_of(function: Callable[[Any], Awaitable[Any]], call: Any) -> Any:
    """What *function*, with *call*, comes to, for :func:`finished`."""
    try:
        return await function(call)
    except Stopped as exc:
        return exc


def finished(outcome: Any) -> Any:
    """The outcome itself; raises the StopIteration that it stands for."""
    if type(outcome) is Stopped:
        raise outcome.original
    return outcome


Tried = tuple[bool, Any]
"""Whether a function returned, and what it returned or raised."""


def tried(function: Callable[..., Any], *args: Any) -> Tried:
    """What *function* comes to, for :func:`taken`."""
    try:
        return True, function(*args)
    except BaseException as exc:
        return False, exc


def taken(outcome: Tried) -> Any:
    """What it returned; raises what it raised, in a form that may leave a coroutine."""
    ok, value = outcome
    if ok:
        return value
    try:
        raise Stopped(value) if isinstance(value, StopIteration) else value
    finally:
        del outcome, value  # no cycle through this frame


def settle(future: Any, outcome: Tried) -> None:
    """Give the loop's *future* its outcome, unless nobody wants it any more."""
    if not future.done():
        future.set_result(outcome)

"""StopIteration, which cannot leave a coroutine or a future, in a form in which it can."""

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

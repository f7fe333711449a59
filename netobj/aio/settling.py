"""Settling what a call has come to, on the event loop: what interceptors see is a result."""

from __future__ import annotations

from typing import Any

from netobj.core.outcomes import Awaited


async def settled(outcome: Any) -> Any:
    """What *outcome*, one of UNFINISHED, comes to. Raises what that raises.

    A stream stays what it is: it begins when it has been answered.
    """
    if type(outcome) is Awaited:
        return outcome.finish(await outcome.awaitable)
    return outcome

"""Settling what a call has come to, in the thread that runs it: what interceptors see is a result.

Without interceptors a thread does not wait for any of this, see :mod:`netobj.blocking.unfinished`.
"""

from __future__ import annotations

from typing import Any

from netobj.blocking.excursion import Excursion
from netobj.core.events import Request
from netobj.core.outcomes import Awaited, close_unawaited


def settled(connection: Any, request: Request, outcome: Any) -> Any:
    """What *outcome*, one of UNFINISHED, comes to; waits for it. Raises what that raises.

    A stream stays what it is: it begins when it has been answered.
    """
    if type(outcome) is Awaited:
        try:
            return Excursion(connection, request).run(lambda: settled_on_loop(outcome))
        except BaseException:
            close_unawaited(outcome)
            raise
    return outcome


async def settled_on_loop(outcome: Any) -> Any:
    """The same on the event loop, where nobody's thread waits."""
    if type(outcome) is Awaited:
        return outcome.finish(await outcome.awaitable)
    return outcome

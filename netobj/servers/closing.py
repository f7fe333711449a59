"""The end of a server's connections: with time for their calls, and all at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Final

from netobj.blocking.connection import PATIENCE, Connection
from netobj.calls import Call

_LOOK: Final = 0.005
"""Seconds between looks whether calls have ended."""


def close_with_grace(
    clients: Collection[Connection], grace: float, log: logging.Logger
) -> tuple[Call, ...]:
    """Close *clients*, whose calls have *grace* seconds to end; returns those that were cut."""
    left = list(clients)
    if grace > 0:
        for client in left:
            client.dispatcher.hold()
        end = time.monotonic() + grace
        try:
            while left and time.monotonic() < end:
                busy = [client for client in left if client.calls]
                close_all(set(left).difference(busy), log)
                left = busy
                if left:
                    time.sleep(_LOOK)
        except KeyboardInterrupt:
            log.warning("interrupted once more: calls are cut")
    cut = tuple(call for client in left for call in client.calls)
    close_all(clients, log)  # also those whose closing was interrupted
    return cut


def close_all(clients: Collection[Connection], log: logging.Logger) -> None:
    """Close *clients* together: all are told before one is waited for.

    So it takes no longer than closing one of them, but for what the program itself does at the end
    of each (``before_closed``, ``on_disconnect``).
    """
    for step in (Connection.begin_close, Connection.finish):
        for client in clients:
            _guarded(step, client, log)
    end = time.monotonic() + PATIENCE
    for client in clients:
        client.await_released(max(0.0, end - time.monotonic()))


def _guarded(step: Callable[[Connection], object], client: Connection, log: logging.Logger) -> None:
    try:
        step(client)
    except Exception:  # its before_closed; the others are closed all the same
        log.exception("closing %r raised", client)

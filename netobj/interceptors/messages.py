"""Showing a connection's messages to its interceptors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from netobj.errors import ProtocolError
from netobj.interceptors.hooks import Hook, hooks
from netobj.interceptors.interceptor import Direction, Interceptor


class Watcher:
    """Calls ``on_message`` of *interceptors* for each message of a connection.

    If one raises, *stop* is called with the direction and the reason, once: it ends the connection.
    After that nobody is shown anything.
    """

    def __init__(
        self,
        interceptors: tuple[Interceptor, ...],
        stop: Callable[[Direction, str, BaseException], object],
    ) -> None:
        self._hooks: tuple[Hook, ...] = hooks(interceptors, "on_message")
        self._stop = stop

    def watch(self, session: Any) -> bool:
        """Watch *session*, if anybody wants to know; whether that is so."""
        if self._hooks:
            session.watch(partial(self._show, Direction.IN), partial(self._show, Direction.OUT))
        return bool(self._hooks)

    def _show(self, direction: Direction, frame: bytes) -> bool:
        """Show *frame*; True if it is not to be sent, since the connection ends."""
        for hook in self._hooks:
            try:
                hook(frame, direction)
            except Exception as exc:
                self._hooks = ()
                owner = type(getattr(hook, "__self__", hook)).__name__
                what = "received" if direction is Direction.IN else "to be sent"
                reason = f"{owner}.on_message refused a message that was {what}: {exc}"
                self._stop(direction, reason, exc)
                if direction is Direction.IN:  # it is not applied
                    raise ProtocolError(reason) from exc
                return True
        return False

"""One line in a log for each call."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any, Final

from netobj.interceptors.interceptor import Interceptor
from netobj.interceptors.who import user_of, visible
from netobj.sockets import address_text


class AccessLog(Interceptor):
    """Logs a line at the level INFO for each call when it ends: who, what, how long, and how.

    *logger* is the logger ``netobj.access`` unless given. A line says the peer's address, its user
    (``-``: it has not logged in), ``ok`` or the class of the error, the seconds that it took, and
    what was asked for; nothing in a peer's names looks like another word or another line.
    *structured*: the line is an object of JSON instead, with the keys ``time``, ``connection``,
    ``peer``, ``user``, ``result``, ``seconds`` and ``call``. Either way the record has the same as
    a dictionary, its attribute ``access``.

    A call of an ``async def`` ends when that has returned; of what makes a stream, when the stream
    is there. On a client, the calls are its own, and the peer is the server.

    >>> import netobj, sys
    >>> log = logging.getLogger("example")
    >>> log.addHandler(logging.StreamHandler(sys.stdout)); log.setLevel("INFO")
    >>> class Bank(netobj.Service):
    ...     @netobj.exposed
    ...     def open(self, name): return 0
    >>> with netobj.ThreadedServer(Bank, "localhost", interceptors=[AccessLog(log)]) as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.open("alice")
    127.0.0.1:... - ok 0.0... Bank.open()
    0
    """

    def __init__(self, logger: logging.Logger | None = None, structured: bool = False) -> None:
        self._log = logger or logging.getLogger("netobj.access")
        self._text = _as_json if structured else _as_words

    def on_call(self, call: Any, next: Callable[[Any], Any]) -> Any:
        """Pass the call on, and log what came of it."""
        began = time.perf_counter()
        try:
            result = next(call)
        except BaseException as exc:
            self._write(call, began, type(exc).__name__)
            raise
        if call.outgoing and call.asynchronous and hasattr(type(result), "add_callback"):
            result.add_callback(lambda answered: self._answered(call, began, answered))
        else:
            self._write(call, began, "ok")
        return result

    async def on_call_async(self, call: Any, next: Callable[[Any], Awaitable[Any]]) -> Any:
        """The same on an event loop."""
        began = time.perf_counter()
        try:
            result = await next(call)
        except BaseException as exc:
            self._write(call, began, type(exc).__name__)
            raise
        self._write(call, began, "ok")
        return result

    def _answered(self, call: Any, began: float, result: Any) -> None:
        """An asynchronous call of this side's has its *result*."""
        try:
            result.value  # noqa: B018
        except BaseException as exc:
            self._write(call, began, type(exc).__name__)
        else:
            self._write(call, began, "ok")

    def _write(self, call: Any, began: float, result: str) -> None:
        if not self._log.isEnabledFor(logging.INFO):
            return
        access = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "connection": call.connection.config.connid,
            "peer": address_text(call.peer),
            "user": user_of(call.credentials),
            "result": result,
            "seconds": round(time.perf_counter() - began, 6),
            "call": call.name,
        }
        self._log.info("%s", self._text(access), extra={"access": access})


def _as_words(access: dict[str, Any]) -> str:
    peer, user, result = (visible(access[key]) for key in ("peer", "user", "result"))
    # What is called has its own escapes, and may have blanks in it: so it is the last.
    return f"{peer} {user} {result} {access['seconds']:.6f} {access['call']}"


_as_json: Final = json.dumps  # escapes all that is not ASCII

"""Connections that come back: what both front-ends' have in common.

A connection with ``reconnect`` is a facade of one plain connection after the other. What is
reached by name from its root has a :class:`NamedHandle`, whose link is the facade; what comes of
calls has a plain handle of the connection over which it came, and is stale when that has ended.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from random import random
from typing import Any, Final, NamedTuple

from netobj.core.consts import OPEN, Op
from netobj.core.handle import Handle
from netobj.errors import (
    AsyncResultTimeout,
    Busy,
    ConnectionLost,
    DiscoveryError,
    StaleReference,
)

IDEMPOTENT: Final = "idempotent"
"""What a side says of a function that may be called again, see ``Op.DECLARED``."""

RESTED: Final = 0.02
"""Seconds of silence after which it is looked, before a call is sent, whether the end has come."""


class Reconnect(NamedTuple):
    """How a connection comes back after a loss: ``reconnect=netobj.Reconnect(attempts=3)``.

    *attempts*: how often it is tried, the first time at once. *delay*: seconds before the second,
    twice as many before each further one, *max_delay* at the most; each is shortened at random, by
    up to the part *jitter* of it, so that many clients do not come back all at once. *repeats*: how
    often a call is repeated that may be, with the same pauses.

    >>> [round(pause, 2) for pause in Reconnect(delay=0.5, max_delay=3, jitter=0).pauses(5)]
    [0.5, 1.0, 2.0, 3.0, 3.0]
    """

    attempts: int = 10
    delay: float = 0.1
    max_delay: float = 5.0
    jitter: float = 0.5
    repeats: int = 3

    def pauses(self, count: int) -> Iterator[float]:
        """The seconds of the first *count* pauses."""
        pause = self.delay
        for _ in range(count):
            yield min(pause, self.max_delay) * (1 - self.jitter * random())
            pause = min(2 * pause, self.max_delay)


def settings_of(reconnect: bool | Reconnect) -> Reconnect:
    """What *reconnect*, which is true, asks for. Raises TypeError, ValueError."""
    if reconnect is True:
        return Reconnect()
    if not isinstance(reconnect, Reconnect):
        raise TypeError(f"reconnect is True or a netobj.Reconnect, not {reconnect!r}")
    if reconnect.attempts < 1 or reconnect.repeats < 0 or not 0 <= reconnect.jitter <= 1:
        raise ValueError(f"{reconnect}: attempts >= 1, repeats >= 0, 0 <= jitter <= 1")
    if not (reconnect.delay >= 0 and reconnect.max_delay >= 0):
        raise ValueError(f"{reconnect}: delays are seconds, not negative")
    return reconnect


def is_passing(exc: BaseException) -> bool:
    """Whether connecting may succeed the next time, though it has failed with *exc*."""
    if isinstance(exc, (AsyncResultTimeout, ssl.SSLCertVerificationError)):
        return False  # the caller's own deadline, and whom nobody trusts
    return isinstance(exc, (OSError, ConnectionLost, DiscoveryError, Busy))


class NamedHandle(Handle):
    """What the names *steps* lead to from the root of the connection *link*, which comes back.

    ``now`` is a plain connection and the handle of the object there: one attribute, so that a
    thread which finds it anew replaces both in one step.
    """

    __slots__ = ("now", "steps")

    def __init__(self, link: Any, steps: tuple[str, ...], connection: Any, real: Handle) -> None:
        super().__init__(link, real.id, real.imported)
        self.hidden = real.hidden
        self.steps = steps
        self.now = (connection, real)

    @property
    def name(self) -> str:
        """For people."""
        return ".".join(("root", *self.steps))


def stale(reason: str) -> ConnectionLost:
    """What the use of a reference raises whose connection has ended for *reason*."""
    error = StaleReference(
        f"this reference came over a connection that has ended ({reason}): get it again, or reach "
        "it by name from conn.root, which finds it again by itself"
    )
    return not_started(error)


def not_started(exc: ConnectionLost) -> ConnectionLost:
    """Mark *exc*: the call was surely not run."""
    exc._not_started = True
    return exc


def is_stale(connection: Any) -> bool:
    """Whether *connection* is a plain one of a connection that came back without it."""
    session = getattr(connection, "session", None)
    return session is not None and session.gone is stale and session.lost is not None


def may_be_asked(op: int, handle: Any, path: Any) -> bool:
    """Whether a call that has failed may be of what is declared to be called again."""
    if op != Op.CALL or type(handle) is not NamedHandle:
        return False
    return path is None or type(path) is str or (bool(path) and path[-1] != OPEN)


def names_of(path: Any) -> tuple[str, ...] | None:
    """The names that *path* consists of; None if there are others than names in it."""
    steps = (path,) if type(path) is str else tuple(path or ())
    return steps if steps and all(type(step) is str for step in steps) else None

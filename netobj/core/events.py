"""What a session tells its front-end: one small object per message that matters to it."""

from __future__ import annotations

from typing import Any


class Request:
    """The peer asks for something; it stays the front-end's until it is answered.

    ``chain`` is the chain it belongs to (a synchronous call) or None; ``lane`` orders the
    asynchronous calls of one of the peer's threads. ``time_left`` is in seconds, or None.
    """

    __slots__ = (
        "_ticket",
        "args",
        "cancelled",
        "chain",
        "deferred",
        "kwnames",
        "lane",
        "metadata",
        "op",
        "path",
        "run",
        "seq",
        "target",
        "time_left",
    )

    def __init__(
        self,
        seq: int,
        chain: Any,
        lane: Any,
        op: int,
        target: object,
        path: Any,
        args: tuple[Any, ...],
        deferred: bool,
    ) -> None:
        self.seq = seq
        self.chain = chain
        self.lane = lane
        self.op = op
        self.target = target
        self.path = path
        self.args = args
        self.deferred = deferred
        self.kwnames: tuple[str, ...] = ()
        self.time_left: float | None = None
        self.metadata: Any = None
        self.cancelled = False
        self._ticket = [None]  # whoever takes it out decides whether the request runs
        self.run: Any = None  # the front-end's, while it can be stopped

    def start(self) -> bool:
        """Claim the request, in one atomic step: True for the one who may run it, or drop it."""
        try:
            self._ticket.pop()
        except IndexError:
            return False
        return True


class Reply:
    """The answer to a request of ours; *token* is what the front-end registered with it."""

    __slots__ = ("deferred", "ok", "token", "value")

    def __init__(self, token: Any, ok: bool, value: Any, deferred: bool) -> None:
        self.token = token
        self.ok = ok
        self.value = value  # of an error: the dumped exception
        self.deferred = deferred


class Cancel:
    """The peer no longer wants the answer to *request*; *interrupt*: stop it where it is."""

    __slots__ = ("interrupt", "request")

    def __init__(self, request: Request, interrupt: bool) -> None:
        self.request = request
        self.interrupt = interrupt


class Pong:
    """The peer echoed a ping of ours."""

    __slots__ = ("token",)

    def __init__(self, token: Any) -> None:
        self.token = token


class Hello:
    """The peer's hello has come; its root can be used."""

    __slots__ = ()


class Dropped:
    """Objects that the peer holds no longer: to be let go outside of every lock."""

    __slots__ = ("objects",)

    def __init__(self, objects: list[object]) -> None:
        self.objects = objects


class Goodbye:
    """The peer says that it will close and why; *not_started*: tokens of calls it will not run."""

    __slots__ = ("not_started", "reason")

    def __init__(self, reason: str, not_started: list[Any]) -> None:
        self.reason = reason
        self.not_started = not_started


Event = Request | Reply | Cancel | Pong | Hello | Dropped | Goodbye

"""What a session tells its front-end: one small object per message that matters to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netobj.core.flow import Flow
    from netobj.core.promises import Answer


class Request:
    """The peer asks for something; it stays the front-end's until it is answered.

    ``chain`` is the chain it belongs to (a synchronous call) or None; ``lane`` orders the
    asynchronous calls of one of the peer's threads. ``since`` and ``deadline`` are times of the
    reader's clock, in seconds; ``deadline`` is None where the call has none.
    ``target`` came as a value, not by its number, where ``given`` is true.
    ``awaits`` are the answers that it names and that may not be there yet.
    """

    # What few requests have is in the class, so that making one costs little.
    metadata: Any = None
    given = False
    oneway = False  # it gets no answer
    kwnames: tuple[str, ...] = ()
    deadline: float | None = None
    kept: Answer | None = None  # where the answer is to be kept
    awaits: tuple[Answer, ...] = ()
    cancelled = False
    size = 0  # in bytes, where they are many
    run: Any = None  # the front-end's, while it can be stopped
    where: str | int | None = None  # what runs it: a task's name, or a thread's name or number

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
        since: float = 0.0,
    ) -> None:
        self.seq = seq
        self.chain = chain
        self.lane = lane
        self.op = op
        self.target = target
        self.path = path
        self.args = args
        self.deferred = deferred
        self.since = since
        self._ticket = [None]  # whoever takes it out decides whether the request runs

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


class Flowed:
    """Something has come for *flow*: items, credit, or the end of one of its halves."""

    __slots__ = ("flow",)

    def __init__(self, flow: Flow) -> None:
        self.flow = flow


class Goodbye:
    """The peer says that it will close and why; *not_started*: tokens of calls it will not run."""

    __slots__ = ("not_started", "reason")

    def __init__(self, reason: str, not_started: list[Any]) -> None:
        self.reason = reason
        self.not_started = not_started


Event = Request | Reply | Cancel | Pong | Hello | Dropped | Flowed | Goodbye

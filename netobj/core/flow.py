"""One stream of items, seen from one side: what may be sent, what has come, what is at its end.

A flow has a number, given by the side that made it; here it is positive when this side did and
negative when the peer did. A two-way flow has a sending and a receiving half on each side; of a
one-way flow the maker has only the sending, the other only the receiving half.

Credit. The sender may have sent as many items as it was granted, :data:`FIRST_CREDIT` to begin
with. The receiver grants more as its consumer uses them up; as long as the consumer keeps up, the
window grows, so that a quick pair exchanges large chunks and a slow consumer stops its producer.

Ownership. Counters only grow, and each has one writer: ``granted`` and ``received`` the thread
that reads the connection, ``sent`` whoever sends (the front-end lets one at a time), ``consumed``
and ``allowed`` the consumer. ``chunks`` is filled by the reader and emptied by the consumer.
``sending`` and ``sent_end`` change under the guard of the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

FIRST_CREDIT: Final = 16
"""Items that may be sent before any credit was granted."""
MOST_CREDIT: Final = 4096
"""Items at most that a receiver lets come ahead of its consumer ..."""
MOST_BYTES: Final = 512 * 1024
"""... as long as they are, by what has come lately, no more bytes than these."""


class Flow:
    """See the module's docstring. Made by :class:`netobj.core.flows.Flows`."""

    __slots__ = (
        "__weakref__",
        "_subscribers",
        "allowed",
        "chunks",
        "consumed",
        "ended",
        "error",
        "granted",
        "item_size",
        "last_words",
        "link",
        "lost",
        "number",
        "received",
        "refused",
        "request",
        "sending",
        "sent",
        "sent_end",
        "stopped",
        "window",
    )

    def __init__(self, link: Any, number: int, sends: bool, receives: bool) -> None:
        self.link = link
        self.number = number
        self.request: Any = None  # the peer's, which this flow is the answer to
        self.lost: str | None = None  # why the connection has ended
        self._subscribers: list[Callable[[], object]] = []
        # Sending
        self.granted = FIRST_CREDIT
        self.sent = 0
        self.sending = 0  # messages with items that are being made
        self.sent_end = not sends
        self.last_words: BaseException | None = None  # with which this side ends it
        self.refused = False  # the peer takes no more
        # Receiving
        self.chunks: deque[tuple[tuple[Any, ...], bool]] = deque()  # items, to be completed
        self.received = 0
        self.consumed = 0
        self.allowed = FIRST_CREDIT
        self.window = FIRST_CREDIT
        self.item_size = 1  # in bytes, of what has come lately
        self.ended = not receives
        self.error: Any = None  # with which the peer ended it, to be completed
        self.stopped = False  # this side takes no more

    @property
    def over(self) -> bool:
        """Nothing can happen any more."""
        return self.lost is not None or (self.sent_end and self.ended)

    def may_send(self) -> bool:
        """An item may be sent now, or never any more."""
        return self.sent < self.granted or self.refused or self.sent_end or self.lost is not None

    def may_take(self) -> bool:
        """Something has come, items or the end, or nothing is wanted any more."""
        return bool(self.chunks) or self.ended or self.stopped or self.lost is not None

    def arrived(self, count: int, size: int) -> None:
        """So many items have come, in so many bytes."""
        self.received += count
        each = size // count
        self.item_size = max(1, each, (3 * self.item_size + each) // 4)

    def used(self, count: int) -> int:
        """The consumer has used up *count* items; returns the credit that is to be granted."""
        self.consumed += count
        outstanding = self.allowed - self.consumed
        if self.ended or self.stopped or outstanding > self.window // 2:
            return 0
        if not self.chunks:  # it keeps up
            self.window = min(2 * self.window, MOST_CREDIT)
        self.window = max(2, min(self.window, MOST_BYTES // self.item_size))
        grant = max(0, self.window - outstanding)
        self.allowed += grant
        return grant

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Call *callback*, which must not wait, once, when the flow changes next."""
        self._subscribers.append(callback)

    def unsubscribe(self, callback: Callable[[], object]) -> None:
        """*callback* need not be called any more."""
        try:
            self._subscribers.remove(callback)
        except ValueError:  # called just now
            pass

    def notify(self) -> None:
        """The flow has changed; called by whoever reads the connection, or ends it.

        Who subscribes again meanwhile has looked at the change already, and waits for the next.
        """
        for _ in range(len(self._subscribers)):
            try:
                callback = self._subscribers.pop(0)
            except IndexError:  # unsubscribed just now
                return
            callback()

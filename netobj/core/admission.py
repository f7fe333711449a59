"""Who may run, and who waits for that: the state of one limit. Nothing here waits or locks.

Slots are taken and given back one by one, see :class:`Slots`; those who find none wait in their
order, as many as the queue has room for. Who owns an :class:`Admission` calls it from one thread at
a time, and tells those whom it names that they have a slot.

Exactly as many as there are slots are inside, whatever happens, since each who was let in leaves
once: by :meth:`Admission.leave`, or by :meth:`Admission.withdraw`, which is for those who may have
been let in without having noticed yet.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Generic, Protocol, TypeVar

W = TypeVar("W")


class Slots(Protocol):
    """A number of slots. Neither method waits.

    In this process that is a :class:`Counter`. Where several processes share a limit it is an
    object that counts in memory which they share: see :func:`netobj.gates.use_slots`.
    """

    def try_take(self) -> bool:
        """Take a slot; False if there is none."""

    def give(self) -> None:
        """Give one back that was taken."""


class Counter:
    """*limit* slots, counted here.

    >>> slots = Counter(1)
    >>> slots.try_take(), slots.try_take()
    (True, False)
    """

    __slots__ = ("free",)

    def __init__(self, limit: int) -> None:
        self.free = limit

    def try_take(self) -> bool:
        if self.free == 0:
            return False
        self.free -= 1
        return True

    def give(self) -> None:
        self.free += 1


class Verdict(Enum):
    """What who enters is told."""

    INSIDE = "inside"  # it has a slot
    WAITS = "waits"  # it will be named when it has one
    FULL = "full"  # there is no room to wait, either


class Admission(Generic[W]):
    """One limit: *slots*, and room for *queue* to wait. Who enters is an object of its own.

    >>> limit = Admission(Counter(1), queue=1)
    >>> [limit.enter(who).value for who in ("a", "b", "c")]
    ['inside', 'waits', 'full']
    >>> limit.leave()
    ['b']
    """

    def __init__(self, slots: Slots, queue: int) -> None:
        self.inside = 0  # how many have a slot through this
        self._slots = slots
        self._queue = queue
        self._waiting: deque[W] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Nobody is here."""
        return self.inside == 0 and not self._waiting

    def enter(self, who: W) -> Verdict:
        """*who* asks for a slot; does not overtake those who wait."""
        if not self._waiting and self._slots.try_take():
            self.inside += 1
            return Verdict.INSIDE
        if len(self._waiting) >= self._queue:
            return Verdict.FULL
        self._waiting.append(who)
        return Verdict.WAITS

    def leave(self) -> list[W]:
        """One who was inside gives its slot back; returns those who have one now."""
        self.inside -= 1
        self._slots.give()
        return self.retry()

    def withdraw(self, who: W) -> list[W]:
        """*who*, told to wait, does not want to any more; returns those who have a slot now.

        It may have been named meanwhile: then it leaves.
        """
        for index, one in enumerate(self._waiting):
            if one is who:
                del self._waiting[index]
                return []
        return self.leave()

    def retry(self) -> list[W]:
        """Slots may be free that others have given back; returns those who have one now."""
        named: list[W] = []
        while self._waiting and self._slots.try_take():
            self.inside += 1
            named.append(self._waiting.popleft())
        return named

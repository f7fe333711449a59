"""Exceptions of this side that have left, and may come home as the very objects that they were.

An exception that is raised through several sides, back to the one where it began, is to be the
same object there. So whoever sends one keeps it, for as long as an outer call of its chain waits.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Protocol


class Left(dict[int, BaseException]):
    """The exceptions that have left, by number.

    The table of one session, which also stands for it in exceptions that came over it.
    """

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = count(1)

    def add(self, exc: BaseException) -> int:
        """Keep *exc*; returns its number."""
        number = next(self._numbers)
        self[number] = exc
        return number

    def __reduce__(self) -> tuple[Any, ...]:
        return Left, ()  # what an exception that is pickled takes along of it


class Home(Protocol):
    """What keeps exceptions that have left: a session."""

    def let_go(self, keep: list[int]) -> None:
        """Forget the exceptions of these numbers."""


class Keeper:
    """Base of what waits for the answer to a call: exceptions are kept until that has ended."""

    kept_exceptions: list[tuple[Home, list[int]]] | None = None

    def keep_for(self, session: Home) -> list[int]:
        """Where *session* notes the exceptions that it keeps until this call ends."""
        numbers: list[int] = []
        if self.kept_exceptions is None:
            self.kept_exceptions = []
        self.kept_exceptions.append((session, numbers))
        return numbers

    def let_go(self) -> None:
        """The call has ended: the exceptions that were kept for it may go."""
        for session, numbers in self.kept_exceptions or ():
            session.let_go(numbers)
        self.kept_exceptions = None

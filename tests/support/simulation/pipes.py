"""The bytes that are under way in one direction of a connection."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.ends import End


class Pipe:
    """From *sender*: what was written, until some of it arrives; :attr:`stalled`: nothing does."""

    def __init__(self, sender: End) -> None:
        self.sender = sender
        self.under_way = bytearray()
        self.stalled = False
        self.closed = False  # nothing more is put in; who has read all finds the end

    @property
    def filled(self) -> bool:
        """Something is in it, or its end is to be found."""
        return self.closed or bool(self.under_way)

    def take_in(self) -> None:
        """Put in what the sender has written."""
        out = self.sender.session.out
        while out:
            data = bytes(out.popleft())
            if not self.closed:
                self.sender.wrote(data)
                self.under_way += data

    def take(self, chance: Random, most: int | None) -> bytes:
        """What arrives next: all, or as much as *chance* says, or as there is room for."""
        count = len(self.under_way)
        if count > 1 and chance.random() < 0.4:
            count = chance.randrange(1, count)
        if most is not None:
            count = min(count, most)
        data = bytes(self.under_way[:count])
        del self.under_way[:count]
        return data

    def break_off(self, chance: Random) -> None:
        """The rest is lost, from some byte on."""
        self.take_in()
        if self.under_way:
            del self.under_way[chance.randrange(len(self.under_way) + 1) :]
        self.closed = True

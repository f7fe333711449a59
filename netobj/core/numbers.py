"""Numbers that no other connection, skin or process uses."""

from __future__ import annotations

import os
from itertools import count
from typing import Final


class Numbers:
    """A random token of the process, and counters: of requests, of connections, and of
    chains of calls.

    Each step of a counter is one operation of the interpreter, so any thread may take a number.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew: a child of ``fork`` is another process."""
        self.process = os.urandom(16)
        self.chains = count(int.from_bytes(os.urandom(4), "big") >> 1 << 32)
        self.requests = count(1)
        self.connections = count(1)


numbers: Final = Numbers()
"""The numbers of this process."""

"""A peer whose every step is the test's: a session on a bare socket, without threads.

The other side is a whole connection, and alone in its process: so its calls go the short way.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import nullcontext
from itertools import count
from typing import Any

from netobj.blocking.streams import SocketStream
from netobj.core.config import Config
from netobj.core.consts import Op
from netobj.core.events import Event, Reply, Request
from netobj.core.netref import proxy_for
from netobj.core.outcomes import Ruled
from netobj.core.session import Session


class PeerByHand:
    """One end of a socket pair; :attr:`stream` is the other.

    >>> import netobj
    >>> peer = PeerByHand(netobj.Service())
    >>> peer.stream.recv_now()[:8]
    b'netobj 1'
    >>> peer.close(); peer.stream.close()
    """

    def __init__(self, root: object, config: Config | None = None) -> None:
        one, self.sock = socket.socketpair()
        self.sock.settimeout(20)  # for hangs only
        self.stream = SocketStream(one)
        self._events: deque[Event] = deque()
        self.pings = 0
        """How often the other side has asked whether this one is there; it is told at once."""
        self.session = Session(
            config or Config(),
            root,
            link=self,
            make_proxy=proxy_for,
            make_end=lambda flow: flow,
            guard=nullcontext(),
            sequence=count(1),
            process=b"by hand",
            side="the peer",
        )
        self.send()

    def watch(self) -> None:
        """There is no clock."""

    def waits_in(self, chain: int) -> bool:
        """It waits for nothing."""
        return False

    def admit(self, seq: int, size: int, chain: int | None) -> None:
        """The test knows how much it sends."""
        self.session.heavy[seq] = size

    def settle(self, ruled: Ruled) -> object:
        """No rule is kept."""
        return ruled.run()

    def taken(self) -> bytes:
        """What is to be sent, and is not: the test sends it."""
        data = b"".join(map(bytes, self.session.out))
        self.session.out.clear()
        return data

    def send(self) -> None:
        """Send what is queued."""
        self.sock.sendall(self.taken())

    def receive(self) -> Event:
        """The next event, waited for. Raises EOFError at the end of the connection."""
        while not self._events:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._take(data)
        return self._events.popleft()

    def look(self) -> bool:
        """Take what has arrived, without waiting; True if there is an event."""
        try:
            self._take(self.sock.recv(65536, socket.MSG_DONTWAIT))
        except BlockingIOError:
            pass
        return bool(self._events)

    def _take(self, data: bytes) -> None:
        queued = len(self.session.out)
        if data:
            self._events += self.session.receive_data(data, 0.0)
        self.pings += len(self.session.out) - queued
        if not queued:
            self.send()

    def requested(self) -> Request:
        """The next request; what else comes before it is passed over."""
        while True:
            event = self.receive()
            if type(event) is Request:
                return event

    def answered(self) -> Any:
        """The value of the next answer; what else comes before it is passed over."""
        while True:
            event = self.receive()
            if type(event) is Reply:
                return event.value

    def reply(self, request: Request, value: object) -> None:
        """Answer *request*."""
        self.session.reply(request, value)
        self.send()

    def ask(self, path: str, *args: Any, chain: int | None = None, lane: int | None = None) -> None:
        """Queue a call of a method of the other side's root."""
        self.session.request(object(), Op.CALL, None, path, args, None, chain, lane)

    def close(self) -> None:
        """End the connection."""
        self.sock.close()

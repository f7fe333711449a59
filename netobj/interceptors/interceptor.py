"""What programs put around connections and calls: the class that they derive theirs from."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from netobj.errors import Refused


class Direction(enum.Enum):
    """Where a message goes: from the peer to this side, or from here to the peer."""

    IN = "in"
    OUT = "out"


class Peer:
    """Who has come to a server.

    ``address`` is the peer's, as the socket has it ((host, port, ...), or a path or ``""`` of a
    Unix socket); ``server`` is whose client it wants to be; ``connection`` is None until the peer
    is let in: TLS, the login and the hello come behind ``on_accept``. With a
    :class:`~netobj.ForkingServer` it stays None, since the connection is the child's.
    """

    __slots__ = ("__weakref__", "address", "connection", "server")

    def __init__(self, address: Any, server: Any = None) -> None:
        self.address = address
        self.server = server
        self.connection: Any = None

    def __repr__(self) -> str:
        return f"<netobj.interceptors.Peer at {self.address!r}>"


Next = Callable[[Any], Any]
"""What ``on_call`` goes on with: takes the call, and returns what comes of it."""


class Interceptor:
    """Stands around the connections and calls of one side; derive yours from it.

    Give a list of them to a server, or to :func:`netobj.connect` and its kin, as
    ``interceptors=[...]``: the first is the outermost. What is overridden is called; the rest costs
    nothing. Several threads may be in one interceptor at once. Each method but ``on_message`` may
    be an ``async def``.

    Where an event loop has to run a plain ``on_call``, that takes a thread for as long as the call
    takes. An interceptor may have its twin beside it, an ``async def on_call_async(call, next)``,
    which is called in its place there.

    On a server ``on_call`` is around what the peers call; on the side that connects, around what
    is called there. With ``both_ways = True`` it is around both; ``call.outgoing`` tells which.

    >>> import netobj
    >>> class Greeter(netobj.Service):
    ...     @netobj.exposed
    ...     def greet(self, name): return f"hello {name}"
    >>> class Shout(netobj.Interceptor):
    ...     def on_call(self, call, next):
    ...         result = next(call)
    ...         return result.upper() if isinstance(result, str) else result
    >>> with netobj.ThreadedServer(Greeter, "localhost", interceptors=[Shout()]) as server:
    ...     with netobj.connect("localhost", server.port) as conn:
    ...         conn.root.greet("alice")
    'HELLO ALICE'
    """

    both_ways = False

    def on_start(self, server: Any) -> Any:
        """*server* is bound, and accepts nobody yet. What is raised here aborts the start."""

    def on_stop(self, server: Any) -> Any:
        """*server* is closed, and its connections are; called if ``on_start`` has returned."""

    def on_accept(self, peer: Peer) -> Any:
        """*peer* has come; nothing was said yet. Raise :class:`netobj.Refused` to refuse it.

        The reason of the refusal goes to the peer, unless it expects TLS or a login first, and
        into the log. What else is raised refuses it, too.
        """

    def on_leave(self, peer: Peer) -> Any:
        """*peer* has gone: it was refused further in, its login failed, or its connection ended.

        Called exactly once for each *peer* for which ``on_accept`` of this very object has
        returned: so who counts up there counts down here.
        """

    def on_call(self, call: Any, next: Next) -> Any:
        """A request is made: a call, an attribute that is read or set, an item, ...

        Return ``next(call)`` (in an ``async def``: ``await next(call)``), or another result, or
        raise: that goes to the caller. *call* is a :class:`netobj.Call`, to be handed on as it is;
        see :doc:`interceptors` for what is awaited within ``next``.
        """
        return next(call)

    def on_message(self, frame: bytes, direction: Direction) -> None:
        """One message of the protocol, as it is on the wire; an exception ends the connection.

        Called in the thread that sends or has received it, whichever that is: so it is to be quick,
        it must not call the peer, and it cannot be an ``async def``.
        """

    def on_close(self, conn: Any, reason: str) -> Any:
        """*conn* has ended because of *reason*; called exactly once for each that was opened."""


__all__ = ["Direction", "Interceptor", "Peer", "Refused"]

"""How many connections there may be at a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Hashable

from netobj.core.admission import Slots
from netobj.errors import Refused
from netobj.interceptors.interceptor import Interceptor, Peer
from netobj.interceptors.who import IPV6_PREFIX, address_of, group_of
from netobj.refusing import full


class Crowd(Interceptor):
    """Base of those that count who is there under each key, and let in *most*. ValueError below 1.

    ``_lock`` protects the counts; nothing waits while it is held. Where processes share the count,
    it is not in ``counts``, but in slots for each key.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"a limit of {most} connections would admit nobody")
        self.most = most
        self.counts: Counter[Hashable] = Counter()
        self._slots_for: Callable[[Hashable], Slots] | None = None
        self._lock = threading.Lock()

    def share(self, slots_for: Callable[[Hashable], Slots]) -> None:
        """Count with the slots for each key from here on; before anybody has come."""
        self._slots_for = slots_for

    def _enter(self, key: Hashable) -> bool:
        """One more of *key*; False if there is no room."""
        if self._slots_for is not None:
            return self._slots_for(key).try_take()
        with self._lock:
            room = self.counts[key] < self.most
            if room:
                self.counts[key] += 1
            return room

    def _leave(self, key: Hashable) -> None:
        """One less of *key*."""
        if self._slots_for is not None:
            self._slots_for(key).give()
            return
        with self._lock:
            self.counts[key] -= 1
            if not self.counts[key]:
                del self.counts[key]


class MaxConnections(Crowd):
    """Lets in *most* peers at a time; those who are in a handshake or a login count.

    One object may be given to several servers of a process, which share the count. (The
    ``max_connections`` of a server is for that server alone.) So do the workers of a
    :class:`~netobj.PreforkServer`; other processes do not.
    """

    def on_accept(self, peer: Peer) -> None:
        """Count *peer*, or refuse it."""
        if not self._enter(None):
            raise Refused(full(self.most))

    def on_leave(self, peer: Peer) -> None:
        """*peer* counts no longer."""
        self._leave(None)


class MaxConnectionsPerAddress(Crowd):
    """Lets in *most* peers at a time from each address; who is in a handshake or a login counts.

    Of IPv6 an address is the network of *ipv6_prefix* bits: whoever has one address has 2**64 of
    them as a rule. 128 counts each by itself. An IPv4 address is one also where a socket of both
    kinds shows it as ``::ffff:10.0.0.1``. Who comes by a Unix socket has no address, and is not
    counted. Several servers may share one object; the workers of a prefork server do.

    >>> import netobj
    >>> limit = MaxConnectionsPerAddress(1)
    >>> with netobj.ThreadedServer(netobj.Service, "localhost", interceptors=[limit]) as server:
    ...     with netobj.connect("localhost", server.port):
    ...         netobj.connect("localhost", server.port).ping()
    Traceback (most recent call last):
      ...
    netobj.errors.ConnectionLost: ...: 127.0.0.1 has 1 connection, and may have no more...
    """

    def __init__(self, most: int, ipv6_prefix: int = IPV6_PREFIX) -> None:
        if not 0 <= ipv6_prefix <= 128:
            raise ValueError(f"an IPv6 address has 128 bits, of which {ipv6_prefix} cannot count")
        super().__init__(most)
        self._ipv6_prefix = ipv6_prefix

    def _group(self, peer: Peer) -> str | None:
        address = address_of(peer.address)
        return None if address is None else group_of(address, self._ipv6_prefix)

    def on_accept(self, peer: Peer) -> None:
        """Count *peer*, or refuse it."""
        group = self._group(peer)
        if group is not None and not self._enter(group):
            connections = f"{self.most} connection{'s' * (self.most != 1)}"
            raise Refused(f"{group} has {connections}, and may have no more")

    def on_leave(self, peer: Peer) -> None:
        """*peer* counts no longer."""
        group = self._group(peer)
        if group is not None:
            self._leave(group)

"""From where a peer may come."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from netobj.errors import Refused
from netobj.interceptors.interceptor import Interceptor, Peer
from netobj.interceptors.who import Address, address_of

Network = IPv4Network | IPv6Network


class Networks:
    """A set of networks, of any number: looking one up takes as long as there are lengths of them.

    Raises ValueError for what is no network, or has bits behind its length.

    >>> from ipaddress import ip_address
    >>> networks = Networks(["10.0.0.0/8", "2001:db8::/32"])
    >>> ip_address("10.1.2.3") in networks, ip_address("11.1.2.3") in networks
    (True, False)
    """

    def __init__(self, networks: Iterable[str | Network]) -> None:
        if isinstance(networks, str):
            raise TypeError(f"a list of networks is to be given, not the text {networks!r}")
        # (bits of its addresses, bits behind its length) -> what is in front of these
        self._heads: dict[tuple[int, int], set[int]] = {}
        for network in map(_unmapped, map(ip_network, networks)):
            rest = network.max_prefixlen - network.prefixlen
            heads = self._heads.setdefault((network.max_prefixlen, rest), set())
            heads.add(int(network.network_address) >> rest)

    def __contains__(self, address: Address) -> bool:
        bits, number = address.max_prefixlen, int(address)
        return any(
            number >> rest in heads
            for (length, rest), heads in self._heads.items()
            if length == bits
        )


_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def _unmapped(network: Network) -> Network:
    """IPv4 networks in the clothes of IPv6 ones as what they are."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - 96))
    return network


class AllowNetworks(Interceptor):
    """Lets in only who comes from one of *networks*: texts, or networks of ``ipaddress``.

    An IPv4 address is one also where a socket of both kinds shows it as ``::ffff:10.0.0.1``. Who
    comes by a Unix socket or a pipe is let in: it is on this machine, and the permissions of the
    file are what keeps others out. What else has no IP address is refused.

    >>> import netobj
    >>> ours = AllowNetworks(["10.0.0.0/8"])
    >>> with netobj.ThreadedServer(netobj.Service, "localhost", interceptors=[ours]) as server:
    ...     netobj.connect("localhost", server.port).ping()
    Traceback (most recent call last):
      ...
    netobj.errors.ConnectionLost: ... refuses the connection: 127.0.0.1 may not connect...
    """

    def __init__(self, networks: Iterable[str | Network]) -> None:
        self._networks = Networks(networks)

    def on_accept(self, peer: Peer) -> None:
        """Refuse *peer*, or do nothing."""
        address = address_of(peer.address)
        if address is None:
            if isinstance(peer.address, tuple):
                raise Refused("who has no IP address may not connect")
        elif address not in self._networks:
            raise Refused(f"{address} may not connect")


class DenyNetworks(Interceptor):
    """Lets in nobody who comes from one of *networks*: texts, or networks of ``ipaddress``.

    Addresses are looked at as :class:`AllowNetworks` does. Who has none is let in.
    """

    def __init__(self, networks: Iterable[str | Network]) -> None:
        self._networks = Networks(networks)

    def on_accept(self, peer: Peer) -> None:
        """Refuse *peer*, or do nothing."""
        address = address_of(peer.address)
        if address is not None and address in self._networks:
            raise Refused(f"{address} may not connect")

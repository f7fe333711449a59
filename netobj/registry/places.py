"""By which of its addresses an asker reaches a server."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

Address: TypeAlias = tuple[str, int]
"""A host, as a number, and a port."""
_Number: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Place(NamedTuple):
    """Where a server is. *anywhere*: at all addresses of its machine."""

    host: str
    port: int
    anywhere: bool = False


class Asker:
    """Who asks: *host*, to whom this machine shows the address *facing(host)*, None for none."""

    def __init__(self, host: str, facing: Callable[[str], str | None]) -> None:
        self.host = host
        self.number: _Number = ipaddress.ip_address(host)
        self._facing = facing
        self._sees: tuple[str | None] | None = None

    @property
    def sees(self) -> str | None:
        """The address of this machine that the asker sees; looked up once, if ever."""
        if self._sees is None:
            self._sees = (self._facing(self.host),)
        return self._sees[0]

    @property
    def is_here(self) -> bool:
        """Whether it is a program of this machine."""
        return self.number.is_loopback or self.sees == self.host


def place_for(asker: Asker, places: Iterable[Place]) -> Address | None:
    """The address by which *asker* reaches a server that is at *places*; None if there is none.

    What is bound to the loopback of the registry's machine is for askers of this machine only. A
    server there that is bound to all addresses is also reached at the one that the asker sees. Of
    other addresses the one that has most in common with the asker's is in its network, if any is.

    >>> lan, lab = Place("192.168.1.5", 9000), Place("10.0.0.5", 9000)
    >>> place_for(Asker("10.0.0.77", lambda host: None), [lan, lab])
    ('10.0.0.5', 9000)
    """
    places = list(places)
    mine = [place for place in places if _number(place.host).is_loopback]
    if mine and asker.is_here:
        return max(mine, key=lambda place: _in_common(asker, place))[:2]
    # A socket that is bound to all IPv4 addresses has none of IPv6; the reverse it may have.
    bound = [p for p in mine if p.anywhere and _number(p.host).version >= asker.number.version]
    if bound and asker.sees is not None:
        return asker.sees, bound[0].port
    others = [place for place in places if place not in mine]
    return max(others, key=lambda place: _in_common(asker, place))[:2] if others else None


def loopback_of(asker: Asker) -> str:
    """The loopback address of the family of *asker*."""
    return "127.0.0.1" if asker.number.version == 4 else "::1"


def _number(host: str) -> _Number:
    return ipaddress.ip_address(host)


def _in_common(asker: Asker, place: Place) -> tuple[int, Place]:
    """How many leading bits the addresses share, -1 for different families; to be compared."""
    number = _number(place.host)
    if number.version != asker.number.version:
        return -1, place
    return number.max_prefixlen - (int(number) ^ int(asker.number)).bit_length(), place

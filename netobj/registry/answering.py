"""What a registry answers: a packet in, a packet out. No I/O, no clock.

Whoever may send to a registry may send anything to it. So what does not parse is dropped, what is
kept is bounded (:mod:`netobj.registry.table`), and what goes into the log is, too
(:class:`Limited`).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from netobj.errors import LimitExceeded, ProtocolError
from netobj.registry.messages import (
    COOKIE,
    ROOM,
    Challenge,
    Done,
    Found,
    Kind,
    Listing,
    Names,
    Packet,
    Query,
    Refused,
    Register,
    Reply,
    Server,
    Unregister,
    Why,
    body_of,
    key_of,
    open_packet,
    seal,
)
from netobj.registry.places import Address, Asker, loopback_of, place_for
from netobj.registry.table import Change, Table

COOKIE_SECONDS: Final = 10.0
"""How long the cookie of a challenge is good."""
MOST_USED: Final = 10_000
"""Used cookies that are remembered, so that they are not used again."""
LOG_SECONDS: Final = 60.0
GRUMBLES: Final = 10
"""Lines about bad packets in the log for each :data:`LOG_SECONDS`."""
NEWS: Final = 200
"""Lines about services that come and go."""

Source: TypeAlias = tuple[str, int]
"""The host and port from which a packet came."""
_Hook: TypeAlias = Callable[[str, Address], object]


class Limited:
    """Logs at *level*, *most* lines a minute and how many were more: others cause them at will."""

    def __init__(self, logger: logging.Logger, level: int, most: int) -> None:
        self._logger = logger
        self._level = level
        self._most = most
        self._since = float("-inf")
        self._said = 0

    def __call__(self, now: float, text: str, *args: object) -> None:
        if now - self._since >= LOG_SECONDS:
            if self._said > self._most:
                self._logger.log(self._level, "and %d more like that", self._said - self._most)
            self._since, self._said = now, 0
        self._said += 1
        if self._said <= self._most:
            self._logger.log(self._level, text, *args)


class Cookies:
    """Cookies that are good for one request from one address, for some seconds.

    They are not remembered when they are made, only when they were used.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._used: dict[bytes, tuple[float, bytes, Reply]] = {}  # in the order of use

    def make(self, source: Source, now: float) -> bytes:
        """A new cookie for *source*."""
        return self._sign(int(now * 1000).to_bytes(8, "big") + secrets.token_bytes(8), source)

    def _sign(self, stamp: bytes, source: Source) -> bytes:
        said = stamp + f"{source[0]} {source[1]}".encode()
        return stamp + hmac.digest(self._secret, said, "sha256")[: COOKIE - len(stamp)]

    def fits(self, cookie: bytes, source: Source, now: float) -> bool:
        """Whether *cookie* was made for *source*, not too long ago."""
        stamp = cookie[:16]
        age = now - int.from_bytes(stamp[:8], "big") / 1000
        return hmac.compare_digest(cookie, self._sign(stamp, source)) and age <= COOKIE_SECONDS

    def reply_to(self, cookie: bytes, signed: bytes) -> Reply | None:
        """What was answered to the packet that used *cookie* already; None if none did."""
        at_signed_reply = self._used.get(cookie)
        if at_signed_reply is None:
            return None
        _, before, reply = at_signed_reply
        same = before == _digest(signed)  # it came twice, as packets may
        return reply if same else Refused(Why.COOKIE, "a cookie that was used before")

    def use(self, cookie: bytes, signed: bytes, reply: Reply, now: float) -> None:
        """Remember what the packet that has used *cookie* was answered."""
        while self._used:
            oldest = next(iter(self._used))
            if now - self._used[oldest][0] <= COOKIE_SECONDS and len(self._used) < MOST_USED:
                break
            del self._used[oldest]
        self._used[cookie] = now, _digest(signed), reply


def _digest(signed: bytes) -> bytes:
    return hashlib.sha256(signed).digest()


class Registry:
    """Answers packets out of a :class:`~netobj.registry.table.Table`.

    *facing(host)*: the address of this machine that *host* sees, None if there is none. *added*
    and *removed* are called with a name and an address; what they raise is logged.
    """

    def __init__(
        self,
        keep: float,
        logger: logging.Logger,
        *,
        allow_listing: bool = False,
        token: str | bytes | None = None,
        facing: Callable[[str], str | None],
        added: _Hook,
        removed: _Hook,
    ) -> None:
        self.table = Table(keep)
        self.allow_listing = allow_listing
        self._logger = logger
        self._key = key_of(token)
        self._facing = facing
        self._added = added
        self._removed = removed
        self._cookies = Cookies()
        self.grumble = Limited(logger, logging.WARNING, GRUMBLES)
        self._news = Limited(logger, logging.INFO, NEWS)

    def answer(self, data: bytes, source: Source, now: float) -> bytes | None:
        """The reply to *data*, which came from *source*; None for what is no request."""
        source = (plain_host(source[0]), source[1])
        try:
            packet = open_packet(data, Kind.REQUEST)
        except ProtocolError as exc:
            self.grumble(now, "dropped what %s sent: %s", source, exc)
            return None
        self.prune(now)
        reply = self._reply_to(packet, source, now)
        if isinstance(reply, Refused):
            self.grumble(now, "refused %s: %s", source, reply.text)
        return seal(reply, packet.nonce, self._key)

    def _reply_to(self, packet: Packet, source: Source, now: float) -> Reply:
        message = packet.message
        if isinstance(message, Query):
            return self._find(message, Asker(source[0], self._facing))
        if isinstance(message, Listing):
            return self._list(message, Asker(source[0], self._facing))
        reply = self._admit(packet, source, now)
        if reply is None:
            reply = self._change(message, source, now)
            self._cookies.use(message.cookie, packet.signed, reply, now)
        return reply

    # --- asking ------------------------------------------------------------------------------

    def _find(self, query: Query, asker: Asker) -> Found:
        servers = (found for found in self._reached(query.name, asker) if found[0] > query.after)
        fitting, more = _as_many_as_fit(Found(()), servers)
        return Found(fitting, more)

    def _reached(self, name: str, asker: Asker) -> Iterable[Server]:
        for server, places in self.table.servers(name):
            address = place_for(asker, places)
            if address is not None:
                yield server, *address

    def _list(self, listing: Listing, asker: Asker) -> Names | Refused:
        if not self.allow_listing:
            return Refused(Why.LISTING, "this registry does not allow listing")
        names = (
            name
            for name in self.table.names()
            if name > listing.after and self._is_shown(name, listing.hosts, asker)
        )
        fitting, more = _as_many_as_fit(Names(()), names)
        return Names(fitting, more)

    def _is_shown(self, name: str, hosts: tuple[str, ...], asker: Asker) -> bool:
        found = self._reached(name, asker)
        return any(not hosts or host in hosts for _, host, _ in found)

    # --- registering -------------------------------------------------------------------------

    def _admit(self, packet: Packet, source: Source, now: float) -> Reply | None:
        """The reply to who may not change anything, or has done so already; None for others."""
        message: Register | Unregister = packet.message
        if self._key is not None and not packet.is_proven(self._key):
            return Refused(Why.TOKEN, "registering here takes the registry's token")
        if not message.cookie:
            return Challenge(self._cookies.make(source, now))
        if not self._cookies.fits(message.cookie, source, now):
            return Refused(Why.COOKIE, "a cookie that is too old, or somebody else's")
        return self._cookies.reply_to(message.cookie, packet.signed)

    def _change(self, message: Register | Unregister, source: Source, now: float) -> Reply:
        if message.hosts not in ((), (source[0],)) and self._key is None:
            return Refused(
                Why.ADDRESS,
                f"other addresses than {source[0]}, from where that came, are taken with a token "
                "only: start the registry with one",
            )
        anywhere = message.anywhere and not message.hosts
        asker = Asker(source[0], self._facing)
        if anywhere and asker.is_here:  # by whatever way it says so, it is the same server
            hosts: tuple[str, ...] = (loopback_of(asker),)
        else:
            hosts = message.hosts or (source[0],)
        for host in hosts:
            trouble = _trouble_with(host, asker)
            if trouble:
                return Refused(Why.ADDRESS, f"{host} {trouble}")
        addresses = [(host, message.port) for host in hosts]
        if isinstance(message, Unregister):
            self._tell("removed", self._removed, self.table.unregister(addresses), now)
            return Done()
        try:
            new = self.table.register(
                _network(source[0]),
                message.server,
                dict.fromkeys(message.names),
                addresses,
                anywhere,
                now,
            )
        except LimitExceeded as exc:
            return Refused(Why.FULL, str(exc))
        self._tell("added", self._added, new, now)
        return Done()

    def prune(self, now: float) -> None:
        """Forget who was not heard of for too long."""
        self._tell("removed", self._removed, self.table.prune(now), now)

    def _tell(self, what: str, hook: _Hook, changes: list[Change], now: float) -> None:
        for name, address in changes:
            self._news(now, "%s: %s at %s:%d", what, name, *address)
            try:
                hook(name, address)
            except Exception:
                self._logger.exception("what is to be told of a service that is %s raised", what)


def _as_many_as_fit(empty: Reply, items: Iterable[Any]) -> tuple[tuple[Any, ...], bool]:
    """The first *items*, as many as a reply holds, and whether there are more."""
    room = ROOM - len(body_of(empty)) - 2  # for the length of a longer array
    fitting: list[Any] = []
    for item in items:
        room -= len(body_of(Found((item,)))) - len(body_of(Found(())))
        if room < 0:
            return tuple(fitting), True
        fitting.append(item)
    return tuple(fitting), False


def plain_host(host: str) -> str:
    """*host* as it is compared: IPv4 behind IPv6 is IPv4, and the number of a link is left out.

    >>> plain_host("::ffff:10.0.0.1"), plain_host("fe80::1%eth0")
    ('10.0.0.1', 'fe80::1')
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _trouble_with(host: str, asker: Asker) -> str | None:
    """Why *host* is no address at which a server is reached; None if it may be one."""
    address = ipaddress.ip_address(host)
    if address.is_loopback and not asker.is_here:
        return "is an address that nobody reaches from another machine"
    if address.is_unspecified or address.is_multicast or host == "255.255.255.255":
        return "is the address of no host"
    if address.version == 6 and (address.is_link_local or "%" in host):
        return "is an address on one link only: bind the server to another one"
    return None


def _network(host: str) -> str:
    """Who counts as one host: an IPv4 address, or a network of IPv6, which has many for each."""
    address = ipaddress.ip_address(host)
    return (
        host if address.version == 4 else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    )

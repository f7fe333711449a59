"""Conversations with registries: what to send, and what to say to a reply. No I/O.

A request may be sent in several ways and be answered by several registries, or by one of them
several times. So every reply is understood by itself, and what has been learnt twice counts once.
"""

from __future__ import annotations

import secrets
from typing import Generic, TypeVar

from netobj.errors import ProtocolError
from netobj.registry.messages import (
    NONCE,
    Challenge,
    Done,
    Found,
    Kind,
    Listing,
    Names,
    Query,
    Refused,
    Register,
    Reply,
    Request,
    Server,
    Unregister,
    Why,
    check,
    open_packet,
    seal,
)
from netobj.registry.places import Address

T = TypeVar("T", Register, Unregister)

MOST_PAGES = 256
"""Replies that are read until a list of servers or names is long enough."""


class Conversation:
    """One question to whoever answers it; *key* is that of the token, None without one.

    Raises ValueError for a wrong name, port or address, LimitExceeded for too many.
    """

    def __init__(self, opening: Request, key: bytes | None) -> None:
        check(opening)
        self._nonce = secrets.token_bytes(NONCE)
        self._key = key
        self._pages = 0
        self.opening = seal(opening, self._nonce, key)
        """The packet that opens it."""
        self.is_answered = False  # some registry has said all that it has to say
        self.is_settled = False  # nobody else could say more
        self.trouble = ""  # what was wrong, if anything was

    def hear(self, data: bytes) -> bytes | None:
        """Take a packet; returns what is to be sent to where it came from, if anything is.

        What is no answer of a registry that knows the token is ignored.
        """
        try:
            packet = open_packet(data, Kind.REPLY)
        except ProtocolError as exc:
            self.failed(f"what came was no answer of a registry: {exc}")
            return None
        if packet.nonce != self._nonce:
            return None
        if self._key is not None and not packet.is_proven(self._key):
            if isinstance(packet.message, Refused) and packet.message.why == Why.TOKEN:
                self.failed("the registry has another token")
            else:
                self.failed("a registry answered that does not know the token")
            return None
        following = self._take(packet.message)
        if following is None:
            if not self.is_answered:
                self.is_answered = True
                self.trouble = ""  # what went wrong elsewhere does not matter now
            if isinstance(packet.message, Refused):
                self.trouble = packet.message.text
            return None
        self._pages += 1
        return seal(following, self._nonce, self._key)

    def failed(self, text: str) -> None:
        """Remember what went wrong, unless some registry has answered all the same."""
        if not self.is_answered:
            self.trouble = text

    def _take(self, reply: Reply) -> Request | None:
        """What follows; None where this registry has said all."""
        raise NotImplementedError


class Change(Conversation, Generic[T]):
    """Registering, or the reverse: asked for twice, see :mod:`netobj.registry.messages`."""

    def __init__(self, request: T, key: bytes | None) -> None:
        super().__init__(request, key)
        self._request: T = request
        self.is_done = False

    @property
    def is_under_way(self) -> bool:
        """Whether a registry may have done it: only who was challenged can ask for it."""
        return self._pages > 0

    def _take(self, reply: Reply) -> Request | None:
        if isinstance(reply, Challenge):
            return self._request._replace(cookie=reply.cookie)
        self.is_done |= isinstance(reply, Done)
        return None


class Search(Conversation):
    """Where are servers of the service *name*?"""

    def __init__(self, name: str, key: bytes | None) -> None:
        super().__init__(Query(name), key)
        self._name = name
        self._servers: dict[bytes, Server] = {}

    @property
    def found(self) -> tuple[Address, ...]:
        """Their addresses, each once, in order."""
        return tuple(sorted({(host, port) for _, host, port in self._servers.values()}))

    def _take(self, reply: Reply) -> Request | None:
        if not isinstance(reply, Found):
            return None
        for server in reply.servers:
            self._servers.setdefault(server[0], server)
        if reply.more and reply.servers and self._pages < MOST_PAGES:
            return Query(self._name, reply.servers[-1][0])
        self.is_settled = bool(self._servers)
        return None


class Catalogue(Conversation):
    """Which services are there (at one of *hosts*, if there are any)?"""

    def __init__(self, hosts: tuple[str, ...], key: bytes | None) -> None:
        super().__init__(Listing(hosts), key)
        self._hosts = hosts
        self._names: dict[str, None] = {}
        self._is_allowed = False
        self._is_forbidden = False

    @property
    def found(self) -> tuple[str, ...] | None:
        """Their names; None where listing is not allowed."""
        if self._is_forbidden and not self._is_allowed:
            return None
        return tuple(self._names)

    def _take(self, reply: Reply) -> Request | None:
        if not isinstance(reply, Names):
            self._is_forbidden |= isinstance(reply, Refused) and reply.why == Why.LISTING
            return None
        self._is_allowed = True
        self._names.update(dict.fromkeys(reply.names))
        if reply.more and reply.names and self._pages < MOST_PAGES:
            return Listing(self._hosts, reply.names[-1])
        self.is_settled = bool(self._names)
        return None

"""What is said between a registry and those who ask it: one packet for each message.

No I/O here. A packet is 1200 bytes long, also over TCP, and also if it says little: so no reply
is longer than what it answers, and nobody gains by asking in the name of somebody else. 1200
bytes pass every network in one piece (RFC 9000, 14).

======  ====  =============================================================================
offset  size  what
======  ====  =============================================================================
0       4     ``nreg``
4       1     version, 1
5       1     1: a request, 2: a reply
6       2     length of the body, big-endian
8       16    the asker's nonce; the reply repeats it
24      32    proof: HMAC-SHA256 of bytes 0 to 23 and the body, with the token as the key;
              zeros where there is no token
56      ...   body: a msgpack array, its first item says which message it is, see ``REQUESTS``
              and ``REPLIES``; then zeros
======  ====  =============================================================================

Registering and its reverse take two requests. The first carries no cookie and is answered with a
:class:`Challenge`. The second carries the cookie, which only helps who asks from the same
address and port, within seconds, and once: so nobody registers in the name of an address at which
he cannot receive, and a packet that was listened to is of no use later or elsewhere.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

import msgpack

from netobj.errors import LimitExceeded, ProtocolError

REGISTRY_PORT: Final = 18811

PACKET: Final = 1200
"""Bytes of every packet."""

NONCE: Final = 16
COOKIE: Final = 32
SERVER_ID: Final = 8
MOST_NAMES: Final = 16
"""Names of one server."""
MOST_HOSTS: Final = 16
LONGEST_NAME: Final = 100
"""Characters."""
SHORTEST_TOKEN: Final = 16
"""Bytes."""

_MAGIC: Final = b"nreg"
_VERSION: Final = 1
_SIGNED: Final = 24
_PROOF: Final = 32
_HEADER: Final = _SIGNED + _PROOF
ROOM: Final = PACKET - _HEADER
"""Bytes that a body may have."""
_NO_PROOF: Final = bytes(_PROOF)
_MOST_ITEMS: Final = 512
_LONGEST_TEXT: Final = 300


class Kind(IntEnum):
    """Who sends a packet."""

    REQUEST = 1
    REPLY = 2


class Why(IntEnum):
    """Why a request is refused."""

    LISTING = 1  # listing is not allowed
    TOKEN = 2  # the proof is missing or wrong
    ADDRESS = 3  # an address that this asker may not register
    FULL = 4  # the tables are full
    COOKIE = 5  # the cookie is too old, of somebody else, or was used before


Server: TypeAlias = tuple[bytes, str, int]
"""A server in a reply: its id, and the host and port by which the asker reaches it."""


class Query(NamedTuple):
    """Where are servers of the service *name*? Those with an id above *after*."""

    name: str
    after: bytes = b""


class Listing(NamedTuple):
    """Which services are there? Of those at *hosts*, if there are any; names above *after*."""

    hosts: tuple[str, ...] = ()
    after: str = ""


class Register(NamedTuple):
    """The server *server* serves *names* at *port* of *hosts*, or of where this comes from.

    *anywhere*: it is bound to all addresses of its machine.
    """

    cookie: bytes
    server: bytes
    names: tuple[str, ...]
    port: int
    hosts: tuple[str, ...] = ()
    anywhere: bool = False


class Unregister(NamedTuple):
    """The reverse of a :class:`Register` with the same *port*, *hosts* and *anywhere*."""

    cookie: bytes
    port: int
    hosts: tuple[str, ...] = ()
    anywhere: bool = False


class Found(NamedTuple):
    """The answer to a :class:`Query`; *more*: ask again for those after the last one."""

    servers: tuple[Server, ...]
    more: bool = False


class Names(NamedTuple):
    """The answer to a :class:`Listing`."""

    names: tuple[str, ...]
    more: bool = False


class Challenge(NamedTuple):
    """Say it again, with this cookie."""

    cookie: bytes


class Done(NamedTuple):
    """It is registered, or unregistered."""


class Refused(NamedTuple):
    """It is not done; *text* says more than *why*."""

    why: int
    text: str


Request: TypeAlias = Query | Listing | Register | Unregister
Reply: TypeAlias = Found | Names | Challenge | Done | Refused


# --- what fields may hold ------------------------------------------------------------------------


def _name(value: object) -> str:
    # As it is kept, in capitals, it may be longer.
    kept = value.upper() if type(value) is str and len(value) <= LONGEST_NAME else ""
    if not 0 < len(kept) <= LONGEST_NAME or not kept.isprintable():
        raise ProtocolError(
            f"the name of a service is 1 to {LONGEST_NAME} printable characters, not {value!r:.80}"
        )
    return kept


def _host(value: object) -> str:
    try:
        address = ipaddress.ip_address(value) if type(value) is str else None
    except ValueError:
        address = None
    if address is None or str(address) != value:
        raise ProtocolError(f"{value!r:.80} is not the address of a host")
    return str(address)


def _port(value: object) -> int:
    if type(value) is not int or not 0 < value < 1 << 16:
        raise ProtocolError(f"a port is a number from 1 to 65535, not {value!r:.80}")
    return value


def _bytes(*lengths: int) -> Callable[[object], bytes]:
    def check(value: object) -> bytes:
        if type(value) is not bytes or len(value) not in lengths:
            raise ProtocolError("an id or a cookie of the wrong length")
        return value

    return check


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise ProtocolError(f"a flag is true or false, not {value!r:.80}")
    return value


def _text(longest: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        if type(value) is not str or len(value) > longest or not value.isprintable():
            raise ProtocolError("a text that is too long, or cannot be printed")
        return value

    return check


def _number(value: object) -> int:
    if type(value) is not int:
        raise ProtocolError(f"a code is a number, not {value!r:.80}")
    return value


def _many(check: Callable[[object], Any], least: int, most: int) -> Callable[[object], Any]:
    def check_all(value: object) -> tuple[Any, ...]:
        if type(value) is not tuple or not least <= len(value) <= most:
            raise ProtocolError(f"{least} to {most} items are expected")
        return tuple(map(check, value))

    return check_all


def _server(value: object) -> Server:
    if type(value) is not tuple or len(value) != 3:
        raise ProtocolError("a server is its id, its host and its port")
    return _bytes(SERVER_ID)(value[0]), _host(value[1]), _port(value[2])


_cookie: Final = _bytes(0, COOKIE)
_hosts: Final = _many(_host, 0, MOST_HOSTS)

_Checks: TypeAlias = tuple[Callable[[object], Any], ...]

REQUESTS: Final[dict[int, tuple[type[Any], _Checks]]] = {
    1: (Query, (_name, _bytes(0, SERVER_ID))),
    2: (Listing, (_hosts, _text(LONGEST_NAME))),
    3: (
        Register,
        (_cookie, _bytes(SERVER_ID), _many(_name, 1, MOST_NAMES), _port, _hosts, _flag),
    ),
    4: (Unregister, (_cookie, _port, _hosts, _flag)),
}
"""Requests by their codes: the class, and the check of each field."""

REPLIES: Final[dict[int, tuple[type[Any], _Checks]]] = {
    1: (Found, (_many(_server, 0, _MOST_ITEMS), _flag)),
    2: (Names, (_many(_name, 0, _MOST_ITEMS), _flag)),
    3: (Challenge, (_bytes(COOKIE),)),
    4: (Done, ()),
    5: (Refused, (_number, _text(_LONGEST_TEXT))),
}
"""Replies by their codes."""

_BY_KIND: Final = {Kind.REQUEST: REQUESTS, Kind.REPLY: REPLIES}
_CODES: Final = {
    kind: (found, code) for found, table in _BY_KIND.items() for code, (kind, _) in table.items()
}


# --- packets -------------------------------------------------------------------------------------


class Packet(NamedTuple):
    """A packet that has arrived: well formed, and not yet believed."""

    nonce: bytes
    message: Any
    signed: bytes
    proof: bytes

    def is_proven(self, key: bytes) -> bool:
        """Whether its sender knows the token from which *key* was made."""
        return hmac.compare_digest(self.proof, _prove(key, self.signed))


def key_of(token: str | bytes | None) -> bytes | None:
    """What proves that somebody knows *token*; None for none. ValueError for a short one."""
    if token is None:
        return None
    raw = token.encode() if isinstance(token, str) else token
    if len(raw) < SHORTEST_TOKEN:
        raise ValueError(
            f"a registry's token of {len(raw)} bytes can be guessed: take {SHORTEST_TOKEN} or "
            "more, for example what secrets.token_hex() returns"
        )
    return hmac.digest(raw, b"netobj registry", "sha256")


def _prove(key: bytes, signed: bytes) -> bytes:
    return hmac.digest(key, signed, "sha256")


def body_of(message: Request | Reply) -> bytes:
    """The msgpack of *message*."""
    packed: bytes = msgpack.packb([_CODES[type(message)][1], *message])
    return packed


def check(message: Request) -> None:
    """Raise ValueError for a request that no registry would take: a wrong name, port, address."""
    kind, code = _CODES[type(message)]
    _, checks = _BY_KIND[kind][code]
    try:
        for check_field, value in zip(checks, message, strict=True):
            check_field(value)
    except ProtocolError as exc:
        raise ValueError(str(exc)) from None


def seal(message: Request | Reply, nonce: bytes, key: bytes | None) -> bytes:
    """The packet that says *message*; raises LimitExceeded if that is more than one holds.

    >>> packet = seal(Query("ECHO"), bytes(16), None)
    >>> len(packet), open_packet(packet, Kind.REQUEST).message
    (1200, Query(name='ECHO', after=b''))
    """
    body = body_of(message)
    if len(body) > ROOM:
        raise LimitExceeded(
            f"a message to or of a registry has {len(body)} bytes, {ROOM} is the limit: "
            "a service with many or long names has to have fewer or shorter ones"
        )
    kind = _CODES[type(message)][0]
    head = _MAGIC + bytes((_VERSION, kind)) + len(body).to_bytes(2, "big") + nonce
    proof = _NO_PROOF if key is None else _prove(key, head + body)
    return (head + proof + body).ljust(PACKET, b"\0")


def open_packet(data: bytes, kind: Kind) -> Packet:
    """The packet in *data*, which is to be of *kind*; raises ProtocolError if it is none."""
    if len(data) != PACKET or data[:4] != _MAGIC:
        raise ProtocolError(f"{len(data)} bytes that are no packet of a registry")
    if data[4] != _VERSION:
        raise ProtocolError(f"a packet of version {data[4]}, this side speaks {_VERSION}")
    if data[5] != kind:
        raise ProtocolError(f"a packet of kind {data[5]} where a {kind.name.lower()} is expected")
    length = int.from_bytes(data[6:8], "big")
    if length > ROOM:
        raise ProtocolError(f"a body of {length} bytes, {ROOM} is the limit")
    body = data[_HEADER : _HEADER + length]
    message = _parse(body, _BY_KIND[kind])
    return Packet(data[8:_SIGNED], message, data[:_SIGNED] + body, data[_SIGNED:_HEADER])


def _parse(body: bytes, table: dict[int, tuple[type[Any], _Checks]]) -> Any:
    try:
        found = msgpack.unpackb(
            body,
            use_list=False,
            strict_map_key=True,
            max_str_len=ROOM,
            max_bin_len=ROOM,
            max_array_len=_MOST_ITEMS,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, RecursionError, msgpack.UnpackException) as exc:
        raise ProtocolError(f"a body that is no msgpack: {exc!r:.80}") from exc
    if type(found) is not tuple or not found or type(found[0]) is not int:
        raise ProtocolError("a body that is no message")
    code, *fields = found
    if code not in table:
        raise ProtocolError(f"a message with the unknown code {code}")
    kind, checks = table[code]
    if len(fields) != len(checks):
        raise ProtocolError(f"a {kind.__name__} of {len(fields)} fields, not {len(checks)}")
    return kind(*(check(value) for check, value in zip(checks, fields, strict=True)))

"""Who is at the other end, as the interceptors count, compare and name it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

Address = IPv4Address | IPv6Address

IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that name one customer: whoever has one address has all behind them."""
_SHOWN: Final = 200  # characters of a user's name


def address_of(peer: Any) -> Address | None:
    """The IP address in *peer*, as a socket has it; None for a Unix socket, a pipe, and the like.

    An IPv4 address in the clothes of an IPv6 one is the IPv4 one.

    >>> address_of(("::ffff:10.0.0.1", 80, 0, 0)), address_of("/run/bank"), address_of(None)
    (IPv4Address('10.0.0.1'), None, None)
    """
    host = peer[0] if isinstance(peer, tuple) and peer else None
    if not isinstance(host, str):  # a number is no host: a virtual machine's sockets have them
        return None
    return _parsed(host)


@lru_cache(maxsize=1024)
def _parsed(host: str) -> Address | None:
    try:
        address = ip_address(host.partition("%")[0])  # behind it is the network card
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def group_of(address: Address, ipv6_prefix: int = IPV6_PREFIX) -> str:
    """What counts as one address: the address itself, or the network of an IPv6 one.

    >>> group_of(ip_address("10.0.0.1")), group_of(ip_address("2001:db8::1:2:3:4"))
    ('10.0.0.1', '2001:db8::/64')
    """
    if isinstance(address, IPv4Address) or ipv6_prefix == address.max_prefixlen:
        return str(address)
    return str(ip_network((int(address), ipv6_prefix), strict=False))


def user_of(credentials: Any) -> str:
    """A text that is the same for the same user, and for no other; "" where nobody has logged in.

    Of a certificate it is whom it names, so a renewed one is the same user's.

    >>> user_of("tom"), user_of(None)
    ('tom', '')
    >>> user_of({"subject": ((("commonName", "alice"),),), "serialNumber": "01"})
    '{"subject": [[["commonName", "alice"]]]}'
    """
    if credentials is None:
        return ""
    if isinstance(credentials, str):
        return credentials
    if isinstance(credentials, Mapping):
        names = {key: credentials[key] for key in _NAMES if credentials.get(key)}
        try:
            return json.dumps(names or dict(credentials), default=str, sort_keys=True)
        except (TypeError, ValueError):  # keys that are no text, or that cannot be sorted
            pass
    return repr(credentials)


_NAMES: Final = ("subject", "subjectAltName")


def visible(text: str) -> str:
    """*text* as one word of a line: a peer's name cannot look like other words, or other lines.

    >>> print(visible("tom"), visible("to m"), visible(""), visible("a" + chr(10) + "b"))
    tom "to m" - "a\\nb"
    """
    if not text:
        return "-"
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}..."
    if text.isprintable() and text != "-" and not _SPECIAL & {*text}:
        return text
    return json.dumps(text)


_SPECIAL: Final = frozenset(" \"'\\")

"""Addresses as they are typed: ``HOST``, ``HOST:PORT``, ``[IPV6]:PORT``, ``unix:PATH``, URLs; and
the tokens and keys that go with them."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

from netobj.auth import PreSharedKey, read_key, receive_token
from netobj.urls import PORT, TLS_PORT

DEFAULT_PORT = PORT
DEFAULT_TLS_PORT = TLS_PORT

_TCP = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:]*))(?::(?P<port>[0-9]+))?")


class TcpAddress(NamedTuple):
    host: str
    port: int

    @property
    def ipv6(self) -> bool:
        return ":" in self.host


class UnixAddress(NamedTuple):
    path: str


def parse_address(text: str) -> TcpAddress | UnixAddress:
    """What *text* means; raises ``ValueError`` when it is no address.

    >>> parse_address("example.org"), parse_address("[::1]:2000"), parse_address("unix:/run/n")
    (TcpAddress(host='example.org', port=18812), TcpAddress(host='::1', port=2000), \
UnixAddress(path='/run/n'))
    """
    if text.startswith("unix:") and len(text) > len("unix:"):
        return UnixAddress(text.removeprefix("unix:"))
    found = _TCP.fullmatch(text)
    host = found and (found["six"] or found["host"])
    port = int((found and found["port"]) or DEFAULT_PORT)
    if not host or not 0 < port < 1 << 16:
        raise ValueError(
            f"{text!r} is no address: give HOST, HOST:PORT, [IPV6]:PORT or unix:PATH "
            "(ports are 1 to 65535)"
        )
    return TcpAddress(host, port)


def read_token(path: str) -> str:
    """The token in the first line of the file *path*, or, for ``-``, of the standard input.

    Raises OSError, AuthenticationError if there is none.
    """
    if path == "-":
        return receive_token(sys.stdin.buffer)
    with open(path, "rb") as file:
        return receive_token(file)


def psk_of(path: str | None) -> PreSharedKey | None:
    """The pre-shared key in the file *path*, if there is one.

    Raises as :func:`netobj.auth.read_key` and :class:`netobj.auth.PreSharedKey` do.
    """
    return None if path is None else PreSharedKey(read_key(path))

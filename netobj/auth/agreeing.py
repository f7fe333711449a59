"""The handshake with a pre-shared key over a socket that blocks."""

from __future__ import annotations

import socket
import time
from typing import Final

from netobj.auth.authenticator import LOGIN_TIME, discard, hear, say
from netobj.auth.messages import NoLogin
from netobj.auth.psk import PreSharedKey
from netobj.auth.sealed import SealedSocket
from netobj.errors import AuthenticationError, ConnectionLost

GONE: Final = (
    "the other side closed the connection during the handshake (it may have another key, or want "
    "TLS, or neither)"
)


def accept_sealed(sock: socket.socket, psk: PreSharedKey) -> SealedSocket:
    """A server's half over *sock*, which belongs to what is returned, within its timeout.

    Raises AuthenticationError if it does not come to be, ConnectionLost, OSError; *sock* is closed
    then.
    """
    limit = sock.gettimeout() or LOGIN_TIME
    try:
        return _agree(sock, psk, limit, server=True)
    except TimeoutError:
        raise AuthenticationError(no_handshake(limit)) from None


def connect_sealed(sock: socket.socket, psk: PreSharedKey) -> SealedSocket:
    """A client's half, as :func:`accept_sealed`, but that it raises TimeoutError."""
    limit = sock.gettimeout() or LOGIN_TIME
    try:
        return _agree(sock, psk, limit, server=False)
    except TimeoutError:
        raise TimeoutError(no_handshake(limit)) from None


def no_handshake(limit: float) -> str:
    """Why it came to nothing within *limit* seconds."""
    return f"no handshake with a pre-shared key within {limit:g} s"


def _agree(sock: socket.socket, psk: PreSharedKey, limit: float, *, server: bool) -> SealedSocket:
    deadline = time.monotonic() + limit
    try:
        shake = psk.handshake(server)
        say(sock, shake.hello, deadline)
        try:
            say(sock, hear(sock, shake.read_hello(), deadline), deadline)
            hear(sock, shake.read_confirm(), deadline)
        except (ConnectionLost, ConnectionError):
            raise ConnectionLost(GONE) from None
        except NoLogin:
            if server:
                discard(sock, deadline)
            raise
        sock.settimeout(None)
        return SealedSocket(sock, shake.sealer, shake.opener)
    except BaseException:
        sock.close()
        raise

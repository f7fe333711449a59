"""Who connects to a deployed server proves that it knows the token, and the server does, too.

The place where :mod:`netobj.auth` is to be plugged in: :func:`asking` is the server's
authenticator, :func:`answer` the client's half. The token itself is never sent::

    server -> client   the server's nonce (32 bytes)
    client -> server   the client's nonce (32), HMAC-SHA256 of the token over "client" and both (32)
    server -> client   HMAC-SHA256 of the token over "server" and both (32)

An end that is wrong closes the connection, and says nothing of netobj's before.
"""

from __future__ import annotations

import hmac
import os
import socket
from collections.abc import Callable
from typing import Any, Final

from netobj.errors import AuthenticationError, ConnectionLost

LOGIN_TIME: Final = 30.0
"""Seconds that each message of the other side may take."""
_NONCE: Final = 32
_PROOF: Final = 32


def asking(token: bytes) -> Callable[[socket.socket], tuple[socket.socket, Any]]:
    """The authenticator of a server that lets in who knows *token*."""

    def authenticate(sock: socket.socket) -> tuple[socket.socket, Any]:
        sock.settimeout(LOGIN_TIME)
        try:
            asked = os.urandom(_NONCE)
            sock.sendall(asked)
            came = _read(sock, _NONCE + _PROOF)
            nonces = asked + came[:_NONCE]
            if not hmac.compare_digest(came[_NONCE:], _proof(token, b"client", nonces)):
                raise AuthenticationError("who connected does not know the token")
            sock.sendall(_proof(token, b"server", nonces))
        except (OSError, EOFError) as exc:
            raise AuthenticationError(f"who connected did not log in: {exc}") from None
        sock.settimeout(None)
        return sock, None

    return authenticate


def answer(sock: socket.socket, token: bytes) -> None:
    """The client's half, over a connected socket that blocks.

    Raises AuthenticationError if one of the two does not know *token*; ConnectionLost or OSError
    if the server does not go on.
    """
    sock.settimeout(LOGIN_TIME)
    nonces = _read(sock, _NONCE) + os.urandom(_NONCE)
    sock.sendall(nonces[_NONCE:] + _proof(token, b"client", nonces))
    try:
        proof = _read(sock, _PROOF)
    except ConnectionLost:
        raise AuthenticationError("the server refused the token") from None
    if not hmac.compare_digest(proof, _proof(token, b"server", nonces)):
        raise AuthenticationError("the server does not know the token: it is not the one meant")
    sock.settimeout(None)


def _proof(token: bytes, who: bytes, nonces: bytes) -> bytes:
    return hmac.digest(token, who + nonces, "sha256")


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionLost("the other side closed the connection during the login")
        data += piece
    return data

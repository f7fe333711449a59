"""What a server says to who comes, before there is a connection: hello, no, or who are you?"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from netobj.auth.authenticator import FOREVER, LOGIN_TIME, REFUSALS
from netobj.auth.tls import accept_tls, certificate
from netobj.core.config import Config
from netobj.core.exposure import HIDING
from netobj.core.service import Service
from netobj.greetings import greeting
from netobj.refusing import close_quietly
from netobj.sockets import peer_text

Authenticator = Callable[[socket.socket], tuple[socket.socket, Any]]

_LONGEST_HELLO: Final = 4096


def greet(sock: socket.socket, settings: Config, root: type[Service]) -> Config | None:
    """Say hello for a service of the class *root*; returns *settings* if that was done."""
    known = settings
    if HIDING and settings.endpoints is None:  # who is on this machine may see more than others
        known = settings._replace(endpoints=_endpoints(sock))
    hello = greeting(known, root)
    if len(hello) > _LONGEST_HELLO:  # a new socket may not have that much room
        return None
    try:
        sock.sendall(hello)
    except OSError:  # it is gone: the reader will see it
        pass
    return settings


def _endpoints(sock: socket.socket) -> tuple[Any, Any]:
    try:
        return sock.getsockname(), sock.getpeername()
    except OSError:  # it is gone
        return None, None


def find_out(
    sock: socket.socket,
    ssl_context: ssl.SSLContext | None,
    authenticator: Authenticator | None,
    arrival: AbstractContextManager[None],
    log: logging.Logger,
    limit: float | None = LOGIN_TIME,
) -> tuple[socket.socket, Any] | None:
    """The handshake and the login of who came as *sock*, in the block *arrival*.

    Returns the socket to go on with and the credentials; None if the client was refused, which
    is logged, and *sock* closed. Each of the two may take *limit* seconds (None: for ever).
    """
    peer = peer_text(sock)
    try:
        with arrival:
            sock.settimeout(limit or FOREVER)
            if ssl_context is not None:
                sock = accept_tls(sock, ssl_context)
                sock.settimeout(limit or FOREVER)
            if authenticator is None:
                return sock, certificate(sock)
            return authenticator(sock)
    except REFUSALS as exc:
        log.warning("authentication failed: %s: %s", peer, exc)
    except Exception:
        log.exception("authentication failed: %s", peer)
    close_quietly(sock)
    return None

"""What both skins do alike with addresses: their texts, the errors that name them, Unix sockets."""

from __future__ import annotations

import os
import socket
from typing import Any


def address_text(address: Any) -> str:
    """An address of a socket, as ``getpeername`` gives it, for texts and logs.

    >>> address_text(("::1", 80, 0, 0)), address_text("/run/bank"), address_text("")
    ('[::1]:80', 'unix:/run/bank', 'a local socket')
    """
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(address, bytes):  # of Linux's sockets that have no file
        address = os.fsdecode(address)
    return f"unix:{address}" if address else "a local socket"


def peer_text(sock: Any) -> str:
    """Who is at the other end of *sock*, for texts and logs."""
    try:
        return address_text(sock.getpeername())
    except OSError:
        return "a client that is gone"


def refused(where: str, exc: OSError | None) -> OSError:
    """The error for *exc*, which was met on connecting to *where*; None: there is no address.

    It is of the system's own class, so that ``except ConnectionRefusedError`` works.

    >>> print(refused("bank:80", ConnectionRefusedError(111, "Connection refused")))
    [Errno 111] Connection refused: 'bank:80'
    """
    if exc is None:
        return OSError(f"{where} has no address")
    error = type(exc)(*exc.args)
    error.filename = where
    return error


def bind_unix(path: str) -> socket.socket:
    """A socket bound to *path*, which does not listen yet; only this user may connect to it.

    Raises OSError, for example if there is such a file.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)  # for this user alone: other users are strangers
    try:
        sock.bind(path)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(mask)
    return sock


def unlink(path: str) -> None:
    """Remove the file of a Unix socket, if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass

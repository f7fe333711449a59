"""What both skins do alike with sockets: addresses as texts and in errors, options, connecting."""

from __future__ import annotations

import os
import socket
from typing import Any, Final

_KEEPALIVE_SECONDS: Final = 60
_KEEPALIVE_LONGEST: Final = 32767  # Linux takes no more
_KEEPALIVE_PROBES: Final = 5


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


def keepalive_seconds(keepalive: float | bool | None) -> int | None:
    """The seconds that an argument *keepalive* asks for; None: no probes.

    ``True`` asks for the default, 60; the number 1 for one second. Raises ValueError for a number
    below 1 or above 32767.

    >>> keepalive_seconds(True), keepalive_seconds(1), keepalive_seconds(False)
    (60, 1, None)
    """
    if keepalive is True:
        return _KEEPALIVE_SECONDS
    if not keepalive:
        return None
    if not 1 <= keepalive <= _KEEPALIVE_LONGEST:
        raise ValueError(
            f"keepalive is {keepalive!r}: give seconds, from 1 to {_KEEPALIVE_LONGEST}, "
            f"or True for {_KEEPALIVE_SECONDS}"
        )
    return round(keepalive)


def keep_alive(sock: socket.socket, seconds: int | None) -> None:
    """Have the system probe the peer of *sock* after so many seconds of silence, and as often.

    After 5 probes without an answer the connection is lost. What the platform cannot set stays as
    the system has it. None: no probes.
    """
    if seconds is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": seconds,
        "TCP_KEEPALIVE": seconds,  # macOS' name for it
        "TCP_KEEPINTVL": seconds,
        "TCP_KEEPCNT": _KEEPALIVE_PROBES,
    }
    for name, value in options.items():
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def connect_tcp(
    host: str,
    port: int,
    ipv6: bool = False,
    keepalive: float | bool = False,
    timeout: float | None = None,
) -> socket.socket:
    """A socket that is connected to the first address of *host* that answers.

    *ipv6*: only IPv6 addresses. *keepalive*: see :func:`keepalive_seconds`. *timeout*: seconds that
    each address has. Raises the system's error, which names the address.
    """
    seconds = keepalive_seconds(keepalive)
    family = socket.AF_INET6 if ipv6 else socket.AF_UNSPEC
    last: OSError | None = None
    try:
        addresses = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except OSError as exc:
        raise refused(f"{host}:{port}", exc) from exc
    for kind, type_, protocol, _, address in addresses:
        sock = socket.socket(kind, type_, protocol)
        try:
            sock.settimeout(timeout)
            sock.connect(address)
            sock.settimeout(None)
            keep_alive(sock, seconds)
        except OSError as exc:
            sock.close()
            last = exc
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise refused(f"{host}:{port}", last) from last


def connect_unix(path: str) -> socket.socket:
    """A socket that is connected to the Unix socket *path*. Raises OSError, which names it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as exc:
        sock.close()
        raise refused(f"unix:{path}", exc) from exc
    except BaseException:
        sock.close()
        raise
    return sock


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

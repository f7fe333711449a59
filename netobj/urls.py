"""Addresses in one line: ``netobj://host:port`` and its kin. No I/O."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

PORT: Final = 18812
TLS_PORT: Final = 18821


class Way(Enum):
    """How one gets there; the values are the schemes."""

    TCP = "netobj"
    TLS = "netobjs"
    UNIX = "netobj+unix"
    SSH = "netobj+ssh"


class Target(NamedTuple):
    """What a URL says; its repr has no password."""

    way: Way
    host: str  # "" for a Unix socket
    port: int  # 0 for a Unix socket
    path: str  # of the Unix socket, else ""
    user: str
    password: str

    def __repr__(self) -> str:
        where = self.path if self.way is Way.UNIX else f"{self.host}, {self.port}"
        return f"<Target {self.way.value} {where}>"


def parse_url(url: str) -> Target:
    """What *url* means; raises ValueError, whose text has nothing of a user or password in it.

    ``netobj://HOST[:PORT]``, ``netobjs://`` (with TLS), ``netobj+ssh://`` (PORT is the server's, on
    HOST) and ``netobj+unix:///PATH``. Each may have ``USER:PASSWORD@`` or ``:TOKEN@`` before the
    host; with SSH the user is SSH's, and what follows a token. What is special in them,
    ``@ : / ? # %``, is written as %40 and so on.

    >>> parse_url("netobj://tom:secret@[::1]:2000"), parse_url("netobj+unix:///run/bank")
    (<Target netobj ::1, 2000>, <Target netobj+unix /run/bank>)
    """
    target = _parse(url)
    if target is None:  # not in its except clause: that error may have some of the password
        raise ValueError(
            "this is no address: it is netobj://HOST:PORT, netobjs://HOST:PORT, "
            "netobj+ssh://HOST:PORT or netobj+unix:///PATH, with USER:PASSWORD@ or :TOKEN@ before "
            "the host if need be (in these @ : / ? # % are written as %40 %3A %2F %3F %23 %25)"
        )
    return target


def _parse(url: str) -> Target | None:
    try:
        parts = urlsplit(url)
        way = Way(parts.scheme)
        host, port = parts.hostname or "", parts.port
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        return None
    if "?" in url or "#" in url:
        return None
    if way is Way.UNIX:
        at_path = not host and port is None and parts.path.startswith("/")
        return Target(way, "", 0, unquote(parts.path), user, password) if at_path else None
    if not host or parts.path not in ("", "/") or port == 0:
        return None
    if way is Way.SSH and (host.startswith("-") or user.startswith("-")):
        return None  # ssh would take it for an option
    return Target(way, host, port or (TLS_PORT if way is Way.TLS else PORT), "", user, password)

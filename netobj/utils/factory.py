"""RPyC's path to the ways to connect, which live in :mod:`netobj.factory`."""

from __future__ import annotations

from netobj.factory import (
    connect,
    connect_channel,
    connect_pipes,
    connect_stream,
    connect_subproc,
    connect_thread,
    ssh_connect,
    unix_connect,
)

__all__ = [
    "connect",
    "connect_channel",
    "connect_pipes",
    "connect_stream",
    "connect_subproc",
    "connect_thread",
    "ssh_connect",
    "unix_connect",
]

"""RPyC's path to classic mode, which lives in :mod:`netobj.classic`."""

from __future__ import annotations

from netobj.classic import (
    connect,
    connect_channel,
    connect_pipes,
    connect_stream,
    connect_subproc,
    connect_thread,
    deliver,
    obtain,
    redirected_stdio,
    ssh_connect,
    teleport_function,
    unix_connect,
)

__all__ = [
    "connect",
    "connect_channel",
    "connect_pipes",
    "connect_stream",
    "connect_subproc",
    "connect_thread",
    "deliver",
    "obtain",
    "redirected_stdio",
    "ssh_connect",
    "teleport_function",
    "unix_connect",
]

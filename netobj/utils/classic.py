"""RPyC's path to classic mode, which lives in :mod:`netobj.classic`."""

from __future__ import annotations

from netobj.classic import (
    connect,
    connect_channel,
    connect_multiprocess,
    connect_pipes,
    connect_stdpipes,
    connect_stream,
    connect_subproc,
    connect_thread,
    deliver,
    obtain,
    redirected_stdio,
    teleport_function,
    unix_connect,
)

__all__ = [
    "connect",
    "connect_channel",
    "connect_multiprocess",
    "connect_pipes",
    "connect_stdpipes",
    "connect_stream",
    "connect_subproc",
    "connect_thread",
    "deliver",
    "obtain",
    "redirected_stdio",
    "teleport_function",
    "unix_connect",
]

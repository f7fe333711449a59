"""RPyC's path to the ways to connect, which live in :mod:`netobj.factory`."""

from __future__ import annotations

from netobj.factory import (
    connect,
    connect_by_service,
    connect_channel,
    connect_pipes,
    connect_stdpipes,
    connect_stream,
    connect_subproc,
    connect_thread,
    unix_connect,
)
from netobj.multiprocess import connect_multiprocess
from netobj.registry.discovery import discover, list_services

__all__ = [
    "connect",
    "connect_by_service",
    "connect_channel",
    "connect_multiprocess",
    "connect_pipes",
    "connect_stdpipes",
    "connect_stream",
    "connect_subproc",
    "connect_thread",
    "discover",
    "list_services",
    "unix_connect",
]

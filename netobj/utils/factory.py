"""RPyC's path to the ways to connect, which live in :mod:`netobj.factory`."""

from __future__ import annotations

from netobj.errors import DiscoveryError, ForbiddenError
from netobj.factory import (
    connect,
    connect_by_service,
    connect_channel,
    connect_pipes,
    connect_stdpipes,
    connect_stream,
    connect_subproc,
    connect_thread,
    ssh_connect,
    ssl_connect,
    unix_connect,
)
from netobj.multiprocess import connect_multiprocess
from netobj.registry.client import UDPRegistryClient
from netobj.registry.discovery import discover, list_services

__all__ = [
    "DiscoveryError",
    "ForbiddenError",
    "UDPRegistryClient",
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
    "ssh_connect",
    "ssl_connect",
    "unix_connect",
]

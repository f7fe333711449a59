"""RPyC's path to the servers, which live in :mod:`netobj.servers`."""

from __future__ import annotations

from netobj.errors import AuthenticationError
from netobj.helpers import spawn
from netobj.registry.client import UDPRegistryClient
from netobj.servers.base import Server
from netobj.servers.forking import ForkingServer
from netobj.servers.gevent_server import GeventServer
from netobj.servers.oneshot import OneShotServer
from netobj.servers.thread_pool import ThreadPoolServer
from netobj.servers.threaded import ThreadedServer

__all__ = [
    "AuthenticationError",
    "ForkingServer",
    "GeventServer",
    "OneShotServer",
    "Server",
    "ThreadPoolServer",
    "ThreadedServer",
    "UDPRegistryClient",
    "spawn",
]

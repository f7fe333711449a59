"""RPyC's path to the servers, which live in :mod:`netobj.servers`."""

from __future__ import annotations

from netobj.servers.base import Server
from netobj.servers.thread_pool import ThreadPoolServer
from netobj.servers.threaded import ThreadedServer

__all__ = ["Server", "ThreadPoolServer", "ThreadedServer"]

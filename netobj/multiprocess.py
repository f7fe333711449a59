"""Connecting to a child process that :mod:`multiprocessing` starts."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
import weakref
from collections.abc import Iterable, Mapping
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, Final

from netobj.blocking.connection import Connection
from netobj.blocking.streams import stream_for
from netobj.core.config import EMPTY, Settings
from netobj.core.service import VoidService, instance_of
from netobj.factory import open_connection
from netobj.interceptors.hooks import with_interceptors

GRACE: Final = 5.0
"""Seconds that children have to end by themselves when this process ends."""
_KILLED: Final = 1.0


def connect_multiprocess(
    service: Any = VoidService,
    config: Settings = EMPTY,
    remote_service: Any = VoidService,
    remote_config: Settings = EMPTY,
    args: Mapping[str, Any] = EMPTY,
    *,
    interceptors: Iterable[Any] = (),
) -> Connection:
    """A connection to *remote_service*, served by a new process.

    The process is started by :mod:`multiprocessing`, in the way that is set there ("spawn" and
    "forkserver" need a service that can be pickled, and a program that can be imported), and
    reached over a pair of sockets that nobody else has. *args* (name -> object) go into the
    remote service's ``exposed_namespace``, which it is given if it has none; what may only be
    inherited (``multiprocessing.Value``, ``Array``, ``Lock``) travels so, and is shared.

    The process (a ``multiprocessing.Process``) is the connection's ``proc``. It ends after the
    connection has, and at the latest with this process. Raises what starting it raises.

    >>> import netobj
    >>> with netobj.connect_multiprocess(
    ...     remote_service=netobj.SlaveService, args={"base": 40}
    ... ) as conn:
    ...     conn.root.eval("base + 2")
    42
    >>> conn.proc.join()
    """
    config = with_interceptors(config, interceptors)
    here, theirs = socket.socketpair()
    # A fork has this side's socket, too: then it would never see that this side closes it.
    inherited = here if multiprocessing.get_start_method() == "fork" else None
    try:
        process = multiprocessing.Process(
            target=_serve,
            args=(theirs, inherited, remote_service, remote_config, args),
            name="netobj connect_multiprocess",
        )
        process.start()
    except BaseException:
        here.close()
        raise
    finally:
        theirs.close()
    config = {"handshake_timeout": None, **config}  # its end would be seen, and it may start slowly
    connection = open_connection(stream_for(here), service, config)
    connection.proc = process
    _end_at_exit(connection)
    return connection


def _serve(
    sock: socket.socket,
    inherited: socket.socket | None,
    service: Any,
    config: Settings,
    args: Mapping[str, Any],
) -> None:
    """The child's program."""
    if inherited is not None:
        inherited.close()
    instance = instance_of(service)
    if args:
        namespace = getattr(instance, "exposed_namespace", None)
        if namespace is None:
            namespace = instance.exposed_namespace = {}
        namespace.update(args)
    try:
        config = {"accepted": True, **config}
        open_connection(stream_for(sock), instance, config, will_serve=True).serve_all()
    except KeyboardInterrupt:  # Ctrl-C goes to all processes of a terminal
        pass


class _Children:
    """The connections to children of this process, which end before it does.

    At its end multiprocessing waits for them; so each must have heard a goodbye before.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()
        Finalize(None, self._end, exitpriority=10)

    def add(self, connection: Connection) -> None:
        self._connections.add(connection)

    def _end(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.close()
        processes: list[BaseProcess] = [connection.proc for connection in connections]
        _join(processes, GRACE)
        for process in processes:
            process.kill()
        _join(processes, _KILLED)


def _join(processes: list[BaseProcess], seconds: float) -> None:
    end = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))


_children: _Children | None = None


def _end_at_exit(connection: Connection) -> None:
    global _children
    if _children is None or _children.pid != os.getpid():  # a fork has children of its own
        _children = _Children()
    _children.add(connection)

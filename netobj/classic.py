"""Classic mode: the other side's whole interpreter, as if it were here.

>>> import netobj
>>> conn = netobj.classic.connect_thread()
>>> conn.modules.os.path.join("a", "b")
'a/b'
>>> conn.close()
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final

from netobj import factory, multiprocess
from netobj.auth.psk import PreSharedKey
from netobj.auth.tls import File
from netobj.blocking.channel import Channel
from netobj.blocking.connection import Connection
from netobj.blocking.streams import Stream
from netobj.core import arrays
from netobj.core.boxing import ByValue
from netobj.core.closing import Closing
from netobj.core.config import EMPTY, Settings
from netobj.core.consts import Op
from netobj.core.handle import RemoteObject
from netobj.core.service import ClassicClient, Master, SlaveService
from netobj.errors import AccessDenied, NotEncodable
from netobj.helpers import copy_of
from netobj.teleportation import export_function
from netobj.transfer import (
    download,
    download_dir,
    download_file,
    upload,
    upload_dir,
    upload_file,
    upload_module,
    upload_package,
)
from netobj.urls import PORT, TLS_PORT

if TYPE_CHECKING:
    from netobj.interactive import interact as interact
    from netobj.interactive import pm as pm

DEFAULT_SERVER_PORT: Final = PORT
DEFAULT_SERVER_SSL_PORT: Final = TLS_PORT


def connect(
    host: str,
    port: int = DEFAULT_SERVER_PORT,
    ipv6: bool = False,
    keepalive: float | bool = False,
    config: Settings = EMPTY,
    *,
    psk: PreSharedKey | None = None,
) -> Connection:
    """Connect to a classic server over TCP; see :func:`netobj.connect`."""
    return factory.connect(host, port, ClassicClient, config, ipv6, keepalive, psk=psk)


def ssl_connect(
    host: str,
    port: int = DEFAULT_SERVER_SSL_PORT,
    keyfile: File | None = None,
    certfile: File | None = None,
    ca_certs: File | None = None,
    cert_reqs: int | None = None,
    ssl_version: int | None = None,
    ciphers: str | None = None,
    ipv6: bool = False,
    *,
    config: Settings = EMPTY,
    verify_hostname: bool = True,
    authenticator: Any = None,
) -> Connection:
    """Connect to a classic server over TLS, verified; see :func:`netobj.ssl_connect`."""
    return factory.ssl_connect(
        host,
        port,
        keyfile,
        certfile,
        ca_certs,
        cert_reqs,
        ssl_version,
        ciphers,
        ClassicClient,
        config,
        ipv6,
        verify_hostname=verify_hostname,
        authenticator=authenticator,
    )


def connect_url(
    url: str,
    config: Settings = EMPTY,
    *,
    ssl_context: SSLContext | None = None,
    authenticator: Any = None,
    psk: PreSharedKey | None = None,
) -> Connection:
    """Connect to a classic server by URL; see :func:`netobj.connect_url`."""
    return factory.connect_url(
        url, ClassicClient, config, ssl_context=ssl_context, authenticator=authenticator, psk=psk
    )


def unix_connect(path: str, config: Settings = EMPTY) -> Connection:
    """Connect to a classic server that listens on the Unix socket *path*."""
    return factory.unix_connect(path, ClassicClient, config)


def ssh_connect(remote_machine: Any, remote_port: int, config: Settings = EMPTY) -> Connection:
    """Connect to a classic server through SSH; see :func:`netobj.ssh_connect`."""
    return factory.ssh_connect(remote_machine, remote_port, ClassicClient, config)


def connect_stream(stream: Stream, config: Settings = EMPTY) -> Connection:
    """A classic connection over *stream*."""
    return factory.connect_stream(stream, ClassicClient, config)


def connect_channel(channel: Channel, config: Settings = EMPTY) -> Connection:
    """A classic connection over *channel*."""
    return factory.connect_channel(channel, ClassicClient, config)


def connect_pipes(input: Any, output: Any, config: Settings = EMPTY) -> Connection:
    """A classic connection over two pipes."""
    return factory.connect_pipes(input, output, ClassicClient, config)


def connect_stdpipes(config: Settings = EMPTY) -> Connection:
    """A classic connection over standard input and output; see :func:`netobj.connect_stdpipes`."""
    return factory.connect_stdpipes(ClassicClient, config)


def connect_subproc(
    server_file: str | Sequence[str] | None = None, config: Settings = EMPTY
) -> Connection:
    """Start a classic server in a process of its own, and connect to its standard streams.

    *server_file*: the path of a Python program that takes ``-q -m stdio``, as ``netobj_classic``
    does, or a whole command, which serves on its standard input and output. By default this very
    netobj, in this interpreter. The process is the connection's ``proc``.

    >>> import netobj
    >>> with netobj.classic.connect_subproc() as conn:
    ...     conn.modules.os.getpid() == conn.proc.pid
    True
    >>> conn.proc.wait()
    0
    """
    if server_file is None:
        command: Sequence[str] = (sys.executable, "-c", _SERVER, *_STDIO)
    elif isinstance(server_file, str):
        command = (sys.executable, server_file, *_STDIO)
    else:
        command = server_file
    return factory.connect_subproc(command, ClassicClient, config)


_STDIO: Final = ("-q", "-m", "stdio")
# This package serves, wherever it was imported from; then sys.path is that of a fresh process.
_SERVER: Final = f"""\
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})
from netobj.cli import classic
del sys.path[0]
classic.main()
"""


def connect_thread(config: Settings = EMPTY) -> Connection:
    """A classic connection to a thread of this process."""
    return factory.connect_thread(ClassicClient, config, SlaveService)


def connect_multiprocess(args: Mapping[str, Any] = EMPTY, config: Settings = EMPTY) -> Connection:
    """A classic connection to a new process, with *args* in its namespace.

    See :func:`netobj.connect_multiprocess`.
    """
    return multiprocess.connect_multiprocess(ClassicClient, config, SlaveService, args=args)


def obtain(proxy: Any) -> Any:
    """A local copy of a remote object.

    Plain data (see :func:`netobj.copy_of`) is copied without pickle; anything else is pickled
    over there, which both sides must allow (``allow_pickle``), since whoever can make this side
    unpickle something can make it run anything. Raises AccessDenied where they do not.

    >>> import netobj
    >>> with netobj.classic.connect_thread() as conn:
    ...     obtain(conn.eval("{'a': [1, 2]}"))
    {'a': [1, 2]}
    """
    if not issubclass(type(proxy), RemoteObject):
        return proxy
    try:
        return copy_of(proxy)
    except NotEncodable:
        return _unpickle(proxy)


def _unpickle(proxy: Any) -> Any:
    handle = proxy.____handle__
    if not handle.link.config.allow_pickle:
        raise AccessDenied(
            f"obtain: a {handle.imported.description.full_name} is no plain data, and this side's "
            'setting allow_pickle is off: connect with config={"allow_pickle": True} if you trust '
            "the other side with everything here"
        )
    return pickle.loads(handle.link.request(Op.PICKLE, handle, None, (pickle.HIGHEST_PROTOCOL,)))


def deliver(conn: Any, localobj: Any) -> Any:
    """A remote copy of a local object, as a proxy (or a value, if it is one).

    Plain data is copied without pickle; anything else is pickled here and unpickled there.

    >>> import netobj
    >>> with netobj.classic.connect_thread() as conn:
    ...     deliver(conn, [1, 2]).__class__
    <class 'list'>
    """
    if type(conn) is MockClassicConnection:
        return deepcopy(localobj)
    if type(localobj) in (list, dict, set, bytearray):
        return conn.eval("lambda obj: obj")(ByValue(localobj))
    if arrays.library_of(type(localobj)) is not None:
        try:
            form = arrays.taken_apart(localobj, lambda array: array.tobytes(), ByValue)
        except NotEncodable:
            pass
        else:
            return conn.modules["netobj.core.rebuilding"].put_together(form)
    return conn.modules["pickle"].loads(pickle.dumps(localobj))


@contextmanager
def redirected_stdio(conn: Connection) -> Iterator[None]:
    """While in the block, the other side's standard streams are this side's."""
    remote = conn.modules["sys"]
    saved = (remote.stdin, remote.stdout, remote.stderr)
    try:
        remote.stdin, remote.stdout, remote.stderr = sys.stdin, sys.stdout, sys.stderr
        yield
    finally:
        remote.stdin, remote.stdout, remote.stderr = saved


def teleport_function(
    conn: Connection,
    func: Callable[..., Any],
    globals: Any = None,
    def_: bool = True,
) -> Any:
    """*func* as a function of the other side, which runs there.

    *globals*: the remote dictionary that is its globals, by default ``conn.namespace``; with
    *def_* it is also put in there under its name.

    >>> import netobj
    >>> with netobj.classic.connect_thread() as conn:
    ...     teleport_function(conn, lambda x: x ** 2)(3)
    9
    """
    namespace = conn.namespace if globals is None else globals
    importer = conn.modules["netobj.teleportation"].import_function
    return importer(export_function(func), namespace, def_)


class MockClassicConnection(Master, Closing):
    """A classic connection to this very interpreter, without a connection.

    For code that is to run here or elsewhere: what it gets are the objects themselves. Has what
    a classic connection has (``modules``, ``builtins``, ``eval``, ``execute``, ``namespace``,
    ``teleport``, ``root``, ``close``, ``closed``, ``ping``, ``with``), and the functions of this
    module take it.

    >>> conn = MockClassicConnection()
    >>> import os
    >>> conn.modules.os is os
    True
    """

    closed = False

    def __init__(self) -> None:
        self.root = SlaveService()
        self.root.on_connect(self)
        super().__init__(self)

    def ping(self, data: Any = None, timeout: float | None = 3) -> None:
        """Nothing is asked; raises nothing."""

    def close(self) -> None:
        """From now on ``closed`` is true; there is nothing else to close."""
        self.closed = True


def __getattr__(name: str) -> Any:
    """``interact`` and ``pm``, which live above this module; loaded when first used."""
    if name in ("interact", "pm"):
        return getattr(import_module("netobj.interactive"), name)
    raise AttributeError(f"module 'netobj.classic' has no attribute {name!r}")


__all__ = [
    "DEFAULT_SERVER_PORT",
    "DEFAULT_SERVER_SSL_PORT",
    "MockClassicConnection",
    "connect",
    "connect_channel",
    "connect_pipes",
    "connect_stream",
    "connect_subproc",
    "connect_thread",
    "deliver",
    "download",
    "download_dir",
    "download_file",
    "interact",
    "obtain",
    "pm",
    "redirected_stdio",
    "teleport_function",
    "unix_connect",
    "upload",
    "upload_dir",
    "upload_file",
    "upload_module",
    "upload_package",
]

"""netobj: transparent, symmetric object RPC.

The public names are loaded when they are first used, each from its home, so that importing
the package costs next to nothing:

>>> import netobj
>>> netobj.AccessDenied.__module__
'netobj.errors'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from netobj.core import consts

if TYPE_CHECKING:
    from netobj import aio as aio
    from netobj import auth as auth
    from netobj import classic as classic
    from netobj import core as core
    from netobj import deploy as deploy
    from netobj import errors as errors
    from netobj import lib as lib
    from netobj import utils as utils
    from netobj import version as version
    from netobj.auth import SSLAuthenticator as SSLAuthenticator
    from netobj.auth import TokenAuthenticator as TokenAuthenticator
    from netobj.auth import UserAuthenticator as UserAuthenticator
    from netobj.auth import UserLogin as UserLogin
    from netobj.blocking.batch import batch as batch
    from netobj.blocking.channel import Channel as Channel
    from netobj.blocking.connection import Connection as Connection
    from netobj.blocking.named_pipes import NamedPipeStream as NamedPipeStream
    from netobj.blocking.results import AsyncResult as AsyncResult
    from netobj.blocking.streams import PipeStream as PipeStream
    from netobj.blocking.streams import SocketStream as SocketStream
    from netobj.blocking.streams import Stream as Stream
    from netobj.blocking.streams import TLSStream as TLSStream
    from netobj.calls import Call as Call
    from netobj.calls import current_call as current_call
    from netobj.calls import deadline as deadline
    from netobj.calls import metadata as metadata
    from netobj.core.ends import AsyncDuplex as AsyncDuplex
    from netobj.core.ends import AsyncIncoming as AsyncIncoming
    from netobj.core.ends import Duplex as Duplex
    from netobj.core.ends import Incoming as Incoming
    from netobj.core.exposure import exposed as exposed
    from netobj.core.exposure import service as service
    from netobj.core.netref import BaseNetref as BaseNetref
    from netobj.core.netref import Netref as Netref
    from netobj.core.registered import by_value as by_value
    from netobj.core.service import ClassicClient as ClassicClient
    from netobj.core.service import ClassicService as ClassicService
    from netobj.core.service import FakeSlaveService as FakeSlaveService
    from netobj.core.service import MasterService as MasterService
    from netobj.core.service import Service as Service
    from netobj.core.service import SlaveService as SlaveService
    from netobj.core.service import VoidService as VoidService
    from netobj.deploy.multi import MultiServerDeployment as MultiServerDeployment
    from netobj.deploy.server import DeployedServer as DeployedServer
    from netobj.errors import *  # noqa: F403
    from netobj.factory import connect as connect
    from netobj.factory import connect_by_service as connect_by_service
    from netobj.factory import connect_channel as connect_channel
    from netobj.factory import connect_pipes as connect_pipes
    from netobj.factory import connect_stdpipes as connect_stdpipes
    from netobj.factory import connect_stream as connect_stream
    from netobj.factory import connect_subproc as connect_subproc
    from netobj.factory import connect_thread as connect_thread
    from netobj.factory import connect_url as connect_url
    from netobj.factory import ssh_connect as ssh_connect
    from netobj.factory import ssl_connect as ssl_connect
    from netobj.factory import unix_connect as unix_connect
    from netobj.functions import FunctionService as FunctionService
    from netobj.helpers import BgServingThread as BgServingThread
    from netobj.helpers import async_ as async_
    from netobj.helpers import buffiter as buffiter
    from netobj.helpers import classpartial as classpartial
    from netobj.helpers import copy_of as copy_of
    from netobj.helpers import restricted as restricted
    from netobj.helpers import setup_logger as setup_logger
    from netobj.helpers import spawn as spawn
    from netobj.helpers import timed as timed
    from netobj.multiprocess import connect_multiprocess as connect_multiprocess
    from netobj.registry.discovery import discover as discover
    from netobj.registry.discovery import list_services as list_services
    from netobj.servers.async_server import AsyncServer as AsyncServer
    from netobj.servers.forking import ForkingServer as ForkingServer
    from netobj.servers.gevent_server import GeventServer as GeventServer
    from netobj.servers.oneshot import OneShotServer as OneShotServer
    from netobj.servers.pump import Pump as Pump
    from netobj.servers.thread_pool import ThreadPoolServer as ThreadPoolServer
    from netobj.servers.threaded import ThreadedServer as ThreadedServer
    from netobj.stubs import stub as stub

__version__ = consts.VERSION

_NAMES_BY_HOME = {
    "netobj.calls": ("Call", "current_call", "deadline", "metadata"),
    "netobj.core.ends": ("AsyncDuplex", "AsyncIncoming", "Duplex", "Incoming"),
    "netobj.auth": ("SSLAuthenticator", "TokenAuthenticator", "UserAuthenticator", "UserLogin"),
    "netobj.blocking.batch": ("batch",),
    "netobj.blocking.channel": ("Channel",),
    "netobj.blocking.connection": ("Connection",),
    "netobj.blocking.named_pipes": ("NamedPipeStream",),
    "netobj.blocking.results": ("AsyncResult",),
    "netobj.blocking.streams": ("PipeStream", "SocketStream", "Stream", "TLSStream"),
    "netobj.core.exposure": ("exposed", "service"),
    "netobj.functions": ("FunctionService",),
    "netobj.core.netref": ("BaseNetref", "Netref"),
    "netobj.core.registered": ("by_value",),
    "netobj.deploy.multi": ("MultiServerDeployment",),
    "netobj.deploy.server": ("DeployedServer",),
    "netobj.core.service": (
        "ClassicClient",
        "ClassicService",
        "FakeSlaveService",
        "MasterService",
        "Service",
        "SlaveService",
        "VoidService",
    ),
    "netobj.errors": (
        "AccessDenied",
        "AsyncResultTimeout",
        "AuthenticationError",
        "Busy",
        "CallCancelled",
        "ConnectionLost",
        "DeploymentError",
        "DiscoveryError",
        "ForbiddenError",
        "FrameTooLarge",
        "GenericException",
        "LimitExceeded",
        "NetobjError",
        "NotEncodable",
        "NotNetobj",
        "PingError",
        "ProtocolError",
        "ReentrantCall",
        "RemoteBaseException",
        "StreamClosed",
        "VersionMismatch",
        "WorkerCrashed",
    ),
    "netobj.factory": (
        "connect",
        "connect_by_service",
        "connect_channel",
        "connect_pipes",
        "connect_stdpipes",
        "connect_stream",
        "connect_subproc",
        "connect_thread",
        "connect_url",
        "ssl_connect",
        "ssh_connect",
        "unix_connect",
    ),
    "netobj.helpers": (
        "BgServingThread",
        "async_",
        "buffiter",
        "classpartial",
        "copy_of",
        "restricted",
        "setup_logger",
        "spawn",
        "timed",
    ),
    "netobj.multiprocess": ("connect_multiprocess",),
    "netobj.registry.discovery": ("discover", "list_services"),
    "netobj.servers.async_server": ("AsyncServer",),
    "netobj.servers.forking": ("ForkingServer",),
    "netobj.servers.gevent_server": ("GeventServer",),
    "netobj.servers.oneshot": ("OneShotServer",),
    "netobj.servers.pump": ("Pump",),
    "netobj.servers.thread_pool": ("ThreadPoolServer",),
    "netobj.servers.threaded": ("ThreadedServer",),
    "netobj.stubs": ("stub",),
}
_HOMES = {name: home for home, names in _NAMES_BY_HOME.items() for name in names}
_SUBMODULES = ("aio", "auth", "classic", "core", "deploy", "errors", "lib", "utils", "version")

__all__ = sorted((*_HOMES, "__version__", "aio", "auth", "classic", "deploy", "utils"))


def __getattr__(name: str) -> Any:
    """The public *name*, loaded from its home; ``AttributeError`` for any other."""
    if name in _SUBMODULES:
        return import_module(f"netobj.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'netobj' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The protocol without I/O: bytes and times go in, bytes and events come out.

What RPyC has in ``rpyc.core`` itself is here, too, as far as it needs no I/O; it is loaded when it
is first used:

>>> from netobj.core import DEFAULT_CONFIG, SlaveService
>>> SlaveService.__module__
'netobj.core.service'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netobj.core import async_ as async_
    from netobj.core import netref as netref
    from netobj.core import protocol as protocol
    from netobj.core import service as service
    from netobj.core import vinegar as vinegar
    from netobj.core.config import DEFAULT_CONFIG as DEFAULT_CONFIG
    from netobj.core.netref import BaseNetref as BaseNetref
    from netobj.core.service import ClassicService as ClassicService
    from netobj.core.service import MasterService as MasterService
    from netobj.core.service import Service as Service
    from netobj.core.service import SlaveService as SlaveService
    from netobj.core.service import VoidService as VoidService
    from netobj.errors import AsyncResultTimeout as AsyncResultTimeout
    from netobj.errors import GenericException as GenericException

_SERVICES = ("ClassicService", "MasterService", "Service", "SlaveService", "VoidService")
_HOMES = {
    "AsyncResultTimeout": "netobj.errors",
    "BaseNetref": "netobj.core.netref",
    "DEFAULT_CONFIG": "netobj.core.config",
    "GenericException": "netobj.errors",
    **dict.fromkeys(_SERVICES, "netobj.core.service"),
}
# Old programs reach for netobj.core.protocol after nothing but "import netobj".
_SUBMODULES = ("async_", "netref", "protocol", "service", "vinegar")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"netobj.core.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'netobj.core' has no attribute {name!r}")

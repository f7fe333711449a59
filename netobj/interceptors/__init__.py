"""What stands around connections and calls, see :class:`netobj.Interceptor`.

Those that are here to be used are loaded when they are first asked for; ``RateLimit`` needs the
library ``limits`` (``pip install netobj[limits]``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from netobj.interceptors.interceptor import Direction, Interceptor, Next, Peer

if TYPE_CHECKING:
    from netobj.interceptors.access_log import AccessLog as AccessLog
    from netobj.interceptors.crowds import MaxConnections as MaxConnections
    from netobj.interceptors.crowds import MaxConnectionsPerAddress as MaxConnectionsPerAddress
    from netobj.interceptors.networks import AllowNetworks as AllowNetworks
    from netobj.interceptors.networks import DenyNetworks as DenyNetworks
    from netobj.interceptors.rates import Per as Per
    from netobj.interceptors.rates import RateLimit as RateLimit
    from netobj.interceptors.trace import Trace as Trace

_HOMES = {
    "AccessLog": "access_log",
    "AllowNetworks": "networks",
    "DenyNetworks": "networks",
    "MaxConnections": "crowds",
    "MaxConnectionsPerAddress": "crowds",
    "Per": "rates",
    "RateLimit": "rates",
    "Trace": "trace",
}

__all__ = [*_HOMES, "Direction", "Interceptor", "Next", "Peer"]


def __getattr__(name: str) -> Any:
    """The interceptor *name*, loaded from its home; ``AttributeError`` for any other name."""
    if name not in _HOMES:
        raise AttributeError(f"module 'netobj.interceptors' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

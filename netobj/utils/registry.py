"""RPyC's path to the registry, which lives in :mod:`netobj.registry`."""

from __future__ import annotations

from netobj.registry.client import (
    REREGISTER_INTERVAL,
    RegistryClient,
    TCPRegistryClient,
    UDPRegistryClient,
)
from netobj.registry.messages import REGISTRY_PORT
from netobj.registry.server import (
    DEFAULT_PRUNING_TIMEOUT,
    RegistryServer,
    TCPRegistryServer,
    UDPRegistryServer,
)

__all__ = [
    "DEFAULT_PRUNING_TIMEOUT",
    "REGISTRY_PORT",
    "REREGISTER_INTERVAL",
    "RegistryClient",
    "RegistryServer",
    "TCPRegistryClient",
    "TCPRegistryServer",
    "UDPRegistryClient",
    "UDPRegistryServer",
]

"""The module paths that RPyC's users know: re-exports of what lives elsewhere, nothing more."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netobj.core.exposure import exposed as exposed
    from netobj.core.exposure import service as service
    from netobj.utils import authenticators as authenticators
    from netobj.utils import classic as classic
    from netobj.utils import factory as factory
    from netobj.utils import helpers as helpers
    from netobj.utils import registry as registry
    from netobj.utils import server as server
    from netobj.utils import teleportation as teleportation
    from netobj.utils import zerodeploy as zerodeploy

_SUBMODULES = (
    "authenticators",
    "classic",
    "factory",
    "helpers",
    "registry",
    "server",
    "teleportation",
    "zerodeploy",
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"netobj.utils.{name}")
    if name in ("exposed", "service"):
        return getattr(import_module("netobj.core.exposure"), name)
    raise AttributeError(f"module 'netobj.utils' has no attribute {name!r}")

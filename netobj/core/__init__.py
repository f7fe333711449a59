"""The protocol without I/O: bytes and times go in, bytes and events come out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netobj.core import protocol as protocol


def __getattr__(name: str) -> Any:
    # Old programs reach for netobj.core.protocol after nothing but "import netobj".
    if name == "protocol":
        return import_module("netobj.core.protocol")
    raise AttributeError(f"module 'netobj.core' has no attribute {name!r}")

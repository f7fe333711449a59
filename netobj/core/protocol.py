"""Where programs written for RPyC look for the default settings, and for PingError.

>>> import netobj
>>> netobj.core.protocol.DEFAULT_CONFIG["allow_public_attrs"]
False
"""

from __future__ import annotations

from netobj.core.config import DEFAULT_CONFIG
from netobj.errors import PingError

__all__ = ["DEFAULT_CONFIG", "PingError"]

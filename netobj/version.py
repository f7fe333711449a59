"""The version, as programs written for RPyC ask for it.

>>> import netobj
>>> from netobj.version import version
>>> ".".join(version) == netobj.__version__
True
"""

from __future__ import annotations

from netobj.core.consts import VERSION

__version__ = VERSION
version = tuple(VERSION.split("."))

__all__ = ["__version__", "version"]

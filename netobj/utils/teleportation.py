"""RPyC's path to moving functions, which lives in :mod:`netobj.teleportation`."""

from __future__ import annotations

from netobj.teleportation import export_function, import_function

__all__ = ["export_function", "import_function"]

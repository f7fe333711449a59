"""RPyC's path to what sets up logging and starts threads, which lives in :mod:`netobj.helpers`."""

from __future__ import annotations

from netobj.helpers import setup_logger, spawn

__all__ = ["setup_logger", "spawn"]
